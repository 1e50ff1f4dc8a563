package client_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-sasl"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/smtp"
)

func TestStartTLS(t *testing.T) {
	c := scripted(t, "starttls")
	c.TLSMode, c.TLSConfig, c.Auth = client.TLSAuto, trusting(t), client.PasswordAuth("user", "pass")
	res, err := send(t, c, "A: b\r\n", 1)
	want(t, res, err, "250")
}

// TLSAuto and StartTLSRequired never go on in plaintext.
func TestStartTLSFails(t *testing.T) {
	for script, reason := range map[string]string{
		"starttls-injected":    "before the TLS handshake",
		"starttls-refused":     "454 4.7.0 not now",
		"starttls-not-offered": "does not offer STARTTLS",
		"starttls-no-ehlo":     "does not offer STARTTLS",
	} {
		t.Run(script, func(t *testing.T) {
			c := scripted(t, script)
			c.TLSMode, c.TLSConfig, c.Auth = client.StartTLSRequired, trusting(t), client.PlainAuth("user", "pass")
			_, err := send(t, c, "A: b\r\n", 1)
			var failed *client.SendError
			if !errors.As(err, &failed) || !strings.Contains(err.Error(), reason) || !failed.Temporary() {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestOpportunistic(t *testing.T) {
	for _, script := range []string{"opportunistic", "opportunistic-refused"} {
		t.Run(script, func(t *testing.T) { // the certificate does not verify
			c := scripted(t, script)
			c.TLSMode = client.Opportunistic
			res, err := send(t, c, "A: b\r\n", 1)
			want(t, res, err, "552")
		})
	}
	t.Run("no credentials", func(t *testing.T) {
		c := scripted(t, "opportunistic-auth")
		c.TLSMode, c.Auth = client.Opportunistic, client.PlainAuth("user", "pass")
		if _, err := send(t, c, "A: b\r\n", 1); !errors.Is(err, client.ErrPlaintextAuth) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("verified", func(t *testing.T) {
		c := scripted(t, "opportunistic-auth")
		c.TLSMode, c.TLSConfig = client.Opportunistic, trusting(t)
		asked := false
		c.Auth = func(_ context.Context, info client.AuthInfo) (sasl.Client, error) {
			asked = info.TLS != nil && info.Host == host && info.Offers("PLAIN")
			return nil, errors.New("that is enough")
		}
		if _, err := send(t, c, "A: b\r\n", 1); !asked {
			t.Errorf("error %v", err)
		}
	})
}

func TestImplicitTLS(t *testing.T) {
	c := scripted(t, "implicit")
	var states []tls.ConnectionState
	c.TLSMode, c.TLSConfig = client.ImplicitTLS, trusting(t)
	c.Trace = &client.Trace{TLSDone: func(_ client.ConnInfo, s tls.ConnectionState, err error) { states = append(states, s) }}
	res, err := send(t, c, "A: b\r\n", 1)
	want(t, res, err, "552")
	if len(states) != 1 || states[0].Version < tls.VersionTLS12 || states[0].ServerName != host {
		t.Errorf("TLS %+v", states)
	}
}

func TestCertificateIsVerified(t *testing.T) {
	for name, cfg := range map[string]*tls.Config{"unknown": nil, "other name": {RootCAs: trusting(t).RootCAs, ServerName: "mx.example.org"}} {
		t.Run(name, func(t *testing.T) {
			near, far := pipe(t)
			go tls.Server(far, &tls.Config{Certificates: []tls.Certificate{certificate(t)}}).Handshake()
			c := client.Client{Addr: host + ":465", TLSConfig: cfg, Dial: func(context.Context, string, string) (net.Conn, error) { return near, nil }}
			res, err := c.Send(t.Context(), envelope(t, 1), smtp.BytesContent(nil))
			var unknown x509.UnknownAuthorityError
			var name x509.HostnameError
			if !errors.As(err, &unknown) && !errors.As(err, &name) || res.Unknown() {
				t.Errorf("error %v", err)
			}
		})
	}
}

// Whatever the caller's configuration says, no version below 1.2 is spoken.
func TestOldTLSIsRefused(t *testing.T) {
	near, far := pipe(t)
	done := make(chan error, 1)
	go func() {
		done <- tls.Server(far, &tls.Config{Certificates: []tls.Certificate{certificate(t)}, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}).Handshake()
		far.Close()
	}()
	cfg := trusting(t)
	cfg.MinVersion = tls.VersionTLS10
	c := client.Client{Addr: host + ":465", TLSConfig: cfg, Dial: func(context.Context, string, string) (net.Conn, error) { return near, nil }}
	if _, err := c.Send(t.Context(), envelope(t, 1), smtp.BytesContent(nil)); err == nil {
		t.Error("sent")
	}
	if err := <-done; err == nil {
		t.Error("the server speaks TLS 1.1 with us")
	}
}

// What is sent over TLS arrives as it was, small and large, and the second
// connection resumes the session of the first.
func TestTLSEndToEnd(t *testing.T) {
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate(t)}})
	if err != nil {
		t.Fatal(err)
	}
	s := sinkOn(t, ln, "PIPELINING")
	s.TLSMode, s.TLSConfig = client.ImplicitTLS, trusting(t)
	s.MaxMessages = 2
	var resumed []bool
	s.Trace = &client.Trace{TLSDone: func(_ client.ConnInfo, state tls.ConnectionState, err error) {
		resumed = append(resumed, state.DidResume)
	}}
	large := strings.Repeat(".dots\r\n"+strings.Repeat("x", 70)+"\r\n", 20000)
	for _, message := range []string{"A: b\r\n", large, "C: d\r\n"} {
		res, err := s.Send(t.Context(), envelope(t, 1), smtp.BytesContent([]byte(message)))
		want(t, res, err, "250")
	}
	if got := s.messages(t); len(got) != 3 || got[1] != large {
		t.Errorf("%d messages arrived", len(got))
	}
	if len(resumed) != 2 || resumed[0] || !resumed[1] {
		t.Errorf("resumed: %v", resumed)
	}
}

// Sessions are resumed by who made them: another Client, though it calls the same server
// by the same name and with the same configuration, may hold it against another one. Who
// gives them a cache wants them to share it.
func TestSessionsAreNotShared(t *testing.T) {
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate(t)}})
	if err != nil {
		t.Fatal(err)
	}
	s := sinkOn(t, ln, "PIPELINING")
	own, given := trusting(t), trusting(t)
	given.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	var resumed []bool
	clients := [4]client.Client{}
	for i := range clients {
		c := &clients[i]
		defer c.Close()
		c.Addr, c.TLSMode, c.TLSConfig, c.MaxMessages = s.Addr, client.ImplicitTLS, own, 1
		if i >= 2 {
			c.TLSConfig = given
		}
		c.Trace = &client.Trace{TLSDone: func(_ client.ConnInfo, state tls.ConnectionState, err error) {
			resumed = append(resumed, state.DidResume)
		}}
	}
	for _, i := range []int{0, 1, 1, 0, 2, 3} {
		res, err := clients[i].Send(t.Context(), envelope(t, 1), smtp.BytesContent([]byte("A: b\r\n")))
		want(t, res, err, "250")
	}
	if !slices.Equal(resumed, []bool{false, false, true, true, false, true}) {
		t.Errorf("resumed: %v", resumed)
	}
	if own.ServerName != "" || own.ClientSessionCache != nil {
		t.Error("the caller's configuration was changed")
	}
}

// On an idle TLS connection the server's farewell is seen before it is used.
func TestTLSIdle(t *testing.T) {
	var server net.Conn
	accepted := 0
	dial := func(context.Context, string, string) (net.Conn, error) {
		accepted++
		near, far := pipe(t)
		server = tls.Server(far, &tls.Config{Certificates: []tls.Certificate{certificate(t)}})
		go func(nc net.Conn) { (&sink{}).serve(nc, []string{"PIPELINING"}) }(server)
		return near, nil
	}
	c := &client.Client{Addr: host + ":465", TLSConfig: trusting(t), Dial: dial}
	defer c.Close()
	for i := range 3 {
		res, err := c.Send(t.Context(), envelope(t, 1), smtp.BytesContent([]byte("A: b\r\n")))
		want(t, res, err, "250")
		if i == 1 {
			io.WriteString(server, "421 4.4.2 idle too long\r\n")
			server.Close()
		}
	}
	if accepted != 2 {
		t.Errorf("%d connections", accepted)
	}
}
