package mx_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/postrider/postrider/mx"
	"github.com/postrider/postrider/mx/dns"
	"github.com/postrider/postrider/mx/dns/dnstest"
)

// What a domain's records come to. Hosts are "preference name", in order; of those
// in brackets the order is open.
var routes = []struct {
	name    string
	section string
	zone    string
	domain  string // if "", example.org
	want    string
}{
	// RFC 5321 §5.1: MX records.
	{"by preference", "RFC 5321 §5.1", "example.org MX 20 b.example.org\nexample.org MX 10 a.example.org", "", "10 a.example.org, 20 b.example.org"},
	{"by preference, not by name", "RFC 5321 §5.1", "example.org MX 9 z.example.org\nexample.org MX 10 a.example.org", "", "9 z.example.org, 10 a.example.org"},
	{"the whole range", "RFC 1035 §3.3.9", "example.org MX 65535 b.example.org\nexample.org MX 0 a.example.org", "", "0 a.example.org, 65535 b.example.org"},
	{"case and final dot", "RFC 1035 §2.3.3", "example.org MX 10 A.Example.ORG", "EXAMPLE.org.", "10 a.example.org"},
	{"alias", "RFC 5321 §5.1", "example.org CNAME real.example\nreal.example MX 10 a.example.org", "", "10 a.example.org canonical real.example"},
	{"alias without MX", "RFC 5321 §5.1", "example.org CNAME real.example\nreal.example A 192.0.2.1", "", "0 example.org implicit canonical real.example"},
	{"authenticated", "RFC 7672 §2.2.1", "example.org SECURE\nexample.org MX 10 a.example.org", "", "10 a.example.org secure"},
	{"authenticated that there is none", "RFC 7672 §2.2.1", "example.org SECURE\nexample.org A 192.0.2.1", "", "0 example.org implicit secure"},
	{"alias out of a signed zone", "RFC 7672 §2.2.1", "example.org SECURE\nexample.org CNAME real.example\nreal.example MX 10 a.example.org", "", "10 a.example.org canonical real.example"},
	{"U-labels", "RFC 6531 §3.2", "xn--bcher-kva.example MX 10 a.example.org", "Bücher.example", "10 a.example.org"},
	{"U-labels and final dot", "RFC 6531 §3.2", "xn--bcher-kva.example MX 10 a.example.org", "bücher.example.", "10 a.example.org"},
	{"A-labels", "RFC 5890 §2.3.2.1", "xn--bcher-kva.example MX 10 a.example.org", "XN--bcher-kva.example", "10 a.example.org"},
	{"one label", "RFC 5321 §2.3.5", "example MX 10 a.example.org", "example", "10 a.example.org"},
	{"underscore", "RFC 2181 §11", "example.org MX 10 mail_1.example.org", "", "10 mail_1.example.org"},

	// No MX records.
	{"implicit", "RFC 5321 §5.1", "example.org A 192.0.2.1", "", "0 example.org implicit"},
	{"implicit without an address", "RFC 5321 §5.1", "example.org TXT here", "", "0 example.org implicit"}, // Addrs knows
	{"never the domain's own address", "RFC 5321 §5.1", "example.org MX 10 gone.example\nexample.org A 192.0.2.1", "", "10 gone.example"},
	{"does not exist", "RFC 3463 §3.2", "", "", "550 5.1.2 site"},
	{"alias of what does not exist", "RFC 3463 §3.2", "example.org CNAME gone.example", "", "550 5.1.2 site"},
	{"null MX", "RFC 7505 §3", "example.org MX 0 .\nexample.org A 192.0.2.1", "", "556 5.1.10 site"},
	{"null MX with a preference", "RFC 7505 §3", "example.org MX 10 .", "", "556 5.1.10 site"},
	{"null MX among others", "RFC 7505 §3", "example.org MX 0 .\nexample.org MX 10 a.example.org", "", "10 a.example.org"},
	{"two null MX", "RFC 7505 §3", "example.org MX 0 .\nexample.org MX 10 .", "", "556 5.1.10 site"},

	// The DNS fails.
	{"SERVFAIL", "RFC 5321 §5.1", "example.org SERVFAIL", "", "451 4.4.3 site"},
	{"SERVFAIL of MX only", "RFC 5321 §5.1", "example.org MX SERVFAIL\nexample.org A 192.0.2.1", "", "451 4.4.3 site"},
	{"REFUSED", "RFC 5321 §5.1", "example.org REFUSED", "", "451 4.4.3 site"},
	{"FORMERR", "RFC 5321 §5.1", "example.org FORMERR", "", "451 4.4.3 site"},
	{"NOTIMP", "RFC 5321 §5.1", "example.org NOTIMP", "", "451 4.4.3 site"},
	{"no answer", "RFC 5321 §5.1", "example.org TIMEOUT", "", "451 4.4.3 site"},
	{"bogus", "RFC 4035 §5.5", "example.org BOGUS\nexample.org MX 10 a.example.org", "", "451 4.4.3 site"},
	{"aliases in a circle", "RFC 1034 §3.6.2", "example.org CNAME www.example.org\nwww.example.org CNAME example.org", "", "451 4.4.3 site"},

	// Hostile and broken lists.
	{"twice the same host", "RFC 5321 §5.1", "example.org MX 20 a.example.org\nexample.org MX 10 A.example.org\nexample.org MX 10 a.example.org", "", "10 a.example.org"},
	{"an address for a name", "RFC 1123 §2.1", "example.org MX 10 192.0.2.1\nexample.org MX 20 b.example.org", "", "20 b.example.org"},
	{"only an address for a name", "RFC 1123 §2.1", "example.org MX 10 192.0.2.1\nexample.org A 192.0.2.2", "", "550 5.4.4 site"},
	{"a URL for a name", "RFC 1123 §2.1", "example.org MX 10 http://mail.example.org/\nexample.org MX 20 b.example.org", "", "20 b.example.org"},
	{"a literal for a name", "RFC 5321 §5.1", "example.org MX 10 [192.0.2.1]", "", "550 5.4.4 site"},
	{"localhost", "RFC 6761 §6.3", "example.org MX 10 localhost\nexample.org MX 20 b.example.org", "", "10 localhost, 20 b.example.org"}, // Addrs knows

	// Loops.
	{"this host", "RFC 5321 §5.1", "example.org MX 10 us.example", "", "554 5.4.6 site"},
	{"this host is the backup", "RFC 5321 §5.1", "example.org MX 10 a.example.org\nexample.org MX 20 us.example\nexample.org MX 30 c.example.org", "", "10 a.example.org"},
	{"this host and its equals", "RFC 5321 §5.1", "example.org MX 10 a.example.org\nexample.org MX 20 Us.Example\nexample.org MX 20 b.example.org\nexample.org MX 20 c.example.org", "", "10 a.example.org"},
	{"this host is the best", "RFC 5321 §5.1", "example.org MX 10 us.example\nexample.org MX 20 b.example.org", "", "554 5.4.6 site"},
	{"this host at the end of the range", "RFC 5321 §5.1", "example.org MX 65535 us.example\nexample.org MX 65534 b.example.org", "", "65534 b.example.org"},
	{"this host twice", "RFC 5321 §5.1", "example.org MX 30 us.example\nexample.org MX 10 us.example\nexample.org MX 20 b.example.org", "", "554 5.4.6 site"},
	{"this host twice, the other way round", "RFC 5321 §5.1", "example.org MX 10 us.example\nexample.org MX 30 us.example\nexample.org MX 20 b.example.org", "", "554 5.4.6 site"},
	{"this host behind what is no host", "RFC 5321 §5.1", "example.org MX 10 192.0.2.1\nexample.org MX 20 us.example", "", "554 5.4.6 site"},
	{"the domain is this host", "RFC 5321 §5.1", "us.example A 192.0.2.99", "us.example", "554 5.4.6 site"},

	// What is no domain.
	{"nothing", "RFC 5321 §2.3.5", "", "-", "550 5.1.2 site"},
	{"empty label", "RFC 5321 §4.1.2", "", "a..example", "550 5.1.2 site"},
	{"root", "RFC 5321 §4.1.2", "", ".", "550 5.1.2 site"},
	{"long label", "RFC 1035 §2.3.4", "", strings.Repeat("a", 64) + ".example", "550 5.1.2 site"},
	{"long name", "RFC 1035 §2.3.4", "", strings.Repeat("a.", 127) + "example", "550 5.1.2 site"},
	{"control octet", "RFC 5321 §4.1.2", "", "a\r\n.example", "550 5.1.2 site"},
	{"address without brackets", "RFC 5321 §4.1.3", "", "192.0.2.1", "550 5.1.2 site"},
	{"no U-label", "RFC 5891 §4.2", "", "a\u00adb\ufffd.example", "550 5.1.2 site"},

	// Address literals.
	{"IPv4 literal", "RFC 5321 §4.1.3", "", "[192.0.2.1]", "0 [192.0.2.1] literal"},
	{"IPv6 literal", "RFC 5321 §4.1.3", "", "[IPv6:2001:DB8::1]", "0 [IPv6:2001:DB8::1] literal"},
	{"IPv4 in IPv6", "RFC 5321 §4.1.3", "", "[IPv6:::ffff:192.0.2.1]", "0 [IPv6:::ffff:192.0.2.1] literal"},
	{"general literal", "RFC 5321 §4.1.3", "", "[x400:c=de]", "550 5.1.2 site"},
	{"broken literal", "RFC 5321 §4.1.3", "", "[192.0.2.256]", "550 5.1.2 site"},
	{"loopback literal", "RFC 5321 §5.1", "", "[127.0.0.1]", "550 5.1.2 site"},
	{"loopback in IPv6 literal", "RFC 4291 §2.5.5.2", "", "[IPv6:::ffff:127.0.0.1]", "550 5.1.2 site"},
	{"literal of this host", "RFC 5321 §5.1", "", "[192.0.2.99]", "554 5.4.6 site"},
	{"literal of this host in IPv6", "RFC 4291 §2.5.5.2", "", "[IPv6:::ffff:192.0.2.99]", "554 5.4.6 site"},
}

func TestRoute(t *testing.T) {
	for _, tt := range routes {
		t.Run(strings.ReplaceAll(tt.name, " ", "-"), func(t *testing.T) {
			zone, err := dnstest.Parse(tt.zone)
			if err != nil {
				t.Fatal(err)
			}
			domain := tt.domain
			switch domain {
			case "":
				domain = "example.org"
			case "-":
				domain = ""
			}
			r := &mx.Router{Resolver: zone, Hostnames: []string{"us.example."}, LocalAddrs: []netip.Addr{netip.MustParseAddr("::ffff:192.0.2.99")}}
			if got := routeText(r.Route(t.Context(), domain)); got != tt.want {
				t.Errorf("got %s, want %s (%s)", got, tt.want, tt.section)
			}
		})
	}
}

func routeText(route *mx.Route, err error) string {
	if err != nil {
		return errorText(err)
	}
	var hosts []string
	for _, h := range route.Hosts {
		hosts = append(hosts, fmt.Sprint(h.Preference, " ", h.Name))
	}
	text := strings.Join(hosts, ", ")
	for word, set := range map[string]bool{" implicit": route.Implicit, " literal": route.Literal} {
		if set {
			text += word
		}
	}
	if route.Canonical != route.Domain {
		text += " canonical " + route.Canonical
	}
	if route.Secure {
		text += " secure"
	}
	return text
}

func errorText(err error) string {
	var e *mx.Error
	if !errors.As(err, &e) {
		return "no *mx.Error: " + err.Error()
	}
	return fmt.Sprint(e.Reply.Code, " ", e.Reply.EnhancedString(), " ", e.Scope)
}

// Hosts of equal preference come in every order, about equally often, and none of
// another preference between them (RFC 5321 §5.1).
func TestShuffle(t *testing.T) {
	zone := dnstest.MustParse(`
		example.org MX 10 a.example.org
		example.org MX 10 b.example.org
		example.org MX 10 c.example.org
		example.org MX 5  first.example.org
		example.org MX 20 last.example.org
	`)
	r := &mx.Router{Resolver: zone}
	count := map[string]int{}
	const rounds = 6000
	for range rounds {
		route, err := r.Route(t.Context(), "example.org")
		if err != nil {
			t.Fatal(err)
		}
		var order string
		for _, h := range route.Hosts {
			order += h.Name[:1]
		}
		count[order]++
	}
	for _, order := range []string{"fabcl", "facbl", "fbacl", "fbcal", "fcabl", "fcbal"} {
		if n := count[order]; n < rounds/6*8/10 || n > rounds/6*12/10 {
			t.Errorf("%s: %d times of %d", order, n, rounds)
		}
		delete(count, order)
	}
	if len(count) > 0 {
		t.Errorf("also %v", count)
	}
}

// Of thousands of records the best stay, and this host is found among all.
func TestThousandsOfHosts(t *testing.T) {
	var text strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&text, "example.org MX %d h%d.example.org\n", 3000-i, i)
	}
	zone := dnstest.MustParse(text.String())
	r := &mx.Router{Resolver: zone}
	route, err := r.Route(t.Context(), "example.org")
	if err != nil {
		t.Fatal(err)
	}
	if len(route.Hosts) != 20 || route.Hosts[0].Name != "h2999.example.org" || route.Hosts[19].Name != "h2980.example.org" {
		t.Errorf("%d hosts, from %v", len(route.Hosts), route.Hosts[0])
	}
	r = &mx.Router{Resolver: zone, MaxHosts: 3000, Hostnames: []string{"h2990.example.org"}}
	if route, err = r.Route(t.Context(), "example.org"); err != nil || len(route.Hosts) != 9 {
		t.Errorf("%d hosts, %v", len(route.Hosts), err)
	}
}

// What the addresses of a host come to.
func TestAddrs(t *testing.T) {
	for _, tt := range []struct {
		name    string
		section string
		zone    string
		host    string // if "", mx.example.org
		network string
		want    string
	}{
		{"IPv4", "RFC 5321 §5.1", "mx.example.org A 192.0.2.1", "", "", "192.0.2.1"},
		{"IPv6", "RFC 5321 §5.2", "mx.example.org AAAA 2001:db8::1", "", "", "2001:db8::1"},
		{"in turns", "RFC 5321 §5.2", "mx.example.org A 192.0.2.1\nmx.example.org AAAA 2001:db8::1", "", "", "2001:db8::1 192.0.2.1"},
		{"only IPv4 here", "", "mx.example.org A 192.0.2.1\nmx.example.org AAAA 2001:db8::1", "", "ip4", "192.0.2.1"},
		{"only IPv6 here", "", "mx.example.org A 192.0.2.1\nmx.example.org AAAA 2001:db8::1", "", "ip6", "2001:db8::1"},
		{"none that is used here", "", "mx.example.org A 192.0.2.1", "", "ip6", "550 5.4.4 host"},
		{"alias", "RFC 5321 §5.1", "mx.example.org CNAME real.example\nreal.example A 192.0.2.1", "", "", "192.0.2.1 canonical real.example"}, // RFC 2181 §10.3 forbids it, and many do it
		{"authenticated", "RFC 7672 §2.2.2", "example.org SECURE\nmx.example.org A 192.0.2.1", "", "", "192.0.2.1 secure"},
		{"alias out of a signed zone", "RFC 7672 §2.2.2", "example.org SECURE\nmx.example.org CNAME real.example\nreal.example A 192.0.2.1", "", "", "192.0.2.1 canonical real.example"},
		{"twice the same", "", "mx.example.org A 192.0.2.1\nmx.example.org A 192.0.2.1\nmx.example.org AAAA ::ffff:192.0.2.1", "", "ip4", "192.0.2.1"},
		{"does not exist", "RFC 5321 §5.1", "", "", "", "550 5.4.4 host"},
		{"has none", "RFC 5321 §5.1", "mx.example.org TXT here", "", "", "550 5.4.4 host"},
		{"SERVFAIL", "RFC 5321 §5.1", "mx.example.org SERVFAIL", "", "", "451 4.4.3 host"},
		{"SERVFAIL of one family", "RFC 5321 §5.1", "mx.example.org AAAA SERVFAIL\nmx.example.org A 192.0.2.1", "", "", "192.0.2.1"},
		{"SERVFAIL of one family, none of the other", "RFC 5321 §5.1", "mx.example.org AAAA SERVFAIL\nmx.example.org TXT here", "", "", "451 4.4.3 host"},
		{"authenticated though one answer is kept away", "RFC 7672 §2.1.2", "example.org SECURE\nmx.example.org AAAA SERVFAIL\nmx.example.org A 192.0.2.1", "", "", "192.0.2.1 secure"},
		{"bogus", "RFC 4035 §5.5", "mx.example.org BOGUS\nmx.example.org A 192.0.2.1", "", "", "451 4.4.3 host"},
		{"loopback", "RFC 5321 §5.1", "mx.example.org A 127.0.0.1\nmx.example.org AAAA ::1", "", "", "550 5.4.4 host"},
		{"loopback among others", "RFC 5321 §5.1", "mx.example.org A 127.0.0.1\nmx.example.org A 192.0.2.1", "", "", "192.0.2.1"},
		{"unspecified", "RFC 1122 §3.2.1.3", "mx.example.org A 0.0.0.0\nmx.example.org AAAA ::", "", "", "550 5.4.4 host"},
		{"multicast", "RFC 1112 §4", "mx.example.org A 224.0.0.1\nmx.example.org AAAA ff02::1", "", "", "550 5.4.4 host"},
		{"broadcast", "RFC 919 §7", "mx.example.org A 255.255.255.255", "", "", "550 5.4.4 host"},
		{"link-local", "RFC 3927 §2.7", "mx.example.org A 169.254.1.1\nmx.example.org AAAA fe80::1", "", "", "550 5.4.4 host"},
		{"loopback in IPv6", "RFC 4291 §2.5.5.2", "mx.example.org AAAA ::ffff:127.0.0.1", "", "", "550 5.4.4 host"},
		{"private", "RFC 1918 §3", "mx.example.org A 10.0.0.1", "", "", "10.0.0.1"},
		{"this host", "RFC 5321 §5.1", "mx.example.org A 192.0.2.1\nmx.example.org A 192.0.2.99", "", "", "554 5.4.6 site"},
		{"this host in IPv6", "RFC 4291 §2.5.5.2", "mx.example.org AAAA ::ffff:192.0.2.99", "", "", "554 5.4.6 site"},
		{"no name", "RFC 1123 §2.1", "", "192.0.2.1", "", "550 5.4.4 host"},
		{"literal", "RFC 5321 §4.1.3", "", "[IPv6:2001:db8::1]", "", "2001:db8::1"},
	} {
		t.Run(strings.ReplaceAll(tt.name, " ", "-"), func(t *testing.T) {
			zone, err := dnstest.Parse(tt.zone)
			if err != nil {
				t.Fatal(err)
			}
			host := tt.host
			if host == "" {
				host = "mx.example.org"
			}
			r := &mx.Router{Resolver: zone, Network: tt.network, LocalAddrs: []netip.Addr{netip.MustParseAddr("192.0.2.99")}}
			found, err := r.Addrs(t.Context(), host)
			got := ""
			if err != nil {
				got = errorText(err)
			} else {
				for _, addr := range found.Addrs {
					got += addr.String() + " "
				}
				got = strings.TrimSpace(got)
				if found.Canonical != host && found.Canonical != "" {
					got += " canonical " + found.Canonical
				}
				if found.Secure {
					got += " secure"
				}
			}
			if got != tt.want {
				t.Errorf("got %s, want %s (%s)", got, tt.want, tt.section)
			}
		})
	}
}

// halfSecure authenticates what it says of AAAA, or of A, only.
type halfSecure struct {
	dns.Resolver
	secure dns.Type
}

func (h halfSecure) Resolve(ctx context.Context, name string, t dns.Type) (dns.Answer, error) {
	answer, err := h.Resolver.Resolve(ctx, name, t)
	answer.Secure = t == h.secure
	return answer, err
}

// Addresses are authenticated if those of both families are (RFC 7672 §2.2.2).
func TestHalfSecure(t *testing.T) {
	for _, secure := range []dns.Type{dns.A, dns.AAAA} {
		zone := dnstest.MustParse("mx.example.org A 192.0.2.1\nmx.example.org AAAA 2001:db8::1")
		found, err := (&mx.Router{Resolver: halfSecure{zone, secure}}).Addrs(t.Context(), "mx.example.org")
		if err != nil || found.Secure {
			t.Errorf("only %s: %+v, %v", secure, found, err)
		}
	}
}

// Families come in turns, the addresses of each in any order.
func TestInterleave(t *testing.T) {
	zone := dnstest.MustParse(`
		mx.example.org A 192.0.2.1
		mx.example.org A 192.0.2.2
		mx.example.org A 192.0.2.3
		mx.example.org AAAA 2001:db8::1
		mx.example.org AAAA 2001:db8::2
	`)
	r := &mx.Router{Resolver: zone}
	firsts := map[string]bool{}
	for range 200 {
		found, err := r.Addrs(t.Context(), "mx.example.org")
		if err != nil {
			t.Fatal(err)
		}
		var families string
		for _, a := range found.Addrs {
			families += map[bool]string{true: "4", false: "6"}[a.Is4()]
		}
		if families != "64644" {
			t.Fatalf("%v", found.Addrs)
		}
		firsts[found.Addrs[0].String()] = true
		sorted := slices.Clone(found.Addrs)
		slices.SortFunc(sorted, netip.Addr.Compare)
		if len(slices.Compact(sorted)) != 5 {
			t.Fatalf("%v", found.Addrs)
		}
	}
	if len(firsts) != 2 {
		t.Errorf("the first is always %v", firsts)
	}
}

// Nothing is asked for that needs no answer.
func TestQueries(t *testing.T) {
	zone := dnstest.MustParse("example.org MX 0 .\nother.example MX 10 192.0.2.1\n")
	r := &mx.Router{Resolver: zone, Network: "ip4"}
	for _, domain := range []string{"example.org", "other.example", "[192.0.2.1]", "a..b"} {
		r.Route(t.Context(), domain)
	}
	r.Addrs(t.Context(), "mx.example.org")
	r.Addrs(t.Context(), "[192.0.2.1]")
	var got []string
	for _, q := range zone.Queries() {
		got = append(got, q.String())
	}
	equal(t, "queries", got, []string{"example.org MX", "other.example MX", "mx.example.org A"})
}

// A lookup ends with its context.
func TestRouteEnds(t *testing.T) {
	zone := dnstest.MustParse("example.org STALL")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := (&mx.Router{Resolver: zone}).Route(ctx, "example.org")
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if got := errorText(err); got != "451 4.4.3 site" {
		t.Error(got)
	}
}

// Whatever a domain is called and its MX records name, hosts are names, in order and
// bounded.
func FuzzRoute(f *testing.F) {
	f.Add("example.org", "mx.example.org.", uint16(10), ".", uint16(0))
	f.Add("b\u00fccher.example", "192.0.2.1.", uint16(10), "[192.0.2.1]", uint16(10))
	f.Add("[IPv6:::1]", "a b", uint16(0), "\xff.example.", uint16(65535))
	f.Add("a\u3002b", "US.example.", uint16(5), "/run/socket", uint16(6))
	f.Fuzz(func(t *testing.T, domain, one string, p1 uint16, two string, p2 uint16) {
		r := &mx.Router{Hostnames: []string{"us.example"}, Resolver: fixed{MX: []dns.MXRecord{{Preference: p1, Host: one}, {Preference: p2, Host: two}}}}
		route, err := r.Route(t.Context(), domain)
		if err != nil {
			if got := errorText(err); strings.HasPrefix(got, "no ") {
				t.Errorf("%q: %s", domain, got)
			}
			if strings.ContainsAny(err.Error(), "\r\n") {
				t.Errorf("%q", err)
			}
			return
		}
		last := uint16(0)
		for _, h := range route.Hosts {
			if h.Preference < last || !route.Literal && (!dns.ValidName(h.Name) || strings.EqualFold(h.Name, "us.example")) {
				t.Errorf("%q: %+v", domain, route.Hosts)
			}
			last = h.Preference
		}
	})
}

// fixed is the answer to every question.
type fixed dns.Answer

func (f fixed) Resolve(context.Context, string, dns.Type) (dns.Answer, error) {
	return dns.Answer(f), nil
}

func BenchmarkRoute(b *testing.B) {
	zone := dnstest.MustParse(`
		example.org MX 10 mx1.example.org
		example.org MX 10 mx2.example.org
		example.org MX 20 mx3.example.org
		mx1.example.org A 192.0.2.1
		mx1.example.org AAAA 2001:db8::1
		mx2.example.org A 192.0.2.2
		mx3.example.org A 192.0.2.3
	`)
	r := &mx.Router{Resolver: &dns.Cache{Resolver: zone}, Hostnames: []string{"us.example"}}
	ctx := context.Background()
	b.Run("hosts", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := r.Route(ctx, "example.org"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("hosts and addresses of the first", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			route, err := r.Route(ctx, "example.org")
			if err != nil {
				b.Fatal(err)
			}
			if _, err := r.Addrs(ctx, route.Hosts[0].Name); err != nil {
				b.Fatal(err)
			}
		}
	})
}
