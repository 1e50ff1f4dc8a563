package server

import (
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"strings"
	"time"
)

// CRAMMD5 returns an Authenticator that offers CRAM-MD5 (RFC 2195), for clients
// that know nothing else. It needs the passwords themselves, it does not prove to
// the client who the server is, and who hears an exchange can guess passwords at
// the speed of MD5. So it is offered where the others are, over TLS or on loopback
// by explicit choice; there, prefer anything else.
//
// Password returns a user's password, ErrCredentials if there is no such user,
// and any other error if it cannot tell.
func CRAMMD5(password func(ctx context.Context, user string) (string, error)) Authenticator {
	return cramMD5(password)
}

type cramMD5 func(context.Context, string) (string, error)

func (p cramMD5) Mechanisms(*Conn) []string { return []string{"CRAM-MD5"} }

func (p cramMD5) Begin(ctx context.Context, c *Conn, _ string) (Exchange, error) {
	return &cramExchange{ctx: ctx, password: p, challenge: newChallenge(c.Info().Hostname)}, nil
}

// newChallenge is a msg-id that never comes twice (RFC 2195 §2).
func newChallenge(hostname string) string {
	return "<" + rand.Text() + "." + time.Now().UTC().Format("20060102150405") + "@" + hostname + ">"
}

type cramExchange struct {
	ctx       context.Context
	password  cramMD5
	challenge string
	asked     bool
	user      string
}

func (x *cramExchange) Identity() string { return x.user }

func (x *cramExchange) Next(response []byte) ([]byte, bool, error) {
	switch {
	case response == nil && !x.asked:
		x.asked = true
		return []byte(x.challenge), false, nil
	case !x.asked || x.challenge == "": // the server speaks first, and once
		return nil, false, errMalformed
	}
	challenge := x.challenge
	x.challenge = ""
	at := strings.LastIndexByte(string(response), ' ')
	if at < 0 || len(response)-at-1 != 2*md5.Size {
		return nil, false, errMalformed
	}
	x.user = string(response[:at])
	password, err := x.password(x.ctx, x.user)
	if err != nil && !errors.Is(err, ErrCredentials) {
		return nil, false, err
	}
	if !hmac.Equal(response[at+1:], cramDigest(password, challenge)) || err != nil || password == "" {
		return nil, false, ErrCredentials
	}
	return nil, true, nil
}

// cramDigest is the keyed digest in lower-case hexadecimal (RFC 2195 §2).
func cramDigest(password, challenge string) []byte {
	mac := hmac.New(md5.New, []byte(password))
	mac.Write([]byte(challenge))
	return []byte(hex.EncodeToString(mac.Sum(nil)))
}
