package client

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"net"
	"slices"
	"strings"

	"github.com/emersion/go-sasl"

	"github.com/postrider/postrider/smtp"
)

// Auth chooses a SASL mechanism and returns the client's side of it. It is called
// once for each authentication. PlainAuth, PasswordAuth and the like return ready
// ones. It must be safe for concurrent use.
//
// A sasl.Client may have a method Complete() error. It is called when the server
// reports success; an error, that the server has proved too little, closes the
// connection.
type Auth func(ctx context.Context, info AuthInfo) (sasl.Client, error)

// AuthInfo is what an Auth may base its choice on.
type AuthInfo struct {
	Mechanisms []string             // what the server offers, in upper case
	TLS        *tls.ConnectionState // nil without TLS
	Host       string               // the server's name as it was dialled
	Port       int                  // 0 if unknown
}

// Offers reports whether the server offers mechanism.
func (i AuthInfo) Offers(mechanism string) bool { return slices.Contains(i.Mechanisms, mechanism) }

// maxAuthRounds bounds the challenges of one exchange; no mechanism needs four.
const maxAuthRounds = 16

// Auth authenticates (RFC 4954). Its errors are *AuthError, except those after
// which the connection is of no more use. ErrPlaintextAuth is within if the
// connection is neither TLS with a verified peer nor a loopback connection.
func (c *Conn) Auth(ctx context.Context, auth Auth) error {
	if err := c.enter(ctx, "AUTH"); err != nil {
		return err
	}
	defer c.leave()
	return c.authenticate(ctx, auth)
}

func (c *Conn) authenticate(ctx context.Context, auth Auth) error {
	if !c.verified && !c.loopback() {
		return &AuthError{Err: ErrPlaintextAuth}
	}
	info := AuthInfo{Mechanisms: c.offers.AuthMechanisms(), Host: c.cfg.Host}
	if state, ok := c.TLSConnectionState(); ok {
		info.TLS = &state
	}
	if tcp, ok := c.raw.RemoteAddr().(*net.TCPAddr); ok {
		info.Port = tcp.Port
	}
	mechanism, err := auth(ctx, info)
	if err != nil {
		return &AuthError{Err: err}
	}
	name, first, err := mechanism.Start()
	switch {
	case err != nil:
		return &AuthError{Mechanism: name, Err: err}
	case !info.Offers(name):
		return &AuthError{Mechanism: name, Err: errMechanism}
	}
	c.replies.MaxLine = len("334 ") + smtp.MaxAuthLine + len("\r\n")
	err = c.exchange(name, first, mechanism)
	c.replies.MaxLine = 0
	if err == nil || c.dead != nil {
		return err
	}
	failed := &AuthError{Mechanism: name, Err: err}
	if m, ok := mechanism.(interface{ detail() string }); ok {
		failed.Detail = m.detail()
	}
	return failed
}

// exchange plays the challenges and responses (RFC 4954 §4).
func (c *Conn) exchange(name string, first []byte, mechanism sasl.Client) error {
	line := "AUTH " + name
	shown := line
	pending := first != nil // an initial response that has not gone out
	if encoded := encodeInitial(first); pending && len(line)+1+len(encoded)+2 <= smtp.MaxCommandLine {
		line += " " + encoded
		shown += " " + redacted
		pending = false
	}
	if err := c.inStep("AUTH"); err != nil {
		return err
	}
	for range maxAuthRounds {
		challenge, done, err := c.authLine(line, shown)
		switch m, ok := mechanism.(interface{ Complete() error }); {
		case err != nil, done && !ok:
			return err
		case done:
			if err := m.Complete(); err != nil {
				return c.outOfStep("AUTH", err.Error())
			}
			return nil
		}
		var response []byte
		if pending { // too long for the command line: the server asks with an empty challenge
			pending, response = false, first
		} else if response, err = answer(mechanism, challenge); err == errImpostor {
			return c.outOfStep("AUTH", err.Error())
		} else if err != nil {
			return c.cancelAuth(err)
		}
		line, shown = base64.StdEncoding.EncodeToString(response), redacted
		if len(line)+2 > smtp.MaxAuthLine { // RFC 4954 §4
			return c.cancelAuth(errors.New("the response is longer than a line may be"))
		}
	}
	return c.cancelAuth(errors.New("the exchange does not end"))
}

// authLine writes one line and returns the challenge that answers it, still in
// base64, or done.
func (c *Conn) authLine(line, shown string) (challenge string, done bool, err error) {
	if _, err := c.send("AUTH", append(append(c.buf[:0], line...), "\r\n"...), c.cfg.Timeouts.Command); err != nil {
		return "", false, err
	}
	clear(c.buf[:cap(c.buf)]) // the credentials need not lie about
	c.traceWrote([]byte(shown))
	code, raw, err := c.readReply("AUTH", c.cfg.Timeouts.Command, 128)
	switch {
	case err != nil:
		return "", false, err
	case code/100 == 2:
		return "", true, c.inStep("AUTH")
	case code != smtp.CodeAuthContinue && code/100 == 3, code == smtp.CodeAuthContinue && strings.Count(string(raw), "\n") > 1:
		return "", false, c.outOfStep("AUTH", "neither a challenge nor an outcome")
	case code != smtp.CodeAuthContinue:
		return "", false, refusal(smtp.AUTH, parse(raw))
	}
	return strings.TrimSpace(string(raw[3:])), false, nil
}

// cancelAuth gives the exchange up with "*" and returns why (RFC 4954 §4).
func (c *Conn) cancelAuth(why error) error {
	_, done, err := c.authLine("*", "*")
	var refused *smtp.Error
	switch {
	case errors.As(err, &refused):
		return why
	case err != nil:
		return err
	case done:
		return c.outOfStep("AUTH", "success after the exchange was cancelled")
	}
	return c.outOfStep("AUTH", "a challenge after the exchange was cancelled")
}

func answer(mechanism sasl.Client, challenge string) ([]byte, error) {
	decoded, err := base64.StdEncoding.DecodeString(challenge)
	if err != nil {
		return nil, errors.New("the challenge is not base64")
	}
	return mechanism.Next(decoded)
}

// encodeInitial encodes an initial response; an empty one is "=" (RFC 4954 §4).
func encodeInitial(first []byte) string {
	if len(first) == 0 {
		return "="
	}
	return base64.StdEncoding.EncodeToString(first)
}

// loopback reports whether both the name that was dialled and the address that
// was reached are this machine: one alone may be a proxy's or a resolver's doing.
func (c *Conn) loopback() bool {
	switch a := c.raw.RemoteAddr().(type) {
	case *net.UnixAddr:
		return true
	case *net.TCPAddr:
		host := c.cfg.Host
		return a.IP.IsLoopback() && (host == "localhost" || net.ParseIP(host).IsLoopback())
	}
	return false
}

var errMechanism = errors.New("the server does not offer this mechanism")
