package dmarc_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/auth/authres"
	"github.com/postrider/postrider/auth/dmarc"
	"github.com/postrider/postrider/mx/dns"
	"github.com/postrider/postrider/mx/dns/dnstest"
)

// ids reads "pass a.example, temperror b.example".
func ids(text string) (list []dmarc.Identifier) {
	for id := range strings.SplitSeq(text, ", ") {
		if verdict, domain, ok := strings.Cut(id, " "); ok {
			list = append(list, dmarc.Identifier{Verdict: authres.Verdict(verdict), Domain: domain})
		}
	}
	return list
}

func request(from, spf, dkim string) dmarc.Request {
	r := dmarc.Request{From: []string{" x@" + from + "\r\n"}, DKIM: ids(dkim)}
	if id := ids(spf); id != nil {
		r.SPF = id[0]
	}
	return r
}

// says is the result in a line: verdict, what is asked for, the policy and the
// domain it comes from, the organizational domain, what is aligned.
func says(r dmarc.Result) string {
	text := fmt.Sprintf("%s %s", r.Verdict, r.Disposition)
	if r.Record != nil {
		text += fmt.Sprintf(" %s@%s", r.Policy, r.PolicyDomain)
	}
	if r.OrgDomain != "" {
		text += " org=" + r.OrgDomain
	}
	if r.AlignedSPF {
		text += " spf"
	}
	if r.AlignedDKIM {
		text += " dkim"
	}
	return text
}

type verifyCase struct {
	name            string
	zone            string
	from, spf, dkim string
	want            string
	queries         int // with the zone's, of all kinds
}

func run(t *testing.T, v dmarc.Verifier, tests []verifyCase) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			zone := dnstest.MustParse(tt.zone)
			v := v
			v.Resolver = zone
			r := request(tt.from, tt.spf, tt.dkim)
			res := v.Verify(t.Context(), r)
			if got := says(res); got != tt.want {
				t.Errorf("got %s (%s), want %s", got, res.Problem, tt.want)
			}
			if got := zone.Queries(); len(got) != tt.queries {
				t.Errorf("%d questions, want %d: %v", len(got), tt.queries, got)
			}
			l := v.Begin(t.Context(), r.From)
			if two := l.Evaluate(t.Context(), r.SPF, r.DKIM); says(two) != says(res) || two.Problem != res.Problem {
				t.Errorf("in two steps %s (%s)", says(two), two.Problem)
			}
		})
	}
}

const exampleCom = `_dmarc.example.com TXT "v=DMARC1; p=reject; sp=quarantine"
`

func TestVerify(t *testing.T) {
	run(t, dmarc.Verifier{}, []verifyCase{
		// RFC 9989 Appendix B.1
		{"B.1.1 SPF, identical", exampleCom, "example.com", "pass example.com", "", "pass none reject@example.com org=example.com spf", 2},
		{"B.1.1 SPF, a subdomain's sender", exampleCom, "example.com", "pass child.example.com", "", "pass none reject@example.com org=example.com spf", 3},
		{"B.1.1 SPF, not aligned", exampleCom, "example.com", "pass example.net", "", "fail reject reject@example.com org=example.com", 2},
		{"B.1.2 DKIM, identical", exampleCom, "example.com", "", "pass example.com", "pass none reject@example.com org=example.com dkim", 2},
		{"B.1.2 DKIM, a subdomain's author", exampleCom, "child.example.com", "", "pass example.com", "pass none quarantine@example.com org=example.com dkim", 3},
		{"B.1.2 DKIM, not aligned", exampleCom, "example.com", "", "pass sample.net", "fail reject reject@example.com org=example.com", 2},
		// §4.4, table 1
		{"relaxed siblings", exampleCom, "news.example.com", "", "pass foo.example.com", "pass none quarantine@example.com org=example.com dkim", 4},
		{"another top level domain", exampleCom, "news.example.com", "", "pass foo.example.net", "fail quarantine quarantine@example.com org=example.com", 3},
		// Case, final dots, U-labels.
		{"spelling", `_dmarc.xn--bcher-kva.example TXT "v=DMARC1; p=reject"`, "BÜCHER.Example", "pass Xn--Bcher-kva.EXAMPLE.", "pass bücher.example",
			"pass none reject@xn--bcher-kva.example org=xn--bcher-kva.example spf dkim", 2},
		// Many identifiers.
		{"any signature will do", exampleCom, "example.com", "fail example.com", "fail example.com, pass example.net, permerror example.com, pass example.com", "pass none reject@example.com org=example.com dkim", 2},
		{"only what passed counts", exampleCom, "example.com", "softfail example.com", "fail example.com, none example.com, policy example.com, neutral example.com", "fail reject reject@example.com org=example.com", 2},
		{"nothing was tried", exampleCom, "example.com", "", "", "fail reject reject@example.com org=example.com", 2},
		{"identifiers the DNS cannot have", exampleCom, "example.com", "pass *.example.com", "pass a..example.com, pass  .example.com, pass \x00.example.com, pass ", "fail reject reject@example.com org=example.com", 2},
		{"the parent's neighbours", exampleCom, "example.com", "", "pass badexample.com, pass com, pass example.com.evil.net", "fail reject reject@example.com org=example.com", 2},
		// Strict alignment.
		{"strict", `_dmarc.example.com TXT "v=DMARC1; p=reject; adkim=s; aspf=s"`, "example.com", "pass mail.example.com", "pass mail.example.com", "fail reject reject@example.com org=example.com", 2},
		{"strict for one of them", `_dmarc.example.com TXT "v=DMARC1; p=reject; aspf=s"`, "example.com", "pass mail.example.com", "pass mail.example.com", "pass none reject@example.com org=example.com dkim", 3},
		{"strict and identical", `_dmarc.example.com TXT "v=DMARC1; p=reject; adkim=s; aspf=s"`, "example.com", "pass example.com", "pass EXAMPLE.com", "pass none reject@example.com org=example.com spf dkim", 2},
		// t (§4.7)
		{"testing reject", `_dmarc.example.com TXT "v=DMARC1; p=reject; t=y"`, "example.com", "", "", "fail quarantine reject@example.com org=example.com", 2},
		{"testing quarantine", `_dmarc.example.com TXT "v=DMARC1; p=quarantine; t=y"`, "example.com", "", "", "fail none quarantine@example.com org=example.com", 2},
		{"testing none", `_dmarc.example.com TXT "v=DMARC1; p=none; t=y"`, "example.com", "", "", "fail none none@example.com org=example.com", 2},
		// sp and np (§4.7). Of a name that has records nobody asks whether it exists.
		{"sp of a subdomain", exampleCom + "sub.example.com A 192.0.2.1", "sub.example.com", "", "", "fail quarantine quarantine@example.com org=example.com", 3},
		{"p where there is no sp", `_dmarc.example.com TXT "v=DMARC1; p=reject"`, "sub.example.com", "", "", "fail reject reject@example.com org=example.com", 3},
		{"np", exampleNP, "no.example.com", "", "", "fail reject reject@example.com org=example.com", 4},
		{"np, exists", exampleNP + "sub.example.com A 192.0.2.1", "sub.example.com", "", "", "fail quarantine quarantine@example.com org=example.com", 4},
		{"np, exists without an address", exampleNP + "sub.example.com MX 10 mx.example.net", "sub.example.com", "", "", "fail quarantine quarantine@example.com org=example.com", 4},
		{"np, exists for what is below it", exampleNP + "x.sub.example.com A 192.0.2.1", "sub.example.com", "", "", "fail quarantine quarantine@example.com org=example.com", 4},
		{"np, an alias of nothing exists", exampleNP + "sub.example.com CNAME gone.example.net", "sub.example.com", "", "", "fail quarantine quarantine@example.com org=example.com", 4},
		{"np, other things at _dmarc", exampleNP + `_dmarc.sub.example.com TXT "x"`, "sub.example.com", "", "", "fail quarantine quarantine@example.com org=example.com", 3},
		{"np, an alias at _dmarc", exampleNP + `_dmarc.sub.example.com CNAME gone.example.net`, "sub.example.com", "", "", "fail quarantine quarantine@example.com org=example.com", 3},
		{"np is for subdomains", `_dmarc.example.com TXT "v=DMARC1; p=none; np=reject"`, "example.com", "", "", "fail none none@example.com org=example.com", 2},
		{"np as sp needs no question", `_dmarc.example.com TXT "v=DMARC1; p=none; sp=reject; np=reject"`, "no.example.com", "", "", "fail reject reject@example.com org=example.com", 3},
		{"np, nobody knows", exampleNP + "no.example.com A TIMEOUT", "no.example.com", "", "", "temperror none @example.com org=example.com", 4},
		{"np, it does not matter", exampleNP + "no.example.com A TIMEOUT", "no.example.com", "pass no.example.com", "", "pass none @example.com org=example.com spf", 4},
		// Records.
		{"no record", "", "example.com", "pass example.com", "pass example.com", "none none org=example.com", 2},
		{"no record on a long way", "", "a.b.example.com", "pass a.b.example.com", "", "none none org=a.b.example.com", 4},
		{"a record of something else", `_dmarc.example.com TXT "v=spf1 -all"`, "example.com", "pass example.com", "", "none none org=example.com", 2},
		{"a record among others", exampleCom + `_dmarc.example.com TXT "v=spf1 -all"` + "\n" + `_dmarc.example.com TXT "v=DMARC2; p=none"`, "example.com", "", "", "fail reject reject@example.com org=example.com", 2},
		{"several records", exampleCom + `_dmarc.example.com TXT "v=DMARC1; p=none"`, "example.com", "pass example.com", "", "none none org=example.com", 2},
		{"several records, one above", `
			_dmarc.sub.example.com TXT "v=DMARC1; p=none"
			_dmarc.sub.example.com TXT "v=DMARC1; p=none"
			` + exampleCom, "sub.example.com", "", "", "fail quarantine quarantine@example.com org=example.com", 3},
		{"three records", exampleCom + exampleCom + exampleCom, "example.com", "", "", "none none org=example.com", 2},
		{"strings are joined", `_dmarc.example.com TXT "v=DMA" "RC1; p=rej" "ect"`, "example.com", "", "", "fail reject reject@example.com org=example.com", 2},
		{"an alias", "_dmarc.example.com CNAME policy.example.net\n" + `policy.example.net TXT "v=DMARC1; p=reject"`, "example.com", "", "", "fail reject reject@example.com org=example.com", 2},
		{"invalid p, reports wanted", `_dmarc.example.com TXT "v=DMARC1; p=x; sp=reject; rua=mailto:a@example.com"`, "sub.example.com", "", "", "fail none none@example.com org=example.com", 3},
		{"invalid p", `_dmarc.example.com TXT "v=DMARC1; p=x; sp=reject"`, "example.com", "pass example.com", "", "permerror none @example.com org=example.com", 2},
		{"no p, of the organizational domain", `_dmarc.example.com TXT "v=DMARC1"`, "sub.example.com", "pass sub.example.com", "", "permerror none @example.com org=example.com", 3},
		// What cannot be known (§5.3.6).
		{"SPF is not known", exampleCom, "example.com", "temperror example.com", "fail example.com", "temperror none reject@example.com org=example.com", 2},
		{"DKIM is not known", exampleCom, "example.com", "fail example.com", "temperror mail.example.com", "temperror none reject@example.com org=example.com", 3},
		{"one of them passed", exampleCom, "example.com", "pass example.com", "temperror example.com", "pass none reject@example.com org=example.com spf", 2},
		{"what is not known would not be aligned", exampleCom, "example.com", "temperror example.net", "temperror evil.com", "fail reject reject@example.com org=example.com", 2},
	})
}

const exampleNP = `_dmarc.example.com TXT "v=DMARC1; p=none; sp=quarantine; np=reject"
`

func TestTreeWalk(t *testing.T) {
	const psd = `_dmarc.bank TXT "v=DMARC1; p=reject; sp=quarantine; np=reject; psd=y; rua=mailto:r@pso.bank"
	`
	const org = `_dmarc.example.com TXT "v=DMARC1; p=reject; sp=none; psd=n"
	_dmarc.com TXT "v=DMARC1; p=reject"
	`
	run(t, dmarc.Verifier{}, []verifyCase{
		// §4.10.2
		{"the fewest labels", `
			_dmarc.mail.example.com TXT "v=DMARC1; p=none"
			_dmarc.example.com TXT "v=DMARC1; p=reject"`,
			"a.mail.example.com", "pass other.example.com", "", "pass none reject@example.com org=example.com spf", 5},
		{"psd=n", `_dmarc.mail.example.com TXT "v=DMARC1; p=quarantine; psd=n"
			_dmarc.example.com TXT "v=DMARC1; p=reject"`,
			"a.mail.example.com", "pass other.example.com", "", "fail quarantine quarantine@mail.example.com org=mail.example.com", 2},
		{"psd=y on top", `_dmarc.com TXT "v=DMARC1; p=none; psd=y"`,
			"a.mail.example.com", "pass example.com", "", "pass none none@com org=example.com spf", 4},
		// §11.8
		{"psd=n keeps the neighbours out", `_dmarc.mail.example.com TXT "v=DMARC1; p=reject; psd=n"
			_dmarc.example.com TXT "v=DMARC1; p=reject"`,
			"evil.example.com", "", "pass mail.example.com", "fail reject reject@example.com org=example.com", 4},
		{"a parent without psd=y", org, "example.com", "pass evil.com", "", "fail reject reject@example.com org=example.com", 1},
		{"a parent without psd=y, from below", org, "sub.example.com", "pass sub.example.com", "", "pass none none@example.com org=example.com spf", 2},
		// Public suffixes.
		{"policy of the suffix", psd + "example.bank A 192.0.2.1", "example.bank", "", "", "fail quarantine quarantine@bank org=example.bank", 3},
		{"policy of the suffix, no such domain", psd, "no.bank", "", "", "fail reject reject@bank org=no.bank", 3},
		{"policy of the suffix, far below", psd + "example.bank A 192.0.2.1", "a.b.example.bank", "pass example.bank", "", "pass none reject@bank org=example.bank spf", 5},
		{"an organization's own", psd + `_dmarc.example.bank TXT "v=DMARC1; p=none"`, "a.example.bank", "", "", "fail none none@example.bank org=example.bank", 3},
		{"a record that is no organization's", psd + `_dmarc.b.example.bank TXT "v=DMARC1; p=none"` + "\na.b.example.bank A 192.0.2.1",
			"a.b.example.bank", "", "", "fail quarantine quarantine@bank org=example.bank", 5},
		{"two organizations", psd, "one.bank", "pass two.bank", "pass bank", "fail reject reject@bank org=one.bank", 3},
		{"an organization below another's signature", psd, "one.bank", "", "pass mail.one.bank", "pass none reject@bank org=one.bank dkim", 4},
		{"the suffix itself", psd, "bank", "pass bank", "", "pass none reject@bank org=bank spf", 1},
		{"the suffix itself, with a record above", `_dmarc.co.example TXT "v=DMARC1; p=reject; psd=y"
			_dmarc.example TXT "v=DMARC1; p=none"`, "co.example", "pass example", "", "fail reject reject@co.example org=co.example", 1},
		{"the suffix itself, by one below", psd, "bank", "pass example.bank", "", "fail reject reject@bank org=bank", 2},
		{"a suffix of two labels", `_dmarc.co.example TXT "v=DMARC1; p=reject; psd=y"`, "a.b.co.example", "", "pass x.b.co.example", "pass none reject@co.example org=b.co.example dkim", 4},
		{"a suffix without a policy", `_dmarc.bank TXT "v=DMARC1; psd=y"`, "example.bank", "", "", "permerror none @bank org=example.bank", 2},
		{"a suffix without a policy above a policy", `_dmarc.bank TXT "v=DMARC1; psd=y"
			_dmarc.example.bank TXT "v=DMARC1; p=reject"`, "example.bank", "pass other.bank", "", "fail reject reject@example.bank org=example.bank", 2},
		// Long names.
		{"8 labels", `_dmarc.b.c.d.e.f.g.h TXT "v=DMARC1; p=reject"`, "a.b.c.d.e.f.g.h", "", "", "fail reject reject@b.c.d.e.f.g.h org=b.c.d.e.f.g.h", 8},
		{"9 labels", `_dmarc.b.c.d.e.f.g.h.i TXT "v=DMARC1; p=reject"`, "a.b.c.d.e.f.g.h.i", "", "", "none none org=a.b.c.d.e.f.g.h.i", 8},
		{"9 labels, the record at the seventh", `_dmarc.c.d.e.f.g.h.i TXT "v=DMARC1; p=reject"`, "a.b.c.d.e.f.g.h.i", "", "", "fail reject reject@c.d.e.f.g.h.i org=c.d.e.f.g.h.i", 8},
		{"9 labels, the record at the name", `_dmarc.a.b.c.d.e.f.g.h.i TXT "v=DMARC1; p=reject"`, "a.b.c.d.e.f.g.h.i", "", "", "fail reject reject@a.b.c.d.e.f.g.h.i org=a.b.c.d.e.f.g.h.i", 8},
		{"a suffix of seven labels", `_dmarc.d.e.f.g.h.i.j TXT "v=DMARC1; p=reject; psd=y"`, "a.b.c.d.e.f.g.h.i.j", "", "pass c.d.e.f.g.h.i.j", "pass none reject@d.e.f.g.h.i.j org=c.d.e.f.g.h.i.j dkim", 2},
		{"too long to be prefixed", `_dmarc.org TXT "v=DMARC1; p=reject"`, strings.Repeat("x.", 124) + "org", "", "", "fail reject reject@org org=org", 7},
		{"one label", `_dmarc.localhost TXT "v=DMARC1; p=reject"`, "localhost", "pass localhost", "", "pass none reject@localhost org=localhost spf", 1},
	})
}

// §4.10 shows what is asked for a name of 13 labels.
func TestTreeWalkAsks(t *testing.T) {
	zone := dnstest.MustParse("")
	v := dmarc.Verifier{Resolver: zone}
	v.Verify(t.Context(), request("a.b.c.d.e.f.g.h.i.j.mail.example.com", "", ""))
	want := `[_dmarc.a.b.c.d.e.f.g.h.i.j.mail.example.com TXT
		_dmarc.g.h.i.j.mail.example.com TXT
		_dmarc.h.i.j.mail.example.com TXT
		_dmarc.i.j.mail.example.com TXT
		_dmarc.j.mail.example.com TXT
		_dmarc.mail.example.com TXT
		_dmarc.example.com TXT
		_dmarc.com TXT]`
	if got := fmt.Sprint(zone.Queries()); got != strings.Join(strings.Fields(want), " ") {
		t.Errorf("got %s", got)
	}
}

func TestDNSFailures(t *testing.T) {
	for _, failure := range []string{"SERVFAIL", "REFUSED", "NOTIMP", "FORMERR", "TIMEOUT", "BOGUS"} {
		run(t, dmarc.Verifier{}, []verifyCase{
			{failure + " at the author domain", exampleCom + "_dmarc.sub.example.com " + failure, "sub.example.com", "pass sub.example.com", "pass sub.example.com", "temperror none", 1},
			{failure + " above", "_dmarc.com " + failure, "example.com", "pass example.com", "", "temperror none", 2},
			{failure + " above, not needed", exampleCom + "_dmarc.com " + failure, "example.com", "pass example.com", "pass example.com", "pass none reject@example.com spf dkim", 2},
			{failure + " above, still a failure", exampleCom + "_dmarc.com " + failure, "example.com", "pass example.net", "fail example.com", "fail reject reject@example.com", 2},
			{failure + " above, needed", exampleCom + "_dmarc.com " + failure, "example.com", "pass sub.example.com", "", "temperror none reject@example.com", 2},
			{failure + " of SPF's domain", exampleCom + "_dmarc.sub.example.com " + failure, "example.com", "pass sub.example.com", "", "temperror none reject@example.com org=example.com", 3},
			{failure + " of SPF's domain, DKIM is aligned", exampleCom + "_dmarc.sub.example.com " + failure, "example.com", "pass sub.example.com", "pass example.com", "pass none reject@example.com org=example.com dkim", 3},
			{failure + " of one signature's", exampleCom + "_dmarc.sub.example.com " + failure, "example.com", "", "pass sub.example.com, pass mail.example.com", "pass none reject@example.com org=example.com dkim", 4},
		})
	}
	zone := dnstest.MustParse("_dmarc.example.com SERVFAIL")
	v := dmarc.Verifier{Resolver: zone}
	var failure *dns.Error
	if res := v.Verify(t.Context(), request("example.com", "", "")); !errors.As(res.Err, &failure) || failure.RCode != dns.ServFail {
		t.Errorf("the cause is %v", res.Err)
	}
}

func TestPublicSuffix(t *testing.T) {
	run(t, dmarc.Verifier{PublicSuffix: true}, []verifyCase{
		{"the organizational domain's", exampleCom, "a.b.example.com", "", "pass c.example.com", "pass none quarantine@example.com org=example.com dkim", 2},
		{"its own", exampleCom, "example.com", "pass mail.example.com", "", "pass none reject@example.com org=example.com spf", 1},
		{"none between", `_dmarc.b.example.com TXT "v=DMARC1; p=reject"`, "a.b.example.com", "pass a.b.example.com", "", "none none org=example.com", 2},
		{"two labels", `_dmarc.example.co.uk TXT "v=DMARC1; p=reject"`, "a.example.co.uk", "pass other.co.uk", "pass b.example.co.uk", "pass none reject@example.co.uk org=example.co.uk dkim", 2},
		{"a suffix", `_dmarc.co.uk TXT "v=DMARC1; p=reject"`, "co.uk", "pass co.uk", "pass example.co.uk", "pass none reject@co.uk org=co.uk spf", 1},
		{"no record", "", "example.com", "pass example.com", "", "none none org=example.com", 1},
		{"no answer", "_dmarc.example.com TIMEOUT", "a.example.com", "pass a.example.com", "", "temperror none org=example.com", 2},
		{"np", exampleNP, "no.example.com", "", "", "fail reject reject@example.com org=example.com", 3},
	})
	v := dmarc.Verifier{PublicSuffix: true, Resolver: dnstest.MustParse("")}
	if got := v.Verify(t.Context(), request("example.com", "", "")).Method; got != dmarc.PSL {
		t.Errorf("method %s", got)
	}
}

// However many domains a message has, what is asked is bounded.
func TestLimits(t *testing.T) {
	for _, tt := range []struct{ max, want int }{
		{0, 2 + 9*6}, // each ends at psd=n, at its sixth name
		{1, 2},
		{3, 2 + 2*6},
	} {
		zone := dnstest.MustParse(exampleCom)
		r := request("example.com", "", "")
		for i := range 100 {
			if err := zone.Add(fmt.Sprintf(`_dmarc.x%d.example.com TXT "v=DMARC1; psd=n"`, i)); err != nil {
				t.Fatal(err)
			}
			r.DKIM = append(r.DKIM, dmarc.Identifier{Verdict: authres.Pass, Domain: fmt.Sprintf("a.b.c.d.e.f.g.h.i.x%d.example.com", i)})
		}
		v := dmarc.Verifier{Resolver: zone, MaxWalks: tt.max}
		res := v.Verify(t.Context(), r)
		if got := len(zone.Queries()); got != tt.want {
			t.Errorf("%d walks: %d questions, want %d", tt.max, got, tt.want)
		}
		if got := says(res); got != "fail reject reject@example.com org=example.com" || res.Problem != "too many domains to compare" {
			t.Errorf("%d walks: %s (%s)", tt.max, got, res.Problem)
		}
	}
	// A name that is known costs nothing, nor does one asked for again.
	zone := dnstest.MustParse(exampleCom)
	v := dmarc.Verifier{Resolver: zone, MaxWalks: 2}
	r := request("a.b.example.com", "pass example.com", strings.Repeat("fail x.example.com, pass b.example.com, ", 50)+"pass c.example.com")
	if res := v.Verify(t.Context(), r); !res.AlignedDKIM || len(zone.Queries()) != 4 {
		t.Errorf("%s after %v", says(res), zone.Queries())
	}
}

func TestFrom(t *testing.T) {
	for _, tt := range []struct {
		from []string
		want dmarc.FromProblem
	}{
		{nil, dmarc.FromMissing},
		{[]string{"a@example.com", "a@example.com"}, dmarc.FromRepeated},
		{[]string{"a@example.com, b@example.net"}, dmarc.FromDomains},
		{[]string{"a@example.com\x00"}, dmarc.FromControl},
		{[]string{"a"}, dmarc.FromMalformed},
		{[]string{`"a@example.com"@example.net`}, dmarc.FromAmbiguous},
		{[]string{"a@[192.0.2.1]"}, dmarc.FromNoDomain},
		{[]string{strings.Repeat(" ", 1<<20)}, dmarc.FromTooLong},
		{[]string{"a@example.com, b@EXAMPLE.COM"}, ""},
	} {
		zone := dnstest.MustParse(exampleCom)
		v := dmarc.Verifier{Resolver: zone}
		res := v.Verify(t.Context(), dmarc.Request{From: tt.from, SPF: ids("pass example.com")[0]})
		l := v.Begin(t.Context(), tt.from)
		if _, got := l.Domain(); got != tt.want || res.FromProblem != tt.want {
			t.Errorf("%.80q: %q, at first %q, want %q", tt.from, res.FromProblem, got, tt.want)
		}
		l.Abort()
		if tt.want == "" {
			continue
		}
		if res.Verdict != authres.None || res.Domain != "" || res.Disposition != dmarc.None || len(zone.Queries()) > 0 {
			t.Errorf("%.80q: %+v, asked %v", tt.from, res, zone.Queries())
		}
	}
}

func TestNoResolver(t *testing.T) {
	var v dmarc.Verifier
	l := v.Begin(t.Context(), []string{"a@example.org"})
	for _, r := range []dmarc.Result{v.Verify(t.Context(), request("example.org", "", "")), l.Evaluate(t.Context(), dmarc.Identifier{}, nil)} {
		if r.Verdict != authres.TempError || r.Err == nil {
			t.Errorf("%+v", r)
		}
	}
}

func TestAuthRes(t *testing.T) {
	for _, tt := range []struct{ zone, from, spf, want string }{
		{exampleCom, "example.com", "pass example.com", "dmarc=pass header.from=example.com policy.dmarc=reject"},
		{exampleCom, "sub.example.com", "", "dmarc=fail header.from=sub.example.com policy.dmarc=quarantine"},
		{`_dmarc.example.com TXT "v=DMARC1; p=reject; t=y"`, "example.com", "", "dmarc=fail header.from=example.com policy.dmarc=quarantine"},
		{"", "example.com", "", "dmarc=none header.from=example.com"},
		{`_dmarc.example.com TXT "v=DMARC1"`, "example.com", "", `dmarc=permerror reason="the record at example.com has no valid policy" header.from=example.com`},
		{"", "a@b", "", `dmarc=none reason="From does not parse"`},
	} {
		v := dmarc.Verifier{Resolver: dnstest.MustParse(tt.zone)}
		r := v.Verify(t.Context(), request(tt.from, tt.spf, "")).AuthRes()
		got := r.Method + "=" + string(r.Verdict)
		if r.Reason != "" {
			got += fmt.Sprintf(" reason=%q", r.Reason)
		}
		for _, p := range r.Properties {
			got += " " + p.Type + "." + p.Name + "=" + p.Value
		}
		if got != tt.want {
			t.Errorf("got %s, want %s", got, tt.want)
		}
	}
}

// A resolver that does not answer holds nobody up, and leaves nothing behind.
func TestStall(t *testing.T) {
	stalled := dnstest.MustParse(exampleCom + "_dmarc.com STALL\n_dmarc.sub.example.com STALL")
	v := dmarc.Verifier{Resolver: stalled, Timeout: time.Hour}
	from := []string{"a@example.com"}

	v.Begin(t.Context(), from).Abort()

	ctx, cancel := context.WithCancel(t.Context())
	l := v.Begin(ctx, from)
	cancel()
	if got := says(l.Evaluate(t.Context(), ids("pass example.com")[0], nil)); !strings.HasSuffix(got, "pass none reject@example.com spf") && got != "temperror none" {
		t.Error(got)
	}
	l.Abort()

	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	l = v.Begin(t.Context(), from)
	if got := l.Evaluate(ctx, ids("pass sub.example.com")[0], nil); got.Verdict != authres.TempError {
		t.Error(says(got))
	}

	v.Timeout = 1 // a nanosecond
	if got := v.Verify(t.Context(), request("example.com", "pass sub.example.com", "")); got.Verdict != authres.TempError {
		t.Error(says(got))
	}
}

func BenchmarkVerify(b *testing.B) {
	zone := answers{"_dmarc.example.com": {TXT: []string{"v=DMARC1; p=reject; sp=quarantine; rua=mailto:dmarc@example.com"}}}
	for _, bb := range []struct{ name, from, spf, dkim string }{
		{"identical", "example.com", "pass example.com", "pass example.com"},
		{"relaxed", "news.example.com", "pass bounce.example.com", "pass example.com"},
	} {
		b.Run(bb.name, func(b *testing.B) {
			v := dmarc.Verifier{Resolver: zone}
			r := request(bb.from, bb.spf, bb.dkim)
			b.ReportAllocs()
			for b.Loop() {
				if res := v.Verify(b.Context(), r); res.Verdict != authres.Pass {
					b.Fatal(says(res))
				}
			}
		})
	}
}

// answers answers from a map, so that a benchmark measures nothing else.
type answers map[string]dns.Answer

func (m answers) Resolve(_ context.Context, name string, _ dns.Type) (dns.Answer, error) {
	if a, ok := m[name]; ok {
		return a, nil
	}
	return dns.Answer{NXDomain: true}, nil
}
