package client_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/server/smtptest"
	"github.com/postrider/postrider/smtp"
)

// only offers some mechanisms of an Authenticator.
type only struct {
	server.Authenticator
	names []string
}

func (o only) Mechanisms(c *server.Conn) []string {
	return slices.DeleteFunc(o.Authenticator.Mechanisms(c), func(m string) bool { return !slices.Contains(o.names, m) })
}

// accounts is a server's Authenticator with every mechanism.
func accounts(t *testing.T) server.Authenticator {
	t.Helper()
	cred, err := server.NewCredential("pencil", 4096, "SCRAM-SHA-256", "SCRAM-SHA-1")
	if err != nil {
		t.Fatal(err)
	}
	return server.Authenticators(
		server.External(func(_ context.Context, _ *server.Conn, cert *x509.Certificate, authzid string) (string, error) {
			if authzid != "" {
				return "", server.ErrCredentials
			}
			return "user", nil
		}),
		&server.Credentials{SHA1: true, Iterations: 4096, Lookup: func(_ context.Context, user string) (server.Credential, error) {
			if user != "user" {
				return server.Credential{}, server.ErrCredentials
			}
			return cred, nil
		}},
		server.Tokens(func(_ context.Context, _, token string) (string, error) {
			if token != "t0k3n" {
				return "", server.ErrCredentials
			}
			return "user", nil
		}),
		server.CRAMMD5(func(_ context.Context, user string) (string, error) {
			if user != "user" {
				return "", server.ErrCredentials
			}
			return "pencil", nil
		}),
	)
}

// Every mechanism, our client with our server, over STARTTLS and implicit TLS, of
// both versions, on a new connection and on one that resumes a TLS session; the
// right credentials and wrong ones.
func TestMechanismsEndToEnd(t *testing.T) {
	bearer := func(s string) func(context.Context) (string, error) { return token(s) }
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, implicit := range []bool{false, true} {
			for _, tt := range []struct {
				offered      string
				right, wrong client.Auth
				want         string // mechanism
			}{
				{"SCRAM-SHA-1 SCRAM-SHA-1-PLUS SCRAM-SHA-256 SCRAM-SHA-256-PLUS PLAIN", client.PasswordAuth("user", "pencil"), client.PasswordAuth("user", "x"), "SCRAM-SHA-256-PLUS"},
				{"SCRAM-SHA-1 SCRAM-SHA-1-PLUS PLAIN", client.PasswordAuth("user", "pencil"), client.PasswordAuth("user", "x"), "SCRAM-SHA-1-PLUS"},
				{"SCRAM-SHA-1-PLUS SCRAM-SHA-256", client.ScramAuth("user", "pencil"), client.ScramAuth("nobody", "pencil"), "SCRAM-SHA-1-PLUS"},
				{"PLAIN LOGIN", client.PasswordAuth("user", "pencil"), client.PasswordAuth("user", "x"), "PLAIN"},
				{"LOGIN CRAM-MD5", client.PasswordAuth("user", "pencil"), client.PasswordAuth("user", "x"), "LOGIN"},
				{"CRAM-MD5", client.CRAMMD5Auth("user", "pencil"), client.CRAMMD5Auth("user", "x"), "CRAM-MD5"},
				{"OAUTHBEARER", client.OAuthBearerAuth("user", bearer("t0k3n")), client.OAuthBearerAuth("user", bearer("x")), "OAUTHBEARER"},
				{"XOAUTH2", client.XOAuth2Auth("user", bearer("t0k3n")), client.XOAuth2Auth("user", bearer("x")), "XOAUTH2"},
				{"EXTERNAL", client.ExternalAuth(""), client.ExternalAuth("root"), "EXTERNAL"},
			} {
				t.Run(fmt.Sprintf("%s implicit=%t %s", tls.VersionName(version), implicit, tt.want), func(t *testing.T) {
					s := newServer(t, smtptest.Submission, func(s *smtptest.Server) {
						s.ImplicitTLS = implicit
						s.Config.TLSConfig.MaxVersion = version
						s.Config.TLSConfig.ClientAuth = tls.VerifyClientCertIfGiven
						s.Config.TLSConfig.ClientCAs = trusting(t).RootCAs
						s.Config.Auth = only{accounts(t), strings.Fields(tt.offered)}
					})
					cfg := s.ClientTLSConfig()
					cfg.Certificates = []tls.Certificate{certificate(t)}
					var resumed []bool
					c := &client.Client{
						Addr: s.Addr, TLSMode: client.StartTLSRequired, TLSConfig: cfg, Auth: tt.right, MaxMessages: 1,
						Trace: watched(&client.Trace{TLSDone: func(_ client.ConnInfo, state tls.ConnectionState, _ error) {
							resumed = append(resumed, state.DidResume)
						}}),
					}
					if implicit {
						c.TLSMode = client.ImplicitTLS
					}
					defer c.Close()
					for range 2 {
						if _, err := c.Send(t.Context(), envelope(t, 1), smtp.BytesContent([]byte("A: b\r\n"))); err != nil {
							t.Fatal(err)
						}
					}
					for _, m := range s.Messages() {
						if m.Identity != "user" {
							t.Errorf("%s sent it", m.Identity)
						}
					}
					if !slices.Equal(resumed, []bool{false, true}) {
						t.Errorf("resumed: %v", resumed)
					}
					all := strings.Join(s.Transcripts(), "")
					if strings.Count(all, "C: AUTH "+tt.want) != 2 || strings.Contains(all, "pencil") {
						t.Errorf("%s", all)
					}
					wrong := &client.Client{Addr: s.Addr, TLSMode: c.TLSMode, TLSConfig: cfg, Auth: tt.wrong, Trace: watched(nil)}
					defer wrong.Close()
					_, err := wrong.Send(t.Context(), envelope(t, 1), smtp.BytesContent([]byte("A: b\r\n")))
					var refused *smtp.Error
					if !errors.As(err, &refused) || refused.Reply.Code != 535 || refused.Temporary() {
						t.Errorf("wrong credentials: %v", err)
					}
				})
			}
		}
	}
}

// Somebody in the middle, whose certificate the client trusts, relays an
// exchange. Bound to the TLS connection it fails; and if the offer of what can be
// bound is taken away, the server learns of it (RFC 5802 §6).
func TestManInTheMiddle(t *testing.T) {
	for _, hide := range []bool{false, true} {
		t.Run(fmt.Sprintf("hide=%t", hide), func(t *testing.T) {
			s := newServer(t, smtptest.Submission, smtptest.ImplicitTLS)
			s.AddAccount("user", "pencil")
			ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate(t)}})
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			var relays sync.WaitGroup
			defer relays.Wait()
			relays.Go(func() {
				near, err := ln.Accept()
				if err != nil {
					return
				}
				defer near.Close()
				far, err := tls.Dial("tcp", s.Addr, s.ClientTLSConfig())
				if err != nil {
					t.Error(err)
					return
				}
				defer far.Close()
				relays.Go(func() { io.Copy(far, near); far.Close() })
				var from io.Reader = far
				if hide {
					from = &stripper{far}
				}
				io.Copy(near, from)
			})
			cfg := trusting(t)
			cfg.ServerName = host
			c := &client.Client{Addr: ln.Addr().String(), TLSMode: client.ImplicitTLS, TLSConfig: cfg, Auth: client.ScramAuth("user", "pencil"), Trace: watched(nil)}
			defer c.Close()
			_, err = c.Send(t.Context(), envelope(t, 1), smtp.BytesContent([]byte("A: b\r\n")))
			var failed *client.AuthError
			var refused *smtp.Error
			if !errors.As(err, &failed) || !errors.As(err, &refused) || refused.Reply.Code != 535 || (failed.Mechanism == "SCRAM-SHA-256") != hide {
				t.Errorf("error %v", err)
			}
			if len(s.Messages()) > 0 {
				t.Error("delivered")
			}
		})
	}
}

// stripper takes the -PLUS mechanisms out of what a server offers.
type stripper struct{ net.Conn }

func (s *stripper) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	return copy(p, strings.NewReplacer("SCRAM-SHA-256-PLUS ", "", "SCRAM-SHA-1-PLUS ", "").Replace(string(p[:n]))), err
}

// A client that can bind, and a server that cannot: "y" is the truth, and no
// harm.
func TestServerWithoutBinding(t *testing.T) {
	s := newServer(t, smtptest.Submission, func(s *smtptest.Server) {
		s.Config.TLSConfig.Renegotiation = tls.RenegotiateOnceAsClient // crypto/tls exports no key then
	})
	s.AddAccount("user", "pencil")
	c := &client.Client{Addr: s.Addr, TLSConfig: s.ClientTLSConfig(), Auth: client.PasswordAuth("user", "pencil"), Trace: watched(nil)}
	defer c.Close()
	if _, err := c.Send(t.Context(), envelope(t, 1), smtp.BytesContent([]byte("A: b\r\n"))); err != nil {
		t.Error(err)
	}
	if all := strings.Join(s.Transcripts(), ""); !strings.Contains(all, "C: AUTH SCRAM-SHA-256 ***") {
		t.Errorf("%s", all)
	}
}
