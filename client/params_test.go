package client_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/smtp"
)

// REQUIRETLS is promised over TLS to a verified server that offers it; nothing of
// the message leaves for any other.
func TestRequireTLS(t *testing.T) {
	for _, test := range []struct {
		script   string
		mode     client.TLSMode
		tls      *tls.Config
		enhanced smtp.Enhanced // of the refusal here; zero if the server has the word
	}{
		{script: "requiretls", mode: client.StartTLSRequired, tls: trusting(t)},
		{script: "requiretls-not-offered", mode: client.StartTLSRequired, tls: trusting(t), enhanced: smtp.Enh(7, 30)},
		{script: "requiretls-unverified", mode: client.Opportunistic, enhanced: smtp.Enh(7, 10)},
		{script: "requiretls-plain", mode: client.Plaintext, enhanced: smtp.Enh(7, 10)},
	} {
		t.Run(test.script, func(t *testing.T) {
			c := scripted(t, test.script)
			c.TLSMode, c.TLSConfig = test.mode, test.tls
			env := envelope(t, 1)
			env.MailParams.RequireTLS = true
			res, err := c.Send(t.Context(), env, smtp.BytesContent([]byte("A: b\r\n")))
			if test.enhanced.IsZero() {
				want(t, res, err, "552")
				return
			}
			wantRefused(t, err, smtp.ExtRequireTLS, test.enhanced)
		})
	}
}

func wantRefused(t *testing.T, err error, need smtp.Keyword, enhanced smtp.Enhanced) {
	t.Helper()
	var content *client.ContentError
	var failed *client.SendError
	if !errors.As(err, &content) || content.Need != need || content.Enhanced != enhanced || errors.As(err, &failed) && failed.Temporary() {
		t.Errorf("error %v, want one for %s %v", err, need, enhanced)
	}
}

func TestVerbsRequireTLS(t *testing.T) {
	c := conn(t, scripted(t, "requiretls-plain"), client.ConnConfig{Host: host})
	if err := c.Hello(t.Context(), "client.example"); err != nil {
		t.Fatal(err)
	}
	_, err := c.Mail(t.Context(), envelope(t, 1).From, &smtp.MailParams{RequireTLS: true})
	wantRefused(t, err, smtp.ExtRequireTLS, smtp.Enh(7, 10))
	if err := c.Quit(t.Context()); err != nil {
		t.Error(err)
	}
}

func extended(t *testing.T) smtp.Envelope {
	env := envelope(t, 1)
	env.MailParams.By = smtp.DeliverBy{Within: 121 * time.Second, Mode: smtp.DeliverReturn}
	env.MailParams.Hold.For = time.Minute
	env.MailParams.Priority = smtp.NewPriority(3)
	env.MailParams.Solicit = "net.example:ADV"
	env.Recipients[0].RcptParams.RRVS = &smtp.RRVS{Since: time.Date(2024, 4, 3, 23, 1, 0, 0, time.UTC), Action: smtp.RRVSContinue}
	return env
}

// What a server offers is said to it, what is beyond is not.
func TestParametersOfExtensions(t *testing.T) {
	res, err := scripted(t, "extended").Send(t.Context(), extended(t), smtp.BytesContent([]byte("A: b\r\n")))
	want(t, res, err, "550")
}

func TestParametersThatAreNotOffered(t *testing.T) {
	since := time.Date(2024, 4, 3, 23, 1, 0, 0, time.UTC)
	content := smtp.BytesContent([]byte("A: b\r\n"))
	advisory := envelope(t, 1)
	advisory.MailParams.By = smtp.DeliverBy{Within: time.Minute, Mode: smtp.DeliverNotify}
	advisory.MailParams.Priority, advisory.MailParams.Solicit = smtp.NewPriority(-9), "net.example:ADV"
	advisory.MailParams.PRDR = true
	advisory.Recipients[0].RcptParams.RRVS = &smtp.RRVS{Since: since, Action: smtp.RRVSContinue}
	before := advisory.Recipients[0]
	res, err := scripted(t, "advisory").Send(t.Context(), advisory, content)
	want(t, res, err, "250")
	if advisory.Recipients[0].RcptParams.RRVS != before.RcptParams.RRVS {
		t.Error("the caller's envelope has changed")
	}

	for keyword, set := range map[smtp.Keyword]func(*smtp.Envelope){
		smtp.ExtDeliverBy: func(e *smtp.Envelope) {
			e.MailParams.By = smtp.DeliverBy{Within: time.Minute, Mode: smtp.DeliverReturn}
		},
		smtp.ExtFutureRelease: func(e *smtp.Envelope) { e.MailParams.Hold.For = time.Minute },
		smtp.ExtRRVS: func(e *smtp.Envelope) {
			for i := range e.Recipients {
				e.Recipients[i].RcptParams.RRVS = &smtp.RRVS{Since: since}
			}
		},
		smtp.ExtDSN: func(e *smtp.Envelope) { e.MailParams.EnvID = "x" },
	} {
		t.Run(string(keyword), func(t *testing.T) {
			env := envelope(t, 3) // two of which have room in the first transaction
			set(&env)
			_, err := scripted(t, "limits-none").Send(t.Context(), env, content)
			var missing *smtp.NotOfferedError
			if !errors.As(err, &missing) || missing.Keyword != keyword {
				t.Errorf("error %v", err)
			}
		})
	}
}

// A recipient with a parameter that the server does not know, and that is not to be
// left out, does not fail the others.
func TestOneParameterIsNotOffered(t *testing.T) {
	env := envelope(t, 5)
	since := time.Date(2024, 4, 3, 23, 1, 0, 0, time.UTC)
	env.Recipients[0].RcptParams.RRVS = &smtp.RRVS{Since: since}
	env.Recipients[1].RcptParams.RRVS = &smtp.RRVS{Since: since, Action: smtp.RRVSContinue}
	env.Recipients[3].RcptParams.Notify = smtp.NotifyNever
	content := smtp.BytesContent([]byte("A: b\r\n"))
	res, err := scripted(t, "params-one").Send(t.Context(), env, content)
	want(t, res, err, "smtp: the server does not offer RRVS 250 550 smtp: NOTIFY needs DSN, which the server does not offer 250")
	for i, need := range []smtp.Keyword{smtp.ExtRRVS, "", "", smtp.ExtDSN, ""} {
		var missing *smtp.NotOfferedError
		r := &res.Recipients[i]
		if errors.As(r.Err, &missing) != (need != "") || missing != nil && missing.Keyword != need || r.Host == "" || r.Temporary() {
			t.Errorf("recipient %d: %+v", i, r)
		}
	}

	drops := scripted(t, "params-one-dropped")
	drops.DropDSN = true
	res, err = drops.Send(t.Context(), env, content)
	want(t, res, err, "smtp: the server does not offer RRVS 250 250 250 250")

	all := scripted(t, "header") // a greeting and nothing else
	all.AllOrNothing = true
	env.Recipients = env.Recipients[1:]
	res, err = all.Send(t.Context(), env, content)
	var missing *smtp.NotOfferedError
	if !errors.As(err, &missing) || missing.Keyword != smtp.ExtDSN || res.Delivered() > 0 {
		t.Errorf("all or nothing: %+v, %v", res, err)
	}
}

// A server that has said what it takes is not asked for more.
func TestParametersBeyondTheOffer(t *testing.T) {
	for name, test := range map[string]struct {
		p    smtp.MailParams
		need smtp.Keyword
	}{
		"BY":        {smtp.MailParams{By: smtp.DeliverBy{Within: 59 * time.Second, Mode: smtp.DeliverReturn}}, smtp.ExtDeliverBy},
		"HOLDFOR":   {smtp.MailParams{Hold: smtp.Hold{For: time.Hour + time.Second}}, smtp.ExtFutureRelease},
		"HOLDUNTIL": {smtp.MailParams{Hold: smtp.Hold{Until: time.Date(2030, 1, 1, 0, 0, 1, 0, time.UTC)}}, smtp.ExtFutureRelease},
	} {
		t.Run(name, func(t *testing.T) {
			check := func(err error) {
				t.Helper()
				var missing *smtp.NotOfferedError
				if !errors.As(err, &missing) || missing.Keyword != test.need || missing.Reason == "" {
					t.Errorf("error %v", err)
				}
			}
			env := envelope(t, 1)
			env.MailParams = test.p
			_, err := scripted(t, "beyond").Send(t.Context(), env, smtp.BytesContent([]byte("A: b\r\n")))
			check(err)
			c := conn(t, scripted(t, "beyond"), client.ConnConfig{Host: host})
			if err := c.Hello(t.Context(), "client.example"); err != nil {
				t.Fatal(err)
			}
			_, err = c.Mail(t.Context(), env.From, &test.p)
			check(err)
			if err := c.Quit(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// The time of BY= runs while a message waits for its connection.
func TestDeliverByRunsWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mail := ""
		wait := 30 * time.Second
		c := &client.Client{
			Addr: host + ":25", TLSMode: client.Plaintext, LocalName: "client.example",
			Dial: func(context.Context, string, string) (net.Conn, error) {
				time.Sleep(wait)
				return &cannedConn{pieces: []string{"220 hi\r\n", "250-hi\r\n250 DELIVERBY\r\n", "550 no\r\n", "221 bye\r\n"}}, nil
			},
			Trace: &client.Trace{Wrote: func(_ client.ConnInfo, line string) {
				if strings.HasPrefix(line, "MAIL") {
					mail = line
				}
			}},
		}
		env := envelope(t, 1)
		env.MailParams.By = smtp.DeliverBy{Within: 50 * time.Second, Mode: smtp.DeliverReturn}
		res, err := c.Send(t.Context(), env, smtp.BytesContent([]byte("A: b\r\n")))
		want(t, res, err, "550")
		if mail != "MAIL FROM:<a@example.org> BY=20;R" {
			t.Errorf("said %q", mail)
		}
		c.CloseIdle()
		mail, wait = "", 50*time.Second
		_, err = c.Send(t.Context(), env, smtp.BytesContent([]byte("A: b\r\n")))
		wantRefused(t, err, smtp.ExtDeliverBy, smtp.Enh(4, 7))
		if mail != "" {
			t.Errorf("said %q", mail)
		}
		c.Close()
	})
}

// Parameters of one's own that may be left out are left out of what is sent, not
// of the caller's envelope, which others send at the same time.
func TestOwnParametersStay(t *testing.T) {
	isOwn := func(p smtp.Param) bool { return p.Name == "OWN" }
	own := &smtp.Extension{
		Keyword: "OWN",
		Mail:    []smtp.MailParam{{Name: "OWN", Drop: func(p *smtp.MailParams) { p.Other = slices.DeleteFunc(p.Other, isOwn) }}},
		Rcpt:    []smtp.RcptParam{{Name: "OWN", Drop: func(p *smtp.RcptParams) { p.Other = slices.DeleteFunc(p.Other, isOwn) }}},
	}
	s := newSink(t, "PIPELINING")
	s.Extensions = []*smtp.Extension{own}
	env := envelope(t, 2)
	env.MailParams.Other = []smtp.Param{{Name: "OWN", Value: "1"}}
	env.Recipients[1].RcptParams.Other = []smtp.Param{{Name: "OWN", Value: "2"}}
	var done sync.WaitGroup
	for range 4 {
		done.Go(func() {
			res, err := s.Send(t.Context(), env, small)
			want(t, res, err, "250 250")
		})
	}
	done.Wait()
	if mail, rcpt := env.MailParams.Other[0], env.Recipients[1].RcptParams.Other[0]; mail.Value != "1" || rcpt.Value != "2" {
		t.Errorf("the caller's envelope has changed: %v, %v", mail, rcpt)
	}
}
