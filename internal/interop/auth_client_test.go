//go:build interop

package interop

import (
	"context"
	"crypto/tls"
	"errors"
	"testing"
	"time"

	"github.com/emersion/go-sasl"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/smtp"
)

// only hides all mechanisms but one from auth.
func only(mech string, auth client.Auth) client.Auth {
	return func(ctx context.Context, info client.AuthInfo) (sasl.Client, error) {
		info.Mechanisms = []string{mech}
		return auth(ctx, info)
	}
}

// bearer is a source of one token.
func bearer(token string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return token, nil }
}

// authAttempt is one way for our client to authenticate.
type authAttempt struct {
	name  string
	mech  string
	right client.Auth
	wrong client.Auth // nil: the mechanism has no secret
	mode  client.TLSMode
	tls   uint16 // the newest version; 0: any
}

// byPassword are the mechanisms that take a password.
func byPassword(mechs ...string) (all []authAttempt) {
	for _, mech := range mechs {
		a := authAttempt{name: mech, mech: mech, right: client.PasswordAuth(user, password), wrong: client.PasswordAuth(user, "wrong")}
		if mech == "CRAM-MD5" {
			a.right, a.wrong = client.CRAMMD5Auth(user, password), client.CRAMMD5Auth(user, "wrong")
		}
		a.right, a.wrong = only(mech, a.right), only(mech, a.wrong)
		all = append(all, a)
	}
	return all
}

// strongest is what PasswordAuth chooses by itself.
func strongest(mech string) authAttempt {
	return authAttempt{name: "strongest", mech: mech,
		right: client.PasswordAuth(user, password), wrong: client.PasswordAuth(user, "wrong")}
}

// try sends a message with the right secret and none with the wrong one. What
// has come of it the caller looks up by the subject.
func (a authAttempt) try(t *testing.T, certs certificates, addr, to, subject string) (msg []byte) {
	t.Helper()
	config := certs.client(t)
	config.MaxVersion = a.tls
	c := &client.Client{Addr: addr, TLSMode: a.mode, TLSConfig: config, Auth: a.right, Timeouts: client.EveryTimeout(30 * time.Second)}
	defer c.Close()
	msg = message(subject)
	if _, err := c.Send(t.Context(), newEnvelope(t, to), smtp.BytesContent(msg)); err != nil {
		t.Fatal(err)
	}
	if a.wrong == nil {
		return msg
	}
	wrong := &client.Client{Addr: addr, TLSMode: a.mode, TLSConfig: config, Auth: a.wrong, Timeouts: c.Timeouts}
	defer wrong.Close()
	_, err := wrong.Send(t.Context(), newEnvelope(t, to), smtp.BytesContent(message(subject+" refused")))
	keptOut(t, err, a.mech)
	return msg
}

// keptOut checks that the server has said 535 to the mechanism.
func keptOut(t *testing.T, err error, mech string) {
	t.Helper()
	var auth *client.AuthError
	var refused *smtp.Error
	if !errors.As(err, &auth) || auth.Mechanism != mech || !errors.As(err, &refused) || refused.Reply.Code != smtp.CodeAuthFailed {
		t.Errorf("want 535 to %s, got: %v", mech, err)
	}
}

// Dovecot's submission server lets our client in by every mechanism that it
// knows, SCRAM bound to TLS of either version among them; without TLS there is
// nothing to bind to. What it accepts it hands to our server.
func TestSendAuthToDovecot(t *testing.T) {
	k := keep(t, &keeper{}, listenTCP(t))
	certs := newCertificates(t)
	d := startDovecot(t, certs, dovecotOptions{relay: port(k.addr)})
	older, plaintext := strongest("SCRAM-SHA-256-PLUS"), strongest("SCRAM-SHA-256")
	older.name, older.tls = "strongest with TLS 1.2", tls.VersionTLS12
	plaintext.name, plaintext.mode = "strongest without TLS", client.Plaintext
	sha1 := byPassword("SCRAM-SHA-1")[0]
	sha1.mode = client.Plaintext
	for _, a := range append(byPassword("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1-PLUS"),
		strongest("SCRAM-SHA-256-PLUS"), older, plaintext, sha1,
		authAttempt{name: "OAUTHBEARER", mech: "OAUTHBEARER",
			right: client.OAuthBearerAuth(user, bearer(dovecotToken(user))), wrong: client.OAuthBearerAuth(user, bearer("wrong"))},
		authAttempt{name: "XOAUTH2", mech: "XOAUTH2",
			right: client.XOAuth2Auth(user, bearer(dovecotToken(user))), wrong: client.XOAuth2Auth(user, bearer("wrong"))},
	) {
		t.Run(a.name, func(t *testing.T) {
			subject := "to dovecot with " + a.name
			msg := a.try(t, certs, address(d.submission), one, subject)
			sameBytes(t, original(t, k.message(t, subject).data), msg)
			d.logged(t, "submission-login", "Logged in: user=<"+user+">, method="+a.mech+",")
		})
	}
}

// Somebody in the middle has taken the mechanisms with PLUS out of what Dovecot
// offers. Our client says, under the seal of SCRAM, that it has not seen them
// (RFC 5802 §6), and Dovecot does not let it in, although the password is right.
func TestSendAuthDowngraded(t *testing.T) {
	certs := newCertificates(t)
	d := startDovecot(t, certs, dovecotOptions{})
	c := &client.Client{Addr: address(d.submission), TLSConfig: certs.client(t), Timeouts: client.EveryTimeout(30 * time.Second),
		Auth: only("SCRAM-SHA-256", client.PasswordAuth(user, password))}
	defer c.Close()
	_, err := c.Send(t.Context(), newEnvelope(t, one), smtp.BytesContent(plainMessage("downgraded")))
	keptOut(t, err, "SCRAM-SHA-256")
}

// Postfix with Cyrus SASL, which knows SCRAM without channel binding.
func TestSendAuthToPostfix(t *testing.T) {
	certs := newCertificates(t)
	s := startPostfix(t, certs)
	for _, a := range append(byPassword("CRAM-MD5", "SCRAM-SHA-1"), strongest("SCRAM-SHA-256")) {
		t.Run(a.name, func(t *testing.T) {
			subject := "to postfix with " + a.name
			msg := a.try(t, certs, address(s.submit), one, subject)
			sameBytes(t, withCRLF(t, original(t, s.delivered(t, "one", subject))), msg)
			s.logged(t, "sasl_method="+a.mech+",", "sasl_username="+user)
		})
	}
}

// Exim knows our client by its certificate.
func TestSendAuthToExim(t *testing.T) {
	certs := newCertificates(t)
	s := startExim(t, certs)
	for _, a := range append(byPassword("CRAM-MD5"), authAttempt{name: "EXTERNAL", mech: "EXTERNAL", right: client.ExternalAuth("")}) {
		t.Run(a.name, func(t *testing.T) {
			subject := "to exim with " + a.name
			msg := a.try(t, certs, address(s.submit), one, subject)
			sameBytes(t, withCRLF(t, original(t, s.delivered(t, "one", subject))), msg)
			driver := map[string]string{"CRAM-MD5": "cram", "EXTERNAL": "external"}[a.mech]
			s.logged(t, "A="+driver+":"+user)
		})
	}
}
