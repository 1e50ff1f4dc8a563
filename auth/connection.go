package auth

import (
	"context"
	"net"
	"sync"

	"github.com/postrider/postrider/auth/spf"
	"github.com/postrider/postrider/smtp"
)

// NewPeer returns the Peer behind a network connection. An address that is not
// an IP's leaves Peer.IP zero.
func NewPeer(addr net.Addr, hello string) Peer {
	p := Peer{Hello: hello}
	if a, ok := addr.(*net.TCPAddr); ok {
		p.IP = a.AddrPort().Addr().Unmap().WithZone("")
	}
	return p
}

// A Connection is what is known of a client, whatever it sends. It is safe for
// concurrent use.
type Connection struct {
	v       *Verifier
	m       *methods
	peer    Peer
	cancel  context.CancelFunc
	running sync.WaitGroup
	iprev   *pending[IPRev]
	hello   *pending[spf.Result]
}

// Peer returns what Begin was given. A client that greets with another name is
// another Peer.
func (c *Connection) Peer() Peer { return c.peer }

// IPRev waits for what the names of the client's address tell. The error is the
// context's.
func (c *Connection) IPRev(ctx context.Context) (IPRev, error) { return c.iprev.wait(ctx) }

// HelloSPF waits for what SPF says of the HELO name (RFC 7208 §2.3). The error
// is the context's.
func (c *Connection) HelloSPF(ctx context.Context) (spf.Result, error) { return c.hello.wait(ctx) }

// Message begins a mail transaction: SPF of the reverse-path starts in the
// background. All that is started for the message ends with ctx, or with
// Check.Finish or Check.Abort. Several messages may be checked at a time.
func (c *Connection) Message(ctx context.Context, from smtp.ReversePath) *Check {
	k := c.newCheck(ctx)
	k.startSPF(from)
	return k
}

// Close ends what is still being looked up, and waits for that. The end of the
// context given to Begin does the same without the waiting.
func (c *Connection) Close() {
	c.cancel()
	c.running.Wait()
}

// request is what SPF has to know, but for the reverse-path.
func (c *Connection) request() spf.Request { return spf.Request{IP: c.peer.IP, Hello: c.peer.Hello} }
