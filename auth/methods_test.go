package auth_test

import (
	"context"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/auth"
	"github.com/postrider/postrider/auth/authres"
	"github.com/postrider/postrider/mx/dns"
	"github.com/postrider/postrider/smtp"
)

// What is set for a method holds for it.
func TestMethodsAreSet(t *testing.T) {
	message := signed(t, plain, "example.org")
	twice := signed(t, message, "example.net")
	other := zone(t, "_dmarc.example.org TXT \"v=DMARC1; p=quarantine\"")
	for name, tt := range map[string]struct {
		set     func(*auth.Verifier)
		message string
		want    string
	}{
		"a resolver of its own": {func(v *auth.Verifier) { v.DKIM.Resolver = zone(t, "key._domainkey.example.org SERVFAIL") }, message, "dkim temperror example.org"},
		"few fields":            {func(v *auth.Verifier) { v.DKIM.MaxFields = 3 }, message, "dkim permerror "},
		"a small header":        {func(v *auth.Verifier) { v.DKIM.MaxHeaderSize = 100 }, message, "dkim permerror "},
		"few lookups":           {func(v *auth.Verifier) { v.DKIM.MaxLookups = 1 }, twice, "dkim neutral example.net, dkim pass example.org"},
		"few signatures":        {func(v *auth.Verifier) { v.DKIM.MaxSignatures = 1 }, twice, "dkim neutral example.net, dkim pass example.org"},
		"another policy":        {func(v *auth.Verifier) { v.DMARC.Resolver = other }, in(t, message, "here", "gone"), "dmarc permerror "},
	} {
		v := &auth.Verifier{Resolver: zone(t, "")}
		tt.set(v)
		r, err := v.Verify(t.Context(), auth.Peer{}, smtp.ReversePath{}, strings.NewReader(tt.message))
		if err != nil || name != "another policy" && !strings.Contains(verdicts(r), tt.want) {
			t.Errorf("%s: %v, %s; want %s", name, err, verdicts(r), tt.want)
		}
		if name == "another policy" && r.DMARC.Verdict == authres.Pass {
			t.Errorf("%s: %s", name, verdicts(r))
		}
		for _, found := range r.Field().Results {
			if found.Verdict == "" {
				t.Errorf("%s: %+v", name, found)
			}
		}
	}
	if r := (auth.IPRev{}).AuthRes(); r.Method != "" {
		t.Errorf("%+v", r)
	}
}

// slow is a resolver that is stuck for a second after its context has ended,
// when it is asked for certain names.
type slow struct {
	dns.Resolver
	names string
}

func (s slow) Resolve(ctx context.Context, name string, t dns.Type) (dns.Answer, error) {
	if strings.Contains(name, s.names) {
		<-ctx.Done()
		time.Sleep(time.Second)
		return dns.Answer{}, ctx.Err()
	}
	return s.Resolver.Resolve(ctx, name, t)
}

// Abort and Close return when nothing is under way any more.
func TestNothingIsLeftUnderWay(t *testing.T) {
	for _, tt := range []struct{ names, what string }{
		{"_domainkey", "Abort"}, {"_dmarc", "Abort"}, {"example.com", "Abort"}, {"in-addr", "Close"}, {"mail.example.org", "Close"}, {"in-addr", "Verify"},
	} {
		synctest.Test(t, func(t *testing.T) {
			v := &auth.Verifier{Resolver: slow{zone(t, ""), tt.names}, Timeout: time.Millisecond}
			if tt.what == "Verify" {
				began := time.Now()
				if _, err := v.Verify(t.Context(), peer, smtp.ReversePath{}, strings.NewReader(plain)); err != nil {
					t.Error(err)
				}
				if time.Since(began) < time.Second {
					t.Error("Verify did not wait")
				}
				return
			}
			c := v.Begin(t.Context(), peer)
			k := c.Message(t.Context(), mailbox(t, "ann@example.com"))
			io.WriteString(k, signed(t, plain, "example.org"))
			synctest.Wait()
			began := time.Now()
			k.Abort()
			if waited := time.Since(began) == time.Second; waited != (tt.what == "Abort") {
				t.Errorf("%s: Abort took %v", tt.names, time.Since(began))
			}
			began = time.Now()
			c.Close()
			if waited := time.Since(began) == time.Second; waited != (tt.what == "Close") {
				t.Errorf("%s: Close took %v", tt.names, time.Since(began))
			}
		})
	}
}
