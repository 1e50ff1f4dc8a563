package guarantee

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/smtp"
)

// A load sends messages in several sessions until it is stopped.
type load struct {
	ledger  *ledger
	maxOpen int // accepted recipients that may wait for the relay
	count   atomic.Int64
	stop    chan struct{}
	end     context.CancelFunc
	wg      sync.WaitGroup
}

// A dialer connects to the relay, or to one of them.
type dialer func(ctx context.Context, network, addr string) (net.Conn, error)

// newClient returns a client with one connection.
func newClient(dial dialer) *client.Client {
	return &client.Client{
		Addr:      "relay.example:25",
		TLSMode:   client.Plaintext,
		LocalName: "load.example",
		Dial:      dial,
		Timeouts:  client.EveryTimeout(30 * time.Second),
		MaxConns:  1,
	}
}

// startLoad starts so many sessions.
func startLoad(t *testing.T, l *ledger, sessions int, dial dialer) *load {
	ctx, cancel := context.WithCancel(t.Context())
	g := &load{ledger: l, maxOpen: 400, stop: make(chan struct{}), end: cancel}
	for i := range sessions {
		c := newClient(dial)
		c.Chunking = i%2 == 1
		g.wg.Go(func() {
			defer c.Close()
			g.session(ctx, c)
		})
	}
	t.Cleanup(g.finish)
	return g
}

// finish lets each session come to the end of its message.
func (g *load) finish() {
	select {
	case <-g.stop:
	default:
		close(g.stop)
	}
	late := time.AfterFunc(30*time.Second, g.end)
	g.wg.Wait()
	late.Stop()
	g.end()
}

func (g *load) session(ctx context.Context, c *client.Client) {
	for {
		g.ledger.below(g.maxOpen, g.stop)
		select {
		case <-g.stop:
			return
		default:
		}
		m, content := newMessage(g.count.Add(1))
		g.ledger.send(ctx, c, m, content)
	}
}

// send sends the message once and notes what the relay said. It returns the
// first error that a recipient had.
func (l *ledger) send(ctx context.Context, c *client.Client, m *message, content smtp.Content) (first error) {
	l.enter(m)
	to := make([]string, len(m.recipients))
	for i, r := range m.recipients {
		to[i] = r.addr
	}
	env, err := smtp.NewEnvelope(m.from(), to...)
	if err != nil {
		l.complain("%v", err)
		return err
	}
	res, _ := c.Send(ctx, env, content)
	for i, r := range res.Recipients {
		if first == nil {
			first = r.Err
		}
		switch {
		case r.Delivered():
			l.tell(m.recipients[i], accepted)
		case errors.Is(r.Err, client.ErrUnknown):
			l.tell(m.recipients[i], unknown)
		default:
			l.decline(m.recipients[i], r.Err)
		}
	}
	return first
}

// newMessage makes up the nth message: one to three recipients in four domains,
// a few of whom the sink refuses, and 1 to 64 KB, now and then a megabyte.
func newMessage(n int64) (*message, smtp.Content) {
	rng := rand.New(rand.NewPCG(uint64(n), 6))
	m := &message{id: fmt.Sprintf("m%d", n)}
	for i := range 1 + rng.IntN(3) {
		r := &recipient{message: m}
		switch rng.IntN(20) {
		case 0:
			r.ending = refused
		case 1:
			r.ending = later
		}
		r.addr = fmt.Sprintf("%s.%d.%d@d%d.example", m.id, i, r.ending, rng.IntN(4))
		m.recipients = append(m.recipients, r)
	}
	size := 1<<10 + rng.IntN(63<<10)
	if rng.IntN(3) > 0 {
		size = 1<<10 + rng.IntN(7<<10)
	}
	if rng.IntN(200) == 0 {
		size = 1 << 20
	}
	data := text(rng, m.id, size)
	m.sum = sha256.Sum256(data)
	return m, smtp.BytesContent(data)
}

// text is a message whose first field tells which it is. Lines begin with dots
// here and there, and have octets above 127.
func text(rng *rand.Rand, id string, size int) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "X-Load: %s\r\nFrom: <%s@from.example>\r\nTo: somebody <x@d0.example>\r\nSubject: load\r\nDate: Sun, 22 Nov 2026 12:00:00 +0000\r\nMessage-ID: <%s@load.example>\r\n\r\n", id, id, id)
	for b.Len() < size {
		for range rng.IntN(3) {
			b.WriteByte('.')
		}
		for range rng.IntN(70) {
			b.WriteByte(byte(' ' + rng.IntN('~'-' ')))
		}
		if rng.IntN(8) == 0 {
			b.WriteString("\u00e9\u00df")
		}
		b.WriteString("\r\n")
	}
	return b.Bytes()
}
