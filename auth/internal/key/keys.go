package key

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/postrider/postrider/mx/dns"
)

// Limits bound the lookups of one message.
type Limits struct {
	Lookups int           // of different names. If zero, 10
	Timeout time.Duration // from the first lookup on. If zero, 20 seconds
}

// Keys looks up the keys of one message, each once. Start and Close are for
// one goroutine; Wait is safe for concurrent use.
type Keys struct {
	ctx      context.Context
	resolver dns.Resolver
	limits   Limits
	cancel   context.CancelFunc
	running  sync.WaitGroup
	lookups  []*Lookup
}

// NewKeys returns a Keys. Its lookups end with ctx.
func NewKeys(ctx context.Context, resolver dns.Resolver, limits Limits) *Keys {
	if limits.Lookups == 0 {
		limits.Lookups = 10
	}
	if limits.Timeout == 0 {
		limits.Timeout = 20 * time.Second
	}
	return &Keys{ctx: ctx, resolver: resolver, limits: limits}
}

// A Lookup is a key that is being looked up.
type Lookup struct {
	name    string
	done    chan struct{}
	record  *Record
	problem *Problem
}

// Start begins the lookup of the key that domain, in A-labels, publishes under
// selector (RFC 6376 §3.6.2.1). A name that was asked for before costs nothing.
func (k *Keys) Start(selector, domain string) *Lookup {
	name := strings.ToLower(selector + "._domainkey." + domain)
	if !dns.ValidName(name) {
		return &Lookup{problem: BadName}
	}
	for _, l := range k.lookups {
		if l.name == name {
			return l
		}
	}
	if len(k.lookups) >= k.limits.Lookups {
		return &Lookup{problem: TooManyLookups}
	}
	if k.cancel == nil {
		k.ctx, k.cancel = context.WithTimeout(k.ctx, k.limits.Timeout)
	}
	l := &Lookup{name: name, done: make(chan struct{})}
	k.lookups = append(k.lookups, l)
	k.running.Go(func() {
		defer close(l.done)
		l.record, l.problem = l.find(k.ctx, k.resolver)
	})
	return l
}

// Close ends the lookups that are under way and waits for their goroutines.
func (k *Keys) Close() {
	if k.cancel != nil {
		k.cancel()
		k.running.Wait()
	}
}

// Wait returns the key, or why there is none. When ctx ends before it is
// known, it is unavailable.
func (l *Lookup) Wait(ctx context.Context) (*Record, *Problem) {
	if l.done == nil {
		return nil, l.problem
	}
	select {
	case <-l.done:
		return l.record, l.problem
	default:
	}
	select {
	case <-l.done:
		return l.record, l.problem
	case <-ctx.Done():
		return nil, Unavailable
	}
}

func (l *Lookup) find(ctx context.Context, resolver dns.Resolver) (*Record, *Problem) {
	if resolver == nil {
		return nil, Unavailable
	}
	answer, err := resolver.Resolve(ctx, l.name+".", dns.TXT)
	if err != nil {
		return nil, Unavailable
	}
	switch len(answer.TXT) {
	case 0:
		return nil, NoKey
	case 1:
		return Parse([]byte(answer.TXT[0]))
	}
	return choose(answer.TXT)
}

// choose takes the one key record out of several TXT records. Wildcards put
// records of other kinds beside it; two keys are undefined (RFC 6376 §3.6.2.2).
func choose(txts []string) (found *Record, problem *Problem) {
	problem = NoKey
	if len(txts) > maxRecords {
		return nil, SeveralKeys
	}
	for _, txt := range txts {
		r, p := Parse([]byte(txt))
		switch {
		case p == Malformed || p == BadVersion: // something else
		case found != nil || problem != NoKey:
			return nil, SeveralKeys
		default:
			found, problem = r, p
		}
	}
	return found, problem
}

// maxRecords is how many TXT records are looked at for a key.
const maxRecords = 10
