// Package tag reads lists of tags and values (RFC 6376 §3.2): the form of DKIM
// and ARC signatures, of key records and of DMARC policies. A list is read in
// place: names and values are parts of it.
package tag

import (
	"bytes"
	"encoding/base64"
	"errors"
	"iter"
	"slices"
)

// Max is how many tags a list may have. The standards know 14 for a signature.
const Max = 64

// Why a list is none. The texts are fit for strangers.
var (
	ErrSyntax    = errors.New("malformed tag list")
	ErrDuplicate = errors.New("tag given twice")
	ErrTooMany   = errors.New("too many tags")
)

// A Tag is a name and its value.
type Tag struct {
	Name       []byte // case counts
	Value      []byte // without the folding white space around it, with that within it
	Start, End int    // where the value stands in the list, with the white space around it
}

// A Scanner goes through the tags of a list.
type Scanner struct {
	list  []byte
	at    int // of the next tag
	tag   Tag
	err   error
	n     int
	names [Max]struct{ from, to int32 }
}

// NewScanner returns a Scanner of list, which has no line end at its end.
func NewScanner(list []byte) Scanner { return Scanner{list: list} }

// Next goes to the next tag. It returns false at the end of the list and at an
// error.
func (s *Scanner) Next() bool {
	if s.err != nil || s.at >= len(s.list) {
		return false
	}
	start, end := s.at, len(s.list)
	if i := bytes.IndexByte(s.list[start:], ';'); i >= 0 {
		end = start + i
	}
	s.at = end + 1
	spec := s.list[start:end]
	if !wellFormed(spec) {
		return s.fail(ErrSyntax)
	}
	if len(Trim(spec)) == 0 && end == len(s.list) && s.n > 0 { // a final ";"
		return false
	}
	eq := bytes.IndexByte(spec, '=')
	if eq < 0 {
		return s.fail(ErrSyntax)
	}
	name := Trim(spec[:eq])
	if !isName(name) {
		return s.fail(ErrSyntax)
	}
	if s.n == Max {
		return s.fail(ErrTooMany)
	}
	for _, seen := range s.names[:s.n] {
		if bytes.Equal(s.list[seen.from:seen.to], name) {
			return s.fail(ErrDuplicate)
		}
	}
	from := start + cap(spec) - cap(name)
	s.names[s.n].from, s.names[s.n].to = int32(from), int32(from+len(name))
	s.n++
	s.tag = Tag{Name: name, Value: Trim(spec[eq+1:]), Start: start + eq + 1, End: end}
	return true
}

func (s *Scanner) fail(err error) bool {
	s.err = err
	return false
}

// Tag returns the tag that Next went to.
func (s *Scanner) Tag() Tag { return s.tag }

// First reports whether Tag is the first of its list.
func (s *Scanner) First() bool { return s.n == 1 }

// Err returns why the list is none, after Next has returned false.
func (s *Scanner) Err() error {
	if s.err == nil && s.n == 0 {
		return ErrSyntax
	}
	return s.err
}

// Trim returns v without the white space and line ends around it.
func Trim(v []byte) []byte {
	for len(v) > 0 && isSpace(v[0]) {
		v = v[1:]
	}
	for len(v) > 0 && isSpace(v[len(v)-1]) {
		v = v[:len(v)-1]
	}
	return v
}

// Split goes through the elements of a value that colons separate, such as
// h=, without the white space around them.
func Split(v []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for {
			i := bytes.IndexByte(v, ':')
			if i < 0 {
				yield(Trim(v))
				return
			}
			if !yield(Trim(v[:i])) {
				return
			}
			v = v[i+1:]
		}
	}
}

// AppendCompact appends v to dst without its white space and line ends.
func AppendCompact(dst, v []byte) []byte {
	dst = slices.Grow(dst, len(v))
	for _, c := range v {
		if !isSpace(c) {
			dst = append(dst, c)
		}
	}
	return dst
}

// AppendBase64 appends the octets that v is the base64 form of. White space in
// v does not count, and the padding may be missing, as the grammar allows
// (RFC 6376 §2.10).
func AppendBase64(dst, v []byte) ([]byte, error) {
	at := len(dst)
	dst = AppendCompact(dst, v)
	text := dst[at:]
	for i := 0; i < 2 && len(text) > 0 && text[len(text)-1] == '='; i++ {
		text = text[:len(text)-1]
	}
	n, err := base64.RawStdEncoding.Decode(text, text) // what is read is always ahead of what is written
	if err != nil {
		return dst[:at], ErrSyntax
	}
	return dst[:at+n], nil
}

// Number returns the decimal number v, and false if v is none or has more
// digits than max. What does not fit is math.MaxInt64.
func Number(v []byte, max int) (int64, bool) {
	if len(v) == 0 || len(v) > max {
		return 0, false
	}
	n := int64(0)
	for _, c := range v {
		if c < '0' || c > '9' {
			return 0, false
		}
		if d := int64(c - '0'); n > (1<<63-1-d)/10 {
			n = 1<<63 - 1
		} else if n != 1<<63-1 {
			n = n*10 + d
		}
	}
	return n, true
}

// wellFormed reports whether spec holds no octet that a tag cannot have. UTF-8
// has a place in names of domains (RFC 8616 §4).
func wellFormed(spec []byte) bool {
	for i, c := range spec {
		switch {
		case c > ' ' && c != 0x7f, c == ' ', c == '\t':
		case c == '\r' && i+2 < len(spec) && spec[i+1] == '\n' && (spec[i+2] == ' ' || spec[i+2] == '\t'):
		case c == '\n' && i > 0 && spec[i-1] == '\r':
		default:
			return false
		}
	}
	return true
}

func isName(name []byte) bool {
	for i, c := range name {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
		case i > 0 && (c >= '0' && c <= '9' || c == '_'):
		default:
			return false
		}
	}
	return len(name) > 0
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }
