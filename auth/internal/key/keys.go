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

// Keys looks up the keys of one message, each once. It is for one goroutine.
type Keys struct {
	ctx      context.Context
	resolver dns.Resolver
	limits   Limits
	ended    <-chan struct{} // of the context that NewKeys was given
	cancel   context.CancelFunc
	running  sync.WaitGroup
	lookups  []*Lookup
	begun    int // of lookups
}

// NewKeys returns a Keys. Its lookups end with ctx.
func NewKeys(ctx context.Context, resolver dns.Resolver, limits Limits) *Keys {
	if limits.Lookups == 0 {
		limits.Lookups = 10
	}
	if limits.Timeout == 0 {
		limits.Timeout = 20 * time.Second
	}
	return &Keys{ctx: ctx, ended: ctx.Done(), resolver: resolver, limits: limits}
}

// A Lookup is a key that is wanted.
type Lookup struct {
	keys    *Keys
	name    string
	done    chan struct{} // nil if no goroutine is about it
	over    bool          // without a goroutine
	record  *Record
	problem *Problem
}

// Want asks for the key that domain, in A-labels, publishes under selector
// (RFC 6376 §3.6.2.1). A name that was asked for before costs nothing. The
// lookup begins with Go, or with Wait.
func (k *Keys) Want(selector, domain string) *Lookup {
	name := strings.ToLower(selector + "._domainkey." + domain + ".")
	if !dns.ValidName(name) {
		return &Lookup{over: true, problem: BadName}
	}
	for _, l := range k.lookups {
		if l.name == name {
			return l
		}
	}
	if len(k.lookups) >= k.limits.Lookups {
		return &Lookup{over: true, problem: TooManyLookups}
	}
	l := &Lookup{keys: k, name: name}
	k.lookups = append(k.lookups, l)
	return l
}

// Go begins all lookups that are wanted, together. It is called when there is
// something else to do meanwhile. Otherwise Wait does without a goroutine for
// a single key, which is what most messages need.
func (k *Keys) Go() { k.begin(len(k.lookups)) }

// Start is Want and Go.
func (k *Keys) Start(selector, domain string) *Lookup {
	l := k.Want(selector, domain)
	k.Go()
	return l
}

func (k *Keys) begin(end int) {
	for ; k.begun < end; k.begun++ {
		l := k.lookups[k.begun]
		if l.over {
			continue
		}
		k.start()
		l.done = make(chan struct{})
		k.running.Go(func() {
			defer close(l.done)
			l.find(k.ctx)
		})
	}
}

// start sets the time limit.
func (k *Keys) start() {
	if k.cancel == nil {
		k.ctx, k.cancel = context.WithTimeout(k.ctx, k.limits.Timeout)
	}
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
	if l.done == nil && !l.over {
		l.wait(ctx)
	}
	if l.over {
		return l.record, l.problem
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

// wait does the lookup while others are under way, or sees to it that it is
// done with them.
func (l *Lookup) wait(ctx context.Context) {
	k := l.keys
	last := len(k.lookups) - 1
	if k.lookups[last] != l {
		k.Go()
		return
	}
	k.begin(last)
	k.start()
	if done := ctx.Done(); done != nil && done != k.ended {
		stop := context.AfterFunc(ctx, k.cancel)
		defer stop()
	}
	l.find(k.ctx)
	l.over = true
}

func (l *Lookup) find(ctx context.Context) {
	l.record, l.problem = find(ctx, l.keys.resolver, l.name)
}

func find(ctx context.Context, resolver dns.Resolver, name string) (*Record, *Problem) {
	if resolver == nil {
		return nil, Unavailable
	}
	answer, err := resolver.Resolve(ctx, name, dns.TXT)
	if err != nil {
		return nil, Unavailable // §6.1.2
	}
	switch len(answer.TXT) {
	case 0:
		return nil, NoKey // §6.1.2
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
