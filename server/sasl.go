package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/emersion/go-sasl"
)

// Passwords returns an Authenticator that offers PLAIN (RFC 4616) and LOGIN.
// Verify returns nil if the password is the user's, ErrCredentials if it is
// not, and any other error if it cannot tell. It should take as long for a
// user that does not exist. It is not asked about an empty user or password, nor
// one with a NUL: these are refused, as is an authorization identity that
// differs from the user.
func Passwords(verify func(ctx context.Context, user, password string) error) Authenticator {
	return byPassword(func(ctx context.Context, user, password string) (string, error) {
		return user, verify(ctx, user, password)
	})
}

func byPassword(verify func(ctx context.Context, user, password string) (identity string, err error)) Authenticator {
	check := func(ctx context.Context, user, password string) (string, error) {
		if user == "" || password == "" || strings.Contains(user+password, "\x00") { // RFC 4616 §2
			return "", ErrCredentials
		}
		return verify(ctx, user, password)
	}
	return mechanisms{
		{"PLAIN", func(ctx context.Context) Exchange { return newPlain(ctx, check) }},
		{"LOGIN", func(ctx context.Context) Exchange { return &login{exchange: exchange{ctx: ctx, verify: check}} }},
	}
}

// Authenticators joins several into one, which offers the mechanisms of all.
// Of those that offer the same mechanism the first runs it.
func Authenticators(list ...Authenticator) Authenticator { return joined(list) }

type joined []Authenticator

func (j joined) Mechanisms(c *Conn) []string {
	var names []string
	for _, a := range j {
		for _, m := range a.Mechanisms(c) {
			if !slices.Contains(names, m) {
				names = append(names, m)
			}
		}
	}
	return names
}

func (j joined) Begin(ctx context.Context, c *Conn, mech string) (Exchange, error) {
	for _, a := range j {
		if slices.Contains(a.Mechanisms(c), mech) {
			return a.Begin(ctx, c, mech)
		}
	}
	return nil, errNoMechanism
}

var (
	errNoMechanism = errors.New("smtp server: authenticator does not know the mechanism it was asked for")
	errMalformed   = errors.New("smtp server: malformed authentication response")
)

type mechanisms []struct {
	name  string
	begin func(context.Context) Exchange
}

func (m mechanisms) Mechanisms(*Conn) []string {
	names := make([]string, len(m))
	for i := range m {
		names[i] = m[i].name
	}
	return names
}

func (m mechanisms) Begin(ctx context.Context, _ *Conn, mech string) (Exchange, error) {
	for i := range m {
		if m[i].name == mech {
			return m[i].begin(ctx), nil
		}
	}
	return nil, errNoMechanism
}

// exchange is what the mechanisms have in common.
type exchange struct {
	ctx      context.Context
	verify   func(ctx context.Context, user, secret string) (string, error)
	identity string
	checked  bool
	err      error // of verify
}

func (x *exchange) Identity() string { return x.identity }

func (x *exchange) check(user, secret string) error {
	x.checked = true
	x.identity, x.err = x.verify(x.ctx, user, secret)
	return x.err
}

// outcome tells what verify said from what the mechanism found malformed.
func (x *exchange) outcome(err error) error {
	switch {
	case err == nil:
		return nil
	case x.err != nil:
		return x.err
	case x.checked:
		return err
	}
	return fmt.Errorf("%w: %v", errMalformed, err)
}

type plain struct {
	exchange
	sasl.Server
}

func newPlain(ctx context.Context, verify func(context.Context, string, string) (string, error)) Exchange {
	x := &plain{exchange: exchange{ctx: ctx, verify: verify}}
	x.Server = sasl.NewPlainServer(func(identity, user, password string) error {
		if identity != "" && identity != user {
			x.checked = true
			return ErrCredentials
		}
		return x.check(user, password)
	})
	return x
}

func (x *plain) Next(response []byte) ([]byte, bool, error) {
	challenge, done, err := x.Server.Next(response)
	return challenge, done, x.outcome(err)
}

// login is LOGIN, which has no RFC: two prompts.
type login struct {
	exchange
	user  string
	state int
}

func (x *login) Next(response []byte) ([]byte, bool, error) {
	switch {
	case x.state == 0 && response == nil:
		x.state = 1
		return []byte("Username:"), false, nil
	case x.state <= 1:
		x.user, x.state = string(response), 2
		return []byte("Password:"), false, nil
	case x.state == 2:
		x.state = 3
		return nil, true, x.check(x.user, string(response))
	}
	return nil, false, sasl.ErrUnexpectedClientResponse
}
