package client

import (
	"crypto/tls"

	"github.com/postrider/postrider/smtp"
)

// ServerInfo is what a server has said and proved on a connection before MAIL.
type ServerInfo struct {
	ConnID   uint64               // as in ConnInfo
	Greeting smtp.Reply           // zero if there was none
	Offers   smtp.Offers          // in its last EHLO or LHLO reply; nil if it knows HELO only
	TLS      *tls.ConnectionState // nil without TLS
	// Verified says that the TLS peer is who it should be, or that the TLSConfig
	// does not ask.
	Verified bool
}

// server returns what is known now, one value for all messages of a session.
func (c *Conn) server() *ServerInfo {
	if c.known != nil {
		return c.known
	}
	s := &ServerInfo{ConnID: c.info.ID, Greeting: c.greeting, Offers: c.offers, Verified: c.verified}
	if state, encrypted := c.TLSConnectionState(); encrypted {
		s.TLS = &state
	}
	if c.greeted {
		c.known = s
	}
	return s
}
