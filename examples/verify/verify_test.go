package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/textproto"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/auth"
	"github.com/postrider/postrider/auth/authres"
	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/mx/dns/dnstest"
	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/server/smtptest"
	"github.com/postrider/postrider/smtp"
)

const zone = `{
	"example.org": {"TXT": ["v=spf1 ip4:192.0.2.1 -all"]},
	"_dmarc.example.org": {"TXT": ["v=DMARC1; p=reject"]},
	"mail.example.org": {"A": ["192.0.2.1"]},
	"slow.example": {"RCODE": ["SERVFAIL"]}
}`

func write(t *testing.T, name, text string) string {
	t.Helper()
	name = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestMessage(t *testing.T) {
	file := write(t, "message.eml", "From: Ann <ann@example.org>\r\nSubject: hi\r\n\r\nHello\r\n")
	dns := write(t, "zone.json", zone)
	for _, tt := range []struct{ ip, from, spf, dmarc string }{
		{"192.0.2.1", "ann@example.org", "pass", "pass"},
		{"203.0.113.9", "ann@example.org", "fail", "fail"},
		{"192.0.2.1", "ann@slow.example", "temperror", "fail"},
	} {
		var out bytes.Buffer
		if err := run(t.Context(), []string{"-message", file, "-zone", dns, "-ip", tt.ip, "-helo", "mail.example.org", "-from", tt.from}, &out); err != nil {
			t.Fatal(err)
		}
		var got struct {
			SPF, Header string
			DKIM        []struct{}
			DMARC       struct{ Result, Policy, Domain string }
		}
		if err := json.Unmarshal(out.Bytes(), &got); err != nil || got.SPF != tt.spf || got.DMARC.Result != tt.dmarc ||
			got.DMARC.Policy != "reject" || got.DMARC.Domain != "example.org" || !strings.HasPrefix(got.Header, "Authentication-Results: mx.example.org;") {
			t.Errorf("%+v: %v: %s", tt, err, &out)
		}
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{"-nonsense"}, {"-ip", "x"}, {"-message", "absent"}, {"-zone", "absent"},
		{"-message", "-", "-from", "not an address"}, {"-zone", write(t, "zone.json", "{")}} {
		if err := run(t.Context(), args, io.Discard); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := run(ended, []string{"-listen", "127.0.0.1:0"}, io.Discard); err != nil {
		t.Error(err)
	}
}

// The handler behind the middleware gets the findings on top and no others in
// our name; what is refused it does not get.
func TestAuthenticate(t *testing.T) {
	z, err := dnstest.ReadJSON(strings.NewReader(zone))
	if err != nil {
		t.Fatal(err)
	}
	v := &auth.Verifier{Resolver: z, AuthServID: "mx.example.net", HonorReject: true}
	for _, refuse := range []bool{false, true} {
		var got []string
		deliver := server.Deliver(func(_ context.Context, m *server.Message) (smtp.Reply, error) {
			text, err := io.ReadAll(m)
			got = append(got, string(text))
			return smtp.Reply{}, err
		})
		srv := smtptest.NewServer(t, func(s *smtptest.Server) { s.Config.Handler = Authenticate(v, refuse)(deliver) })
		c := &client.Client{Addr: srv.Addr, TLSConfig: srv.ClientTLSConfig()}
		env, err := smtp.NewEnvelope("ann@example.org", "bob@example.net")
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Send(t.Context(), env, smtp.BytesContent([]byte("From: eve@example.com\r\n"+
			"Authentication-Results: MX.example.net (really); dmarc=pass\r\nAuthentication-Results: other.example; none\r\n\r\nHello\r\n")))
		if err != nil || len(got) != 1 {
			t.Fatalf("refuse %t: %v, %q", refuse, err, got)
		}
		// Sent twice, to see that a connection may be used again.
		_, err = c.Send(t.Context(), env, smtp.BytesContent([]byte("From: ann@example.org\r\n\r\nHello\r\n")))
		var refused *smtp.Error
		switch {
		case !refuse && (err != nil || len(got) != 2 || !strings.Contains(got[1], "dmarc=fail header.from=example.org")):
			t.Errorf("tagging: %v, %q", err, got)
		case refuse && (!errors.As(err, &refused) || refused.Reply.Code != 550 || len(got) != 1):
			t.Errorf("refusing: %v, %q", err, got)
		}
		c.Close()
		if !strings.HasPrefix(got[0], "Received: ") || strings.Count(got[0], "MX.example.net") != 0 || !strings.Contains(got[0], "other.example") || !strings.HasSuffix(got[0], "\r\n\r\nHello\r\n") {
			t.Errorf("%q", got[0])
		}
		_, field, _ := strings.Cut(got[0], "\r\nAuthentication-Results:")
		f, err := authres.Parse(field[:strings.Index(field, "\r\nFrom")])
		if err != nil || f.AuthServID != "mx.example.net" {
			t.Errorf("%v: %q", err, got[0])
		}
	}
}

// What is looked up for a name ends when the client greets with another.
func TestManyNames(t *testing.T) {
	z := dnstest.MustParse("1.0.0.127.in-addr.arpa STALL")
	v := &auth.Verifier{Resolver: z, AuthServID: "mx.example.net"}
	srv := smtptest.NewServer(t, func(s *smtptest.Server) {
		s.Config.Handler = Authenticate(v, false)(server.Deliver(func(context.Context, *server.Message) (smtp.Reply, error) { return smtp.Reply{}, nil }))
	})
	c, err := textproto.Dial("tcp", srv.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, _, err := c.ReadResponse(220); err != nil {
		t.Fatal(err)
	}
	before := 0
	for i := range 20 {
		if err := z.Add(fmt.Sprintf("h%d.example STALL", i)); err != nil {
			t.Fatal(err)
		}
		for _, line := range []string{fmt.Sprintf("EHLO h%d.example", i), "MAIL FROM:<ann@example.org>"} {
			if err := c.PrintfLine("%s", line); err != nil {
				t.Fatal(err)
			}
			if _, _, err := c.ReadResponse(250); err != nil {
				t.Fatal(err)
			}
		}
		if i == 0 {
			before = runtime.NumGoroutine()
		}
	}
	for end := time.Now().Add(30 * time.Second); runtime.NumGoroutine() > before+5; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines, %d after the first name", runtime.NumGoroutine(), before)
		}
	}
}
