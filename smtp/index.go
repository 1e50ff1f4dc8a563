package smtp

import "math/bits"

// A paramIndex is the parameters of the table by name and by number, so that a
// command costs what it has and not what the table has. It is computed from the
// table, which stays the only place where a parameter is declared; T is
// MailParams or RcptParams.
type paramIndex[T any] struct {
	entries []paramEntry[T] // in the order of the table; the number of each is its bit in a paramSet
	first   [64]uint8       // by nameHash: 1 + the first entry, 0 for none
}

type paramEntry[T any] struct {
	keyword Keyword
	name    string
	values  []string
	next    uint8 // of the same hash: 1 + the next entry, 0 for none

	parse func(*T, string) error
	add   func([]byte, *T) []byte
	drop  func(*T)
	fits  func(Offers, *T) error
}

// A paramSet has a bit for each parameter of the table.
type paramSet uint32

var (
	mailIndex = newIndex(func(row *Extension) (entries []paramEntry[MailParams]) {
		for i := range row.Mail {
			entries = append(entries, row.Mail[i].entry(row.Keyword))
		}
		return entries
	})
	rcptIndex = newIndex(func(row *Extension) (entries []paramEntry[RcptParams]) {
		for i := range row.Rcpt {
			entries = append(entries, row.Rcpt[i].entry(row.Keyword))
		}
		return entries
	})
)

func (m *MailParam) entry(k Keyword) paramEntry[MailParams] {
	return paramEntry[MailParams]{keyword: k, name: m.Name, values: m.Values, parse: m.Parse, add: m.Append, drop: m.Drop, fits: m.Fits}
}

func (r *RcptParam) entry(k Keyword) paramEntry[RcptParams] {
	return paramEntry[RcptParams]{keyword: k, name: r.Name, values: r.Values, parse: r.Parse, add: r.Append, drop: r.Drop, fits: r.Fits}
}

func newIndex[T any](params func(*Extension) []paramEntry[T]) *paramIndex[T] {
	x := new(paramIndex[T])
	for i := range table {
		x.entries = append(x.entries, params(&table[i])...)
	}
	for i := len(x.entries) - 1; i >= 0; i-- { // backwards: a chain has the order of the table
		h := nameHash(x.entries[i].name)
		x.entries[i].next = x.first[h]
		x.first[h] = uint8(i + 1)
	}
	return x
}

// nameHash does not depend on the case of letters.
func nameHash(name string) uint8 {
	return (name[0]<<1 ^ name[len(name)-1]<<3 ^ uint8(len(name))) & 63
}

// find returns the best match of name and value; a nil entry means that no row
// has the name.
func (x *paramIndex[T]) find(name, value string, offers Offers) (found *paramEntry[T], best match) {
	if name == "" {
		return nil, matchNone
	}
	for i := x.first[nameHash(name)]; i > 0; {
		e := &x.entries[i-1]
		if m := e.match(name, value, offers); m > best {
			if found, best = e, m; m == matchAccepted {
				return e, m
			}
		}
		i = e.next
	}
	return found, best
}

// match compares the parameter with what was given.
func (e *paramEntry[T]) match(name, value string, offers Offers) match {
	if !equalFold(e.name, name) {
		return matchNone
	}
	hasValue := e.values == nil
	for i := 0; i < len(e.values) && !hasValue; i++ {
		hasValue = equalFold(e.values[i], value)
	}
	offered := offers.Has(e.keyword)
	switch {
	case offered && hasValue:
		return matchAccepted
	case hasValue:
		return matchNotOffered
	case offered:
		return matchOtherValue
	}
	return matchUnoffered
}

// appendTo appends the parameters of the set given.
func (x *paramIndex[T]) appendTo(dst []byte, p *T, given paramSet) []byte {
	for ; given != 0; given &= given - 1 {
		dst = x.entries[bits.TrailingZeros32(uint32(given))].add(dst, p)
	}
	return dst
}

// check returns why a parameter of the set given, or one in other, cannot be
// sent to a server that offers o.
func (x *paramIndex[T]) check(p *T, given paramSet, other []Param, o Offers) *NotOfferedError {
	for ; given != 0; given &= given - 1 {
		e := &x.entries[bits.TrailingZeros32(uint32(given))]
		if !o.Has(e.keyword) {
			return &NotOfferedError{Keyword: e.keyword, Param: e.name}
		}
		if e.fits != nil {
			if err := e.fits(o, p); err != nil {
				return unfit(e.keyword, e.name, err)
			}
		}
	}
	for _, q := range other {
		if e, m := x.find(q.Name, q.Value, o); m == matchNotOffered {
			return &NotOfferedError{Keyword: e.keyword, Param: e.name}
		}
	}
	return nil
}

// dropFrom clears what may be left out.
func (x *paramIndex[T]) dropFrom(p *T, given paramSet, o Offers) {
	for ; given != 0; given &= given - 1 {
		if e := &x.entries[bits.TrailingZeros32(uint32(given))]; e.drop != nil && !o.Has(e.keyword) {
			e.drop(p)
		}
	}
}

// The bits of a MAIL command, in the order of the table.
const (
	givenSize paramSet = 1 << iota
	givenBody
	givenBinary
	givenUTF8
	givenAuth
	givenRet
	givenEnvID
	givenBy
	givenRequireTLS
	givenPriority
	givenHoldFor
	givenHoldUntil
	givenSolicit
	givenPRDR
)

// given returns the parameters that p asks for.
func (p *MailParams) given() (set paramSet) {
	if p.Size > 0 {
		set = givenSize
	}
	switch p.Body {
	case "":
	case Body7Bit, Body8BitMIME:
		set |= givenBody
	case BodyBinaryMIME:
		set |= givenBinary
	}
	if p.UTF8 {
		set |= givenUTF8
	}
	if p.Auth != "" {
		set |= givenAuth
	}
	if p.Ret != "" {
		set |= givenRet
	}
	if p.EnvID != "" {
		set |= givenEnvID
	}
	if p.By.Mode != 0 {
		set |= givenBy
	}
	if p.RequireTLS {
		set |= givenRequireTLS
	}
	if p.Priority.n != 0 {
		set |= givenPriority
	}
	if p.Hold.For != 0 {
		set |= givenHoldFor
	}
	if !p.Hold.Until.IsZero() {
		set |= givenHoldUntil
	}
	if p.Solicit != "" {
		set |= givenSolicit
	}
	if p.PRDR {
		set |= givenPRDR
	}
	return set
}

// The bits of a RCPT command, in the order of the table.
const (
	givenNotify paramSet = 1 << iota
	givenORcpt
	givenRRVS
)

// given returns the parameters that p asks for.
func (p *RcptParams) given() (set paramSet) {
	if p.Notify != 0 {
		set = givenNotify
	}
	if p.ORcpt.Type != "" {
		set |= givenORcpt
	}
	if p.RRVS != nil {
		set |= givenRRVS
	}
	return set
}
