package queuetest

import (
	"errors"
	"strings"

	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/smtp"
	"github.com/postrider/postrider/smtp/dsn"
)

var hostileRules = []rule{
	{name: "Hostile/Texts", test: hostileTexts},
	{name: "Hostile/Destinations", test: hostileDestinations},
	{name: "Hostile/Addresses", test: hostileAddresses},
	{name: "Hostile/Many", test: manyRecipients},
}

// hostile are texts that mean something to somebody.
var hostile = []string{
	"'); DROP TABLE items; --", `"; DROP TABLE messages; --`, "' OR '1'='1", "a'b''c", `a"b`, "`a`", `a\'b`, `\`, "%", "_", "a%b_c", "?", "$1", ":a", "@a", "/*", "*/", "NULL", "null", "0", "1e9", "true",
	"a b", " a ", "\t", "a\nb", "a\r\nb", "日本語", "😀🏴", "e\u0301", "\u202e", "\ufeff", "\u0000x", "x\u0000", "\x01\x1f\x7f", "\xff", "\xc3", "\xed\xa0\x80", "ÿ", "{\"a\":1}", "{a,b}", "\\x41", "\\N", "1; SELECT pg_sleep(10)",
	strings.Repeat("x", 4000), strings.Repeat("😀", 1000),
}

// hostileTexts: what nobody compares is kept octet by octet.
func hostileTexts(e *env) {
	var batch []*queue.Settlement
	want := map[queue.ID]string{}
	for _, s := range hostile {
		c := commitOf(item("a", 0))
		c.Message.Data, c.Message.ReceivedFrom = s, dsn.Typed{Type: s, Text: s}
		r := &c.Items[0].Recipients[0]
		r.Last, r.Host, r.Reply = t0, s, smtp.Reply{Code: 450, Text: s}
		id, _ := e.commit(c, s)
		want[id] = s
		m, items := asStored(c, id, s)
		e.sameAsStored(m, items)
	}
	for _, l := range e.lease("a", len(hostile), 0, 10) {
		s := want[l.Message.ID]
		e.want(l.Message.Data == s && l.Item.Recipients[0].Host == s && e.content(l.Content) == s, "Lease gives %q for %q", l.Message.Data, s)
		d := done(l)
		d.Done[0].Host, d.Done[0].Reply = s, smtp.Reply{Code: 550, Text: s}
		batch = append(batch, d)
	}
	e.settled(batch...)
	for _, o := range e.outcomes(0) {
		s := want[o.Message]
		e.want(o.Host == s && o.Reply.Text == s, "the outcome has %q and %q for %q", o.Host, o.Reply.Text, s)
		delete(want, o.Message)
	}
	e.want(len(want) == 0, "%d outcomes are missing", len(want))
	e.empty()
}

// hostileDestinations: a database may refuse octets that are not text, and then
// keeps nothing of the message.
func hostileDestinations(e *env) {
	kept := 0
	for _, s := range hostile {
		tx := e.begin()
		e.write(tx, "x\r\n")
		id := tx.ID()
		if _, err := tx.Commit(e.ctx, commitOf(item("before", 0), item(s, 0))); err != nil {
			e.want(!isText(s), "%q as a destination: %v", s, err)
			e.gone(id)
			continue
		}
		if kept++; s == "" {
			continue
		}
		entries := e.scan(queue.Filter{Destination: s})
		if len(entries) != 1 || entries[0].Item.Destination != s || entries[0].Item.Message != id {
			e.Fatalf("Scan with destination %q gives %d items", s, len(entries))
		}
		l := e.lease1(s, 0, 10)
		e.want(l.Item.Destination == s, "Lease of %q gives one of %q", s, l.Item.Destination)
		found := false
		for _, name := range e.ready(10) {
			found = found || name == s
		}
		e.want(found, "Ready does not give %q", s)
		e.change(queue.Filter{Destination: s}, queue.Hold, 0, 1)
		e.settled(done(l))
		outcomes := e.outcomes(id)
		e.want(len(outcomes) == 1 && outcomes[0].Destination == s, "the outcomes of %q are %+v", s, outcomes)
	}
	e.counts(int64(kept), int64(3*kept), int64(kept), 0, 0)
}

func isText(s string) bool {
	return strings.ToValidUTF8(s, "") == s && !strings.Contains(s, "\x00")
}

func hostileAddresses(e *env) {
	for _, s := range hostile {
		to := smtp.Mailbox{Local: s, Domain: "example.com"}
		if to.Validate() != nil {
			continue
		}
		c := commitOf(item("a", 0, "bob@b"))
		c.Items[0].Recipients[0].To.Mailbox = to
		c.Message.Envelope.From = smtp.ReversePath{Mailbox: to}
		id, _ := e.commit(c, "x\r\n")
		m, items := asStored(c, id, "x\r\n")
		e.sameAsStored(m, items)
		e.want(len(e.scan(queue.Filter{To: to.String()})) == 1 && len(e.scan(queue.Filter{From: to.String()})) == 1, "Scan does not find %s", to)
		e.settled(done(e.lease1("a", 0, 10)))
		o := e.outcomes(id)
		e.want(len(o) == 1 && o[0].Recipient.Mailbox == to, "the outcome of %s is %+v", to, o)
	}
	for _, s := range hostile { // asked for, but not there
		for entry, err := range e.s.Scan(e.ctx, queue.Filter{From: s, To: s, Destination: s}) {
			e.want(err != nil, "Scan for %q finds %+v", s, entry)
		}
	}
	e.empty()
}

// manyRecipients: 1,000 of one item, and 500 items of one message.
func manyRecipients(e *env) {
	one := item("a", 0, "bob@a")
	for range 999 {
		one.Recipients = append(one.Recipients, one.Recipients[0])
	}
	items := []queue.NewItem{one}
	for range 500 {
		items = append(items, item("b", 0))
	}
	id := e.put("x\r\n", items...)
	e.counts(1, 3, 501, 0, 0)
	l := e.lease1("a", 0, 10)
	s := done(l)
	s.Left, s.Done = l.Item.Recipients[:400], s.Done[400:]
	e.settled(s)
	e.want(len(e.outcomes(id)) == 600 && len(e.lease1("a", 0, 10).Item.Recipients) == 400, "not every recipient is there")
	var batch []*queue.Settlement
	for _, l := range e.lease("b", 1000, 0, 10) {
		batch = append(batch, done(l))
	}
	e.want(len(batch) == 500, "Lease gives %d items", len(batch))
	e.settled(batch...)
	e.want(len(e.outcomes(id)) == 1100, "there are %d outcomes", len(e.outcomes(id)))
	e.change(queue.Filter{}, queue.Delete, 0, 1)
	e.want(len(e.outcomes(id)) == 1500, "there are %d outcomes", len(e.outcomes(id)))
	if _, _, err := e.s.Open(e.ctx, id); !errors.Is(err, queue.ErrNotFound) {
		e.Error(err)
	}
}
