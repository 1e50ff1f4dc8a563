//go:build interop

package interop

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// Our client authenticates with Dovecot's submission server, which hands what it
// accepts to our server, and is refused with the wrong secret.
func TestSendAuthToDovecot(t *testing.T) {
	k := keep(t, &keeper{Server: server.Server{}}, listenTCP(t))
	certs := newCertificates(t)
	d := startDovecot(t, certs, dovecotOptions{relay: port(k.addr)})
	tokens := func(token string) func(context.Context) (string, error) {
		return func(context.Context) (string, error) { return token, nil }
	}
	for _, test := range []struct {
		mech  string
		auth  client.Auth
		wrong client.Auth
	}{
		{"PLAIN", client.PlainAuth(user, password), client.PlainAuth(user, "wrong")},
		{"LOGIN", client.LoginAuth(user, password), client.LoginAuth(user, "wrong")},
		{"OAUTHBEARER", client.OAuthBearerAuth(user, tokens(dovecotToken(user))), client.OAuthBearerAuth(user, tokens("wrong"))},
		{"XOAUTH2", client.XOAuth2Auth(user, tokens(dovecotToken(user))), client.XOAuth2Auth(user, tokens("wrong"))},
	} {
		t.Run(test.mech, func(t *testing.T) {
			c := &client.Client{Addr: address(d.submission), TLSConfig: certs.client(t), Auth: test.auth,
				Timeouts: client.EveryTimeout(30 * time.Second)}
			defer c.Close()
			subject := "to dovecot with " + test.mech
			msg := message(subject)
			if _, err := c.Send(t.Context(), newEnvelope(t, one), smtp.BytesContent(msg)); err != nil {
				t.Fatal(err)
			}
			sameBytes(t, original(t, k.message(t, subject).data), msg)
			d.logged(t, "submission-login", "Logged in: user=<"+user+">, method="+test.mech)

			wrong := &client.Client{Addr: c.Addr, TLSConfig: c.TLSConfig, Auth: test.wrong, Timeouts: c.Timeouts}
			defer wrong.Close()
			_, err := wrong.Send(t.Context(), newEnvelope(t, one), smtp.BytesContent(msg))
			var auth *client.AuthError
			var refused *smtp.Error
			if !errors.As(err, &auth) || auth.Mechanism != test.mech || !errors.As(err, &refused) || refused.Reply.Code != smtp.CodeAuthFailed {
				t.Errorf("with the wrong secret: %v", err)
			}
		})
	}
}
