package auth_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/auth"
	"github.com/postrider/postrider/auth/authres"
	"github.com/postrider/postrider/smtp"
)

// stalled is a DNS in which nobody ever answers.
const stalled = `
	example.org STALL
	_dmarc.example.org STALL
	_domainkey.example.org STALL
	key._domainkey.example.org STALL
	mail.example.org STALL
	1.2.0.192.in-addr.arpa STALL`

// Whatever the DNS does, a message has its Result in time.
func TestTimeout(t *testing.T) {
	for timeout, want := range map[time.Duration]time.Duration{0: 20 * time.Second, 3 * time.Second: 3 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			v := &auth.Verifier{Resolver: zone(t, stalled), AuthServID: "mx.example.net", Timeout: timeout}
			c := v.Begin(t.Context(), peer)
			defer c.Close()
			k := c.Message(t.Context(), mailbox(t, "ann@example.org"))
			io.WriteString(k, signed(t, plain, "example.org"))
			began := time.Now()
			r, err := k.Finish(t.Context())
			if err != nil {
				t.Error(err)
			}
			if got := time.Since(began); got > want {
				t.Errorf("Finish took %v", got)
			}
			if got := verdicts(r); got != "iprev temperror, helo temperror, spf temperror, dkim temperror example.org, arc none, dmarc temperror none" {
				t.Error(got)
			}
			if h := r.Header(); !strings.Contains(h, "smtp.mailfrom=ann@example.org") || !strings.Contains(h, "smtp.helo=mail.example.org") {
				t.Error(h)
			}
			if r.Refusal() != nil {
				t.Error(r.Refusal())
			}
		})
	}
}

// What DMARC has to ask about a signature is asked when the signature has
// passed: there is time for that even if the message came slowly, or another
// signature's key never comes.
func TestTimeForAlignment(t *testing.T) {
	const other = "key._domainkey.news.example.org CNAME key._domainkey.example.org\nkey._domainkey.example.com STALL"
	news := signed(t, plain, "news.example.org")
	forwarded := signed(t, news, "example.com")
	for _, tt := range []struct {
		name          string
		message       string
		body, patient time.Duration // before the body comes, and until Finish is given up
		want          string
	}{
		{"a slow message", news, time.Minute, time.Hour, " dkim pass news.example.org, arc none, dmarc pass none"},
		{"a key that never comes", forwarded, 0, time.Hour, " dkim temperror example.com, dkim pass news.example.org, arc none, dmarc pass none"},
		{"and little time", forwarded, 0, time.Second, " dkim temperror example.com, dkim pass news.example.org, arc none, dmarc pass none"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := &auth.Verifier{Resolver: zone(t, other)}
				c := v.Begin(t.Context(), auth.Peer{})
				defer c.Close()
				k := c.Message(t.Context(), mailbox(t, "list@example.com"))
				header, body, _ := strings.Cut(tt.message, "\r\n\r\n")
				io.WriteString(k, header+"\r\n\r\n")
				time.Sleep(tt.body)
				io.WriteString(k, body)
				ctx, cancel := context.WithTimeout(t.Context(), tt.patient)
				defer cancel()
				r, err := k.Finish(ctx)
				if err != nil {
					t.Error(err)
				}
				if got := verdicts(r); !strings.HasSuffix(got, tt.want) {
					t.Error(got, r.DMARC.Err)
				}
			})
		})
	}
}

// The end of a context ends all that is under way, with or without Abort and
// Close, and is told.
func TestContexts(t *testing.T) {
	gone := errors.New("gone")
	for _, tt := range []struct {
		name string
		end  func(connection, message, finish context.CancelCauseFunc)
	}{
		{"of the connection", func(connection, _, _ context.CancelCauseFunc) { connection(gone) }},
		{"of the message", func(_, message, _ context.CancelCauseFunc) { message(gone) }},
		{"of Finish", func(_, _, finish context.CancelCauseFunc) { finish(gone) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := &auth.Verifier{Resolver: zone(t, stalled)}
				connection, endConnection := context.WithCancelCause(t.Context())
				message, endMessage := context.WithCancelCause(connection)
				finish, endFinish := context.WithCancelCause(t.Context())
				c := v.Begin(connection, peer)
				k := c.Message(message, mailbox(t, "ann@example.org"))
				io.WriteString(k, signed(t, plain, "example.org"))
				time.AfterFunc(time.Second, func() { tt.end(endConnection, endMessage, endFinish) })
				began := time.Now()
				r, err := k.Finish(finish)
				if err != gone || r == nil || r.SPF.Verdict != authres.TempError {
					t.Errorf("%+v, %v", r, err)
				}
				if got := time.Since(began); got != time.Second {
					t.Errorf("Finish took %v", got)
				}
				endConnection(nil) // what iprev and HELO ask for
			})
		})
	}
}

// A message that is given up leaves nothing behind, wherever that happens, nor
// does one that is only forgotten when its context ends.
func TestAbort(t *testing.T) {
	message := signed(t, plain, "example.org")
	for _, how := range []string{"Abort", "context"} {
		for _, n := range []int{0, 10, len(message) - len(plain) + 5, strings.Index(message, "\r\n\r\n") + 4, len(message)} {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				v := &auth.Verifier{Resolver: zone(t, stalled)}
				k := v.Begin(ctx, peer).Message(ctx, mailbox(t, "ann@example.org"))
				io.WriteString(k, message[:n])
				began := time.Now()
				if how == "Abort" {
					k.Abort()
					r, err := k.Finish(ctx)
					if err != auth.ErrAborted || r == nil {
						t.Fatalf("%v, %v", r, err)
					}
					for _, said := range r.Field().Results {
						if said.Verdict != authres.None {
							t.Errorf("nothing was found out, but it says %+v", said)
						}
					}
				}
				cancel()
				synctest.Wait()
				if time.Since(began) != 0 {
					t.Error("it had to be waited for")
				}
			})
		}
	}
}

// Close waits for what was started for the connection.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &auth.Verifier{Resolver: zone(t, stalled)}
		c := v.Begin(context.Background(), peer)
		c.Close()
		if r, err := c.IPRev(t.Context()); err != nil || r.Verdict != authres.TempError {
			t.Errorf("%+v, %v", r, err)
		}
		k := c.Message(t.Context(), smtp.ReversePath{})
		r, err := k.SPF(t.Context())
		if err != nil || r.Verdict != authres.TempError {
			t.Errorf("%+v, %v", r, err)
		}
		k.Abort()
	})
}
