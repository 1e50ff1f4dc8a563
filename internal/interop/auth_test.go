//go:build interop

package interop

import (
	"context"
	"strings"
	"testing"

	"github.com/postrider/postrider/server"
)

const token = "ya29.a0AfB_byC-x/y+z=="

// authKeeper is a submission server of ours that offers every mechanism there
// is, and the root of the clients that try them.
func authKeeper(t *testing.T) (*keeper, *root) {
	t.Helper()
	certs := newCertificates(t)
	r := newRoot(t, "tools")
	r.write(t, caPath, certs.ca, 0o644)
	r.write(t, certPath, certs.clientCert, 0o644)
	r.write(t, keyPath, certs.clientKey, 0o600)
	k := &keeper{Server: server.Server{
		Role:      server.Submission,
		TLSConfig: certs.server(t),
		Auth: server.Authenticators(
			server.Tokens(func(_ context.Context, claimed, given string) (string, error) {
				if claimed != user || given != token {
					return "", server.ErrCredentials
				}
				return user, nil
			}),
		),
	}}
	return keep(t, k, listenTCP(t)), r
}

// Other people's clients authenticate with our server, and are told when they
// fail to; of OAuth's mechanisms that takes one message more.
func TestReceiveAuth(t *testing.T) {
	k, r := authKeeper(t)
	for _, test := range []struct {
		name    string
		command func(*testing.T, *root, submission) ([]string, []byte)
		mech    string
	}{
		{"msmtp", msmtp, "OAUTHBEARER"},
		{"msmtp", msmtp, "XOAUTH2"},
		{"curl", curl, "OAUTHBEARER"},
		{"curl", curl, "XOAUTH2"},
		{"curl-sasl-ir", curlInitialResponse, "OAUTHBEARER"},
		{"curl-sasl-ir", curlInitialResponse, "XOAUTH2"},
	} {
		t.Run(test.name+"/"+test.mech, func(t *testing.T) {
			subject := "auth " + test.name + " " + test.mech
			sub := submission{port: portOf(k.addr), tls: "starttls", mech: test.mech, password: password,
				from: author, to: []string{one}, message: message(subject)}
			switch test.mech {
			case "OAUTHBEARER", "XOAUTH2":
				sub.password = token
			}
			argv, stdin := test.command(t, r, sub)
			if res := run(t, r, stdin, argv...); res.code != 0 {
				t.Fatal(res)
			}
			got := k.message(t, subject)
			if got.Mechanism != test.mech || got.Identity != user {
				t.Errorf("authenticated with %s as %s", got.Mechanism, got.Identity)
			}
			sameBytes(t, got.data, sub.message)

			subject += " refused"
			sub.password, sub.message = "wrong", message(subject)
			argv, stdin = test.command(t, r, sub)
			said := "535"
			if test.mech == "XOAUTH2" && strings.HasPrefix(test.name, "curl") {
				said = "334" // curl leaves when it is told why
			}
			if res := run(t, r, stdin, argv...); res.code == 0 || !strings.Contains(res.output(), said) {
				t.Errorf("want a failure and %s, got %v", said, res)
			}
			if len(k.about(subject)) != 0 {
				t.Error("accepted")
			}
		})
	}
}

// curl sends the first response with AUTH only when told to.
func curlInitialResponse(t *testing.T, r *root, s submission) ([]string, []byte) {
	argv, stdin := curl(t, r, s)
	return append(argv, "--sasl-ir"), stdin
}
