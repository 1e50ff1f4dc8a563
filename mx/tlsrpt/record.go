package tlsrpt

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/postrider/postrider/mx/dns"
)

// A Record says in the DNS where the reports about a domain go (RFC 8460 §3).
type Record struct {
	// RUA are the places, ten at most. A report is delivered when one of them
	// has taken it.
	RUA []URI
}

const maxURIs = 10

// Why a domain has no Record.
var (
	ErrNotTLSRPT = errors.New("tlsrpt: not a record of TLSRPT")              // of ParseRecord
	ErrNoRecord  = errors.New("tlsrpt: the domain does not ask for reports") // of LookupRecord
)

// String returns the record as it is published:
// "v=TLSRPTv1; rua=mailto:tlsrpt@example.org".
func (r Record) String() string {
	escape := strings.NewReplacer(",", "%2C", "!", "%21", ";", "%3B") // §3
	list := make([]string, len(r.RUA))
	for i, u := range r.RUA {
		list[i] = escape.Replace(string(u))
	}
	return "v=TLSRPTv1; rua=" + strings.Join(list, ",")
}

// ParseRecord reads the TXT record of _smtp._tls. The error is ErrNotTLSRPT for
// one that does not begin with the version. Fields that are not known are ignored,
// and so are places that are neither mailto nor https; but one is needed.
func ParseRecord(text string) (Record, error) {
	fields, ok := strings.CutPrefix(text, "v=TLSRPTv1")
	// The grammar lets blanks stand before the semicolon, the text does not.
	if fields = strings.TrimLeft(fields, " \t"); !ok || fields != "" && fields[0] != ';' {
		return Record{}, ErrNotTLSRPT // §3
	}
	list := strings.Split(fields, ";")[min(1, len(fields)):]
	if n := len(list); n > 0 && strings.Trim(list[n-1], " \t") == "" {
		list = list[:n-1] // the delimiter at the end
	}
	var r Record
	found := false
	for _, field := range list {
		name, value, ok := strings.Cut(strings.Trim(field, " \t"), "=")
		switch {
		case name == "rua" && ok && !found: // §3: an extension is of no use here
			r.RUA, found = parseURIs(value), true
		case !ok || !isExtName(name) || name != "rua" && !isExtValue(value):
			return Record{}, fmt.Errorf("tlsrpt: record: malformed field %.40q", field)
		}
	}
	if len(r.RUA) == 0 {
		return Record{}, errors.New("tlsrpt: record: no rua that can be used")
	}
	return r, nil
}

// LookupRecord asks the DNS for the record of a policy domain in A-labels. The
// error is ErrNoRecord if there is none, or several; it holds a *dns.Error if the
// DNS does not answer.
func LookupRecord(ctx context.Context, r dns.Resolver, domain string) (Record, error) {
	name := "_smtp._tls." + asciiName(domain) + "."
	if asciiName(domain) == "" || !dns.ValidName(name) {
		return Record{}, ErrNoRecord
	}
	answer, err := r.Resolve(ctx, name, dns.TXT)
	if err != nil {
		return Record{}, fmt.Errorf("tlsrpt: record: %w", err)
	}
	var found Record
	count := 0
	for _, text := range answer.TXT {
		record, parseErr := ParseRecord(text)
		if parseErr == ErrNotTLSRPT {
			continue
		}
		found, err = record, parseErr
		count++
	}
	if count != 1 { // §3
		return Record{}, ErrNoRecord
	}
	return found, err
}

// isExtName = (ALPHA / DIGIT) *31(ALPHA / DIGIT / "_" / "-" / ".")
func isExtName(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isAlphanumeric(s[i:i+1]) && (i == 0 || s[i] != '_' && s[i] != '-' && s[i] != '.') {
			return false
		}
	}
	return s != "" && len(s) <= 32
}

// isExtValue = *(%x21-3A / %x3C / %x3E-7E)
func isExtValue(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] > '~' || s[i] == ';' || s[i] == '=' {
			return false
		}
	}
	return true
}
