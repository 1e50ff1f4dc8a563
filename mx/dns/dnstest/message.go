package dnstest

import (
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/postrider/postrider/mx/dns"
)

const (
	minUDP       = 512  // RFC 1035 §4.2.1
	maxUDP       = 4096 // RFC 6891 §6.2.5
	maxMessage   = 65535
	maxTXTString = 255
	optionEDE    = 15 // RFC 8914 §4
	edeBogus     = 6  // RFC 8914 §4.7
)

const badVers dnsmessage.RCode = 16 // RFC 6891 §9

// query is what a message asks for, and how.
type query struct {
	dnsmessage.Header
	question dnsmessage.Question
	rcode    dnsmessage.RCode // why it is refused, whatever the zone holds
	edns     bool
	do       bool
	size     int // of the answer, over UDP
}

// answer returns the answer to a message, nil for none.
func (z *Zone) answer(msg []byte, udp bool) []byte {
	q, ok := parseQuery(msg)
	if !ok {
		return nil
	}
	limit := maxMessage
	if udp {
		limit = q.size
	}
	if q.rcode != dnsmessage.RCodeSuccess {
		return q.build(result{failure: failure(q.rcode)}, limit)
	}
	name := q.question.Name.String()
	z.mu.Lock()
	z.asked = append(z.asked, Query{key(name), dns.Type(q.question.Type)})
	r := z.find(name, dns.Type(q.question.Type), q.CheckingDisabled)
	z.mu.Unlock()
	if r.failure == timeout || r.failure == stall {
		return nil
	}
	return q.build(r, limit)
}

// parseQuery reports whether the message asks for an answer, be it FORMERR.
func parseQuery(msg []byte) (q query, ok bool) {
	var p dnsmessage.Parser
	h, err := p.Start(msg)
	if err != nil || h.Response {
		return q, false
	}
	q = query{Header: h, size: minUDP, rcode: dnsmessage.RCodeFormatError}
	if h.OpCode != 0 {
		q.rcode = dnsmessage.RCodeNotImplemented
		return q, true
	}
	questions, err := p.AllQuestions()
	if err != nil || len(questions) != 1 { // RFC 9619
		return q, true
	}
	q.question = questions[0]
	if p.SkipAllAnswers() != nil || p.SkipAllAuthorities() != nil {
		return q, true
	}
	for {
		extra, err := p.AdditionalHeader()
		if err == dnsmessage.ErrSectionDone {
			break
		}
		if err != nil || p.SkipAdditional() != nil || extra.Type == dnsmessage.TypeOPT && q.edns {
			return q, true
		}
		if extra.Type == dnsmessage.TypeOPT {
			q.edns, q.do = true, extra.DNSSECAllowed()
			q.size = min(max(int(extra.Class), minUDP), maxUDP)
			if extra.TTL>>16&0xff != 0 { // the version
				q.rcode = badVers
				return q, true
			}
		}
	}
	q.rcode = dnsmessage.RCodeSuccess
	if q.question.Class != dnsmessage.ClassINET && q.question.Class != dnsmessage.ClassANY {
		q.rcode = dnsmessage.RCodeRefused
	}
	return q, true
}

// build writes the answer, within limit octets.
func (q query) build(r result, limit int) []byte {
	rcode := dnsmessage.RCode(r.failure)
	switch {
	case r.failure == bogus:
		rcode = dnsmessage.RCodeServerFailure
	case r.NXDomain:
		rcode = dnsmessage.RCodeNameError
	}
	h := dnsmessage.Header{
		ID: q.ID, Response: true, OpCode: q.OpCode, RCode: rcode & 0xf,
		RecursionDesired: q.RecursionDesired, RecursionAvailable: true, CheckingDisabled: q.CheckingDisabled,
		AuthenticData: r.Secure && (q.AuthenticData || q.do), // RFC 6840 §5.8
	}
	msg, err := q.pack(h, r, rcode)
	if err == nil && len(msg) > limit && limit < maxMessage {
		h.Truncated, h.AuthenticData = true, false
		msg, err = q.pack(h, result{}, rcode)
	}
	if err != nil || len(msg) > maxMessage { // of the records: names that no message can hold, or too many
		h.RCode, h.AuthenticData, h.Truncated = dnsmessage.RCodeServerFailure, false, false
		msg, _ = q.pack(h, result{}, h.RCode)
	}
	return msg
}

func (q query) pack(h dnsmessage.Header, r result, rcode dnsmessage.RCode) ([]byte, error) {
	b := dnsmessage.NewBuilder(nil, h)
	b.EnableCompression()
	b.StartQuestions()
	if q.question.Name.Length > 0 {
		if err := b.Question(q.question); err != nil {
			return nil, err
		}
	}
	b.StartAnswers()
	for _, s := range r.sets {
		if err := s.pack(&b); err != nil {
			return nil, err
		}
	}
	b.StartAuthorities()
	if r.Empty() && r.Canonical != "" {
		if err := packSOA(&b); err != nil {
			return nil, err
		}
	}
	b.StartAdditionals()
	if q.edns {
		var opt dnsmessage.ResourceHeader
		opt.SetEDNS0(maxUDP, rcode, q.do)
		var data dnsmessage.OPTResource
		if r.failure == bogus {
			data.Options = []dnsmessage.Option{{Code: optionEDE, Data: []byte{0, edeBogus}}}
		}
		if err := b.OPTResource(opt, data); err != nil {
			return nil, err
		}
	}
	return b.Finish()
}

// packSOA writes the record that says for how long there is nothing
// (RFC 2308 §5).
func packSOA(b *dnsmessage.Builder) error {
	root := dnsmessage.MustNewName(".")
	seconds := uint32(defaultTTL / time.Second)
	return b.SOAResource(dnsmessage.ResourceHeader{Name: root, Class: dnsmessage.ClassINET, TTL: seconds},
		dnsmessage.SOAResource{NS: root, MBox: root, Serial: 1, Refresh: seconds, Retry: seconds, Expire: seconds, MinTTL: seconds})
}

// pack writes the records of a set.
func (s namedSet) pack(b *dnsmessage.Builder) error {
	owner, err := dnsmessage.NewName(s.name)
	if err != nil {
		return err
	}
	h := dnsmessage.ResourceHeader{Name: owner, Class: dnsmessage.ClassINET, TTL: uint32(s.TTL / time.Second)}
	for _, a := range s.Addrs {
		if a.Is4() {
			err = b.AResource(h, dnsmessage.AResource{A: a.As4()})
		} else {
			err = b.AAAAResource(h, dnsmessage.AAAAResource{AAAA: a.As16()})
		}
		if err != nil {
			return err
		}
	}
	for _, name := range s.Names {
		if err := packName(b, h, s.typ, name); err != nil {
			return err
		}
	}
	for _, mx := range s.MX {
		host, err := dnsmessage.NewName(mx.Host)
		if err == nil {
			err = b.MXResource(h, dnsmessage.MXResource{Pref: mx.Preference, MX: host})
		}
		if err != nil {
			return err
		}
	}
	for _, t := range s.strings {
		if err := b.TXTResource(h, dnsmessage.TXTResource{TXT: cut(t)}); err != nil {
			return err
		}
	}
	for _, t := range s.TLSA {
		data := append([]byte{t.Usage, t.Selector, t.MatchingType}, t.Data...)
		if err := b.UnknownResource(h, dnsmessage.UnknownResource{Type: dnsmessage.Type(dns.TLSA), Data: data}); err != nil {
			return err
		}
	}
	return nil
}

func packName(b *dnsmessage.Builder, h dnsmessage.ResourceHeader, t dns.Type, name string) error {
	target, err := dnsmessage.NewName(name)
	if err != nil {
		return err
	}
	switch t {
	case dns.CNAME:
		return b.CNAMEResource(h, dnsmessage.CNAMEResource{CNAME: target})
	case dns.NS:
		return b.NSResource(h, dnsmessage.NSResource{NS: target})
	default:
		return b.PTRResource(h, dnsmessage.PTRResource{PTR: target})
	}
}

// cut makes several of the strings that are too long for a record.
func cut(strings []string) (short []string) {
	for _, s := range strings {
		for len(s) > maxTXTString {
			short = append(short, s[:maxTXTString])
			s = s[maxTXTString:]
		}
		short = append(short, s)
	}
	return short
}
