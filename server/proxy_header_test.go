package server_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/postrider/postrider/internal/memnet"
	"github.com/postrider/postrider/server"
)

// header2 makes a header of version 2.
func header2(command, family byte, block string) string {
	b := append([]byte("\r\n\r\n\x00\r\nQUIT\n"), 0x20|command, family)
	return string(binary.BigEndian.AppendUint16(b, uint16(len(block)))) + block
}

func block(client, here string) string {
	a, b := netip.MustParseAddrPort(client), netip.MustParseAddrPort(here)
	ports := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, a.Port()), b.Port())
	return string(a.Addr().AsSlice()) + string(b.Addr().AsSlice()) + string(ports)
}

// ends shows the addresses of a connection.
func ends(i server.Info) string {
	return fmt.Sprintf("%v > %v through %v", i.RemoteAddr, i.LocalAddr, i.ProxyAddr)
}

const (
	sent4 = "PROXY TCP4 192.0.2.7 198.51.100.1 40000 25\r\n"
	came4 = "192.0.2.7:40000 > 198.51.100.1:25 through REAL"
	real4 = "REAL > 127.0.0.1:0 through <nil>"
)

var goodHeaders = []struct{ name, header, ends string }{
	{"v1 TCP4", sent4, came4},
	{"v1 TCP4, short", "PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n", "1.1.1.1:1 > 2.2.2.2:2 through REAL"},
	{"v1 TCP4, long", "PROXY TCP4 255.255.255.254 255.255.255.253 65535 65534\r\n", "255.255.255.254:65535 > 255.255.255.253:65534 through REAL"},
	{"v1 TCP6", "PROXY TCP6 2001:db8::7 2001:db8::1 40000 25\r\n", "[2001:db8::7]:40000 > [2001:db8::1]:25 through REAL"},
	{"v1 TCP6, short", "PROXY TCP6 ::2 ::3 1 2\r\n", "[::2]:1 > [::3]:2 through REAL"},
	{"v1 TCP6, mapped", "PROXY TCP6 ::ffff:192.0.2.7 ::ffff:198.51.100.1 40000 25\r\n", came4},
	{"v1 UNKNOWN", "PROXY UNKNOWN\r\n", real4},
	{"v1 UNKNOWN, more", "PROXY UNKNOWN " + strings.Repeat("f", 91) + "\r\n", real4},
	{"v2 TCP4", header2(1, 0x11, block("192.0.2.7:40000", "198.51.100.1:25")), came4},
	{"v2 TCP4, TLVs", header2(1, 0x11, block("192.0.2.7:40000", "198.51.100.1:25")+"\x04\x00\x03abc\x02\x00\x01x"), came4},
	{"v2 TCP4, many TLVs", header2(1, 0x11, block("192.0.2.7:40000", "198.51.100.1:25")+strings.Repeat("\x04\x00\x01a", 1021)), came4},
	{"v2 TCP6", header2(1, 0x21, block("[2001:db8::7]:40000", "[2001:db8::1]:25")), "[2001:db8::7]:40000 > [2001:db8::1]:25 through REAL"},
	{"v2 TCP6, mapped", header2(1, 0x21, block("[::ffff:192.0.2.7]:40000", "[::ffff:198.51.100.1]:25")), came4},
	{"v2 LOCAL", header2(0, 0, ""), real4},
	{"v2 LOCAL, TCP4", header2(0, 0x11, block("192.0.2.7:40000", "198.51.100.1:25")), real4},
	{"v2 LOCAL, some octets", header2(0, 0x11, "\x01\x02\x03"), real4},
	{"v2 UNSPEC", header2(1, 0, "\x04\x00\x01a"), real4},
	{"v2 unix", header2(1, 0x31, "/client"+strings.Repeat("\x00", 209)), real4},
}

// What the header says is what everybody sees, however it comes; what comes
// behind it is the client's.
func TestProxyHeader(t *testing.T) {
	var got string
	s := start(t, withTLS, trusting("127.0.0.0/8"))
	s.newSession = func(_ context.Context, c *server.Conn) error {
		got = ends(c.Info())
		return nil
	}
	plain, encrypted := s.proxied(), memnet.Listen()
	s.serveWith(s.ServeTLS, s.ProxyListener(encrypted))
	for _, tt := range goodHeaders {
		expect := func(t *testing.T, p *peer) {
			t.Helper()
			p.expect("220 mx.example ESMTP", "250-mx.example")
			p.send(transaction + "DATA\nx\n.\nQUIT\n")
			p.expect("250", "250", "354", "250", "221")
			want(t, "ends", got, strings.ReplaceAll(tt.ends, "REAL", p.LocalAddr().String()))
		}
		t.Run(tt.name+"/at once", func(t *testing.T) {
			p := s.via(plain)
			p.raw(tt.header + "EHLO client.example\r\n")
			expect(t, p)
		})
		t.Run(tt.name+"/octet by octet", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := start(t, trusting("::ffff:127.0.0.0/104"))
				s.newSession = func(_ context.Context, c *server.Conn) error {
					got = ends(c.Info())
					return nil
				}
				p := s.via(s.proxied())
				for i := range min(len(tt.header), 200) {
					p.raw(tt.header[i : i+1])
					synctest.Wait() // it is read by itself
				}
				p.raw(tt.header[min(len(tt.header), 200):])
				synctest.Wait()
				p.send("EHLO client.example\n")
				expect(t, p)
			})
		})
		t.Run(tt.name+"/before TLS", func(t *testing.T) {
			p := s.via(encrypted)
			p.raw(tt.header)
			p.upgrade()
			p.send("EHLO client.example\n")
			expect(t, p)
		})
		t.Run(tt.name+"/before STARTTLS", func(t *testing.T) {
			p := s.via(plain)
			p.raw(tt.header)
			p.expect("220")
			p.do("EHLO client.example", "250")
			p.startTLS()
			p.send("EHLO client.example\n")
			p.r.Peek(1)
			p.expect("250-mx.example")
			p.do("QUIT", "221")
			want(t, "ends", got, strings.ReplaceAll(tt.ends, "REAL", p.LocalAddr().String()))
		})
	}
}

var badHeaders = []struct{ name, octets, why string }{
	{"SMTP", "EHLO client.example\r\n", "something else came"},
	{"HTTP", "GET / HTTP/1.1\r\n\r\n", "something else came"},
	{"TLS", "\x16\x03\x01\x00\xf4\x01\x00", "something else came"},
	{"one octet", "p", "something else came"},
	{"blank", "\r\n\r\n\r\n", "something else came"},
	{"almost v2", "\r\n\r\n\x00\r\nQUIT\r", "something else came"},
	{"lower case", "proxy TCP4 192.0.2.7 198.51.100.1 40000 25\r\n", "something else came"},
	{"no blank", "PROXYTCP4 192.0.2.7 198.51.100.1 40000 25\r\n", "something else came"},
	{"another family", "PROXY TCP5 192.0.2.7 198.51.100.1 40000 25\r\n", "malformed"},
	{"UDP", "PROXY UDP4 192.0.2.7 198.51.100.1 40000 25\r\n", "malformed"},
	{"address of the other family", "PROXY TCP4 ::1 ::1 40000 25\r\n", "malformed"},
	{"no address", "PROXY TCP4 a.example b.example 40000 25\r\n", "malformed"},
	{"leading zero", "PROXY TCP4 192.0.2.07 198.51.100.1 40000 25\r\n", "malformed"},
	{"zone", "PROXY TCP6 fe80::1%eth0 ::1 40000 25\r\n", "malformed"},
	{"port", "PROXY TCP4 192.0.2.7 198.51.100.1 70000 25\r\n", "malformed"},
	{"no port", "PROXY TCP4 192.0.2.7 198.51.100.1 40000\r\n", "malformed"},
	{"one word more", "PROXY TCP4 192.0.2.7 198.51.100.1 40000 25 25\r\n", "malformed"},
	{"two blanks", "PROXY TCP4  192.0.2.7 198.51.100.1 40000 25\r\n", "malformed"},
	{"early LF", "PROXY TCP4\r\nEHLO a\r\n", "malformed"},
	{"LF alone", "PROXY TCP4 192.0.2.7 198.51.100.1 40000 25\n", "malformed"},
	{"CR alone", "PROXY TCP4 192.0.2.7 198.51.100.1 40000 25\r\r\n", "malformed"},
	{"NUL", "PROXY TCP4 192.0.2.7\x00 198.51.100.1 40000 25\r\n", "malformed"},
	{"long line", "PROXY UNKNOWN " + strings.Repeat("f", 92) + "\r\n", "too long"},
	{"endless line", "PROXY TCP4 " + strings.Repeat("1", 60000), "too long"},
	{"v2 of version 3", "\r\n\r\n\x00\r\nQUIT\n\x31\x11\x00\x0c" + block("192.0.2.7:40000", "198.51.100.1:25"), "malformed"},
	{"v2 command", header2(2, 0x11, block("192.0.2.7:40000", "198.51.100.1:25")), "malformed"},
	{"v2 UDP", header2(1, 0x12, block("192.0.2.7:40000", "198.51.100.1:25")), "malformed"},
	{"v2 family", header2(1, 0x41, block("192.0.2.7:40000", "198.51.100.1:25")), "malformed"},
	{"v2 short", header2(1, 0x11, "\x01\x02\x03\x04"), "malformed"},
	{"v2 half a TLV", header2(1, 0x11, block("192.0.2.7:40000", "198.51.100.1:25")+"\x04\x00\x09abc"), "malformed"},
	{"v2 too long", header2(1, 0x11, strings.Repeat("x", 4097)), "too long"},
	{"v2 far too long", header2(0, 0, strings.Repeat("x", 65535)), "too long"},
}

// Whatever is not a header closes the connection without a reply, with TLS
// and without, and nobody but the observer hears of it.
func TestProxyGarbage(t *testing.T) {
	for _, tt := range badHeaders {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, withTLS, trusting("127.0.0.1/32"))
			encrypted := memnet.Listen()
			s.serveWith(s.ServeTLS, s.ProxyListener(encrypted))
			for _, l := range []*memnet.Listener{s.proxied(), encrypted} {
				p := s.via(l)
				io.WriteString(p.Conn, tt.octets) // the end may come before it is all sent
				p.closed()
			}
			s.stop()
			s.shut(t, tt.why)
		})
	}
}

// shut checks that the connections so far were closed because of a header.
func (s *testServer) shut(t *testing.T, why string) {
	t.Helper()
	want(t, "calls", s.noted(), "")
	events := s.events.take()
	if !strings.HasPrefix(events, "PROXY failed [smtp server: PROXY header: ") || !strings.Contains(events, why) {
		t.Errorf("events:\n%s", events)
	}
	for line := range strings.Lines(events) {
		if !strings.HasPrefix(line, "PROXY failed") {
			t.Errorf("another event: %s", line)
		}
	}
}

// A header that breaks off is none.
func TestProxyTruncated(t *testing.T) {
	for _, header := range []string{sent4, header2(1, 0x11, block("192.0.2.7:40000", "198.51.100.1:25"))} {
		for n := range header {
			s := start(t, trusting("127.0.0.1/32"))
			p := s.via(s.proxied())
			p.raw(header[:n])
			p.Conn.(interface{ CloseWrite() error }).CloseWrite()
			p.closed()
			s.stop()
			s.shut(t, fmt.Sprintf("after %d octets: unexpected EOF", n))
		}
	}
}
