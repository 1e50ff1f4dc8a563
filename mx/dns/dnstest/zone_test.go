package dnstest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/mx/dns"
	"github.com/postrider/postrider/mx/dns/dnstest"
)

const zoneText = `
; a comment
example.org            MX     10 mx.example.org   ; another
example.org            MX     20 Mx2.Example.org.
example.org            TXT    "v=spf1 " "-all"
example.org            TXT    "quote \" backslash \\ octet \007\255; no comment"
example.org            TXT    ""
example.org            TXT    bare
example.org            TXT    "SERVFAIL"
EXAMPLE.org            NS     ns.example.org
mx.example.org         A      192.0.2.1
mx.example.org     30  A      192.0.2.2
mx.example.org         AAAA   2001:db8::1
1.2.0.192.in-addr.arpa PTR    mx.example.org
_25._tcp.mx.example.org TLSA  3 1 1 0123 4567
a.b.c.example.org  60  A      192.0.2.3
alias.example.org  20  CNAME  Alias2.example.org
alias2.example.org     CNAME  mx.example.org
dangling.example.org   CNAME  nowhere.example.org
loop.example.org       CNAME  loop2.example.org
loop2.example.org      CNAME  loop.example.org
tofail.example.org     CNAME  bad.example.org
*.wild.example.org     A      192.0.2.4
in.wild.example.org    TXT    "here"
*.walias.example.org   CNAME  mx.example.org
bad.example.org        SERVFAIL
bad.example.org        A      192.0.2.5
txtbad.example.org     TXT    REFUSED
txtbad.example.org     A      192.0.2.6
slow.example.org       TIMEOUT
bogus.example.org      BOGUS
formerr.example.org    FORMERR
notimp.example.org     NOTIMP
gone.example.org       A      192.0.2.7
gone.example.org       NXDOMAIN
signed.example         SECURE
signed.example         A      192.0.2.8
plain.signed.example   INSECURE
plain.signed.example   A      192.0.2.9
to.signed.example      CNAME  plain.signed.example
tosigned.example.org   CNAME  signed.example
in.signed.example      CNAME  signed.example
`

// show writes an answer as one line.
func show(a dns.Answer, err error) string {
	var failed *dns.Error
	if errors.As(err, &failed) {
		return err.Error()
	}
	var b strings.Builder
	for _, records := range []any{a.Addrs, a.Names, a.MX, a.TXT, a.TLSA} {
		if text := fmt.Sprintf("%q", records); text != "[]" {
			b.WriteString(strings.ReplaceAll(strings.Trim(text, "[]"), `"`, "'") + " ")
		}
	}
	if a.NXDomain {
		b.WriteString("NXDOMAIN ")
	}
	if len(a.Chain) > 0 {
		fmt.Fprintf(&b, "%v to ", a.Chain)
	}
	fmt.Fprintf(&b, "%s %v", a.Canonical, a.TTL)
	if a.Secure {
		b.WriteString(" secure")
	}
	return b.String()
}

func TestZone(t *testing.T) {
	zone := dnstest.MustParse(zoneText)
	for _, tt := range []struct {
		name string
		typ  dns.Type
		want string
	}{
		{"example.org", dns.NS, "'ns.example.org.' example.org. 5m0s"},
		{"Example.ORG.", dns.NS, "'ns.example.org.' Example.ORG. 5m0s"},
		{"mx.example.org", dns.A, "'192.0.2.1' '192.0.2.2' mx.example.org. 30s"},
		{"mx.example.org", dns.AAAA, "'2001:db8::1' mx.example.org. 5m0s"},
		{"1.2.0.192.in-addr.arpa", dns.PTR, "'mx.example.org.' 1.2.0.192.in-addr.arpa. 5m0s"},
		// Nothing there.
		{"mx.example.org", dns.TXT, "mx.example.org. 5m0s"},
		{"nowhere.example.org", dns.A, "NXDOMAIN nowhere.example.org. 5m0s"},
		{"b.c.example.org", dns.A, "b.c.example.org. 5m0s"},
		{"c.example.org", dns.A, "c.example.org. 5m0s"},
		{"x.c.example.org", dns.A, "NXDOMAIN x.c.example.org. 5m0s"},
		{".", dns.A, ". 5m0s"},
		{"gone.example.org", dns.A, "NXDOMAIN gone.example.org. 5m0s"},
		// Aliases.
		{"alias.example.org", dns.A, "'192.0.2.1' '192.0.2.2' [alias.example.org. Alias2.example.org.] to mx.example.org. 20s"},
		{"alias.example.org", dns.CNAME, "'Alias2.example.org.' alias.example.org. 20s"},
		{"mx.example.org", dns.CNAME, "mx.example.org. 5m0s"},
		{"alias.example.org", dns.TXT, "[alias.example.org. Alias2.example.org.] to mx.example.org. 20s"},
		{"dangling.example.org", dns.A, "NXDOMAIN [dangling.example.org.] to nowhere.example.org. 5m0s"},
		{"loop.example.org", dns.A, "dns: loop.example.org A: response code 2"},
		{"tofail.example.org", dns.A, "dns: tofail.example.org A: response code 2"},
		// Wildcards.
		{"x.wild.example.org", dns.A, "'192.0.2.4' x.wild.example.org. 5m0s"},
		{"x.y.wild.example.org", dns.A, "'192.0.2.4' x.y.wild.example.org. 5m0s"},
		{"x.wild.example.org", dns.MX, "x.wild.example.org. 5m0s"},
		{"in.wild.example.org", dns.A, "in.wild.example.org. 5m0s"},
		{"x.in.wild.example.org", dns.A, "NXDOMAIN x.in.wild.example.org. 5m0s"},
		{"x.walias.example.org", dns.AAAA, "'2001:db8::1' [x.walias.example.org.] to mx.example.org. 5m0s"},
		// Failures.
		{"bad.example.org", dns.A, "dns: bad.example.org A: response code 2"},
		{"bad.example.org", dns.CNAME, "dns: bad.example.org CNAME: response code 2"},
		{"txtbad.example.org", dns.TXT, "dns: txtbad.example.org TXT: response code 5"},
		{"txtbad.example.org", dns.A, "'192.0.2.6' txtbad.example.org. 5m0s"},
		{"slow.example.org", dns.A, "dns: slow.example.org A: timeout"},
		{"bogus.example.org", dns.A, "dns: bogus.example.org A: bogus"},
		{"formerr.example.org", dns.A, "dns: formerr.example.org A: response code 1"},
		{"notimp.example.org", dns.A, "dns: notimp.example.org A: response code 4"},
		// DNSSEC.
		{"signed.example", dns.A, "'192.0.2.8' signed.example. 5m0s secure"},
		{"in.signed.example", dns.A, "'192.0.2.8' [in.signed.example.] to signed.example. 5m0s secure"},
		{"nx.signed.example", dns.A, "NXDOMAIN nx.signed.example. 5m0s secure"},
		{"plain.signed.example", dns.A, "'192.0.2.9' plain.signed.example. 5m0s"},
		{"nx.plain.signed.example", dns.A, "NXDOMAIN nx.plain.signed.example. 5m0s"},
		{"to.signed.example", dns.A, "'192.0.2.9' [to.signed.example.] to plain.signed.example. 5m0s"},
		{"tosigned.example.org", dns.A, "'192.0.2.8' [tosigned.example.org.] to signed.example. 5m0s"},
	} {
		if got := show(zone.Resolve(context.Background(), tt.name, tt.typ)); got != tt.want {
			t.Errorf("%s %v:\n%s\nwant:\n%s", tt.name, tt.typ, got, tt.want)
		}
	}
}

func TestZoneData(t *testing.T) {
	zone := dnstest.MustParse(zoneText)
	ctx := context.Background()
	mx, _ := zone.Resolve(ctx, "example.org", dns.MX)
	if got, want := fmt.Sprint(mx.MX), "[{10 mx.example.org.} {20 Mx2.Example.org.}]"; got != want {
		t.Errorf("MX: %s, want %s", got, want)
	}
	txt, _ := zone.Resolve(ctx, "example.org", dns.TXT)
	want := []string{"v=spf1 -all", "quote \" backslash \\ octet \x07\xff; no comment", "", "bare", "SERVFAIL"}
	if fmt.Sprintf("%q", txt.TXT) != fmt.Sprintf("%q", want) {
		t.Errorf("TXT: %q, want %q", txt.TXT, want)
	}
	tlsa, _ := zone.Resolve(ctx, "_25._tcp.mx.example.org", dns.TLSA)
	if got, want := fmt.Sprint(tlsa.TLSA), "[{3 1 1 [1 35 69 103]}]"; got != want {
		t.Errorf("TLSA: %s, want %s", got, want)
	}
}

func TestMalformedLines(t *testing.T) {
	for _, line := range []string{
		"example.org", "example.org 30", "example.org A", "example.org A 192.0.2.1 192.0.2.2", "example.org A 2001:db8::1",
		"example.org AAAA 192.0.2.1", "example.org AAAA fe80::1%eth0", "example.org A here", "example.org MX mx.example.org",
		"example.org MX 65536 mx.example.org", "example.org MX -1 mx", "example.org TXT", `example.org TXT "open`,
		`example.org TXT "a"b`, `example.org TXT a"b"`, `example.org TXT v=DKIM1; p=`, `example.org TXT "\12"`, `example.org TXT "\256"`,
		`example.org TXT \`, "example.org TLSA 3 1 1", "example.org TLSA 3 1 256 00", "example.org TLSA 3 1 1 0", "example.org SRV 1 2 3 x",
		"example.org servfail", "example.org 30 SERVFAIL", "example.org SERVFAIL TXT", "example.org A SECURE", `example.org "SERVFAIL"`,
		"here.example CNAME b.example", "alias.example A 192.0.2.1", "alias.example CNAME c.example",
	} {
		zone := dnstest.MustParse("here.example A 192.0.2.1\nalias.example CNAME b.example")
		if err := zone.Add("\n" + line); err == nil || !strings.HasPrefix(err.Error(), "dnstest: line 2: ") {
			t.Errorf("%s: %v", line, err)
		}
		if a, err := zone.Resolve(context.Background(), "example.org", dns.A); !a.NXDomain || err != nil {
			t.Errorf("%s: %v, %v", line, a, err)
		}
	}
}

// 16 aliases are followed.
func TestLongChain(t *testing.T) {
	var b strings.Builder
	for i := range 17 {
		fmt.Fprintf(&b, "a%d.example CNAME a%d.example\n", i, i+1)
	}
	zone := dnstest.MustParse(b.String() + "a17.example A 192.0.2.1")
	for name, fails := range map[string]bool{"a0.example": true, "a1.example": false} {
		if a, err := zone.Resolve(context.Background(), name, dns.A); (err != nil) != fails {
			t.Errorf("%s: %v, %v", name, a, err)
		}
	}
}

func TestContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		zone := dnstest.MustParse("stall.example STALL\nexample.org A 192.0.2.1")
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		defer cancel()
		start := time.Now()
		_, err := zone.Resolve(ctx, "stall.example", dns.A)
		var failed *dns.Error
		if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &failed) || !failed.Timeout || time.Since(start) != time.Hour {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		cancel()
		if a, err := zone.Resolve(ctx, "example.org", dns.A); err == nil {
			t.Errorf("after the end of the context: %v", a)
		}
	})
}

func TestReadJSON(t *testing.T) {
	zone, err := dnstest.ReadJSON(strings.NewReader(`{
		"a.example": {"A": ["192.0.2.1", "192.0.2.2"], "MX": "10 mx.example", "TXT": ["v=DKIM1; \"p\\="]},
		"A.example.": {"AAAA": ["2001:db8::1"]},
		"bad.example": {"RCODE": ["SERVFAIL"]},
		"txtbad.example": {"TXT": ["SERVFAIL"], "A": ["TIMEOUT"]}}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		typ  dns.Type
		want string
	}{
		{"a.example", dns.A, "'192.0.2.1' '192.0.2.2' a.example. 5m0s"},
		{"a.example", dns.AAAA, "'2001:db8::1' a.example. 5m0s"},
		{"a.example", dns.TXT, `'v=DKIM1; \'p\\=' a.example. 5m0s`},
		{"bad.example", dns.TXT, "dns: bad.example TXT: response code 2"},
		{"txtbad.example", dns.TXT, "'SERVFAIL' txtbad.example. 5m0s"},
		{"txtbad.example", dns.A, "dns: txtbad.example A: timeout"},
	} {
		if got := show(zone.Resolve(context.Background(), tt.name, tt.typ)); got != tt.want {
			t.Errorf("%s %v:\n%s\nwant:\n%s", tt.name, tt.typ, got, tt.want)
		}
	}
	for _, text := range []string{`{`, `[]`, `{} {}`, `{"a": {"A": [1]}}`, `{"a": {"A": ["x"]}}`, `{"a": {"RCODE": ["x"]}}`, `{"a": ["A"]}`} {
		if _, err := dnstest.ReadJSON(strings.NewReader(text)); err == nil {
			t.Errorf("%s is read", text)
		}
	}
}

func TestReadSharedZone(t *testing.T) {
	f, err := os.Open(filepath.Join("..", "..", "..", "..", "shared", "testdata", "dkim", "zone.json"))
	if err != nil {
		t.Skip(err)
	}
	defer f.Close()
	zone, err := dnstest.ReadJSON(f)
	if err != nil {
		t.Fatal(err)
	}
	a, err := zone.Resolve(context.Background(), "r2048._domainkey.rivers.example", dns.TXT)
	if err != nil || len(a.TXT) != 1 || !strings.HasPrefix(a.TXT[0], "v=DKIM1; k=rsa; p=MIIB") {
		t.Errorf("%v, %v", a, err)
	}
	if _, err := zone.Resolve(context.Background(), "tempfail._domainkey.rivers.example", dns.TXT); err == nil {
		t.Error("SERVFAIL is not")
	}
}

// Adding and asking may go on at once; what was answered stays.
func TestConcurrentUse(t *testing.T) {
	zone := dnstest.MustParse("example.org A 192.0.2.1")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 50 {
				if err := zone.Add(fmt.Sprintf("example.org A 192.0.%d.%d", i, j)); err != nil {
					t.Error(err)
				}
				a, err := zone.Resolve(context.Background(), "example.org", dns.A)
				if err != nil || len(a.Addrs) < 2 || a.Addrs[0].String() != "192.0.2.1" {
					t.Errorf("%v, %v", a, err)
				}
			}
		})
	}
	wg.Wait()
	if n := len(zone.Queries()); n != 400 {
		t.Errorf("%d queries", n)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(zoneText)
	f.Add("a TXT " + dnstest.Quote("\x00\"\\\xff;"))
	f.Fuzz(func(t *testing.T, text string) {
		if zone, err := dnstest.Parse(text); err == nil {
			zone.Resolve(context.Background(), "example.org", dns.A)
		}
		zone, err := dnstest.Parse("q.example TXT " + dnstest.Quote(text))
		if err != nil {
			t.Fatal(err)
		}
		if a, err := zone.Resolve(context.Background(), "q.example", dns.TXT); err != nil || len(a.TXT) != 1 || a.TXT[0] != text {
			t.Errorf("%q quoted is %q, %v", text, a.TXT, err)
		}
	})
}

// Letter case is that of ASCII (RFC 4343): other octets are what they are.
func TestOddNames(t *testing.T) {
	z := dnstest.MustParse("key.example A 192.0.2.1\n\\255.example A 192.0.2.2")
	for name, want := range map[string]int{"KEY.example": 1, "\u212aey.example": 0, "\xff.example": 1, "\xfe.example": 0, "\ufffd.example": 0} {
		if a, err := z.Resolve(context.Background(), name, dns.A); err != nil || len(a.Addrs) != want || a.NXDomain != (want == 0) {
			t.Errorf("%q: %+v, %v", name, a, err)
		}
	}
}

func TestRemove(t *testing.T) {
	zone := dnstest.MustParse(`
		a.b.example  A    192.0.2.1
		a.b.example  TXT  "old"
		a.b.example  SECURE
		c.example    A    SERVFAIL
		c.example    A    192.0.2.3`)
	for _, step := range []struct {
		change func()
		name   string
		typ    dns.Type
		want   string
	}{
		{func() {}, "a.b.example", dns.TXT, "'old' a.b.example. 5m0s secure"},
		{func() { zone.Remove("A.b.example.", dns.TXT) }, "a.b.example", dns.TXT, "a.b.example. 5m0s secure"},
		{func() { zone.Add(`a.b.example TXT "new"`) }, "a.b.example", dns.TXT, "'new' a.b.example. 5m0s secure"},
		{func() {}, "a.b.example", dns.A, "'192.0.2.1' a.b.example. 5m0s secure"},
		{func() { zone.Remove("nobody.example") }, "a.b.example", dns.A, "'192.0.2.1' a.b.example. 5m0s secure"},
		{func() { zone.Remove("b.example") }, "a.b.example", dns.A, "'192.0.2.1' a.b.example. 5m0s secure"}, // there is none at that name itself
		{func() { zone.Remove("a.b.example") }, "a.b.example", dns.A, "NXDOMAIN a.b.example. 5m0s"},
		{func() {}, "b.example", dns.A, "NXDOMAIN b.example. 5m0s"}, // nothing is below it any longer
		{func() {}, "example", dns.A, "example. 5m0s"},
		{func() { zone.Remove("c.example", dns.A) }, "c.example", dns.A, "NXDOMAIN c.example. 5m0s"},
		{func() { zone.Add("d.example SERVFAIL"); zone.Remove("d.example"); zone.Add("d.example A 192.0.2.4") }, "d.example", dns.A, "'192.0.2.4' d.example. 5m0s"},
		{func() { zone.Add("a.b.example A 192.0.2.9") }, "a.b.example", dns.A, "'192.0.2.9' a.b.example. 5m0s"},
	} {
		step.change()
		if got := show(zone.Resolve(t.Context(), step.name, step.typ)); got != step.want {
			t.Errorf("%s %s: %s, want %s", step.name, step.typ, got, step.want)
		}
	}
}
