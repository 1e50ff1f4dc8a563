package auth_test

import (
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"runtime"
	"strings"
	"testing"

	"github.com/postrider/postrider/auth"
	"github.com/postrider/postrider/auth/authres"
	"github.com/postrider/postrider/mx/dns"
	"github.com/postrider/postrider/mx/dns/dnstest"
	"github.com/postrider/postrider/smtp"
)

// Memory beside the header section does not depend on the size of the message.
func TestMemory(t *testing.T) {
	v := &auth.Verifier{Resolver: zone(t, "")}
	both := signed(t, signed(t, plain, "example.org"), "example.net")
	both = strings.Replace(both, "c=relaxed/relaxed", "c=simple/simple", 1)
	for name, line := range map[string]string{"text": strings.Repeat("some words ", 6) + "\r\n", "empty lines": "\r\n", "one line": "x", "blanks": " ", "CR": "\r"} {
		block := bytes.Repeat([]byte(line), 32<<10/len(line))
		verify := func(size int) uint64 {
			c := v.Begin(t.Context(), peer)
			defer c.Close()
			k := c.Message(t.Context(), smtp.ReversePath{})
			io.WriteString(k, both)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for range size / len(block) {
				k.Write(block)
			}
			runtime.ReadMemStats(&after)
			if _, err := k.Finish(t.Context()); err != nil {
				t.Error(err)
			}
			return after.TotalAlloc - before.TotalAlloc
		}
		verify(1 << 20)
		if n := verify(16 << 20); n > 64<<10 {
			t.Errorf("%s: %d octets were allocated while 16 MB came", name, n)
		}
	}
}

// However many signatures there are, of the DNS few questions are asked, and
// the author's signature is among those that are evaluated.
func TestJunkSignatures(t *testing.T) {
	message := signed(t, plain, "example.org")
	var junk strings.Builder
	for i := range 60 {
		fmt.Fprintf(&junk, "DKIM-Signature: v=1; a=rsa-sha256; d=junk%d.example; s=s; h=from; bh=AAAA; b=AAAA\r\n", i)
	}
	z := zone(t, "")
	v := &auth.Verifier{Resolver: z}
	r, err := v.Verify(t.Context(), auth.Peer{}, smtp.ReversePath{}, strings.NewReader(junk.String()+message))
	if err != nil {
		t.Fatal(err)
	}
	if r.DMARC.Verdict != authres.Pass || !r.DMARC.AlignedDKIM {
		t.Error(verdicts(r))
	}
	keys := 0
	for _, q := range z.Queries() {
		if strings.Contains(q.Name, "_domainkey") {
			keys++
		}
	}
	if keys > 10 {
		t.Errorf("%d keys were looked up", keys)
	}
	if h := r.Header(); len(h) > 20000 {
		t.Errorf("the field has %d octets", len(h))
	}
}

// Nothing that a client or the DNS says breaks out of the field.
func TestHeaderCannotBeBrokenOutOf(t *testing.T) {
	const evil = "x;\r\nFrom: eve@example.net\r\n\r\n\"dkim=pass (\\"
	v := &auth.Verifier{Resolver: zone(t, `evil.example TXT "v=spf1 exp=e.evil.example -all"
		e.evil.example TXT "x;\013\010dmarc=pass"`), AuthServID: "mx.example.net"}
	for _, from := range []smtp.ReversePath{{}, {Mailbox: smtp.Mailbox{Local: evil, Domain: "evil.example"}}, {Mailbox: smtp.Mailbox{Local: "a", Domain: evil}}, {Mailbox: smtp.Mailbox{Local: "ü", Domain: "ü.example"}}} {
		for _, field := range []string{"From: a@" + evil, "DKIM-Signature: v=1; a=rsa-sha256; d=" + evil + "; s=" + evil + "; h=from; bh=AAAA; b=" + evil, "From: \"" + evil + "\" <a@example.org>"} {
			r, err := v.Verify(t.Context(), auth.Peer{IP: peer.IP, Hello: evil}, from, strings.NewReader(field+"\r\n"+plain))
			if err != nil {
				t.Fatal(err)
			}
			checkField(t, r)
		}
	}
}

// checkField checks that what is to be written is one field of ours that says
// what was found out and no more.
func checkField(t *testing.T, r *auth.Result) {
	t.Helper()
	h := r.Header()
	for i, line := range strings.SplitAfter(h, "\r\n") {
		if line == "" && i > 0 {
			break
		}
		if !strings.HasSuffix(line, "\r\n") || strings.ContainsAny(strings.TrimSuffix(line, "\r\n"), "\r\n\x00") || len(line) > 1000 ||
			i == 0 != strings.HasPrefix(line, "Authentication-Results: ") || i > 0 && line[0] != ' ' && line[0] != '\t' {
			t.Fatalf("line %d: %q of %q", i, line, h)
		}
	}
	f, err := authres.Parse(strings.TrimPrefix(h, "Authentication-Results:"))
	if err != nil || f.AuthServID != r.AuthServID {
		t.Fatalf("%v: %q", err, h)
	}
	said := map[string]int{}
	for _, found := range f.Results {
		said[found.Method+"="+string(found.Verdict)]++
	}
	known := map[string]int{}
	for _, found := range r.Field().Results {
		known[found.Method+"="+string(found.Verdict)]++
	}
	if fmt.Sprint(said) != fmt.Sprint(known) {
		t.Fatalf("said %v, known %v: %q", said, known, h)
	}
}

// FuzzVerifier gives the whole Verifier a message, an envelope and a DNS from
// strangers.
func FuzzVerifier(f *testing.F) {
	f.Add(signed(f, plain, "example.org"), "mail.example.org", "ann@example.org", "example.org TXT \"v=spf1 a -all\"")
	f.Add("DKIM-Signature: v=1; a=rsa-sha256; d=a.b.c.d.e.f.g.h.i.j.example; s=x; h=from:from; bh=; b=\r\nFrom: a@b.c.d.e.f.g.h.i.j.example, b@x\r\n\r\n", "[192.0.2.1]", "", "_dmarc.example TXT \"v=DMARC1;p=reject;psd=y\"")
	f.Add("ARC-Seal: i=1; cv=none; a=rsa-sha256; d=x.example; s=s; b=\r\nARC-Message-Signature: i=1\r\nARC-Authentication-Results: i=1; x\r\nFrom: x@y.example\r\n\r\n", "h", "x@y.example", "s._domainkey.x.example TXT \"p=\"")
	f.Add("From: a\nb\r\n", "\r\n", "", "mail.example.org TXT \"v=spf1 include:%{l}.example.org exists:%{h} redirect=%{d}\"")
	f.Fuzz(func(t *testing.T, text, hello, from, records string) {
		if len(text) > 1<<16 || len(records) > 1<<12 {
			return
		}
		z := zone(t, "")
		for _, line := range strings.Split(records, "\n") {
			if !strings.Contains(line, "STALL") {
				_ = z.Add(line)
			}
		}
		reversePath, _ := smtp.ParseReversePath("<" + from + ">")
		v := &auth.Verifier{Resolver: z, AuthServID: "mx.example.net"}
		r, err := v.Verify(t.Context(), auth.Peer{IP: netip.MustParseAddr("192.0.2.1"), Hello: hello}, reversePath, strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		checkField(t, r)
		queries := z.Queries()
		if len(queries) > 1000 {
			t.Errorf("%d queries", len(queries))
		}
		for _, q := range queries {
			if q.Type != dns.A && q.Type != dns.AAAA && q.Type != dns.TXT && q.Type != dns.MX && q.Type != dns.PTR {
				t.Errorf("asked for %s", q.Type)
			}
			if !dns.ValidName(q.Name) && !strings.ContainsAny(q.Name, ":/% ") { // those a policy itself may name: see spf.Verifier
				t.Errorf("asked for %q", q.Name)
			}
		}
	})
}

var _ dns.Resolver = (*dnstest.Zone)(nil)
