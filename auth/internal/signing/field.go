package signing

import (
	"encoding/base64"
	"strings"

	"github.com/postrider/postrider/auth/internal/message"
)

// lineLength is how long a line of a field gets, without its CRLF, as long as
// there is somewhere to fold it (RFC 5322 §2.1.1).
const lineLength = 76

// A Field is a header field whose value is a tag list (RFC 6376 §3.2), written
// tag by tag. It is signed as it stands, so it is folded as it is written.
type Field struct {
	buf  []byte
	line int // octets of the line so far
	tags int
}

// NewField begins the field of that name.
func NewField(name string) *Field {
	f := &Field{buf: make([]byte, 0, 1024)}
	f.put(name + ":")
	return f
}

// Tag writes a tag whose value has no place to fold.
func (f *Field) Tag(name, value string) {
	f.begin(name, len(value))
	f.put(value)
}

// List writes a tag whose value is a list of words with colons between them,
// which may be folded before each word.
func (f *Field) List(name string, words []string) {
	for i, word := range words {
		if i == 0 {
			f.begin(name, len(word)+len(":"))
		} else {
			f.put(":")
			f.fold(0, len(word)+len(":"))
		}
		f.put(strings.ToLower(word))
	}
}

// Base64 writes a tag whose value is octets, folded wherever a line is full.
func (f *Field) Base64(name string, octets []byte) {
	f.begin(name, base64.StdEncoding.EncodedLen(len(octets)))
	f.putBase64(octets)
}

// begin writes a tag up to the octets of its value.
func (f *Field) begin(name string, length int) {
	if f.tags++; f.tags > 1 {
		f.put(";")
	}
	f.fold(1, len(name)+len("=")+length+len(";"))
	f.put(name + "=")
}

// fold makes room for length octets: after a space on this line, if spaces is 1,
// or on a new one.
func (f *Field) fold(spaces, length int) {
	if f.line+spaces+length > lineLength {
		f.buf = append(f.buf, "\r\n"...)
		f.line = 0
		spaces = 1
	}
	f.put(" "[:spaces])
}

func (f *Field) put(s string) {
	f.buf = append(f.buf, s...)
	f.line += len(s)
}

func (f *Field) putBase64(octets []byte) {
	text := base64.StdEncoding.EncodeToString(octets)
	for text != "" {
		n := min(lineLength-len(";")-f.line, len(text))
		if n <= 0 {
			f.fold(0, lineLength)
			continue
		}
		f.put(text[:n])
		text = text[n:]
	}
}

// Sign ends the field with the tag b=, the signature of what h was given
// followed by the field itself (§3.7), and returns it with its CRLF. h is used
// up.
func (f *Field) Sign(key Key, h *message.FieldHash) ([]byte, error) {
	f.begin("b", lineLength) // always on a line of its own: how long it gets is not known
	signed := message.NewField(append(f.buf[:len(f.buf):len(f.buf)], "\r\n"...))
	end := len(signed.Value())
	h.AddSigned(signed, end, end)
	sig, err := key.Sign(h.Sum())
	if err != nil {
		return nil, err
	}
	f.putBase64(sig)
	return append(f.buf, "\r\n"...), nil
}
