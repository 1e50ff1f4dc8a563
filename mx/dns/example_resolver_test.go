package dns_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/postrider/postrider/mx/dns"
	"github.com/postrider/postrider/mx/dns/dnstest"
)

// What most programs want: a memory in front of the system's resolvers.
func ExampleCache() {
	zone := dnstest.MustParse("example.org MX 10 mx.example.org")
	resolver := &dns.Cache{Resolver: zone} // elsewhere new(dns.Stub)
	for range 3 {
		answer, err := resolver.Resolve(context.Background(), "example.org", dns.MX)
		fmt.Println(answer.MX, err)
	}
	fmt.Println(zone.Queries())
	// Output:
	// [{10 mx.example.org.}] <nil>
	// [{10 mx.example.org.}] <nil>
	// [{10 mx.example.org.}] <nil>
	// [example.org MX]
}

// A resolver on this machine is believed when it says that an answer was
// authenticated by DNSSEC.
func ExampleStub() {
	server, err := dnstest.MustParse(`
		example.org     SECURE
		mx.example.org  A 192.0.2.1`).Serve("")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	resolver := &dns.Stub{
		Servers: []dns.Server{{Addr: server.Addr()}},
		Timeout: 2 * time.Second,
	}
	answer, err := resolver.Resolve(context.Background(), "mx.example.org", dns.A)
	fmt.Println(answer.Addrs, answer.Secure, err)
	// Output: [192.0.2.1] true <nil>
}

// Two validating resolvers in one's own network, which nobody else can get at.
func ExampleServer() {
	resolver := &dns.Stub{Servers: []dns.Server{
		{Addr: netip.MustParseAddrPort("10.0.0.53:53"), Trusted: true},
		{Addr: netip.MustParseAddrPort("10.0.1.53:53"), Trusted: true},
	}}
	fmt.Println(len(resolver.Servers), resolver.Servers[0].Addr)
	// Output: 2 10.0.0.53:53
}

// The standard library's resolver, set up as the program wants it.
func ExampleStd() {
	server, err := dnstest.MustParse(`example.org TXT "v=spf1 -all"`).Serve("")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	resolver := dns.Std{Resolver: &net.Resolver{
		PreferGo: true,
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, server.Addr().String())
		},
	}}
	answer, err := resolver.Resolve(context.Background(), "example.org", dns.TXT)
	fmt.Println(answer.TXT, err)
	// Output: [v=spf1 -all] <nil>
}

func ExampleReverseLabels() {
	fmt.Println(dns.ReverseLabels(netip.MustParseAddr("192.0.2.1")) + "list.example.")
	// Output: 1.2.0.192.list.example.
}
