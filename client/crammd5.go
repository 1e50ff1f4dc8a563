package client

import (
	"context"
	"crypto/hmac"
	"crypto/md5"
	"encoding/hex"
	"strings"

	"github.com/emersion/go-sasl"
)

// CRAMMD5Auth authenticates with CRAM-MD5 (RFC 2195). Nothing chooses it by
// itself: it does not show the password, but over TLS PLAIN serves better, since
// here a server has to keep the password itself, and proves nothing.
func CRAMMD5Auth(username, password string) Auth {
	return func(context.Context, AuthInfo) (sasl.Client, error) {
		if strings.ContainsAny(username, "\x00\r\n") {
			return nil, errNUL
		}
		return &cramClient{username: username, password: password}, nil
	}
}

type cramClient struct {
	username, password string
	answered           bool
}

func (c *cramClient) Start() (string, []byte, error) { return "CRAM-MD5", nil, nil }

func (c *cramClient) Next(challenge []byte) ([]byte, error) {
	if c.answered {
		return nil, sasl.ErrUnexpectedServerChallenge
	}
	c.answered = true
	mac := hmac.New(md5.New, []byte(c.password))
	mac.Write(challenge)
	return []byte(c.username + " " + hex.EncodeToString(mac.Sum(nil))), nil // RFC 2195 §2
}
