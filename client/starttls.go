package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"time"

	"github.com/postrider/postrider/smtp"
)

// TLSMode says how a Client protects its connections.
type TLSMode uint8

// The TLS modes. Those that name none of the others never fall back to plaintext.
const (
	// TLSAuto is ImplicitTLS on port 465, Plaintext on a unix socket and
	// StartTLSRequired everywhere else.
	TLSAuto TLSMode = iota
	// StartTLSRequired says STARTTLS and fails if it is not offered (RFC 3207).
	StartTLSRequired
	// ImplicitTLS begins with a TLS handshake (RFC 8314 §3).
	ImplicitTLS
	// Opportunistic says STARTTLS if it is offered and goes on in plaintext if
	// not, or if the server refuses it. A certificate that does not verify is
	// accepted, since whoever can present it could as well hide the offer; but
	// no credentials are sent then (RFC 7435).
	Opportunistic
	// Plaintext never uses TLS: anybody on the way can read and change mail.
	Plaintext
)

// resolve replaces TLSAuto.
func (m TLSMode) resolve(network, port string) TLSMode {
	switch {
	case m != TLSAuto:
		return m
	case network == "unix":
		return Plaintext
	case port == "465" || port == "smtps" || port == "submissions":
		return ImplicitTLS
	}
	return StartTLSRequired
}

// StartTLS says STARTTLS and shakes hands (RFC 3207). What the server offered is
// forgotten: say Hello again. A nil cfg is the zero tls.Config; an empty
// ServerName is the Host of ConnConfig, and no version below TLS 1.2 is spoken.
//
// Octets that the server sends between its reply and the handshake are an attack
// and end the connection.
func (c *Conn) StartTLS(ctx context.Context, cfg *tls.Config) error {
	if err := c.enter(ctx, "STARTTLS"); err != nil {
		return err
	}
	defer c.leave()
	if !c.offers.Has(smtp.ExtStartTLS) {
		return &ConnError{Op: "STARTTLS", Err: ErrNoStartTLS}
	}
	return c.startTLS(tlsConfig(cfg, c.cfg.Host), false)
}

func (c *Conn) startTLS(cfg *tls.Config, lax bool) error {
	if _, encrypted := c.TLSConnectionState(); encrypted {
		return &ConnError{Op: "STARTTLS", Err: errTLSTwice} // RFC 3207 §4.2
	}
	if _, err := c.roundTrip(smtp.STARTTLS, append(c.buf[:0], "STARTTLS\r\n"...), c.cfg.Timeouts.Command); err != nil {
		return err
	}
	if c.replies.Buffered() > 0 { // RFC 3207 §6, CVE-2011-0411
		return c.outOfStep("STARTTLS", "octets from the server before the TLS handshake")
	}
	c.greeted = false
	c.setOffers(nil) // RFC 3207 §4.2
	return c.handshake(cfg, lax)
}

// handshake replaces the connection by TLS over it. If lax, a certificate that
// does not verify is accepted and remembered as such.
func (c *Conn) handshake(cfg *tls.Config, lax bool) error {
	lax = lax && !cfg.InsecureSkipVerify
	if lax {
		cfg.InsecureSkipVerify = true
	}
	t := tls.Client(c.nc, cfg)
	c.readBy, c.writeBy = time.Time{}, time.Time{}
	c.setDeadline(&c.readBy, c.cfg.Timeouts.TLS, net.Conn.SetDeadline)
	err := t.Handshake()
	c.readBy, c.writeBy = time.Time{}, time.Time{}
	if h := c.cfg.Trace; h != nil && h.TLSDone != nil {
		h.TLSDone(c.info, t.ConnectionState(), err)
	}
	if err != nil {
		return c.fail(opTLS, err)
	}
	c.nc = t
	c.verified = !lax || verify(t.ConnectionState(), cfg) == nil
	return nil
}

const opTLS = "TLS handshake"

// verify does what crypto/tls does unless it is told not to.
func verify(state tls.ConnectionState, cfg *tls.Config) error {
	if len(state.PeerCertificates) == 0 {
		return errNoCertificate
	}
	opts := x509.VerifyOptions{Roots: cfg.RootCAs, DNSName: cfg.ServerName, Intermediates: x509.NewCertPool()}
	if cfg.Time != nil {
		opts.CurrentTime = cfg.Time()
	}
	for _, cert := range state.PeerCertificates[1:] {
		opts.Intermediates.AddCert(cert)
	}
	_, err := state.PeerCertificates[0].Verify(opts)
	return err
}

// tlsConfig fills in what a caller may leave out.
func tlsConfig(cfg *tls.Config, host string) *tls.Config {
	if cfg == nil {
		cfg = &tls.Config{}
	}
	own := cfg.Clone()
	if own.ServerName == "" {
		own.ServerName = host
	}
	own.MinVersion = max(own.MinVersion, tls.VersionTLS12) // RFC 8996
	return own
}

var (
	errTLSTwice      = errors.New("the connection is already encrypted")
	errNoCertificate = errors.New("the server presented no certificate")
)
