package message

import (
	"crypto"
	"hash"
)

// A Canon is a canonicalization algorithm (RFC 6376 §3.4).
type Canon int

// The canonicalization algorithms.
const (
	Simple Canon = iota
	Relaxed
)

// ParseCanon returns the Canon of this name.
func ParseCanon(name []byte) (Canon, bool) {
	switch string(name) {
	case "simple":
		return Simple, true
	case "relaxed":
		return Relaxed, true
	}
	return 0, false
}

// A FieldHash hashes fields in a canonical form, in the order in which they are
// added.
type FieldHash struct {
	hash  hash.Hash
	canon Canon
	buf   []byte
	begun bool // the value has begun
	space bool // white space came that is written if something follows
}

// NewFieldHash returns a FieldHash.
func NewFieldHash(canon Canon, h crypto.Hash) *FieldHash {
	return &FieldHash{hash: h.New(), canon: canon, buf: make([]byte, 0, 512)}
}

// Add adds a field.
func (h *FieldHash) Add(f Field) {
	if h.canon == Simple {
		h.write(f.raw) // §3.4.1
		return
	}
	h.name(f)
	h.value(f.raw[min(f.colon+1, len(f.raw)):])
	h.endLine()
}

// AddSigned adds the field that holds the signature, as RFC 6376 §3.7 asks:
// without the octets of its Value from start to end, and without a final CRLF.
func (h *FieldHash) AddSigned(f Field, start, end int) {
	value := f.Value()
	if h.canon == Simple {
		h.write(f.raw[:f.colon+1+start])
		h.write(value[end:])
		return
	}
	h.name(f)
	h.value(value[:start])
	h.value(value[end:])
}

// Sum returns the hash value. Nothing may be added after it.
func (h *FieldHash) Sum() []byte {
	h.flush()
	return h.hash.Sum(nil)
}

// Clone returns a FieldHash to which the same fields have been added. ARC's
// seals each cover what the one before covers, and more.
func (h *FieldHash) Clone() *FieldHash {
	h.flush()
	c := *h
	var err error
	if c.hash, err = h.hash.(hash.Cloner).Clone(); err != nil {
		panic(err) // the standard library's never fail
	}
	c.buf = make([]byte, 0, cap(h.buf))
	return &c
}

// AppendField appends the canonical form of f, with its CRLF.
func AppendField(dst []byte, canon Canon, f Field) []byte {
	if canon == Simple {
		return append(dst, f.raw...)
	}
	h := FieldHash{canon: Relaxed, buf: dst}
	h.name(f)
	h.value(f.raw[min(f.colon+1, len(f.raw)):])
	h.endLine()
	return h.buf
}

var colon = []byte(":")

// name writes the name in lower case and the colon, with no white space
// between them (RFC 6376 §3.4.2).
func (h *FieldHash) name(f Field) {
	name := f.raw[:f.colon]
	for len(name) > 0 && isFold(name[len(name)-1]) {
		name = name[:len(name)-1]
	}
	for len(name) > 0 {
		part := name[:min(len(name), 128)]
		name = name[len(part):]
		h.room(len(part))
		for _, c := range part {
			h.buf = append(h.buf, lower(c))
		}
	}
	h.write(colon)
	h.begun, h.space = false, false
}

// value writes the next part of a value, unfolded, with one space for each run
// of white space and none at its ends (RFC 6376 §3.4.2).
func (h *FieldHash) value(v []byte) {
	for len(v) > 0 {
		n := 0
		for n < len(v) && v[n] > ' ' {
			n++
		}
		if n == 0 {
			switch c := v[0]; {
			case c == ' ' || c == '\t':
				h.space, v = true, v[1:]
				continue
			case c == '\r' && len(v) > 1 && v[1] == '\n':
				v = v[2:] // of the folding; white space follows, or the end
				continue
			}
			n = 1
		}
		if h.space && h.begun {
			h.write(oneSpace)
		}
		h.begun, h.space = true, false
		h.write(v[:n])
		v = v[n:]
	}
}

func (h *FieldHash) endLine() { h.write(crlfs[:2]) }

func (h *FieldHash) write(p []byte) {
	if h.hash != nil && len(p) >= cap(h.buf)/2 {
		h.flush()
		h.hash.Write(p)
		return
	}
	h.room(len(p))
	h.buf = append(h.buf, p...)
}

// room makes room for n octets, if they go into a hash.
func (h *FieldHash) room(n int) {
	if h.hash != nil && len(h.buf)+n > cap(h.buf) {
		h.flush()
	}
}

func (h *FieldHash) flush() {
	h.hash.Write(h.buf)
	h.buf = h.buf[:0]
}
