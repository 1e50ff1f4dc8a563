package dkim

import (
	"crypto"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/idna"

	"github.com/postrider/postrider/auth/internal/message"
	"github.com/postrider/postrider/auth/internal/signing"
	"github.com/postrider/postrider/mx/dns"
	"github.com/postrider/postrider/smtp"
)

// A Signer signs messages for a domain, with one key (RFC 6376 §5). Domain,
// Selector and Key have to be set. A Signer is safe for concurrent use as long
// as nobody changes it.
//
// [Sign] signs a message that is about to be sent, [BeginSigning] one that is
// passing by, [Signatures] any io.Reader. Each takes several Signers and reads
// the message once: to sign with an Ed25519 key, sign with an RSA key too
// (RFC 8463 §3).
type Signer struct {
	// Domain takes responsibility for the message (tag d=). It has two labels
	// or more; U-labels are written as A-labels.
	Domain string

	// Selector says which of the domain's keys it is (tag s=), in one label
	// or more. The key is published at Selector._domainkey.Domain.
	Selector string

	// Key is the private key: *rsa.PrivateKey, ed25519.PrivateKey, or
	// whatever signs with PKCS #1 v1.5 and SHA-256 or with Ed25519, such as a
	// device. If it is such, each signature it makes is verified.
	Key crypto.Signer

	// MinRSABits is how long an RSA key must be, 1024 to 4096 bits. If zero,
	// 2048. RFC 8301 §3.2 lets signers use 1024 and asks for 2048.
	MinRSABits int

	// Identity is the user or agent on whose behalf the domain signs (tag
	// i=): an address in the domain or below it, or "@" and such a domain. If
	// empty, it is not named, which means "@" and the domain.
	Identity string

	// Lifetime is how long the signature is valid from now on (tag x=), in
	// whole seconds. Mail may be on its way for a week. If zero, for ever.
	Lifetime time.Duration

	// Header and Body are the canonicalizations (tag c=). If zero, Relaxed.
	Header, Body Canonicalization

	// Fields names the fields to sign if they are present, From among them.
	// If nil: From, Reply-To, Subject, Date, To and Cc, the rest of what
	// RFC 6376 §5.4.1 advises, and fields that receivers expect signed since:
	// Message-ID, MIME-Version, Content-*, List-Unsubscribe-Post and others.
	Fields []string

	// Oversign names the fields that nobody may add another one of, absent
	// ones included: the signature does not verify then (RFC 6376 §8.15). If
	// nil: From, Reply-To, Subject, Date, To and Cc if they are among Fields,
	// and of those that stand in a message once, such as Sender and
	// Content-Type, the ones that are present. If empty but not nil, none.
	// So a message should have its Date and To before it is signed: some
	// relays add what is missing.
	Oversign []string

	// Now is asked for the time (tag t=). If nil, time.Now.
	Now func() time.Time
}

// A Canonicalization says which changes on its way a part of the message
// survives (RFC 6376 §3.4).
type Canonicalization uint8

// The canonicalizations.
const (
	Relaxed Canonicalization = iota // other white space, other folding, field names in another case
	Simple                          // none
)

// String returns the word in the tag c=.
func (c Canonicalization) String() string {
	if c == Simple {
		return "simple"
	}
	return "relaxed"
}

func (c Canonicalization) canon() message.Canon {
	if c == Simple {
		return message.Simple
	}
	return message.Relaxed
}

// Errors of messages that are not signed. The error of a header section that is
// too large or has too many fields is another one.
var (
	ErrNoFrom      = errors.New("dkim: not signed: the message has no From field, or more than one")       // RFC 6376 §5.4, RFC 5322 §3.6
	ErrBareLineEnd = errors.New("dkim: not signed: the message has a CR or LF that is not part of a CRLF") // RFC 6376 §5.3
	ErrHeader      = errors.New("dkim: not signed: the header section has a NUL, or a line that is not part of a field")
)

// RecordName returns the name at which the key's record is published (RFC 6376
// §3.6.2.1), without a final dot. [Record] gives the text. The error says what is
// wrong with Domain or Selector; no key is needed.
func (s *Signer) RecordName() (string, error) {
	domain, selector, err := s.names()
	if err != nil {
		return "", err
	}
	return selector + "._domainkey." + domain, nil
}

// names returns Domain and Selector in A-labels.
func (s *Signer) names() (domain, selector string, err error) {
	if domain, err = toASCII(s.Domain); err != nil {
		return "", "", signerError("domain", err)
	}
	if !strings.Contains(domain, ".") { // §3.5, domain-name
		return "", "", signerError("domain", errors.New("there is only one label"))
	}
	if selector, err = toASCII(s.Selector); err != nil {
		return "", "", signerError("selector", err)
	}
	if !dns.ValidName(selector + "._domainkey." + domain) {
		return "", "", signerError("selector", errors.New("the record's name would be longer than 253 octets"))
	}
	return domain, selector, nil
}

func signerError(what string, err error) error { return fmt.Errorf("dkim: signer: %s: %w", what, err) }

// prepared is a Signer that was found to be complete.
type prepared struct {
	*Signer
	key                        signing.Key
	domain, selector, identity string
}

// prepare checks everything that does not depend on the message.
func (s *Signer) prepare() (p prepared, err error) {
	p.Signer = s
	if p.domain, p.selector, err = s.names(); err != nil {
		return p, err
	}
	if p.identity, err = s.auid(p.domain); err != nil {
		return p, signerError("identity", err)
	}
	if min := s.MinRSABits; min != 0 && (min < signing.MinRSA || min > signing.MaxRSA) {
		return p, signerError("MinRSABits", fmt.Errorf("%d is not between %d and %d", min, signing.MinRSA, signing.MaxRSA))
	}
	if p.key, err = signing.NewKey(s.Key, s.MinRSABits); err != nil {
		return p, signerError("key", err)
	}
	if s.Lifetime < 0 || s.Lifetime > 0 && s.Lifetime < time.Second {
		return p, signerError("lifetime", errors.New("it is shorter than a second"))
	}
	if s.Header > Simple || s.Body > Simple {
		return p, signerError("canonicalization", errors.New("there is no such"))
	}
	if err = s.checkNames(); err != nil {
		return p, signerError("fields", err)
	}
	return p, nil
}

// toASCII checks a domain or a selector, which has the same syntax (§3.1), and
// returns it in A-labels.
func toASCII(name string) (string, error) {
	if err := smtp.ParseDomain(name); err != nil {
		return "", err
	}
	for _, c := range []byte(name) {
		if c >= 0x80 {
			return idna.Lookup.ToASCII(name)
		}
	}
	return strings.ToLower(name), nil
}

// auid returns the value of the tag i= (§3.5), or nothing.
func (s *Signer) auid(sdid string) (string, error) {
	if s.Identity == "" {
		return "", nil
	}
	at := strings.LastIndexByte(s.Identity, '@')
	if at < 0 {
		return "", errors.New("it has no @")
	}
	domain, err := toASCII(s.Identity[at+1:])
	if err != nil {
		return "", err
	}
	if domain != sdid && !strings.HasSuffix(domain, "."+sdid) {
		return "", fmt.Errorf("%s is neither %s nor below it", domain, sdid)
	}
	local := s.Identity[:at]
	if local != "" {
		if _, err := smtp.ParseMailbox(s.Identity); err != nil {
			return "", err
		}
	}
	return string(appendQuotedPrintable(nil, local)) + "@" + domain, nil
}

// appendQuotedPrintable writes a local part in dkim-quoted-printable (§2.11), the
// octets that are not ASCII too: RFC 8616 §3 allows them only where the header
// section is UTF-8. There are verifiers who take "b=" in it for the tag b=, so
// that is not written either.
func appendQuotedPrintable(dst []byte, s string) []byte {
	special := func(c byte) bool { return c <= ' ' || c > '~' || c == ';' || c == '=' }
	for i := range len(s) {
		if c := s[i]; special(c) || c == 'b' && i+1 < len(s) && special(s[i+1]) {
			dst = fmt.Appendf(dst, "=%02X", c)
		} else {
			dst = append(dst, c)
		}
	}
	return dst
}

// field makes the DKIM-Signature field of a message, whose body has this hash
// (§3.5, §3.7).
func (p *prepared) field(m *message.Message, bodyHash []byte) ([]byte, error) {
	names, err := p.fieldNames(m.Fields())
	if err != nil {
		return nil, err
	}
	now := time.Now()
	if p.Now != nil {
		now = p.Now()
	}
	f := signing.NewField("DKIM-Signature")
	f.Tag("v", "1")
	f.Tag("a", p.key.Algorithm())
	f.Tag("c", p.Header.String()+"/"+p.Body.String())
	f.Tag("d", p.domain)
	f.Tag("s", p.selector)
	f.Tag("t", strconv.FormatInt(now.Unix(), 10))
	if p.Lifetime > 0 {
		f.Tag("x", strconv.FormatInt(now.Add(p.Lifetime).Unix(), 10))
	}
	if p.identity != "" {
		f.Tag("i", p.identity)
	}
	f.List("h", names)
	f.Base64("bh", bodyHash)
	h := message.NewFieldHash(p.Header.canon(), crypto.SHA256)
	pick := m.Picker(-1)
	for _, name := range names {
		if field, ok := pick.Pick([]byte(name)); ok {
			h.Add(field)
		}
	}
	signed, err := f.Sign(p.key, h)
	if err != nil {
		return nil, fmt.Errorf("dkim: not signed: %w", err)
	}
	return signed, nil
}
