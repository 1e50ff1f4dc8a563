package dns

import (
	"crypto/rand"
	"encoding/binary"

	"golang.org/x/net/dns/dnsmessage"
)

// query is a message that asks for something.
type query struct {
	id       uint16
	question dnsmessage.Question
	msg      []byte
}

// newQuery writes a query that nobody who does not see it can guess.
func newQuery(name string, t Type, edns bool) (q query, err error) {
	var random [2 + 32]byte
	rand.Read(random[:])
	q.id = binary.BigEndian.Uint16(random[:])
	q.question = dnsmessage.Question{Type: dnsmessage.Type(t), Class: dnsmessage.ClassINET}
	if q.question.Name, err = dnsmessage.NewName(name); err != nil {
		return q, err
	}
	mixCase(q.question.Name.Data[:q.question.Name.Length], random[2:])
	b := dnsmessage.NewBuilder(make([]byte, 0, 320), dnsmessage.Header{
		ID: q.id, RecursionDesired: true,
		AuthenticData: true, // we understand AD (RFC 6840 §5.7)
	})
	b.StartQuestions()
	if err := b.Question(q.question); err != nil {
		return q, err
	}
	if edns {
		var opt dnsmessage.ResourceHeader
		opt.SetEDNS0(udpSize, 0, false) // without DO: AD tells, and signatures would only fill the message
		b.StartAdditionals()
		b.OPTResource(opt, dnsmessage.OPTResource{})
	}
	q.msg, err = b.Finish()
	return q, err
}

// mixCase gives letters the case that a random bit says. Servers send the
// question back as it is.
func mixCase(name, random []byte) {
	for i, c := range name {
		if c|0x20 >= 'a' && c|0x20 <= 'z' {
			name[i] = c&^0x20 | random[i/8]>>(i%8)&1<<5
		}
	}
}

// answeredBy reports whether a message answers the query, and whether its
// question is the same to the letter.
func (q query) answeredBy(msg []byte) (h dnsmessage.Header, ok, exact bool) {
	var p dnsmessage.Parser
	h, err := p.Start(msg)
	if err != nil || !h.Response || h.ID != q.id || h.OpCode != 0 {
		return h, false, false
	}
	got, err := p.Question()
	if err == dnsmessage.ErrSectionDone { // of servers that could not read it
		unread := RCode(h.RCode) == FormErr || RCode(h.RCode) == NotImp
		return h, unread, unread
	}
	if err != nil || p.SkipQuestion() != dnsmessage.ErrSectionDone || got.Type != q.question.Type || got.Class != q.question.Class || !sameName(got.Name, q.question.Name) {
		return h, false, false
	}
	return h, true, got.Name == q.question.Name
}

// sameName compares as the DNS does (RFC 4343).
func sameName(a, b dnsmessage.Name) bool {
	if a.Length != b.Length {
		return false
	}
	for i := range a.Length {
		if lower(a.Data[i]) != lower(b.Data[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		c |= 0x20
	}
	return c
}
