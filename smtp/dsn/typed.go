package dsn

import (
	"net/netip"
	"strings"

	"github.com/postrider/postrider/smtp"
)

// Typed is a value with a word in front that says how to read it: an address
// ("rfc822; a@b.example"), the name of an MTA ("dns; mx.example.org"), a diagnostic
// ("smtp; 550 no such user") (RFC 3464 §2.1.2). The zero value is none. Values are
// comparable with ==.
type Typed struct {
	Type string // an atom in lower case: "rfc822", "utf-8", "dns", "smtp", "x-unix"
	// Text is the value, decoded. In a diagnostic of the type smtp the lines of the
	// reply are separated by "\n", each with its code.
	Text string
}

// The types that RFC 3461 §9 and RFC 6533 §6.1 define.
const (
	typeRFC822 = "rfc822"
	typeUTF8   = "utf-8"
	typeDNS    = "dns"
	typeSMTP   = "smtp"
)

// Address returns m as an address: of the type rfc822, or utf-8 if it is not ASCII.
func Address(m smtp.Mailbox) Typed {
	if m.IsASCII() {
		return Typed{typeRFC822, m.String()}
	}
	return Typed{typeUTF8, m.String()} // RFC 6533 §3
}

// DNS returns the name of a host as the name of an MTA. If "", the zero value.
func DNS(host string) Typed {
	if host == "" {
		return Typed{}
	}
	return Typed{typeDNS, host}
}

// Peer returns the name of an MTA that connected: what it said with EHLO and where
// it came from, "dns; mail.example.net (192.0.2.1)" (RFC 3464 §2.2.4).
func Peer(hello string, addr netip.Addr) Typed {
	t := DNS(hello)
	if t.IsZero() {
		t = DNS("unknown")
	}
	if addr.IsValid() {
		t.Text += " (" + addr.WithZone("").String() + ")"
	}
	return t
}

// Diagnostic returns a reply as a diagnostic of the type smtp, all its lines as they
// were received (RFC 3461 §9.2). The zero Reply gives the zero value.
func Diagnostic(r smtp.Reply) Typed {
	if r.Code == 0 {
		return Typed{}
	}
	raw := r.Raw
	if raw == "" {
		raw = string(r.AppendTo(nil))
	}
	raw = strings.ReplaceAll(strings.TrimSuffix(raw, "\r\n"), "\r\n", "\n")
	return Typed{typeSMTP, diagnosticText(raw)}
}

// IsZero reports whether there is no value.
func (t Typed) IsZero() bool { return t == Typed{} }

// String returns the value as a field writes it: "dns; mx.example.org". Lines are
// joined.
func (t Typed) String() string {
	if t.IsZero() {
		return ""
	}
	return t.Type + "; " + strings.ReplaceAll(t.Text, "\n", " ")
}

// Mailbox returns the address. ok is false if t is none of SMTP's.
func (t Typed) Mailbox() (m smtp.Mailbox, ok bool) {
	if t.Type != typeRFC822 && t.Type != typeUTF8 {
		return smtp.Mailbox{}, false
	}
	m, err := smtp.ParseMailbox(t.Text)
	return m, err == nil
}

// Host returns the name of an MTA of the type dns without what its own MTA or
// another has added in parentheses, and "" for any other type.
func (t Typed) Host() string {
	if t.Type != typeDNS {
		return ""
	}
	host, _, _ := strings.Cut(t.Text, " ")
	host, _, _ = strings.Cut(host, "(")
	return host
}

// Reply returns the reply that a diagnostic of the type smtp is. Some MTAs write all
// lines of one into one; they are taken apart. ok is false if t is none, or does not
// begin with a code.
func (t Typed) Reply() (r smtp.Reply, ok bool) {
	if t.Type != typeSMTP || !isReplyLine(t.Text, "") {
		return smtp.Reply{}, false
	}
	lines := strings.Split(t.Text, "\n")
	if len(lines) == 1 {
		lines = cutReply(t.Text)
	}
	code := t.Text[:3]
	for i, line := range lines {
		sep := "-"
		if i == len(lines)-1 {
			sep = " "
		}
		if isReplyLine(line, code) {
			line = line[min(len(line), len("550-")):]
		}
		lines[i] = code + sep + line
	}
	r, err := smtp.ParseReply(strings.Join(lines, "\r\n"))
	return r, err == nil
}

// cutReply takes apart "550-one 550-two 550 three".
func cutReply(s string) []string {
	code := s[:3]
	var lines []string
	for len(s) > 3 && s[3] == '-' {
		next := strings.Index(s, " "+code+"-")
		if last := strings.Index(s, " "+code+" "); next < 0 || last >= 0 && last < next {
			next = last
		}
		if next < 0 {
			break
		}
		lines = append(lines, s[:next])
		s = s[next+1:]
	}
	return append(lines, s)
}

// isReplyLine reports whether s begins like a line of a reply with the code, or with
// any if code is "".
func isReplyLine(s, code string) bool {
	if len(s) < 3 || len(s) > 3 && s[3] != ' ' && s[3] != '-' {
		return false
	}
	for i := range 3 {
		if s[i] < '0' || s[i] > '9' || code != "" && s[i] != code[i] {
			return false
		}
	}
	return true
}
