package message

import "hash/maphash"

// seed keeps strangers from choosing names that fall into one place.
var seed = maphash.MakeSeed()

// An index finds the fields of a name. It is a table of hash values with open
// addressing: to look up a name costs the length of the name.
type index struct {
	slots []slot
	above []int32 // by field: the next field of the same name towards the top, or -1
}

type slot struct {
	hash  uint64
	field int32 // the lowest field of the name, plus 1. 0 means that the slot is free
}

func newIndex(fields []Field) *index {
	size := 16
	for size < 2*len(fields) {
		size *= 2
	}
	x := &index{slots: make([]slot, size), above: make([]int32, len(fields))}
	for i, f := range fields {
		x.above[i] = -1
		if f.name == 0 {
			continue
		}
		h, at := x.find(fields, f.Name())
		if x.slots[at].field > 0 {
			x.above[i] = x.slots[at].field - 1
		}
		x.slots[at] = slot{h, int32(i + 1)}
	}
	return x
}

// find returns the hash value of name and its place.
func (x *index) find(fields []Field, name []byte) (uint64, int) {
	var mh maphash.Hash
	mh.SetSeed(seed)
	var part [64]byte
	for rest := name; len(rest) > 0; {
		n := min(len(rest), len(part))
		for i, c := range rest[:n] {
			part[i] = lower(c)
		}
		mh.Write(part[:n])
		rest = rest[n:]
	}
	h := mh.Sum64()
	for at := int(h) & (len(x.slots) - 1); ; at = (at + 1) & (len(x.slots) - 1) {
		s := x.slots[at]
		if s.field == 0 {
			return h, at
		}
		if have := fields[s.field-1].Name(); s.hash == h && len(have) == len(name) && equalFold(have, name) {
			return h, at
		}
	}
}

// A Picker picks the fields that a signature names: each time a name is picked
// the next field of that name from the bottom up, and none when there are no
// more (RFC 6376 §5.4.2). Picking costs the length of the name.
type Picker struct {
	fields []Field
	index  *index
	next   []int32 // by slot: the field to be picked, plus 1. 0 means none
	skip   int32
}

// Picker returns a new Picker. The signature itself, of which self is the place
// in Fields, is never picked (RFC 6376 §3.5). It is negative if there is none.
func (m *Message) Picker(self int) Picker {
	if m.index == nil {
		m.index = newIndex(m.fields)
	}
	p := Picker{fields: m.fields, index: m.index, next: make([]int32, len(m.index.slots)), skip: int32(self)}
	for i, s := range m.index.slots {
		p.next[i] = s.field
	}
	return p
}

// Pick returns the next field of this name. Case does not count.
func (p *Picker) Pick(name []byte) (Field, bool) {
	if len(name) == 0 {
		return Field{}, false
	}
	_, at := p.index.find(p.fields, name)
	i := p.next[at] - 1
	if i >= 0 && i == p.skip {
		i = p.index.above[i]
	}
	if i < 0 {
		p.next[at] = 0
		return Field{}, false
	}
	p.next[at] = p.index.above[i] + 1
	return p.fields[i], true
}
