package dnstest_test

import (
	"context"
	"fmt"
	"net"
	"strings"

	"github.com/postrider/postrider/mx/dns"
	"github.com/postrider/postrider/mx/dns/dnstest"
)

// The DNS of a test, and what was asked of it.
func ExampleZone() {
	zone := dnstest.MustParse(`
		example.org      MX   10 mx.example.org
		mx.example.org   A    192.0.2.1
		bad.example      SERVFAIL`)
	ctx := context.Background()
	answer, err := zone.Resolve(ctx, "example.org", dns.MX)
	fmt.Println(answer.MX, err)
	_, err = zone.Resolve(ctx, "bad.example", dns.TXT)
	fmt.Println(err)
	fmt.Println(zone.Queries())
	// Output:
	// [{10 mx.example.org.}] <nil>
	// dns: bad.example TXT: response code 2
	// [example.org MX bad.example TXT]
}

// A test may ask that a name was asked for once.
func ExampleQuery() {
	zone := dnstest.MustParse(`example.org TXT "v=spf1 -all"`)
	zone.Resolve(context.Background(), "Example.ORG.", dns.TXT)
	for _, q := range zone.Queries() {
		fmt.Println(q.Name, q.Type, q == dnstest.Query{Name: "example.org", Type: dns.TXT})
	}
	// Output: example.org TXT true
}

func ExampleReadJSON() {
	zone, err := dnstest.ReadJSON(strings.NewReader(`{
		"s1._domainkey.example.org": {"TXT": ["v=DKIM1; p="]},
		"bad.example": {"RCODE": ["SERVFAIL"]}
	}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	answer, err := zone.Resolve(context.Background(), "s1._domainkey.example.org", dns.TXT)
	fmt.Printf("%q %v\n", answer.TXT, err)
	// Output: ["v=DKIM1; p="] <nil>
}

func ExampleQuote() {
	zone := new(dnstest.Zone)
	err := zone.Add("example.org TXT " + dnstest.Quote(`say "hello"`+"\r\n"))
	fmt.Println(dnstest.Quote(`say "hello"`+"\r\n"), err)
	// Output: "say \"hello\"\013\010" <nil>
}

// Any program that asks a DNS server can ask a zone.
func ExampleServer() {
	server, err := dnstest.MustParse("example.org A 192.0.2.1").Serve("")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, server.Addr().String())
	}}
	fmt.Println(r.LookupHost(context.Background(), "example.org."))
	// Output: [192.0.2.1] <nil>
}
