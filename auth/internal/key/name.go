package key

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"github.com/postrider/postrider/mx/dns"
)

// Domain returns the domain that a signature names, in lower case and A-labels
// (RFC 8616 §4). It is false if v is not two or more labels of a host's name,
// as the grammar has it (RFC 6376 §2.4, §3.5).
func Domain(v []byte) (string, bool) {
	name, ok := ascii(v)
	if !ok || !strings.Contains(name, ".") {
		return "", false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label[0] == '-' || label[len(label)-1] == '-' || strings.Contains(label, "_") {
			return "", false
		}
	}
	return name, true
}

// Selector returns a selector in the same form. One label is enough, and
// underscores are in use.
func Selector(v []byte) (string, bool) { return ascii(v) }

func ascii(v []byte) (string, bool) {
	if len(v) > 4*253 || !utf8.Valid(v) {
		return "", false
	}
	name := string(v)
	for _, c := range v {
		if c >= utf8.RuneSelf {
			if !fits(name) {
				return "", false
			}
			a, err := idna.Lookup.ToASCII(name)
			if err != nil {
				return "", false
			}
			name = a
			break
		}
	}
	return strings.ToLower(name), dns.ValidName(name) && !strings.HasSuffix(name, ".")
}

// fits reports whether a name can be short enough in A-labels. What cannot is
// not brought there: what that costs grows with the square of a label's length.
func fits(name string) bool {
	for label := range strings.SplitSeq(name, ".") {
		if utf8.RuneCountInString(label) > 63 { // an octet for each at least, RFC 3492 §3
			return false
		}
	}
	return utf8.RuneCountInString(name) <= 253
}
