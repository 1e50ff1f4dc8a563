// Package mtasts keeps mail to domains that ask for it from going to the wrong
// server, or over the wire in plaintext: SMTP MTA Strict Transport Security
// (RFC 8461). A domain says in the DNS that it has a policy, and has it on a web
// server, where the policy is vouched for by a certificate.
//
// [Cache] is what a sender needs: it finds policies, keeps them and renews them.
// [ParseRecord], [ParsePolicy] and [Fetcher] are its parts, each usable alone.
package mtasts

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/postrider/postrider/mx/dns"
)

// A Mode is what a policy asks of senders (RFC 8461 §5).
type Mode string

// The modes.
const (
	Enforce Mode = "enforce" // deliver to servers that satisfy the policy, or not at all
	Testing Mode = "testing" // deliver anyway, and report (RFC 8460)
	None    Mode = "none"    // as if there were no policy
)

// A Policy says which servers take mail for a domain, with TLS and a certificate
// for their name (RFC 8461 §3.2).
type Policy struct {
	Mode Mode

	// MX are patterns of host names, in lower case: names, or "*." and a name.
	// There is one at least, unless Mode is None.
	MX []string

	// MaxAge is how long the policy holds since it was fetched. It has whole
	// seconds, 31,557,600 (about a year) at most.
	MaxAge time.Duration
}

const (
	maxPolicySize = 64 << 10                 // §3.3
	maxAge        = 31_557_600 * time.Second // §3.2
)

// Matches reports whether the policy names a host, by the name in the MX record
// (RFC 8461 §4.1). A final dot and case do not matter.
func (p *Policy) Matches(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	_, above, _ := strings.Cut(host, ".")
	for _, pattern := range p.MX {
		suffix, wild := strings.CutPrefix(pattern, "*.")
		if wild && suffix == above && len(above)+1 < len(host) || !wild && pattern == host {
			return host != ""
		}
	}
	return false
}

// Lines returns the policy's fields, a string each: what a report of RFC 8460
// has as policy-string.
func (p *Policy) Lines() []string {
	lines := []string{"version: STSv1", "mode: " + string(p.Mode)}
	for _, pattern := range p.MX {
		lines = append(lines, "mx: "+pattern)
	}
	return append(lines, "max_age: "+strconv.FormatInt(int64(p.MaxAge/time.Second), 10))
}

// String returns the policy as it is published.
func (p *Policy) String() string { return strings.Join(p.Lines(), "\r\n") + "\r\n" }

// ParsePolicy reads a policy: lines of "key: value" that end in CRLF or LF. Of a
// key that stands there several times the first counts, except for mx. Keys that
// are not known, and lines that are empty, are ignored. A max_age that is larger
// than may be is the largest.
func ParsePolicy(text string) (*Policy, error) {
	if len(text) > maxPolicySize {
		return nil, errors.New("mtasts: policy: larger than 64 KiB") // §3.3
	}
	p, err := parsePolicy(text)
	if err != nil {
		return nil, fmt.Errorf("mtasts: policy: %w", err)
	}
	return p, nil
}

func parsePolicy(text string) (*Policy, error) {
	p := new(Policy)
	first := map[string]string{}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		line = strings.TrimRight(line, " \t")
		if line == "" {
			continue
		}
		key, value, ok := strings.Cut(line, ":")
		if !ok || !isExtName(key) || !isText(value) {
			return nil, fmt.Errorf("malformed line %.60q", line)
		}
		value = strings.TrimLeft(value, " \t")
		switch key {
		case "mx":
			pattern, ok := parsePattern(value)
			if !ok {
				return nil, fmt.Errorf("mx %.60q", value)
			}
			p.MX = append(p.MX, pattern)
		case "version", "mode", "max_age":
			if _, known := first[key]; !known { // §3.2
				first[key] = value
			}
		}
	}
	if first["version"] != "STSv1" {
		return nil, fmt.Errorf("version %.40q", first["version"])
	}
	switch p.Mode = Mode(first["mode"]); p.Mode {
	case Enforce, Testing, None:
	default:
		return nil, fmt.Errorf("mode %.40q", p.Mode)
	}
	age := first["max_age"]
	seconds, err := strconv.ParseUint(age, 10, 64) // it takes no sign
	if err != nil || len(age) > 10 {
		return nil, fmt.Errorf("max_age %.40q", age)
	}
	p.MaxAge = maxAge
	if seconds < uint64(maxAge/time.Second) {
		p.MaxAge = time.Duration(seconds) * time.Second
	}
	if len(p.MX) == 0 && p.Mode != None {
		return nil, errors.New("no mx")
	}
	return p, nil
}

// parsePattern = ["*."] Domain. Underscores are in names of hosts that are there
// against the rules, and a final dot changes nothing.
func parsePattern(s string) (string, bool) {
	s = strings.ToLower(strings.TrimSuffix(s, "."))
	name := strings.TrimPrefix(s, "*.")
	return s, dns.ValidName(name) && !strings.HasSuffix(name, ".")
}

// isText reports whether s is UTF-8 without control characters.
func isText(s string) bool {
	for _, r := range s {
		if r < ' ' && r != '\t' || r == 0x7f {
			return false
		}
	}
	return utf8.ValidString(s)
}
