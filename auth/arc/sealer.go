package arc

import (
	"crypto"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/postrider/postrider/auth/authres"
	"github.com/postrider/postrider/auth/internal/key"
	"github.com/postrider/postrider/auth/internal/message"
	"github.com/postrider/postrider/auth/internal/signing"
	"github.com/postrider/postrider/mx/dns"
)

// A Sealer adds sets to messages that are forwarded (RFC 8617 §5.1). Domain,
// Selector and Key must be set. It must not be changed while in use, and is
// safe for concurrent use.
//
// What is sealed is the message as it leaves, with all that was changed or
// added on the way. Sets are on top of it.
type Sealer struct {
	// Domain takes responsibility for the set (d=). It has two labels or more;
	// U-labels are written as A-labels.
	Domain string
	// Selector says which of the domain's keys it is (s=). The key is published
	// at Selector._domainkey.Domain, as for DKIM.
	Selector string
	// Key is an *rsa.PrivateKey, an ed25519.PrivateKey, or whatever signs with
	// PKCS #1 v1.5 and SHA-256 or with Ed25519. Few can verify the latter, and
	// unlike DKIM a set has room for one signature.
	Key crypto.Signer
	// MinRSABits is how long an RSA key must be, 1024 to 4096 bits. If zero,
	// 2048.
	MinRSABits int
	// Fields names the fields that the message's signature covers, in order;
	// a name covers one field, from the bottom of the header up, or that there
	// is none. From must be among them (RFC 6376 §5.4), those of ARC and
	// Authentication-Results cannot be (§4.1.2). If nil: the fields that people and programs see, DKIM-Signature,
	// and that nobody adds another From, To, Cc, Reply-To, Subject or Date.
	Fields []string
	// MaxHeaderSize and MaxFields are as in Verifier; a message beyond them is
	// not sealed.
	MaxHeaderSize, MaxFields int
	// Now is asked for the time (t=). If nil, time.Now.
	Now func() time.Time
}

// Why a message is not sealed. It can go on without.
var (
	// ErrMalformed: the header has a NUL or a bare CR or LF, which others read
	// in other ways, or it begins with a blank, as if it went on.
	ErrMalformed = errors.New("arc: not sealed: malformed header")
	// ErrOtherChain: the Result is not that of this message.
	ErrOtherChain = errors.New("arc: not sealed: the message has another chain than the result")
)

// Seal reads a message, with CRLF at the end of its lines, and returns the
// fields to put on top of it. See [Sealing.Finish]. An error may be r's.
func (s *Sealer) Seal(r io.Reader, chain Result, found authres.Field) ([]byte, error) {
	b, err := s.Begin()
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(b, r); err != nil {
		return nil, err
	}
	return b.Finish(chain, found)
}

// Begin returns a Sealing for one message. An error says what is wrong with the
// Sealer.
func (s *Sealer) Begin() (*Sealing, error) {
	b := &Sealing{s: s, names: s.Fields}
	var ok bool
	if b.domain, ok = key.Domain([]byte(s.Domain)); !ok {
		return nil, fmt.Errorf("arc: sealer: %q is no domain", s.Domain)
	}
	if b.selector, ok = key.Selector([]byte(s.Selector)); !ok || !dns.ValidName(b.selector+"._domainkey."+b.domain) {
		return nil, fmt.Errorf("arc: sealer: %q is no selector", s.Selector)
	}
	for _, name := range s.Fields {
		if err := checkName(name); err != nil {
			return nil, err
		}
	}
	if isFrom := func(name string) bool { return strings.EqualFold(name, "from") }; s.Fields != nil && !slices.ContainsFunc(s.Fields, isFrom) {
		return nil, errors.New("arc: sealer: field From must be signed")
	}
	var err error
	if b.key, err = signing.NewKey(s.Key, s.MinRSABits); err != nil {
		return nil, fmt.Errorf("arc: sealer: %w", err)
	}
	b.message = message.New(message.Limits{MaxHeader: s.MaxHeaderSize, MaxFields: s.MaxFields}, b.begin)
	return b, nil
}

// checkName checks the name of a field to be signed.
func checkName(name string) error {
	for i := 0; i < len(name); i++ {
		if c := name[i]; c <= ' ' || c >= 0x7f || c == ':' || c == ';' {
			return fmt.Errorf("arc: sealer: %q is no name of a field", name)
		}
	}
	for _, no := range []string{"", resultsName, signatureName, sealName, authres.FieldName} {
		if strings.EqualFold(name, no) {
			return fmt.Errorf("arc: sealer: field %q cannot be signed", name)
		}
	}
	return nil
}

// signedFields are signed unless the Sealer says which.
var signedFields = []struct {
	name string
	once bool // that there is no further one is signed too
}{
	{"from", true}, {"to", true}, {"cc", true}, {"reply-to", true}, {"subject", true}, {"date", true},
	{"sender", false}, {"message-id", false}, {"in-reply-to", false}, {"references", false},
	{"mime-version", false}, {"content-type", false}, {"content-transfer-encoding", false},
	{"resent-date", false}, {"resent-from", false}, {"resent-to", false}, {"resent-cc", false},
	{"list-id", false}, {"list-help", false}, {"list-unsubscribe", false}, {"list-unsubscribe-post", false},
	{"list-subscribe", false}, {"list-post", false}, {"list-owner", false}, {"list-archive", false},
	{"dkim-signature", false}, // §4.1.2
}

// maxOfName is how many fields of a name are signed unless the Sealer says
// which: nobody shows more, and h= has an end.
const maxOfName = 10

// defaultNames returns what signedFields come to in a header.
func defaultNames(fields []message.Field) (names []string) {
	for _, row := range signedFields {
		n := 0
		for _, f := range fields {
			if f.Is(row.name) && n < maxOfName {
				n++
				names = append(names, row.name)
			}
		}
		if row.once && n < maxOfName {
			names = append(names, row.name)
		}
	}
	return names
}
