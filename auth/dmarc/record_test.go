package dmarc_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/postrider/postrider/auth/dmarc"
)

var records = []struct {
	text string
	want string // as String has it, or nothing with ErrNotDMARC
	err  error
}{
	// RFC 9989 Appendix B.2
	{"v=DMARC1; p=none; rua=mailto:dmarc-feedback@example.com", "v=DMARC1; p=none; rua=mailto:dmarc-feedback@example.com", nil},
	{"v=DMARC1; p=none; rua=mailto:dmarc-feedback@example.com; ruf=mailto:auth-reports@example.com",
		"v=DMARC1; p=none; rua=mailto:dmarc-feedback@example.com; ruf=mailto:auth-reports@example.com", nil},
	{"v=DMARC1; p=none; rua=mailto:dmarc-feedback@example.com; ruf=mailto:auth-reports@thirdparty.example.net",
		"v=DMARC1; p=none; rua=mailto:dmarc-feedback@example.com; ruf=mailto:auth-reports@thirdparty.example.net", nil},
	{"v=DMARC1; p=quarantine; rua=mailto:dmarc-feedback@example.com,mailto:tld-test@thirdparty.example.net; t=y",
		"v=DMARC1; p=quarantine; t=y; rua=mailto:dmarc-feedback@example.com,mailto:tld-test@thirdparty.example.net", nil},
	// The version.
	{"v=DMARC1;p=reject", "v=DMARC1; p=reject", nil},
	{"v=DMARC1; p=reject;", "v=DMARC1; p=reject", nil},
	{"v=DMARC1; p=reject ; ", "v=DMARC1; p=reject", nil},
	{"v = DMARC1 ;\tp\t=\treject", "v=DMARC1; p=reject", nil},
	{"V=DMARC1; P=Reject", "v=DMARC1; p=reject", nil},
	{"v=dmarc1; p=reject", "", dmarc.ErrNotDMARC},
	{"v=DMARC2; p=reject", "", dmarc.ErrNotDMARC},
	{"v=DMARC11; p=reject", "", dmarc.ErrNotDMARC},
	{"v=DMARC; p=reject", "", dmarc.ErrNotDMARC},
	{"v=DMARC1 p=reject", "", dmarc.ErrNotDMARC},
	{" v=DMARC1; p=reject", "", dmarc.ErrNotDMARC},
	{"p=reject; v=DMARC1", "", dmarc.ErrNotDMARC},
	{";v=DMARC1; p=reject", "", dmarc.ErrNotDMARC},
	{"v=DMARC1\x00; p=reject", "", dmarc.ErrNotDMARC},
	{"v=spf1 -all", "", dmarc.ErrNotDMARC},
	{"v=DKIM1; p=abc", "", dmarc.ErrNotDMARC},
	{"v", "", dmarc.ErrNotDMARC},
	{"", "", dmarc.ErrNotDMARC},
	// Every tag.
	{"v=DMARC1; p=reject; sp=quarantine; np=none; adkim=s; aspf=s; psd=n; t=y; fo=1:d:s; rua=mailto:a@example.org; ruf=mailto:f@example.org",
		"v=DMARC1; p=reject; sp=quarantine; np=none; adkim=s; aspf=s; psd=n; t=y; fo=1:d:s; rua=mailto:a@example.org; ruf=mailto:f@example.org", nil},
	{"v=DMARC1; psd=y; fo=d; aspf=r; adkim=r; t=n; p=none", "v=DMARC1; p=none; psd=y; fo=d", nil},
	{"v=DMARC1; p=none; psd=u; fo=0", "v=DMARC1; p=none", nil},
	{"v=DMARC1; p=none; pct=50; rf=afrf; ri=86400; x=y; z", "v=DMARC1; p=none", nil},
	// Faults beside the policy are ignored (§4.8).
	{"v=DMARC1; p=reject; adkim=x; aspf=; psd=maybe; t=2; fo=x; rua=nothing; ruf=:", "v=DMARC1; p=reject", nil},
	{"v=DMARC1; p=reject; fo=0:1", "v=DMARC1; p=reject", nil},
	{"v=DMARC1; p=reject; fo=d:d", "v=DMARC1; p=reject", nil},
	{"v=DMARC1; p=reject; fo=1:D:s", "v=DMARC1; p=reject; fo=1:d:s", nil},
	{"v=DMARC1; p=reject; =; ;; = x; adkim", "v=DMARC1; p=reject", nil},
	{"v=DMARC1; p=reject; p=none; v=DMARC2; adkim=s; adkim=r", "v=DMARC1; p=reject; adkim=s", nil},
	{"v=DMARC1; p=reject; adkim=s=r", "v=DMARC1; p=reject", nil},
	{"v=DMARC1; p=reject; adkim=\x00s; t=y\r\n", "v=DMARC1; p=reject", nil},
	// Faults in the policy (§4.10.1).
	{"v=DMARC1; rua=mailto:a@example.org", "v=DMARC1; p=none; rua=mailto:a@example.org", nil},
	{"v=DMARC1; p=rejekt; rua=mailto:a@example.org", "v=DMARC1; p=none; rua=mailto:a@example.org", nil},
	{"v=DMARC1; p=reject; sp=x; rua=mailto:a@example.org; adkim=s", "v=DMARC1; p=none; adkim=s; rua=mailto:a@example.org", nil},
	{"v=DMARC1; p=reject; sp=reject; np=; rua=mailto:a@example.org", "v=DMARC1; p=none; rua=mailto:a@example.org", nil},
	{"v=DMARC1; p=\u212aeject; rua=mailto:a@example.org", "v=DMARC1; p=none; rua=mailto:a@example.org", nil},
	{"v=DMARC1", "v=DMARC1; p=none", dmarc.ErrNoPolicy},
	{"v=DMARC1;", "v=DMARC1; p=none", dmarc.ErrNoPolicy},
	{"v=DMARC1; p", "v=DMARC1; p=none", dmarc.ErrNoPolicy},
	{"v=DMARC1; psd=y", "v=DMARC1; p=none; psd=y", dmarc.ErrNoPolicy},
	{"v=DMARC1; p=rejekt", "v=DMARC1; p=none", dmarc.ErrNoPolicy},
	{"v=DMARC1; p=reject; sp=x", "v=DMARC1; p=none", dmarc.ErrNoPolicy},
	{"v=DMARC1; p=reject; sp=x; rua=mailto:nobody", "v=DMARC1; p=none", dmarc.ErrNoPolicy},
	// URIs.
	{"v=DMARC1; p=none; rua=mailto:a@example.org!10m", "v=DMARC1; p=none; rua=mailto:a@example.org", nil},
	{"v=DMARC1; p=none; rua=mailto:a@example.org!5 , MAILTO:b@example.org!1T,https://example.org/r?x=1",
		"v=DMARC1; p=none; rua=mailto:a@example.org,MAILTO:b@example.org,https://example.org/r?x=1", nil},
	{"v=DMARC1; p=none; rua=mailto:a@example.org!x,mailto:b@example.org!,mailto:c@example.org!1mm,mailto:d@example.org!m,mailto:e@x.org", "v=DMARC1; p=none; rua=mailto:e@x.org", nil},
	{"v=DMARC1; p=none; rua=mailto:a%40b@example.org,mailto:a%4@example.org,mailto:a%2Cb@example.org,mailto:o@[192.0.2.1],mailto:u%21@example.org", "v=DMARC1; p=none; rua=mailto:u%21@example.org", nil},
	{"v=DMARC1; p=none; rua=a@example.org,1x:y,:y,x:,x: y,x:<y>,mailto:a@b@c,x:\u00fc,a+b.c-d:e", "v=DMARC1; p=none; rua=a+b.c-d:e", nil},
	{"v=DMARC1; p=none; rua=" + strings.Repeat("x:y,", 10) + "x:z", "v=DMARC1; p=none; rua=" + strings.Repeat("x:y,", 9) + "x:y", nil},
	{"v=DMARC1; p=none; rua=mailto:a@example.org; rua=mailto:b@example.org", "v=DMARC1; p=none; rua=mailto:a@example.org", nil},
}

func TestParseRecord(t *testing.T) {
	for _, tt := range records {
		r, err := dmarc.ParseRecord(tt.text)
		if !errors.Is(err, tt.err) || err != nil && tt.err == nil {
			t.Errorf("%q: %v, want %v", tt.text, err, tt.err)
		}
		if err == dmarc.ErrNotDMARC {
			if !reflect.DeepEqual(r, dmarc.Record{}) {
				t.Errorf("%q: %+v", tt.text, r)
			}
		} else if got := r.String(); got != tt.want {
			t.Errorf("%q:\n got %q\nwant %q", tt.text, got, tt.want)
		}
	}
}

func TestIgnored(t *testing.T) {
	r, _ := dmarc.ParseRecord("v=DMARC1; p=reject; sp=x; adkim=q; t=y; t=n; oops; unknown=1; pct=100")
	want := []string{"sp: invalid value", "adkim: invalid value", "t: given twice", "syntax: a tag without a value"}
	if !reflect.DeepEqual(r.Ignored, want) {
		t.Errorf("got %q, want %q", r.Ignored, want)
	}
	r, _ = dmarc.ParseRecord("v=DMARC1" + strings.Repeat("; x", 10_000))
	if len(r.Ignored) != 16 {
		t.Errorf("%d faults kept", len(r.Ignored))
	}
}

// What is published is always a record that reads back.
func TestRecordStringIsValid(t *testing.T) {
	for _, tt := range []struct {
		r    dmarc.Record
		want string
	}{
		{dmarc.Record{}, "v=DMARC1; p=none"},
		{dmarc.Record{Policy: "x; p=reject", SubdomainPolicy: "y", NonexistentPolicy: ";", DKIM: "z", PSD: "q", FailureOptions: "0; p=none"}, "v=DMARC1; p=none"},
		{dmarc.Record{Policy: dmarc.Reject, RUA: []dmarc.URI{"mailto:a!b@example.org", "https://example.org/a,b;c", "no uri", "x:\r\n"}},
			"v=DMARC1; p=reject; rua=mailto:a%21b@example.org,https://example.org/a%2Cb%3Bc"},
		{dmarc.Record{RUA: []dmarc.URI{"no uri"}}, "v=DMARC1; p=none"},
	} {
		if got := tt.r.String(); got != tt.want {
			t.Errorf("%+v:\n got %q\nwant %q", tt.r, got, tt.want)
		}
	}
}

func TestURIMailbox(t *testing.T) {
	for uri, want := range map[dmarc.URI]string{
		"mailto:a@example.org":              "a@example.org",
		"MailTo:a%2Bb@example.org?to=c@d.e": "a+b@example.org",
		"https://example.org/a@b":           "",
		"mailto:":                           "",
		"mailto:a":                          "",
		"mail":                              "",
		"mailto:a@[192.0.2.1]":              "",
		"mailto:a@ex%00ample.org":           "",
		"mailto:a%0d%0ab@example.org":       "",
		"mailto:a@example.org,b@x.org":      "",
		"mailto:%":                          "",
		"mailto:a@b%f":                      "",
		"mailto:a@b%zz":                     "",
	} {
		m, ok := uri.Mailbox()
		if got := m.String(); ok != (want != "") || ok && got != want {
			t.Errorf("%s: %q %t, want %q", uri, got, ok, want)
		}
	}
}

func FuzzParseRecord(f *testing.F) {
	for _, tt := range records {
		f.Add(tt.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := dmarc.ParseRecord(text)
		if err == dmarc.ErrNotDMARC {
			return
		}
		published := r.String()
		again, err := dmarc.ParseRecord(published)
		if err != nil || again.String() != published || len(again.Ignored) > 0 {
			t.Fatalf("%q → %q → %q %v", text, published, again, err)
		}
	})
}
