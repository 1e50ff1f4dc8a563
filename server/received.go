package server

import (
	"crypto/tls"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
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
	var room [400]byte
	return string(r.appendTo(room[:0]))
}

// appendTo appends what String returns.
func (r *Received) appendTo(b []byte) []byte { return r.appendDated(b, nil) }

func (r *Received) appendDated(b []byte, dates *dateCache) []byte {
	b = append(b, "Received: from "...)
	b = appendWord(b, r.Hello, "unknown")
	if r.IP.IsValid() {
		b = append(b, " ("...)
		if r.Name != "" {
			b = append(appendWord(b, r.Name, "unknown"), ' ')
		}
		b = append(b, '[')
		if r.IP.Is6() {
			b = append(b, "IPv6:"...) // §4.1.3
		}
		b = append(r.IP.WithZone("").AppendTo(b), "])"...)
	}
	if r.TLS != nil && r.TLS.Version != 0 {
		b = append(b, "\r\n\t(using "...)
		b = append(b, strings.ReplaceAll(tls.VersionName(r.TLS.Version), " ", "")...)
		b = append(b, " with cipher "...)
		b = append(append(b, tls.CipherSuiteName(r.TLS.CipherSuite)...), ')')
	}
	b = appendWord(append(b, "\r\n\tby "...), r.By, "localhost")
	if r.With != "" {
		b = appendWord(append(b, " with "...), r.With, "SMTP")
	}
	if r.ID != "" {
		b = appendWord(append(b, " id "...), r.ID, "none")
	}
	if !r.For.IsZero() {
		b = append(b, "\r\n\tfor "...)
		start := len(b)
		b = r.For.AppendTo(b)
		replace(b[start:], &control)
	}
	t := r.Time
	if t.IsZero() {
		t = time.Now()
	}
	return append(dates.appendTo(append(b, ";\r\n\t"...), t), "\r\n"...)
}

// A dateCache keeps the date of the second that it was asked for last. Nil keeps
// none.
type dateCache struct{ last atomic.Pointer[datedSecond] }

type datedSecond struct {
	second int64
	zone   *time.Location
	date   []byte
}

func (d *dateCache) appendTo(b []byte, t time.Time) []byte {
	if d == nil {
		return appendDate(b, t)
	}
	s := d.last.Load()
	if s == nil || s.second != t.Unix() || s.zone != t.Location() {
		s = &datedSecond{t.Unix(), t.Location(), appendDate(nil, t)}
		d.last.Store(s)
	}
	return append(b, s.date...)
}

// appendDate appends a date-time of RFC 5322 §3.3. To interpret a layout would
// cost as much as all the rest of the field.
func appendDate(b []byte, t time.Time) []byte {
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	_, offset := t.Zone()
	sign := byte('+')
	if offset < 0 {
		sign, offset = '-', -offset
	}
	b = append(append(b, t.Weekday().String()[:3]...), ", "...)
	b = append(strconv.AppendInt(b, int64(day), 10), ' ')
	b = append(append(b, month.String()[:3]...), ' ')
	if year < 1000 || year > 9999 {
		b = append(b, t.Format("2006")...) // at least four digits
	} else {
		b = strconv.AppendInt(b, int64(year), 10)
	}
	b = appendTwo(append(b, ' '), hour)
	b = appendTwo(append(b, ':'), minute)
	b = appendTwo(append(b, ':'), second)
	return appendTwo(appendTwo(append(b, ' ', sign), offset/3600), offset/60%60)
}

func appendTwo(b []byte, n int) []byte { return append(b, '0'+byte(n/10), '0'+byte(n%10)) }

// appendWord appends what may stand in an atom, a domain or a literal.
func appendWord(b []byte, s, otherwise string) []byte {
	if s == "" {
		return append(b, otherwise...)
	}
	start := len(b)
	b = append(b, s[:min(len(s), smtp.MaxDomain+len("[IPv6:]"))]...)
	replace(b[start:], &special)
	return b
}

// replace puts a question mark for each octet that is bad.
func replace(b []byte, bad *[256]bool) {
	for i, c := range b {
		if bad[c] {
			b[i] = '?'
		}
	}
}

// control are the control characters; special is what would end a word too, or
// begin something else.
var control, special = octets(""), octets(` ()<>;,"\`)

func octets(more string) (set [256]bool) {
	for c := range byte(' ') {
		set[c] = true
	}
	set[0x7f] = true
	for i := range len(more) {
		set[more[i]] = true
	}
	return set
}
