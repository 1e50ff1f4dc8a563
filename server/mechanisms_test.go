package server_test

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// clientCert returns a certificate for a client, and the pool that trusts it.
func clientCert(t *testing.T, name string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, EmailAddresses: []string{name},
		NotAfter: time.Now().AddDate(50, 0, 0), IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// EXTERNAL is there for a certificate that has been verified, and for no other.
func TestEXTERNAL(t *testing.T) {
	cert, pool := clientCert(t, "bob@example.org")
	_, otherPool := clientCert(t, "mallory@example.org")
	broken := errors.New("ldap is down")
	identify := func(_ context.Context, c *server.Conn, cert *x509.Certificate, authzid string) (string, error) {
		switch {
		case c.TLS() == nil || len(cert.EmailAddresses) != 1:
			return "", broken
		case authzid == "" || authzid == cert.EmailAddresses[0] || authzid == "lists@example.org":
			return cmp.Or(authzid, cert.EmailAddresses[0]), nil
		case authzid == "broken":
			return "", broken
		}
		return "", server.ErrCredentials
	}
	for _, tt := range []struct {
		name   string
		client tls.ClientAuthType
		pool   *x509.CertPool
		cert   bool
		talk   []string
		want   string // identity
	}{
		{"at once", tls.VerifyClientCertIfGiven, pool, true, []string{"AUTH EXTERNAL =", "<235"}, "bob@example.org"},
		{"then", tls.RequireAndVerifyClientCert, pool, true, []string{"AUTH EXTERNAL", "<334 ", "", "<235"}, "bob@example.org"},
		{"as somebody", tls.VerifyClientCertIfGiven, pool, true, []string{"AUTH EXTERNAL " + b64("lists@example.org"), "<235"}, "lists@example.org"},
		{"as somebody else", tls.VerifyClientCertIfGiven, pool, true, []string{"AUTH EXTERNAL " + b64("root"), "<535 5.7.8"}, ""},
		{"cannot tell", tls.VerifyClientCertIfGiven, pool, true, []string{"AUTH EXTERNAL " + b64("broken"), "<454 4.7.0"}, ""},
		{"NUL", tls.VerifyClientCertIfGiven, pool, true, []string{"AUTH EXTERNAL " + b64("a\x00b"), "<501 5.5.2"}, ""},
		{"not UTF-8", tls.VerifyClientCertIfGiven, pool, true, []string{"AUTH EXTERNAL " + b64("\xff"), "<501 5.5.2"}, ""},
		{"over-long", tls.VerifyClientCertIfGiven, pool, true, []string{"AUTH EXTERNAL", "<334 ", b64(strings.Repeat("x", 1025)), "<501 5.5.2"}, ""},
		{"cancelled", tls.VerifyClientCertIfGiven, pool, true, []string{"AUTH EXTERNAL", "<334 ", "*", "<501 5.7.0"}, ""},
		{"no certificate", tls.VerifyClientCertIfGiven, pool, false, []string{"AUTH EXTERNAL =", "<504 5.5.4"}, ""},
		{"not verified", tls.RequireAnyClientCert, otherPool, true, []string{"AUTH EXTERNAL =", "<504 5.5.4"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var c *server.Conn
			s := start(t, withTLS, func(s *testServer) {
				s.TLSConfig = serverTLS.Clone()
				s.TLSConfig.ClientAuth, s.TLSConfig.ClientCAs = tt.client, tt.pool
				s.Auth = server.Authenticators(server.External(identify), server.Passwords(nil))
			})
			s.newSession = func(_ context.Context, conn *server.Conn) error { c = conn; return nil }
			p := s.hello()
			cfg := clientTLS.Clone()
			if tt.cert {
				cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
			}
			p.do("STARTTLS", "220")
			p.upgradeWith(cfg)
			p.send("EHLO x.example\n")
			r, _ := p.reply()
			if offered := strings.Contains(r, "AUTH EXTERNAL PLAIN"); offered == strings.HasPrefix(tt.talk[1], "<504") {
				t.Errorf("offers %q", r)
			}
			for _, line := range tt.talk {
				if reply, ok := strings.CutPrefix(line, "<"); ok {
					p.expect(reply)
				} else {
					p.send(line + "\n")
				}
			}
			want(t, "identity", c.Identity(), tt.want)
			if log := s.log.take(); (log != "") != (tt.name == "cannot tell") {
				t.Errorf("log: %s", log)
			}
		})
	}
}

// RFC 2195 §2, and what goes wrong.
func TestCRAMMD5(t *testing.T) {
	const secret = "tanstaaftanstaaf"
	for _, tt := range []struct {
		name     string
		response func(challenge string) string
		want     string
	}{
		{"right", func(c string) string { return "tim " + server.CRAMDigest(secret, c) }, "235"},
		{"a user with a blank", func(c string) string { return "tim b " + server.CRAMDigest(secret, c) }, "235"},
		{"wrong password", func(c string) string { return "tim " + server.CRAMDigest("x", c) }, "535 5.7.8"},
		{"another challenge", func(c string) string {
			return "tim " + server.CRAMDigest(secret, "<1896.697170952@postoffice.reston.mci.net>")
		}, "535 5.7.8"},
		{"unknown user", func(c string) string { return "tom " + server.CRAMDigest("", c) }, "535 5.7.8"},
		{"a user without password", func(c string) string { return "empty " + server.CRAMDigest("", c) }, "535 5.7.8"},
		{"cannot tell", func(c string) string { return "down " + server.CRAMDigest("", c) }, "454 4.7.0"},
		{"upper case", func(c string) string { return "tim " + strings.ToUpper(server.CRAMDigest(secret, c)) }, "535 5.7.8"},
		{"truncated", func(c string) string { return "tim " + server.CRAMDigest(secret, c)[1:] }, "501 5.5.2"},
		{"no digest", func(string) string { return "tim" }, "501 5.5.2"},
		{"nothing", func(string) string { return "" }, "501 5.5.2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var challenges []string
			for range 2 {
				s := start(t, func(s *testServer) {
					s.Role, s.PlaintextAuthOnLoopback = server.Submission, true
					s.Auth = server.CRAMMD5(func(_ context.Context, user string) (string, error) {
						switch user {
						case "tim", "tim b":
							return secret, nil
						case "empty":
							return "", nil
						case "down":
							return "", errors.New("database is down")
						}
						return "", server.ErrCredentials
					})
				})
				p := s.hello()
				p.send("AUTH CRAM-MD5\n")
				r, _ := p.reply()
				challenge := unb64(t, strings.TrimPrefix(r, "334 "))
				if err := smtp.ParseHello(strings.TrimSuffix(challenge[strings.LastIndex(challenge, "@")+1:], ">")); err != nil || challenge[0] != '<' {
					t.Errorf("challenge %q", challenge)
				}
				challenges = append(challenges, challenge)
				p.do(b64(tt.response(challenge)), tt.want)
				if tt.want == "235" {
					p.do("MAIL FROM:<>", "250")
				} else {
					p.do("MAIL FROM:<>", "530")
				}
				if log := s.log.take(); (log != "") != (tt.name == "cannot tell") {
					t.Errorf("log: %s", log)
				}
			}
			if challenges[0] == challenges[1] {
				t.Errorf("%q twice", challenges[0])
			}
		})
	}
	want(t, "RFC 2195", server.CRAMDigest(secret, "<1896.697170952@postoffice.reston.mci.net>"), "b913a602c7eda7a495b4e6e7334d3890")
}

// The server speaks first: an initial response is wrong (RFC 4422 §3.3).
func TestCRAMMD5WithInitialResponse(t *testing.T) {
	s := start(t, func(s *testServer) {
		s.PlaintextAuthOnLoopback = true
		s.Auth = server.CRAMMD5(func(context.Context, string) (string, error) { return "secret", nil })
	})
	p := s.hello()
	p.do("AUTH CRAM-MD5 "+b64("tim b913a602c7eda7a495b4e6e7334d3890"), "501 5.5.2")
	p.do("AUTH CRAM-MD5 =", "501 5.5.2")
	p.do("AUTH CRAM-MD5", "334 ")
	p.do("*", "501 5.7.0")
}

// What clients may put into a response of OAUTHBEARER and XOAUTH2, and what the
// server says to it (RFC 7628 §3).
func TestTokenResponses(t *testing.T) {
	const invalidToken, invalidRequest = `{"status":"invalid_token"}`, `{"status":"invalid_request"}`
	for _, tt := range []struct {
		mech, response string
		challenge      string // of failure
		want           string // reply
		user, token    string // what is verified
	}{
		{"OAUTHBEARER", "n,a=u@example.org,\x01host=h\x01port=587\x01auth=Bearer t0k3n\x01\x01", "", "235", "u@example.org", "t0k3n"},
		{"OAUTHBEARER", "n,,\x01auth=Bearer t0k3n\x01\x01", "", "235", "", "t0k3n"},
		{"OAUTHBEARER", "y,,\x01auth=bEARER t0k3n\x01\x01", "", "235", "", "t0k3n"},
		{"OAUTHBEARER", "n,a=u=2C=3D=2c,\x01auth=Bearer t0k3n\x01\x01", "", "235", "u,==2c", "t0k3n"},
		{"OAUTHBEARER", "n,,\x01future=x=y\x01auth=Bearer t0k3n\x01qs=\x01\x01", "", "235", "", "t0k3n"}, // unknown keys are passed over
		{"OAUTHBEARER", "n,,\x01auth=Bearer wrong\x01\x01", invalidToken, "535 5.7.8", "", "wrong"},
		{"OAUTHBEARER", "n,,\x01auth=Bearer down\x01\x01", "", "454 4.7.0", "", "down"},
		{"OAUTHBEARER", "p=tls-exporter,,\x01auth=Bearer t0k3n\x01\x01", invalidRequest, "501 5.5.2", "", ""},
		{"OAUTHBEARER", "\x01", invalidRequest, "501 5.5.2", "", ""},
		{"OAUTHBEARER", "n,,\x01\x01", invalidRequest, "501 5.5.2", "", ""},
		{"OAUTHBEARER", "n,,\x01host=h\x01\x01", invalidRequest, "501 5.5.2", "", ""},
		{"OAUTHBEARER", "n,,\x01auth=Bearer \x01\x01", invalidRequest, "501 5.5.2", "", ""},
		{"OAUTHBEARER", "n,,\x01auth=Basic t0k3n\x01\x01", invalidRequest, "501 5.5.2", "", ""},
		{"OAUTHBEARER", "n,,\x01auth=Bearer t0k3n\x01auth=Bearer t0k3n\x01\x01", invalidRequest, "501 5.5.2", "", ""},
		{"OAUTHBEARER", "n,,\x01auth=Bearer t0k3n\x01", invalidRequest, "501 5.5.2", "", ""},
		{"OAUTHBEARER", "n,,\x01auth=Bearer t0k3n\x01x\x01\x01", invalidRequest, "501 5.5.2", "", ""},
		{"OAUTHBEARER", "n,\x01auth=Bearer t0k3n\x01\x01", invalidRequest, "501 5.5.2", "", ""},
		{"OAUTHBEARER", "n,a=,\x01auth=Bearer t0k3n\x01\x01", invalidRequest, "501 5.5.2", "", ""},
		{"OAUTHBEARER", "n,a=x,y,\x01auth=Bearer t0k3n\x01\x01", invalidRequest, "501 5.5.2", "", ""},
		{"OAUTHBEARER", "n,x,\x01auth=Bearer t0k3n\x01\x01", invalidRequest, "501 5.5.2", "", ""},
		{"XOAUTH2", "user=u\x01auth=Bearer t0k3n\x01\x01", "", "235", "u", "t0k3n"},
		{"XOAUTH2", "user=u\x01auth=Bearer wrong\x01\x01", `{"status":"401","schemes":"bearer"}`, "535 5.7.8", "u", "wrong"},
		{"XOAUTH2", "user=u\x01auth=Bearer down\x01\x01", "", "454 4.7.0", "u", "down"},
		{"XOAUTH2", "user=u\x01x=y\x01auth=Bearer t0k3n\x01\x01", "", "501 5.5.2", "", ""},
		{"XOAUTH2", "user=u\x01auth=t0k3n\x01\x01", "", "501 5.5.2", "", ""},
		{"XOAUTH2", "auth=Bearer t0k3n\x01user=u\x01\x01", "", "501 5.5.2", "", ""},
	} {
		var user, token string
		s := start(t, func(s *testServer) {
			s.PlaintextAuthOnLoopback = true
			s.Auth = server.Tokens(func(_ context.Context, u, tok string) (string, error) {
				user, token = u, tok
				switch tok {
				case "t0k3n":
					return "somebody", nil
				case "down":
					return "", errors.New("the issuer is down")
				}
				return "", server.ErrCredentials
			})
		})
		p := s.hello()
		p.send("AUTH " + tt.mech + " " + b64(tt.response) + "\n")
		if tt.challenge != "" {
			p.expect("334 " + b64(tt.challenge))
			p.send("AQ==\n")
		}
		p.expect(tt.want)
		p.do("NOOP", "250")
		if user != tt.user || token != tt.token {
			t.Errorf("%q: verified %q %q", tt.response, user, token)
		}
		s.log.take()
	}
}
