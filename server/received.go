package server

import (
	"crypto/tls"
	"net/netip"
	"strings"
	"time"

	"github.com/postrider/postrider/smtp"
)

// Received builds the trace field that every server puts on top of a message
// (RFC 5321 §4.4). Whatever its fields hold, the result is one well-formed
// header field: octets that could end a clause or the field are replaced.
type Received struct {
	// Hello is the name the client gave. If empty, "unknown".
	Hello string
	// IP is the client's address. If zero, none is named.
	IP netip.Addr
	// Name is the client's name in the reverse DNS, if known and verified.
	Name string
	// By is the name of this server. If empty, "localhost".
	By string
	// With is the protocol word, see Info.Protocol. If empty, there is no
	// such clause.
	With string
	// ID names the transaction. If empty, there is no such clause.
	ID string
	// For is the recipient; only for a message that has just one, since a
	// trace field must not disclose the others (§7.2). If zero, there is no
	// such clause.
	For smtp.ForwardPath
	// TLS adds version and cipher suite as a comment. If nil, none.
	TLS *tls.ConnectionState
	// Time is when the message came. If zero, now.
	Time time.Time
}

// NewReceived returns the Received for a message with env that comes over the
// connection now.
func NewReceived(i Info, env *smtp.Envelope) Received {
	r := Received{
		Hello: i.Hello, IP: addrIP(i.RemoteAddr), By: i.Hostname,
		With: i.Protocol(), ID: i.ID, TLS: i.TLS, Time: time.Now(),
	}
	if i.ClientName != smtp.XUnavailable && i.ClientName != smtp.XTempUnavailable {
		r.Name = i.ClientName
	}
	if len(env.Recipients) == 1 {
		r.For = env.Recipients[0].To
	}
	return r
}

// String returns the field with its final CRLF, folded into lines.
func (r Received) String() string {
	var b strings.Builder
	b.Grow(320)
	b.WriteString("Received: from ")
	b.WriteString(word(r.Hello, "unknown"))
	if r.IP.IsValid() {
		b.WriteString(" (")
		if r.Name != "" {
			b.WriteString(word(r.Name, "unknown"))
			b.WriteByte(' ')
		}
		b.WriteByte('[')
		if r.IP.Is6() {
			b.WriteString("IPv6:") // §4.1.3
		}
		b.WriteString(r.IP.WithZone("").String())
		b.WriteString("])")
	}
	if r.TLS != nil && r.TLS.Version != 0 {
		b.WriteString("\r\n\t(using ")
		b.WriteString(strings.ReplaceAll(tls.VersionName(r.TLS.Version), " ", ""))
		b.WriteString(" with cipher ")
		b.WriteString(tls.CipherSuiteName(r.TLS.CipherSuite))
		b.WriteByte(')')
	}
	b.WriteString("\r\n\tby ")
	b.WriteString(word(r.By, "localhost"))
	if r.With != "" {
		b.WriteString(" with ")
		b.WriteString(word(r.With, "SMTP"))
	}
	if r.ID != "" {
		b.WriteString(" id ")
		b.WriteString(word(r.ID, "none"))
	}
	if !r.For.IsZero() {
		b.WriteString("\r\n\tfor ")
		b.WriteString(printable(r.For.String()))
	}
	b.WriteString(";\r\n\t")
	if r.Time.IsZero() {
		r.Time = time.Now()
	}
	b.WriteString(r.Time.Format("Mon, 2 Jan 2006 15:04:05 -0700"))
	b.WriteString("\r\n")
	return b.String()
}

// word keeps what may stand in an atom, a domain or a literal.
func word(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	s = s[:min(len(s), smtp.MaxDomain+len("[IPv6:]"))]
	return replace(s, func(b byte) bool { return b <= ' ' || b == 0x7f || strings.IndexByte(`();<>"\,`, b) >= 0 })
}

func printable(s string) string {
	return replace(s, func(b byte) bool { return b < ' ' || b == 0x7f })
}

// replace puts a question mark for each octet that is bad.
func replace(s string, bad func(byte) bool) string {
	for i := range len(s) {
		if bad(s[i]) {
			b := []byte(s)
			for ; i < len(b); i++ {
				if bad(b[i]) {
					b[i] = '?'
				}
			}
			return string(b)
		}
	}
	return s
}
