package dkim_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/iotest"
	"time"

	"github.com/postrider/postrider/auth/authres"
	"github.com/postrider/postrider/auth/dkim"
	"github.com/postrider/postrider/mx/dns/dnstest"
)

// corpus is where the signed messages are that several projects share.
const corpus = "../../../shared/testdata/dkim"

// A listed message has these verdicts.
type listed struct {
	File       string
	Now        time.Time
	Signatures []struct {
		D, S    string
		Accept  []authres.Verdict
		Lenient authres.Verdict
	}
	Lenient authres.Verdict
}

func readJSON(t *testing.T, name string, into any) {
	t.Helper()
	text, err := os.ReadFile(name)
	if os.IsNotExist(err) {
		t.Skip("the shared test data is not here")
	}
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func readZone(t *testing.T, name string) *dnstest.Zone {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	zone, err := dnstest.ReadJSON(f)
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

// Every message of the corpus, and the examples of the RFCs, have the verdicts
// that are listed, however they arrive.
func TestCorpus(t *testing.T) {
	for _, tt := range []struct {
		dir, messages string
		count         int
	}{{corpus, "messages", 20}, {filepath.Join(corpus, "rfc"), "", 2}} {
		var messages []listed
		readJSON(t, filepath.Join(tt.dir, "expected.json"), &messages)
		zone := readZone(t, filepath.Join(tt.dir, "zone.json"))
		if len(messages) != tt.count {
			t.Errorf("%s: %d messages, want %d", tt.dir, len(messages), tt.count)
		}
		for _, m := range messages {
			t.Run(m.File, func(t *testing.T) {
				text, err := os.ReadFile(filepath.Join(tt.dir, tt.messages, m.File))
				if err != nil {
					t.Fatal(err)
				}
				v := &dkim.Verifier{Resolver: zone, Now: func() time.Time { return m.Now }}
				checkListed(t, v, m, text, false)
				v.AllowLength, v.AllowSHA1 = true, true
				checkListed(t, v, m, text, true)
			})
		}
	}
}

func checkListed(t *testing.T, v *dkim.Verifier, m listed, text []byte, lenient bool) {
	t.Helper()
	got, err := v.Verify(t.Context(), bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	slow, err := v.Verify(t.Context(), iotest.OneByteReader(bytes.NewReader(text)))
	if err != nil || !slices.Equal(got, slow) {
		t.Errorf("octet by octet: %v %v, want %v", slow, err, got)
	}
	if len(got) != len(m.Signatures) {
		t.Fatalf("%d results, want %d", len(got), len(m.Signatures))
	}
	for i, want := range m.Signatures {
		accept := want.Accept
		if lenient && m.Lenient != "" {
			accept = []authres.Verdict{m.Lenient}
		}
		r := got[i]
		if r.Domain != want.D || r.Selector != want.S || !slices.Contains(accept, r.Verdict) {
			t.Errorf("%+v, want d=%s s=%s and one of %v", r, want.D, want.S, accept)
		}
		if (r.Verdict == authres.Pass) != (r.Reason == "") {
			t.Errorf("%s: reason %q", r.Verdict, r.Reason)
		}
		t.Log(r.Verdict, r.Reason, r.Domain, r.Selector, r.Algorithm, r.KeyBits, r.Signature)
	}
}
