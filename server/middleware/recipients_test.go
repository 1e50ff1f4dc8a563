package middleware_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/server/middleware"
	"github.com/postrider/postrider/smtp"
)

const (
	taken    = "250 2.1.5 OK"
	relayed  = "550 5.7.1 relaying denied"
	unknown  = "550 5.1.1 no such mailbox here"
	internal = "451 4.3.0 local error in processing"
)

// exists knows bob, and trouble for which it cannot tell.
func exists(_ context.Context, to smtp.ForwardPath) (bool, error) {
	if to.Local == "trouble" {
		return false, errStore
	}
	return to.Local == "bob", nil
}

func TestRecipients(t *testing.T) {
	domains := []string{"Example.org", "bücher.example", "[192.0.2.1]", "[IPv6:2001:db8::1]"}
	for _, tt := range []struct {
		name    string
		options middleware.RecipientsOptions
		replies map[string]string // by recipient
	}{
		{"zero", middleware.RecipientsOptions{}, map[string]string{
			"a@example.org": relayed, "postmaster@example.org": relayed, "postmaster": taken, "PostMaster": taken,
		}},
		{"domains", middleware.RecipientsOptions{Domains: domains}, map[string]string{
			"a@example.org": taken, "A@EXAMPLE.ORG": taken, "a@sub.example.org": relayed, "a@example.org.evil.example": relayed,
			"a@xn--bcher-kva.example": taken, "a@bücher.example": taken, "a@BÜCHER.example": taken,
			"a@[192.0.2.1]": taken, "a@[192.0.2.2]": relayed, "a@[IPv6:2001:DB8:0::1]": taken,
			"postmaster@example.org": taken, "postmaster": taken, `"a@example.org"@evil.example`: relayed,
		}},
		{"addresses", middleware.RecipientsOptions{Domains: domains, Addresses: []string{"bob@example.org", `"a b"@bücher.example`, "bob@evil.example"}}, map[string]string{
			"bob@example.org": taken, "BOB@Example.ORG": taken, "alice@example.org": unknown, "bob@bücher.example": unknown,
			`"A b"@xn--bcher-kva.example`: taken, `"bob"@example.org`: taken, "bob@evil.example": relayed,
			"Postmaster@Example.org": taken, "postmaster@[192.0.2.1]": taken, "postmaster@evil.example": relayed,
		}},
		{"exists", middleware.RecipientsOptions{Domains: domains, Exists: exists, Addresses: []string{"carol@example.org"}}, map[string]string{
			"bob@example.org": taken, "carol@example.org": taken, "alice@example.org": unknown, "bob@evil.example": relayed,
			"trouble@example.org": internal, "postmaster@example.org": taken, "nobody@example.org": unknown,
		}},
		{"local", middleware.RecipientsOptions{Local: func(_ context.Context, domain string) (bool, error) {
			if domain == "trouble.example" {
				return false, errStore
			}
			return strings.HasSuffix(domain, ".example"), nil
		}}, map[string]string{
			"a@x.example": taken, "postmaster@x.example": taken, "a@example.org": relayed, "a@trouble.example": internal, "nobody@x.example": "550 5.1.1 nobody is not here",
		}},
		{"relay", middleware.RecipientsOptions{Domains: domains, Exists: exists, Relay: func(c *server.Conn) bool { return c.Identity() != "" }}, map[string]string{
			"a@evil.example": relayed, "bob@example.org": taken, "a@example.org": unknown,
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := start(t, middleware.Recipients(tt.options), func(s *server.Server) { s.Extensions = []server.Extension{server.SMTPUTF8} })
			for to, reply := range tt.replies {
				h.play(t, "127.0.0.1", "C: MAIL FROM:<a@example.net> SMTPUTF8\nS: 250 ...\nC: RCPT TO:<"+to+">\nS: "+reply)
				asked := strings.Contains(h.noted(), "rcpt ")
				if reached := reply == taken || strings.HasSuffix(reply, "nobody is not here"); asked != reached {
					t.Errorf("%s: the Handler was asked: %t", to, asked)
				}
			}
			log := h.log()
			if trouble := strings.Contains(fmt.Sprint(tt.replies), internal); trouble != strings.Contains(log, errStore.Error()) {
				t.Errorf("log: %s", log)
			}
		})
	}
	h := start(t, middleware.Recipients(middleware.RecipientsOptions{Relay: func(c *server.Conn) bool { return c.Identity() != "" }}))
	h.play(t, "127.0.0.1", login, "C: MAIL FROM:<a@example.net>\nS: 250 ...\nC: RCPT TO:<a@example.com>\nS: 250 2.1.5 OK")
}

func TestRecipientsPanics(t *testing.T) {
	defer func() {
		if v := recover(); v == nil {
			t.Error("no panic")
		}
	}()
	middleware.Recipients(middleware.RecipientsOptions{Addresses: []string{"bob"}})
}
