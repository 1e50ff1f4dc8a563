package authres

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// A claim is what can be said about a field: whose it claims to be.
type claim int

const (
	others  claim = iota // somebody else's, beyond doubt
	ours                 // one of our names, in whatever spelling
	unknown              // nobody can tell, or each in another way
)

// claims tells whose a field is, by the value behind its colon. Only who says
// it and the semicolon behind need to be well-formed. If they are not, then
// what we do not understand another program may take for our name.
func claims(value string, ids []string) claim {
	p := scanner{s: value}
	id, _ := p.head()
	if id == "" || !utf8.ValidString(id) {
		return unknown
	}
	id = sameName(id)
	for _, our := range ids {
		if id == our {
			return ours
		}
	}
	if !isASCII(id) {
		return unknown // no name of a host, but what is shown of it may be one
	}
	return others
}

// sameName gives names that mean the same one form: A-labels in lower case
// without a final dot. What is no domain name is compared in lower case.
func sameName(id string) string {
	id = strings.TrimSuffix(strings.TrimSpace(id), ".")
	if nameable(id) {
		if ascii, err := idna.Lookup.ToASCII(id); err == nil {
			id = strings.TrimSuffix(ascii, ".")
		}
	}
	return strings.ToLower(id)
}

// nameable reports whether A-labels are made of the name at all. What that costs
// grows with the square of a label's length, and a DNS label has 63 octets.
func nameable(id string) bool {
	for label := range strings.SplitSeq(id, ".") {
		if utf8.RuneCountInString(label) > 63 {
			return false
		}
	}
	return utf8.RuneCountInString(id) <= 254 // with the final dot
}
