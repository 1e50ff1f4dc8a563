package dns_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/mx/dns"
	"github.com/postrider/postrider/mx/dns/dnstest"
)

// library returns a standard resolver that asks a zone.
func library(t *testing.T, zone *dnstest.Zone) *net.Resolver {
	t.Helper()
	server, err := zone.Serve("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, server.Addr().String())
	}}
}

func TestStd(t *testing.T) {
	zone := dnstest.MustParse(`
		example.org      MX    10 mx.example.org
		example.org      NS    ns.example.org
		example.org      TXT   "v=spf1 " "-all"
		mx.example.org   A     192.0.2.1
		mx.example.org   AAAA  2001:db8::1
		www.example.org  CNAME mx.example.org
		null.example     MX    0 .
		192.0.2.9        A     192.0.2.10
		odd.example      MX    10 mx.example.org
		odd.example      MX    20 -\$.example.org
		1.2.0.192.in-addr.arpa PTR mx.example.org
		1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa PTR six.example.org
		bad.example      SERVFAIL
		refused.example  REFUSED`)
	s := dns.Std{Resolver: library(t, zone)}
	for _, tt := range []struct {
		name string
		typ  dns.Type
		want string
	}{
		{"example.org", dns.MX, "[{10 mx.example.org.}] example.org. 0s"},
		{"example.org.", dns.NS, "[ns.example.org.] example.org. 0s"},
		{"example.org", dns.TXT, "[v=spf1 -all] example.org. 0s"},
		{"mx.example.org", dns.A, "[192.0.2.1] mx.example.org. 0s"},
		{"mx.example.org", dns.AAAA, "[2001:db8::1] mx.example.org. 0s"},
		{"www.example.org", dns.A, "[192.0.2.1] www.example.org. 0s"},
		{"null.example", dns.MX, "[{0 .}] null.example. 0s"},
		{"192.0.2.9", dns.A, "192.0.2.9. 0s"},
		{"odd.example", dns.MX, "[{10 mx.example.org.}] odd.example. 0s"},
		{"1.2.0.192.in-addr.arpa", dns.PTR, "[mx.example.org.] 1.2.0.192.in-addr.arpa. 0s"},
		{"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.", dns.PTR, "[six.example.org.] 1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 0s"},
		{"2.2.0.192.in-addr.arpa", dns.PTR, "2.2.0.192.in-addr.arpa. 0s"},
		{"mx.example.org", dns.MX, "mx.example.org. 0s"},
		{"nowhere.example", dns.TXT, "nowhere.example. 0s"},
		{"nowhere.example", dns.A, "nowhere.example. 0s"},
		{"a..example", dns.A, "NXDOMAIN a..example. 0s"},
	} {
		if got := show(s.Resolve(ctx, tt.name, tt.typ)); got != tt.want {
			t.Errorf("%s %v:\n%s\nwant:\n%s", tt.name, tt.typ, got, tt.want)
		}
	}
	for _, q := range zone.Queries() {
		if strings.Count(q.Name, ".") > 1 && strings.HasPrefix(q.Name, "example.org.") {
			t.Errorf("%v was asked: a search list", q)
		}
	}
	for name, want := range map[string]dns.RCode{"bad.example": dns.ServFail, "refused.example": 0} {
		for _, typ := range []dns.Type{dns.A, dns.TXT} {
			_, err := s.Resolve(ctx, name, typ)
			var failed *dns.Error
			if !errors.As(err, &failed) || failed.RCode != want || failed.Timeout || failed.Name != name || failed.Type != typ {
				t.Errorf("%s %v: %#v", name, typ, err)
			}
		}
	}
	for name, typ := range map[string]dns.Type{"example.org": dns.CNAME, "_25._tcp.mx.example.org": dns.TLSA, "mx.example.org": dns.PTR} {
		if _, err := s.Resolve(ctx, name, typ); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s %v: %v", name, typ, err)
		}
	}
}

func TestStdContextEnds(t *testing.T) {
	s := dns.Std{Resolver: library(t, dnstest.MustParse("slow.example TIMEOUT"))}
	for _, typ := range []dns.Type{dns.A, dns.TXT} {
		ctx, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
		_, err := s.Resolve(ctx, "slow.example", typ)
		var failed *dns.Error
		if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &failed) || !failed.Timeout {
			t.Errorf("%v: %v", typ, err)
		}
		cancel()
		ctx, cancel = context.WithCancel(context.Background())
		cancel()
		if _, err := s.Resolve(ctx, "slow.example", typ); !errors.Is(err, context.Canceled) {
			t.Errorf("%v, cancelled: %v", typ, err)
		}
	}
}

// The caller's time is up, also if a socket noticed that before the context did.
func TestStdContextIsLate(t *testing.T) {
	s := dns.Std{Resolver: &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("i/o timeout")
	}}}
	_, err := s.Resolve(late{ctx}, "a.example", dns.TXT)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

// The library's own time is up.
func TestStdTimeout(t *testing.T) {
	s := dns.Std{Resolver: &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, context.DeadlineExceeded
	}}}
	_, err := s.Resolve(ctx, "a.example", dns.TXT)
	var failed *dns.Error
	if !errors.As(err, &failed) || !failed.Timeout {
		t.Errorf("%v", err)
	}
}
