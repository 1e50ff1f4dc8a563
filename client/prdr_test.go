package client_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/smtp"
)

func TestPRDR(t *testing.T) {
	c := scripted(t, "prdr")
	res, err := send(t, c, "A: b\r\n", 4)
	want(t, res, err, "250 550 550 452")
	var refused *smtp.Error
	if r := &res.Recipients[0]; r.Reply.Text != "queued as 7" { // §4.6: the one for all
		t.Errorf("%v: %v", r.To, r.Reply)
	}
	if r := &res.Recipients[2]; !errors.As(r.Err, &refused) || refused.Scope != smtp.ScopeRecipient || r.Temporary() {
		t.Errorf("%v: %v", r.To, r.Err)
	}
	if !res.Recipients[3].Temporary() {
		t.Error("452 is not temporary")
	}
	res, err = send(t, c, "A: b\r\n", 1) // one recipient needs none
	want(t, res, err, "250")
	for _, outcome := range []string{"250 250", "550 550", "451 451", "550 450"} {
		res, err := send(t, c, "A: b\r\n", 2)
		want(t, res, err, outcome)
	}
}

func TestPRDRWithBdat(t *testing.T) {
	c := scripted(t, "prdr-bdat")
	c.Optimistic = true
	for _, outcome := range []string{"250 550", "452 452", "250 250"} {
		res, err := send(t, c, "A: b\r\n", 2)
		want(t, res, err, outcome)
	}
}

// What is no answer to PRDR, or one that breaks off, leaves the outcome unknown
// and the connection closed; 421 is an answer for all.
func TestPRDRHostile(t *testing.T) {
	for script, outcome := range map[string]string{
		"prdr-421":     "421 421",
		"prdr-lost":    "unknown unknown",
		"prdr-few":     "unknown unknown",
		"prdr-354":     "unknown unknown",
		"prdr-352":     "unknown unknown",
		"prdr-twice":   "unknown unknown",
		"prdr-unasked": "unknown",
	} {
		t.Run(script, func(t *testing.T) {
			res, err := send(t, scripted(t, script), "A: b\r\n", len(strings.Fields(outcome)))
			want(t, res, err, outcome)
		})
	}
	t.Run("prdr-many", func(t *testing.T) {
		c := conn(t, scripted(t, "prdr-many"), client.ConnConfig{Host: host})
		if err := c.Hello(t.Context(), "client.example"); err != nil {
			t.Fatal(err)
		}
		res, err := c.Send(t.Context(), envelope(t, 2), smtp.BytesContent([]byte("A: b\r\n")))
		want(t, res, err, "250 250")
		var broken *client.ProtocolError
		if err := c.Noop(t.Context()); !errors.As(err, &broken) {
			t.Errorf("error %v", err)
		}
	})
}

func TestPRDRNotWithLMTP(t *testing.T) {
	c := scripted(t, "prdr-lmtp")
	c.LMTP = true
	env := envelope(t, 2)
	env.MailParams.PRDR = true
	res, err := c.Send(t.Context(), env, smtp.BytesContent([]byte("A: b\r\n")))
	want(t, res, err, "250 550")
}

// Refused by each of a part is not refused for the others; refused for all is.
func TestPRDRInParts(t *testing.T) {
	for script, outcome := range map[string]string{"prdr-parts": "550 550 550", "prdr-parts-2": "550 550 250"} {
		res, err := send(t, scripted(t, script), "A: b\r\n", 3)
		want(t, res, err, outcome)
	}
}

func TestPRDRVerbs(t *testing.T) {
	ctx := t.Context()
	c := conn(t, scripted(t, "prdr-verbs"), client.ConnConfig{Host: host})
	env := envelope(t, 2)
	begin := func(p *smtp.MailParams, n int) {
		t.Helper()
		if _, err := c.Mail(ctx, env.From, p); err != nil {
			t.Fatal(err)
		}
		for i := range n {
			if _, err := c.Rcpt(ctx, env.Recipients[i].To, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	codes := func(replies []smtp.Reply) (list []int) {
		for _, r := range replies {
			list = append(list, r.Code)
		}
		return list
	}
	if err := c.Hello(ctx, "client.example"); err != nil {
		t.Fatal(err)
	}
	begin(&smtp.MailParams{PRDR: true}, 2)
	replies, err := c.Data(ctx, strings.NewReader("A: b\r\n"))
	if err != nil || !slices.Equal(codes(replies), []int{250, 550}) || replies[0].Text != "queued" {
		t.Errorf("%v, %v", replies, err)
	}
	begin(&smtp.MailParams{PRDR: true}, 1)
	replies, err = c.Bdat(ctx, []byte("A: b\r\n"), true)
	var refused *smtp.Error
	if !errors.As(err, &refused) || !slices.Equal(codes(replies), []int{550}) {
		t.Errorf("%v, %v", replies, err)
	}
	if err := c.Reset(ctx); err != nil {
		t.Error(err)
	}
	begin(nil, 1)
	if _, err := c.Data(ctx, strings.NewReader("A: b\r\n")); !errors.Is(err, client.ErrUnknown) {
		t.Errorf("error %v", err)
	}
}
