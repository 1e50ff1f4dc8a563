package dkim_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"fmt"
	"io"
	"log"
	"strings"

	"github.com/postrider/postrider/auth/dkim"
	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/mx/dns/dnstest"
	"github.com/postrider/postrider/server/smtptest"
	"github.com/postrider/postrider/smtp"
)

const letter = "Date: Mon, 02 Nov 2026 10:00:00 +0000\r\n" +
	"From: ann@example.org\r\n" +
	"To: bob@example.com\r\n" +
	"Subject: Hello\r\n" +
	"\r\n" +
	"How are you?\r\n"

// exampleKey is always the same one, as no key for mail should be.
var exampleKey = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))

// One side signs, the other verifies with the key that it finds in the DNS.
func Example() {
	key, err := dkim.GenerateKey(dkim.Ed25519, 0)
	if err != nil {
		log.Fatal(err)
	}
	signer := &dkim.Signer{Domain: "example.org", Selector: "2026a", Key: key}
	fields, err := dkim.Signatures(strings.NewReader(letter), signer)
	if err != nil {
		log.Fatal(err)
	}

	name, _ := signer.RecordName()
	text, _ := dkim.Record(key)
	zone := dnstest.MustParse(name + " TXT " + dnstest.Quote(text)) // stands for the DNS
	verifier := &dkim.Verifier{Resolver: zone}                      // elsewhere &dns.Stub{}
	for _, message := range []string{
		letter,
		strings.Replace(letter, "From", "FROM", 1), // another case is still the same field
		strings.Replace(letter, "Hello", "Help", 1),
		"Reply-To: eve@example.net\r\n" + letter,
	} {
		results, err := verifier.Verify(context.Background(), strings.NewReader(string(fields)+message))
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(results[0].Verdict, results[0].Domain)
	}
	// Output:
	// pass example.org
	// pass example.org
	// fail example.org
	// fail example.org
}

// A message that is sent is signed first, and its key is in the DNS.
func ExampleSigner() {
	signer := &dkim.Signer{Domain: "example.org", Selector: "2026a", Key: exampleKey}
	name, _ := signer.RecordName()
	text, _ := dkim.Record(exampleKey)
	fmt.Println(name, "TXT", text)

	signed, err := dkim.Sign(smtp.BytesContent([]byte(letter)), signer)
	if err != nil {
		log.Fatal(err)
	}
	s := smtptest.NewUnstartedServer()
	if err := s.Start(); err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	c := &client.Client{Addr: s.Addr, TLSConfig: s.ClientTLSConfig()}
	defer c.Close()
	env, _ := smtp.NewEnvelope("ann@example.org", "bob@example.com")
	if _, err := c.Send(context.Background(), env, signed); err != nil {
		log.Fatal(err)
	}
	field := s.Messages()[0].Header("DKIM-Signature")
	fmt.Println(strings.HasPrefix(field, "v=1; a=ed25519-sha256; c=relaxed/relaxed; d=example.org;"))
	// Output:
	// 2026a._domainkey.example.org TXT v=DKIM1; k=ed25519; p=O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik=
	// true
}

// A message that passes by is signed on the way to where it is kept. What
// belongs in front of it is known when all of it has passed.
func ExampleSigning() {
	signer := &dkim.Signer{Domain: "example.org", Selector: "2026a", Key: exampleKey}
	signing, err := dkim.BeginSigning(signer)
	if err != nil {
		log.Fatal(err)
	}
	var kept bytes.Buffer
	if _, err := io.Copy(io.MultiWriter(&kept, signing), strings.NewReader(letter)); err != nil {
		log.Fatal(err)
	}
	prefix, err := signing.Finish()
	if err != nil {
		log.Fatal(err)
	}
	name, _, _ := strings.Cut(string(prefix), ":")
	fmt.Println(name)
	fmt.Print(strings.ReplaceAll(kept.String(), "\r\n", "\n"))
	// Output:
	// DKIM-Signature
	// Date: Mon, 02 Nov 2026 10:00:00 +0000
	// From: ann@example.org
	// To: bob@example.com
	// Subject: Hello
	//
	// How are you?
}

// Not every verifier knows Ed25519 yet, so a domain that uses it signs twice.
func ExampleSignatures() {
	var signers []*dkim.Signer
	for _, t := range []dkim.KeyType{dkim.RSA, dkim.Ed25519} {
		key, err := dkim.GenerateKey(t, 0)
		if err != nil {
			log.Fatal(err)
		}
		signers = append(signers, &dkim.Signer{Domain: "example.org", Selector: string(t), Key: key})
	}
	fields, err := dkim.Signatures(strings.NewReader(letter), signers...)
	if err != nil {
		log.Fatal(err)
	}
	for line := range strings.Lines(string(fields)) {
		if strings.HasPrefix(line, "DKIM-Signature:") {
			fmt.Println(strings.TrimSpace(line))
		}
	}
	// Output:
	// DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org; s=rsa;
	// DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed; d=example.org;
}

// A key is made once, kept in a file, and published.
func ExampleKeyType() {
	for _, t := range []dkim.KeyType{dkim.RSA, dkim.Ed25519} {
		key, err := dkim.GenerateKey(t, 0)
		if err != nil {
			log.Fatal(err)
		}
		text, err := dkim.MarshalPrivateKey(key)
		if err != nil {
			log.Fatal(err)
		}
		again, err := dkim.ParsePrivateKey(text)
		if err != nil {
			log.Fatal(err)
		}
		record, err := dkim.Record(again)
		if err != nil {
			log.Fatal(err)
		}
		same := key.(interface{ Equal(crypto.PrivateKey) bool }).Equal(again)
		before, _, _ := strings.Cut(record, "p=")
		fmt.Println(same, len(record), strings.TrimSpace(before))
	}
	// Output:
	// true 410 v=DKIM1; k=rsa;
	// true 66 v=DKIM1; k=ed25519;
}

func ExampleMasterFile() {
	record, err := dkim.Record(exampleKey, "t=s", "n=made for an example")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(dkim.MasterFile("2026a._domainkey.example.org", record))
	// Output:
	// 2026a._domainkey.example.org. IN TXT "v=DKIM1; k=ed25519; t=s; n=made for an example; p=O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik="
}

// A program that signs finds out when it starts that its key is not published.
func ExampleSigner_Check() {
	signer := &dkim.Signer{Domain: "example.org", Selector: "2026a", Key: exampleKey}
	empty := dnstest.MustParse("example.org TXT \"v=spf1 -all\"") // stands for the DNS
	fmt.Println(signer.Check(context.Background(), empty))
	// Output:
	// dkim: signatures do not verify with 2026a._domainkey.example.org: no key
}

// Relays fold fields anew and cut blanks off lines. Which of it a signature
// survives is the signer's choice.
func ExampleCanonicalization() {
	changed := strings.Replace(letter, "Subject: Hello", "Subject:\r\n\tHello", 1)
	for _, header := range []dkim.Canonicalization{dkim.Relaxed, dkim.Simple} {
		signer := &dkim.Signer{Domain: "example.org", Selector: "2026a", Key: exampleKey, Header: header}
		fields, err := dkim.Signatures(strings.NewReader(letter), signer)
		if err != nil {
			log.Fatal(err)
		}
		name, _ := signer.RecordName()
		text, _ := dkim.Record(exampleKey)
		verifier := &dkim.Verifier{Resolver: dnstest.MustParse(name + " TXT " + dnstest.Quote(text))}
		results, err := verifier.Verify(context.Background(), strings.NewReader(string(fields)+changed))
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(header, results[0].Verdict)
	}
	// Output:
	// relaxed pass
	// simple fail
}
