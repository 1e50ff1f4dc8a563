//go:build interop

package interop

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/mx/dns"
)

// signedZone is a zone that nsd serves.
type signedZone struct {
	name    string
	records string // beside those of the apex
	keep    string // how it is signed; empty means as it should be
}

// What may be wrong with a zone.
const (
	unsigned = "unsigned" // and its parent says so
	changed  = "changed"  // addresses and policies are not those that were signed
	expired  = "expired"
	otherKey = "other key" // than the parent says
)

const apex = `$ORIGIN %s.
$TTL 300
@ IN SOA ns hostmaster 1 3600 600 86400 300
@ IN NS ns
ns IN A 127.0.0.1
`

// startDNS serves a zone "example", signed, with the zones below it, and starts
// a validating resolver that trusts the key of "example". It returns what asks
// that resolver.
func startDNS(t *testing.T, zones []signedZone) *dns.Stub {
	t.Helper()
	return startDNSAt(t, freePort(t), zones)
}

// startDNSAt is startDNS with a resolver at a port.
func startDNSAt(t *testing.T, resolver int, zones []signedZone) *dns.Stub {
	t.Helper()
	r := newRoot(t, "auth")
	parent := signedZone{name: "example"}
	for i := range zones {
		label := strings.TrimSuffix(zones[i].name, ".example")
		parent.records += fmt.Sprintf("%s IN NS ns.%[1]s\nns.%[1]s IN A 127.0.0.1\n", label) + zones[i].sign(t, r)
	}
	anchor := parent.sign(t, r)
	zones = append(slices.Clone(zones), parent)

	authority := freePort(t)
	nsd := fmt.Sprintf("server:\n  ip-address: 127.0.0.1@%d\n  username: root\n  chroot: \"\"\n  zonesdir: /zones\n  pidfile: \"\"\n"+
		"  xfrdir: /tmp\n  xfrdfile: \"\"\n  zonelistfile: /tmp/zones\n  server-count: 1\n  rrl-ratelimit: 0\nremote-control:\n  control-enable: no\n", authority)
	unbound := fmt.Sprintf("server:\n  interface: 127.0.0.1@%d\n  username: \"\"\n  chroot: \"\"\n  directory: /tmp\n  pidfile: \"\"\n"+
		"  do-daemonize: no\n  use-syslog: no\n  do-ip6: no\n  num-threads: 1\n  do-not-query-localhost: no\n  val-log-level: 2\n"+
		"  module-config: \"validator iterator\"\n  trust-anchor-file: /etc/anchor\n  ede: yes\nremote-control:\n  control-enable: no\n", resolver)
	for _, z := range zones {
		nsd += fmt.Sprintf("zone:\n  name: %s\n  zonefile: %[1]s.signed\n", z.name)
		unbound += fmt.Sprintf("stub-zone:\n  name: %s\n  stub-addr: 127.0.0.1@%d\n  stub-prime: no\n", z.name, authority)
	}
	r.write(t, "etc/anchor", []byte(anchor), 0o644)
	r.write(t, "etc/nsd.conf", []byte(nsd), 0o644)
	r.write(t, "etc/unbound.conf", []byte(unbound), 0o644)
	start(t, r, "/usr/sbin/nsd", "-d", "-c", "/etc/nsd.conf").listening(t, authority)
	start(t, r, "/usr/sbin/unbound", "-d", "-c", "/etc/unbound.conf").listening(t, resolver)
	at := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(resolver))
	return &dns.Stub{Servers: []dns.Server{{Addr: at}}, Timeout: eventTime}
}

// sign writes the zone as nsd reads it, and returns what its parent says of it:
// a DS record, or nothing.
func (z signedZone) sign(t *testing.T, r *root) (ds string) {
	t.Helper()
	plain, signed := "zones/"+z.name, "zones/"+z.name+".signed"
	text := []byte(fmt.Sprintf(apex, z.name) + z.records)
	r.write(t, plain, text, 0o644)
	if z.keep == unsigned {
		r.write(t, signed, text, 0o644)
		return ""
	}
	key := func() string {
		res := run(t, r, nil, "/usr/bin/ldns-keygen", "-a", "ECDSAP256SHA256", "-k", z.name)
		if res.code != 0 {
			t.Fatal(res)
		}
		return "/" + strings.TrimSpace(res.stdout)
	}
	k := key()
	sign := []string{"/usr/bin/ldns-signzone", "-n", "-o", z.name, "-f", "/" + signed}
	if z.keep == expired {
		then := func(days int) string { return time.Now().AddDate(0, 0, days).Format("20060102") }
		sign = append(sign, "-i", then(-60), "-e", then(-30))
	}
	if res := run(t, r, nil, append(sign, "/"+plain, k)...); res.code != 0 {
		t.Fatal(res)
	}
	if z.keep == changed {
		text := strings.NewReplacer("\"v=", "\"V=", "192.0.2.25", "192.0.2.26").Replace(readFile(r.path(signed)))
		r.write(t, signed, []byte(text), 0o644)
	}
	if z.keep == otherKey {
		k = key()
	}
	return readFile(r.path(k + ".ds"))
}
