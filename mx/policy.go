package mx

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/postrider/postrider/mx/dns"
	"github.com/postrider/postrider/mx/tlsrpt"
)

// A Level says how much TLS has to prove. The levels are ordered: a higher one
// asks for more.
type Level int8

// The levels. The zero value is LevelMay.
const (
	LevelNone    Level = iota - 1 // plaintext, although the host may offer TLS
	LevelMay                      // TLS if it can be had, whoever the peer is (RFC 7435)
	LevelEncrypt                  // TLS, whoever the peer is
	LevelVerify                   // TLS to a host whose certificate is good for its name
	LevelDANE                     // TLS to a host that its TLSA records vouch for (RFC 7672)
)

// String returns the level as a word: "verify".
func (l Level) String() string {
	switch l {
	case LevelNone:
		return "none"
	case LevelMay:
		return "may"
	case LevelEncrypt:
		return "encrypt"
	case LevelVerify:
		return "verify"
	case LevelDANE:
		return "dane"
	}
	return "unknown"
}

// A Source says where a Policy comes from.
type Source uint8

// The sources: a later one is asked first, and if it has something to say, no
// other is (RFC 8689 §4.2, RFC 8461 §2).
const (
	SourceDefault     Source = iota // nobody asks for anything
	SourceMTASTS                    // the domain's MTA-STS policy
	SourceDANE                      // TLSA records
	SourceOperator                  // who runs this MTA
	SourceTLSOptional               // the message: "TLS-Required: No"
	SourceRequireTLS                // the message: REQUIRETLS
)

// String returns the source as a word: "mta-sts".
func (s Source) String() string {
	switch s {
	case SourceDefault:
		return "default"
	case SourceMTASTS:
		return "mta-sts"
	case SourceDANE:
		return "dane"
	case SourceOperator:
		return "operator"
	case SourceTLSOptional:
		return "tls-required: no"
	case SourceRequireTLS:
		return "requiretls"
	}
	return "unknown"
}

// A Policy says what TLS has to prove before a message goes to a host. The zero
// value is opportunistic. It must not be changed.
type Policy struct {
	Level  Level
	Source Source
	// ServerName is the name that the host is asked for in the handshake. If empty,
	// that of the host.
	ServerName string
	// Names are the reference identifiers of LevelVerify and LevelDANE: a
	// certificate is good for one of them. With LevelVerify one that begins with a
	// dot stands for every name below. If empty, the ServerName.
	Names []string
	// TLSA are the records of LevelDANE that can be used.
	TLSA []dns.TLSARecord
	// Why tells in words what the policy rests on, for logs.
	Why string

	relaxed bool             // REQUIRETLS need not be offered
	reports []tlsrpt.Session // what each policy of the domain has come to so far
}

// String returns the level, the names and what the policy rests on:
// "dane mx.example.org example.org: 2 TLSA records at mx.example.org".
func (p *Policy) String() string {
	text := p.Level.String()
	if p.Level >= LevelVerify {
		text += " " + strings.Join(p.Names, " ")
	}
	if p.Why != "" {
		text += ": " + p.Why
	}
	return text
}

// Class returns a word for connections that are alike in what they have proved:
// it differs wherever a message that obeys one policy must not go over a
// connection made under the other. It is for client.Key.TLS.
func (p *Policy) Class() string {
	class := p.Level.String()
	if p.ServerName != "" {
		class += " " + p.ServerName
	}
	if p.Level == LevelDANE {
		class += " " + p.digest()
	}
	if p.Level == LevelVerify || slices.ContainsFunc(p.TLSA, func(r dns.TLSARecord) bool { return r.Usage != 3 }) { // RFC 7672 §3.1.1
		class += " for " + strings.Join(p.Names, " ")
	}
	return class
}

// digest stands for the TLSA records in any order.
func (p *Policy) digest() string {
	records := make([]string, len(p.TLSA))
	for i, r := range p.TLSA {
		text := []byte{r.Usage, r.Selector, r.MatchingType}
		text = binary.BigEndian.AppendUint32(text, uint32(len(r.Data)))
		records[i] = string(append(text, r.Data...))
	}
	slices.Sort(records)
	sum := sha256.Sum256([]byte(strings.Join(records, "")))
	return hex.EncodeToString(sum[:])
}
