package arc

import (
	"context"
	"crypto/ed25519"
	"reflect"
	"strings"
	"testing"

	"github.com/postrider/postrider/auth/authres"
	"github.com/postrider/postrider/auth/internal/message"
	"github.com/postrider/postrider/mx/dns/dnstest"
)

// fixed is a key that is the same in every process, so that seeds verify.
func fixed() (*dnstest.Zone, *Sealer) {
	k := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	z := dnstest.MustParse(`s._domainkey.hop.example TXT "` + record(k) + `"`)
	return z, &Sealer{Domain: "hop.example", Selector: "s", Key: k}
}

// Whatever the message: pieces do not matter, nothing panics, a chain that
// passes or fails can be sealed and the sealed one has the verdict it must have.
func FuzzVerifier(f *testing.F) {
	z, s := fixed()
	v := &Verifier{Resolver: z}
	ctx := context.Background()
	text := plain
	for range 3 {
		f.Add(text, 5)
		chain, err := v.Verify(ctx, strings.NewReader(text))
		if err != nil {
			f.Fatal(err)
		}
		set, err := s.Seal(strings.NewReader(text), chain, authres.Field{AuthServID: "a"})
		if err != nil {
			f.Fatal(err)
		}
		text = string(set) + text
	}
	for _, bad := range []string{"", "\r\n", "ARC-Seal:\r\n", "ARC-Seal: i=1; cv=none\r\n", "ARC-Message-Signature: i=1; h=\r\n", "ARC-Authentication-Results: i=1; a; none\r\n\r\n"} {
		f.Add(bad+text, 50)
	}
	f.Fuzz(func(t *testing.T, text string, at int) {
		chain, err := v.Verify(ctx, strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		c := v.Begin(ctx)
		at = max(0, min(at, len(text)))
		_, _ = c.Write([]byte(text[:at]))
		_, _ = c.Write([]byte(text[at:]))
		if again := c.Finish(ctx); !reflect.DeepEqual(again, chain) {
			t.Fatalf("%+v in two pieces: %+v", chain, again)
		}
		if (chain.Verdict == authres.Pass) != (chain.Reason == "" && chain.Instances > 0) || chain.Verdict == authres.Pass && len(chain.Chain) != chain.Instances {
			t.Fatalf("%+v", chain)
		}
		set, err := s.Seal(strings.NewReader(text), chain, authres.Field{AuthServID: "a"})
		if err != nil || set == nil {
			return
		}
		sealed, err := v.Verify(ctx, strings.NewReader(string(set)+text))
		if err != nil {
			t.Fatal(err)
		}
		want := authres.Pass
		if chain.status() == authres.Fail {
			want = authres.Fail
		}
		if sealed.Verdict != want || sealed.Instances != chain.Instances+1 {
			t.Fatalf("%+v\nsealed: %+v\n%q", chain, sealed, string(set)+text)
		}
	})
}

func FuzzSignature(f *testing.F) {
	for _, value := range []string{
		"i=1; a=rsa-sha256; b=YQ==; bh=YQ==; d=a.example; h=from:to; s=s; t=1; c=relaxed/simple; l=4; x=5; q=dns/txt",
		"i=50; a=ed25519-sha256; b=YQ; cv=none; d=bücher.example; s=s", "", ";", "i", "b=;b=", "i=1;", "h=:::arc-seal", "c=/",
	} {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		field := message.NewField([]byte("ARC-Seal:" + value + "\r\n"))
		for _, k := range []kind{ofMessage, ofChain} {
			var s signature
			if fault := s.parse(field, 0, k); fault != "" {
				continue
			}
			if s.instance < 1 || s.instance > MaxSets || s.Domain == "" || s.Selector == "" || len(s.data) == 0 || s.algorithm.Name == "" {
				t.Fatalf("%q: %+v", value, s)
			}
			if v := field.Value(); s.start < 2 || s.end < s.start || s.end > len(v) || v[s.start-1] != '=' {
				t.Fatalf("%q: b= from %d to %d", value, s.start, s.end)
			}
			if (k == ofMessage) != (s.status == "") || (k == ofMessage) != (len(s.bodyHash) > 0) {
				t.Fatalf("%q: %+v", value, s)
			}
		}
	})
}

// BenchmarkVerify tells the cost of chains, and of the worst that we know: as
// many sets as may be, on the largest header.
func BenchmarkVerify(b *testing.B) {
	z, s := fixed()
	v := &Verifier{Resolver: z}
	ctx := context.Background()
	for _, bb := range []struct {
		name string
		text string
		sets int
	}{
		{"1 set of 1 KB", plain + strings.Repeat("0123456789\r\n", 80), 1},
		{"3 sets of 10 KB", plain + strings.Repeat("0123456789\r\n", 800), 3},
		{"50 sets of 1 KB", plain + strings.Repeat("0123456789\r\n", 80), 50},
		{"50 sets of a large header", strings.Repeat("Subject: "+strings.Repeat("a b ", 160)+"\r\n", 800) + plain, 50},
	} {
		text := bb.text
		s := *s
		if len(text) > 100<<10 {
			s.Fields = strings.Split(strings.Repeat("subject:", 800)+"from", ":")
		}
		for range bb.sets {
			chain, err := v.Verify(ctx, strings.NewReader(text))
			if err != nil {
				b.Fatal(err)
			}
			set, err := s.Seal(strings.NewReader(text), chain, authres.Field{AuthServID: "a"})
			if err != nil || set == nil {
				b.Fatal(err, chain.Reason)
			}
			text = string(set) + text
		}
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(text)))
			for range b.N {
				c := v.Begin(ctx)
				_, _ = c.Write([]byte(text))
				if r := c.Finish(ctx); r.Verdict != authres.Pass {
					b.Fatal(r.Reason)
				}
			}
		})
	}
}
