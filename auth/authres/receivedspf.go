package authres

import (
	"net/netip"
	"strings"
)

// ReceivedSPF builds the other field that tells what SPF found out
// (RFC 7208 §9.1), for programs that do not read Authentication-Results.
// Whatever its fields hold, the result is one well-formed header field.
type ReceivedSPF struct {
	// Verdict is what SPF said. If empty, "none".
	Verdict Verdict
	// Comment explains it to people. If empty, there is none.
	Comment string
	// Receiver is the name of the host that asked.
	Receiver string
	// ClientIP is the address of the client.
	ClientIP netip.Addr
	// EnvelopeFrom is the reverse-path's address, or empty for a null one.
	EnvelopeFrom string
	// Hello is the name that the client gave.
	Hello string
	// Identity is what was checked: "mailfrom" or "helo".
	Identity string
	// Mechanism is the one that matched. If none did, "default".
	Mechanism string
	// Problem tells what went wrong, if the verdict is an error.
	Problem string
	// UTF8 is as in Field.
	UTF8 bool
}

// String returns the whole header field with its final CRLF.
func (s ReceivedSPF) String() string { return string(s.AppendTo(nil)) }

// AppendTo appends the whole header field with its final CRLF. Keys without a
// value are left out, and so is a value longer than 400 octets; Comment and
// Problem are cut there.
func (s ReceivedSPF) AppendTo(b []byte) []byte {
	b = append(b, "Received-SPF: "...)
	w := newFolder(b)
	verdict := strings.ToLower(string(s.Verdict))
	if !isWord(verdict) {
		verdict = string(None)
	}
	w.word([]byte(verdict))
	if text := tidy(s.Comment, s.UTF8); text != "" {
		w.text(appendComment(nil, text))
	}
	var ip string
	if s.ClientIP.IsValid() {
		ip = s.ClientIP.Unmap().WithZone("").String()
	}
	first := true
	for _, pair := range [...]struct{ key, value string }{
		{"receiver", s.Receiver},
		{"client-ip", ip},
		{"envelope-from", s.EnvelopeFrom},
		{"helo", s.Hello},
		{"identity", s.Identity},
		{"mechanism", s.Mechanism},
		{"problem", tidy(s.Problem, s.UTF8)},
	} {
		if pair.value == "" || len(pair.value) > maxText {
			continue
		}
		if !first {
			w.b = append(w.b, ';')
		}
		first = false
		w.text(appendDotAtom([]byte(pair.key+"="), printable(host(pair.value, s.UTF8), s.UTF8)))
	}
	return append(w.b, "\r\n"...)
}

// appendDotAtom appends a dot-atom, or else a quoted-string (RFC 7208 §9.1).
func appendDotAtom(b []byte, s string) []byte {
	if all(s, isDotAtom) && s[0] != '.' && s[len(s)-1] != '.' && !strings.Contains(s, "..") {
		return append(b, s...)
	}
	return appendQuoted(b, s)
}
