package guarantee

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/smtp"
)

// A ledger has what is known of every message that a load has sent: what the
// relay said to the load, what the sink got, and in the end what the queue has
// recorded.
type ledger struct {
	mu         sync.Mutex
	changed    chan struct{} // closed and made anew when something below has
	messages   map[string]*message
	recipients map[string]*recipient // by address
	wrong      []string              // what must not have come to the sink
	open       int                   // recipients that were accepted and are not done
	dropped    int                   // transactions whose reply the sink has kept to itself
	accepted   int                   // recipients
	delivered  int                   // of these, those who have it, or whose sender was told
	standing   string                // runs whose names begin so stand still for longer than their leases last; "" if none do
	vague      bool                  // what was declined after the data may have been accepted all the same
	declines   map[string]int        // how recipients were declined: "452 4.3.1 to MAIL"
}

// A message is one that was sent, once.
type message struct {
	id         string
	sum        [sha256.Size]byte // of everything from the field X-Load on
	recipients []*recipient
}

// A recipient is in one message only.
type recipient struct {
	message *message
	addr    string
	ending  ending
	fate    fate
	copies  []arrival
	bounces map[string]int // copies of each notification of failure, by its Message-ID
}

// An ending is what the sink does about a recipient.
type ending uint8

const (
	taken   ending = iota
	later          // refused for now, a few times
	refused        // refused for good
)

// A fate is what the relay said about a recipient.
type fate uint8

const (
	declined fate = iota // nothing was accepted
	unknown              // the connection was lost when everything had been written
	accepted             // 250 after the data
)

// An arrival is a copy that the sink has accepted.
type arrival struct {
	transaction int
	run         string // the name that the relay gave in EHLO
	dropped     bool   // the relay was not told
}

func newLedger() *ledger {
	return &ledger{changed: make(chan struct{}), messages: map[string]*message{}, recipients: map[string]*recipient{}, declines: map[string]int{}}
}

// enter adds a message that is about to be sent.
func (l *ledger) enter(m *message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.messages[m.id] = m
	for _, r := range m.recipients {
		l.recipients[r.addr] = r
	}
}

// tell notes what the relay has said of a recipient.
func (l *ledger) tell(r *recipient, f fate) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r.fate = f
	if f == accepted {
		l.accepted++
		l.open++
		if r.done() {
			l.open--
			l.delivered++
		}
	}
	l.wake()
}

// decline notes why the relay has not accepted a recipient.
func (l *ledger) decline(r *recipient, err error) {
	how, late := "no connection", false
	if e, ok := errors.AsType[*smtp.Error](err); ok {
		how = fmt.Sprintf("%d %s to %s", e.Reply.Code, e.Reply.EnhancedString(), e.Verb)
		late = e.Verb != "MAIL" && e.Verb != "RCPT"
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.declines[how]++
	if l.vague && late {
		r.fate = unknown
	}
	l.wake()
}

// declined returns how many recipients were.
func (l *ledger) declined() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.declines {
		n += c
	}
	return n
}

// wake tells those who wait that something has changed; l.mu is held.
func (l *ledger) wake() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// counts returns how many recipients were accepted, and how many of these have
// what they are to have.
func (l *ledger) counts() (accepted, delivered int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.accepted, l.delivered
}

// await waits until is holds.
func (l *ledger) await(t *testing.T, what string, is func() bool) {
	t.Helper()
	late := time.After(awaitTime)
	for {
		l.mu.Lock()
		changed := l.changed
		l.mu.Unlock()
		if is() {
			return
		}
		select {
		case <-changed:
		case <-late:
			l.mu.Lock()
			defer l.mu.Unlock()
			t.Fatalf("not within %v: %s (%d accepted, %d of them open, declined: %v)", awaitTime, what, l.accepted, l.open, l.declines)
		}
	}
}

const awaitTime = time.Minute

// done reports whether the recipient has what it is to have; l.mu is held.
func (r *recipient) done() bool { return len(r.copies) > 0 || len(r.bounces) > 0 }

// arrived notes a copy, or a notification of failure with that Message-ID.
func (l *ledger) arrived(addr string, a arrival, bounce string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.recipients[addr]
	if r == nil {
		l.wrong = append(l.wrong, fmt.Sprintf("something for %q, whom nobody has sent anything", addr))
		return
	}
	if r.fate == accepted && !r.done() {
		l.open--
		l.delivered++
		defer l.wake()
	}
	if bounce == "" {
		r.copies = append(r.copies, a)
		return
	}
	if r.bounces == nil {
		r.bounces = map[string]int{}
	}
	r.bounces[bounce]++
}

func (l *ledger) complain(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wrong = append(l.wrong, fmt.Sprintf(format, args...))
}

// find returns a message by its id.
func (l *ledger) find(id string) *message {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.messages[id]
}

// enough reports whether so many kills had something to lose.
func (l *ledger) enough(kills int) bool {
	accepted, _ := l.counts()
	return accepted >= 10*kills
}

// below waits until fewer than n accepted recipients are open, or stop is closed.
func (l *ledger) below(n int, stop <-chan struct{}) {
	for {
		l.mu.Lock()
		open, changed := l.open, l.changed
		l.mu.Unlock()
		if open < n {
			return
		}
		select {
		case <-changed:
		case <-stop:
			return
		}
	}
}

// A tally is what an audit has counted.
type tally struct {
	messages, accepted, unknown, declined int            // recipients but for the first
	kept, bounced                         int            // of the unknown those that are there; recipients that were refused for good
	doubled                               map[string]int // transactions that another has repeated without the sink's doing, by run
	dropped                               int            // transactions that the sink has asked for again
	wrong                                 []string
}

func (c tally) String() string {
	doubled := 0
	for n := range maps.Values(c.doubled) {
		doubled += n
	}
	return fmt.Sprintf("%d messages; recipients: %d accepted, %d unknown (%d of them kept), %d declined, %d bounced; %d transactions doubled by crashes, %d by the sink",
		c.messages, c.accepted, c.unknown, c.kept, c.declined, c.bounced, doubled, c.dropped)
}

// audit compares what was promised with what has come and what is recorded, when
// all is quiet and the queue is empty. With once, two transactions of one run of
// the relay may not be about the same recipient.
func (l *ledger) audit(t *testing.T, outcomes []queue.Outcome, once bool) tally {
	t.Helper()
	c := l.compare(outcomes, once)
	for i, w := range c.wrong {
		if t.Error(w); i == 20 {
			t.Errorf("and %d more", len(c.wrong)-i-1)
			break
		}
	}
	return c
}

// compare is audit, and returns what is wrong in the tally.
func (l *ledger) compare(outcomes []queue.Outcome, once bool) tally {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := tally{messages: len(l.messages), doubled: map[string]int{}, dropped: l.dropped, wrong: l.wrong}
	recorded := map[string][]queue.Status{}
	for _, o := range outcomes {
		addr := o.Recipient.Mailbox.String()
		recorded[addr] = append(recorded[addr], o.Status)
	}
	repeated := map[int]bool{}
	failed := map[string]map[string]bool{} // notifications by reverse-path
	for _, addr := range slices.Sorted(maps.Keys(l.recipients)) {
		r := l.recipients[addr]
		statuses := recorded[addr]
		delete(recorded, addr)
		switch r.fate {
		case accepted:
			c.accepted++
			c.has(r, statuses)
		case unknown:
			c.unknown++
			if len(statuses) > 0 || r.done() {
				c.kept++
				c.has(r, statuses)
			}
			for _, other := range r.message.recipients {
				if other.fate == unknown && other.done() != r.done() {
					c.errorf("%s: half of a message was accepted: %s has it, or its failure, %s not", addr, addr, other.addr)
				}
			}
		case declined:
			c.declined++
			if len(statuses) > 0 || r.done() {
				c.errorf("%s: declined, and all the same: outcomes %v, %d copies, notifications %v", addr, statuses, len(r.copies), r.bounces)
			}
		}
		for id := range r.bounces {
			from := r.message.from()
			if failed[from] == nil {
				failed[from] = map[string]bool{}
			}
			failed[from][id] = true
			c.bounced++
		}
		last := map[string]bool{} // runs with a copy whose acceptance they were told
		for i, a := range r.copies {
			if once && last[a.run] && !r.copies[i-1].dropped && !l.stands(a.run) {
				c.errorf("%s: %s has delivered twice: %v", addr, a.run, r.copies)
			}
			last[a.run] = last[a.run] || !a.dropped
			if i < len(r.copies)-1 && !a.dropped && !repeated[a.transaction] {
				repeated[a.transaction] = true
				c.doubled[a.run]++
			}
		}
	}
	for addr, statuses := range recorded { // notifications
		for _, s := range statuses {
			if s != queue.Delivered && s != queue.Relayed {
				c.errorf("%s: a notification has the outcome %v", addr, s)
			}
		}
		if len(failed[addr]) != len(statuses) {
			c.errorf("%s: %d outcomes of notifications, and %d have arrived", addr, len(statuses), len(failed[addr]))
		}
		delete(failed, addr)
	}
	for addr, ids := range failed {
		c.errorf("%s: %d notifications have arrived, and none has an outcome", addr, len(ids))
	}
	return c
}

// stands reports whether a run may lose what it has delivered, and deliver it again
// when another has tried in vain.
func (l *ledger) stands(run string) bool {
	return l.standing != "" && strings.HasPrefix(run, l.standing)
}

func (c *tally) errorf(format string, args ...any) {
	c.wrong = append(c.wrong, fmt.Sprintf(format, args...))
}

// has checks a recipient that the relay is responsible for; l.mu is held.
func (c *tally) has(r *recipient, statuses []queue.Status) {
	if len(statuses) != 1 {
		c.errorf("%s: %d outcomes, want 1: %v (%d copies, notifications %v)", r.addr, len(statuses), statuses, len(r.copies), r.bounces)
		return
	}
	if r.ending == refused {
		if statuses[0] != queue.Failed || len(r.bounces) != 1 || len(r.copies) != 0 {
			c.errorf("%s: the sink refuses it for good: outcome %v, %d copies, notifications %v, want %v and one notification", r.addr, statuses[0], len(r.copies), r.bounces, queue.Failed)
		}
		return
	}
	if s := statuses[0]; s != queue.Delivered && s != queue.Relayed || len(r.copies) == 0 || len(r.bounces) != 0 {
		c.errorf("%s: outcome %v, %d copies, notifications %v, want it delivered", r.addr, statuses[0], len(r.copies), r.bounces)
	}
}

// from is the message's reverse-path.
func (m *message) from() string { return m.id + "@from.example" }
