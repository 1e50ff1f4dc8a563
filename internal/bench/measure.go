package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// A load says how hard and how long a server is driven, or a sender sends, in one round.
type load struct {
	rounds   int
	conns    int           // connections at once
	slice    time.Duration // length of a round
	messages int           // messages a connection. If not zero, slice is not used.
	profiles string        // folder for CPU profiles. If empty, none are made.
}

// over reports whether a connection that has carried sent messages has done its part.
func (l load) over(sent int, began time.Time) bool {
	if l.messages > 0 {
		return sent >= l.messages
	}
	return time.Since(began) >= l.slice
}

// A sample is what one round on one server gave.
type sample struct {
	messages  int
	cpu, wall time.Duration
}

// A result holds one server's samples in one case, a row a round.
type result struct {
	server  string
	samples []sample
	lacks   string // the extension without which the case was left out
}

// measure drives every peer through c, a round of each in turn.
func measure(c benchCase, all []peer, l load) ([]result, error) {
	children, stop, err := startAll(all, c.key, options{security: c.security}, l)
	if err != nil {
		return nil, err
	}
	defer stop()
	results := make([]result, len(all))
	for i, p := range all {
		results[i].server = p.name
		switch {
		case c.security == implicitTLS:
			if p.name == sinkName {
				results[i].lacks = c.needs
			}
		case c.needs != "":
			offers, err := offered(children[i].addr)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", p.name, err)
			}
			if !offers[c.needs] {
				results[i].lacks = c.needs
			}
		}
	}
	return results, interleave(results, l, func(at int) (sample, error) {
		s, err := runRound(children[at], c, l)
		if err != nil {
			err = fmt.Errorf("case %s, %s: %w", c.key, all[at].name, err)
		}
		return s, err
	})
}

// startAll starts a child for each of all, in case key. The caller calls stop.
func startAll(all []peer, key string, opt options, l load) (children []*child, stop func(), err error) {
	stop = func() {
		for _, k := range children {
			k.close()
		}
	}
	for _, p := range all {
		opt.profile = ""
		if l.profiles != "" && p.name != sinkName && p.name != sourceName {
			opt.profile = filepath.Join(l.profiles, key+"-"+strings.ReplaceAll(p.name, "/", "-")+".pprof")
		}
		k, err := startPeer(p, opt)
		if err != nil {
			stop()
			return nil, nil, err
		}
		children = append(children, k)
	}
	return children, stop, nil
}

// interleave gives each in turn a round, and the results their samples. Every second
// round runs backwards and the order shifts by one after two, so that none is always
// first, or always behind the same other.
func interleave(results []result, l load, run func(at int) (sample, error)) error {
	n := len(results)
	for round := -1; round < l.rounds; round++ { // round -1 warms up
		for i := range n {
			place := i
			if round%2 == 1 {
				place = n - 1 - i
			}
			at := (place + max(round, 0)/2) % n
			if results[at].lacks != "" {
				continue
			}
			s, err := run(at)
			if err != nil {
				return err
			}
			if round >= 0 {
				results[at].samples = append(results[at].samples, s)
			}
		}
	}
	return nil
}

// offered asks the server which extensions it has.
func offered(addr string) (map[string]bool, error) {
	c, err := dial(addr, plaintext)
	if err != nil {
		return nil, err
	}
	offers, err := c.hello()
	return offers, errors.Join(err, c.quit())
}

// runRound measures one round. Except where the case is about connecting, the
// connections are open before the first reading and closed after the second.
func runRound(k *child, c benchCase, l load) (sample, error) {
	senders := make([]*sender, l.conns)
	for i := range senders {
		s := &sender{addr: k.addr, c: c}
		if err := s.open(); err != nil {
			return sample{}, err
		}
		defer s.abandon()
		senders[i] = s
	}

	before, err := k.cpu()
	if err != nil {
		return sample{}, err
	}
	began := time.Now()
	errs := make([]error, len(senders))
	var wg sync.WaitGroup
	for i, s := range senders {
		wg.Go(func() { errs[i] = s.send(began, l) })
	}
	wg.Wait()
	wall := time.Since(began)
	after, err := k.cpu()
	if err := errors.Join(append(errs, err)...); err != nil {
		return sample{}, err
	}

	got := sample{cpu: after - before, wall: wall}
	for _, s := range senders {
		got.messages += s.sent
		if err := s.close(); err != nil {
			return sample{}, err
		}
	}
	return got, nil
}

// A sender is one connection's share of a round.
type sender struct {
	addr string
	c    benchCase
	conn *client // nil between messages when each has its own
	sent int
}

func (s *sender) open() error {
	if s.c.reconnect {
		return nil
	}
	return s.connect()
}

func (s *sender) connect() (err error) {
	if s.conn, err = dial(s.addr, s.c.security); err != nil {
		return err
	}
	if err := s.conn.run([]exchange{{ehlo, []int{250}}}); err != nil {
		return err
	}
	if s.c.security == startTLS {
		if err := s.conn.run([]exchange{{[]byte("STARTTLS\r\n"), []int{220}}}); err != nil {
			return err
		}
		s.conn.conn = tls.Client(s.conn.conn, clientTLS)
		if err := s.conn.run([]exchange{{ehlo, []int{250}}}); err != nil {
			return err
		}
	}
	return s.conn.run(s.c.before)
}

// send repeats the message until the round is over.
func (s *sender) send(began time.Time, l load) error {
	for {
		if l.over(s.sent, began) {
			return nil
		}
		if err := s.one(); err != nil {
			return err
		}
		s.sent++
	}
}

func (s *sender) one() error {
	if !s.c.reconnect {
		return s.conn.run(s.c.message)
	}
	if err := s.connect(); err != nil {
		return err
	}
	if err := s.conn.run(s.c.message); err != nil {
		return err
	}
	return s.close()
}

func (s *sender) close() error {
	if s.conn == nil {
		return nil
	}
	if err := s.conn.run(s.c.after); err != nil {
		return err
	}
	err := s.conn.quit()
	s.conn = nil
	return err
}

// abandon closes what an error left open.
func (s *sender) abandon() {
	if s.conn != nil {
		s.conn.conn.Close()
	}
}
