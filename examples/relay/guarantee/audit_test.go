package guarantee

import (
	"strings"
	"testing"

	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/smtp"
)

// What the guarantees forbid is found if it happens.
func TestAudit(t *testing.T) {
	const good, bad = "m.0.0@d0.example", "m.1.2@d1.example"
	told := func(run string, n int) arrival { return arrival{transaction: n, run: run} }
	for name, tc := range map[string]struct {
		fate    fate
		arrives func(l *ledger)
		records map[string][]queue.Status
		want    string // "" if nothing is wrong
	}{
		"as it should be": {accepted, func(l *ledger) {
			l.arrived(good, told("relay1", 1), "")
			l.arrived(bad, told("relay1", 2), "<1@relay>")
		}, map[string][]queue.Status{good: {queue.Relayed}, bad: {queue.Failed}, "m@from.example": {queue.Relayed}}, ""},
		"doubled by a crash": {accepted, func(l *ledger) {
			l.arrived(good, told("relay1", 1), "")
			l.arrived(good, told("relay2", 2), "")
			l.arrived(bad, told("relay2", 3), "<1@relay>")
			l.arrived(bad, told("relay3", 4), "<1@relay>")
		}, map[string][]queue.Status{good: {queue.Relayed}, bad: {queue.Failed}, "m@from.example": {queue.Relayed}}, ""},
		"never stored": {unknown, nil, nil, ""},
		"declined":     {declined, nil, nil, ""},

		"lost":           {accepted, nil, nil, "0 outcomes, want 1"},
		"never recorded": {accepted, func(l *ledger) { l.arrived(good, told("relay1", 1), "") }, map[string][]queue.Status{bad: {queue.Failed}}, "0 outcomes, want 1: [] (1 copies"},
		"recorded and never delivered": {accepted, nil,
			map[string][]queue.Status{good: {queue.Relayed}}, "outcome relayed, 0 copies"},
		"settled twice": {accepted, func(l *ledger) { l.arrived(good, told("relay1", 1), "") },
			map[string][]queue.Status{good: {queue.Relayed, queue.Relayed}}, "2 outcomes, want 1"},
		"nobody was told": {accepted, nil,
			map[string][]queue.Status{bad: {queue.Failed}}, "and one notification"},
		"told twice": {accepted, func(l *ledger) {
			l.arrived(bad, told("relay1", 1), "<1@relay>")
			l.arrived(bad, told("relay2", 2), "<2@relay>")
		}, map[string][]queue.Status{bad: {queue.Failed}}, "and one notification"},
		"a notification with an outcome and never sent": {accepted, nil,
			map[string][]queue.Status{"m@from.example": {queue.Relayed}}, "1 outcomes of notifications, and 0 have arrived"},
		"a notification without an outcome": {accepted, func(l *ledger) { l.arrived(bad, told("relay1", 1), "<1@relay>") },
			map[string][]queue.Status{bad: {queue.Failed}}, "none has an outcome"},
		"twice without a crash": {accepted, func(l *ledger) {
			l.arrived(good, told("relay1", 1), "")
			l.arrived(good, told("relay1", 2), "")
		}, map[string][]queue.Status{good: {queue.Relayed}}, "relay1 has delivered twice"},
		"declined and delivered": {declined, func(l *ledger) { l.arrived(good, told("relay1", 1), "") }, nil, "declined, and all the same"},
		"declined and kept":      {declined, nil, map[string][]queue.Status{good: {queue.Deleted}}, "declined, and all the same"},
		"half accepted": {unknown, func(l *ledger) { l.arrived(good, told("relay1", 1), "") },
			map[string][]queue.Status{good: {queue.Relayed}}, "half of a message"},
		"never sent": {declined, func(l *ledger) { l.arrived("x@y.example", told("relay1", 1), "") }, nil, "whom nobody has sent"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLedger()
			m := &message{id: "m"}
			m.recipients = []*recipient{{message: m, addr: good}, {message: m, addr: bad, ending: refused}}
			l.enter(m)
			for _, r := range m.recipients {
				l.tell(r, tc.fate)
			}
			if tc.arrives != nil {
				tc.arrives(l)
			}
			var recorded []queue.Outcome
			for addr, statuses := range tc.records {
				box, err := smtp.ParseMailbox(addr)
				if err != nil {
					t.Fatal(err)
				}
				for _, s := range statuses {
					recorded = append(recorded, queue.Outcome{Recipient: smtp.ForwardPath{Mailbox: box}, Status: s})
				}
			}
			got := strings.Join(l.compare(recorded, true).wrong, "\n")
			if tc.want == "" && got != "" || !strings.Contains(got, tc.want) {
				t.Errorf("found:\n%s\nwant %q", got, tc.want)
			}
		})
	}
}
