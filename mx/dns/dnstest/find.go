package dnstest

import (
	"math"
	"strings"
	"time"

	"github.com/postrider/postrider/mx/dns"
)

const (
	defaultTTL = 5 * time.Minute
	maxChain   = 16 // aliases
)

// A node is what is known of a name. An empty one has names below it.
type node struct {
	sets     map[dns.Type]*set
	failures map[dns.Type]failure
	security security
}

// A set is the records of one name and type.
type set struct {
	typ dns.Type
	dns.Answer
	strings [][]string // of TXT, a record each
}

// everyType stands for all types in node.failures.
const everyType dns.Type = 0

// A failure is a response code, or one of those beyond any.
type failure int

const (
	none     failure = 0
	nxdomain failure = 3
	timeout  failure = 1<<16 + iota
	stall
	bogus
)

type security int

const (
	inherited security = iota
	secure
	insecure
)

// A result is a failure, or an answer and the sets of which it is made.
type result struct {
	dns.Answer
	failure failure
	sets    []namedSet
}

type namedSet struct {
	name string
	*set
}

// find follows aliases and returns what is at their end. Without checking there
// are no bogus names.
func (z *Zone) find(name string, t dns.Type, unchecked bool) result {
	r := result{Answer: dns.Answer{Canonical: rooted(name), Secure: true, TTL: math.MaxInt64}}
	for len(r.Chain) <= maxChain {
		node, exists := z.node(key(r.Canonical))
		r.Secure = r.Secure && z.secure(key(r.Canonical))
		switch f := node.failure(t); {
		case f == nxdomain || !exists:
			r.NXDomain = true
			r.TTL = min(r.TTL, defaultTTL)
			return r
		case f == bogus && unchecked:
			r.Secure = false
		case f != none:
			return result{failure: f}
		}
		alias := node.sets[dns.CNAME]
		if found := node.sets[t]; found != nil {
			r.add(found)
			r.Addrs, r.Names, r.MX, r.TXT, r.TLSA = found.Addrs, found.Names, found.MX, found.TXT, found.TLSA
			return r
		} else if alias == nil {
			r.TTL = min(r.TTL, defaultTTL)
			return r
		}
		r.add(alias)
		r.Chain = append(r.Chain, r.Canonical)
		r.Canonical = alias.Names[0]
	}
	return result{failure: failure(dns.ServFail)}
}

func (r *result) add(s *set) {
	r.sets = append(r.sets, namedSet{r.Canonical, s})
	r.TTL = min(r.TTL, s.TTL)
}

var empty node

// node returns what is known of a name, by a wildcard too (RFC 4592 §3.3.1).
func (z *Zone) node(name string) (n *node, exists bool) {
	if n := z.nodes[name]; n != nil {
		return n, true
	}
	for name != "" {
		name = parent(name)
		if z.nodes[name] != nil { // the closest encloser
			break
		}
	}
	if n := z.nodes[strings.TrimSuffix("*."+name, ".")]; n != nil {
		return n, true
	}
	return &empty, false
}

// make returns the node of a name for changing it. The names above exist then.
func (z *Zone) make(name string) *node {
	if z.nodes == nil {
		z.nodes = map[string]*node{}
	}
	for above := name; z.nodes[above] == nil; above = parent(above) {
		z.nodes[above] = &node{sets: map[dns.Type]*set{}, failures: map[dns.Type]failure{}}
	}
	return z.nodes[name]
}

// prune takes out a name that has nothing any longer, not even names below it, and
// those above it of which this is then true.
func (z *Zone) prune(name string) {
	for ; name != ""; name = parent(name) {
		n := z.nodes[name]
		if n == nil || len(n.sets)+len(n.failures) > 0 || n.security != inherited {
			return
		}
		for below := range z.nodes {
			if strings.HasSuffix(below, "."+name) {
				return
			}
		}
		delete(z.nodes, name)
	}
}

// secure reports what the nearest mark at or above a name says.
func (z *Zone) secure(name string) bool {
	for {
		if n := z.nodes[name]; n != nil && n.security != inherited {
			return n.security == secure
		}
		if name == "" {
			return false
		}
		name = parent(name)
	}
}

func (n *node) failure(t dns.Type) failure {
	if f := n.failures[t]; f != none {
		return f
	}
	return n.failures[everyType]
}

func parent(name string) string {
	_, above, _ := strings.Cut(name, ".")
	return above
}

// key returns a name as it is filed: in lower case, which is that of ASCII
// (RFC 4343), and without the final dot.
func key(name string) string {
	name = strings.TrimSuffix(name, ".")
	if strings.IndexFunc(name, isUpper) < 0 {
		return name
	}
	b := []byte(name)
	for i, c := range b {
		if isUpper(rune(c)) {
			b[i] |= 0x20
		}
	}
	return string(b)
}

func isUpper(c rune) bool { return c >= 'A' && c <= 'Z' }

func rooted(name string) string { return strings.TrimSuffix(name, ".") + "." }
