package client_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/server/smtptest"
	"github.com/postrider/postrider/smtp"
)

// Every recipient knows the server that has decided, one value for a session.
func TestServerInfo(t *testing.T) {
	s := smtptest.NewServer(t, func(s *smtptest.Server) { s.Config.Extensions = append(s.Config.Extensions, server.DSN) })
	c := &client.Client{Addr: s.Addr, TLSConfig: s.ClientTLSConfig()}
	defer c.Close()
	var infos []*client.ServerInfo
	for range 2 {
		res, err := c.Send(t.Context(), env, content)
		if err != nil {
			t.Fatal(err)
		}
		for i := range res.Recipients {
			infos = append(infos, res.Recipients[i].Server)
		}
	}
	first := infos[0]
	for _, info := range infos {
		if info != first {
			t.Fatalf("%p and %p for one session", info, first)
		}
	}
	switch {
	case first.ConnID != 1, first.Greeting.Code != 220, !first.Offers.Has(smtp.ExtDSN), first.Offers.Has(smtp.ExtStartTLS):
		t.Errorf("%+v", first)
	case first.TLS == nil || first.TLS.Version != tls.VersionTLS13 || !first.Verified:
		t.Errorf("TLS: %+v", first.TLS)
	}
}

// Who has the message already is not the business of the connection that is made
// for those that are left.
func TestServerInfoBeforeRedial(t *testing.T) {
	for _, refused := range []bool{false, true} {
		s := smtptest.NewServer(t, smtptest.NoTLS, func(s *smtptest.Server) { s.Config.Limits.MaxRecipients = 1 })
		s.Fault(smtptest.On("MAIL").Skip(1).Times(1).Drop())
		if refused {
			s.Fault(smtptest.OnGreeting().Skip(1).Reply(554, "", "no"))
		}
		c := &client.Client{Addr: s.Addr, TLSMode: client.Plaintext}
		env, err := smtp.NewEnvelope("me@example.com", "a@example.org", "b@example.org")
		if err != nil {
			t.Fatal(err)
		}
		res, err := c.Send(t.Context(), env, content)
		c.Close()
		if err != nil {
			t.Fatal(err)
		}
		if first := res.Recipients[0]; first.Err != nil || first.Server == nil || first.Server.ConnID != 1 {
			t.Errorf("refused %t: %+v", refused, first)
		}
		switch second := res.Recipients[1]; {
		case refused && (second.Err == nil || second.Server != nil):
			t.Errorf("%+v", second)
		case !refused && (second.Err != nil || second.Server == nil || second.Server.ConnID != 2):
			t.Errorf("%+v", second)
		}
	}
}

// A server that does not know DSN gets the message without its parameters if that
// is asked for (RFC 3461 §5.2.2), and one that does gets them.
func TestDropDSN(t *testing.T) {
	for _, offered := range []bool{false, true} {
		s := smtptest.NewServer(t, smtptest.NoTLS, func(s *smtptest.Server) {
			if offered {
				s.Config.Extensions = append(s.Config.Extensions, server.DSN)
			}
		})
		env, err := smtp.NewEnvelope("me@example.com", "a@example.org", "b@example.org")
		if err != nil {
			t.Fatal(err)
		}
		env.MailParams.Ret, env.MailParams.EnvID = smtp.RetHeaders, "id"
		env.Recipients[0].RcptParams = smtp.RcptParams{Notify: smtp.NotifySuccess, ORcpt: smtp.ORcpt{Type: "rfc822", Address: "c@example.org"}}
		for _, drop := range []bool{false, true} {
			c := &client.Client{Addr: s.Addr, TLSMode: client.Plaintext, DropDSN: drop}
			_, err := c.Send(t.Context(), env, content)
			c.Close()
			var missing *smtp.NotOfferedError
			if refused := errors.As(err, &missing); refused == (offered || drop) {
				t.Errorf("offered %t, drop %t: %v", offered, drop, err)
			}
		}
		if params := env.Recipients[0].RcptParams; params.Notify == 0 || params.ORcpt.IsZero() {
			t.Error("the caller's envelope has changed")
		}
		got := strings.Join(s.Transcripts(), "")
		for _, param := range []string{" RET=HDRS", " ENVID=id", " NOTIFY=SUCCESS", " ORCPT=rfc822;c@example.org"} {
			if strings.Contains(got, param) != offered {
				t.Errorf("offered %t: %s in\n%s", offered, param, got)
			}
		}
	}
}

// Ready is told of each connection that is made, with the caller's context, and of
// those that do not come about.
func TestReady(t *testing.T) {
	type key struct{}
	var got []string
	trace := &client.Trace{Ready: func(ctx context.Context, c client.ConnInfo, s *client.ServerInfo, err error) {
		line := fmt.Sprint(ctx.Value(key{}), " ", c.ID)
		if s != nil {
			line += fmt.Sprint(" ", s.Greeting.Code, " ", s.TLS != nil, " ", s.Verified, " ", len(s.Offers) > 0)
		}
		switch {
		case err == nil:
		case errors.Is(err, client.ErrNoStartTLS):
			line += " no STARTTLS"
		default:
			line += " " + strings.SplitN(err.Error(), ": ", 3)[0]
		}
		got = append(got, line)
	}}
	for _, tt := range []struct {
		name      string
		configure func(*smtptest.Server)
		fault     *smtptest.Fault
		change    func(*client.Client)
		want      string
	}{
		{"verified", nil, nil, nil, "here 1 220 true true true"},
		{"opportunistic", nil, nil, func(c *client.Client) { c.TLSMode, c.TLSConfig = client.Opportunistic, nil }, "here 1 220 true false true"},
		{"plaintext", smtptest.NoTLS, nil, func(c *client.Client) { c.TLSMode = client.Plaintext }, "here 1 220 false false true"},
		{"no STARTTLS", smtptest.NoTLS, nil, nil, "here 1 220 false false true no STARTTLS"},
		{"wrong certificate", nil, nil, func(c *client.Client) { c.TLSConfig = nil }, "here 1 220 false false false TLS handshake"},
		{"refused", nil, new(smtptest.OnGreeting().Reply(554, "", "no")), nil, "here 1 0 false false false smtp"},
		{"no connection", nil, nil, func(c *client.Client) {
			c.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no") }
		}, "here 0 dial"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got = nil
			s := smtptest.NewServer(t, func(s *smtptest.Server) {
				if tt.configure != nil {
					tt.configure(s)
				}
			})
			if tt.fault != nil {
				s.Fault(*tt.fault)
			}
			c := &client.Client{Addr: s.Addr, TLSConfig: s.ClientTLSConfig(), Trace: trace}
			if tt.change != nil {
				tt.change(c)
			}
			defer c.Close()
			ctx := context.WithValue(t.Context(), key{}, "here")
			for range 2 { // the second goes over the same connection if there is one
				if _, err := c.Send(ctx, env, content); err != nil {
					break
				}
			}
			if len(got) != 1 || got[0] != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// What SendVia is given is asked once for a Key that is not known.
func TestSendVia(t *testing.T) {
	s := smtptest.NewServer(t, smtptest.NoTLS)
	p := &client.Pool{New: func(client.Key) (*client.Client, error) { return nil, errors.New("New is asked") }}
	defer p.Close()
	made := 0
	for range 2 {
		_, err := p.SendVia(t.Context(), client.Key{Addr: s.Addr, TLS: "any"}, func() (*client.Client, error) {
			made++
			return &client.Client{Addr: s.Addr, TLSMode: client.Plaintext}, nil
		}, env, content)
		if err != nil {
			t.Fatal(err)
		}
	}
	if made != 1 || p.Stats().Open != 1 {
		t.Errorf("made %d clients, %+v", made, p.Stats())
	}
	if _, err := p.SendVia(t.Context(), client.Key{Addr: "other"}, func() (*client.Client, error) { return nil, nil }, env, content); err == nil {
		t.Error("no error without a Client")
	}
}

// Was it encrypted?
func ExampleServerInfo() {
	s := start()
	defer s.Close()
	c := &client.Client{Addr: s.Addr, TLSConfig: s.ClientTLSConfig()}
	defer c.Close()
	res, err := c.Send(context.Background(), env, content)
	if err != nil {
		fmt.Println(err)
		return
	}
	server := res.Recipients[0].Server
	fmt.Println(server.Greeting.Code, tls.VersionName(server.TLS.Version), server.Verified)
	// Output: 220 TLS 1.3 true
}
