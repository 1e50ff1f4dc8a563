package dns

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Stub asks recursive resolvers, in the DNS protocol itself. The zero value asks
// those that /etc/resolv.conf names. It is a [Resolver], and safe for concurrent
// use; it must not be copied after its first use.
//
// It does not validate DNSSEC but believes the AD bit of a server on loopback
// or marked trusted (RFC 4035 §4.9.3), and sees as [Error.Bogus] what a server
// says with an extended error (RFC 8914); a server that does not say so fails
// with SERVFAIL alone. After either of a server's errors the next one is asked,
// but not after Bogus: one that does not validate might vouch for a forgery.
//
// Each query has a random id, random letter case in the name, and a socket of
// its own, and so a random port. What arrives there and does not answer the
// query does not end the wait for the answer. Answers that are truncated, and
// those whose letter case is another, are asked for again over TCP. Records
// that do not belong to the name or to one of its aliases are ignored
// (RFC 5452).
type Stub struct {
	// Servers are asked in this order. If empty, the nameservers of ResolvConf.
	Servers []Server

	// ResolvConf is the path of a file in the form of resolv.conf(5). It is read
	// at the first query, and again when it is older than 5 seconds then. Its
	// options timeout, attempts, rotate and trust-ad are honoured; a file that
	// does not exist, or names no server, means port 53 of 127.0.0.1 and ::1. It
	// is not read if there are Servers. If empty, /etc/resolv.conf.
	ResolvConf string

	// Timeout is how long a server has to answer one query. One that let it pass
	// is asked after the others for half a minute. If zero, what ResolvConf
	// says, or else 3 seconds.
	Timeout time.Duration

	// Attempts is how often a server is asked that does not answer. If zero,
	// what ResolvConf says, or else 2.
	Attempts int

	// Dial connects to a server; network is "udp" or "tcp". A connection for
	// "udp" must keep messages apart and pass on those of the server only, as
	// connected sockets do. If nil, a net.Dialer's.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	mu   sync.Mutex
	file resolvConf
	slow map[netip.AddrPort]time.Time // servers that timed out, and until when others come first
}

// A Server is a recursive resolver that a [Stub] asks.
type Server struct {
	Addr netip.AddrPort

	// Trusted says that the server validates DNSSEC and that nobody on the way
	// from it can change an answer. A server on loopback need not be marked
	// (RFC 7672 §2.2, RFC 4035 §4.9.3).
	Trusted bool
}

const (
	stubTimeout = 3 * time.Second
	stubTries   = 2
	stubQueries = 8  // at most for one lookup, if servers leave chains of aliases to us
	maxAliases  = 16 // as many as BIND and Unbound follow, or more
	slowFor     = 30 * time.Second
)

var (
	errAliases = fmt.Errorf("more than %d aliases", maxAliases)
	errQueries = errors.New("no end of the chain of aliases")
)

// Resolve asks the servers until one gives an answer. The error is the most
// telling of those met.
func (s *Stub) Resolve(ctx context.Context, name string, t Type) (Answer, error) {
	if !fits(name) {
		return nowhere(name), nil
	}
	if !known(t) {
		return Answer{}, &Error{Name: name, Type: t, Err: errors.ErrUnsupported}
	}
	c, err := s.config()
	if err != nil {
		return Answer{}, &Error{Name: name, Type: t, Err: err}
	}
	l := &lookup{stub: s, config: c, typ: t}
	answer := Answer{Canonical: rooted(name), Secure: true, TTL: maxTTL}
	for range stubQueries {
		next, err := l.ask(ctx, answer)
		switch {
		case err != nil && ended(ctx) != nil:
			return Answer{}, interrupted(name, t, ended(ctx))
		case err != nil:
			failed := &Error{Name: name, Type: t, Err: err}
			if e, ok := errors.AsType[*Error](err); ok {
				*failed = *e
				failed.Name = name
			}
			return Answer{}, failed
		case next.complete:
			return next.Answer, nil
		}
		answer = next.Answer
	}
	return Answer{}, &Error{Name: name, Type: t, Err: errQueries}
}

// known reports whether an Answer can hold records of the type.
func known(t Type) bool {
	switch t {
	case A, AAAA, CNAME, MX, NS, PTR, TLSA, TXT:
		return true
	}
	return false
}

// config returns whom to ask, and how.
func (s *Stub) config() (resolvConf, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var c resolvConf
	if len(s.Servers) > 0 {
		c.servers = slices.Clone(s.Servers)
	} else {
		if err := s.file.refresh(s.ResolvConf); err != nil {
			return c, err
		}
		c = s.file
		c.servers = slices.Clone(c.servers)
	}
	if s.Timeout > 0 {
		c.timeout = s.Timeout
	}
	if s.Attempts > 0 {
		c.attempts = s.Attempts
	}
	if c.timeout <= 0 {
		c.timeout = stubTimeout
	}
	if c.attempts <= 0 {
		c.attempts = stubTries
	}
	if c.rotate {
		rand.Shuffle(len(c.servers), func(i, j int) { c.servers[i], c.servers[j] = c.servers[j], c.servers[i] })
	}
	now := time.Now()
	slices.SortStableFunc(c.servers, func(a, b Server) int { return s.penalty(a, now) - s.penalty(b, now) })
	return c, nil
}

func (s *Stub) penalty(server Server, now time.Time) int {
	if now.Before(s.slow[server.Addr]) {
		return 1
	}
	return 0
}

// timedOut lets others come first for a while.
func (s *Stub) timedOut(server Server) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.slow == nil || len(s.slow) > 64 { // of files that named many
		s.slow = map[netip.AddrPort]time.Time{}
	}
	s.slow[server.Addr] = time.Now().Add(slowFor)
}

// A lookup is what one call of Resolve does.
type lookup struct {
	stub   *Stub
	config resolvConf
	typ    Type
}

// A step is what one query has added to an answer.
type step struct {
	Answer
	complete bool // if not, Canonical has to be asked for
}

// ask asks one server after the other for what is still missing of an answer.
func (l *lookup) ask(ctx context.Context, sofar Answer) (step, error) {
	servers := l.config.servers
	var failed error
	for range l.config.attempts {
		for i := 0; i < len(servers); i++ {
			next, err := l.try(ctx, servers[i], sofar)
			if err == nil || ended(ctx) != nil {
				return next, err
			}
			e, ok := errors.AsType[*Error](err)
			if ok && e.Bogus {
				return step{}, err
			}
			if failed == nil || ok && e.RCode != 0 {
				failed = err
			}
			if ok && e.Timeout {
				l.stub.timedOut(servers[i])
			} else { // it has spoken, or cannot: asking it again does not help
				servers = slices.Delete(slices.Clone(servers), i, i+1)
				i--
			}
		}
	}
	return step{}, failed
}
