package dnstest

import (
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// Whatever is asked, an answer is well formed, and no longer than it may be.
func FuzzAnswer(f *testing.F) {
	zone := MustParse("example.org TXT " + Quote(string(make([]byte, 3000))) + "\n*.a.example CNAME b.example\nb.example BOGUS")
	for _, name := range []string{"example.org.", "x.a.example.", "b.example.", "."} {
		for _, edns := range []bool{false, true} {
			m := dnsmessage.Message{
				Header:    dnsmessage.Header{ID: 1, AuthenticData: true},
				Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: dnsmessage.TypeTXT, Class: dnsmessage.ClassINET}},
			}
			if edns {
				opt := dnsmessage.Resource{Body: &dnsmessage.OPTResource{}}
				opt.Header.SetEDNS0(1232, 0, true)
				m.Additionals = append(m.Additionals, opt)
			}
			msg, err := m.Pack()
			if err != nil {
				f.Fatal(err)
			}
			f.Add(msg)
		}
	}
	f.Fuzz(func(t *testing.T, msg []byte) {
		for _, udp := range []bool{true, false} {
			answer := zone.answer(msg, udp)
			zone.asked = nil
			if answer == nil {
				continue
			}
			if udp && len(answer) > maxUDP {
				t.Errorf("%d octets over UDP", len(answer))
			}
			var m dnsmessage.Message
			if err := m.Unpack(answer); err != nil {
				t.Errorf("%x: %v", answer, err)
			}
		}
	})
}
