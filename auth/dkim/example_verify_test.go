package dkim_test

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/postrider/postrider/auth/dkim"
	"github.com/postrider/postrider/mx/dns/dnstest"
)

// lunch is a message with a signature, and zone the DNS with its key.
var (
	lunch = strings.ReplaceAll(`DKIM-Signature: a=ed25519-sha256; bh=4daN71HNdn/d5SSJNrmA4GnDoSU3uSw9/N1YsKJOhFc=;
 c=relaxed/relaxed; d=example.org; h=From:To:Subject:Date; s=june;
 t=1795339883; v=1;
 b=xQhHhPkrniUYj4ikxpxw6jStb0Y8Pl1Vf2Kfbqd0x8R9do18eCuF0ghQrcANzz+w2wB4wz5C
 sVa6960ENfp4Bw==
From: Alice <alice@example.org>
To: bob@example.net
Subject: Lunch
Date: Tue, 2 Jun 2026 10:11:12 +0200

At noon?
`, "\n", "\r\n")
	zone = dnstest.MustParse(`june._domainkey.example.org TXT "v=DKIM1; k=ed25519; p=6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0iw="`)
)

func ExampleVerifier() {
	v := &dkim.Verifier{Resolver: zone}
	results, err := v.Verify(context.Background(), strings.NewReader(lunch))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range results {
		fmt.Println(r.Verdict, r.Domain)
	}
	// Output: pass example.org
}

// A Check takes a message while it goes somewhere else.
func ExampleCheck() {
	ctx := context.Background()
	v := &dkim.Verifier{Resolver: zone}
	c := v.Begin(ctx)
	defer c.Abort() // does nothing after Finish
	changed := strings.Replace(lunch, "noon", "one", 1)
	if _, err := io.Copy(io.MultiWriter(io.Discard, c), strings.NewReader(changed)); err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range c.Finish(ctx) {
		fmt.Println(r.Verdict, r.Reason)
	}
	// Output: fail body was changed
}

func ExampleResult() {
	v := &dkim.Verifier{Resolver: zone}
	results, _ := v.Verify(context.Background(), strings.NewReader(lunch))
	for _, p := range results[0].AuthRes().Properties {
		fmt.Printf("%s.%s=%s\n", p.Type, p.Name, p.Value)
	}
	// Output:
	// header.d=example.org
	// header.i=@example.org
	// header.s=june
	// header.a=ed25519-sha256
	// header.b=xQhHhPkr
}
