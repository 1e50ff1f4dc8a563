package dkim_test

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/auth/authres"
	"github.com/postrider/postrider/auth/dkim"
	"github.com/postrider/postrider/mx/dns/dnstest"
)

// The keys of the crafted signatures.
var (
	edKey  = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32))
	rsaKey = newRSAKey()
)

func newRSAKey() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		panic(err)
	}
	return key
}

// keyRecord returns the p= and k= of a public key.
func keyRecord(key crypto.Signer) string {
	if public, ok := key.Public().(ed25519.PublicKey); ok {
		return "k=ed25519; p=" + base64.StdEncoding.EncodeToString(public)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		panic(err)
	}
	return "k=rsa; p=" + base64.StdEncoding.EncodeToString(der)
}

func craftZone() *dnstest.Zone {
	zone := dnstest.MustParse("fail._domainkey.example.org SERVFAIL\nslow._domainkey.example.org TIMEOUT\nbogus._domainkey.example.org BOGUS")
	for selector, record := range map[string]string{
		"june": keyRecord(edKey), "rsa": "v=DKIM1; " + keyRecord(rsaKey), "testing": "t=y; " + keyRecord(edKey),
		"strict": "t=s; " + keyRecord(edKey), "sha1": "h=sha1; " + keyRecord(rsaKey), "revoked": "p=", "tlsrpt": "s=tlsrpt; " + keyRecord(edKey),
		"broken": "p=;;", "xn--bcher-kva": keyRecord(edKey), "under_score": keyRecord(edKey),
	} {
		for _, domain := range []string{"example.org", "xn--bcher-kva.example"} {
			if err := zone.Add(selector + "._domainkey." + domain + " TXT " + dnstest.Quote(record)); err != nil {
				panic(err)
			}
		}
	}
	return zone
}

var (
	spaces   = regexp.MustCompile(`[ \t]+`)
	foldings = regexp.MustCompile(`\r\n([ \t])`)
	bTag     = regexp.MustCompile(`((?:^|;)\s*b\s*=)[^;]*`)
)

// craft signs by the sentences of RFC 6376, whatever the tags say: in them BH
// stands for the body hash and SIG for the signature.
func craft(tags, header, body string) string {
	value := func(name string) string {
		for spec := range strings.SplitSeq(tags, ";") {
			if n, v, _ := strings.Cut(spec, "="); strings.TrimSpace(n) == name {
				return strings.TrimSpace(v)
			}
		}
		return ""
	}
	headerCanon, bodyCanon, _ := strings.Cut(value("c"), "/")
	hash := crypto.SHA256
	if value("a") == "rsa-sha1" {
		hash = crypto.SHA1
	}
	sum := func(text string) []byte {
		h := hash.New()
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	canonical := craftBody(bodyCanon, body)
	if n, err := strconv.Atoi(value("l")); err == nil && n < len(canonical) {
		canonical = canonical[:n]
	}
	tags = strings.Replace(tags, "BH", base64.StdEncoding.EncodeToString(sum(canonical)), 1)

	fields := strings.Split(foldings.ReplaceAllString(header, "\x00$1"), "\r\n")
	var signed strings.Builder
	for name := range strings.SplitSeq(value("h"), ":") {
		for i := len(fields) - 1; i >= 0; i-- {
			field, _, _ := strings.Cut(fields[i], ":")
			if fields[i] != "" && strings.EqualFold(strings.TrimSpace(field), strings.TrimSpace(name)) {
				signed.WriteString(craftField(headerCanon, strings.ReplaceAll(fields[i], "\x00", "\r\n")) + "\r\n")
				fields[i] = ""
				break
			}
		}
	}
	field := "DKIM-Signature: " + tags
	signed.WriteString(craftField(headerCanon, "DKIM-Signature: "+bTag.ReplaceAllString(tags, "$1")))

	var key crypto.Signer = edKey
	opts := crypto.SignerOpts(crypto.Hash(0))
	if strings.HasPrefix(value("a"), "rsa") {
		key, opts = rsaKey, hash
	}
	data, err := key.Sign(rand.Reader, sum(signed.String()), opts)
	if err != nil {
		panic(err)
	}
	return strings.Replace(field, "SIG", base64.StdEncoding.EncodeToString(data), 1) + "\r\n" + header + "\r\n" + body
}

func craftBody(canon, body string) string {
	if canon == "relaxed" {
		lines := strings.Split(body, "\r\n")
		for i := range lines {
			lines[i] = spaces.ReplaceAllString(strings.TrimRight(lines[i], " \t"), " ")
		}
		body = strings.Join(lines, "\r\n")
	}
	body = strings.TrimRight(body, "\r\n")
	if body == "" && canon == "relaxed" {
		return ""
	}
	return body + "\r\n"
}

func craftField(canon, field string) string {
	if canon != "relaxed" {
		return field
	}
	name, value, _ := strings.Cut(foldings.ReplaceAllString(field, "$1"), ":")
	return strings.ToLower(strings.TrimSpace(name)) + ":" + strings.Trim(spaces.ReplaceAllString(value, " "), " ")
}

const (
	craftHeader = "Received: by x\r\nFrom: Alice\r\n\t<alice@example.org>\r\nTo: a\r\nTo:  b \r\nSubject: s\r\n"
	craftedBody = "one  two \r\n\r\nthree\r\n\r\n"
	craftTags   = "v=1; a=ed25519-sha256; c=relaxed/relaxed; d=example.org; s=june; h=from:to:subject; bh=BH; b=SIG"
)

// Each signature is good but for what the case says, and gets this verdict,
// reason and number of lookups.
func TestSignatures(t *testing.T) {
	now := time.Unix(1780000000, 0)
	const looked, not = 1, 0
	for _, tt := range []struct {
		tags    string
		verdict authres.Verdict
		reason  string
		lookups int
	}{
		{with(""), authres.Pass, "", looked},
		{with("", "c=relaxed/relaxed", "c=simple/simple"), authres.Pass, "", looked},
		{with("", "c=relaxed/relaxed;", ""), authres.Pass, "", looked}, // §3.5: simple/simple
		{with("", "c=relaxed/relaxed", "c=relaxed"), authres.Pass, "", looked},
		{with("", "c=relaxed/relaxed", "c=simple/relaxed"), authres.Pass, "", looked},
		{with("", "a=ed25519-sha256", "a=rsa-sha256", "s=june", "s=rsa"), authres.Pass, "", looked},
		{with("", "SIG", "\r\n SIG\r\n\t"), authres.Pass, "", looked},
		{with("; x=1999999999", "c=relaxed/relaxed", "c=simple", "SIG", "\r\n SIG\r\n\t"), authres.Pass, "", looked},
		{with("", "h=from:to:subject", "h=\r\n From :\tTO\r\n : to:subject"), authres.Pass, "", looked},
		{with("", "h=from:to:subject", "h=from:from:to:to:to:to:dkim-signature:x"), authres.Pass, "", looked},
		{with("; unknown=1; z=From:x|To:y; r=y"), authres.Pass, "", looked}, // §3.2
		{with("; q=dns/txt"), authres.Pass, "", looked},
		{with("; q=x/y : DNS/TXT"), authres.Pass, "", looked},
		{with("; i=@example.org"), authres.Pass, "", looked},
		{with("; i=alice@Mail.Example.ORG"), authres.Pass, "", looked},
		{with("; i=a=20b\r\n @example.org"), authres.Pass, "", looked},
		{with("; i=\"a@b\"@example.org"), authres.Pass, "", looked},
		{with("; t=1779999999; x=1780000000"), authres.Pass, "", looked},
		{with("; t=1790000000"), authres.Pass, "", looked}, // a clock that is wrong
		{with("; x=999999999999"), authres.Pass, "", looked},
		{with("", "d=example.org", "d=EXAMPLE.Org"), authres.Pass, "", looked},
		{with("", "d=example.org", "d=b\xc3\xbccher.example", "s=june", "s=b\xc3\xbccher"), authres.Pass, "", looked}, // RFC 8616
		{with("", "s=june", "s=under_score"), authres.Pass, "", looked},
		{with("", "s=june", "s=testing"), authres.Pass, "", looked},
		{with("", "s=june", "s=strict"), authres.Pass, "", looked},
		{with("; i=@example.org", "s=june", "s=strict"), authres.Pass, "", looked},

		{with("", "v=1", "v=2"), authres.PermError, "signature of another version", not},
		{with("", "v=1", "v=01"), authres.PermError, "signature of another version", not},
		{with("", "v=1;", ""), authres.PermError, "required tag missing", not},
		{with("", "a=ed25519-sha256;", ""), authres.PermError, "required tag missing", not},
		{with("", "d=example.org;", ""), authres.PermError, "required tag missing", not},
		{with("", "s=june;", ""), authres.PermError, "required tag missing", not},
		{with("", "h=from:to:subject;", ""), authres.PermError, "required tag missing", not},
		{with("", "bh=BH;", ""), authres.PermError, "required tag missing", not},
		{with("", "; b=SIG", ""), authres.PermError, "required tag missing", not},
		{with("; v=1"), authres.PermError, "tag given twice", not},
		{with("; b="), authres.PermError, "tag given twice", not},
		{with("; u=1; u=1"), authres.PermError, "tag given twice", not},
		{with("; u"), authres.PermError, "malformed signature", not},
		{with(";;"), authres.PermError, "malformed signature", not},
		{with("; u=\x01"), authres.PermError, "malformed signature", not},
		{with("; u=a\nb"), authres.PermError, "malformed signature", not},
		{with("; " + strings.Repeat("u", 5000)), authres.PermError, "malformed signature", not},
		{with("", "d=example.org", "d="), authres.PermError, "malformed domain", not},
		{with("", "d=example.org", "d=org"), authres.PermError, "malformed domain", not},
		{with("", "d=example.org", "d=example..org"), authres.PermError, "malformed domain", not},
		{with("", "d=example.org", "d=example.org."), authres.PermError, "malformed domain", not},
		{with("", "d=example.org", "d=exa mple.org"), authres.PermError, "malformed domain", not},
		{with("", "d=example.org", "d=exa/mple.org"), authres.PermError, "malformed domain", not},
		{with("", "d=example.org", "d=example.\r\n org"), authres.PermError, "malformed domain", not},
		{with("", "d=example.org", "d=_x.example.org"), authres.PermError, "malformed domain", not},
		{with("", "d=example.org", "d=exa\x00mple.org"), authres.PermError, "malformed signature", not},
		{with("", "d=example.org", "d=exa\x7fmple.org"), authres.PermError, "malformed signature", not},
		{with("", "s=june", "s="), authres.PermError, "malformed selector", not},
		{with("", "s=june", "s=a b"), authres.PermError, "malformed selector", not},
		{with("", "s=june", "s=june."), authres.PermError, "malformed selector", not},
		{with("", "s=june", "s=*"), authres.PermError, "malformed selector", not},
		{with("", "s=june", "s=a\x1bb"), authres.PermError, "malformed signature", not},
		{with("", "s=june", "s="+strings.Repeat("a.", 125)+"a"), authres.PermError, "selector is no name of a host", not},
		{with("; i="), authres.PermError, "malformed identity", not},
		{with("; i=example.org"), authres.PermError, "malformed identity", not},
		{with("; i=a@"), authres.PermError, "malformed identity", not},
		{with("; i=a@b c"), authres.PermError, "malformed identity", not},
		{with("; i=" + strings.Repeat("a", 1100) + "@example.org"), authres.PermError, "malformed identity", not},
		{with("; i=a@example.com"), authres.PermError, "identity not within the domain", not},
		{with("; i=a@notexample.org"), authres.PermError, "identity not within the domain", not},
		{with("; i=a@example.org@evil.example"), authres.PermError, "identity not within the domain", not},
		{with("", "h=from:to:subject", "h=to:subject"), authres.PermError, "From not signed", not},
		{with("", "h=from:to:subject", "h=fromm:to"), authres.PermError, "From not signed", not},
		{with("", "h=from:to:subject", "h="), authres.PermError, "malformed list of fields", not},
		{with("", "h=from:to:subject", "h=from:"), authres.PermError, "malformed list of fields", not},
		{with("", "h=from:to:subject", "h=fr om"), authres.PermError, "malformed list of fields", not},
		{with("", "a=ed25519-sha256", "a=rsa-md5"), authres.Neutral, "unknown algorithm", not},
		{with("", "a=ed25519-sha256", "a=ED25519-SHA256"), authres.Neutral, "unknown algorithm", not},
		{with("", "a=ed25519-sha256", "a=rsa-sha1", "s=june", "s=rsa"), authres.PermError, "rsa-sha1 not accepted", not},
		{with("", "c=relaxed/relaxed", "c=nofws"), authres.Neutral, "unknown canonicalization", not},
		{with("", "c=relaxed/relaxed", "c=relaxed/nofws"), authres.Neutral, "unknown canonicalization", not},
		{with("", "c=relaxed/relaxed", "c=relaxed/"), authres.Neutral, "unknown canonicalization", not},
		{with("", "c=relaxed/relaxed", "c="), authres.Neutral, "unknown canonicalization", not},
		{with("; q=dns"), authres.Neutral, "unknown query method", not},
		{with("", "b=SIG", "b="), authres.PermError, "malformed signature data", not},
		{with("", "b=SIG", "b=!SIG"), authres.PermError, "malformed signature data", not},
		{with("", "b=SIG", "b="+strings.Repeat("AAAA", 200)), authres.PermError, "malformed signature data", not},
		{with("", "bh=BH", "bh="), authres.PermError, "malformed body hash", not},
		{with("", "bh=BH", "bh=AAAA"), authres.PermError, "malformed body hash", not},
		{with("", "bh=BH", "bh=BH!"), authres.PermError, "malformed body hash", not},
		{with("; t="), authres.PermError, "malformed time", not},
		{with("; t=-1"), authres.PermError, "malformed time", not},
		{with("; t=1234567890123"), authres.PermError, "malformed time", not},
		{with("; x=never"), authres.PermError, "malformed time", not},
		{with("; t=1790000000; x=1790000000"), authres.PermError, "malformed time", not}, // §3.5
		{with("; t=0; x=0"), authres.PermError, "malformed time", not},
		{with("; x=1779999999"), authres.PermError, "signature expired", not},
		{with("; x=0"), authres.PermError, "signature expired", not},
		{with("; l="), authres.PermError, "malformed body length", not},
		{with("; l=1x"), authres.PermError, "malformed body length", not},
		{with("; l=" + strings.Repeat("1", 77)), authres.PermError, "malformed body length", not},
		{with("; l=5"), authres.Policy, "only a part of the body is signed", not},
		{with("; l=" + strings.Repeat("1", 76)), authres.Policy, "only a part of the body is signed", not},

		{with("", "b=SIG", "b=AAAASIG"), authres.Fail, "signature does not verify", looked},
		{with("", "bh=BH", "bh="+strings.Repeat("A", 43)+"="), authres.Fail, "body was changed", looked},
		{with("", "s=june", "s=fail", "bh=BH", "bh="+strings.Repeat("A", 43)), authres.Fail, "body was changed", looked},
		{with("", "s=june", "s=nokey"), authres.PermError, "no key", looked},
		{with("", "s=june", "s=revoked"), authres.PermError, "key revoked", looked},
		{with("", "s=june", "s=broken"), authres.PermError, "malformed key record", looked},
		{with("", "s=june", "s=tlsrpt"), authres.PermError, "key not for email", looked},
		{with("", "s=june", "s=fail"), authres.TempError, "key unavailable", looked},
		{with("", "s=june", "s=slow"), authres.TempError, "key unavailable", looked},
		{with("", "s=june", "s=bogus"), authres.TempError, "key unavailable", looked},
		{with("", "s=june", "s=rsa"), authres.PermError, "key of another algorithm", looked},
		{with("", "a=ed25519-sha256", "a=rsa-sha256"), authres.PermError, "key of another algorithm", looked},
		{with("", "a=ed25519-sha256", "a=rsa-sha256", "s=june", "s=sha1"), authres.PermError, "hash algorithm not allowed by the key", looked},
		{with("; i=@mail.example.org", "s=june", "s=strict"), authres.PermError, "key does not speak for subdomains", looked},
	} {
		zone := craftZone()
		v := &dkim.Verifier{Resolver: zone, Now: func() time.Time { return now }}
		got, err := v.Verify(t.Context(), strings.NewReader(craft(tt.tags, craftHeader, craftedBody)))
		if err != nil || len(got) != 1 {
			t.Fatalf("%q: %v %v", tt.tags, got, err)
		}
		if r := got[0]; r.Verdict != tt.verdict || r.Reason != tt.reason || len(zone.Queries()) != tt.lookups {
			t.Errorf("%.200q: %s %q after %d lookups, want %s %q after %d", tt.tags, r.Verdict, r.Reason, len(zone.Queries()), tt.verdict, tt.reason, tt.lookups)
		}
	}
}

// with returns craftTags with every second text in place of the one before it,
// and more at the end.
func with(more string, oldnew ...string) string {
	tags := craftTags
	for i := 0; i < len(oldnew); i += 2 {
		if !strings.Contains(tags, oldnew[i]) {
			panic(oldnew[i])
		}
		tags = strings.Replace(tags, oldnew[i], oldnew[i+1], 1)
	}
	return tags + more
}
