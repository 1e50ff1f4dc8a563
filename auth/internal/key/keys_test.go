package key

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/mx/dns"
	"github.com/postrider/postrider/mx/dns/dnstest"
)

const edRecord = `"v=DKIM1; k=ed25519; p=6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0iw="`

func TestLookups(t *testing.T) {
	zone := dnstest.MustParse(strings.ReplaceAll(`
		good._domainkey.example.org TXT KEY
		alias._domainkey.example.org CNAME good._domainkey.example.org
		beside._domainkey.example.org TXT "v=spf1 -all"
		beside._domainkey.example.org TXT KEY
		two._domainkey.example.org TXT KEY
		two._domainkey.example.org TXT "p="
		other._domainkey.example.org TXT "v=spf1 -all"
		others._domainkey.example.org TXT "v=spf1 -all"
		others._domainkey.example.org TXT "hello"
		gone._domainkey.example.org TXT "p="
		fail._domainkey.example.org SERVFAIL
		slow._domainkey.example.org TIMEOUT
		bogus._domainkey.example.org BOGUS
		below.empty._domainkey.example.org TXT "x"`, "KEY", edRecord))
	for range 11 {
		if err := zone.Add(`eleven._domainkey.example.org TXT ` + edRecord); err != nil {
			t.Fatal(err)
		}
	}
	for selector, want := range map[string]*Problem{
		"good": nil, "GOOD": nil, "alias": nil, "beside": nil, "two": SeveralKeys, "eleven": SeveralKeys,
		"other": BadVersion, "others": NoKey, "gone": Revoked, "missing": NoKey, "empty": NoKey,
		"fail": Unavailable, "slow": Unavailable, "bogus": Unavailable,
		"a b": BadName, "a\x00": BadName, "": BadName, strings.Repeat("a", 64): BadName,
	} {
		for _, begin := range []func(*Keys){(*Keys).Go, func(*Keys) {}} {
			keys := NewKeys(t.Context(), zone, Limits{})
			l := keys.Want(selector, "example.org")
			begin(keys)
			if r, problem := l.Wait(t.Context()); problem != want || (r == nil) != (want != nil) {
				t.Errorf("%q: %v %v, want %v", selector, r, problem, want)
			}
			keys.Close()
		}
	}
}

// A name is looked up once, and so many are.
func TestBudget(t *testing.T) {
	zone := dnstest.MustParse(`s1._domainkey.example.org TXT ` + edRecord)
	keys := NewKeys(t.Context(), zone, Limits{})
	defer keys.Close()
	var lookups []*Lookup
	for i := range 12 {
		lookups = append(lookups, keys.Want(fmt.Sprintf("s%d", i), "example.org"), keys.Start(fmt.Sprintf("S%d", i), "EXAMPLE.org"))
	}
	for i, l := range lookups {
		_, problem := l.Wait(t.Context())
		switch {
		case i/2 == 1 && problem == nil, i/2 >= 10 && problem == TooManyLookups, i/2 < 10 && problem == NoKey:
		default:
			t.Errorf("%d: %v", i, problem)
		}
	}
	if n := len(zone.Queries()); n != 10 {
		t.Errorf("%d queries, want 10", n)
	}
}

// Lookups run together, the last one where it is waited for, and end with the
// time limit, the message's context or that of who waits.
func TestLookupsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		zone := dnstest.MustParse("a._domainkey.example.org STALL\nb._domainkey.example.org STALL")
		for name, tt := range map[string]struct {
			owner, waiter, want time.Duration
		}{
			"limit":  {time.Hour, time.Hour, 20 * time.Second},
			"owner":  {5 * time.Second, time.Hour, 5 * time.Second},
			"waiter": {time.Hour, 3 * time.Second, 3 * time.Second},
		} {
			for _, early := range []bool{false, true} {
				ctx, cancel := context.WithTimeout(t.Context(), tt.owner)
				wait, cancelWait := context.WithTimeout(t.Context(), tt.waiter)
				keys := NewKeys(ctx, zone, Limits{})
				a := keys.Want("a", "example.org")
				b := a // with one alone there is no goroutine
				if name != "waiter" || early {
					b = keys.Want("b", "example.org")
				}
				if early {
					keys.Go()
				}
				start := time.Now()
				for _, l := range []*Lookup{a, b, a} {
					if _, problem := l.Wait(wait); problem != Unavailable {
						t.Error(name, problem)
					}
				}
				keys.Close()
				if got := time.Since(start); got != tt.want {
					t.Errorf("%s: %s, want %s", name, got, tt.want)
				}
				cancel()
				cancelWait()
			}
		}
	})
}

// Close ends what is under way.
func TestClose(t *testing.T) {
	keys := NewKeys(t.Context(), dnstest.MustParse("a._domainkey.example.org STALL"), Limits{})
	l := keys.Start("a", "example.org")
	keys.Close()
	keys.Close()
	if _, problem := l.Wait(t.Context()); problem != Unavailable {
		t.Error(problem)
	}
	NewKeys(t.Context(), nil, Limits{}).Close()
}

func TestNoResolver(t *testing.T) {
	var none dns.Resolver
	keys := NewKeys(t.Context(), none, Limits{})
	defer keys.Close()
	if _, problem := keys.Start("a", "example.org").Wait(t.Context()); problem != Unavailable {
		t.Error(problem)
	}
}
