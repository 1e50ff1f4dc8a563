package dkim

import (
	"cmp"
	"slices"
	"strings"

	"golang.org/x/net/idna"

	"github.com/postrider/postrider/auth/internal/from"
	"github.com/postrider/postrider/auth/internal/message"
	"github.com/postrider/postrider/auth/internal/tag"
)

// maxParsed is how many signatures of a message are parsed.
const maxParsed = 64

// find parses the signatures of a message.
func (v *Verifier) find(m *message.Message) []signature {
	var at []int
	for i, f := range m.Fields() {
		if f.Is("DKIM-Signature") {
			at = append(at, i)
		}
	}
	if len(at) == 0 {
		return nil
	}
	if len(at) > maxParsed {
		at = v.closest(m, at)
	}
	signatures := make([]signature, len(at))
	for i, at := range at {
		signatures[i].parse(v, m.Fields()[at], at)
	}
	return signatures
}

// closest returns the maxParsed signatures that are closest to the author. The
// domains are compared as they stand, since there may be hundreds of them and
// A-labels are expensive to make: the author's has both forms instead.
func (v *Verifier) closest(m *message.Message, at []int) []int {
	author := author(m)
	unicode, _ := idna.ToUnicode(author)
	distances := make(map[int]int, len(at))
	for _, i := range at {
		tags := tag.NewScanner(m.Fields()[i].Value())
		distances[i] = distance("", author)
		for tags.Next() {
			if t := tags.Tag(); string(t.Name) == "d" {
				domain := strings.ToLower(string(t.Value))
				distances[i] = min(distance(domain, author), distance(domain, unicode))
				break
			}
		}
	}
	slices.SortStableFunc(at, func(a, b int) int { return cmp.Compare(distances[a], distances[b]) })
	at = at[:maxParsed]
	slices.Sort(at)
	return at
}

// choose returns the signatures that are to be evaluated, and notes of the
// others that they are not.
func (v *Verifier) choose(m *message.Message, signatures []signature) []*signature {
	limit := v.MaxSignatures
	if limit == 0 {
		limit = 8
	}
	chosen := make([]*signature, 0, len(signatures))
	for i := range signatures {
		if s := &signatures[i]; s.problem == nil {
			chosen = append(chosen, s)
		}
	}
	limit = max(limit, 0)
	if len(chosen) <= limit && len(chosen) <= cmp.Or(v.MaxLookups, limit) {
		return chosen
	}
	author := author(m)
	slices.SortStableFunc(chosen, func(a, b *signature) int {
		return cmp.Compare(distance(a.Domain, author), distance(b.Domain, author))
	})
	limit = min(limit, len(chosen))
	for _, s := range chosen[limit:] {
		s.problem = notEvaluated
	}
	return chosen[:limit]
}

// author returns the domain of the author, or nothing if From is not usable.
func author(m *message.Message) string {
	var values []string
	for _, f := range m.Fields() {
		if f.Is("From") && len(values) < 2 { // more say no more
			values = append(values, string(f.Value()))
		}
	}
	return from.Parse(values).Domain
}

// distance says how far a signature's domain is from the author's: those that
// DMARC may find aligned come before the others.
func distance(domain, author string) int {
	switch {
	case domain == "" || author == "":
		return 4
	case domain == author:
		return 0
	case strings.HasSuffix(author, "."+domain):
		return 1
	case strings.HasSuffix(domain, "."+author):
		return 2
	case lastLabels(domain) == lastLabels(author):
		return 3
	}
	return 4
}

// lastLabels returns the last two labels, which an organization's names share.
func lastLabels(domain string) string {
	if i := strings.LastIndexByte(domain, '.'); i > 0 {
		return domain[strings.LastIndexByte(domain[:i], '.')+1:]
	}
	return domain
}
