package dns_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/postrider/postrider/mx/dns"
	"github.com/postrider/postrider/mx/dns/dnstest"
)

// fake answers as a function says: with the messages to send, in order. It notes
// what it was asked.
type fake struct {
	answer func(network, address string, q dnsmessage.Message) [][]byte

	mu    sync.Mutex
	asked []string
}

// Dial connects to the fake, which keeps datagrams apart as net.Pipe keeps
// writes apart.
func (f *fake) Dial(_ context.Context, network, address string) (net.Conn, error) {
	near, far := net.Pipe()
	go f.serve(far, network, address)
	return near, nil
}

func (f *fake) serve(c net.Conn, network, address string) {
	defer c.Close()
	buf := make([]byte, 65535)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		msg := buf[:n]
		if network == "tcp" {
			msg = msg[2:]
		}
		var q dnsmessage.Message
		if err := q.Unpack(msg); err != nil {
			panic(err)
		}
		f.mu.Lock()
		f.asked = append(f.asked, fmt.Sprintf("%s %s %s", network, address, strings.ToLower(q.Questions[0].Name.String())))
		f.mu.Unlock()
		for _, answer := range f.answer(network, address, q) {
			if network == "tcp" {
				answer = append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)
			}
			if _, err := c.Write(answer); err != nil {
				return
			}
		}
	}
}

func (f *fake) noted() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	defer func() { f.asked = nil }()
	return strings.Join(f.asked, "\n")
}

// reply is an answer that the tests build, with what is mostly the same filled
// in.
func reply(q dnsmessage.Message, change func(*dnsmessage.Message)) []byte {
	m := dnsmessage.Message{Header: q.Header, Questions: q.Questions}
	m.Response, m.RecursionAvailable = true, true
	change(&m)
	msg, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return msg
}

// records makes the records of a section from lines such as "a.example 60 A
// 192.0.2.1".
func records(lines ...string) (list []dnsmessage.Resource) {
	for _, line := range lines {
		w := strings.Fields(line)
		var seconds uint32
		fmt.Sscan(w[1], &seconds)
		r := dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(w[0]), Class: dnsmessage.ClassINET, TTL: seconds}}
		switch w[2] {
		case "A":
			r.Body = &dnsmessage.AResource{A: netip.MustParseAddr(w[3]).As4()}
		case "CNAME":
			r.Body = &dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName(w[3])}
		case "MX":
			r.Body = &dnsmessage.MXResource{Pref: 10, MX: dnsmessage.MustNewName(w[3])}
		case "SOA":
			var least uint32
			fmt.Sscan(w[3], &least)
			root := dnsmessage.MustNewName(".")
			r.Body = &dnsmessage.SOAResource{NS: root, MBox: root, MinTTL: least}
		default: // TYPE n of data
			var data []byte
			var typ uint16
			fmt.Sscanf(w[2], "TYPE%d", &typ)
			fmt.Sscanf(w[3], "%x", &data)
			r.Body = &dnsmessage.UnknownResource{Type: dnsmessage.Type(typ), Data: data}
		}
		list = append(list, r)
	}
	return list
}

// ede is the extended error of a response (RFC 8914).
func ede(code byte) []dnsmessage.Resource {
	opt := dnsmessage.Resource{Body: &dnsmessage.OPTResource{Options: []dnsmessage.Option{{Code: 15, Data: []byte{0, code, 'x'}}}}}
	opt.Header.SetEDNS0(1232, 0, false)
	return []dnsmessage.Resource{opt}
}

func fails(code dnsmessage.RCode) func(*dnsmessage.Message) {
	return func(m *dnsmessage.Message) { m.RCode = code }
}

func answers(lines ...string) func(*dnsmessage.Message) {
	return func(m *dnsmessage.Message) { m.Answers = records(lines...) }
}

var (
	here  = netip.MustParseAddrPort("127.0.0.1:53")
	there = netip.MustParseAddrPort("192.0.2.53:53")
)

// stub asks a fake at addresses that need not exist.
func stub(f *fake, servers ...netip.AddrPort) *dns.Stub {
	s := &dns.Stub{Dial: f.Dial}
	for _, addr := range servers {
		s.Servers = append(s.Servers, dns.Server{Addr: addr})
	}
	return s
}

// The protocol, with a server that is one.
func TestStubAsksServer(t *testing.T) {
	long := strings.Repeat("0123456789", 200)
	zone := dnstest.MustParse(`
		example.org      SECURE
		example.org      MX    10 mx.example.org
		example.org      MX    20 MX2.Example.org
		example.org      NS    ns.example.org
		example.org      TXT   "v=spf1 " "-all"
		example.org      TXT   "second"
		long.example.org TXT   ` + dnstest.Quote(long) + `
		mx.example.org   A     192.0.2.1
		mx.example.org   30 A  192.0.2.2
		mx.example.org   AAAA  2001:db8::1
		Www.Example.org  60 CNAME  Mx.Example.org
		plain.example    A     192.0.2.3
		to.example.org   CNAME plain.example
		_25._tcp.mx.example.org TLSA 3 1 1 0123456789abcdef
		1.2.0.192.in-addr.arpa PTR mx.example.org
		loop.example     CNAME loop.example
		bad.example      SERVFAIL
		bogus.example    BOGUS
		refused.example  REFUSED`)
	server, err := zone.Serve("")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	s := &dns.Stub{Servers: []dns.Server{{Addr: server.Addr()}}}
	for _, tt := range []struct {
		name string
		typ  dns.Type
		want string
	}{
		{"example.org", dns.MX, "[{10 mx.example.org.} {20 MX2.example.org.}] example.org. 5m0s secure"},
		{"Example.org.", dns.NS, "[ns.Example.org.] Example.org. 5m0s secure"},
		{"example.org", dns.TXT, "[v=spf1 -all second] example.org. 5m0s secure"},
		{"long.example.org", dns.TXT, "[" + long + "] long.example.org. 5m0s secure"},
		{"mx.example.org", dns.A, "[192.0.2.1 192.0.2.2] mx.example.org. 30s secure"},
		{"mx.example.org", dns.AAAA, "[2001:db8::1] mx.example.org. 5m0s secure"},
		{"www.example.org", dns.A, "[192.0.2.1 192.0.2.2] [www.example.org.] to Mx.example.org. 30s secure"},
		{"www.example.org", dns.AAAA, "[2001:db8::1] [www.example.org.] to Mx.example.org. 1m0s secure"},
		{"www.example.org", dns.CNAME, "[Mx.example.org.] www.example.org. 1m0s secure"},
		{"www.example.org", dns.MX, "[www.example.org.] to Mx.example.org. 1m0s secure"},
		{"to.example.org", dns.A, "[192.0.2.3] [to.example.org.] to plain.example. 5m0s"},
		{"_25._tcp.mx.example.org", dns.TLSA, "[{3 1 1 [1 35 69 103 137 171 205 239]}] _25._tcp.mx.example.org. 5m0s secure"},
		{"1.2.0.192.in-addr.arpa.", dns.PTR, "[mx.example.org.] 1.2.0.192.in-addr.arpa. 5m0s"},
		{"_tcp.mx.example.org", dns.A, "_tcp.mx.example.org. 5m0s secure"},
		{"nowhere.example.org", dns.A, "NXDOMAIN nowhere.example.org. 5m0s secure"},
		{"nowhere.example", dns.A, "NXDOMAIN nowhere.example. 5m0s"},
		{".", dns.A, ". 5m0s"},
		{"loop.example", dns.A, "dns: loop.example A: response code 2"},
		{"bad.example", dns.A, "dns: bad.example A: response code 2"},
		{"bogus.example", dns.A, "dns: bogus.example A: bogus"},
		{"refused.example", dns.A, "dns: refused.example A: response code 5"},
	} {
		if got := show(s.Resolve(ctx, tt.name, tt.typ)); got != tt.want {
			t.Errorf("%s %v:\n%s\nwant:\n%s", tt.name, tt.typ, got, tt.want)
		}
	}
}

// show writes an answer as one line.
func show(a dns.Answer, err error) string {
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	for _, records := range []any{a.Addrs, a.Names, a.MX, a.TXT, a.TLSA} {
		if text := fmt.Sprint(records); text != "[]" {
			b.WriteString(text + " ")
		}
	}
	if a.NXDomain {
		b.WriteString("NXDOMAIN ")
	}
	if len(a.Chain) > 0 {
		fmt.Fprintf(&b, "%v to ", a.Chain)
	}
	fmt.Fprintf(&b, "%s %v", a.Canonical, a.TTL)
	if a.Secure {
		b.WriteString(" secure")
	}
	return b.String()
}

// What a query looks like, and that no two are alike.
func TestQueryCannotBeGuessed(t *testing.T) {
	udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	s := &dns.Stub{Servers: []dns.Server{{Addr: udp.LocalAddr().(*net.UDPAddr).AddrPort()}}}
	ids, ports, cases := map[uint16]bool{}, map[uint16]bool{}, map[string]bool{}
	const n = 20
	for range n {
		done := make(chan error)
		go func() {
			_, err := s.Resolve(ctx, "www.example.org", dns.A)
			done <- err
		}()
		buf := make([]byte, 1500)
		size, from, err := udp.ReadFromUDPAddrPort(buf)
		if err != nil {
			t.Fatal(err)
		}
		var q dnsmessage.Message
		if err := q.Unpack(buf[:size]); err != nil {
			t.Fatal(err)
		}
		name := q.Questions[0].Name.String()
		ids[q.ID], ports[from.Port()], cases[name] = true, true, true
		opt := q.Additionals[0].Header
		if !strings.EqualFold(name, "www.example.org.") || !q.RecursionDesired || !q.AuthenticData || q.CheckingDisabled ||
			opt.Type != dnsmessage.TypeOPT || opt.Class != 1232 || opt.DNSSECAllowed() || len(q.Additionals) != 1 {
			t.Errorf("the query is %+v", q)
		}
		udp.WriteToUDPAddrPort(reply(q, fails(dnsmessage.RCodeNameError)), from)
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if len(ids) < n-2 || len(ports) < n-2 || len(cases) < n-2 {
		t.Errorf("%d queries have %d ids, %d ports, and write the name in %d ways", n, len(ids), len(ports), len(cases))
	}
}

// AD counts from loopback or a server that is trusted.
func TestWhoIsTrusted(t *testing.T) {
	f := &fake{answer: func(_, _ string, q dnsmessage.Message) [][]byte {
		return [][]byte{reply(q, func(m *dnsmessage.Message) {
			m.AuthenticData = true
			m.Answers = records("a.example. 60 A 192.0.2.1")
		})}
	}}
	for server, want := range map[dns.Server]bool{
		{Addr: here}: true,
		{Addr: netip.MustParseAddrPort("[::1]:53")}: true,
		{Addr: there}:                false,
		{Addr: there, Trusted: true}: true,
		{Addr: netip.MustParseAddrPort("[::ffff:192.0.2.53]:53")}: false,
	} {
		s := &dns.Stub{Dial: f.Dial, Servers: []dns.Server{server}}
		if a, err := s.Resolve(ctx, "a.example", dns.A); a.Secure != want || err != nil {
			t.Errorf("%v: secure %t, %v", server, a.Secure, err)
		}
	}
}

// Datagrams that do not answer the query are passed over.
func TestStrayDatagrams(t *testing.T) {
	forged := func(q dnsmessage.Message, change func(*dnsmessage.Message)) []byte {
		return reply(q, func(m *dnsmessage.Message) {
			m.Answers = records("a.example. 60 A 192.0.2.66")
			change(m)
		})
	}
	for what, change := range map[string]func(*dnsmessage.Message){
		"id":           func(m *dnsmessage.Message) { m.ID++ },
		"query":        func(m *dnsmessage.Message) { m.Response = false },
		"opcode":       func(m *dnsmessage.Message) { m.OpCode = 4 },
		"name":         func(m *dnsmessage.Message) { m.Questions = question("b.example.", 1, 1) },
		"name longer":  func(m *dnsmessage.Message) { m.Questions = question("a.example.example.", 1, 1) },
		"type":         func(m *dnsmessage.Message) { m.Questions = question("a.example.", 28, 1) },
		"class":        func(m *dnsmessage.Message) { m.Questions = question("a.example.", 1, 3) },
		"no question":  func(m *dnsmessage.Message) { m.Questions = nil },
		"two of them":  func(m *dnsmessage.Message) { m.Questions = append(m.Questions, m.Questions...) },
		"SERVFAIL, no": func(m *dnsmessage.Message) { m.Questions, m.Answers, m.RCode = nil, nil, dnsmessage.RCodeServerFailure },
	} {
		f := &fake{answer: func(_, _ string, q dnsmessage.Message) [][]byte {
			return [][]byte{{}, {1}, make([]byte, 12), forged(q, change), reply(q, answers("a.example. 60 A 192.0.2.1"))}
		}}
		if got := show(stub(f, there).Resolve(ctx, "a.example", dns.A)); got != "[192.0.2.1] a.example. 1m0s" || f.noted() != "udp 192.0.2.53:53 a.example." {
			t.Errorf("%s: %s", what, got)
		}
	}
}

func question(name string, t dnsmessage.Type, c dnsmessage.Class) []dnsmessage.Question {
	return []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: t, Class: c}}
}

// TCP is asked when a datagram is not enough, or not to be believed.
func TestOverTCP(t *testing.T) {
	truth := answers("a.example. 60 A 192.0.2.1")
	for what, datagrams := range map[string]func(q dnsmessage.Message) [][]byte{
		"truncated": func(q dnsmessage.Message) [][]byte {
			return [][]byte{reply(q, func(m *dnsmessage.Message) { m.Truncated = true })}
		},
		"truncated in a record": func(q dnsmessage.Message) [][]byte {
			msg := reply(q, func(m *dnsmessage.Message) {
				m.Truncated, m.Answers = true, records("a.example. 60 A 192.0.2.66")
			})
			return [][]byte{msg[:len(msg)-2]}
		},
		"too long": func(q dnsmessage.Message) [][]byte {
			return [][]byte{append(reply(q, answers("a.example. 60 A 192.0.2.66")), make([]byte, 1500)...)}
		},
		"letter case": func(q dnsmessage.Message) [][]byte {
			return [][]byte{reply(q, func(m *dnsmessage.Message) {
				name := &m.Questions[0].Name
				name.Data[0] ^= 0x20
				m.Answers = records("a.example. 60 A 192.0.2.66")
			})}
		},
		"flood": func(q dnsmessage.Message) (list [][]byte) {
			for range 64 {
				list = append(list, reply(q, func(m *dnsmessage.Message) { m.ID ^= 1 }))
			}
			return list
		},
	} {
		f := &fake{answer: func(network, _ string, q dnsmessage.Message) [][]byte {
			if network == "udp" {
				return datagrams(q)
			}
			return [][]byte{reply(q, truth)}
		}}
		got := show(stub(f, there).Resolve(ctx, "a.example", dns.A))
		if asked := f.noted(); got != "[192.0.2.1] a.example. 1m0s" || asked != "udp 192.0.2.53:53 a.example.\ntcp 192.0.2.53:53 a.example." {
			t.Errorf("%s: %s, asked:\n%s", what, got, asked)
		}
	}
	for what, answer := range map[string]func(q dnsmessage.Message) [][]byte{
		"still truncated": func(q dnsmessage.Message) [][]byte {
			return [][]byte{reply(q, func(m *dnsmessage.Message) { m.Truncated = true })}
		},
		"another id": func(q dnsmessage.Message) [][]byte {
			return [][]byte{reply(q, func(m *dnsmessage.Message) { m.ID++ })}
		},
		"empty": func(dnsmessage.Message) [][]byte { return [][]byte{{}} },
	} {
		f := &fake{answer: func(network, _ string, q dnsmessage.Message) [][]byte {
			if network == "udp" {
				return [][]byte{reply(q, func(m *dnsmessage.Message) { m.Truncated = true })}
			}
			return answer(q)
		}}
		if a, err := stub(f, there).Resolve(ctx, "a.example", dns.A); err == nil {
			t.Errorf("%s: %+v", what, a)
		}
	}
}

// Servers that do not know EDNS are asked without it.
func TestNoEDNS(t *testing.T) {
	for what, change := range map[string]func(*dnsmessage.Message){
		"FORMERR": fails(dnsmessage.RCodeFormatError),
		"FORMERR without a question": func(m *dnsmessage.Message) {
			m.RCode, m.Questions = dnsmessage.RCodeFormatError, nil
		},
		"NOTIMP": fails(dnsmessage.RCodeNotImplemented),
		"BADVERS": func(m *dnsmessage.Message) {
			var opt dnsmessage.Resource
			opt.Header.SetEDNS0(1232, 16, false)
			opt.Body = &dnsmessage.OPTResource{}
			m.Additionals = []dnsmessage.Resource{opt}
		},
	} {
		f := &fake{answer: func(_, _ string, q dnsmessage.Message) [][]byte {
			if len(q.Additionals) > 0 {
				return [][]byte{reply(q, change)}
			}
			return [][]byte{reply(q, answers("a.example. 60 A 192.0.2.1"))}
		}}
		if got := show(stub(f, there).Resolve(ctx, "a.example", dns.A)); got != "[192.0.2.1] a.example. 1m0s" {
			t.Errorf("%s: %s", what, got)
		}
	}
	f := &fake{answer: func(_, _ string, q dnsmessage.Message) [][]byte {
		return [][]byte{reply(q, fails(dnsmessage.RCodeFormatError))}
	}}
	if got := show(stub(f, there).Resolve(ctx, "a.example", dns.A)); got != "dns: a.example A: response code 1" {
		t.Error(got)
	}
	if asked := f.noted(); strings.Count(asked, "\n") != 1 {
		t.Errorf("asked:\n%s", asked)
	}
}

// Which servers are asked, and what is said in the end.
func TestServers(t *testing.T) {
	bogus := func(code byte) func(*dnsmessage.Message) {
		return func(m *dnsmessage.Message) { m.RCode, m.Additionals = dnsmessage.RCodeServerFailure, ede(code) }
	}
	good := answers("a.example. 60 A 192.0.2.1")
	short := func(m *dnsmessage.Message) { m.Answers = records("a.example. 60 TYPE1 c00002") }
	lame := func(m *dnsmessage.Message) { m.RecursionAvailable = false }
	for _, tt := range []struct {
		first, second func(*dnsmessage.Message) // nil: no answer
		want          string
		asked         string // which, in order
		after         time.Duration
	}{
		{good, good, "[192.0.2.1] a.example. 1m0s", "1", 0},
		{nil, good, "[192.0.2.1] a.example. 1m0s", "12", 3 * time.Second},
		{nil, nil, "dns: a.example A: timeout", "1212", 12 * time.Second},
		{fails(2), good, "[192.0.2.1] a.example. 1m0s", "12", 0},
		{fails(5), good, "[192.0.2.1] a.example. 1m0s", "12", 0},
		{fails(5), fails(2), "dns: a.example A: response code 2", "12", 0},
		{fails(2), nil, "dns: a.example A: response code 2", "122", 6 * time.Second},
		{nil, fails(5), "dns: a.example A: response code 5", "121", 6 * time.Second},
		{fails(3), good, "NXDOMAIN a.example. 0s", "1", 0},
		{short, good, "[192.0.2.1] a.example. 1m0s", "12", 0},
		{lame, good, "[192.0.2.1] a.example. 1m0s", "12", 0},
		{lame, lame, "dns: a.example A: the server is no recursive resolver", "12", 0},
		{bogus(6), good, "dns: a.example A: bogus", "1", 0},
		{bogus(7), good, "dns: a.example A: bogus", "1", 0},
		{bogus(12), good, "dns: a.example A: bogus", "1", 0},
		{bogus(5), good, "[192.0.2.1] a.example. 1m0s", "12", 0},
		{bogus(13), good, "[192.0.2.1] a.example. 1m0s", "12", 0},
		{bogus(22), fails(2), "dns: a.example A: response code 2", "12", 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := &fake{answer: func(_, address string, q dnsmessage.Message) [][]byte {
				change := tt.first
				if strings.HasPrefix(address, "192.0.2.2:") {
					change = tt.second
				}
				if change == nil {
					return nil
				}
				return [][]byte{reply(q, change)}
			}}
			s := stub(f, netip.MustParseAddrPort("192.0.2.1:53"), netip.MustParseAddrPort("192.0.2.2:53"))
			start := time.Now()
			a, err := s.Resolve(ctx, "a.example", dns.A)
			got, _, _ := strings.Cut(show(a, err), ": read pipe") // whatever the cause of the timeout
			var asked []byte
			for line := range strings.Lines(f.noted()) {
				asked = append(asked, line[len("udp 192.0.2.")])
			}
			if got != tt.want || string(asked) != tt.asked || time.Since(start) != tt.after {
				t.Errorf("%s, asked %s in %v, want:\n%s, %s, %v", got, asked, time.Since(start), tt.want, tt.asked, tt.after)
			}
		})
	}
}

// A server that does not answer waits until the others have been asked.
func TestSlowServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answer: func(_, address string, q dnsmessage.Message) [][]byte {
			if strings.HasPrefix(address, "192.0.2.1:") {
				return nil
			}
			return [][]byte{reply(q, answers("a.example. 60 A 192.0.2.1"))}
		}}
		s := stub(f, netip.MustParseAddrPort("192.0.2.1:53"), netip.MustParseAddrPort("192.0.2.2:53"))
		s.Timeout, s.Attempts = time.Second, 1
		for _, want := range []time.Duration{time.Second, 0, 0} {
			start := time.Now()
			if _, err := s.Resolve(ctx, "a.example", dns.A); err != nil || time.Since(start) != want {
				t.Errorf("after %v: %v", time.Since(start), err)
			}
		}
		time.Sleep(30 * time.Second)
		start := time.Now()
		if _, err := s.Resolve(ctx, "a.example", dns.A); err != nil || time.Since(start) != time.Second {
			t.Errorf("later, after %v: %v", time.Since(start), err)
		}
		// A caller in a hurry says nothing about the server.
		s = stub(f, netip.MustParseAddrPort("192.0.2.1:53"), netip.MustParseAddrPort("192.0.2.2:53"))
		for range 2 {
			hurry, cancel := context.WithTimeout(ctx, time.Second)
			start := time.Now()
			_, err := s.Resolve(hurry, "a.example", dns.A)
			cancel()
			var failed *dns.Error
			if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &failed) || !failed.Timeout || time.Since(start) != time.Second {
				t.Errorf("in a hurry, after %v: %v", time.Since(start), err)
			}
		}
	})
}

func TestStubIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answer: func(network, _ string, q dnsmessage.Message) [][]byte {
			if network == "tcp" || q.Questions[0].Type == 1 {
				return nil
			}
			return [][]byte{reply(q, func(m *dnsmessage.Message) { m.Truncated = true })}
		}}
		for _, typ := range []dns.Type{dns.A, dns.MX} {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(time.Second, cancel)
			start := time.Now()
			_, err := stub(f, here, there).Resolve(ctx, "a.example", typ)
			var failed *dns.Error
			if !errors.Is(err, context.Canceled) || !errors.As(err, &failed) || failed.Timeout || time.Since(start) != time.Second {
				t.Errorf("after %v: %v", time.Since(start), err)
			}
			if _, err := stub(f, here).Resolve(ctx, "a.example", typ); !errors.Is(err, context.Canceled) {
				t.Errorf("cancelled before: %v", err)
			}
		}
	})
}

func TestDialFails(t *testing.T) {
	refused := errors.New("refused")
	s := &dns.Stub{Servers: []dns.Server{{Addr: here}}, Dial: func(context.Context, string, string) (net.Conn, error) { return nil, refused }}
	_, err := s.Resolve(ctx, "a.example", dns.A)
	var failed *dns.Error
	if !errors.Is(err, refused) || !errors.As(err, &failed) || failed.Timeout {
		t.Error(err)
	}
}

// Nobody is asked for what cannot be.
func TestStubAsksNobody(t *testing.T) {
	f := &fake{answer: func(string, string, dnsmessage.Message) [][]byte { return nil }}
	for _, name := range []string{"", "a..b", ".a", strings.Repeat("a", 64) + ".b", strings.Repeat("a.", 128)} {
		if a, err := stub(f, here).Resolve(ctx, name, dns.A); err != nil || !a.NXDomain || a.Secure || a.TTL != 0 {
			t.Errorf("%q: %+v, %v", name, a, err)
		}
	}
	if _, err := stub(f, here).Resolve(ctx, "a.example", 99); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("type 99: %v", err)
	}
	if asked := f.noted(); asked != "" {
		t.Errorf("asked:\n%s", asked)
	}
}

// What a response means.
func TestResponses(t *testing.T) {
	many := make([]string, 1001)
	for i := range many {
		many[i] = "a.example. 60 A 192.0.2.1"
	}
	chain := func(n int) (lines []string) {
		lines = []string{"a.example. 60 CNAME c0.example."}
		for i := range n - 1 {
			lines = append(lines, fmt.Sprintf("c%d.example. 60 CNAME c%d.example.", i, i+1))
		}
		return append(lines, fmt.Sprintf("c%d.example. 60 A 192.0.2.1", n-1))
	}
	nx := func(m *dnsmessage.Message) { m.RCode = dnsmessage.RCodeNameError }
	for _, tt := range []struct {
		answers     []string
		authorities []string
		change      func(*dnsmessage.Message)
		want        string
	}{
		// Records that are not about the name, or not of this network.
		{[]string{"b.example. 9 A 192.0.2.66", "a.example. 60 A 192.0.2.1"}, nil, nil, "[192.0.2.1] a.example. 1m0s"},
		{[]string{"b.example. 60 A 192.0.2.66"}, nil, nil, "a.example. 0s"},
		{[]string{"a.example. 60 CNAME b.example.", "c.example. 60 A 192.0.2.66", "b.example. 60 A 192.0.2.1"}, nil, nil, "[192.0.2.1] [a.example.] to b.example. 1m0s"},
		{[]string{"a.example. 60 MX mx.example."}, nil, nil, "a.example. 0s"},
		{[]string{"a.example. 60 A 192.0.2.66"}, nil, func(m *dnsmessage.Message) { m.Answers[0].Header.Class = 3 }, "a.example. 0s"},
		// Aliases, in any order.
		{[]string{"b.example. 30 A 192.0.2.1", "a.example. 60 CNAME b.example."}, nil, nil, "[192.0.2.1] [a.example.] to b.example. 30s"},
		{[]string{"b.example. 60 A 192.0.2.1", "A.EXAMPLE. 30 CNAME B.EXAMPLE."}, nil, nil, "[192.0.2.1] [a.example.] to B.example. 30s"},
		{[]string{"a.example. 60 CNAME b.example.", "a.example. 60 CNAME c.example.", "b.example. 60 A 192.0.2.1"}, nil, nil, "[192.0.2.1] [a.example.] to b.example. 1m0s"},
		{[]string{"a.example. 60 A 192.0.2.1", "a.example. 30 CNAME b.example."}, nil, nil, "[192.0.2.1] a.example. 1m0s"},
		{chain(16), nil, nil, "[192.0.2.1] [a.example. c0.example. c1.example. c2.example. c3.example. c4.example. c5.example. c6.example. c7.example. c8.example. c9.example. c10.example. c11.example. c12.example. c13.example. c14.example.] to c15.example. 1m0s"},
		{chain(17), nil, nil, "dns: a.example A: more than 16 aliases"},
		{[]string{"a.example. 60 CNAME a.example."}, nil, nil, "dns: a.example A: more than 16 aliases"},
		// Nothing there, and for how long.
		{nil, []string{"example. 60 SOA 30"}, nil, "a.example. 30s"},
		{nil, []string{"example. 30 SOA 60"}, nx, "NXDOMAIN a.example. 30s"},
		{nil, []string{". 60 SOA 60"}, nx, "NXDOMAIN a.example. 1m0s"},
		{nil, []string{"a.example. 60 SOA 60"}, nil, "a.example. 1m0s"},
		{nil, []string{"b.example. 60 SOA 60"}, nx, "NXDOMAIN a.example. 0s"},
		{nil, []string{"ample. 60 SOA 60"}, nx, "NXDOMAIN a.example. 0s"},
		{nil, nil, nx, "NXDOMAIN a.example. 0s"},
		{[]string{"a.example. 20 CNAME b.example."}, []string{"example. 60 SOA 60"}, nx, "NXDOMAIN [a.example.] to b.example. 20s"},
		{[]string{"a.example. 60 CNAME b.example."}, []string{"example. 60 SOA 30"}, nil, "[a.example.] to b.example. 30s"},
		// Times.
		{[]string{"a.example. 60 A 192.0.2.1", "a.example. 30 A 192.0.2.2"}, nil, nil, "[192.0.2.1 192.0.2.2] a.example. 30s"},
		{[]string{"a.example. 0 A 192.0.2.1"}, nil, nil, "[192.0.2.1] a.example. 0s"},
		{[]string{"a.example. 2147483648 A 192.0.2.1"}, nil, nil, "[192.0.2.1] a.example. 0s"},
		{[]string{"a.example. 2147483647 A 192.0.2.1"}, nil, nil, "[192.0.2.1] a.example. 168h0m0s"},
		// Malformed.
		{[]string{"a.example. 60 TYPE1 c0000201ff"}, nil, nil, "dns: a.example A: record of a wrong length"},
		{many, nil, nil, "dns: a.example A: more than 1000 records"},
		{many[:1000], nil, nil, "[" + strings.TrimSpace(strings.Repeat("192.0.2.1 ", 1000)) + "] a.example. 1m0s"},
	} {
		f := &fake{answer: func(network, _ string, q dnsmessage.Message) [][]byte {
			return [][]byte{reply(q, func(m *dnsmessage.Message) {
				if len(tt.answers) > 20 && network == "udp" {
					m.Truncated = true
					return
				}
				m.Answers, m.Authorities = records(tt.answers...), records(tt.authorities...)
				if tt.change != nil {
					tt.change(m)
				}
			})}
		}}
		if got := show(stub(f, there).Resolve(ctx, "a.example", dns.A)); got != tt.want {
			t.Errorf("%v %v:\n%.200s\nwant:\n%.200s", tt.answers[:min(len(tt.answers), 5)], tt.authorities, got, tt.want)
		}
	}
}

// A message that ends too soon, wherever that is, is no answer.
func TestResponsesCutOff(t *testing.T) {
	full := func(q dnsmessage.Message) []byte {
		return reply(q, func(m *dnsmessage.Message) {
			m.Answers, m.Authorities, m.Additionals = records("a.example. 60 A 192.0.2.1"), records("a.example. 60 SOA 60"), ede(1)
			// In the same letter case, or the length of the message is a matter of luck.
			m.Answers[0].Header.Name, m.Authorities[0].Header.Name = q.Questions[0].Name, q.Questions[0].Name
		})
	}
	for n := 13; ; n++ {
		whole := false
		f := &fake{answer: func(_, _ string, q dnsmessage.Message) [][]byte {
			msg := full(q)
			whole = n == len(msg)
			return [][]byte{msg[:n], full(q)}
		}}
		s := stub(f, there)
		s.Timeout = 10 * time.Second
		a, err := s.Resolve(ctx, "a.example", dns.A)
		if n > 12+len("\x01a\x07example\x00")+4 && (err == nil) != whole { // until there, it is a stray
			t.Errorf("%d octets: %+v, %v", n, a, err)
		}
		if whole {
			break
		}
	}
}

// A server that leaves aliases to us is asked for them, not without end.
func TestChainsCutOff(t *testing.T) {
	zone := map[string]string{"a.example.": "b.example.", "b.example.": "c.example."}
	f := &fake{answer: func(_, _ string, q dnsmessage.Message) [][]byte {
		return [][]byte{reply(q, func(m *dnsmessage.Message) {
			name := strings.ToLower(q.Questions[0].Name.String())
			m.AuthenticData = name != "b.example."
			if to, ok := zone[name]; ok {
				m.Answers = records(name + " 60 CNAME " + to)
			} else if name == "c.example." {
				m.Answers = records(name + " 30 A 192.0.2.1")
			}
		})}
	}}
	if got := show(stub(f, here).Resolve(ctx, "a.example", dns.A)); got != "[192.0.2.1] [a.example. b.example.] to c.example. 30s" {
		t.Error(got)
	}
	want := "udp 127.0.0.1:53 a.example.\nudp 127.0.0.1:53 b.example.\nudp 127.0.0.1:53 c.example."
	if asked := f.noted(); asked != want {
		t.Errorf("asked:\n%s", asked)
	}
	if got := show(stub(f, here).Resolve(ctx, "c.example", dns.A)); got != "[192.0.2.1] c.example. 30s secure" {
		t.Error(got)
	}
	f.noted()

	endless := &fake{answer: func(_, _ string, q dnsmessage.Message) [][]byte {
		name := q.Questions[0].Name.String()
		return [][]byte{reply(q, answers(name+" 60 CNAME x"+name))}
	}}
	if got := show(stub(endless, here).Resolve(ctx, "a.example", dns.A)); got != "dns: a.example A: no end of the chain of aliases" {
		t.Error(got)
	}
	if n := strings.Count(endless.noted(), "udp"); n != 8 {
		t.Errorf("%d queries", n)
	}
}

func TestResolvConf(t *testing.T) {
	path := filepath.Join(t.TempDir(), "resolv.conf")
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answer: func(_, address string, q dnsmessage.Message) [][]byte {
			if strings.HasPrefix(address, "192.0.2.9") {
				return nil
			}
			return [][]byte{reply(q, func(m *dnsmessage.Message) { m.AuthenticData, m.Answers = true, records("a.example. 60 A 192.0.2.1") })}
		}}
		s := &dns.Stub{ResolvConf: path, Dial: f.Dial}
		ask := func(what, want, asked string, after time.Duration) {
			t.Helper()
			start := time.Now()
			got := show(s.Resolve(ctx, "a.example", dns.A))
			got, _, _ = strings.Cut(got, ": read pipe")
			seen := strings.ReplaceAll(strings.ReplaceAll(f.noted(), " a.example.", ""), "\n", " ")
			if got != want || seen != asked || time.Since(start) != after {
				t.Errorf("%s: %s after %v, asked %s", what, got, time.Since(start), seen)
			}
		}
		write := func(text string) {
			t.Helper()
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			time.Sleep(5 * time.Second)
		}
		ask("no file", "[192.0.2.1] a.example. 1m0s secure", "udp 127.0.0.1:53", 0)
		write("# nameserver 192.0.2.7\n;nameserver 192.0.2.7\nsearch example.org\nnameserver\nnameserver localhost\n")
		ask("no server", "[192.0.2.1] a.example. 1m0s secure", "udp 127.0.0.1:53", 0)
		write(" nameserver\t2001:db8::53 # comment\nnameserver 192.0.2.8")
		ask("two", "[192.0.2.1] a.example. 1m0s", "udp [2001:db8::53]:53", 0)
		write("nameserver 192.0.2.8\noptions trust-ad")
		ask("trusted", "[192.0.2.1] a.example. 1m0s secure", "udp 192.0.2.8:53", 0)
		write("nameserver 192.0.2.91\nnameserver 192.0.2.92\nnameserver 192.0.2.93\nnameserver 192.0.2.8\noptions ndots:1 timeout:2 attempts:1")
		ask("options", "dns: a.example A: timeout", "udp 192.0.2.91:53 udp 192.0.2.92:53 udp 192.0.2.93:53", 6*time.Second)
		write("nameserver 192.0.2.90\noptions timeout:99 attempts:99")
		ask("too much", "dns: a.example A: timeout", "udp 192.0.2.90:53 udp 192.0.2.90:53 udp 192.0.2.90:53 udp 192.0.2.90:53 udp 192.0.2.90:53", 150*time.Second)
		s.Timeout, s.Attempts = time.Second, 2
		ask("own", "dns: a.example A: timeout", "udp 192.0.2.90:53 udp 192.0.2.90:53", 2*time.Second)
		write("nameserver 192.0.2.8")
		ask("good", "[192.0.2.1] a.example. 1m0s", "udp 192.0.2.8:53", 0)
		write("nameserver 192.0.2.7")
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		ask("gone", "[192.0.2.1] a.example. 1m0s", "udp 192.0.2.8:53", 0)
		s = &dns.Stub{ResolvConf: path, Dial: f.Dial}
		if _, err := s.Resolve(ctx, "a.example", dns.A); err == nil {
			t.Error("a folder is read")
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		write("nameserver 192.0.2.1\nnameserver 192.0.2.2\noptions rotate")
		for range 100 {
			s.Resolve(ctx, "a.example", dns.A)
		}
		if asked := f.noted(); !strings.Contains(asked, "192.0.2.1:") || !strings.Contains(asked, "192.0.2.2:") {
			t.Errorf("rotate: %s", asked)
		}
	})
}

// Many may ask at once.
func TestStubConcurrently(t *testing.T) {
	server, err := dnstest.MustParse("*.example A 192.0.2.1").Serve("")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	path := filepath.Join(t.TempDir(), "resolv.conf")
	s := &dns.Stub{ResolvConf: path, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, server.Addr().String())
	}}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 10 {
				a, err := s.Resolve(ctx, fmt.Sprintf("x%d-%d.example", i, j), dns.A)
				if err != nil || len(a.Addrs) != 1 {
					t.Errorf("%+v, %v", a, err)
				}
			}
		})
	}
	wg.Wait()
}
