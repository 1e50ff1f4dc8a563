package smtptest

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
)

// Connections that a proxy gives the same address are two, and a session that
// XCLIENT opens has a greeting of its own.
func TestTrustedClients(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t, func(s *Server) {
		s.Config.Trusted = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("192.0.2.7/32")}
		s.Listener = s.Config.ProxyListener(l)
	})
	var conns []net.Conn
	for i := range 2 {
		conn, err := s.Dial(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conns = append(conns, conn)
		fmt.Fprint(conn, "PROXY TCP4 192.0.2.7 198.51.100.1 40000 25\r\n")
		play(t, conn, fmt.Sprintf("S: 220 ...\nC: HELO client%d.example\nS: 250 ...", i))
	}
	s.Fault(On("NOOP").Reply(250, "2.0.0", "no greeting"))
	hits := s.Fault(OnGreeting().Reply(554, "", "no more"))
	play(t, conns[0], "C: XCLIENT NAME=a.example\nS: 554 no more")
	if hits() != 1 {
		t.Errorf("%d hits", hits())
	}
	s.ClearFaults()
	s.Hide("XCLIENT", "XFORWARD")
	play(t, conns[1], "C: EHLO a.example\nS: 250-*\nS: 250 STARTTLS\nC: XCLIENT NAME=a.example\nS: 502 ...\nC: XFORWARD NAME=a.example\nS: 502 ...")
	for i, text := range s.Transcripts() {
		if !strings.Contains(text, fmt.Sprintf("C: HELO client%d.example", i)) || strings.Contains(text, fmt.Sprintf("client%d", 1-i)) || strings.Contains(text, "S: 250-X") {
			t.Errorf("transcript %d:\n%s", i, text)
		}
	}
}

func play(t *testing.T, conn net.Conn, script string) {
	t.Helper()
	sc, err := ParseScript(strings.NewReader(script))
	if err != nil {
		t.Fatal(err)
	}
	if err := sc.PlayClient(conn); err != nil {
		t.Fatal(err)
	}
}
