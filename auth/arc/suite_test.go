package arc

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

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

func TestSigningSuite(t *testing.T) {
	eachCase(t, "arc/arc-draft-sign-tests.yml", 17, 17, func(t *testing.T, doc, test *yamltest.Node, zone *dnstest.Zone) {
		block, _ := pem.Decode([]byte(doc.Str("privatekey")))
		if block == nil {
			t.Fatal("no key")
		}
		private, err := x509.ParsePKCS1PrivateKey(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		now, err := strconv.ParseInt(test.Str("t"), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		text := crlf(test.Str("message"))
		chain, err := (&Verifier{Resolver: zone}).Verify(context.Background(), strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		s := &Sealer{
			Domain: doc.Str("domain"), Selector: doc.Str("sel"), Key: private, MinRSABits: 1024,
			Fields: strings.Split(test.Str("sig-headers"), ":"), Now: func() time.Time { return time.Unix(now, 0) },
		}
		found := collect(t, text, test.Str("srv-id"))
		for _, r := range found.Results {
			if r.Method == "arc" && r.Verdict != chain.status() {
				t.Errorf("chain is %s (%s), the case says %s", chain.status(), chain.Reason, r.Verdict)
			}
		}
		set, err := s.Seal(strings.NewReader(text), chain, found)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, f := range fields(string(set)) {
			name, value, _ := strings.Cut(f, ":")
			got[name] = value
		}
		for name, key := range map[string]string{resultsName: "AAR", signatureName: "AMS", sealName: "AS"} {
			// White space is compared too, but for that in b=, of which the suite's
			// README says nothing.
			want := strings.Join(strings.Fields(inB.ReplaceAllStringFunc(test.Str(key), compact)), " ")
			if got := strings.Join(strings.Fields(got[name]), " "); got != want {
				t.Errorf("%s:\n got %s\nwant %s", name, got, want)
			}
		}
	})
}

var inB = regexp.MustCompile(`(?s)\bb=[^;]*`)

func compact(s string) string { return strings.Join(strings.Fields(s), "") }

// collect gathers what a message's Authentication-Results of one server say.
func collect(t *testing.T, text, id string) authres.Field {
	t.Helper()
	all := authres.Field{AuthServID: id}
	header, _, _ := strings.Cut(text, "\r\n\r\n")
	for _, f := range fields(header) {
		name, value, _ := strings.Cut(f, ":")
		if !strings.EqualFold(name, authres.FieldName) {
			continue
		}
		one, err := authres.Parse(value)
		if err != nil {
			t.Fatal(err)
		}
		if one.AuthServID == id {
			all.Results = append(all.Results, one.Results...)
		}
	}
	return all
}

// fields splits a header, up to the empty line if there is one.
func fields(header string) (all []string) {
	for line := range strings.SplitSeq(strings.TrimSuffix(header, "\r\n"), "\r\n") {
		if line == "" {
			break
		}
		if n := len(all); n > 0 && (line[0] == ' ' || line[0] == '\t') {
			all[n-1] += "\r\n" + line
		} else {
			all = append(all, line)
		}
	}
	return all
}
