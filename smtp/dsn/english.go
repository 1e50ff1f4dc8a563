package dsn

import (
	"strings"
	"time"

	"github.com/postrider/postrider/smtp"
)

// English writes the part for people: what happened, to whom, what the other side
// has said to it, and what can be done. The texts stay as they are from version to
// version unless they are wrong. A Composer's own Text may begin with what English
// returns.
func English(r *Report) Text {
	var t english
	groups, subject := grouped(r.Recipients)
	t.add("", "This is the mail system at "+r.ReportingMTA.Text+".")
	for i, g := range groups {
		if i == maxGroups {
			t.add("", "There are more addresses, which stand in the report for programs.")
			break
		}
		if i == 0 || g.Action != groups[i-1].Action {
			t.add("", sayings[g.Action].opening)
			if g.Action == Delayed && !g.RetryUntil.IsZero() {
				t.add("", "Delivery will be tried until "+g.RetryUntil.Format(peopleLayout)+".")
			}
		}
		t.group(g)
	}
	about := "Below is a report for programs"
	switch r.Returned {
	case smtp.RetFull:
		about += " and your message"
	case smtp.RetHeaders:
		about += " and the header of your message"
	}
	if !r.Arrival.IsZero() {
		about += ", which came here on " + r.Arrival.Format(peopleLayout)
	}
	t.add("", about+".")
	return Text{Subject: subject, Body: t.String(), Language: "en"}
}

const peopleLayout = "Monday, 2 January 2006 at 15:04 UTC"

// sayings are what is said of each action, in the order of the text.
var sayings = map[Action]struct{ subject, opening string }{
	Failed: {"Your message could not be delivered",
		"Your message could not be delivered to these addresses, and will not be tried again:"},
	Delayed: {"Your message is delayed",
		"Your message has not been delivered to these addresses yet. There is no need to send it again: delivery goes on being tried, and you will hear if it fails."},
	Delivered: {"Your message was delivered",
		"Your message was delivered to these addresses. This does not mean that it has been read."},
	Relayed: {"Your message was passed on",
		"Your message was passed on to other mail systems for these addresses. You will not hear when they deliver it, as they do not send such reports."},
	Expanded: {"Your message was delivered and passed on",
		"Your message was delivered to these addresses, each of which stands for several others. You may still hear if it does not reach one of those."},
}

// maxGroups is how many different reasons are told to people.
const maxGroups = 100

const mixedSubject = "What became of your message"

// A group is recipients of whom the same is to be said.
type group struct {
	*Recipient
	all []*Recipient
}

// grouped returns the recipients in the order of their actions.
func grouped(recipients []Recipient) (groups []*group, subject string) {
	type key struct {
		remote, diagnostic Typed
		status             Status
		until              time.Time
	}
	for a := Failed; a <= Expanded; a++ {
		index := map[key]*group{}
		for i := range recipients {
			r := &recipients[i]
			if r.Action != a {
				continue
			}
			k := key{r.RemoteMTA, r.Diagnostic, r.Status, r.RetryUntil}
			g := index[k]
			if g == nil {
				g = &group{Recipient: r}
				index[k] = g
				groups = append(groups, g)
			}
			g.all = append(g.all, r)
		}
	}
	if n := len(groups); n > 0 && groups[0].Action == groups[n-1].Action {
		return groups, sayings[groups[0].Action].subject
	}
	return groups, mixedSubject
}

// english is a text that is being written.
type english struct{ strings.Builder }

func (t *english) group(g *group) {
	for i, r := range g.all {
		if i == 0 {
			t.WriteByte('\n')
		}
		t.WriteString("    <" + r.Final.Text + ">")
		if o := r.Original.Text; o != "" && !strings.EqualFold(o, r.Final.Text) {
			t.WriteString(", written by you as <" + o + ">")
		}
		t.WriteByte('\n')
	}
	if g.Action != Failed && g.Action != Delayed {
		return
	}
	if said := g.Diagnostic.Text; said != "" {
		who := "The reason:"
		if host := g.RemoteMTA.Text; host != "" {
			who = "The server " + host + " said:"
		}
		t.add("    ", who)
		for line := range strings.SplitSeq(said, "\n") {
			t.wrap("        ", line)
		}
	}
	if what := advice(g.Status); what != "" && g.Action == Failed {
		t.add("    ", what)
	}
}

// add adds a paragraph, with an empty line in front of it.
func (t *english) add(indent, paragraph string) {
	if t.Len() > 0 {
		t.WriteByte('\n')
	}
	t.wrap(indent, paragraph)
}

// wrap adds lines of at most 72 octets if words allow it.
func (t *english) wrap(indent, s string) {
	const width = 72
	column := 0
	for word := range strings.FieldsSeq(s) {
		switch {
		case column == 0:
			t.WriteString(indent)
			column = len(indent)
		case column+1+len(word) > width:
			t.WriteString("\n" + indent)
			column = len(indent)
		default:
			t.WriteByte(' ')
			column++
		}
		t.WriteString(word)
		column += len(word)
	}
	t.WriteByte('\n')
}
