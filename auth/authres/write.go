package authres

import "strings"

// FieldName is the name of the header field.
const FieldName = "Authentication-Results"

// String returns the whole header field with its final CRLF, folded into
// lines. Whatever f holds, it is one well-formed field: see AppendTo.
func (f Field) String() string { return string(f.AppendTo(nil)) }

// AppendTo appends the whole header field with its final CRLF.
//
// Nothing can break out of it. Texts are quoted where they must be, control
// characters become "?", a Comment or Reason longer than 400 octets is cut.
// A result whose Method or Verdict is no word is left out, and so is a
// property whose Type or Name is none or whose Value is longer than 400 octets:
// half an address would be another's. Its authserv-id is cut at 400 octets. Lines are folded at 78 octets where
// white space allows it, and are never longer than 998 (RFC 5322 §2.1.1).
// At most 100 results are written, and 100 properties of each; a result that would
// make the field longer than Parse takes, 64 KiB, is left out.
func (f Field) AppendTo(b []byte) []byte {
	b = append(b, FieldName...)
	b = append(b, ": "...)
	return append(f.AppendPayload(b), "\r\n"...)
}

// AppendPayload appends what stands behind the colon, without the final CRLF:
// the authres-payload of RFC 8601 §2.2, which other fields hold too. The line
// that it continues is taken to begin behind the last line feed in b.
func (f Field) AppendPayload(b []byte) []byte {
	w := newFolder(b)
	w.word(appendValue(nil, f.id()))
	written := 0
	for i := range f.Results {
		r := &f.Results[i]
		if !r.writable() || written == maxResults {
			continue
		}
		before := w
		w.b = append(w.b, ';')
		w.newLine()
		w.word([]byte(strings.ToLower(r.Method) + "=" + strings.ToLower(string(r.Verdict))))
		if text := tidy(r.Comment, f.UTF8); text != "" {
			w.text(appendComment(nil, text))
		}
		if text := tidy(r.Reason, f.UTF8); text != "" {
			w.text(appendQuoted([]byte("reason="), text))
		}
		for j, p := range r.Properties {
			if value, ok := p.value(f.UTF8); ok && j < maxProperties {
				w.text(appendPValue([]byte(strings.ToLower(p.Type+"."+p.Name)+"="), value))
			}
		}
		if len(w.b)-len(b) > maxLength-len(" i=50; ; none\r\n") { // AppendARC adds its instance
			w = before
			continue
		}
		written++
	}
	if written == 0 {
		w.b = append(w.b, "; none"...)
	}
	return w.b
}

// What is written of a text at most. Escaped it may be twice as long.
const (
	maxText = 400
	maxWord = 32
)

func (f *Field) id() string {
	if id := cut(printable(host(cut(f.AuthServID), f.UTF8), f.UTF8)); id != "" { // A-labels may be longer
		return id
	}
	return "localhost"
}

func (r *Result) writable() bool {
	return isWord(r.Method) && isWord(string(r.Verdict)) && !strings.EqualFold(r.Method, "none")
}

// value returns the value as it is written, if p is: a domain in A-labels may be longer.
func (p *Property) value(utf8 bool) (value string, ok bool) {
	if !isWord(p.Type) || !isWord(p.Name) || len(p.Value) > maxText {
		return "", false
	}
	value = printable(host(p.Value, utf8), utf8)
	return value, len(value) <= maxText
}

func isWord(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isKeyword(s[i]) {
			return false
		}
	}
	return s != "" && len(s) <= maxWord
}

// appendValue appends a value: as a token if it is one, else as a quoted-string.
func appendValue(b []byte, s string) []byte {
	if s != "" && all(s, isToken) {
		return append(b, s...)
	}
	return appendQuoted(b, s)
}

// appendPValue appends a value, or an address as it is: [local-part]@domain.
func appendPValue(b []byte, s string) []byte {
	local, domain, found := strings.Cut(s, "@")
	if found && domain != "" && all(domain, isDomain) && all(local, isDotAtom) {
		return append(b, s...)
	}
	return appendValue(b, s)
}

// appendQuoted appends a quoted-string (RFC 5322 §3.2.4) of printable text.
func appendQuoted(b []byte, s string) []byte {
	return append(appendEscaped(append(b, '"'), s, `"\`), '"')
}

// appendComment appends a comment (RFC 5322 §3.2.2) of printable text.
func appendComment(b []byte, s string) []byte {
	return append(appendEscaped(append(b, '('), s, `()\`), ')')
}

func appendEscaped(b []byte, s, special string) []byte {
	for i := 0; i < len(s); i++ {
		if strings.IndexByte(special, s[i]) >= 0 {
			b = append(b, '\\')
		}
		b = append(b, s[i])
	}
	return b
}

func all(s string, ok func(byte) bool) bool {
	for i := 0; i < len(s); i++ {
		if !ok(s[i]) {
			return false
		}
	}
	return true
}

// isDomain: domain-name of RFC 6376 §3.5, with the underscores of selectors.
func isDomain(c byte) bool { return isKeyword(c) || c == '.' || c >= 0x80 }

// isDotAtom: dot-atom of RFC 5322 §3.2.3, which is a local part without quotes.
func isDotAtom(c byte) bool {
	return isKeyword(c) || c >= 0x80 || strings.IndexByte("!#$%&'*+-/=?^_`{|}~.", c) >= 0
}
