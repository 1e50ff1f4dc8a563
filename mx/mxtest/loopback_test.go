package mxtest_test

import (
	"bufio"
	"crypto/tls"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/mx"
	"github.com/postrider/postrider/mx/dns"
	"github.com/postrider/postrider/mx/mtasts"
	"github.com/postrider/postrider/mx/mxtest"
	"github.com/postrider/postrider/server/smtptest"
)

// A program outside knows the address of the DNS, its port, and nothing else.
func TestLoopback(t *testing.T) {
	needAddresses(t)
	inet := mxtest.New(t, mxtest.Loopback)
	h := inet.Host("mx1.example.org", mxtest.Addrs("127.0.0.5", "127.0.0.6"))
	one, two := inet.Host("mx2.example.org"), inet.Host("mx3.example.org")
	inet.Domain("example.org", mxtest.MX(10, h), mxtest.MX(20, one), mxtest.MX(30, two))
	inet.Sign("example.org")
	inet.DANE(h)
	if all := slices.Concat(h.Addrs, one.Addrs, two.Addrs); slices.Contains(all, inet.DNS().Addr()) || one.Addrs[0] == two.Addrs[0] {
		t.Errorf("addresses %v, the DNS at %v", all, inet.DNS())
	}

	stub := &dns.Stub{Servers: []dns.Server{{Addr: inet.DNS()}}}
	answer, err := stub.Resolve(t.Context(), "mx1.example.org", dns.A)
	if err != nil || !answer.Secure || len(answer.Addrs) != 2 {
		t.Fatalf("%+v, %v", answer, err)
	}
	for _, addr := range answer.Addrs {
		conn, err := net.Dial("tcp", netip.AddrPortFrom(addr, inet.Port).String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.HasPrefix(line, "220 mx1.example.org ") {
			t.Errorf("%v: %q, %v", addr, line, err)
		}
	}

	c := &mx.Client{
		Router:    &mx.Router{Resolver: stub, Usable: netip.Addr.IsLoopback},
		Port:      inet.Port,
		TLSConfig: inet.TLSConfig(),
	}
	defer c.Close()
	results, err := c.Deliver(t.Context(), "example.org", message(t, "a@example.org"))
	if err != nil || results[0].Host != "mx1.example.org" || len(h.Messages()) != 1 {
		t.Errorf("%+v, %v", results, err)
	}
}

// TLS begins at once on each address.
func TestLoopbackImplicitTLS(t *testing.T) {
	needAddresses(t)
	inet := mxtest.New(t, mxtest.Loopback)
	h := inet.Host("smtp.example.org", mxtest.Addrs("127.0.0.5", "127.0.0.6"), mxtest.SMTP(smtptest.ImplicitTLS))
	for _, addr := range h.Addrs {
		conn, err := tls.Dial("tcp", netip.AddrPortFrom(addr, inet.Port).String(), h.ClientTLSConfig())
		if err != nil {
			t.Errorf("%v: %v", addr, err)
			continue
		}
		conn.Close()
	}
}

// Policies of MTA-STS are there for who dials by the Internet's methods.
func TestLoopbackMTASTS(t *testing.T) {
	needAddresses(t)
	inet := mxtest.New(t, mxtest.Loopback)
	h := inet.Host("mx.example.org")
	inet.Domain("example.org", mxtest.MX(10, h))
	inet.STS("example.org", mtasts.Policy{Mode: mtasts.Enforce, MX: []string{"mx.example.org"}, MaxAge: time.Hour})
	results, err := inet.Client().Deliver(t.Context(), "example.org", message(t, "a@example.org"))
	if err != nil || results[0].Policy.Source != mx.SourceMTASTS {
		t.Errorf("%+v, %v", results, err)
	}
}

// needAddresses skips a test where 127.0.0.1 is all of loopback.
func needAddresses(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Skip("this machine has one address of loopback only")
	}
	l.Close()
}

func TestLoopbackHasOnePort(t *testing.T) {
	inet := mxtest.New(t, mxtest.Loopback)
	defer func() {
		if recover() == nil {
			t.Error("another port is accepted")
		}
	}()
	inet.Host("mx.example.org", mxtest.Ports(587))
}
