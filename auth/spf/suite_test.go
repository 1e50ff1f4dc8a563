package spf_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/postrider/postrider/auth/spf"
	"github.com/postrider/postrider/internal/yamltest"
	"github.com/postrider/postrider/mx/dns/dnstest"
	"github.com/postrider/postrider/smtp"
)

// Where the suite allows several results, we give the one that it prefers.
const (
	suiteCases        = 203
	suiteExplanations = 14 // beside those that ask for none
)

func TestSuite(t *testing.T) {
	cases, explanations := 0, 0
	for _, doc := range yamltest.Suite(t, "spf/rfc7208-tests.yml") {
		zone := suiteZone(t, doc.Get("zonedata"))
		tests := doc.Get("tests")
		for i, name := range tests.Keys {
			test := tests.Items[i]
			cases++
			if explanation := test.Str("explanation"); explanation != "" && explanation != "DEFAULT" {
				explanations++
			}
			t.Run(name, func(t *testing.T) { suiteCase(t, zone, test) })
		}
	}
	if cases != suiteCases || explanations != suiteExplanations {
		t.Errorf("%d cases with %d explanations, want %d with %d", cases, explanations, suiteCases, suiteExplanations)
	}
}

func suiteCase(t *testing.T, zone string, test *yamltest.Node) {
	resolver, err := dnstest.Parse(zone)
	if err != nil {
		t.Fatal(err)
	}
	v := &spf.Verifier{Resolver: resolver, Explain: true, Hostname: "receiver.example"}
	result := v.Verify(t.Context(), spf.Request{
		IP:    netip.MustParseAddr(test.Str("host")),
		Hello: test.Str("helo"),
		From:  reversePath(test.Str("mailfrom")),
	})
	want := test.Get("result").Strings()
	if string(result.Verdict) != want[0] { // the first is the preferred one
		t.Errorf("%s, want %s: %+v\nqueries: %v", result.Verdict, want, result, resolver.Queries())
	}
	if want := test.Str("explanation"); want == "DEFAULT" && result.Explanation != "" ||
		want != "" && want != "DEFAULT" && result.Explanation != want {
		t.Errorf("explanation %q, want %q", result.Explanation, want)
	}
}

// reversePath takes the suite's addresses as they are: many are not valid.
func reversePath(s string) smtp.ReversePath {
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		return smtp.ReversePath{}
	}
	return smtp.ReversePath{Mailbox: smtp.Mailbox{Local: s[:at], Domain: s[at+1:]}}
}

// suiteZone writes the suite's zone data as a zone's text.
func suiteZone(t *testing.T, data *yamltest.Node) string {
	t.Helper()
	var zone strings.Builder
	add := func(format string, args ...any) { fmt.Fprintf(&zone, format+"\n", args...) }
	types := []string{"A", "AAAA", "MX", "PTR", "TXT", "CNAME"}
	for i, name := range data.Keys {
		quoted := dnstest.Quote(name)
		entries := data.Items[i].Items
		has := func(typ string) bool {
			return slices.ContainsFunc(entries, func(n *yamltest.Node) bool { return n.Get(typ) != nil })
		}
		for _, entry := range entries {
			if entry.Kind == yamltest.Scalar {
				if entry.Text != "TIMEOUT" {
					t.Fatalf("line %d: %s", entry.Line, entry.Text)
				}
				for _, typ := range types {
					if typ == "TXT" && entryText(entries, "TXT") == "NONE" || !has(typ) && !(typ == "TXT" && has("SPF")) {
						add("%s %s TIMEOUT", quoted, typ)
					}
				}
				continue
			}
			typ, value := entry.Keys[0], entry.Items[0]
			switch text := strings.Join(value.Strings(), ""); {
			case typ == "TXT" && text == "NONE", typ == "SPF" && has("TXT"):
			case text == "TIMEOUT":
				add("%s %s TIMEOUT", quoted, typ)
			case typ == "TXT" || typ == "SPF":
				add("%s TXT %s", quoted, dnstest.Quote(text))
			case typ == "MX":
				add("%s MX %s %s", quoted, value.Items[0].Text, dnstest.Quote(value.Items[1].Text))
			default:
				add("%s %s %s", quoted, typ, text)
			}
		}
	}
	return zone.String()
}

func entryText(entries []*yamltest.Node, typ string) string {
	for _, entry := range entries {
		if v := entry.Get(typ); v != nil {
			return v.Text
		}
	}
	return ""
}
