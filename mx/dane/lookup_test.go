package dane_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/postrider/postrider/mx/dane"
	"github.com/postrider/postrider/mx/dns"
	"github.com/postrider/postrider/mx/dns/dnstest"
)

var digest = strings.Repeat("ab", 32)

// What the DNS may say of a host, and whether the host uses DANE then.
func TestLookup(t *testing.T) {
	here := func(name string) string { return "\n_25._tcp." + name + " TLSA 3 1 1 " + digest }
	for _, tt := range []struct {
		rfc   string
		name  string
		zone  string
		host  dane.Host
		base  string // "" means no DANE
		fails bool   // the host is skipped
		asked string
	}{
		{"7672 §2.2.3", "records", "example SECURE" + here("mx.example"),
			dane.Host{Name: "mx.example", Secure: true}, "mx.example", false, "_25._tcp.mx.example TLSA"},
		{"7672 §2.2.3", "case and final dot", "example SECURE" + here("mx.example"),
			dane.Host{Name: "MX.Example.", Canonical: "mx.example.", Secure: true}, "mx.example", false, "_25._tcp.mx.example TLSA"},
		{"7672 §2.2", "none", "example SECURE\nmx.example A 192.0.2.1",
			dane.Host{Name: "mx.example", Secure: true}, "", false, "_25._tcp.mx.example TLSA"},
		{"7672 §2.2.3", "another port", "example SECURE\n_2525._tcp.mx.example TLSA 3 1 1 " + digest + here("mx.example"),
			dane.Host{Name: "mx.example", Secure: true, Port: 2525}, "mx.example", false, "_2525._tcp.mx.example TLSA"},
		{"7672 §2.2.3", "not on this port", "example SECURE" + here("mx.example"),
			dane.Host{Name: "mx.example", Secure: true, Port: 2525}, "", false, "_2525._tcp.mx.example TLSA"},
		{"7672 §2.2", "records that are not authenticated", here("mx.example"),
			dane.Host{Name: "mx.example", Secure: true}, "", false, "_25._tcp.mx.example TLSA"},
		{"7672 §2.1.2", "addresses that are not authenticated", "example SECURE\n_25._tcp.mx.example SERVFAIL",
			dane.Host{Name: "mx.example"}, "", false, ""},
		{"7672 §2.1.2", "SERVFAIL", "example SECURE\n_25._tcp.mx.example SERVFAIL",
			dane.Host{Name: "mx.example", Secure: true}, "", true, "_25._tcp.mx.example TLSA"},
		{"7672 §2.1.2", "NOTIMP", "example SECURE\n_25._tcp.mx.example NOTIMP",
			dane.Host{Name: "mx.example", Secure: true}, "", true, "_25._tcp.mx.example TLSA"},
		{"7672 §2.1.2", "timeout", "example SECURE\n_25._tcp.mx.example TIMEOUT",
			dane.Host{Name: "mx.example", Secure: true}, "", true, "_25._tcp.mx.example TLSA"},
		{"7672 §2.1.2", "bogus", "example SECURE\n_25._tcp.mx.example BOGUS",
			dane.Host{Name: "mx.example", Secure: true}, "", true, "_25._tcp.mx.example TLSA"},
		{"7672 §2.2.2", "alias: the target first", "example SECURE" + here("mx.example") + here("target.example"),
			dane.Host{Name: "mx.example", Canonical: "target.example", Secure: true}, "target.example", false, "_25._tcp.target.example TLSA"},
		{"7672 §2.2.2", "alias: then itself", "example SECURE" + here("mx.example"),
			dane.Host{Name: "mx.example", Canonical: "target.example", Secure: true}, "mx.example", false,
			"_25._tcp.target.example TLSA, _25._tcp.mx.example TLSA"},
		{"7672 §2.2.3", "alias: the target's are not authenticated", "example SECURE" + here("mx.example") + here("target.other"),
			dane.Host{Name: "mx.example", Canonical: "target.other", Secure: true}, "mx.example", false,
			"_25._tcp.target.other TLSA, _25._tcp.mx.example TLSA"},
		{"7672 §2.1.2", "alias: the target's are not known", "example SECURE\n_25._tcp.target.example SERVFAIL" + here("mx.example"),
			dane.Host{Name: "mx.example", Canonical: "target.example", Secure: true}, "", true, "_25._tcp.target.example TLSA"},
		{"7672 §2.2.2", "a signed alias into a zone that is not", "example SECURE\nmx.example CNAME target.other" + here("mx.example") + here("target.other"),
			dane.Host{Name: "mx.example", Canonical: "target.other"}, "mx.example", false, "mx.example CNAME, _25._tcp.mx.example TLSA"},
		{"7672 §2.2.2", "an alias that is not signed", "mx.other CNAME target.example\nexample SECURE" + here("target.example"),
			dane.Host{Name: "mx.other", Canonical: "target.example"}, "", false, "mx.other CNAME"},
		{"7672 §2.2.2", "an alias that is gone meanwhile", "example SECURE" + here("mx.example"),
			dane.Host{Name: "mx.example", Canonical: "target.other"}, "", false, "mx.example CNAME"},
		{"7672 §2.1.2", "an alias that is not known", "example SECURE\nmx.example SERVFAIL" + here("mx.example"),
			dane.Host{Name: "mx.example", Canonical: "target.other"}, "", true, "mx.example CNAME"},
		{"7671 §7", "records behind an alias", "example SECURE\n_25._tcp.mx.example CNAME tlsa.example\ntlsa.example TLSA 3 1 1 " + digest,
			dane.Host{Name: "mx.example", Secure: true}, "mx.example", false, "_25._tcp.mx.example TLSA"},
		{"7671 §7", "records behind an alias that is not authenticated", "example SECURE\n_25._tcp.mx.example CNAME tlsa.other\ntlsa.other TLSA 3 1 1 " + digest,
			dane.Host{Name: "mx.example", Secure: true}, "", false, "_25._tcp.mx.example TLSA"},
		{"7672 §2.2", "a literal", "example SECURE", dane.Host{Name: "[192.0.2.1]", Secure: true}, "", false, ""},
		{"1035 §2.3.4", "a name too long for a prefix", "example SECURE",
			dane.Host{Name: strings.Repeat("abcdefg.", 31) + "exam", Secure: true}, "", false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			zone := dnstest.MustParse(tt.zone)
			found, err := dane.Lookup(t.Context(), zone, tt.host)
			var failed *dns.Error
			if tt.fails != errors.As(err, &failed) || !tt.fails && err != nil {
				t.Errorf("RFC %s: error %v, want one: %t", tt.rfc, err, tt.fails)
			}
			base := ""
			if found != nil {
				base = found.Base
				if len(found.Usable) != 1 || found.Unusable != 0 {
					t.Errorf("%+v", found)
				}
			}
			if base != tt.base {
				t.Errorf("RFC %s: base domain %q, want %q", tt.rfc, base, tt.base)
			}
			var asked []string
			for _, q := range zone.Queries() {
				asked = append(asked, q.String())
			}
			if got := strings.Join(asked, ", "); got != tt.asked {
				t.Errorf("RFC %s: asked for %q, want %q", tt.rfc, got, tt.asked)
			}
		})
	}
}

// Nobody waits longer than the context.
func TestLookupStalls(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	zone := dnstest.MustParse("example SECURE\n_25._tcp.mx.example STALL")
	if _, err := dane.Lookup(ctx, zone, dane.Host{Name: "mx.example", Secure: true}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// Which records count, and how many that do not.
func TestUsable(t *testing.T) {
	ca := issue(nil, authority("CA"))
	mx := issue(ca, server("mx.example"))
	var many []string
	for i := range 1500 {
		many = append(many, fmt.Sprintf("mx%d.example", i))
	}
	long := issue(ca, server(many...))
	r := func(usage, selector, matching uint8, octets int) dns.TLSARecord {
		return dns.TLSARecord{Usage: usage, Selector: selector, MatchingType: matching, Data: make([]byte, octets)}
	}
	with := func(r dns.TLSARecord, data ...byte) dns.TLSARecord {
		r.Data = append(slices.Clone(r.Data), data...)
		return r
	}
	for _, tt := range []struct {
		rfc    string
		name   string
		record dns.TLSARecord
		usable bool
	}{
		{"7672 §3.1.1", "3 1 1", r(3, 1, 1, 32), true},
		{"7672 §3.1.1", "3 0 2", r(3, 0, 2, 64), true},
		{"7672 §3.1.2", "2 0 1", r(2, 0, 1, 32), true},
		{"7672 §3.1.2", "2 1 2", r(2, 1, 2, 64), true},
		{"7672 §3.1.2", "2 0 0", record(2, 0, 0, ca), true},
		{"7672 §3.1.2", "2 1 0", record(2, 1, 0, ca), true},
		{"7672 §3.1.1", "3 0 0", record(3, 0, 0, mx), true},
		{"7672 §3.1.1", "3 1 0", record(3, 1, 0, mx), true},
		{"7672 §3.1.3", "0 1 1", r(0, 1, 1, 32), false},
		{"7672 §3.1.3", "1 1 1", r(1, 1, 1, 32), false},
		{"6698 §2.1.1", "4 1 1", r(4, 1, 1, 32), false},
		{"6698 §2.1.1", "255 1 1", r(255, 1, 1, 32), false},
		{"6698 §2.1.2", "3 2 1", r(3, 2, 1, 32), false},
		{"6698 §2.1.3", "3 1 3", r(3, 1, 3, 48), false},
		{"6698 §2.1.3", "3 1 255 of nothing", r(3, 1, 255, 0), false},
		{"6698 §2.1.3", "an octet missing", r(3, 1, 1, 31), false},
		{"6698 §2.1.3", "an octet too many", r(3, 1, 1, 33), false},
		{"6698 §2.1.3", "SHA-256 named SHA-512", r(3, 1, 2, 32), false},
		{"6698 §2.1.3", "SHA-512 named SHA-256", r(2, 1, 1, 64), false},
		{"6698 §2.1.3", "no octets", r(3, 1, 1, 0), false},
		{"6698 §2.1.2", "nothing for a certificate", r(2, 0, 0, 0), false},
		{"6698 §2.1.2", "no certificate", r(2, 0, 0, 32), false},
		{"6698 §2.1.2", "no key", r(2, 1, 0, 32), false},
		{"6698 §2.1.2", "a key for a certificate", func() dns.TLSARecord { r := record(2, 1, 0, ca); r.Selector = 0; return r }(), false},
		{"6698 §2.1.2", "octets behind a certificate", with(record(2, 0, 0, ca), 0), false},
		{"6698 §2.1.2", "octets behind a key", with(record(2, 1, 0, ca), 0), false},
		{"6698 §2.1.2", "an RSA key of a size that costs", dns.TLSARecord{Usage: 2, Selector: 1, Data: hugeKey()}, false},
		{"6698 §2.1.2", "very long", record(3, 0, 0, long), false},
		{"6698 §2.1.2", "a digest of something very long", record(3, 0, 1, long), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := len(dane.Usable([]dns.TLSARecord{tt.record})) == 1; got != tt.usable {
				t.Errorf("RFC %s: usable: %t", tt.rfc, got)
			}
			found, err := dane.Lookup(t.Context(), one{tt.record}, dane.Host{Name: "mx.example", Secure: true})
			if err != nil || found == nil || (len(found.Usable) == 1) != tt.usable || (found.Unusable == 0) != tt.usable {
				t.Errorf("RFC %s: %+v, %v", tt.rfc, found, err) // §2.2: records that cannot be used still oblige to TLS
			}
		})
	}
}

// one is a DNS with one authenticated record.
type one struct{ dns.TLSARecord }

func (o one) Resolve(context.Context, string, dns.Type) (dns.Answer, error) {
	return dns.Answer{Secure: true, TLSA: []dns.TLSARecord{o.TLSARecord}}, nil
}

// Of several digests the strongest counts, for each usage and selector by itself
// (RFC 7671 §9).
func TestAgility(t *testing.T) {
	ca := issue(nil, authority("CA"))
	r := func(usage, selector, matching uint8) dns.TLSARecord { return record(usage, selector, matching, ca) }
	short := r(3, 1, 2)
	short.Data = short.Data[:40]
	for _, tt := range []struct {
		name       string
		have, want []dns.TLSARecord
	}{
		{"the strongest", []dns.TLSARecord{r(3, 1, 1), r(3, 1, 2)}, []dns.TLSARecord{r(3, 1, 2)}},
		{"whole ones stay", []dns.TLSARecord{r(3, 1, 0), r(3, 1, 1), r(3, 1, 2)}, []dns.TLSARecord{r(3, 1, 0), r(3, 1, 2)}},
		{"whole ones are no digest", []dns.TLSARecord{r(3, 1, 1), r(3, 1, 0)}, []dns.TLSARecord{r(3, 1, 1), r(3, 1, 0)}},
		{"another usage", []dns.TLSARecord{r(2, 1, 1), r(3, 1, 2)}, []dns.TLSARecord{r(2, 1, 1), r(3, 1, 2)}},
		{"another selector", []dns.TLSARecord{r(3, 0, 1), r(3, 1, 2)}, []dns.TLSARecord{r(3, 0, 1), r(3, 1, 2)}},
		{"a strong one that cannot be used", []dns.TLSARecord{r(3, 1, 1), short}, []dns.TLSARecord{r(3, 1, 1)}},
		{"twice the same", []dns.TLSARecord{r(3, 1, 1), r(3, 1, 1)}, []dns.TLSARecord{r(3, 1, 1)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := dane.Usable(tt.have); fmt.Sprint(got) != fmt.Sprint(tt.want) {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}

func TestUsableIsBounded(t *testing.T) {
	var records []dns.TLSARecord
	for i := range 1000 {
		data := make([]byte, 32)
		data[0], data[1] = byte(i), byte(i>>8)
		records = append(records, dns.TLSARecord{Usage: 3, Selector: 1, MatchingType: 1, Data: data})
	}
	if n := len(dane.Usable(records)); n != 64 {
		t.Errorf("%d records", n)
	}
}
