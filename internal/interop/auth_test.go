//go:build interop

package interop

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"slices"
	"strings"
	"testing"

	"github.com/postrider/postrider/server"
)

const token = "ya29.a0AfB_byC-x/y+z=="

// authKeeper is a submission server of ours that offers every mechanism there
// is, over that version of TLS or 0 for none, and the root of the clients that
// try them.
func authKeeper(t *testing.T, version uint16) (*keeper, *root) {
	t.Helper()
	certs := newCertificates(t)
	k := newAuthKeeper(t, certs, version)
	r := newRoot(t, "tools")
	r.write(t, caPath, certs.ca, 0o644)
	r.write(t, certPath, certs.clientCert, 0o644)
	r.write(t, keyPath, certs.clientKey, 0o600)
	return k, r
}

func newAuthKeeper(t *testing.T, certs certificates, version uint16) *keeper {
	t.Helper()
	k := &keeper{Server: server.Server{
		Role:      server.Submission,
		TLSConfig: certs.server(t),
		Auth:      everyMechanism(t),
		// GNU SASL does not find STARTTLS if that is the last word of EHLO.
		Extensions: []server.Extension{server.DSN},
	}}
	k.PlaintextAuthOnLoopback = version == 0
	k.TLSConfig.MaxVersion = version
	return keep(t, k, listenTCP(t))
}

// everyMechanism lets user in, by password, by token and by certificate.
func everyMechanism(t *testing.T) server.Authenticator {
	t.Helper()
	stored, err := server.NewCredential(password, 4096, "SCRAM-SHA-256", "SCRAM-SHA-1")
	if err != nil {
		t.Fatal(err)
	}
	return server.Authenticators(
		&server.Credentials{SHA1: true, Iterations: 4096, Lookup: func(_ context.Context, name string) (server.Credential, error) {
			if name != user {
				return server.Credential{}, server.ErrCredentials
			}
			return stored, nil
		}},
		server.CRAMMD5(func(_ context.Context, name string) (string, error) {
			if name != user {
				return "", server.ErrCredentials
			}
			return password, nil
		}),
		server.External(func(_ context.Context, _ *server.Conn, cert *x509.Certificate, authzid string) (string, error) {
			if authzid != "" && authzid != cert.Subject.CommonName {
				return "", server.ErrCredentials
			}
			return cert.Subject.CommonName, nil
		}),
		server.Tokens(func(_ context.Context, claimed, given string) (string, error) {
			if claimed != user || given != token {
				return "", server.ErrCredentials
			}
			return user, nil
		}),
	)
}

// Other people's clients authenticate with our server, and are told when they
// fail to; of OAuth's mechanisms that takes one message more. SCRAM is bound to
// TLS 1.3 by tls-exporter, to TLS 1.2 by tls-unique (RFC 9266).
func TestReceiveAuth(t *testing.T) {
	for _, test := range []struct {
		version uint16
		clients []authClient
	}{
		{tls.VersionTLS13, []authClient{
			{"msmtp", msmtp, []string{"SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "PLAIN", "LOGIN", "CRAM-MD5", "EXTERNAL", "OAUTHBEARER", "XOAUTH2"}},
			{"curl", curl, []string{"PLAIN", "LOGIN", "CRAM-MD5", "EXTERNAL", "OAUTHBEARER", "XOAUTH2"}},
			{"curl-sasl-ir", curlInitialResponse, []string{"PLAIN", "LOGIN", "EXTERNAL", "OAUTHBEARER", "XOAUTH2"}},
			{"swaks", swaks, []string{"CRAM-MD5"}},
		}},
		{tls.VersionTLS12, []authClient{
			{"msmtp", msmtp, []string{"SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "EXTERNAL"}},
			{"curl", curl, []string{"EXTERNAL"}},
		}},
		// Where msmtp could use a mechanism with PLUS, it does not use one without.
		{0, []authClient{{"msmtp", msmtp, []string{"SCRAM-SHA-256", "SCRAM-SHA-1"}}}},
	} {
		t.Run(versionName(test.version), func(t *testing.T) { testReceiveAuth(t, test.version, test.clients) })
	}
}

// authClient is a sender and the mechanisms that it knows.
type authClient struct {
	name    string
	command func(*testing.T, *root, submission) ([]string, []byte)
	mechs   []string
}

func versionName(version uint16) string {
	if version == 0 {
		return "plaintext"
	}
	return strings.ReplaceAll(tls.VersionName(version), " ", "")
}

func testReceiveAuth(t *testing.T, version uint16, clients []authClient) {
	k, r := authKeeper(t, version)
	for _, client := range clients {
		for _, mech := range client.mechs {
			t.Run(client.name+"/"+mech, func(t *testing.T) {
				subject := "auth " + client.name + " " + mech
				sub := submission{port: portOf(k.addr), mech: mech, password: password,
					cert: mech == "EXTERNAL", from: author, to: []string{one}, message: message(subject)}
				if version != 0 {
					sub.tls = "starttls"
				}
				if strings.Contains(mech, "OAUTH") {
					sub.password = token
				}
				argv, stdin := client.command(t, r, sub)
				if res := run(t, r, stdin, argv...); res.code != 0 {
					t.Fatal(res)
				}
				got := k.message(t, subject)
				if got.Mechanism != mech || got.Identity != user {
					t.Errorf("authenticated with %s as %s", got.Mechanism, got.Identity)
				}
				if version != 0 && got.TLS.Version != version {
					t.Errorf("over %s", tls.VersionName(got.TLS.Version))
				}
				sameBytes(t, got.data, sub.message)

				subject += " refused"
				sub.password, sub.cert, sub.message = "wrong", false, message(subject)
				said := "535"
				switch {
				case mech == "EXTERNAL":
					said = "" // not offered to a client without a certificate
				case mech == "XOAUTH2" && strings.HasPrefix(client.name, "curl"):
					said = "334" // curl leaves when it is told why
				}
				argv, stdin = client.command(t, r, sub)
				if res := run(t, r, stdin, argv...); res.code == 0 || !strings.Contains(res.output(), said) {
					t.Errorf("want a failure and %s, got %v", said, res)
				}
				if len(k.about(subject)) != 0 {
					t.Error("accepted")
				}
			})
		}
	}
}

// curl sends the first response with AUTH only when told to.
func curlInitialResponse(t *testing.T, r *root, s submission) ([]string, []byte) {
	argv, stdin := curl(t, r, s)
	return append(argv, "--sasl-ir"), stdin
}

// GNU SASL's own client does nothing but authenticate. It can also be told to
// leave out the channel binding that it has, and the first response.
func TestReceiveAuthFromGSASL(t *testing.T) {
	k, r := authKeeper(t, tls.VersionTLS13)
	for _, test := range []struct {
		name, mech, password string
		args                 []string
	}{
		{"bound", "SCRAM-SHA-256-PLUS", password, nil},
		{"bound-sha1", "SCRAM-SHA-1-PLUS", password, nil},
		{"not-bound", "SCRAM-SHA-256", password, []string{"--no-cb"}},
		{"no-initial-response", "SCRAM-SHA-256-PLUS", password, []string{"--no-client-first"}},
		{"certificate", "EXTERNAL", "", []string{"--x509-cert-file", certPath, "--x509-key-file", keyPath}},
		{"wrong", "SCRAM-SHA-256-PLUS", "wrong", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := len(k.sessions())
			res := run(t, r, nil, append([]string{"/usr/bin/gsasl", "--smtp", "--x509-ca-file", caPath,
				"--connect", "localhost:" + port(k.addr), "--mechanism", test.mech,
				"--authentication-id", user, "--password", test.password, "--verbose"}, test.args...)...)
			k.waitFor(t, "the end of the session", func() bool { return len(k.ended) > before })
			got := k.sessions()[before]
			if test.name == "wrong" {
				if res.code == 0 || got.Identity != "" {
					t.Errorf("let in as %q\n%v", got.Identity, res)
				}
				return
			}
			if res.code != 0 || got.Mechanism != test.mech || got.Identity != user {
				t.Errorf("authenticated with %q as %q\n%v", got.Mechanism, got.Identity, res)
			}
		})
	}
}

// Postfix and Exim authenticate as they hand mail on: by SCRAM and CRAM-MD5, and
// Exim by its certificate.
func TestReceiveAuthFromServers(t *testing.T) {
	certs := newCertificates(t)
	k := newAuthKeeper(t, certs, tls.VersionTLS13)
	for _, test := range []struct {
		name, mech string
		start      func(*testing.T) *mailServer
	}{
		{"postfix", "SCRAM-SHA-256", func(t *testing.T) *mailServer { return startRelayWithSASL(t, certs, k, "SCRAM-SHA-256") }},
		{"postfix", "SCRAM-SHA-1", func(t *testing.T) *mailServer { return startRelayWithSASL(t, certs, k, "SCRAM-SHA-1") }},
		{"exim", "CRAM-MD5", func(t *testing.T) *mailServer {
			return startEximWith(t, certs, eximOptions{relay: port(k.addr), transport: "hosts_require_auth = *",
				cram: "client_name = " + user + "\n  client_secret = " + password})
		}},
		{"exim", "EXTERNAL", func(t *testing.T) *mailServer {
			return startEximWith(t, certs, eximOptions{relay: port(k.addr),
				transport: "hosts_require_auth = *\n  tls_certificate = /etc/tls/client.pem\n  tls_privatekey = /etc/tls/client.key",
				external:  "client_send = " + user})
		}},
	} {
		t.Run(test.name+"/"+test.mech, func(t *testing.T) {
			s := test.start(t)
			subject := "from " + test.name + " with " + test.mech
			msg := message(subject)
			send(t, msg, s.plain, append(envelope("anybody@"+relayDomain), "-tls", "none")...).want(t, sent)
			got := k.message(t, subject)
			sameBytes(t, original(t, got.data), msg)
			if got.Mechanism != test.mech || got.Identity != user {
				t.Errorf("authenticated with %s as %s", got.Mechanism, got.Identity)
			}
		})
	}
}

// startRelayWithSASL starts a Postfix that hands mail to k and authenticates
// with mech.
func startRelayWithSASL(t *testing.T, certs certificates, k *keeper, mech string) *mailServer {
	t.Helper()
	nexthop := "[127.0.0.1]:" + port(k.addr)
	return startPostfixWith(t, certs, relayTo(relayDomain, "smtp:"+nexthop)+`
smtp_tls_security_level = encrypt
smtp_sasl_auth_enable = yes
smtp_sasl_security_options = noanonymous
smtp_sasl_mechanism_filter = `+mech+`
smtp_sasl_password_maps = inline:{ {`+nexthop+` = `+user+`:`+password+`} }
`, "")
}

// sessions returns the sessions that have ended so far.
func (k *keeper) sessions() []server.Info {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.ended)
}
