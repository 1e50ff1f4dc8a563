package dns_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/postrider/postrider/mx/dns"
	"github.com/postrider/postrider/mx/dns/dnstest"
)

var ctx = context.Background()

// A Resolver of one's own may stand in front of another. This one keeps a
// domain from being looked up.
func ExampleResolver() {
	var r dns.Resolver = without{"example.net.", dnstest.MustParse(`
		example.org  MX  10 mx.example.org
		example.net  MX  10 mx.example.net`)}
	for _, domain := range []string{"example.org.", "example.net."} {
		answer, err := r.Resolve(ctx, domain, dns.MX)
		fmt.Println(answer.MX, answer.NXDomain, err)
	}
	// Output:
	// [{10 mx.example.org.}] false <nil>
	// [] true <nil>
}

type without struct {
	name string
	dns.Resolver
}

func (w without) Resolve(ctx context.Context, name string, t dns.Type) (dns.Answer, error) {
	if name == w.name {
		return dns.Answer{Canonical: name, NXDomain: true}, nil
	}
	return w.Resolver.Resolve(ctx, name, t)
}

// That there is nothing is an answer, not an error.
func ExampleAnswer() {
	zone := dnstest.MustParse(`
		www.example.org   CNAME  web.example.org
		web.example.org   A      192.0.2.1
		web.example.org   A      192.0.2.2
		example.org       SECURE`)
	for _, name := range []string{"www.example.org", "example.org", "nowhere.example"} {
		a, err := zone.Resolve(ctx, name, dns.A)
		fmt.Println(a.Addrs, a.Canonical, a.Chain, a.Empty(), a.NXDomain, a.Secure, err)
	}
	// Output:
	// [192.0.2.1 192.0.2.2] web.example.org. [www.example.org.] false false true <nil>
	// [] example.org. [] true false true <nil>
	// [] nowhere.example. [] true true false <nil>
}

func ExampleType() {
	fmt.Println(dns.MX, dns.TLSA, dns.Type(257))
	// Output: MX TLSA TYPE257
}

// Hosts come in the order received. Who delivers sorts them.
func ExampleMXRecord() {
	zone := dnstest.MustParse(`
		example.org  MX  20 backup.example.org
		example.org  MX  10 mx.example.org`)
	answer, _ := zone.Resolve(ctx, "example.org", dns.MX)
	for _, mx := range answer.MX {
		fmt.Println(mx.Preference, mx.Host)
	}
	// Output:
	// 20 backup.example.org.
	// 10 mx.example.org.
}

// The certificate of a mail server (RFC 7672).
func ExampleTLSARecord() {
	zone := dnstest.MustParse(`
		example.org              SECURE
		_25._tcp.mx.example.org  TLSA 3 1 1 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef`)
	answer, _ := zone.Resolve(ctx, "_25._tcp.mx.example.org", dns.TLSA)
	if answer.Secure {
		for _, pin := range answer.TLSA {
			fmt.Printf("%d %d %d %x...\n", pin.Usage, pin.Selector, pin.MatchingType, pin.Data[:4])
		}
	}
	// Output: 3 1 1 01234567...
}

// An error tells what is not known, and why.
func ExampleError() {
	zone := dnstest.MustParse(`
		slow.example   TIMEOUT
		bogus.example  BOGUS`)
	for _, name := range []string{"slow.example", "bogus.example"} {
		_, err := zone.Resolve(ctx, name, dns.TXT)
		var failed *dns.Error
		if errors.As(err, &failed) {
			fmt.Println(failed.Timeout, failed.Bogus, failed.Temporary(), "-", err)
		}
	}
	// Output:
	// true false true - dns: slow.example TXT: timeout
	// false true true - dns: bogus.example TXT: bogus
}

// A server that will not answer is another matter than one that cannot.
func ExampleRCode() {
	zone := dnstest.MustParse(`
		bad.example     SERVFAIL
		secret.example  REFUSED`)
	for _, name := range []string{"bad.example", "secret.example"} {
		_, err := zone.Resolve(ctx, name, dns.MX)
		var failed *dns.Error
		if errors.As(err, &failed) {
			fmt.Println(failed.RCode == dns.Refused, err)
		}
	}
	// Output:
	// false dns: bad.example MX: response code 2
	// true dns: secret.example MX: response code 5
}

func ExampleValidName() {
	fmt.Println(dns.ValidName("_dmarc.example.org"), dns.ValidName("a..b"), dns.ValidName("a b.example"))
	// Output: true false false
}

func ExampleReverseName() {
	fmt.Println(dns.ReverseName(netip.MustParseAddr("192.0.2.1")))
	fmt.Println(dns.ReverseName(netip.MustParseAddr("2001:db8::1")))
	// Output:
	// 1.2.0.192.in-addr.arpa.
	// 1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.
}
