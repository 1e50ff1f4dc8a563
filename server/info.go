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
	srv *Server
	id  string // see Info, as for all below

	mu            sync.Mutex
	opened        time.Time
	local, remote net.Addr
	helloName     string
	helloVerb     smtp.Verb
	tls           *tls.ConnectionState
	utf8          bool
	more          *moreInfo // nil: all of it is zero
}

// moreInfo is what most connections need not remember while they are idle. It is
// never changed but by taking another's place.
type moreInfo struct {
	proxyAddr  net.Addr
	clientName string
	mechanism  string
	identity   string
	forwarded  smtp.XForward
	standsIn   bool
	mechanisms []string // what AUTH chooses from, for its Authenticator
}

// Info returns what is known of the connection at this moment.
func (c *Conn) Info() Info {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.known()
}

// known is called with mu held.
func (c *Conn) known() Info {
	i := Info{
		ID: c.id, Opened: c.opened, LocalAddr: c.local, RemoteAddr: c.remote,
		Hello: c.helloName, HelloVerb: c.helloVerb, TLS: c.tls, UTF8: c.utf8,
	}
	if c.srv != nil {
		i.Role, i.Hostname = c.srv.Role, c.srv.cfg.hostname
	}
	if m := c.more; m != nil {
		i.ProxyAddr, i.ClientName, i.Forwarded, i.standsIn = m.proxyAddr, m.clientName, m.forwarded, m.standsIn
		i.Mechanism, i.Identity = m.mechanism, m.identity
	}
	return i
}

// update changes what is known. What most connections come to is changed
// directly, see changeHello.
func (c *Conn) update(f func(*Info)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := c.known()
	f(&i)
	c.local, c.remote, c.tls, c.utf8 = i.LocalAddr, i.RemoteAddr, i.TLS, i.UTF8
	c.helloName, c.helloVerb = i.Hello, i.HelloVerb
	mechanisms := c.mechanisms()
	c.more = nil
	if mechanisms != nil || i.ProxyAddr != nil || i.ClientName != "" || i.Mechanism != "" || i.Identity != "" || i.Forwarded != (smtp.XForward{}) || i.standsIn {
		c.more = &moreInfo{i.ProxyAddr, i.ClientName, i.Mechanism, i.Identity, i.Forwarded, i.standsIn, mechanisms}
	}
}

// mechanisms returns what AUTH chooses from, for the connection's goroutine.
func (c *Conn) mechanisms() []string {
	if c.more == nil {
		return nil
	}
	return c.more.mechanisms
}

func (c *Conn) changeMechanisms(list []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var more moreInfo
	if c.more != nil {
		more = *c.more
	}
	more.mechanisms = list
	c.more = &more
}

func (c *Conn) changeAddrs(local, remote net.Addr) {
	c.mu.Lock()
	c.local, c.remote = local, remote
	c.mu.Unlock()
}

func (c *Conn) changeHello(name string, verb smtp.Verb) {
	c.mu.Lock()
	c.helloName, c.helloVerb = name, verb
	c.mu.Unlock()
}

func (c *Conn) changeUTF8(asked bool) {
	c.mu.Lock()
	c.utf8 = asked
	c.mu.Unlock()
}

// ID returns the connection's identifier, see Info.ID.
func (c *Conn) ID() string { return c.id }

// RemoteAddr returns the client's address.
func (c *Conn) RemoteAddr() net.Addr {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.remote
}

// RemoteIP returns the client's IP address without a zone, IPv4-mapped IPv6
// unmapped. It is the zero Addr where there is none, as on a unix socket.
func (c *Conn) RemoteIP() netip.Addr { return addrIP(c.RemoteAddr()) }

// Hello returns the name the client gave in HELO, EHLO or LHLO; empty before.
func (c *Conn) Hello() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.helloName
}

// TLS returns the state of the TLS connection, nil without TLS.
func (c *Conn) TLS() *tls.ConnectionState {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tls
}

// Identity returns whom the client authenticated as; empty before AUTH.
func (c *Conn) Identity() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.more == nil {
		return ""
	}
	return c.more.identity
}

// LogValue makes a Conn a short group in a log.
func (c *Conn) LogValue() slog.Value {
	i := c.Info()
	if i.ProxyAddr != nil {
		return slog.GroupValue(slog.String("id", i.ID), slog.Any("remote", i.RemoteAddr), slog.Any("proxy", i.ProxyAddr))
	}
	return slog.GroupValue(slog.String("id", i.ID), slog.Any("remote", i.RemoteAddr))
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
	if i.HelloVerb == smtp.HELO && i.Role != LMTP && !i.UTF8 {
		return "SMTP"
	}
	// Whole words, since to put one together would be an allocation a message.
	words := [...]string{"ESMTP", "ESMTPS", "ESMTPA", "ESMTPSA"}
	switch {
	case i.UTF8 && i.Role == LMTP:
		words = [...]string{"UTF8LMTP", "UTF8LMTPS", "UTF8LMTPA", "UTF8LMTPSA"}
	case i.UTF8:
		words = [...]string{"UTF8SMTP", "UTF8SMTPS", "UTF8SMTPA", "UTF8SMTPSA"}
	case i.Role == LMTP:
		words = [...]string{"LMTP", "LMTPS", "LMTPA", "LMTPSA"}
	}
	n := 0
	if i.TLS != nil {
		n = 1
	}
	if i.Identity != "" {
		n += 2
	}
	return words[n]
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
