package mxtest_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/postrider/postrider/mx"
	"github.com/postrider/postrider/mx/mtasts"
	"github.com/postrider/postrider/mx/mxtest"
	"github.com/postrider/postrider/server/smtptest"
)

// RFC 7435 §3: nobody asks for TLS, and whatever certificate is good enough.
func TestOpportunisticTLS(t *testing.T) {
	in(t, func(w *world) {
		w.delivers("relayed by mx1.example.org over TLS", "mx1.example.org may default")
	}, mxtest.SelfSigned, mxtest.Names("elsewhere.example"))
}

// RFC 7435 §3: TLS that is offered and fails is done without, at the same address.
func TestOpportunisticFallback(t *testing.T) {
	in(t, func(w *world) {
		w.delivers("relayed by mx1.example.org in plaintext", "mx1.example.org may default failed", "mx1.example.org may default plaintext")
		if len(w.mx2.Transcripts()) > 0 {
			w.Error("another host was asked")
		}
	}, mxtest.SMTP(func(s *smtptest.Server) {
		s.Config.TLSConfig = &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return nil, errors.New("no certificate")
		}}
	}))
}

// RFC 3207 §4.1: a refusal of STARTTLS leaves the connection as it was.
func TestOpportunisticRefused(t *testing.T) {
	in(t, func(w *world) {
		w.mx1.Fault(smtptest.On("STARTTLS").Reply(454, "4.7.0", "not now"))
		w.delivers("relayed by mx1.example.org in plaintext", "mx1.example.org may default")
	})
}

// RFC 7672 §2.2: TLSA records in a signed zone are obeyed, and no authority is asked.
func TestDANEDelivers(t *testing.T) {
	in(t, func(w *world) {
		w.Sign("example.org")
		w.DANE(w.mx1)
		w.delivers("relayed by mx1.example.org over TLS", "mx1.example.org dane dane")
	}, mxtest.SelfSigned, mxtest.Expired, mxtest.Names("elsewhere.example"))
}

// RFC 7672 §2.1: with a certificate that the records do not vouch for the host is
// not delivered to, and the next one is tried.
func TestDANEMismatch(t *testing.T) {
	in(t, func(w *world) {
		w.Sign("example.org")
		w.DANE(w.mx1, w.mx2.TLSA(3, 1, 1))
		w.delivers("relayed by mx2.example.org over TLS", "mx1.example.org dane dane failed", "mx2.example.org may default")
		w.DANE(w.mx2, w.mx1.TLSA(3, 1, 1))
		w.delivers("deferred 451 4.7.5", "mx1.example.org dane dane failed", "mx2.example.org dane dane failed")
		if len(w.mx1.Messages())+len(w.mx2.Messages()) != 1 {
			w.Error("a message went to a host that its records do not vouch for")
		}
	})
}

// RFC 7671 §8.1: while a key changes its records stand beside the old ones.
func TestDANERollover(t *testing.T) {
	in(t, func(w *world) {
		w.Sign("example.org")
		w.Domain("example.org", mxtest.MX(10, w.mx1))
		old := w.mx1.TLSA(3, 1, 1)
		w.DANE(w.mx1, old)
		w.delivers("relayed by mx1.example.org over TLS", "mx1.example.org dane dane")
		w.mx1.Renew()
		w.client.CloseIdle()
		w.delivers("deferred 451 4.7.5", "mx1.example.org dane dane failed")
		w.DANE(w.mx1, old, w.mx1.TLSA(3, 1, 1))
		w.delivers("relayed by mx1.example.org over TLS", "mx1.example.org dane dane")
	})
}

// RFC 7672 §2.2: STARTTLS that is not offered, as by somebody in the middle who
// takes it away, is a failure where there are TLSA records.
func TestDANEDowngrade(t *testing.T) {
	in(t, func(w *world) {
		w.Sign("example.org")
		w.DANE(w.mx1)
		w.mx1.Hide("STARTTLS")
		w.Domain("example.org", mxtest.MX(10, w.mx1))
		w.delivers("deferred 451 4.7.4", "mx1.example.org dane dane failed")
	})
}

// RFC 7672 §2.1.2: of a host whose TLSA records cannot be had it is not known what
// it asks for. It is left out.
func TestDANELookupFails(t *testing.T) {
	in(t, func(w *world) {
		w.Sign("example.org")
		w.Records("_25._tcp.mx1.example.org BOGUS")
		w.delivers("relayed by mx2.example.org over TLS", "mx1.example.org may default failed", "mx2.example.org may default")
		if len(w.mx1.Transcripts()) > 0 {
			w.Error("the host was connected to")
		}
	})
}

// RFC 7672 §2.2.2: an alias whose zone is signed while its target's is not. The
// host uses DANE by the alias's name.
func TestDANEAliasIntoUnsigned(t *testing.T) {
	in(t, func(w *world) {
		far := w.Host("far.example.net", mxtest.SelfSigned)
		w.Sign("example.org")
		w.Zone.Remove("mx1.example.org")
		w.Records("mx1.example.org CNAME far.example.net")
		r := far.TLSA(3, 1, 1)
		w.Records(fmt.Sprintf("_25._tcp.mx1.example.org TLSA 3 1 1 %x", r.Data))
		w.delivers("relayed by mx1.example.org over TLS", "mx1.example.org dane dane")
		if got := far.Messages(); len(got) != 1 {
			w.Errorf("%+v", got)
		}
	})
}

var enforce = mtasts.Policy{Mode: mtasts.Enforce, MX: []string{"mx1.example.org"}, MaxAge: 24 * time.Hour}

// RFC 8461 §4.1: the host that the policy names, with a certificate for its name.
func TestMTASTSDelivers(t *testing.T) {
	in(t, func(w *world) {
		w.STS("example.org", enforce)
		w.delivers("relayed by mx1.example.org over TLS", "mx1.example.org verify mta-sts")
	})
}

// RFC 8461 §5: with a wrong certificate nothing is delivered, and a host that the
// policy does not name is none (§4.1).
func TestMTASTSEnforce(t *testing.T) {
	for name, option := range map[string]func(*mxtest.Host){
		"wrong name":  mxtest.Names("mx2.example.org"),
		"expired":     mxtest.Expired,
		"self-signed": mxtest.SelfSigned,
		"untrusted":   mxtest.Untrusted,
		"no STARTTLS": mxtest.SMTP(smtptest.NoTLS),
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(w *world) {
				w.STS("example.org", enforce)
				want := "deferred 451 4.7.5"
				w.delivers(want, "mx1.example.org verify mta-sts failed", "mx2.example.org may default failed")
				if len(w.mx1.Messages()) > 0 || len(w.mx2.Transcripts()) > 0 {
					w.Error("delivered to a host that it must not go to")
				}
			}, option)
		})
	}
}

// RFC 8461 §5: a policy that is being tested stops nothing.
func TestMTASTSTesting(t *testing.T) {
	in(t, func(w *world) {
		policy := enforce
		policy.Mode = mtasts.Testing
		w.STS("example.org", policy)
		w.delivers("relayed by mx1.example.org over TLS", "mx1.example.org may mta-sts")
	}, mxtest.Expired)
}

// RFC 8461 §3.3: a policy that cannot be fetched and is not known is as none; one
// that is known holds, though its host is gone (§10.2).
func TestMTASTSHostIsGone(t *testing.T) {
	in(t, func(w *world) {
		web := w.STS("example.org", enforce)
		web.SetLink(mxtest.Refused)
		w.delivers("relayed by mx1.example.org over TLS", "mx1.example.org may default")
		time.Sleep(10 * time.Minute)
		web.SetLink(mxtest.Up)
		w.delivers("deferred 451 4.7.5", "mx1.example.org verify mta-sts failed", "mx2.example.org may default failed")
		web.SetLink(mxtest.Silent)
		w.Zone.Remove("_mta-sts.example.org")
		time.Sleep(10 * time.Minute)
		w.delivers("deferred 451 4.7.5", "mx1.example.org verify mta-sts failed", "mx2.example.org may default failed")
	}, mxtest.Untrusted)
}

// RFC 8461 §2: MTA-STS does not make up for a host that fails with DANE.
func TestDANEBeforeMTASTS(t *testing.T) {
	in(t, func(w *world) {
		w.Sign("example.org")
		w.DANE(w.mx1, w.mx2.TLSA(3, 1, 1))
		w.STS("example.org", mtasts.Policy{Mode: mtasts.Enforce, MX: []string{"*.example.org"}, MaxAge: time.Hour})
		w.Domain("example.org", mxtest.MX(10, w.mx1))
		w.delivers("deferred 451 4.7.5", "mx1.example.org dane dane failed")
		w.DANE(w.mx1)
		w.STS("example.org", mtasts.Policy{Mode: mtasts.Enforce, MX: []string{"elsewhere.example"}, MaxAge: time.Hour})
		time.Sleep(10 * time.Minute) // for the record to be asked for again
		w.delivers("relayed by mx1.example.org over TLS", "mx1.example.org dane dane")
	})
}

func requiringTLS(m *mx.Message) { m.Envelope.MailParams.RequireTLS = true }

// RFC 8689 §4.2.1: to a host that the DNS vouches for, with a certificate, that
// offers REQUIRETLS itself.
func TestRequireTLSDelivers(t *testing.T) {
	in(t, func(w *world) {
		w.Sign("example.org")
		w.deliversTo("somebody@example.org", requiringTLS, "relayed by mx1.example.org over TLS", "mx1.example.org verify requiretls")
		if got := w.mx1.Messages()[0].Envelope.MailParams; !got.RequireTLS {
			w.Errorf("%+v", got)
		}
	})
}

// RFC 8689 §4.2.1: where no host can satisfy it, the message comes back at once.
func TestRequireTLSFails(t *testing.T) {
	in(t, func(w *world) {
		w.Sign("example.org")
		w.mx1.Hide("REQUIRETLS")
		w.mx2.Hide("STARTTLS")
		w.deliversTo("somebody@example.org", requiringTLS, "failed 550 5.7.10", "mx1.example.org verify requiretls failed", "mx2.example.org verify requiretls failed")
	})
}

// RFC 8689 §4.2.1: hosts that were not reached may satisfy it later.
func TestRequireTLSUnreached(t *testing.T) {
	in(t, func(w *world) {
		w.Sign("example.org")
		w.mx1.Hide("REQUIRETLS")
		w.mx2.SetLink(mxtest.Refused)
		w.deliversTo("somebody@example.org", requiringTLS, "deferred 451 4.4.1", "mx1.example.org verify requiretls failed", "mx2.example.org verify requiretls failed")
	})
}

// RFC 8689 §5: with "TLS-Required: No" the message goes where DANE would stop it.
func TestTLSOptional(t *testing.T) {
	in(t, func(w *world) {
		w.Sign("example.org")
		w.DANE(w.mx1, w.mx2.TLSA(3, 1, 1))
		w.deliversTo("somebody@example.org", func(m *mx.Message) { m.TLSOptional = true },
			"relayed by mx1.example.org over TLS", "mx1.example.org may tls-required: no")
	})
}
