package server_test

import (
	"crypto/tls"
	"net/mail"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

var received = server.Received{
	Hello: "client.example", IP: netip.MustParseAddr("192.0.2.1"), Name: "host.example",
	By: "mx.example", With: "ESMTPS", ID: "ABC123",
	For:  smtp.ForwardPath{Mailbox: smtp.Mailbox{Local: "b", Domain: "example.com"}},
	TLS:  &tls.ConnectionState{Version: tls.VersionTLS13, CipherSuite: tls.TLS_AES_128_GCM_SHA256},
	Time: time.Date(2026, 7, 9, 8, 5, 3, 0, time.FixedZone("", 2*3600)),
}

func TestReceived(t *testing.T) {
	want(t, "all clauses", received.String(), "Received: from client.example (host.example [192.0.2.1])\r\n"+
		"\t(using TLS1.3 with cipher TLS_AES_128_GCM_SHA256)\r\n"+
		"\tby mx.example with ESMTPS id ABC123\r\n"+
		"\tfor <b@example.com>;\r\n"+
		"\tThu, 9 Jul 2026 08:05:03 +0200\r\n")
	want(t, "nothing", strings.HasPrefix(server.Received{}.String(), "Received: from unknown\r\n\tby localhost;\r\n\t"), true)
	r := received
	r.IP, r.Name = netip.MustParseAddr("2001:db8::1%eth0"), ""
	if s := r.String(); !strings.Contains(s, "client.example ([IPv6:2001:db8::1])") {
		t.Errorf("%q", s)
	}
	_, date, _ := strings.Cut(server.Received{}.String(), ";\r\n\t")
	if when, err := mail.ParseDate(strings.TrimSpace(date)); err != nil || time.Since(when) > time.Minute {
		t.Errorf("zero time: %q, %v", date, err)
	}
}

// Whatever stands in the fields, it is one field of clauses in their order.
func TestReceivedCannotBeBrokenOutOf(t *testing.T) {
	for _, evil := range []string{
		"x\r\nX-Injected: yes", "x\r\n\r\nbody", "x\nX: y", "x\rX: y", "x\x00y", "x; Thu, 1 Jan 1970 00:00:00 +0000",
		"x by evil.example", "x)(y", "(comment", `"quoted`, `x\`, "x<y>", "x,y", "x\ty", "ü\u2028\x85", "\xff\xfe",
		strings.Repeat("x", 100000), strings.Repeat("ü", 1000),
	} {
		r := received
		r.Hello, r.Name, r.By, r.With, r.ID = evil, evil, evil, evil, evil
		r.For.Local, r.For.Domain = evil, evil
		s := r.String()
		head, err := mail.ReadMessage(strings.NewReader(s + "Subject: x\r\n\r\n"))
		if err != nil || len(head.Header) != 2 {
			t.Errorf("%.40q: %q, %v", evil, s, err)
			continue
		}
		if evil == strings.Repeat("x", 100000) {
			s = strings.ReplaceAll(s, r.For.Local, "") // which no parser would have let in
			s = strings.ReplaceAll(s, r.For.Domain, "")
		}
		for _, line := range strings.Split(strings.TrimSuffix(s, "\r\n"), "\r\n") {
			if len(line) > 998 && !strings.HasPrefix(line, "\tfor ") {
				t.Errorf("%.40q: a line of %d", evil, len(line))
			}
			if strings.ContainsAny(line, "\r\n\x00") {
				t.Errorf("%.40q: line %q", evil, line)
			}
		}
		before, _, _ := strings.Cut(s, "for <")
		if strings.Count(before, "(") != 2 || strings.Count(before, ")") != 2 || strings.Count(before, ";") != 0 ||
			strings.Count(before, "\tby ") != 1 || strings.ContainsAny(before, `"\<>,`) {
			t.Errorf("%.40q: %q", evil, before)
		}
	}
}

// A trace field must not disclose the other recipients (RFC 5321 §7.2).
func TestReceivedForOneRecipientOnly(t *testing.T) {
	for n := range 3 {
		env, err := smtp.NewEnvelope("a@example.org", []string{"b@example.com", "c@example.com"}[:n]...)
		if err != nil {
			t.Fatal(err)
		}
		s := server.NewReceived(server.Info{Hello: "client.example"}, &env).String()
		want(t, "for clause", strings.Contains(s, "\tfor <b@example.com>;"), n == 1)
		want(t, "for clause", strings.Contains(s, "for"), n == 1)
	}
}

func BenchmarkReceived(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		_ = received.String()
	}
}

// The words of the trace field are there already, whatever the connection has.
func TestProtocolAllocatesNothing(t *testing.T) {
	i := server.Info{HelloVerb: smtp.EHLO, TLS: new(tls.ConnectionState), Identity: user}
	word := ""
	if n := testing.AllocsPerRun(100, func() { word = i.Protocol() }); n > 0 || word != "ESMTPSA" {
		t.Errorf("%v allocations for %q", n, word)
	}
}
