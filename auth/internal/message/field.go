package message

import "bytes"

// A Field is one field of a header, as it was received.
type Field struct {
	raw   []byte
	name  int // the length of the name
	colon int // where the colon stands
}

// NewField returns the field that raw is, which ends in CRLF.
func NewField(raw []byte) Field { return newField(raw) }

func newField(raw []byte) Field {
	f := Field{raw: raw, colon: bytes.IndexByte(raw, ':')}
	if f.colon < 0 {
		f.colon = len(raw)
		return f
	}
	name := raw[:f.colon]
	for len(name) > 0 && isFold(name[len(name)-1]) { // RFC 5322 §4.5.8
		name = name[:len(name)-1]
	}
	for _, c := range name {
		if c <= ' ' || c >= 0x7f { // RFC 5322 §3.6.8
			return f
		}
	}
	f.name = len(name)
	return f
}

// Raw returns the field with its name, its folding and its final CRLF.
func (f Field) Raw() []byte { return f.raw }

// Name returns the name in the case in which it was received, or nothing if
// the field is none: a line without a colon, or with a name that cannot be.
func (f Field) Name() []byte { return f.raw[:f.name] }

// Value returns what stands after the colon, folded as it is, without the
// final CRLF.
func (f Field) Value() []byte {
	if f.colon >= len(f.raw) {
		return nil
	}
	return bytes.TrimSuffix(f.raw[f.colon+1:], []byte("\r\n"))
}

// Is reports whether the field has this name. Case does not count.
func (f Field) Is(name string) bool {
	return len(name) == f.name && f.name > 0 && equalFold(f.raw[:f.name], name)
}

// Mimics reports whether a line that is no field would be one of this name if
// only printable ASCII counted: some readers trim more off names than they
// should.
func (f Field) Mimics(name string) bool {
	if f.name > 0 || f.colon == len(f.raw) {
		return false
	}
	n := 0
	for _, c := range f.raw[:f.colon] {
		if c <= ' ' || c >= 0x7f {
			continue
		}
		if n == len(name) || lower(c) != lower(name[n]) {
			return false
		}
		n++
	}
	return n == len(name)
}

// equalFold compares as field names are: only the case of letters of ASCII does
// not count. The lengths are equal.
func equalFold[A, B string | []byte](a A, b B) bool {
	for i := 0; i < len(a); i++ {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// isFold reports whether c is of the white space that folds a field.
func isFold(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }
