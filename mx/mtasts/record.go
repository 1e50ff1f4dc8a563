package mtasts

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/postrider/postrider/mx/dns"
)

// A Record says in the DNS that a domain has a policy, and which (RFC 8461 §3.1).
type Record struct {
	ID string // 1 to 32 letters and digits. Another one means another policy
}

// ErrNotSTS means that a TXT record is none of MTA-STS, but something else.
var ErrNotSTS = errors.New("mtasts: not a record of MTA-STS")

// String returns the record as it is published: "v=STSv1; id=20240601".
func (r Record) String() string { return "v=STSv1; id=" + r.ID }

// ParseRecord reads the TXT record of _mta-sts. The error is ErrNotSTS for one
// that does not begin with the version. Fields that are not known are ignored.
func ParseRecord(text string) (Record, error) {
	r, err := parseRecord(text)
	if err != nil && err != ErrNotSTS {
		err = fmt.Errorf("mtasts: record: %w", err)
	}
	return r, err
}

func parseRecord(text string) (Record, error) {
	fields, ok := strings.CutPrefix(text, "v=STSv1")
	// The grammar lets blanks stand before the semicolon, the text does not.
	if fields = strings.TrimLeft(fields, " \t"); !ok || fields != "" && fields[0] != ';' {
		return Record{}, ErrNotSTS // §3.1
	}
	var r Record
	list := strings.Split(fields, ";")[min(1, len(fields)):]
	if n := len(list); n > 0 && strings.Trim(list[n-1], " \t") == "" {
		list = list[:n-1] // the delimiter at the end
	}
	for _, field := range list {
		name, value, ok := strings.Cut(strings.Trim(field, " \t"), "=")
		switch {
		case !ok || !isExtName(name) || !isExtValue(value):
			return Record{}, fmt.Errorf("malformed field %.40q", field)
		case name != "id" || r.ID != "": // §3.2: the first one counts
		case !isID(value):
			return Record{}, fmt.Errorf("id %.40q", value)
		default:
			r.ID = value
		}
	}
	if r.ID == "" {
		return Record{}, errors.New("no id")
	}
	return r, nil
}

// LookupRecord asks the DNS for the record of a domain in A-labels. The error is
// an [*Error].
func LookupRecord(ctx context.Context, r dns.Resolver, domain string) (Record, error) {
	name, ok := canonical(domain)
	if !ok {
		return Record{}, &Error{Domain: domain, Reason: NoRecord}
	}
	record, _, err := lookUp(ctx, r, name)
	if err != nil {
		return Record{}, err
	}
	return record, nil
}

// lookUp returns the record, and how long what the DNS says holds.
func lookUp(ctx context.Context, r dns.Resolver, domain string) (Record, time.Duration, *Error) {
	answer, err := r.Resolve(ctx, "_mta-sts."+domain+".", dns.TXT)
	if err != nil {
		return Record{}, 0, &Error{Domain: domain, Reason: DNSFailed, Err: err}
	}
	var found Record
	count := 0
	for _, text := range answer.TXT {
		record, parseErr := parseRecord(text)
		if parseErr == ErrNotSTS {
			continue
		}
		found, err = record, parseErr
		count++
	}
	switch { // §3.1
	case count == 0:
		return Record{}, answer.TTL, &Error{Domain: domain, Reason: NoRecord}
	case count > 1:
		err = fmt.Errorf("%d records", count)
		fallthrough
	case err != nil:
		return Record{}, answer.TTL, &Error{Domain: domain, Reason: RecordInvalid, Err: err}
	}
	return found, answer.TTL, nil
}

// canonical returns a domain as it is a key: in lower case, without its final
// dot. It is not ok if the domain can have no record.
func canonical(domain string) (string, bool) {
	name := strings.ToLower(strings.TrimSuffix(domain, "."))
	ok := name != "" && dns.ValidName("_mta-sts."+name) && !strings.HasSuffix(name, ".")
	return name, ok
}

// isID = 1*32(ALPHA / DIGIT)
func isID(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isAlphanumeric(s[i]) {
			return false
		}
	}
	return s != "" && len(s) <= 32
}

// isExtName = (ALPHA / DIGIT) *31(ALPHA / DIGIT / "_" / "-" / ".")
func isExtName(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isAlphanumeric(s[i]) && (i == 0 || s[i] != '_' && s[i] != '-' && s[i] != '.') {
			return false
		}
	}
	return s != "" && len(s) <= 32
}

// isExtValue = 1*(%x21-3A / %x3C / %x3E-7E)
func isExtValue(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] > '~' || s[i] == ';' || s[i] == '=' {
			return false
		}
	}
	return s != ""
}

func isAlphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}
