package server

import (
	"bytes"
	"context"
	"crypto/x509"
	"unicode/utf8"
)

// External returns an Authenticator that offers EXTERNAL (RFC 4422 appendix A)
// to clients whose TLS certificate has been verified: the server's TLSConfig
// needs ClientCAs and a ClientAuth of tls.VerifyClientCertIfGiven or
// tls.RequireAndVerifyClientCert.
//
// Identify returns whom the certificate stands for. Authzid is whom the client
// wants to act as, in UTF-8; if it is empty, it leaves that to the certificate.
// Identify returns ErrCredentials if the certificate is nobody's or its owner
// may not act as that, and any other error if it cannot tell.
func External(identify func(ctx context.Context, c *Conn, cert *x509.Certificate, authzid string) (identity string, err error)) Authenticator {
	return external(identify)
}

type external func(context.Context, *Conn, *x509.Certificate, string) (string, error)

func (e external) Mechanisms(c *Conn) []string {
	if clientCertificate(c) == nil {
		return nil
	}
	return []string{"EXTERNAL"}
}

func (e external) Begin(ctx context.Context, c *Conn, _ string) (Exchange, error) {
	cert := clientCertificate(c)
	if cert == nil {
		return nil, ErrCredentials
	}
	verify := func(ctx context.Context, authzid, _ string) (string, error) { return e(ctx, c, cert, authzid) }
	return &externalExchange{exchange{ctx: ctx, verify: verify}}, nil
}

// clientCertificate returns the client's certificate if it has been verified.
func clientCertificate(c *Conn) *x509.Certificate {
	state := c.TLS()
	if state == nil || len(state.VerifiedChains) == 0 || len(state.VerifiedChains[0]) == 0 {
		return nil
	}
	return state.VerifiedChains[0][0]
}

type externalExchange struct{ exchange }

func (x *externalExchange) Next(response []byte) ([]byte, bool, error) {
	switch {
	case response == nil:
		return []byte{}, false, nil
	case x.checked, !utf8.Valid(response), bytes.IndexByte(response, 0) >= 0, len(response) > maxAuthzID:
		return nil, false, errMalformed
	}
	return nil, true, x.check(string(response), "")
}

const maxAuthzID = 1024 // octets
