package server

import (
	"crypto/tls"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/postrider/postrider/smtp"
)

// A Conn is a view of one connection, for handlers to read. It is safe for
// concurrent use and stays valid, though no longer changing, after the
// connection has ended.
type Conn struct {
	mu   sync.Mutex
	info Info

	mechanisms []string // what AUTH chooses from, for its Authenticator
}

// Info returns what is known of the connection at this moment.
func (c *Conn) Info() Info {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.info
}

// ID returns the connection's identifier, see Info.ID.
func (c *Conn) ID() string { return c.info.ID }

// RemoteAddr returns the client's address.
func (c *Conn) RemoteAddr() net.Addr {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.info.RemoteAddr
}

// RemoteIP returns the client's IP address without a zone, IPv4-mapped IPv6
// unmapped. It is the zero Addr where there is none, as on a unix socket.
func (c *Conn) RemoteIP() netip.Addr { return addrIP(c.RemoteAddr()) }

// Hello returns the name the client gave in HELO, EHLO or LHLO; empty before.
func (c *Conn) Hello() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.info.Hello
}

// TLS returns the state of the TLS connection, nil without TLS.
func (c *Conn) TLS() *tls.ConnectionState {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.info.TLS
}

// Identity returns whom the client authenticated as; empty before AUTH.
func (c *Conn) Identity() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.info.Identity
}

// LogValue makes a Conn a short group in a log.
func (c *Conn) LogValue() slog.Value {
	i := c.Info()
	if i.ProxyAddr != nil {
		return slog.GroupValue(slog.String("id", i.ID), slog.Any("remote", i.RemoteAddr), slog.Any("proxy", i.ProxyAddr))
	}
	return slog.GroupValue(slog.String("id", i.ID), slog.Any("remote", i.RemoteAddr))
}

func (c *Conn) update(f func(*Info)) {
	c.mu.Lock()
	f(&c.info)
	c.mu.Unlock()
}

// Info is a snapshot of a connection.
type Info struct {
	// ID names the connection in logs and trace fields; 13 letters and
	// digits, unique for all practical purposes.
	ID string
	// Role is the server's role.
	Role Role
	// Hostname is the server's name.
	Hostname string
	// LocalAddr and RemoteAddr are the two ends, as a PROXY header or XCLIENT
	// gave them if one did. RemoteAddr then has no IP if the address was said
	// to be unavailable.
	LocalAddr, RemoteAddr net.Addr
	// ProxyAddr is where the connection comes from if RemoteAddr is not that
	// but what a PROXY header or XCLIENT said. Otherwise it is nil.
	ProxyAddr net.Addr
	// ClientName is the client's name in the DNS as XCLIENT gave it:
	// smtp.XUnavailable if it has none, smtp.XTempUnavailable if that could
	// not be found out. Without XCLIENT it is empty.
	ClientName string
	// Hello is the name the client gave, HelloVerb the command it used. After
	// XCLIENT, until the client says EHLO, they are what that gave.
	Hello     string
	HelloVerb smtp.Verb
	// TLS is nil without TLS. After XCLIENT it is that of the connection, but
	// without the certificates of the peer, who is not the client now.
	TLS *tls.ConnectionState
	// Mechanism and Identity are those of a successful AUTH, or "XCLIENT" and
	// the login that it gave.
	Mechanism, Identity string
	// Forwarded is where the message of this mail transaction, or else of the
	// next, comes from, by XFORWARD from a client in Server.Trusted. It is for
	// the log; what was not given is smtp.XUnavailable. Without XFORWARD it is
	// zero.
	Forwarded smtp.XForward
	// UTF8 is set when the current mail transaction asked for SMTPUTF8.
	UTF8 bool
	// Opened is when the connection was accepted.
	Opened time.Time

	standsIn bool // XCLIENT has come: TLS is with who speaks for the client
}

// Protocol returns the word for the "with" clause of a Received field:
// SMTP, ESMTP, ESMTPS, ESMTPA, ESMTPSA, LMTP and so on, and the UTF8SMTP
// family (RFC 3848, RFC 6531 §4.3).
func (i Info) Protocol() string {
	word := "ESMTP"
	switch {
	case i.UTF8 && i.Role == LMTP:
		word = "UTF8LMTP"
	case i.UTF8:
		word = "UTF8SMTP"
	case i.Role == LMTP:
		word = "LMTP"
	case i.HelloVerb == smtp.HELO:
		word = "SMTP"
	}
	if word == "SMTP" {
		return word
	}
	if i.TLS != nil {
		word += "S"
	}
	if i.Identity != "" {
		word += "A"
	}
	return word
}

func addrIP(a net.Addr) netip.Addr {
	if t, ok := a.(*net.TCPAddr); ok {
		ip, _ := netip.AddrFromSlice(t.IP)
		return ip.Unmap()
	}
	if a == nil {
		return netip.Addr{}
	}
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}
