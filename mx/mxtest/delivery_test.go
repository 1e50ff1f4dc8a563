package mxtest_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/mx"
	"github.com/postrider/postrider/mx/mxtest"
	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/server/smtptest"
	"github.com/postrider/postrider/smtp"
)

// A world is an Internet in which example.org has two hosts, signed, with what a
// client there has tried.
type world struct {
	*testing.T
	*mxtest.Internet
	mx1, mx2 *mxtest.Host
	client   *mx.Client
	tried    []string // by attempt
}

// requireTLS makes a host offer REQUIRETLS.
var requireTLS = mxtest.SMTP(func(s *smtptest.Server) { s.Config.Extensions = []server.Extension{server.RequireTLS} })

// in runs a test in a world. The options are for the first host.
func in(t *testing.T, test func(w *world), options ...func(*mxtest.Host)) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t, Internet: mxtest.New(t)}
		w.mx1 = w.Host("mx1.example.org", append(options, requireTLS)...)
		w.mx2 = w.Host("mx2.example.org", requireTLS)
		w.Domain("example.org", mxtest.MX(10, w.mx1), mxtest.MX(20, w.mx2))
		w.client = w.Client()
		w.client.Trace = &mx.Trace{Attempted: func(_ context.Context, a *mx.Attempt) {
			words := []string{a.Host.Name, a.Policy.Level.String(), a.Policy.Source.String()}
			if a.Plaintext != nil {
				words = append(words, "plaintext")
			}
			if a.Err != nil {
				words = append(words, "failed")
			}
			w.tried = append(w.tried, strings.Join(words, " "))
		}}
		test(w)
	})
}

// delivers sends a message to somebody at example.org and compares what becomes of
// it, in the words of outcome, and what was tried on the way.
func (w *world) delivers(want string, tried ...string) mx.Result {
	w.Helper()
	return w.deliversTo("somebody@example.org", nil, want, tried...)
}

func (w *world) deliversTo(to string, change func(*mx.Message), want string, tried ...string) mx.Result {
	w.Helper()
	m := message(w, to)
	if change != nil {
		change(m)
	}
	w.tried = nil
	results, _ := w.client.Deliver(w.Context(), to[strings.IndexByte(to, '@')+1:], m)
	if got := outcome(results[0]); got != want {
		w.Errorf("%s (%v), want %s", got, results[0].Err, want)
	}
	if !slices.Equal(w.tried, tried) {
		w.Errorf("tried %q, want %q", w.tried, tried)
	}
	return results[0]
}

// outcome is a Result in words: "relayed by mx1.example.org over TLS", "failed 550
// 5.1.1", "deferred 451 4.4.2, unknown".
func outcome(r mx.Result) string {
	if r.Status >= mx.Delivered {
		return r.Status.String() + " by " + r.Host + map[bool]string{true: " over TLS", false: " in plaintext"}[r.TLS != nil]
	}
	text := fmt.Sprint(r.Status, " ", r.Reply.Code, " ", r.Reply.EnhancedString())
	if r.Unknown {
		text += ", unknown"
	}
	return text
}

// RFC 7505 §4.2: a domain with a null MX takes no mail, although it has addresses.
func TestNullMX(t *testing.T) {
	in(t, func(w *world) {
		w.Host("example.net")
		w.Domain("example.net", mxtest.NullMX())
		w.deliversTo("somebody@example.net", nil, "failed 556 5.1.10")
	})
}

// RFC 5321 §5.1: without MX records a domain is its own host.
func TestImplicitMX(t *testing.T) {
	in(t, func(w *world) {
		w.Host("example.net")
		w.deliversTo("somebody@example.net", nil, "relayed by example.net over TLS", "example.net may default")
	})
}

// RFC 5321 §5.1: if there are MX records, the domain's own address is never used.
func TestMXOnly(t *testing.T) {
	in(t, func(w *world) {
		own := w.Host("example.net")
		w.Domain("example.net", mxtest.MX(10, w.mx1))
		w.mx1.SetLink(mxtest.Refused)
		w.deliversTo("somebody@example.net", nil, "deferred 451 4.4.1", "mx1.example.org may default failed")
		if len(own.Transcripts()) > 0 {
			w.Error("the domain's own address was tried")
		}
	})
}

// RFC 5321 §5.1: what a host is to blame for leads to the next one.
func TestHostFallback(t *testing.T) {
	for name, fail := range map[string]func(h *mxtest.Host){
		"refuses connections": func(h *mxtest.Host) { h.SetLink(mxtest.Refused) },
		"does not answer":     func(h *mxtest.Host) { h.SetLink(mxtest.Silent) },
		"is down":             func(h *mxtest.Host) { h.Close() },
		"greets with 554":     func(h *mxtest.Host) { h.Fault(smtptest.OnGreeting().Reply(554, "5.3.2", "no service")) },
		"greets with 421":     func(h *mxtest.Host) { h.Fault(smtptest.OnGreeting().Reply(421, "4.3.2", "busy")) },
		"greets too late":     func(h *mxtest.Host) { h.Fault(smtptest.OnGreeting().Delay(time.Hour)) },
		"ends at MAIL":        func(h *mxtest.Host) { h.Fault(smtptest.On("MAIL").Drop()) },
		"ends at RCPT":        func(h *mxtest.Host) { h.Fault(smtptest.On("RCPT").Drop()) },
		"answers nonsense":    func(h *mxtest.Host) { h.Fault(smtptest.On("MAIL").Raw("what?\r\n")) },
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(w *world) {
				fail(w.mx1)
				results, err := w.client.Deliver(w.Context(), "example.org", message(w, "somebody@example.org"))
				if got := outcome(results[0]); got != "relayed by mx2.example.org over TLS" {
					w.Error(got, err)
				}
			})
		})
	}
}

// RFC 5321 §4.5.3.2.6: a connection that is lost before the end of the data has
// delivered nothing, and the message may go elsewhere.
func TestLostInTheData(t *testing.T) {
	in(t, func(w *world) {
		w.mx1.Fault(smtptest.InData(1 << 10).Drop())
		w.deliversTo("somebody@example.org", func(m *mx.Message) {
			m.Content = smtp.BytesContent([]byte("Subject: long\r\n\r\n" + strings.Repeat("0123456789\r\n", 100_000)))
		}, "relayed by mx2.example.org over TLS", "mx1.example.org may default failed", "mx2.example.org may default")
	})
}

// RFC 5321 §4.2.1: what a host says of a recipient is said for all.
func TestRefusedRecipient(t *testing.T) {
	for code, want := range map[int]string{550: "failed 550 5.1.1", 450: "deferred 450 4.1.1"} {
		in(t, func(w *world) {
			w.mx1.Fault(smtptest.On("RCPT").Reply(code, want[len(want)-5:], "no"))
			w.delivers(want, "mx1.example.org may default failed")
			if len(w.mx2.Transcripts()) > 0 {
				w.Error("another host was asked")
			}
		})
	}
}

// RFC 1047, RFC 5321 §4.5.3.2.6: the reply to the last dot never comes. Nobody
// knows whether the message was delivered, and it goes to no other host.
func TestUnknownOutcome(t *testing.T) {
	in(t, func(w *world) {
		w.mx1.Fault(smtptest.AfterData().Drop())
		r := w.delivers("deferred 451 4.4.2, unknown", "mx1.example.org may default failed")
		if r.Host != "mx1.example.org" || len(w.mx1.Messages()) != 1 || len(w.mx2.Transcripts()) > 0 {
			w.Errorf("%+v", r)
		}
	})
}

// RFC 5321 §4.5.3.1.10: one copy for all recipients of a domain.
func TestOneCopy(t *testing.T) {
	in(t, func(w *world) {
		results, err := w.client.Deliver(w.Context(), "example.org", message(w, "a@example.org", "b@example.org", "c@example.org"))
		if err != nil || len(results) != 3 {
			w.Errorf("%+v, %v", results, err)
		}
		if got := w.mx1.Messages(); len(got) != 1 || len(got[0].To()) != 3 {
			w.Errorf("%+v", got)
		}
	})
}

// RFC 5321 §5.1: a host that is this one, and those behind it, are not delivered to.
func TestLoop(t *testing.T) {
	in(t, func(w *world) {
		mx3 := w.Host("mx3.example.org")
		w.Domain("example.org", mxtest.MX(10, w.mx1), mxtest.MX(20, w.mx2), mxtest.MX(30, mx3))
		w.client.Router.Hostnames = []string{"mx2.example.org"}
		w.mx1.SetLink(mxtest.Refused)
		w.delivers("deferred 451 4.4.1", "mx1.example.org may default failed")
		if len(w.mx2.Transcripts())+len(mx3.Transcripts()) > 0 {
			w.Error("the message has come back, or will")
		}
	})
}
