package dkim_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/auth/authres"
	"github.com/postrider/postrider/auth/dkim"
	"github.com/postrider/postrider/internal/costtest"
	"github.com/postrider/postrider/mx/dns"
	"github.com/postrider/postrider/mx/dns/dnstest"
)

// junk returns a signature that only its key or its hash can refute.
func junk(domain, selector, body string) string {
	return craftField("", "DKIM-Signature: "+strings.NewReplacer("example.org", domain, "june", selector, "BH", bodyHash(body), "SIG", "AAAA").Replace(craftTags)) + "\r\n"
}

func bodyHash(body string) string {
	sum := sha256.Sum256([]byte(craftBody("relaxed", body)))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// However many signatures a message has, eight are evaluated and as many keys
// looked up, and the author's is among them wherever it stands.
func TestJunkSignatures(t *testing.T) {
	signed := craft(craftTags, craftHeader, craftedBody)
	for _, n := range []int{7, 8, 63, 64, 100, 900} {
		var header strings.Builder
		for i := range n {
			header.WriteString(junk(fmt.Sprintf("d%d.example", i), "june", craftedBody))
		}
		zone := craftZone()
		got := verify(t, &dkim.Verifier{Resolver: zone}, header.String()+signed)
		passed, evaluated := 0, 0
		for _, r := range got {
			if r.Verdict == authres.Pass {
				passed++
			}
			if r.Verdict != authres.Neutral {
				evaluated++
			}
		}
		if passed != 1 || got[len(got)-1].Verdict != authres.Pass || evaluated != 8 || len(got) != min(n+1, 64) {
			t.Errorf("%d: %d passed, %d evaluated of %d", n, passed, evaluated, len(got))
		}
		if asked := len(zone.Queries()); asked > 8 {
			t.Errorf("%d: %d queries", n, asked)
		}
	}
}

// Those that are closest to the author come first.
func TestClosestFirst(t *testing.T) {
	header := "From: alice@mail.example.org\r\n"
	domains := []string{"a.example", "b.example.org", "example.org", "x.mail.example.org", "other.org", "mail.example.org"}
	for n, want := range []string{
		1: "mail.example.org", 2: "example.org mail.example.org", 3: "example.org x.mail.example.org mail.example.org",
		4: "b.example.org example.org x.mail.example.org mail.example.org", 6: strings.Join(domains, " "),
	} {
		if want == "" {
			continue
		}
		m := ""
		for _, d := range domains {
			m += junk(d, "june", "")
		}
		var evaluated []string
		for _, r := range verify(t, &dkim.Verifier{Resolver: craftZone(), MaxSignatures: n}, m+header+"\r\n") {
			if r.Verdict != authres.Neutral {
				evaluated = append(evaluated, r.Domain)
			}
		}
		if got := strings.Join(evaluated, " "); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

func TestNoSignatureIsEvaluated(t *testing.T) {
	zone := craftZone()
	got := verdicts(verify(t, &dkim.Verifier{Resolver: zone, MaxSignatures: -1}, craft(craftTags, craftHeader, craftedBody)))
	if got != "example.org/june:neutral;" || len(zone.Queries()) > 0 {
		t.Errorf("%s after %v", got, zone.Queries())
	}
}

// Beyond 64 signatures, names are compared in the form in which they come: with
// A-labels or U-labels, the author's is among those that are parsed.
func TestClosestInUnicode(t *testing.T) {
	junk := strings.Repeat(junk("d.example", "june", craftedBody), 64)
	for _, d := range []string{"xn--bcher-kva.example", "b\u00fccher.example", "B\u00dcCHER.example"} {
		for _, from := range []string{"xn--bcher-kva.example", "b\u00fccher.example"} {
			signed := craft(with("", "d=example.org", "d="+d), "From: a@"+from+"\r\n", craftedBody)
			got := verify(t, &dkim.Verifier{Resolver: craftZone()}, junk+signed)
			if last := got[len(got)-1]; len(got) != 64 || last.Verdict != authres.Pass || last.Domain != "xn--bcher-kva.example" {
				t.Errorf("%s, From %s: %+v of %d", d, from, last, len(got))
			}
		}
	}
}

// Making A-labels costs the square of a label's length: it is not done for what
// cannot be a label, and not for hundreds of signatures.
func TestNamesAreCheap(t *testing.T) {
	for _, n := range []int{58, 330} {
		var header strings.Builder
		for i := range rune(900) {
			label := make([]rune, n)
			for j := range label {
				label[j] = 0x4e00 + (i+rune(j)*61)%20000
			}
			fmt.Fprintf(&header, "DKIM-Signature: v=1; d=%s; s=a\r\n", strings.Repeat(string(label)+".", 990/(3*n))+"example")
		}
		costtest.AtMost(t, 300, fmt.Sprint("names of ", n), func() {
			verify(t, &dkim.Verifier{Resolver: craftZone()}, header.String()+"From: a@example.org\r\n\r\n")
		})
	}
}

func TestLookupsAreLimited(t *testing.T) {
	m := ""
	for i := range 6 {
		m += junk("example.org", fmt.Sprintf("s%d", i/2), "")
	}
	zone := craftZone()
	got := verdicts(verify(t, &dkim.Verifier{Resolver: zone, MaxLookups: 2}, m+"From: a@example.org\r\n\r\n"))
	want := strings.Repeat("example.org/s0:permerror;", 2) + strings.Repeat("example.org/s1:permerror;", 2) + strings.Repeat("example.org/s2:neutral;", 2)
	if got != want || len(zone.Queries()) != 2 {
		t.Errorf("%s after %v, want %s", got, zone.Queries(), want)
	}
}

// Lookups begin with the end of the header, together, and the time they may
// take begins then.
func TestLookupsBeginWithTheHeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		zone := dnstest.MustParse("a._domainkey.example.org STALL\nb._domainkey.example.org STALL")
		v := &dkim.Verifier{Resolver: zone}
		c := v.Begin(t.Context())
		io.WriteString(c, junk("example.org", "a", "")+junk("example.org", "b", "")+"From: a@example.org\r\n\r\n")
		synctest.Wait()
		if n := len(zone.Queries()); n != 2 {
			t.Errorf("%d queries at the end of the header, want 2", n)
		}
		time.Sleep(15 * time.Second)
		start := time.Now()
		got := c.Finish(t.Context())
		if waited := time.Since(start); waited != 5*time.Second {
			t.Errorf("waited %s, want 5s", waited)
		}
		if want := "example.org/a:temperror;example.org/b:temperror;"; verdicts(got) != want {
			t.Errorf("%s, want %s", verdicts(got), want)
		}
	})
}

// The same when the first octets of the body come with the header: then with
// what comes next.
func TestLookupsBeginWithTheBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		zone := dnstest.MustParse("a._domainkey.example.org STALL")
		c := (&dkim.Verifier{Resolver: zone}).Begin(t.Context())
		io.WriteString(c, junk("example.org", "a", "")+"From: a@example.org\r\n\r\nbody")
		io.WriteString(c, "body")
		synctest.Wait()
		if n := len(zone.Queries()); n != 1 {
			t.Errorf("%d queries, want 1", n)
		}
		c.Abort()
	})
}

// No goroutine outlives an aborted message, or one whose context ends.
func TestAbort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // fails if a goroutine stays
		running := &counted{Resolver: dnstest.MustParse("a._domainkey.example.org STALL\nb._domainkey.example.org STALL")}
		v := &dkim.Verifier{Resolver: running}
		header := junk("example.org", "a", "") + junk("example.org", "b", "") + "From: a@example.org\r\n\r\n"
		c := v.Begin(t.Context())
		io.WriteString(c, header)
		synctest.Wait()
		if n := running.Load(); n != 2 {
			t.Errorf("%d lookups under way, want 2", n)
		}
		c.Abort()
		if n := running.Load(); n != 0 {
			t.Errorf("%d lookups outlive the message", n)
		}
		for _, end := range []func(own, finish context.CancelFunc){
			func(own, _ context.CancelFunc) { own() }, func(_, finish context.CancelFunc) { finish() },
		} {
			ctx, cancel := context.WithCancel(t.Context())
			wait, cancelWait := context.WithCancel(t.Context())
			c := v.Begin(ctx)
			io.WriteString(c, header)
			end(cancel, cancelWait)
			start := time.Now()
			if got, want := verdicts(c.Finish(wait)), "example.org/a:temperror;example.org/b:temperror;"; got != want || time.Since(start) > 0 {
				t.Errorf("%s after %s", got, time.Since(start))
			}
			cancel()
			cancelWait()
		}
	})
}

// A counted resolver knows how many lookups are under way.
type counted struct {
	dns.Resolver
	atomic.Int32
}

func (c *counted) Resolve(ctx context.Context, name string, t dns.Type) (dns.Answer, error) {
	c.Add(1)
	defer c.Add(-1)
	return c.Resolver.Resolve(ctx, name, t)
}

// hostile are messages that are made to cost. Each is about 1 MB of header or
// 16 MB of body.
func hostile() map[string]string {
	fold := strings.Repeat("\r\n ", 1<<20/3)
	header := func(tags, fields string) string {
		return "DKIM-Signature: " + strings.Replace(tags, "BH", bodyHash(""), 1) + "\r\nFrom: a@example.org\r\n" + fields + "\r\n"
	}
	short := fold[:(1<<20-2000)/3*3]
	many := strings.Repeat("x: y\r\n", 990)
	eight := ""
	for i := range 8 {
		eight += "DKIM-Signature: " + strings.NewReplacer("BH", bodyHash(""), "SIG", "AAAA").Replace(with(fmt.Sprint("; n=", i), "h=from", "h=from:big")) + "\r\n"
	}
	return map[string]string{
		"folded signed field":     header(with("", "h=from", "h=big:from", "SIG", "AAAA"), "Big: "+short+"x\r\n"),
		"folded From":             header(with("", "SIG", "AAAA"), "From: "+short+"x\r\n"),
		"folded signature":        header(with("; z="+short+"x", "SIG", "AAAA"), ""),
		"folded b=":               header(with("", "SIG", short+"AAAA"), ""),
		"folded h=":               header(with("", "h=from", "h="+short+"from", "SIG", "AAAA"), ""),
		"tags":                    header(with(strings.Repeat(";a=", 1<<18), "SIG", "AAAA"), ""),
		"names":                   header(with("", "h=from", "h=from"+strings.Repeat(":x", 1<<18)+strings.Repeat(":xy", 1<<17), "SIG", "AAAA"), many),
		"From of names":           "From: " + strings.Repeat("a@example.org,", 1<<16) + "\r\n" + header(with("", "SIG", "AAAA"), ""),
		"signatures of one field": eight + "From: a@example.org\r\nBig: " + short + "x\r\n\r\n",
		"empty lines, simple":     header(with("", "c=relaxed/relaxed", "c=simple/simple", "SIG", "AAAA"), "") + strings.Repeat("\r\n", 8<<20),
		"empty lines, relaxed":    header(with("", "SIG", "AAAA"), "") + strings.Repeat("\r\n", 8<<20),
		"empty lines, then one":   header(with("", "c=relaxed/relaxed", "c=simple/simple", "SIG", "AAAA"), "") + strings.Repeat("\r\n", 8<<20) + "x",
		"blank lines, relaxed":    header(with("", "SIG", "AAAA"), "") + strings.Repeat(" \t\r\n", 4<<20),
		"spaces, relaxed":         header(with("", "SIG", "AAAA"), "") + strings.Repeat(" ", 16<<20),
		"spaces and x, relaxed":   header(with("", "SIG", "AAAA"), "") + strings.Repeat("x  ", 5<<20),
		"tabs and x, relaxed":     header(with("", "SIG", "AAAA"), "") + strings.Repeat("x\t", 8<<20),
		"lines and x, relaxed":    header(with("", "SIG", "AAAA"), "") + strings.Repeat("x \r\n\r\n\t", 2<<20),
		"CR, relaxed":             header(with("", "SIG", "AAAA"), "") + strings.Repeat("\r", 16<<20),
	}
}

// What is made to cost does not: the bound is ten times what it costs or more, and
// far below what any square gives.
func TestHostileMessages(t *testing.T) {
	for name, text := range hostile() {
		v := &dkim.Verifier{Resolver: craftZone()}
		costtest.AtMost(t, 2000, name, func() {
			c := v.Begin(t.Context())
			for rest := text; len(rest) > 0; {
				n := min(len(rest), 32<<10)
				io.WriteString(c, rest[:n])
				rest = rest[n:]
			}
			if got := c.Finish(t.Context()); got[0].Verdict == authres.Pass {
				t.Errorf("%s: %+v", name, got[0])
			}
		})
	}
}

func BenchmarkHostile(b *testing.B) {
	for name, text := range hostile() {
		b.Run(strings.ReplaceAll(name, " ", "-"), func(b *testing.B) {
			v := &dkim.Verifier{Resolver: craftZone()}
			p := []byte(text)
			for b.Loop() {
				c := v.Begin(b.Context())
				for rest := p; len(rest) > 0; {
					n := min(len(rest), 32<<10)
					c.Write(rest[:n])
					rest = rest[n:]
				}
				c.Finish(b.Context())
			}
		})
	}
}

// Memory does not grow with the body, and barely with what it holds.
func TestMemory(t *testing.T) {
	v := &dkim.Verifier{Resolver: craftZone()}
	signed := []byte(craft(craftTags, craftHeader, ""))
	chunk := bytes.Repeat([]byte("a line of text,  with \t blanks \r\n\r\n"), 1000)
	run := func() {
		c := v.Begin(t.Context())
		c.Write(signed)
		for range 1000 { // 35 MB
			c.Write(chunk)
		}
		c.Finish(t.Context())
	}
	run() // fills the pools
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	run()
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 64<<10 {
		t.Errorf("%d octets", used)
	}
}

// A message costs few allocations (the issue allows 60), and a second
// signature of the same kind no hash of the body.
func TestAllocations(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a key of 2,048 bits")
	}
	m := newBenchMessage(t, text70, 10<<10, 1)
	v := m.verifier()
	if n := testing.AllocsPerRun(50, func() { m.ours(t, v) }); n > 60 {
		t.Errorf("%v allocations", n)
	}
}
