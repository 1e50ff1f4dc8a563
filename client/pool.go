package client

import (
	"context"
	"errors"

	"github.com/postrider/postrider/smtp"
)

// A Key says which connections are alike: a message may go over any connection
// that was made for an equal Key, and over no other.
type Key struct {
	Network   string // as Client.Network
	Addr      string // as Client.Addr
	LocalAddr string // as Client.LocalAddr
	LocalName string // as Client.LocalName
	// Credentials is a name of the caller's for whom to authenticate as. It is
	// never the credentials themselves.
	Credentials string
	// TLS is a word of the caller's for how connections are protected and what a
	// certificate is held against: TLSMode, the class of policy that chose it,
	// TLSA records. Mail that asks for more never goes over a connection that was
	// made with less if their words differ.
	TLS string
}

// A Pool sends messages to many servers over connections that it keeps and
// shares: as a Client does for one server, with limits over all of them. The
// limits for one server, such as how many connections it gets, at what Rate and
// for how long, are those of the Client for its Key.
//
// When there are as many connections as there may be, the one that nobody has
// used for longest is closed to make room. If all are in use, whoever needs a new
// one waits: first come, first served among those of one Key, while the Keys take
// turns. A connection that others wait for carries ten more messages at most.
//
// A Pool is safe for concurrent use, and its zero value is ready. It must not be
// copied, and its fields must not change after the first call.
type Pool struct {
	// New returns a new Client for a Key, which then belongs to the Pool: its
	// methods must not be called. New is called when a Key is used that the Pool
	// does not know, and the Pool knows it as long as it has a connection, a
	// message under way or a Rate to keep. It may be called at the same time by
	// several goroutines, and what it returns not be used. The TLS sessions that a
	// Client keeps to resume are gone when it is forgotten; to keep them longer,
	// give its TLSConfig a ClientSessionCache that is for this Key alone, since
	// crypto/tls looks in one for the server's name and nothing else. If nil, a
	// Client that has the Key's Network, Addr, LocalAddr and LocalName and is
	// otherwise zero; a Key with Credentials or TLS is then an error.
	New func(Key) (*Client, error)
	// MaxConns limits the connections open at a time. If zero, 1,000. If
	// negative, there is no limit.
	MaxConns int
	// MaxIdle limits the connections kept for later. Beyond, the one that nobody
	// has used for longest is closed. If zero, 100. If negative, none is kept.
	MaxIdle int

	clients map[Key]*Client
	slots   slots
}

// Stats counts what there is in a Client or a Pool at one moment.
type Stats struct {
	Keys    int // that the Pool knows; 1 for a Client
	Open    int // connections, with those that are being made
	Idle    int // connections that nobody uses
	Waiting int // calls of Send that wait for a connection, or for the Rate
}

// Send sends one message over a connection of key, and is otherwise Client.Send.
// An error of New comes back within the *SendError.
func (p *Pool) Send(ctx context.Context, key Key, env smtp.Envelope, content smtp.Content) (*Result, error) {
	return p.SendVia(ctx, key, func() (*Client, error) { return p.fresh(key) }, env, content)
}

// SendVia is Send with newClient in the place of New: it returns the Client for
// key if the Pool does not know that, for callers to whom a Key does not say all.
func (p *Pool) SendVia(ctx context.Context, key Key, newClient func() (*Client, error), env smtp.Envelope, content smtp.Content) (*Result, error) {
	w := newWaiter(ctx, env, content)
	res, err := p.send(w, key, newClient)
	w.free()
	return res, err
}

func (p *Pool) send(w *waiter, key Key, newClient func() (*Client, error)) (*Result, error) {
	defer w.t.close()
	if err := w.t.prepare(); err != nil {
		return w.t.end(nil, err)
	}
	c, err := p.join(key, newClient, w)
	if err != nil {
		return w.t.end(nil, err)
	}
	defer c.queue.part()
	return c.deliver(w)
}

// CloseIdle says QUIT on the connections that nobody uses.
func (p *Pool) CloseIdle() { p.slots.closeIdle() }

// Close lets no new call of Send begin, waits for those that run and says QUIT on
// what is left, for which it waits no longer than Timeouts.Quit. A second Close
// returns ErrClosed.
func (p *Pool) Close() error {
	err := p.slots.close()
	p.slots.mu.Lock()
	defer p.slots.mu.Unlock()
	for _, c := range p.clients {
		c.queue.stop()
	}
	p.clients = nil
	return err
}

// Stats counts what there is now.
func (p *Pool) Stats() Stats {
	p.slots.mu.Lock()
	keys := len(p.clients)
	p.slots.mu.Unlock()
	return p.slots.stats(keys)
}

// join returns the Client for key, counts a call of Send in it and takes for w.
func (p *Pool) join(key Key, newClient func() (*Client, error), w *waiter) (*Client, error) {
	if c, err := p.known(key, nil, w); c != nil || err != nil {
		return c, err
	}
	c, err := newClient()
	if c == nil && err == nil {
		err = localError{errNoClient}
	}
	if err != nil {
		return nil, err
	}
	return p.known(key, c, w)
}

// known returns the Client for key, which is then fresh if there was none.
func (p *Pool) known(key Key, fresh *Client, w *waiter) (*Client, error) {
	s := &p.slots
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	c := p.clients[key]
	if c == nil {
		if fresh == nil {
			return nil, nil
		}
		if fresh.queue.limits.open != 0 {
			return nil, localError{errUsedClient}
		}
		c = fresh
		p.add(key, c)
	}
	c.queue.arrive()
	c.queue.take(w)
	return c, nil
}

// add makes c the Client for key.
func (p *Pool) add(key Key, c *Client) {
	if p.clients == nil {
		p.clients = map[Key]*Client{}
		p.slots.maxOpen, p.slots.maxIdle = orDefault(p.MaxConns, 1000, unlimited), orDefault(p.MaxIdle, 100, 0)
	}
	c.queue.shared, c.queue.limits = &p.slots, c.limits()
	c.queue.forget = func() {
		if p.clients[key] == c {
			delete(p.clients, key)
		}
	}
	p.clients[key] = c
}

// fresh returns a new Client for key.
func (p *Pool) fresh(key Key) (*Client, error) {
	switch {
	case p.New != nil:
		return p.New(key)
	case key.Credentials != "" || key.TLS != "":
		return nil, localError{errNoNew}
	}
	return &Client{Network: key.Network, Addr: key.Addr, LocalAddr: key.LocalAddr, LocalName: key.LocalName}, nil
}

var (
	errNoNew      = errors.New("the Pool has no New to make a Client with Credentials or TLS")
	errNoClient   = errors.New("the Pool's New returned no Client")
	errUsedClient = errors.New("the Pool's New returned a Client that is in use")
)
