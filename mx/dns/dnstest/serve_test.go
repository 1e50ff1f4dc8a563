package dnstest_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/postrider/postrider/mx/dns"
	"github.com/postrider/postrider/mx/dns/dnstest"
)

// asked is a query as the tests below vary it.
type asked struct {
	name    string
	typ     dns.Type
	ad, cd  bool
	do      bool
	size    int // of EDNS; 0: none
	version uint32
	tcp     bool
}

func (q asked) pack(t *testing.T) []byte {
	t.Helper()
	name, err := dnsmessage.NewName(q.name)
	if err != nil {
		t.Fatal(err)
	}
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 4711, RecursionDesired: true, AuthenticData: q.ad, CheckingDisabled: q.cd},
		Questions: []dnsmessage.Question{{Name: name, Type: dnsmessage.Type(q.typ), Class: dnsmessage.ClassINET}},
	}
	if q.size > 0 {
		opt := dnsmessage.Resource{Body: &dnsmessage.OPTResource{}}
		opt.Header.SetEDNS0(q.size, 0, q.do)
		opt.Header.TTL |= q.version << 16
		m.Additionals = append(m.Additionals, opt)
	}
	msg, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return msg
}

// exchange sends a message and returns the answer, nil if there is none before
// the answer to another one.
func exchange(t *testing.T, s *dnstest.Server, msg []byte, tcp bool) []byte {
	t.Helper()
	network := "udp"
	if tcp {
		network = "tcp"
	}
	c, err := net.Dial(network, s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	last := asked{name: "last.example.", typ: dns.A}.pack(t)
	for _, m := range [][]byte{msg, last} {
		if tcp {
			m = append(binary.BigEndian.AppendUint16(nil, uint16(len(m))), m...)
		}
		if _, err := c.Write(m); err != nil {
			t.Fatal(err)
		}
	}
	buf := make([]byte, 65535)
	var n int
	if tcp {
		if _, err = io.ReadFull(c, buf[:2]); err == nil {
			n, err = io.ReadFull(c, buf[:binary.BigEndian.Uint16(buf)])
		}
	} else {
		n, err = c.Read(buf)
	}
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(buf[:n]), "\x04last\x07example") {
		return nil
	}
	return buf[:n]
}

// line writes an answer as one line.
func line(msg []byte) string {
	if msg == nil {
		return "nothing"
	}
	var m dnsmessage.Message
	if err := m.Unpack(msg); err != nil {
		return err.Error()
	}
	rcode := m.RCode
	var extra []string
	for _, a := range m.Additionals {
		rcode = a.Header.ExtendedRCode(rcode)
		extra = append(extra, fmt.Sprintf("EDNS %d %d", a.Header.Class, a.Body.(*dnsmessage.OPTResource).Options))
	}
	words := []string{strings.TrimPrefix(rcode.String(), "RCode")}
	for flag, set := range map[string]bool{"TC": m.Truncated, "AD": m.AuthenticData} {
		if set {
			words = append(words, flag)
		}
	}
	for _, a := range m.Answers {
		words = append(words, fmt.Sprintf("%s %d %s;", a.Header.Name, a.Header.TTL, strings.TrimPrefix(a.Header.Type.String(), "Type")))
	}
	for _, a := range m.Authorities {
		words = append(words, fmt.Sprintf("%s %d", strings.TrimPrefix(a.Header.Type.String(), "Type"), a.Body.(*dnsmessage.SOAResource).MinTTL))
	}
	if !m.Response || !m.RecursionAvailable || m.ID != 4711 {
		words = append(words, "with a wrong header")
	}
	return strings.Join(append(words, extra...), " ")
}

func TestServer(t *testing.T) {
	zone := dnstest.MustParse(zoneText +
		"big.example TXT " + dnstest.Quote(strings.Repeat("x", 1500)) + "\nsigned.example TXT " + dnstest.Quote(strings.Repeat("x", 1500)) +
		"\n" + strings.Repeat("a", 64) + ".example A 192.0.2.1\ntolong.example CNAME " + strings.Repeat("a", 64) + ".example")
	s, err := zone.Serve("")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, tt := range []struct {
		asked
		want string
	}{
		{asked{name: "example.org.", typ: dns.NS}, "Success example.org. 300 NS;"},
		{asked{name: "eXample.org.", typ: dns.NS, tcp: true}, "Success eXample.org. 300 NS;"},
		{asked{name: "alias.example.org.", typ: dns.A}, "Success alias.example.org. 20 CNAME; Alias2.example.org. 300 CNAME; mx.example.org. 30 A; mx.example.org. 30 A;"},
		{asked{name: "alias.example.org.", typ: dns.TXT}, "Success alias.example.org. 20 CNAME; Alias2.example.org. 300 CNAME; SOA 300"},
		{asked{name: "mx.example.org.", typ: dns.TXT}, "Success SOA 300"},
		{asked{name: "mx.example.org.", typ: 255}, "Success SOA 300"},
		{asked{name: "nowhere.example.", typ: dns.TXT, size: 1232}, "NameError SOA 300 EDNS 4096 []"},
		{asked{name: "bad.example.org.", typ: dns.TXT}, "ServerFailure"},
		{asked{name: "txtbad.example.org.", typ: dns.TXT}, "Refused"},
		{asked{name: "slow.example.org.", typ: dns.TXT}, "nothing"},
		{asked{name: "slow.example.org.", typ: dns.TXT, tcp: true}, "nothing"},
		{asked{name: "tolong.example.", typ: dns.A}, "ServerFailure"},
		// Sizes.
		{asked{name: "big.example.", typ: dns.TXT}, "Success TC"},
		{asked{name: "big.example.", typ: dns.TXT, size: 1232}, "Success TC EDNS 4096 []"},
		{asked{name: "big.example.", typ: dns.TXT, size: 1600}, "Success big.example. 300 TXT; EDNS 4096 []"},
		{asked{name: "big.example.", typ: dns.TXT, tcp: true}, "Success big.example. 300 TXT;"},
		{asked{name: "example.org.", typ: dns.NS, size: 1}, "Success example.org. 300 NS; EDNS 4096 []"},
		// DNSSEC.
		{asked{name: "signed.example.", typ: dns.A}, "Success signed.example. 300 A;"},
		{asked{name: "signed.example.", typ: dns.A, ad: true}, "Success AD signed.example. 300 A;"},
		{asked{name: "signed.example.", typ: dns.A, do: true, size: 1232}, "Success AD signed.example. 300 A; EDNS 4096 []"},
		{asked{name: "signed.example.", typ: dns.A, size: 1232}, "Success signed.example. 300 A; EDNS 4096 []"},
		{asked{name: "signed.example.", typ: dns.TXT, ad: true}, "Success TC"},
		{asked{name: "example.org.", typ: dns.NS, ad: true}, "Success example.org. 300 NS;"},
		{asked{name: "bogus.example.org.", typ: dns.A}, "ServerFailure"},
		{asked{name: "bogus.example.org.", typ: dns.A, size: 1232}, "ServerFailure EDNS 4096 [{15 [0 6]}]"},
		{asked{name: "bogus.example.org.", typ: dns.A, cd: true}, "Success SOA 300"},
		{asked{name: "example.org.", typ: dns.NS, size: 1232, version: 1}, "16 EDNS 4096 []"},
	} {
		if got := line(exchange(t, s, tt.pack(t), tt.tcp)); got != tt.want {
			t.Errorf("%+v:\n%s\nwant:\n%s", tt.asked, got, tt.want)
		}
	}
}

// What was cut into strings for the wire is whole again.
func TestServedData(t *testing.T) {
	long := strings.Repeat("0123456789", 60)
	zone := dnstest.MustParse(zoneText + "long.example TXT " + dnstest.Quote(long) + ` "and more"`)
	s, err := zone.Serve("")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, s.Addr().String())
	}}
	ctx := context.Background()
	txt, err := r.LookupTXT(ctx, "long.example.")
	if len(txt) != 1 || txt[0] != long+"and more" {
		t.Errorf("TXT: %q, %v", txt, err)
	}
	mx, err := r.LookupMX(ctx, "example.org.")
	if len(mx) != 2 || mx[0].Host != "mx.example.org." || mx[0].Pref != 10 {
		t.Errorf("MX: %v, %v", mx, err)
	}
	host, err := r.LookupAddr(ctx, "192.0.2.1")
	if len(host) != 1 || host[0] != "mx.example.org." {
		t.Errorf("PTR: %v, %v", host, err)
	}
	msg := exchange(t, s, asked{name: "_25._tcp.mx.example.org.", typ: dns.TLSA}.pack(t), false)
	if !strings.HasSuffix(string(msg), "\x00\x07\x03\x01\x01\x01\x23\x45\x67") {
		t.Errorf("TLSA: %q", msg)
	}
}

// Records that no message can hold are a failure, not nothing.
func TestTooMuch(t *testing.T) {
	z := new(dnstest.Zone)
	for range 20 {
		if err := z.Add("huge.example TXT " + dnstest.Quote(strings.Repeat("0123456789", 900))); err != nil {
			t.Fatal(err)
		}
	}
	s, err := z.Serve("")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	msg := asked{name: "huge.example.", typ: dns.TXT}.pack(t)
	for tcp, want := range map[bool]string{false: "Success TC", true: "ServerFailure"} {
		if got := line(exchange(t, s, msg, tcp)); got != want {
			t.Errorf("over TCP %t: %s, want %s", tcp, got, want)
		}
	}
}

func TestMalformedQueries(t *testing.T) {
	s, err := new(dnstest.Zone).Serve("[::1]:0")
	if err != nil {
		s, err = new(dnstest.Zone).Serve("") // without IPv6
	}
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	good := asked{name: "example.org.", typ: dns.A, size: 1232}.pack(t)
	change := func(i int, b byte) []byte {
		msg := append([]byte(nil), good...)
		msg[i] = b
		return msg
	}
	for _, tt := range []struct {
		msg  []byte
		want string
	}{
		{good, "NameError SOA 300 EDNS 4096 []"},
		{change(2, 0x81), "nothing"}, // a response
		{change(2, 0x29), "NotImplemented"},
		{change(5, 0), "FormatError"},               // no question
		{change(5, 2), "FormatError"},               // two
		{change(11, 2), "FormatError EDNS 4096 []"}, // two additional records
		{change(12, 0xc0), "FormatError"},           // a pointer to nowhere
		{good[:len(good)-1], "FormatError"},         // cut off
		{change(28, 3), "Refused EDNS 4096 []"},     // CHAOS
		{good[:11], "nothing"},
		{nil, "nothing"},
	} {
		for _, tcp := range []bool{false, true} {
			if got := line(exchange(t, s, tt.msg, tcp)); got != tt.want {
				t.Errorf("%x:\n%s\nwant:\n%s", tt.msg, got, tt.want)
			}
		}
	}
}

func TestServeOnlyLoopback(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", "192.0.2.1:53", "[::]:0", "localhost:0", "127.0.0.1"} {
		if s, err := new(dnstest.Zone).Serve(addr); err == nil {
			s.Close()
			t.Errorf("%s is served", addr)
		}
	}
	s, err := new(dnstest.Zone).Serve("")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := new(dnstest.Zone).Serve(s.Addr().String()); err == nil {
		t.Error("a port is served twice")
	}
}

// Close ends connections, also those that wait for an answer.
func TestClose(t *testing.T) {
	s, err := dnstest.MustParse("slow.example TIMEOUT").Serve("")
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	msg := asked{name: "slow.example.", typ: dns.A}.pack(t)
	c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(msg))), msg...))
	begin := time.Now()
	if err := s.Close(); err != nil || time.Since(begin) > 5*time.Second {
		t.Errorf("after %v: %v", time.Since(begin), err)
	}
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("%d octets, %v", n, err)
	}
	if err := s.Close(); err == nil {
		t.Error("closed twice")
	}
}
