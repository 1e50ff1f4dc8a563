package client

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/emersion/go-sasl"
)

// PlainAuth authenticates with PLAIN (RFC 4616).
func PlainAuth(username, password string) Auth {
	return func(context.Context, AuthInfo) (sasl.Client, error) {
		return plain(username, password)
	}
}

// LoginAuth authenticates with LOGIN, which some servers offer in place of PLAIN.
func LoginAuth(username, password string) Auth {
	return func(context.Context, AuthInfo) (sasl.Client, error) {
		return &loginClient{answers: []string{username, password}}, nil
	}
}

// PasswordAuth authenticates with the strongest mechanism offered that takes a
// password and that this connection can use: those of ScramAuth, then PLAIN, then
// LOGIN, both of which show the password to the server. CRAM-MD5 is not among
// them. If SASLprep (RFC 4013) does not allow the name or the password, there is
// no SCRAM.
//
// It does not try a weaker mechanism after a stronger one has failed: that would
// let a server choose to see the password.
func PasswordAuth(username, password string) Auth {
	account := newScramAccount(username, password)
	return func(_ context.Context, info AuthInfo) (sasl.Client, error) {
		m, ok := account.choose(info)
		switch {
		case ok:
			return m, nil
		case info.Offers(sasl.Plain):
			return plain(username, password)
		case info.Offers(sasl.Login):
			return &loginClient{answers: []string{username, password}}, nil
		}
		return nil, fmt.Errorf("the server offers no mechanism for a password that this connection can use: %q", info.Mechanisms)
	}
}

// ExternalAuth authenticates with EXTERNAL: as whom the TLS client certificate
// says (RFC 4422 appendix A). Identity is whom to act as; if "", the server
// derives it from the certificate.
func ExternalAuth(identity string) Auth {
	return func(context.Context, AuthInfo) (sasl.Client, error) {
		return sasl.NewExternalClient(identity), nil
	}
}

// OAuthBearerAuth authenticates with OAUTHBEARER (RFC 7628). Token is called for
// every authentication and returns an access token that is valid now.
func OAuthBearerAuth(username string, token func(context.Context) (string, error)) Auth {
	return func(ctx context.Context, info AuthInfo) (sasl.Client, error) {
		t, err := freshToken(ctx, token)
		if err != nil {
			return nil, err
		}
		if strings.ContainsAny(username, "\x00\x01") { // RFC 7628 §3.1
			return nil, errNUL
		}
		return &oauthClient{
			Client: sasl.NewOAuthBearerClient(&sasl.OAuthBearerOptions{
				Username: saslName.Replace(username), Token: t, Host: info.Host, Port: info.Port,
			}),
			ack: []byte{1}, // RFC 7628 §3.2.3
		}, nil
	}
}

// XOAuth2Auth authenticates with XOAUTH2, the predecessor of OAUTHBEARER that
// Google and Microsoft still ask for. Token is as for OAuthBearerAuth.
func XOAuth2Auth(username string, token func(context.Context) (string, error)) Auth {
	return func(ctx context.Context, _ AuthInfo) (sasl.Client, error) {
		t, err := freshToken(ctx, token)
		if err != nil {
			return nil, err
		}
		if strings.ContainsAny(username, "\x00\x01") {
			return nil, errNUL
		}
		return &oauthClient{Client: xoauth2Client("user=" + username + "\x01auth=Bearer " + t + "\x01\x01"), ack: []byte{}}, nil
	}
}

func freshToken(ctx context.Context, token func(context.Context) (string, error)) (string, error) {
	t, err := token(ctx)
	if err == nil && strings.ContainsFunc(t, func(r rune) bool { return r < '!' || r > '~' }) {
		err = errors.New("the token contains an octet that no token may contain")
	}
	return t, err
}

func plain(username, password string) (sasl.Client, error) {
	if strings.Contains(username+password, "\x00") {
		return nil, errNUL // RFC 4616 §2
	}
	return sasl.NewPlainClient("", username, password), nil
}

var errNUL = errors.New("the credentials contain an octet that would end them")

// saslName escapes what GS2 gives a meaning (RFC 5801 §4).
var saslName = strings.NewReplacer("=", "=3D", ",", "=2C")

// loginClient answers by position and not by the prompt, whose wording differs
// between servers. It sends no initial response, which some do not understand.
type loginClient struct{ answers []string }

func (l *loginClient) Start() (string, []byte, error) { return sasl.Login, nil, nil }

func (l *loginClient) Next([]byte) ([]byte, error) {
	if len(l.answers) == 0 {
		return nil, sasl.ErrUnexpectedServerChallenge
	}
	next := l.answers[0]
	l.answers = l.answers[1:]
	return []byte(next), nil
}

// oauthClient answers the challenge in which a server explains why it refuses a
// token: only after this answer comes the negative reply.
type oauthClient struct {
	sasl.Client
	ack         []byte
	explanation string
	explained   bool
}

func (o *oauthClient) Next(challenge []byte) ([]byte, error) {
	if o.explained {
		return nil, sasl.ErrUnexpectedServerChallenge
	}
	o.explained, o.explanation = true, string(challenge)
	return o.ack, nil
}

func (o *oauthClient) detail() string { return o.explanation }

type xoauth2Client string

func (x xoauth2Client) Start() (string, []byte, error) { return "XOAUTH2", []byte(x), nil }
func (x xoauth2Client) Next([]byte) ([]byte, error)    { return nil, sasl.ErrUnexpectedServerChallenge }
