package spf

import (
	"fmt"
	"net/netip"
	"strconv"

	"github.com/postrider/postrider/auth/authres"
)

// A Record is a policy as published: the terms of a TXT record that begins with
// "v=spf1" (§4.5, §4.6).
type Record struct {
	Directives []Directive // in order
	Redirect   string      // the domain-spec of redirect= (§6.1). Empty if there is none
	Exp        string      // the domain-spec of exp= (§6.2). Empty if there is none
	Unknown    []Modifier  // the other modifiers, which mean nothing (§6)

	redirect string // the whole term
	all      bool   // there is an "all"
}

// A Directive is a mechanism and the verdict of a match (§4.6.1).
type Directive struct {
	Text      string          // as written
	Verdict   authres.Verdict // Pass, Fail, SoftFail or Neutral
	Mechanism Mechanism
	Domain    string       // the domain-spec as written, with its macros (§4.8). If empty, the policy's own domain is meant
	Network   netip.Prefix // of ip4 and ip6
	Bits4     int          // of a and mx: how much of an IPv4 address is compared. 32 if not written
	Bits6     int          // of a and mx: how much of an IPv6 address is compared. 128 if not written
}

// A Modifier is a term of the form name=value.
type Modifier struct {
	Name  string
	Value string // as written, with its macros
}

// A Mechanism says what a directive compares with the client (§5).
type Mechanism uint8

// The mechanisms.
const (
	All Mechanism = iota
	Include
	A
	MX
	PTR
	IP4
	IP6
	Exists
)

// String returns the mechanism's name.
func (m Mechanism) String() string {
	if int(m) < len(mechanisms) {
		return mechanisms[m].name
	}
	return "mechanism" + strconv.Itoa(int(m))
}

// An argument says what may follow a mechanism's name.
type argument uint8

const (
	nothing argument = iota
	domainSpec
	maybeDomainSpec
	ip4Network
	ip6Network
)

var mechanisms = [...]struct {
	name    string
	arg     argument
	cidr    bool // a dual-cidr-length may follow (§5.6)
	lookups bool // it counts among the terms that cause lookups (§4.6.4)
}{
	All:     {"all", nothing, false, false},        // §5.1
	Include: {"include", domainSpec, false, true},  // §5.2
	A:       {"a", maybeDomainSpec, true, true},    // §5.3
	MX:      {"mx", maybeDomainSpec, true, true},   // §5.4
	PTR:     {"ptr", maybeDomainSpec, false, true}, // §5.5
	IP4:     {"ip4", ip4Network, false, false},     // §5.6
	IP6:     {"ip6", ip6Network, false, false},     // §5.6
	Exists:  {"exists", domainSpec, false, true},   // §5.7
}

// Lookups returns how many of the record's own terms cause lookups. Together
// with those of the policies it includes or redirects to, 10 at most are
// evaluated (§4.6.4).
func (r *Record) Lookups() int {
	n := 0
	for i := range r.Directives {
		if mechanisms[r.Directives[i].Mechanism].lookups {
			n++
		}
	}
	if r.Redirect != "" && !r.all {
		n++
	}
	return n
}

// A SyntaxError says what is wrong in a record, and where.
type SyntaxError struct {
	Offset int    // of the first octet that is wrong, in the record
	Term   string // the term it is in. Any octets
	Reason string
}

// Error tells where the record is wrong. It is printable ASCII.
func (e *SyntaxError) Error() string { return "spf: " + e.problem() }

func (e *SyntaxError) problem() string {
	if e.Term == "" {
		return fmt.Sprintf("octet %d: %s", e.Offset, e.Reason)
	}
	term, more := e.Term, ""
	if len(term) > 60 {
		term, more = term[:60], "..."
	}
	return fmt.Sprintf("octet %d: term %+q%s: %s", e.Offset, term, more, e.Reason)
}
