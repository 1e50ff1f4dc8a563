package dkim_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/auth/authres"
	"github.com/postrider/postrider/auth/dkim"
	"github.com/postrider/postrider/mx/dns"
)

// Whatever the message is and however it comes, there is a verdict for each
// signature that says why, in a text that is fit for a header, and only names
// that are names are looked up.
func FuzzVerify(f *testing.F) {
	files, _ := filepath.Glob(filepath.Join(corpus, "*", "*.eml")) // none if the folder is absent
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, uint16(len(text)/2))
	}
	for i, change := range [][]string{{"SIG", "\r\n SIG"}, {"a=ed25519-sha256", "a=rsa-sha1", "s=june", "s=rsa"}, {"d=example.org", "d=b\xc3\xbccher.example"}} {
		f.Add([]byte(craft(with("; l=5; i=@example.org; t=1; x=2; q=dns/txt", change...), craftHeader, craftedBody)), uint16(i))
	}
	zone := craftZone()
	f.Fuzz(func(t *testing.T, text []byte, at uint16) {
		v := &dkim.Verifier{Resolver: zone, AllowLength: true, AllowSHA1: true, Now: func() time.Time { return time.Unix(1, 0) }}
		asked := len(zone.Queries())
		whole, err := v.Verify(t.Context(), bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		c := v.Begin(t.Context())
		cut := min(int(at), len(text))
		c.Write(text[:cut])
		c.Write(text[cut:])
		pieces := c.Finish(t.Context())
		if len(pieces) != len(whole) {
			t.Fatalf("%d results in pieces, %d at once", len(pieces), len(whole))
		}
		for i, r := range whole {
			if r != pieces[i] {
				t.Errorf("cut at %d: %+v, at once: %+v", cut, pieces[i], r)
			}
			if r.Verdict == "" || (r.Verdict == authres.Pass) != (r.Reason == "") {
				t.Errorf("%+v", r)
			}
			field := authres.Field{AuthServID: "x.example", Results: []authres.Result{r.AuthRes()}}.String()
			if strings.ContainsAny(strings.ReplaceAll(field, "\r\n", ""), "\x00\r\n") {
				t.Errorf("%q", field)
			}
		}
		for _, q := range zone.Queries()[asked:] {
			if !dns.ValidName(q.Name) || !strings.Contains(q.Name, "._domainkey.") {
				t.Errorf("asked for %q", q.Name)
			}
		}
	})
}
