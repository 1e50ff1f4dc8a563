package arc

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/auth/authres"
	"github.com/postrider/postrider/auth/internal/key"
	"github.com/postrider/postrider/auth/internal/message"
	"github.com/postrider/postrider/mx/dns"
	"github.com/postrider/postrider/mx/dns/dnstest"
)

const plain = "Received: from a by b; Thu, 14 Jan 2015 15:00:01 -0800\r\n" +
	"DKIM-Signature: v=1; d=example.com\r\n" +
	"From: Jo <jo@example.com>\r\nTo: list@example.org\r\nSubject: Hello\r\nDate: Thu, 14 Jan 2015 15:00:01 -0800\r\n" +
	"\r\nHey  gang,\r\nhello.\r\n\r\n"

var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		panic(err)
	}
	return k
})

var edKey = sync.OnceValue(func() ed25519.PrivateKey {
	_, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return k
})

func record(k crypto.Signer) string {
	switch public := k.Public().(type) {
	case ed25519.PublicKey:
		return "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(public)
	default:
		der, err := x509.MarshalPKIXPublicKey(public)
		if err != nil {
			panic(err)
		}
		return "v=DKIM1; p=" + base64.StdEncoding.EncodeToString(der)
	}
}

// hops is a zone with the keys of the hops, and their Sealers.
func hops(n int, same bool) (*dnstest.Zone, []*Sealer) {
	z := &dnstest.Zone{}
	var all []*Sealer
	for i := range n {
		var k crypto.Signer = rsaKey()
		if i%2 == 1 {
			k = edKey()
		}
		s := &Sealer{Domain: fmt.Sprintf("hop%d.example", i+1), Selector: "S" + fmt.Sprint(i), Key: k, MinRSABits: 1024}
		if same {
			s.Domain, s.Selector, s.Key = "hop.example", "s", edKey()
		}
		if same && i > 0 {
			all = append(all, s)
			continue
		}
		if err := z.Add(s.Selector + "._domainkey." + s.Domain + ` TXT "` + record(s.Key) + `"`); err != nil {
			panic(err)
		}
		all = append(all, s)
	}
	return z, all
}

func verify(t *testing.T, z dns.Resolver, text string) Result {
	t.Helper()
	r, err := (&Verifier{Resolver: z}).Verify(context.Background(), strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// seal puts a set on top of the message.
func seal(t *testing.T, s *Sealer, text string, chain Result) string {
	t.Helper()
	set, err := s.Seal(strings.NewReader(text), chain, authres.Field{AuthServID: s.Domain, Results: []authres.Result{
		{Method: "spf", Verdict: authres.Pass}, chain.AuthRes(netip.MustParseAddr("192.0.2.1")),
	}})
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(string(set), "\r\n") {
		if len(line) > 78 && !strings.HasPrefix(line, " b=") || strings.ContainsAny(line, "\r\n") {
			t.Errorf("line %q", line)
		}
	}
	return string(set) + text
}

// forward sends the message over the hops.
func forward(t *testing.T, z dns.Resolver, sealers []*Sealer, text string) string {
	t.Helper()
	for _, s := range sealers {
		text = seal(t, s, text, verify(t, z, text))
	}
	return text
}

func TestChain(t *testing.T) {
	z, sealers := hops(5, false)
	text := plain
	for i, s := range sealers {
		text = seal(t, s, text, verify(t, z, text))
		if i == 2 {
			text = "Received: again\r\n" + text // not signed
		}
		r := verify(t, z, text)
		if r.Verdict != authres.Pass || r.Instances != i+1 || len(r.Chain) != i+1 || r.OldestPass != 0 || r.Closed || r.Reason != "" {
			t.Fatalf("hop %d: %+v", i+1, r)
		}
		set := r.Chain[i]
		want := Signature{Domain: fmt.Sprintf("hop%d.example", i+1), Selector: fmt.Sprintf("s%d", i), Algorithm: "rsa-sha256", Verdict: authres.Pass}
		if i%2 == 1 {
			want.Algorithm = "ed25519-sha256"
		}
		if set.Seal != want || set.Message != want || !set.FromSigned || set.AuthRes.AuthServID != want.Domain || set.AuthRes.Results[0].Method != "spf" {
			t.Errorf("hop %d: %+v", i+1, set)
		}
		if status := set.Status; (i == 0) != (status == authres.None) || (i > 0) != (status == authres.Pass) {
			t.Errorf("hop %d: cv=%s", i+1, status)
		}
		const format = "Authentication-Results: a;\r\n\tarc=pass (i=%d d=hop%d.example) header.oldest-pass=0\r\n\tsmtp.remote-ip=\"2001:db8::1\"\r\n"
		f := authres.Field{AuthServID: "a", Results: []authres.Result{r.AuthRes(netip.MustParseAddr("2001:db8::1%eth0"))}}
		if got, want := f.String(), fmt.Sprintf(format, i+1, i+1); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
	if n := len(z.Queries()); n == 0 {
		t.Error("no key was looked up")
	}
}

func TestOldestPass(t *testing.T) {
	z, sealers := hops(4, false)
	two := forward(t, z, sealers[:2], plain)
	changed := strings.Replace(two, "hello.", "hello, all.", 1)
	for _, tt := range []struct {
		text string
		want int
	}{
		{forward(t, z, sealers[2:3], two), 0},
		{changed, -1},
		{strings.Replace(two, "Subject: Hello", "Subject: [list] Hello", 1), -1},
		{"Subject: another\r\n" + two, -1},
		{strings.Replace(two, "\r\n\r\n", "\r\nDate: another\r\n\r\n", 1), -1},
	} {
		if r := verify(t, z, tt.text); tt.want < 0 && r.Verdict != authres.Fail || tt.want >= 0 && (r.Verdict != authres.Pass || r.OldestPass != tt.want) {
			t.Errorf("%+v", r)
		}
	}
	// The third one changes the message, but seals what it was before.
	before := verify(t, z, two)
	four := forward(t, z, sealers[3:], seal(t, sealers[2], changed, before))
	r := verify(t, z, four)
	if r.Verdict != authres.Pass || r.OldestPass != 3 || r.Chain[1].Message.Verdict != authres.Fail || r.Chain[0].Message.Verdict != "" {
		t.Errorf("%+v", r)
	}
}

// Whatever is changed in a set, the chain fails.
func TestTampering(t *testing.T) {
	z, sealers := hops(3, false)
	text := forward(t, z, sealers, plain)
	header, _, _ := strings.Cut(text, "\r\n\r\n")
	sets := fields(header)[:9]
	for i, f := range sets {
		_, after, _ := strings.Cut(text, f)
		before := strings.TrimSuffix(text, f+after)
		name, value, _ := strings.Cut(f, ":")
		for _, bad := range []string{
			before + strings.TrimPrefix(after, "\r\n"), // left out
			before + f + "\r\n" + f + after,            // twice
			before + name + ": (x)" + value + after,
			before + strings.Replace(f, "example", "exampel", 1) + after,
			before + strings.Replace(f, "i=", "i=1", 1) + after,
			before + strings.Replace(f, "i=", "i=x", 1) + after,
			before + f + " ;; " + after,
			before + f + " x" + after,
		} {
			if r := verify(t, z, bad); r.Verdict != authres.Fail || r.Reason == "" {
				t.Errorf("field %d (%s): %s, %q", i, name, r.Verdict, r.Reason)
			}
		}
	}
	// A set that is there twice, in the place of another.
	header2 := fields(header)
	if r := verify(t, z, strings.Join(append(header2[3:6:6], header2[3:]...), "\r\n")+strings.TrimPrefix(text, header)); r.Verdict != authres.Fail || r.Reason != repeatedSet {
		t.Errorf("%+v", r)
	}
	// A chain cut short is a chain, as long as the message is as it was then.
	if r := verify(t, z, strings.Join(fields(header)[3:], "\r\n")+strings.TrimPrefix(text, header)); r.Verdict != authres.Pass || r.Instances != 2 {
		t.Errorf("%+v", r)
	}
	// Sets need not be in order.
	slices.Reverse(sets)
	if r := verify(t, z, strings.Join(sets, "\r\n")+strings.TrimPrefix(text, strings.Join(fields(header)[:9], "\r\n"))); r.Verdict != authres.Pass {
		t.Errorf("%+v", r)
	}
}

func TestFiftySets(t *testing.T) {
	z, sealers := hops(50, true)
	text := forward(t, z, sealers, plain)
	r := verify(t, z, text)
	if r.Verdict != authres.Pass || r.Instances != 50 || !r.Closed {
		t.Fatalf("%s %s %d", r.Verdict, r.Reason, r.Instances)
	}
	if set, err := sealers[0].Seal(strings.NewReader(text), r, authres.Field{AuthServID: "a"}); set != nil || err != nil {
		t.Errorf("%q %v", set, err)
	}
	more := strings.Join(fields(text[:strings.Index(text, "\r\nReceived:")])[:3], "\r\n") + "\r\n" + text
	if r := verify(t, z, more); r.Verdict != authres.Fail || r.Reason != tooManySets || !r.Closed {
		t.Errorf("%+v", r)
	}
}

// A key that is one too many for a message fails the chain.
func TestTooManyKeys(t *testing.T) {
	z, sealers := hops(11, false)
	text := forward(t, z, sealers[:10], plain)
	chain := verify(t, z, text)
	text = seal(t, sealers[10], text, chain)
	if r := verify(t, z, text); r.Verdict != authres.Fail || r.Reason != "ARC-Seal i=1: too many keys to look up" {
		t.Errorf("%s %s", r.Verdict, r.Reason)
	}
	r, err := (&Verifier{Resolver: z, MaxLookups: 11}).Verify(context.Background(), strings.NewReader(text))
	if err != nil || r.Verdict != authres.Pass {
		t.Errorf("%+v %v", r, err)
	}
}

// What can be seen without a key costs no lookup.
func TestNoLookupsForNothing(t *testing.T) {
	z, sealers := hops(2, false)
	text := forward(t, z, sealers, plain)
	for _, bad := range []string{
		plain,
		strings.Replace(text, "cv=pass", "cv=fail", 1), strings.Replace(text, "cv=pass", "cv=none", 1), strings.Replace(text, "cv=none", "cv=pass", 1),
		strings.Replace(text, "i=2", "i=3", 1), strings.Replace(text, "d=hop2.example", "d=hop2..example", 1),
		strings.Replace(text, "d=hop2.example", "d=hop2 .example", 1), strings.Replace(text, "s=s1", "s=s\x001", 1),
		strings.Replace(text, "cv=pass;", "cv=pass; h=from;", 1), strings.Replace(text, "h=from:", "h=from:ARC-Seal:", 1),
		strings.Replace(text, "a=ed25519-sha256", "a=rsa-sha1", 1),
	} {
		fresh := &counting{Resolver: z}
		if r := verify(t, fresh, bad); fresh.n > 0 || r.Verdict == authres.Pass || r.Verdict == authres.TempError {
			t.Errorf("%.300q: %s %s, %d lookups", bad, r.Verdict, r.Reason, fresh.n)
		}
	}
}

type counting struct {
	dns.Resolver
	mu sync.Mutex
	n  int
}

func (c *counting) Resolve(ctx context.Context, name string, t dns.Type) (dns.Answer, error) {
	c.mu.Lock()
	c.n++
	c.mu.Unlock()
	return c.Resolver.Resolve(ctx, name, t)
}

func TestDNSFailures(t *testing.T) {
	z, sealers := hops(2, false)
	text := forward(t, z, sealers, plain)
	key1, key2 := ` TXT "`+record(sealers[0].Key)+`"`, ` TXT "`+record(sealers[1].Key)+`"`
	for _, tt := range []struct {
		first, second string
		want          authres.Verdict
		reason        string
	}{
		{key1, key2, authres.Pass, ""},
		{key1, " SERVFAIL", authres.TempError, "ARC-Message-Signature i=2: key unavailable"},
		{" TIMEOUT", key2, authres.TempError, "ARC-Seal i=1: key unavailable"},
		{" BOGUS", key2, authres.TempError, "ARC-Seal i=1: key unavailable"},
		{" NXDOMAIN", key2, authres.Fail, "ARC-Seal i=1: no key"},
		{" NXDOMAIN", " SERVFAIL", authres.Fail, "ARC-Seal i=1: no key"}, // worse counts
		{key1, ` TXT "p="`, authres.Fail, "ARC-Message-Signature i=2: key revoked"},
		{key2, key2, authres.Fail, "ARC-Seal i=1: key of another algorithm"},
		{key1, " STALL", authres.TempError, "ARC-Message-Signature i=2: key unavailable"},
	} {
		z := dnstest.MustParse("s0._domainkey.hop1.example" + tt.first + "\ns1._domainkey.hop2.example" + tt.second)
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		c := (&Verifier{Resolver: z, Timeout: 50 * time.Millisecond}).Begin(ctx)
		fmt.Fprint(c, text)
		r := c.Finish(ctx)
		cancel()
		if r.Verdict != tt.want || r.Reason != tt.reason {
			t.Errorf("%.20s, %.20s: %s %q, want %s %q", tt.first, tt.second, r.Verdict, r.Reason, tt.want, tt.reason)
		}
		if tt.want != authres.Pass {
			if a := r.AuthRes(netip.Addr{}); a.Verdict != authres.Fail || len(a.Properties) > 0 { // RFC 8617 §4.4, §5.2.1
				t.Errorf("%+v", a)
			}
		}
	}
}

// What is not so counts more than what may not be so.
func TestFailIsWorseThanTempError(t *testing.T) {
	z, sealers := hops(2, false)
	text := forward(t, z, sealers, plain)
	text = strings.Replace(text, "cv=pass;", "cv=pass; x=y;", 1) // not covered by the message's signature
	slow := dnstest.MustParse("s0._domainkey.hop1.example SERVFAIL\ns1._domainkey.hop2.example TXT \"" + record(sealers[1].Key) + "\"")
	if r := verify(t, slow, text); r.Verdict != authres.Fail || r.Reason != "ARC-Seal i=2: signature does not verify" {
		t.Errorf("%s %s", r.Verdict, r.Reason)
	}
}

// Finish does not wait for what will not come, and leaves nothing behind.
func TestFinishEndsLookups(t *testing.T) {
	z, sealers := hops(1, false)
	text := forward(t, z, sealers, plain)
	c := (&Verifier{Resolver: dnstest.MustParse("s0._domainkey.hop1.example STALL")}).Begin(context.Background())
	fmt.Fprint(c, text)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if r := c.Finish(ctx); r.Verdict != authres.TempError {
		t.Errorf("%+v", r)
	}
}

// The search for OldestPass has an end.
func TestHashingIsBounded(t *testing.T) {
	z, sealers := hops(8, true)
	text := "Subject: " + strings.Repeat("a b ", 200<<10) + "\r\n" + plain // 800 KB
	r := verify(t, z, forward(t, z, sealers, text))
	if r.Verdict != authres.Pass || r.OldestPass != 3 || r.Chain[1].Message.Verdict != "" {
		t.Errorf("%s %s, oldest-pass %d", r.Verdict, r.Reason, r.OldestPass)
	}
}

// What was found out is written by strangers in part.
func TestMessageSignatureTags(t *testing.T) {
	z, sealers := hops(1, false)
	s := *sealers[0]
	for _, tt := range []struct {
		tags   []tagText
		change string // the body is
		reason string
	}{
		{nil, "", ""},
		{[]tagText{{"l", "19"}}, "", ""}, // all of it
		{[]tagText{{"l", "19"}}, "more\r\n", "only a part of the body is signed"},
		{[]tagText{{"l", "20"}}, "", "body was changed"},
		{[]tagText{{"l", "-1"}}, "", "malformed"},
		{[]tagText{{"x", "2000"}}, "", "signature expired"},
		{[]tagText{{"x", "99999999999"}}, "", ""},
		{[]tagText{{"x", "999"}}, "", "malformed"}, // before t=
		{[]tagText{{"q", "dns/txt:other"}}, "", ""},
		{[]tagText{{"q", "other"}}, "", "malformed"},
		{[]tagText{{"v", "7"}, {"z", "From:x"}}, "", ""}, // nothing to ARC
	} {
		b, err := s.Begin()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(b, plain)
		b.message.Close()
		set := handmade(t, b, tt.tags)
		c := (&Verifier{Resolver: z}).Begin(context.Background())
		fmt.Fprint(c, set, strings.TrimRight(plain, "\r\n")+"\r\n"+tt.change)
		if r := c.Finish(context.Background()); (tt.reason == "") != (r.Verdict == authres.Pass) || !strings.Contains(r.Reason, tt.reason) {
			t.Errorf("%v %q: %s %q, want %q", tt.tags, tt.change, r.Verdict, r.Reason, tt.reason)
		}
	}
}

// handmade seals with other tags than a Sealer would.
func handmade(t *testing.T, b *Sealing, extra []tagText) string {
	t.Helper()
	results := authres.Field{AuthServID: "a"}.AppendARC(nil, 1)
	h := message.NewFieldHash(message.Relaxed, crypto.SHA256)
	for _, f := range b.message.Fields() {
		if f.Is("subject") {
			h.Add(f)
		}
	}
	signature, err := b.sign(h, fieldText{signatureName, append([]tagText{
		{"a", b.key.Algorithm()}, {"b", ""}, {"bh", encode(b.body.Sum())}, {"d", b.domain}, {"h", "subject"}, {"i", "1"}, {"s", b.selector}, {"t", "1000"},
	}, extra...)})
	if err != nil {
		t.Fatal(err)
	}
	h = message.NewFieldHash(message.Relaxed, crypto.SHA256)
	h.Add(message.NewField(results))
	h.Add(message.NewField(signature))
	seal, err := b.sign(h, fieldText{sealName, []tagText{{"a", b.key.Algorithm()}, {"b", ""}, {"cv", "none"}, {"d", b.domain}, {"i", "1"}, {"s", b.selector}}})
	if err != nil {
		t.Fatal(err)
	}
	return string(seal) + string(signature) + string(results)
}

// More than the tags that count does not crowd them out.
func TestManyUnknownTags(t *testing.T) {
	z, sealers := hops(1, false)
	b, err := sealers[0].Begin()
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(b, plain)
	b.message.Close()
	var extra []tagText
	for i := range 40 {
		extra = append(extra, tagText{fmt.Sprintf("x%d", i), "y"})
	}
	if r := verify(t, z, handmade(t, b, extra)+plain); r.Verdict != authres.Pass || r.Chain[0].FromSigned {
		t.Errorf("%+v", r)
	}
}

// The octets may come in any pieces, and a Check may be shared or given up.
func TestCheck(t *testing.T) {
	z, sealers := hops(2, false)
	text := forward(t, z, sealers, plain)
	v := &Verifier{Resolver: z}
	want := verify(t, z, text)
	ctx := context.Background()
	for _, size := range []int{1, 2, 3, 100} {
		c := v.Begin(ctx)
		for piece := range slices.Chunk([]byte(text), size) {
			if n, err := c.Write(piece); n != len(piece) || err != nil {
				t.Fatal(n, err)
			}
		}
		if got := c.Finish(ctx); !reflect.DeepEqual(got, want) || !reflect.DeepEqual(c.Finish(ctx), want) {
			t.Errorf("pieces of %d: %+v", size, got)
		}
		c.Abort()
		_, _ = c.Write([]byte("more"))
	}

	counted := &counting{Resolver: z}
	keys := key.NewKeys(ctx, counted, key.Limits{})
	defer keys.Close()
	var first, second *Check
	m := message.New(message.Limits{}, func(m *message.Message) { first, second = v.Attach(m, keys), v.Attach(m, keys) })
	fmt.Fprint(m, text)
	m.Close()
	if got := first.Finish(ctx); !reflect.DeepEqual(got, want) || !reflect.DeepEqual(second.Finish(ctx), want) {
		t.Errorf("attached: %+v", got)
	}
	if counted.n != 2 {
		t.Errorf("%d lookups", counted.n)
	}

	stalled := dnstest.MustParse("s0._domainkey.hop1.example STALL\ns1._domainkey.hop2.example STALL")
	c := (&Verifier{Resolver: stalled}).Begin(ctx)
	fmt.Fprint(c, text)
	c.Abort()
	if r := c.Finish(ctx); !reflect.DeepEqual(r, Result{}) {
		t.Errorf("aborted: %+v", r)
	}
	(&Verifier{Resolver: z}).Begin(ctx).Abort()
}

var blanks = regexp.MustCompile(`\r\n[ \t]+`)

// Relays fold anew: what is relaxed holds.
func TestRefolded(t *testing.T) {
	z, sealers := hops(2, false)
	text := forward(t, z, sealers, plain)
	header, body, _ := strings.Cut(text, "\r\n\r\n")
	if r := verify(t, z, blanks.ReplaceAllString(header, "\r\n   \t")+"\r\n\r\n"+body); r.Verdict != authres.Pass {
		t.Errorf("%+v", r)
	}
	if r := verify(t, z, strings.ToUpper(header[:8])+header[8:]+"\r\n\r\n"+body+"\r\n\r\n"); r.Verdict != authres.Pass {
		t.Errorf("%+v", r)
	}
}
