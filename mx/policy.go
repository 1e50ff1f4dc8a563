package mx

import (
	"crypto/tls"

	"github.com/postrider/postrider/mx/dns"
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

// The sources, from the one that nothing else has a say in (see RFC 8689 §4.2.1,
// §5, RFC 8461 §2).
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
// value is opportunistic.
type Policy struct {
	Level  Level
	Source Source
	// TLSA are the records of LevelDANE that can be used.
	TLSA []dns.TLSARecord
	// Names are the reference identifiers: a certificate is good for one of them.
	// The first is sent as the server name.
	Names []string
}

// Class returns a word for connections that are alike in what they have proved:
// it differs wherever a message that obeys one policy must not go over a
// connection made under the other. It is for client.Key.TLS.
func (p *Policy) Class() string { return p.Level.String() }

// TLSConfig returns a copy of base, which may be nil, that accepts a peer if and
// only if it proves what p asks for.
func (p *Policy) TLSConfig(base *tls.Config) *tls.Config {
	cfg := &tls.Config{}
	if base != nil {
		cfg = base.Clone()
	}
	if cfg.ServerName == "" && len(p.Names) > 0 {
		cfg.ServerName = p.Names[0]
	}
	cfg.InsecureSkipVerify = p.Level == LevelEncrypt
	return cfg
}
