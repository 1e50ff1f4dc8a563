package main

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// An outgoingCase is one way to send messages: the process under test is the
// sender, and the floor, in a process of its own, takes the messages.
type outgoingCase struct {
	key, name string
	goal      float64 // × floor, what we mean to reach
	size      int     // of the message, in octets
	bdat      bool    // by BDAT, which not everybody can; the floor sends by DATA all the same
}

func outgoingCases() []outgoingCase {
	return []outgoingCase{
		{key: "g", name: "client, 4 KB", goal: 1.15, size: 4 << 10},
		{key: "g2", name: "client, 4 KB, Optimistic: BDAT in one write", goal: 0.70, size: 4 << 10, bdat: true},
		{key: "h", name: "client, 1 MB", goal: 1.60, size: 1 << 20},
		{key: "h2", name: "client, 1 MB, BDAT in chunks", goal: 1.40, size: 1 << 20, bdat: true},
	}
}

// Who sends what: the envelope of every outgoing message.
const (
	outgoingHello = "client.example"
	outgoingFrom  = "sender@client.example"
	outgoingTo    = "recipient@bench.example"
)

// outgoingPeers lists the senders in the order of the table; the floor is first.
func outgoingPeers() []peer {
	return []peer{
		{name: floorName, bdat: true, start: outgoing(floorLine)},
		{name: oursName, bdat: true, start: startOurClient},
		{name: netSMTPName, start: outgoing(netSMTPLine)},
		{name: goMailName, start: outgoing(goMailLine)},
		{name: goSMTPName, start: outgoing(goSMTPLine)},
		{name: sourceName, start: startSource, installed: sourceInstalled},
	}
}

// A line is one connection over which messages go one after the other.
type line interface {
	send(message []byte) error
	close() error
}

// outgoing makes a sender of lines, as many as there are to be messages at once.
func outgoing(open func(addr string) (line, error)) func(options) (*instance, error) {
	return func(opt options) (*instance, error) {
		lines := make([]line, opt.conns)
		stop := func() {
			for _, l := range lines {
				if l != nil {
					l.close()
				}
			}
		}
		for i := range lines {
			l, err := open(opt.to)
			if err != nil {
				stop()
				return nil, err
			}
			lines[i] = l
		}
		message := body(opt.outgoing.size)
		return &instance{cpu: ownCPU, stop: stop, send: func(l load) (int, error) {
			return atOnce(len(lines), l, func(i int) error { return lines[i].send(message) })
		}}, nil
	}
}

// atOnce calls send from n goroutines until the round is over, and counts.
func atOnce(n int, l load, send func(i int) error) (int, error) {
	began := time.Now()
	sent := make([]int, n)
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			for !l.over(sent[i], began) {
				if errs[i] = send(i); errs[i] != nil {
					return
				}
				sent[i]++
			}
		})
	}
	wg.Wait()
	sum := 0
	for i := range n {
		if errs[i] != nil {
			return 0, errs[i]
		}
		sum += sent[i]
	}
	return sum, nil
}

// measureOutgoing lets every peer send what c says, a round of each in turn.
func measureOutgoing(c outgoingCase, all []peer, l load) ([]result, error) {
	to, err := startChild(floorName, options{})
	if err != nil {
		return nil, err
	}
	defer to.close()
	children, stop, err := startAll(all, c.key, options{to: to.addr, outgoing: c, conns: l.conns}, l)
	if err != nil {
		return nil, err
	}
	defer stop()
	results := make([]result, len(all))
	for i, p := range all {
		results[i].server = p.name
		if c.bdat && !p.bdat {
			results[i].lacks = "BDAT"
		}
	}
	return results, interleave(results, l, func(at int) (sample, error) {
		s, err := sendRound(children[at], l)
		if err != nil {
			err = fmt.Errorf("case %s, %s: %w", c.key, all[at].name, err)
		}
		return s, err
	})
}

// sendRound has k send for one round.
func sendRound(k *child, l load) (sample, error) {
	before, err := k.cpu()
	if err != nil {
		return sample{}, err
	}
	began := time.Now()
	n, err := k.ask(fmt.Sprintf("%s %d %d", askSend, l.slice, l.messages))
	if err != nil {
		k.close() // then it has said everything
		return sample{}, fmt.Errorf("%w: %s", err, strings.TrimSpace(k.stderr.String()))
	}
	wall := time.Since(began)
	after, err := k.cpu()
	return sample{messages: int(n), cpu: after - before, wall: wall}, err
}
