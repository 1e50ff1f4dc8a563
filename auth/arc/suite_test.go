package arc

import (
	"context"
	"strings"
	"testing"

	"github.com/postrider/postrider/auth/authres"
	"github.com/postrider/postrider/internal/yamltest"
	"github.com/postrider/postrider/mx/dns/dnstest"
)

// eachCase runs every case of a suite in a zone of its own document. Some names
// of cases occur twice, so that most readers of YAML see want cases out of all.
func eachCase(t *testing.T, name string, want, all int, run func(t *testing.T, doc, test *yamltest.Node, zone *dnstest.Zone)) {
	n, names := 0, map[string]bool{}
	for _, doc := range yamltest.Suite(t, name) {
		tests := doc.Get("tests")
		for i, key := range tests.Keys {
			n++
			names[key] = true
			t.Run(key, func(t *testing.T) { run(t, doc, tests.Items[i], zone(t, doc)) })
		}
	}
	if n != all || len(names) != want {
		t.Errorf("%s has %d cases, %d names; want %d, %d", name, n, len(names), all, want)
	}
}

// zone makes a zone of a document's keys.
func zone(t *testing.T, doc *yamltest.Node) *dnstest.Zone {
	t.Helper()
	z := &dnstest.Zone{}
	records := doc.Get("txt-records")
	if records == nil {
		records = doc.Get("txt_records")
	}
	if records == nil {
		return z
	}
	for i, name := range records.Keys {
		text := strings.ReplaceAll(records.Items[i].Text, "\n", "")
		if err := z.Add(name + " TXT \"" + text + "\""); err != nil {
			t.Fatal(err)
		}
	}
	return z
}

// crlf gives a message of a suite its line ends.
func crlf(text string) string { return strings.ReplaceAll(text, "\n", "\r\n") }

func TestValidationSuite(t *testing.T) {
	eachCase(t, "arc/arc-draft-validation-tests.yml", 171, 175, func(t *testing.T, _, test *yamltest.Node, zone *dnstest.Zone) {
		v := &Verifier{Resolver: zone}
		r, err := v.Verify(context.Background(), strings.NewReader(crlf(test.Str("message"))))
		if err != nil {
			t.Fatal(err)
		}
		want := authres.Verdict(strings.ToLower(strings.TrimSpace(test.Str("cv"))))
		if want == "" {
			if r.Verdict == authres.Pass {
				t.Errorf("passes")
			}
		} else if r.Verdict != want {
			t.Errorf("%s (%s), want %s", r.Verdict, r.Reason, want)
		}
	})
}
