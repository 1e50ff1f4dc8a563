package tlsrpt_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/postrider/postrider/mx/dns"
	"github.com/postrider/postrider/mx/dns/dnstest"
	"github.com/postrider/postrider/mx/tlsrpt"
)

func join(uris []tlsrpt.URI) string {
	var list []string
	for _, u := range uris {
		list = append(list, string(u))
	}
	return strings.Join(list, " ")
}

func TestParseRecord(t *testing.T) {
	const bad, not = "bad", "not" // in place of the URIs
	const mail = "mailto:reports@example.com"
	const post = "https://reporting.example.com/v1/tlsrpt"
	for _, tt := range []struct {
		section, text, rua string
	}{
		{"§3.1.1 example", "v=TLSRPTv1;rua=" + mail, mail},
		{"§3.1.2 example", "v=TLSRPTv1; rua=" + post, post},
		{"§3 several", "v=TLSRPTv1; rua=" + mail + "," + post, mail + " " + post},
		{"§3 *WSP", "v=TLSRPTv1 \t; rua=" + mail + " ,\t" + post + " ; ", mail + " " + post},
		{"§3 extensions", "v=TLSRPTv1; a-b_c.d=!:<>; rua=" + mail + "; x=", mail},
		{"§3 = in a URI", "v=TLSRPTv1; rua=https://example.com/?a=b&c=d", "https://example.com/?a=b&c=d"},
		{"§3 schemes", "v=TLSRPTv1; rua=MAILTO:reports@example.com,HTTPS://example.com", "MAILTO:reports@example.com HTTPS://example.com"},
		{"§3 escaped", "v=TLSRPTv1; rua=mailto:%22a%2Cb%21c%3Bd%22@example.com", "mailto:%22a%2Cb%21c%3Bd%22@example.com"},
		{"§3 other schemes", "v=TLSRPTv1; rua=ftp://example.com/," + mail + ",http://example.com/", mail},
		{"§3 what is none", "v=TLSRPTv1; rua=reports@example.com," + mail + ",mailto:,https://,mailto:a@[192.0.2.1],https://a b/,,mailto:a@b!10m", mail},
		{"the first of two", "v=TLSRPTv1; rua=" + mail + "; rua=" + post, mail},
		{"ten at most", "v=TLSRPTv1; rua=" + strings.Repeat(mail+",", 11), strings.TrimSpace(strings.Repeat(mail+" ", 10))},
		{"RFC 6068 §2", "v=TLSRPTv1; rua=mailto:reports@example.com?subject=x", "mailto:reports@example.com?subject=x"},
		{"an address", "v=TLSRPTv1; rua=https://[2001:db8::1]/", "https://[2001:db8::1]/"},

		{"§3 no rua", "v=TLSRPTv1", bad},
		{"§3 no rua", "v=TLSRPTv1;", bad},
		{"§3 no rua", "v=TLSRPTv1; x=y", bad},
		{"§3 none that can be used", "v=TLSRPTv1; rua=", bad},
		{"§3 none that can be used", "v=TLSRPTv1; rua=http://example.com", bad},
		{"§3 %s\"rua=\"", "v=TLSRPTv1; RUA=" + mail, bad},
		{"§3 two delimiters", "v=TLSRPTv1;; rua=" + mail, bad},
		{"§3 field without =", "v=TLSRPTv1; rua=" + mail + "; x", bad},
		{"§3 name", "v=TLSRPTv1; rua=" + mail + "; -x=y", bad},
		{"§3 value", "v=TLSRPTv1; rua=" + mail + "; x=y z", bad},
		{"a long URI", "v=TLSRPTv1; rua=https://example.com/" + strings.Repeat("a", 2048), bad},

		{"§3 version first", "rua=" + mail + "; v=TLSRPTv1", not},
		{"§3 %s\"v=TLSRPTv1\"", "v=tlsrptv1; rua=" + mail, not},
		{"§3 another version", "v=TLSRPTv10; rua=" + mail, not},
		{"§3 something else", "v=STSv1; id=a", not},
		{"§3 empty", "", not},
	} {
		r, err := tlsrpt.ParseRecord(tt.text)
		got := join(r.RUA)
		switch {
		case err == tlsrpt.ErrNotTLSRPT:
			got = not
		case err != nil:
			got = bad
		}
		if got != tt.rua {
			t.Errorf("%s: %q: %q, %v, want %q", tt.section, tt.text, got, err, tt.rua)
		}
		if again, err2 := tlsrpt.ParseRecord(r.String()); err == nil && (err2 != nil || join(again.RUA) != join(r.RUA)) {
			t.Errorf("%q is read back as %+v, %v", r, again, err2)
		}
	}
	r := tlsrpt.Record{RUA: []tlsrpt.URI{"mailto:a,b!c;d@example.com"}}
	if want := "v=TLSRPTv1; rua=mailto:a%2Cb%21c%3Bd@example.com"; r.String() != want {
		t.Errorf("%s, want %s", r, want)
	}
}

func TestURI(t *testing.T) {
	for _, tt := range []struct {
		uri     tlsrpt.URI
		mailbox string
		https   bool
	}{
		{"mailto:a@example.com", "a@example.com", false},
		{"MailTo:a@example.com?subject=b", "a@example.com", false},
		{"mailto:a%2Cb@example.com", "", false}, // no atom
		{"mailto:%22a%2Cb%22@example.com", `"a,b"@example.com`, false},
		{"mailto:a@example.com,b@example.com", "", false},
		{"mailto:a", "", false},
		{"mailto:a@[192.0.2.1]", "", false},
		{"mailto:a%0d%0ab@example.com", "", false},
		{"mailto:a%zz@example.com", "", false},
		{"mailto", "", false},
		{"https://example.com/a", "", true},
		{"https://example.com:8443/a", "", true},
		{"https://user@example.com/", "", true},
		{"https:example.com", "", false},
		{"https:///a", "", false},
		{"https://ex ample.com/", "", false},
		{"http://example.com/", "", false},
		{"", "", false},
	} {
		m, ok := tt.uri.Mailbox()
		if m.String() != tt.mailbox || ok != (tt.mailbox != "") || tt.uri.HTTPS() != tt.https {
			t.Errorf("%q: %v, %t, %t", tt.uri, m, ok, tt.uri.HTTPS())
		}
	}
}

func TestLookupRecord(t *testing.T) {
	zone := dnstest.MustParse(`
		_smtp._tls.one.example     TXT "v=TLSRPTv1; rua=mailto:a@one.example"
		_smtp._tls.parts.example   TXT "v=TLSRPT" "v1; rua=mailto:a@one.example"
		_smtp._tls.others.example  TXT "v=TLSRPTv2; rua=mailto:b@one.example"
		_smtp._tls.others.example  TXT "v=TLSRPTv1; rua=mailto:a@one.example"
		_smtp._tls.two.example     TXT "v=TLSRPTv1; rua=mailto:a@one.example"
		_smtp._tls.two.example     TXT "v=TLSRPTv1; rua=mailto:b@one.example"
		_smtp._tls.bad.example     TXT "v=TLSRPTv1; foo"
		_smtp._tls.other.example   TXT "hello"
		_smtp._tls.fail.example    SERVFAIL
	`)
	const none, bad, fail = "none", "bad", "fail"
	for _, tt := range []struct {
		section, domain, want string
	}{
		{"§3", "one.example", "mailto:a@one.example"},
		{"§3", "One.Example.", "mailto:a@one.example"},
		{"§3 strings are joined", "parts.example", "mailto:a@one.example"},
		{"§3 others are discarded", "others.example", "mailto:a@one.example"},
		{"§3 not one", "two.example", none},
		{"§3 none", "other.example", none},
		{"§3 none", "gone.example", none},
		{"§3 not of the parent", "sub.one.example", none},
		{"§3 malformed", "bad.example", bad},
		{"not known", "fail.example", fail},
		{"no name", "", none},
		{"no name", "[192.0.2.1]", none},
		{"too long", strings.Repeat("a.", 121) + "example", none},
	} {
		r, err := tlsrpt.LookupRecord(t.Context(), zone, tt.domain)
		got := join(r.RUA)
		var dnsErr *dns.Error
		switch {
		case err == tlsrpt.ErrNoRecord:
			got = none
		case errors.As(err, &dnsErr):
			got = fail
		case err != nil:
			got = bad
		}
		if got != tt.want {
			t.Errorf("%s: %s: %q, %v, want %q", tt.section, tt.domain, got, err, tt.want)
		}
	}
}
