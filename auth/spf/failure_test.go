package spf_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/auth/authres"
	"github.com/postrider/postrider/auth/spf"
	"github.com/postrider/postrider/mx/dns"
)

// Every kind of failure at every place where something is looked up.
func TestDNSFailures(t *testing.T) {
	places := []struct {
		name   string
		record string
		others string
		want   authres.Verdict
	}{
		{"the policy", "", "example.org TXT $", authres.TempError},
		{"a", "a:x.example -all", "x.example A $", authres.TempError},
		{"mx", "mx:x.example -all", "x.example MX $", authres.TempError},
		{"mx host", "mx:y.example -all", "y.example MX 10 x.example\nx.example A $", authres.TempError},
		{"exists", "exists:x.example -all", "x.example A $", authres.TempError},
		{"include", "include:x.example -all", "x.example TXT $", authres.TempError},
		{"inside an include", "include:y.example -all", "y.example TXT \"v=spf1 a:x.example -all\"\nx.example A $", authres.TempError},
		{"redirect", "redirect=x.example", "x.example TXT $", authres.TempError},
		{"behind a match", "ip4:192.0.2.3 include:x.example", "x.example TXT $", authres.Pass},
		// §5.5: the mechanism does not match, the name is skipped.
		{"ptr", "ptr -all", "3.2.0.192.in-addr.arpa PTR $", authres.Fail},
		{"ptr name", "ptr -all", "3.2.0.192.in-addr.arpa PTR x.example.org\nx.example.org A $", authres.Fail},
		{"ptr name before another", "ptr -all", "3.2.0.192.in-addr.arpa PTR x.example.org\nx.example.org A $\n" +
			"3.2.0.192.in-addr.arpa PTR y.example.org\ny.example.org A 192.0.2.3", authres.Pass},
		// §7.3: "unknown".
		{"macro p", "exists:%{p}.example -all", "3.2.0.192.in-addr.arpa PTR $\nunknown.example A 127.0.0.1", authres.Pass},
		// §6.2: as if there were none.
		{"exp", "-all exp=x.example", "x.example TXT $", authres.Fail},
	}
	kinds := map[string]string{
		"SERVFAIL": "server failure", "FORMERR": "response code 1", "NOTIMP": "response code 4", "REFUSED": "response code 5",
		"TIMEOUT": "timeout", "BOGUS": "DNSSEC validation failed",
	}
	for _, place := range places {
		for mark, what := range kinds {
			t.Run(place.name+" "+mark, func(t *testing.T) {
				lines := strings.Split(strings.ReplaceAll(place.others, "$", mark), "\n")
				if place.record != "" {
					lines = append(lines, "example.org v=spf1 "+place.record)
				}
				r := in(t, lines...).gives(t, place.want)
				var de *dns.Error
				if r.Verdict == authres.TempError && (!strings.HasSuffix(r.Problem, ": "+what) || !errors.As(r.Err, &de)) {
					t.Errorf("problem %q, %v; want %s", r.Problem, r.Err, what)
				}
				if r.Explanation != "" {
					t.Errorf("explanation %q", r.Explanation)
				}
			})
		}
	}
}

// What a resolver says of itself is not for strangers.
func TestProblemsAreOurOwnWords(t *testing.T) {
	secret := errors.New("dial udp 10.1.2.3:53: secret")
	for _, err := range []error{secret, &dns.Error{Err: secret}, fmt.Errorf("wrapped: %w", &dns.Error{RCode: dns.Refused, Err: secret})} {
		v := spf.Verifier{Resolver: resolverFunc(func(context.Context, string, dns.Type) (dns.Answer, error) { return dns.Answer{}, err })}
		r := v.Verify(t.Context(), spf.Request{IP: addr(client), From: from("a", "example.org")})
		if r.Verdict != authres.TempError || strings.Contains(r.Problem, "secret") || r.Problem == "" || !errors.Is(r.Err, secret) {
			t.Errorf("%+v", r)
		}
		if a := r.AuthRes(); strings.Contains(fmt.Sprint(a), "secret") || a.Reason != r.Problem {
			t.Errorf("%+v", a)
		}
	}
}

type resolverFunc func(ctx context.Context, name string, t dns.Type) (dns.Answer, error)

func (f resolverFunc) Resolve(ctx context.Context, name string, t dns.Type) (dns.Answer, error) {
	return f(ctx, name, t)
}

// The time limit holds wherever time is lost, and nothing that is not known by
// then is taken for an answer.
func TestTimeout(t *testing.T) {
	for _, lines := range [][]string{
		{"example.org STALL"},
		{"example.org v=spf1 a:x.example -all", "x.example STALL"},
		{"example.org v=spf1 mx -all", "example.org MX 1 x.example", "x.example STALL"},
		{"example.org v=spf1 include:x.example -all", "x.example STALL"},
		{"example.org v=spf1 redirect=x.example", "x.example STALL"},
	} {
		synctest.Test(t, func(t *testing.T) {
			for _, limit := range []time.Duration{0, time.Second} {
				c := in(t, lines...)
				c.Timeout = limit
				start := time.Now()
				r := c.gives(t, authres.TempError)
				want := limit
				if want == 0 {
					want = 20 * time.Second
				}
				if took := time.Since(start); took != want {
					t.Errorf("took %v, want %v", took, want)
				}
				if r.Explanation != "" {
					t.Errorf("explanation %q", r.Explanation)
				}
			}
		})
	}
}

// The names of the client are its own affair: by not telling them it must not
// turn a fail into a temperror.
func TestClientsNamesStall(t *testing.T) {
	for _, tt := range []struct {
		lines []string
		want  authres.Verdict
	}{
		{[]string{"example.org v=spf1 ptr -all", "3.2.0.192.in-addr.arpa STALL"}, authres.Fail},
		{[]string{"example.org v=spf1 ptr -all", "3.2.0.192.in-addr.arpa PTR x.example.org", "x.example.org STALL"}, authres.Fail},
		{[]string{"example.org v=spf1 ptr ptr:example.net include:x.example -all", "x.example v=spf1 ptr:example.org a:%{p}.%{d} -all",
			"3.2.0.192.in-addr.arpa PTR a.example.org", "3.2.0.192.in-addr.arpa PTR b.example.org", "a.example.org STALL", "b.example.org STALL"}, authres.Fail},
		{[]string{"example.org v=spf1 exists:%{p}.%{d} -all", "3.2.0.192.in-addr.arpa STALL", "unknown.example.org A 127.0.0.1"}, authres.Pass},
	} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			in(t, tt.lines...).gives(t, tt.want)
			if took := time.Since(start); took != 5*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

// An explanation that takes too long changes no verdict.
func TestTimeoutOfExplanation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := in(t, "example.org v=spf1 -all exp=x.example", "x.example STALL").gives(t, authres.Fail)
		if r.Explanation != "" {
			t.Errorf("explanation %q", r.Explanation)
		}
	})
}

func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := in(t, "example.org v=spf1 ptr -all", "3.2.0.192.in-addr.arpa STALL")
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			time.Sleep(3 * time.Second) // the bubble's time
			cancel()
		}()
		start := time.Now()
		r := c.Verify(ctx, c.Request)
		if took := time.Since(start); r.Verdict != authres.TempError || took != 3*time.Second {
			t.Errorf("%+v after %v", r, took)
		}
		asked := len(c.zone.Queries())
		r = c.Verify(ctx, c.Request)
		if r.Verdict != authres.TempError || !errors.Is(r.Err, context.Canceled) || !strings.HasSuffix(r.Problem, ": cancelled") {
			t.Errorf("already cancelled: %+v", r)
		}
		if n := len(c.zone.Queries()); n != asked {
			t.Errorf("%d queries after the end", n-asked)
		}
	})
}

func TestNoResolver(t *testing.T) {
	var v spf.Verifier
	r := v.Verify(t.Context(), spf.Request{IP: addr(client), From: from("a", "example.org")})
	if r.Verdict != authres.TempError || r.Problem == "" {
		t.Errorf("%+v", r)
	}
}
