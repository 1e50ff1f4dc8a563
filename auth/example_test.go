package auth_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/netip"
	"strings"

	"github.com/postrider/postrider/auth"
	"github.com/postrider/postrider/mx/dns/dnstest"
	"github.com/postrider/postrider/smtp"
)

// published is what a real program asks the DNS for.
var published = dnstest.MustParse(`
	example.org            TXT "v=spf1 ip4:192.0.2.1 -all"
	_dmarc.example.org     TXT "v=DMARC1; p=reject"
	mail.example.org       A   192.0.2.1
	1.2.0.192.in-addr.arpa PTR mail.example.org`)

func ExampleVerifier() {
	v := &auth.Verifier{Resolver: published, AuthServID: "mx.example.net"}
	from, err := smtp.ParseReversePath("<ann@example.org>")
	if err != nil {
		log.Fatal(err)
	}
	message := strings.NewReader("From: ann@example.org\r\nSubject: Hi\r\n\r\nHello Bob\r\n")
	peer := auth.Peer{IP: netip.MustParseAddr("192.0.2.1"), Hello: "mail.example.org"}
	result, err := v.Verify(context.Background(), peer, from, message)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(strings.ReplaceAll(result.Header(), "\r\n", "\n"))
	// Output:
	// Authentication-Results: mx.example.net;
	// 	iprev=pass policy.iprev=192.0.2.1;
	// 	spf=none reason="mail.example.org has no SPF record"
	// 	smtp.helo=mail.example.org;
	// 	spf=pass smtp.mailfrom=ann@example.org;
	// 	dkim=none;
	// 	dmarc=pass header.from=example.org policy.dmarc=reject
}

// A server learns of its client piece by piece.
func ExampleConnection() {
	ctx := context.Background()
	v := &auth.Verifier{Resolver: published}
	client := v.Begin(ctx, auth.NewPeer(&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 40000}, "mail.example.org"))
	defer client.Close()
	name, err := client.IPRev(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(name.Verdict, name.Name)
	// Output: pass mail.example.org
}

func ExampleCheck() {
	ctx := context.Background()
	v := &auth.Verifier{Resolver: published}
	client := v.Begin(ctx, auth.Peer{IP: netip.MustParseAddr("203.0.113.9"), Hello: "somewhere.example"})
	defer client.Close()

	from, err := smtp.ParseReversePath("<ann@example.org>") // the argument of MAIL
	if err != nil {
		log.Fatal(err)
	}
	check := client.Message(ctx, from)
	defer check.Abort() // after Finish it does nothing
	spf, err := check.SPF(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("before DATA:", spf.Verdict, spf.Mechanism)

	io.WriteString(check, "From: ann@example.org\r\n\r\n") // as it comes, in pieces
	io.WriteString(check, "Send money.\r\n")
	result, err := check.Finish(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(result.DMARC.Verdict, result.DMARC.Policy, result.Disposition())
	// Output:
	// before DATA: fail -all
	// fail reject quarantine
}

func ExampleResult() {
	v := &auth.Verifier{Resolver: published}
	twice := strings.NewReader("From: ann@example.org\r\nFrom: eve@example.com\r\n\r\nWhom do you see?\r\n")
	result, err := v.Verify(context.Background(), auth.Peer{}, smtp.ReversePath{}, twice)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(result.DMARC.Verdict)
	fmt.Println(result.Refusal())
	// Output:
	// none
	// smtp: 550 5.7.1 message refused: several From fields
}

func ExamplePeer() {
	p := auth.NewPeer(&net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 40000}, "mail.example.org")
	fmt.Println(p.IP, p.Hello)
	// Output: 2001:db8::1 mail.example.org
}

func ExampleIPRev() {
	v := &auth.Verifier{Resolver: published}
	client := v.Begin(context.Background(), auth.Peer{IP: netip.MustParseAddr("192.0.2.2")})
	defer client.Close()
	name, err := client.IPRev(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(name.Verdict, name.Problem)
	// Output: permerror the address has no name
}
