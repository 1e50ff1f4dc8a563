// Package dns asks the Domain Name System what mail needs to know: addresses,
// mail exchangers, policies, keys.
//
// [Resolver] is the one interface that everything else in this module asks.
// [Std] stands on the standard library's resolver, [Stub] speaks the protocol
// itself and knows which answers are authenticated, [Cache] stands in front of
// either. Package dnstest has a zone in memory for tests.
package dns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// A Type is the type of a resource record (RFC 1035 §3.2.2).
type Type uint16

// The types that mail asks for.
const (
	A     Type = 1
	NS    Type = 2
	CNAME Type = 5
	PTR   Type = 12
	MX    Type = 15
	TXT   Type = 16
	AAAA  Type = 28
	TLSA  Type = 52 // RFC 6698
)

// String returns the type's name, or the form TYPE123 (RFC 3597 §5).
func (t Type) String() string {
	switch t {
	case A:
		return "A"
	case NS:
		return "NS"
	case CNAME:
		return "CNAME"
	case PTR:
		return "PTR"
	case MX:
		return "MX"
	case TXT:
		return "TXT"
	case AAAA:
		return "AAAA"
	case TLSA:
		return "TLSA"
	}
	return fmt.Sprintf("TYPE%d", uint16(t))
}

// A Resolver looks up the records of one type at one name. It is safe for
// concurrent use.
//
// The name is absolute, with or without its final dot: no search list is ever
// applied. Aliases (CNAME) are followed, except when t is CNAME.
//
// That a name does not exist, or has no record of the type, is an Answer and
// not an error. An error means that the answer is not known for now; it holds
// an [*Error], or the context's error, and is temporary.
type Resolver interface {
	Resolve(ctx context.Context, name string, t Type) (Answer, error)
}

// An Answer is what the DNS says about a name and a type. Names in it are
// absolute and end in a dot, in the case in which they were received. Whoever
// publishes them chooses the octets of names and strings: any may stand there,
// but for a dot within a label. It must not be changed: a cache hands the same
// one to several callers.
type Answer struct {
	Canonical string        // the name at the end of Chain: the one that has the records, or has none
	Chain     []string      // the aliases that were followed, the name asked for first. Nil means that it is no alias
	NXDomain  bool          // Canonical does not exist (RFC 8020). False with no records means NODATA, or a resolver that cannot tell
	Secure    bool          // the answer was authenticated by DNSSEC: AD from a resolver that is trusted (RFC 4035 §3.2.3)
	TTL       time.Duration // how long the answer may be kept, the least along the chain, for a negative one too. 0 means unknown or not at all

	Addrs []netip.Addr // of A and AAAA
	Names []string     // of CNAME, NS and PTR
	MX    []MXRecord   // in the order received
	TXT   []string     // one element a record, its strings joined (RFC 7208 §3.3)
	TLSA  []TLSARecord
}

// Empty reports whether the answer holds no record.
func (a *Answer) Empty() bool {
	return len(a.Addrs) == 0 && len(a.Names) == 0 && len(a.MX) == 0 && len(a.TXT) == 0 && len(a.TLSA) == 0
}

// An MXRecord names a host that takes mail for a domain (RFC 5321 §5.1).
type MXRecord struct {
	Preference uint16 // lower is tried first
	Host       string // "." means that the domain takes no mail (RFC 7505)
}

// A TLSARecord pins a certificate or a key of a server (RFC 6698 §2.1).
type TLSARecord struct {
	Usage, Selector, MatchingType uint8
	Data                          []byte
}

// An RCode is the response code of a DNS message (RFC 1035 §4.1.1).
type RCode uint16

// The response codes that a Resolver's error may hold.
const (
	FormErr  RCode = 1
	ServFail RCode = 2
	NotImp   RCode = 4
	Refused  RCode = 5
)

// An Error says why an answer is not known. It is always temporary.
type Error struct {
	Name    string // as it was asked for
	Type    Type
	Timeout bool  // nobody answered in time
	Bogus   bool  // the answer failed DNSSEC validation, and the resolver said so (RFC 8914 §4.7)
	RCode   RCode // what the server answered. 0 means that the failure was not the server's
	Err     error // the cause. May be nil
}

// Error tells what was asked and what happened, with the cause if there is one.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "dns: %s %s: ", e.Name, e.Type)
	switch {
	case e.Bogus:
		b.WriteString("bogus")
	case e.Timeout:
		b.WriteString("timeout")
	case e.RCode != 0:
		fmt.Fprintf(&b, "response code %d", e.RCode)
	case e.Err == nil:
		b.WriteString("no answer")
	}
	if e.Err != nil {
		if e.Bogus || e.Timeout || e.RCode != 0 {
			b.WriteString(": ")
		}
		b.WriteString(e.Err.Error())
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Temporary returns true: asking again later may help.
func (e *Error) Temporary() bool { return true }

// interrupted says that nothing is known because the caller waits no longer.
func interrupted(name string, t Type, cause error) *Error {
	return &Error{Name: name, Type: t, Timeout: errors.Is(cause, context.DeadlineExceeded), Err: cause}
}

// ended returns why the caller waits no longer, nil if it does. Sockets may
// notice before the context that its deadline has passed.
func ended(ctx context.Context) error {
	if at, ok := ctx.Deadline(); ok && ctx.Err() == nil && !at.After(time.Now()) {
		return context.DeadlineExceeded
	}
	return ctx.Err()
}

// nowhere is the answer for a name that no message can hold.
func nowhere(name string) Answer { return Answer{Canonical: rooted(name), NXDomain: true} }
