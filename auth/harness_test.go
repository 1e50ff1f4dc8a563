package auth_test

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/postrider/postrider/auth"
	"github.com/postrider/postrider/auth/dkim"
	"github.com/postrider/postrider/mx/dns/dnstest"
	"github.com/postrider/postrider/smtp"
)

// key signs in every test.
var key = ed25519.NewKeyFromSeed(bytes.Repeat([]byte("k"), ed25519.SeedSize))

// zone returns a DNS in which example.org has mail.example.org at 192.0.2.1
// for a sender and says p=reject, with more lines.
func zone(t testing.TB, more string) *dnstest.Zone {
	t.Helper()
	record, err := dkim.Record(key)
	if err != nil {
		t.Fatal(err)
	}
	z, err := dnstest.Parse(fmt.Sprintf(`
		example.org                 TXT "v=spf1 a:mail.example.org -all"
		_dmarc.example.org          TXT "v=DMARC1; p=reject"
		key._domainkey.example.org  TXT %[1]q
		key._domainkey.example.net  TXT %[1]q
		mail.example.org            A   192.0.2.1
		mail.example.org            TXT "v=spf1 a -all"
		1.2.0.192.in-addr.arpa      PTR mail.example.org
		%[2]s`, record, more))
	if err != nil {
		t.Fatal(err)
	}
	return z
}

var peer = auth.Peer{IP: netip.MustParseAddr("192.0.2.1"), Hello: "mail.example.org"}

func mailbox(t testing.TB, s string) smtp.ReversePath {
	t.Helper()
	from, err := smtp.ParseReversePath("<" + s + ">")
	if err != nil {
		t.Fatal(err)
	}
	return from
}

const plain = "From: Ann <ann@example.org>\r\nTo: bob@example.net\r\nSubject: numbers\r\nDate: Sun, 22 Nov 2026 09:00:00 +0000\r\nMessage-ID: <1@example.org>\r\n\r\nHello Bob,\r\nhere they are.\r\n"

// signed returns the message with a signature of domain in front.
func signed(t testing.TB, message, domain string) string {
	t.Helper()
	field, err := dkim.Signatures(strings.NewReader(message), &dkim.Signer{Domain: domain, Selector: "key", Key: key})
	if err != nil {
		t.Fatal(err)
	}
	return string(field) + message
}

// in replaces a part that has to be there.
func in(t testing.TB, text, old, new string) string {
	t.Helper()
	if !strings.Contains(text, old) {
		t.Fatalf("no %q in %q", old, text)
	}
	return strings.Replace(text, old, new, 1)
}
