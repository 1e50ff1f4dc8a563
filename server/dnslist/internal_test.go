package dnslist

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/postrider/postrider/mx/dns"
)

// What is decided when lists fail.
func TestDecide(t *testing.T) {
	failed := &dns.Error{Timeout: true}
	hit := func(w int) Outcome { return Outcome{List: List{Weight: w}, Listed: true} }
	miss := func(w int) Outcome { return Outcome{List: List{Weight: w}} }
	fail := func(w int) Outcome { return Outcome{List: List{Weight: w}, Err: failed} }
	allowMiss, allowFail := Outcome{List: List{Weight: 1, Allow: true}}, Outcome{List: List{Weight: 1, Allow: true}, Err: failed}
	for _, tt := range []struct {
		outcomes   []Outcome
		allowed    bool
		want, hard Action // without and with DeferOnFailure
		score      int
	}{
		{nil, false, Accept, Accept, 0},
		{[]Outcome{miss(9), allowMiss}, false, Accept, Accept, 0},
		{[]Outcome{hit(1)}, false, Accept, Accept, 1},
		{[]Outcome{hit(1), hit(1)}, false, Refuse, Refuse, 2},
		{[]Outcome{hit(3), hit(-1)}, false, Refuse, Refuse, 2},
		{[]Outcome{hit(3), hit(-2)}, false, Accept, Accept, 1},
		{[]Outcome{hit(9)}, true, Accept, Accept, 9},
		{[]Outcome{hit(9), allowFail}, true, Accept, Accept, 9},
		{[]Outcome{fail(1)}, false, Accept, Accept, 0},
		{[]Outcome{fail(2)}, false, Accept, Defer, 0},
		{[]Outcome{fail(1), fail(1)}, false, Accept, Defer, 0},
		{[]Outcome{hit(1), fail(1)}, false, Accept, Defer, 1},
		{[]Outcome{hit(1), fail(-1)}, false, Accept, Accept, 1},
		{[]Outcome{hit(2), fail(1)}, false, Refuse, Refuse, 2},
		{[]Outcome{hit(2), fail(-1)}, false, Defer, Defer, 2},
		{[]Outcome{hit(3), fail(-1)}, false, Refuse, Refuse, 3},
		{[]Outcome{hit(2), allowFail}, false, Defer, Defer, 2},
		{[]Outcome{allowFail}, false, Accept, Accept, 0},
		{[]Outcome{hit(-5), fail(6), fail(1)}, false, Accept, Defer, -5},
	} {
		for _, hard := range []bool{false, true} {
			r := Result{Outcomes: tt.outcomes}
			r.decide(tt.allowed, &Options{Threshold: 2, DeferOnFailure: hard})
			want := tt.want
			if hard {
				want = tt.hard
			}
			if r.Action != want || r.Score != tt.score {
				t.Errorf("%+v: %v with %d, want %v with %d", tt.outcomes, r.Action, r.Score, want, tt.score)
			}
		}
	}
}

// What every list must not have (RFC 5782 §5).
func TestNobody(t *testing.T) {
	for _, tt := range []struct {
		l    List
		ip   string
		want string
	}{
		{List{Zone: "bl.example"}, "192.0.2.1", "1.0.0.127.bl.example."},
		{List{Zone: "bl.example"}, "2001:db8::1", "1.0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.bl.example."},
		{List{Zone: "bl.example", Of: Hello}, "192.0.2.1", "invalid.bl.example."},
		{List{Zone: "bl.example", Of: Sender}, "2001:db8::1", "invalid.bl.example."},
	} {
		if got := tt.l.nobody(netip.MustParseAddr(tt.ip)); got != tt.want {
			t.Errorf("%v for %s: %s, want %s", tt.l, tt.ip, got, tt.want)
		}
	}
}

// Nothing that a list publishes breaks out of a reply.
func FuzzPrintable(f *testing.F) {
	f.Add("see http://bl.example/")
	f.Add(strings.Repeat("x", maxReason+1))
	f.Add("\r\n250 OK\x00\x7f\xff \u202e")
	f.Fuzz(func(t *testing.T, text string) {
		got := printable(text)
		if len(got) > maxReason {
			t.Errorf("%d octets", len(got))
		}
		for _, c := range []byte(got) {
			if c < ' ' || c > '~' {
				t.Errorf("%q", got)
			}
		}
	})
}

// Whatever the client says: what is looked up is one valid name of the list.
func FuzzEntry(f *testing.F) {
	f.Add("mail.example.org")
	f.Add("192.0.2.1.")
	f.Add("a..b\x00")
	f.Fuzz(func(t *testing.T, hello string) {
		l := List{Zone: "bl.example", Of: Hello}
		if name := l.entry(subject{hello: hello}); name != "" && !dns.ValidName(name) {
			t.Errorf("%q is asked for", name)
		}
	})
}

// The long s of Unicode folds to s.
func TestPostmaster(t *testing.T) {
	for local, want := range map[string]bool{"postmaster": true, "PostMaster": true, "po\u017ftmaster": false, "postmasters": false, "": false} {
		if isPostmaster(local) != want {
			t.Errorf("%q: %t", local, !want)
		}
	}
}
