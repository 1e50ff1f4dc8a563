package dmarc_test

import (
	"context"
	"fmt"

	"github.com/postrider/postrider/auth/authres"
	"github.com/postrider/postrider/auth/dmarc"
	"github.com/postrider/postrider/mx/dns/dnstest"
)

func ExampleVerifier() {
	v := &dmarc.Verifier{Resolver: dnstest.MustParse(`
		_dmarc.example.org TXT "v=DMARC1; p=reject"
	`)}
	res := v.Verify(context.Background(), dmarc.Request{
		From: []string{"Alice <alice@example.org>"},
		SPF:  dmarc.Identifier{Verdict: authres.Pass, Domain: "bounce.example.org"},
	})
	fmt.Println(res.Verdict, res.AlignedSPF)
	// Output: pass true
}

func ExampleRequest() {
	v := &dmarc.Verifier{Resolver: dnstest.MustParse(`_dmarc.example.org TXT "v=DMARC1; p=reject"`)}
	res := v.Verify(context.Background(), dmarc.Request{
		From: []string{"Alice <alice@example.org>"},
		SPF:  dmarc.Identifier{Verdict: authres.Pass, Domain: "list.example.net"}, // forwarded
		DKIM: []dmarc.Identifier{
			{Verdict: authres.Pass, Domain: "example.org"},
			{Verdict: authres.Pass, Domain: "list.example.net"},
		},
	})
	fmt.Println(res.Verdict, "SPF:", res.AlignedSPF, "DKIM:", res.AlignedDKIM)
	// Output: pass SPF: false DKIM: true
}

func ExampleIdentifier() {
	signature := dmarc.Identifier{Verdict: authres.Pass, Domain: "example.net"}
	v := &dmarc.Verifier{Resolver: dnstest.MustParse(`_dmarc.example.org TXT "v=DMARC1; p=quarantine"`)}
	res := v.Verify(context.Background(), dmarc.Request{From: []string{"a@example.org"}, DKIM: []dmarc.Identifier{signature}})
	fmt.Println(res.Verdict)
	// Output: fail
}

func ExampleLookup() {
	v := &dmarc.Verifier{Resolver: dnstest.MustParse(`_dmarc.example.org TXT "v=DMARC1; p=reject"`)}

	// At the end of the header, before the body is there.
	l := v.Begin(context.Background(), []string{"Alice <alice@example.org>"})
	defer l.Abort()

	// At the end of the message.
	res := l.Evaluate(context.Background(), dmarc.Identifier{Verdict: authres.Fail, Domain: "example.org"}, nil)
	fmt.Println(res.Verdict, res.Disposition)
	// Output: fail reject
}

func ExampleResult() {
	v := &dmarc.Verifier{Resolver: dnstest.MustParse(`
		_dmarc.example.org TXT "v=DMARC1; p=reject; sp=quarantine; t=y"
	`)}
	res := v.Verify(context.Background(), dmarc.Request{From: []string{"alice@news.example.org"}})
	fmt.Println("verdict:", res.Verdict)
	fmt.Println("policy:", res.Policy, "of", res.PolicyDomain)
	fmt.Println("advice:", res.Disposition, "because of t=y")
	// Output:
	// verdict: fail
	// policy: quarantine of example.org
	// advice: none because of t=y
}

func ExampleFromProblem() {
	v := &dmarc.Verifier{Resolver: dnstest.MustParse("")}
	res := v.Verify(context.Background(), dmarc.Request{
		From: []string{"president@example.org, evil@example.net"},
	})
	if res.FromProblem != "" {
		fmt.Println("550 5.7.1", res.FromProblem)
	}
	// Output: 550 5.7.1 mailboxes of several domains in From
}

func ExampleDiscoveryMethod() {
	zone := dnstest.MustParse(`_dmarc.example.co.uk TXT "v=DMARC1; p=reject"`)
	for _, list := range []bool{false, true} {
		v := &dmarc.Verifier{Resolver: zone, PublicSuffix: list}
		res := v.Verify(context.Background(), dmarc.Request{From: []string{"a@a.b.example.co.uk"}})
		fmt.Println(res.Method, res.OrgDomain)
	}
	// Output:
	// treewalk example.co.uk
	// psl example.co.uk
}

func ExampleRecord() {
	r, err := dmarc.ParseRecord("v=DMARC1; p=reject; aspf=s; rua=mailto:dmarc@example.org; ri=86400")
	fmt.Println(r.Policy, r.SPF, r.RUA, err)

	r.SubdomainPolicy = dmarc.Quarantine
	fmt.Printf("_dmarc.example.org TXT %q\n", r)
	// Output:
	// reject s [mailto:dmarc@example.org] <nil>
	// _dmarc.example.org TXT "v=DMARC1; p=reject; sp=quarantine; aspf=s; rua=mailto:dmarc@example.org"
}

func ExamplePolicy() {
	for _, p := range []dmarc.Policy{dmarc.None, dmarc.Quarantine, dmarc.Reject} {
		fmt.Println(dmarc.Record{Policy: p})
	}
	// Output:
	// v=DMARC1; p=none
	// v=DMARC1; p=quarantine
	// v=DMARC1; p=reject
}

func ExampleAlignment() {
	fmt.Println(dmarc.Record{Policy: dmarc.Reject, DKIM: dmarc.Strict, SPF: dmarc.Relaxed})
	// Output: v=DMARC1; p=reject; adkim=s
}

func ExamplePSD() {
	fmt.Println(dmarc.Record{Policy: dmarc.Reject, PSD: dmarc.Organizational})
	// Output: v=DMARC1; p=reject; psd=n
}

func ExampleURI() {
	address, ok := dmarc.URI("mailto:dmarc@example.org").Mailbox()
	fmt.Println(address, ok)
	// Output: dmarc@example.org true
}
