package spf_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/postrider/postrider/auth/spf"
	"github.com/postrider/postrider/mx/dns/dnstest"
	"github.com/postrider/postrider/smtp"
)

var exampleZone = dnstest.MustParse(`
	example.org      TXT "v=spf1 mx include:_spf.example.net -all exp=why.example.org"
	example.org      MX  10 mx.example.org
	mx.example.org   A   192.0.2.1
	mx.example.org   TXT "v=spf1 a -all"
	_spf.example.net TXT "v=spf1 ip4:198.51.100.0/24 -all"
	why.example.org  TXT "%{i} is not a server of %{o}"
`)

func ExampleVerifier() {
	v := &spf.Verifier{Resolver: exampleZone, Explain: true} // dns.Std or dns.Stub outside of tests
	from, _ := smtp.ParseReversePath("<someone@example.org>")
	for _, ip := range []string{"198.51.100.7", "203.0.113.9"} {
		r := v.Verify(context.Background(), spf.Request{IP: netip.MustParseAddr(ip), Hello: "mx.example.org", From: from})
		fmt.Printf("%s %s %d %q\n", r.Verdict, r.Mechanism, r.Lookups, r.Explanation)
	}
	// Output:
	// pass include:_spf.example.net 2 ""
	// fail -all 2 "203.0.113.9 is not a server of example.org"
}

func ExampleVerifier_VerifyHello() {
	v := &spf.Verifier{Resolver: exampleZone}
	r := v.VerifyHello(context.Background(), spf.Request{IP: netip.MustParseAddr("192.0.2.1"), Hello: "mx.example.org"})
	fmt.Println(r.Verdict, r.Identity, r.Domain)
	// Output: pass helo mx.example.org
}

func ExampleRequest() {
	v := &spf.Verifier{Resolver: exampleZone}
	bounce := spf.Request{ // the null reverse-path
		IP:    netip.MustParseAddr("192.0.2.1"),
		Hello: "mx.example.org",
	}
	r := v.Verify(context.Background(), bounce)
	fmt.Println(r.Verdict, r.Identity, r.Sender)
	// Output: pass helo postmaster@mx.example.org
}

func ExampleResult() {
	v := &spf.Verifier{Resolver: dnstest.MustParse("example.org TXT SERVFAIL")}
	from, _ := smtp.ParseReversePath("<someone@example.org>")
	r := v.Verify(context.Background(), spf.Request{IP: netip.MustParseAddr("192.0.2.1"), From: from})
	fmt.Println(r.Verdict)
	fmt.Println(r.Problem)
	a := r.AuthRes()
	fmt.Println(a.Method, a.Verdict, a.Properties)
	// Output:
	// temperror
	// TXT of example.org: server failure
	// spf temperror [{smtp mailfrom someone@example.org}]
}

func ExampleResult_ReceivedSPF() {
	v := &spf.Verifier{Resolver: exampleZone}
	from, _ := smtp.ParseReversePath("<someone@example.org>")
	req := spf.Request{IP: netip.MustParseAddr("192.0.2.1"), Hello: "mx.example.org", From: from}
	r := v.Verify(context.Background(), req)
	fmt.Println(strings.Join(strings.Fields(r.ReceivedSPF(req, "mx.example.com").String()), " "))
	// Output: Received-SPF: pass receiver=mx.example.com; client-ip=192.0.2.1; envelope-from="someone@example.org"; helo=mx.example.org; identity=mailfrom; mechanism=mx
}

func ExampleIdentity() {
	fmt.Println(spf.MailFrom, spf.Hello)
	// Output: mailfrom helo
}

func ExampleStep() {
	v := &spf.Verifier{Resolver: exampleZone, Trace: true}
	from, _ := smtp.ParseReversePath("<someone@example.org>")
	r := v.Verify(context.Background(), spf.Request{IP: netip.MustParseAddr("198.51.100.7"), From: from})
	for _, s := range r.Trace {
		fmt.Println(s.Depth, s.Domain, s.Term, s.Match)
	}
	// Output:
	// 0 example.org mx false
	// 1 _spf.example.net ip4:198.51.100.0/24 true
	// 0 example.org include:_spf.example.net true
}

func ExampleRecord() {
	r, err := spf.ParseRecord("v=spf1 a mx/24 ~exists:%{i}.ok.example.org redirect=_spf.example.net")
	fmt.Println(len(r.Directives), r.Redirect, r.Lookups(), err)
	// Output: 3 _spf.example.net 4 <nil>
}

func ExampleDirective() {
	r, _ := spf.ParseRecord("v=spf1 a:mail.example.org/24//64 ?ip6:2001:db8::/32 -all")
	for _, d := range r.Directives {
		fmt.Println(d.Verdict, d.Mechanism, d.Domain, d.Bits4, d.Bits6, d.Network)
	}
	// Output:
	// pass a mail.example.org 24 64 invalid Prefix
	// neutral ip6  32 128 2001:db8::/32
	// fail all  32 128 invalid Prefix
}

func ExampleModifier() {
	r, _ := spf.ParseRecord("v=spf1 ra=postmaster -all")
	fmt.Println(r.Unknown[0].Name, r.Unknown[0].Value)
	// Output: ra postmaster
}

func ExampleMechanism() {
	fmt.Println(spf.Include, spf.MX, spf.IP4)
	// Output: include mx ip4
}

func ExampleSyntaxError() {
	_, err := spf.ParseRecord("v=spf1 a:192.0.2.1 -all")
	fmt.Println(err)
	if e := new(spf.SyntaxError); errors.As(err, &e) {
		fmt.Println(e.Offset, e.Term)
	}
	// Output:
	// spf: octet 9: term "a:192.0.2.1": an IP address, which belongs into ip4 or ip6
	// 9 a:192.0.2.1
}
