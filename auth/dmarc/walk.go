package dmarc

import (
	"context"
	"errors"
	"strings"

	"github.com/postrider/postrider/mx/dns"
)

// maxQueries is how many questions one walk asks (§4.10): the domain's own, and
// from its seventh label up.
const maxQueries = 8

// errTooManyWalks is not the DNS's failure: asking again would not help.
var errTooManyWalks = errors.New("too many domains to compare")

var errNoResolver = errors.New("dmarc: no resolver")

// A node is what was found at "_dmarc." in front of a name.
type node struct {
	name    string
	record  *Record // nil if there is none, or several
	invalid bool    // record has no valid policy
	exists  bool    // the name does, as a name below it does
	err     error   // nothing was found out
}

// A tree asks the DNS about one message, each name only once.
type tree struct {
	v     *Verifier
	ctx   context.Context // of the message
	nodes []*node         // at most limit × maxQueries
	walks int
	limit int    // of walks
	note  string // something to tell the domain's owner
}

// A walk is what was found on the way up (§4.10).
type walk struct {
	org    string // the organizational domain
	policy *node  // the record of org, or else of the public suffix above it
	err    error
}

// find returns the node of a name that was asked for.
func (t *tree) find(name string) *node {
	for _, n := range t.nodes {
		if n.name == name {
			return n
		}
	}
	return nil
}

// ask looks for a policy record at a name, which is a dns.ValidName.
func (t *tree) ask(name string) *node {
	if n := t.find(name); n != nil {
		return n
	}
	n := &node{name: name}
	t.nodes = append(t.nodes, n)
	prefixed := "_dmarc." + name
	if !dns.ValidName(prefixed) {
		return n // too long: nothing can be published there
	}
	answer, err := t.resolve(prefixed, dns.TXT)
	if err != nil {
		n.err = err
		return n
	}
	n.exists = !answer.NXDomain || len(answer.Chain) > 0
	for _, text := range answer.TXT {
		record, err := ParseRecord(text)
		switch {
		case err == ErrNotDMARC:
			continue
		case n.record != nil:
			t.note = "several policy records at " + name
			n.record, n.invalid = nil, false
			return n // §4.10: they are all discarded
		}
		n.record, n.invalid = &record, err != nil
	}
	return n
}

func (t *tree) resolve(name string, typ dns.Type) (dns.Answer, error) {
	if t.v.Resolver == nil {
		return dns.Answer{}, errNoResolver
	}
	return t.v.Resolver.Resolve(t.ctx, name, typ)
}

// at returns the node of a name if it has a record.
func (t *tree) at(name string) (*node, error) {
	n := t.ask(name)
	if n.record == nil {
		return nil, n.err
	}
	return n, nil
}

// walk goes up from a domain to the root, or to a record that ends the search.
func (t *tree) walk(domain string) (w walk) {
	t.walks++
	for name := domain; name != ""; name = next(domain, name) {
		n := t.ask(name)
		if n.err != nil {
			return walk{err: n.err}
		}
		if n.record == nil {
			continue
		}
		psd := n.record.PSD
		if psd == PublicSuffix && name != domain {
			w.org = childOf(name, domain) // §4.10.2, rule 2
			if w.policy == nil || w.policy.name != w.org {
				w.policy = n // §4.10.1: the organizational domain has none
			}
			return w
		}
		w.org, w.policy = name, n // rule 3: the fewest labels so far
		if psd == Organizational || psd == PublicSuffix {
			return w // rule 1, or the walk has begun at a public suffix
		}
	}
	if w.org == "" {
		w.org = domain
	}
	return w
}

// next returns what is asked for after name (§4.10, steps 4 and 7).
func next(domain, name string) string {
	if name == domain && strings.Count(name, ".") >= maxQueries-1 {
		return shorten(name, maxQueries-1)
	}
	return parent(name)
}

// organizational returns the organizational domain of an identifier.
func (t *tree) organizational(domain string) (string, error) {
	if t.v.PublicSuffix {
		return registered(domain), nil
	}
	if t.find(domain) == nil && t.walks >= t.limit {
		return "", errTooManyWalks
	}
	w := t.walk(domain)
	return w.org, w.err
}

// askExistence reports whether a name exists (§3.2.13): not when the answer is
// NXDOMAIN, for itself and not for an alias's target (RFC 8020).
func (t *tree) askExistence(name string) (bool, error) {
	if t.ask(name).exists {
		return true, nil
	}
	answer, err := t.resolve(name, dns.A)
	if err != nil {
		return false, err
	}
	return !answer.NXDomain || len(answer.Chain) > 0, nil
}
