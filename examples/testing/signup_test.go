package signup_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/client"
	signup "github.com/postrider/postrider/examples/testing"
	"github.com/postrider/postrider/server/smtptest"
)

const link = "https://example.com/confirm?token=42"

// start returns a mail server and the service that sends through it.
func start(t *testing.T) (*smtptest.Server, *signup.Mailer) {
	srv := smtptest.NewServer(t, smtptest.InMemory)
	c := &client.Client{Addr: srv.Addr, Dial: srv.Dial, TLSConfig: srv.ClientTLSConfig()}
	t.Cleanup(func() { c.Close() })
	return srv, &signup.Mailer{Client: c, From: "shop@example.com", RetryAfter: 5 * time.Minute}
}

func TestConfirm(t *testing.T) {
	srv, mailer := start(t)
	if err := mailer.Confirm(t.Context(), "ann@example.org", link); err != nil {
		t.Fatal(err)
	}
	msg := srv.Messages()[0]
	if !msg.TLS || msg.From() != "shop@example.com" || msg.To()[0] != "ann@example.org" {
		t.Errorf("envelope %+v, TLS %t", msg.Envelope, msg.TLS)
	}
	if msg.Header("Subject") != "Please confirm your address" || !strings.Contains(string(msg.Data), link) {
		t.Errorf("message %q", msg.Data)
	}
}

// A greylisting server refuses the first attempt and takes the second. In a
// synctest bubble five minutes pass at once.
func TestConfirmRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, mailer := start(t)
		srv.Fault(smtptest.On("RCPT").Reply(451, "4.7.1", "greylisted").Times(1))
		began := time.Now()
		if err := mailer.Confirm(t.Context(), "ann@example.org", link); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != mailer.RetryAfter || len(srv.Messages()) != 1 {
			t.Errorf("%d messages after %v", len(srv.Messages()), took)
		}
	})
}

// A connection that breaks in the middle of the message is no reason to lose it.
func TestConfirmSurvivesALostConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, mailer := start(t)
		srv.Fault(smtptest.InData(50).Drop().Times(1))
		if err := mailer.Confirm(t.Context(), "ann@example.org", link); err != nil {
			t.Fatal(err)
		}
		if n := len(srv.Messages()); n != 1 {
			t.Errorf("%d messages", n)
		}
	})
}

// The server has taken the message and its reply is lost. The second mail says
// that it is the first.
func TestConfirmAfterAnUnknownOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, mailer := start(t)
		srv.Fault(smtptest.AfterData().Drop().Times(1))
		if err := mailer.Confirm(t.Context(), "ann@example.org", link); err != nil {
			t.Fatal(err)
		}
		got := srv.Messages()
		if len(got) != 2 || got[0].Header("Message-ID") == "" || got[0].Header("Message-ID") != got[1].Header("Message-ID") {
			t.Errorf("messages %+v", got)
		}
	})
}

// What is refused for good is not tried again.
func TestConfirmGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, mailer := start(t)
		attempts := srv.Fault(smtptest.On("RCPT").Reply(550, "5.1.1", "no such user"))
		err := mailer.Confirm(t.Context(), "nobody@example.org", link)
		if err == nil || !strings.Contains(err.Error(), "550 5.1.1 no such user") || attempts() != 1 {
			t.Errorf("%d attempts, then %v", attempts(), err)
		}
	})
}

func TestConfirmRefusesInjection(t *testing.T) {
	srv, mailer := start(t)
	if err := mailer.Confirm(t.Context(), "a@example.org>\r\nRCPT TO:<b@example.org", link); err == nil || len(srv.Transcripts()) > 0 {
		t.Errorf("%v; %q", err, srv.Transcripts())
	}
}
