package arc_test

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"github.com/postrider/postrider/auth/arc"
	"github.com/postrider/postrider/auth/authres"
	"github.com/postrider/postrider/mx/dns/dnstest"
)

// key is the key of lists.example.org, and zone publishes it.
var (
	key  = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	zone = dnstest.MustParse(`2026._domainkey.lists.example.org TXT "v=DKIM1; k=ed25519; p=` +
		base64.StdEncoding.EncodeToString(key.Public().(ed25519.PublicKey)) + `"`)
)

const message = "From: Jo <jo@example.com>\r\n" +
	"Subject: [list] Hello\r\n" +
	"\r\n" +
	"Hello.\r\n"

// sealed returns the message with one set.
func sealed() string {
	s := &arc.Sealer{Domain: "lists.example.org", Selector: "2026", Key: key}
	found := authres.Field{AuthServID: "lists.example.org", Results: []authres.Result{{Method: "dkim", Verdict: authres.Pass}}}
	set, err := s.Seal(strings.NewReader(message), arc.Result{Verdict: authres.None}, found)
	if err != nil {
		panic(err)
	}
	return string(set) + message
}

func ExampleVerifier() {
	v := &arc.Verifier{Resolver: zone}
	r, err := v.Verify(context.Background(), strings.NewReader(sealed()))
	fmt.Println(r.Verdict, err)
	// Output: pass <nil>
}

// A Check takes the message as it comes.
func ExampleCheck() {
	ctx := context.Background()
	v := &arc.Verifier{Resolver: zone}
	check := v.Begin(ctx)
	defer check.Abort() // if anything below fails
	if _, err := io.Copy(check, strings.NewReader(sealed())); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(check.Finish(ctx).Verdict)
	// Output: pass
}

func ExampleResult() {
	v := &arc.Verifier{Resolver: zone}
	r, err := v.Verify(context.Background(), strings.NewReader(strings.Replace(sealed(), "Hello.", "Bye.", 1)))
	fmt.Println(r.Verdict, r.Reason, err)
	f := authres.Field{AuthServID: "mx.example.net", Results: []authres.Result{r.AuthRes(netip.MustParseAddr("192.0.2.1"))}}
	fmt.Print(strings.ReplaceAll(f.String(), "\r\n", "\n"))
	// Output:
	// fail ARC-Message-Signature i=1: body was changed <nil>
	// Authentication-Results: mx.example.net;
	// 	arc=fail (i=1 d=lists.example.org)
	// 	reason="ARC-Message-Signature i=1: body was changed"
	// 	smtp.remote-ip=192.0.2.1
}

func ExampleSet() {
	v := &arc.Verifier{Resolver: zone}
	r, err := v.Verify(context.Background(), strings.NewReader(sealed()))
	for _, set := range r.Chain {
		for _, said := range set.AuthRes.Results {
			fmt.Printf("%s says %s=%s\n", set.Seal.Domain, said.Method, said.Verdict)
		}
	}
	fmt.Println(err)
	// Output:
	// lists.example.org says dkim=pass
	// <nil>
}

func ExampleSignature() {
	v := &arc.Verifier{Resolver: zone}
	r, err := v.Verify(context.Background(), strings.NewReader(sealed()))
	var s arc.Signature = r.Chain[0].Message
	fmt.Println(s.Domain, s.Selector, s.Algorithm, s.Verdict, err)
	// Output: lists.example.org 2026 ed25519-sha256 pass <nil>
}

// Before a list changes a message it verifies the chain, and seals it after.
func ExampleSealer() {
	ctx := context.Background()
	v := &arc.Verifier{Resolver: zone}
	chain, err := v.Verify(ctx, strings.NewReader(sealed()))
	if err != nil {
		fmt.Println(err)
		return
	}
	changed := strings.Replace(sealed(), "[list]", "[another list]", 1)

	s := &arc.Sealer{Domain: "lists.example.org", Selector: "2026", Key: key}
	found := authres.Field{AuthServID: "mx.lists.example.org", Results: []authres.Result{chain.AuthRes(netip.Addr{})}}
	set, err := s.Seal(strings.NewReader(changed), chain, found)
	if err != nil {
		fmt.Println(err)
		return
	}
	again, err := v.Verify(ctx, strings.NewReader(string(set)+changed))
	fmt.Println(again.Verdict, len(again.Chain), "sets, unchanged since", again.OldestPass, err)
	// Output: pass 2 sets, unchanged since 2 <nil>
}

// A Sealing takes the message as it leaves.
func ExampleSealing() {
	s := &arc.Sealer{Domain: "lists.example.org", Selector: "2026", Key: key}
	sealing, err := s.Begin()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Fprint(sealing, message)
	set, err := sealing.Finish(arc.Result{Verdict: authres.None}, authres.Field{AuthServID: "mx.example.org"})
	fmt.Println(strings.Count(string(set), "ARC-"), err)
	// Output: 3 <nil>
}
