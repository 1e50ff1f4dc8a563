package dns

import (
	"encoding/hex"
	"math"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// Whatever a server sends: what is taken from it is bounded, and belongs to the
// question.
func FuzzResponse(f *testing.F) {
	name := dnsmessage.MustNewName("a.example.")
	header := dnsmessage.ResourceHeader{Name: name, Class: dnsmessage.ClassINET, TTL: 60}
	for _, body := range []dnsmessage.ResourceBody{
		&dnsmessage.AResource{}, &dnsmessage.AAAAResource{}, &dnsmessage.CNAMEResource{CNAME: name}, &dnsmessage.NSResource{NS: name},
		&dnsmessage.PTRResource{PTR: name}, &dnsmessage.MXResource{MX: name}, &dnsmessage.TXTResource{TXT: []string{"a", ""}},
		&dnsmessage.UnknownResource{Type: dnsmessage.Type(TLSA), Data: make([]byte, 35)},
	} {
		root := dnsmessage.MustNewName(".")
		opt := dnsmessage.Resource{Body: &dnsmessage.OPTResource{Options: []dnsmessage.Option{{Code: optionEDE, Data: []byte{0, 6}}}}}
		opt.Header.SetEDNS0(1232, 0, false)
		m := dnsmessage.Message{
			Header:      dnsmessage.Header{Response: true, RecursionAvailable: true},
			Questions:   []dnsmessage.Question{{Name: name, Type: dnsmessage.TypeTXT, Class: dnsmessage.ClassINET}},
			Answers:     []dnsmessage.Resource{{Header: header, Body: body}},
			Authorities: []dnsmessage.Resource{{Header: header, Body: &dnsmessage.SOAResource{NS: root, MBox: root, MinTTL: math.MaxUint32}}},
			Additionals: []dnsmessage.Resource{opt},
		}
		msg, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(msg)
	}
	loop, _ := hex.DecodeString("000081800001000000000000c00c00100001")
	f.Add(loop)
	f.Fuzz(func(t *testing.T, msg []byte) {
		query{}.answeredBy(msg)
		r, err := parseResponse(msg)
		if err != nil {
			return
		}
		for _, typ := range []Type{A, AAAA, CNAME, MX, NS, PTR, TLSA, TXT} {
			next, err := r.extend(Answer{Canonical: "a.example.", Secure: true, TTL: maxTTL}, typ)
			if err != nil {
				continue
			}
			records := len(next.Addrs) + len(next.Names) + len(next.MX) + len(next.TXT) + len(next.TLSA)
			if len(next.Chain) > maxAliases || records > maxRecords || next.TTL < 0 || next.TTL > maxTTL || next.Secure && !r.AuthenticData {
				t.Errorf("%+v", next)
			}
			if (typ == CNAME || len(next.Chain) == 0) && next.Canonical != "a.example." {
				t.Errorf("%+v", next)
			}
			if next.NXDomain && (records > 0 || !next.complete) || records > 0 && !next.complete {
				t.Errorf("%+v", next)
			}
		}
	})
}

func TestReverseAddr(t *testing.T) {
	for name, want := range map[string]string{
		"1.2.0.192.in-addr.arpa":  "192.0.2.1",
		"1.2.0.192.IN-ADDR.ARPA.": "192.0.2.1",
		"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.B.D.0.1.0.0.2.ip6.arpa.":  "2001:db8::1",
		"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.22.ip6.arpa.": "",
		"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.x.ip6.arpa.":  "",
		"01.2.0.192.in-addr.arpa":   "",
		"256.2.0.192.in-addr.arpa":  "",
		"2.0.192.in-addr.arpa":      "",
		"1.2.0.192.in-addr.arpa.x":  "",
		"1.2.0.192.in-addr.example": "",
		"example.org":               "",
		"":                          "",
	} {
		addr, ok := reverseAddr(name)
		if ok != (want != "") || ok && addr.String() != want {
			t.Errorf("%q: %v, %t", name, addr, ok)
		}
	}
}
