package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/smtp"
)

// client returns the Client that the command line describes.
func (o *options) client(stderr io.Writer) (*client.Client, error) {
	c := &client.Client{
		Addr:              o.addr,
		TLSConfig:         &tls.Config{ServerName: o.serverName, InsecureSkipVerify: o.insecure},
		LocalName:         o.helo,
		LMTP:              o.lmtp,
		Timeouts:          client.EveryTimeout(o.timeout),
		MaxConns:          o.conns,
		NormalizeLineEnds: o.crlf,
		NoRedial:          true,
	}
	if strings.HasPrefix(o.addr, "/") {
		c.Network = "unix"
	}
	mode, ok := map[string]client.TLSMode{
		"auto":          client.TLSAuto,
		"starttls":      client.StartTLSRequired,
		"implicit":      client.ImplicitTLS,
		"opportunistic": client.Opportunistic,
		"none":          client.Plaintext,
	}[o.tls]
	if !ok {
		return nil, fmt.Errorf("-tls %q is unknown", o.tls)
	}
	c.TLSMode = mode
	if o.ca != "" {
		pem, err := os.ReadFile(o.ca)
		if err != nil {
			return nil, err
		}
		c.TLSConfig.RootCAs = x509.NewCertPool()
		if !c.TLSConfig.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate", o.ca)
		}
	}
	token := func(context.Context) (string, error) { return o.pass, nil }
	switch mech := strings.ToUpper(o.mech); {
	case mech == "" && o.user == "":
	case mech == "":
		c.Auth = client.PasswordAuth(o.user, o.pass)
	case mech == "PLAIN":
		c.Auth = client.PlainAuth(o.user, o.pass)
	case mech == "LOGIN":
		c.Auth = client.LoginAuth(o.user, o.pass)
	case mech == "OAUTHBEARER":
		c.Auth = client.OAuthBearerAuth(o.user, token)
	case mech == "XOAUTH2":
		c.Auth = client.XOAuth2Auth(o.user, token)
	case mech == "EXTERNAL":
		c.Auth = client.ExternalAuth(o.user)
	default:
		return nil, fmt.Errorf("-mech %q is unknown", o.mech)
	}
	if o.trace {
		c.Trace = trace(stderr)
	}
	return c, nil
}

// trace shows the conversation, each line with the number of its connection. The
// library has replaced credentials by *** before it gets here.
func trace(w io.Writer) *client.Trace {
	return &client.Trace{
		Connected: func(c client.ConnInfo) { fmt.Fprintf(w, "%d -- connected to %v\n", c.ID, c.Remote) },
		TLSDone: func(c client.ConnInfo, s tls.ConnectionState, err error) {
			if err == nil {
				fmt.Fprintf(w, "%d -- %s\n", c.ID, tls.VersionName(s.Version))
			}
		},
		Wrote:     func(c client.ConnInfo, line string) { fmt.Fprintf(w, "%d C: %s\n", c.ID, line) },
		WroteData: func(c client.ConnInfo, octets int64) { fmt.Fprintf(w, "%d C: (%d octets)\n", c.ID, octets) },
		Got: func(c client.ConnInfo, reply smtp.Reply) {
			// AppendTo leaves no control character that a terminal would obey.
			for line := range strings.Lines(string(reply.AppendTo(nil))) {
				fmt.Fprintf(w, "%d S: %s\n", c.ID, strings.TrimSpace(line))
			}
		},
	}
}
