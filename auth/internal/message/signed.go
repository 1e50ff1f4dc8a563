package message

import (
	"crypto"

	"github.com/postrider/postrider/auth/internal/tag"
)

// A Signed says what of a header a signature covers.
type Signed struct {
	Canon Canon
	Hash  crypto.Hash
	Names []byte // h=: names of fields, with colons between them
	// Field is the place in Fields of the field that holds the signature, of
	// which Value from Start to End is the signature itself.
	Field, Start, End int
}

// HeaderHash returns the hash value of what s says (RFC 6376 §3.7).
func (m *Message) HeaderHash(s Signed) []byte {
	pick, h := m.Picker(s.Field), NewFieldHash(s.Canon, s.Hash)
	for name := range tag.Split(s.Names) {
		if f, ok := pick.Pick(name); ok {
			h.Add(f)
		}
	}
	h.AddSigned(m.fields[s.Field], s.Start, s.End)
	return h.Sum()
}
