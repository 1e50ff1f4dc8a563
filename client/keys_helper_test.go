package client_test

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/internal/memnet"
	"github.com/postrider/postrider/smtp"
)

// A town has a server at every address, which takes everything, and counts the
// connections to them from the beginning of a dial to the end of Close. Servers
// whose name begins with "mute" do not answer QUIT.
type town struct {
	sink   sink // where the messages arrive
	offers []string
	dialTo func(addr string, n int) error // called before the nth connection is made

	mu         sync.Mutex
	open, most map[string]int // "" is all of them
	dials      []string
	mails      []mail
	quits      []string
	began      time.Time
	serving    sync.WaitGroup
}

// mail is a MAIL command: to which server, and when.
type mail struct {
	addr string
	conn uint64
	at   time.Duration
}

func newTown(offers ...string) *town {
	return &town{offers: offers, open: map[string]int{}, most: map[string]int{}, began: time.Now()}
}

// newClient returns a Client for addr.
func (s *town) newClient(addr string) *client.Client {
	return &client.Client{
		Addr: addr, TLSMode: client.Plaintext, LocalName: "client.example", Dial: s.dial,
		Trace: &client.Trace{Wrote: func(c client.ConnInfo, line string) {
			s.mu.Lock()
			defer s.mu.Unlock()
			switch {
			case strings.HasPrefix(line, "MAIL"):
				s.mails = append(s.mails, mail{c.Host, c.ID, time.Since(s.began)})
			case line == "QUIT":
				s.quits = append(s.quits, c.Host)
			}
		}},
	}
}

// pool returns a Pool for the town, whose Clients set may change.
func (s *town) pool(set func(*client.Client)) *client.Pool {
	return &client.Pool{New: func(k client.Key) (*client.Client, error) {
		c := s.newClient(k.Addr)
		if set != nil {
			set(c)
		}
		return c, nil
	}}
}

func (s *town) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	s.count(addr, 1)
	s.mu.Lock()
	s.dials = append(s.dials, strings.TrimSuffix(addr, ":25"))
	n := len(s.dials)
	s.mu.Unlock()
	if s.dialTo != nil {
		if err := s.dialTo(addr, n); err != nil {
			s.count(addr, -1)
			return nil, err
		}
	}
	ln := memnet.Listen()
	s.serving.Go(func() {
		far, err := ln.Accept()
		if err != nil {
			return
		}
		defer far.Close()
		if strings.HasPrefix(addr, "mute") {
			stalling(far, "QUIT", -1)
		} else {
			s.sink.serve(far, s.offers)
		}
	})
	near, err := ln.Dial(ctx)
	if err != nil {
		ln.Close()
		s.count(addr, -1)
		return nil, err
	}
	return &countedConn{Conn: near, closed: sync.OnceFunc(func() { s.count(addr, -1) })}, nil
}

func (s *town) count(addr string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range []string{addr, ""} {
		s.open[a] += n
		s.most[a] = max(s.most[a], s.open[a])
	}
}

func (s *town) opened() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open[""]
}

// mailsTo returns the times of the MAIL commands to one server.
func (s *town) mailsTo(host string) (times []time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.mails {
		if m.addr == host {
			times = append(times, m.at)
		}
	}
	return times
}

// order says, in one string, to which servers MAIL was said.
func (s *town) order() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	for _, m := range s.mails {
		b.WriteString(m.addr)
	}
	return b.String()
}

type countedConn struct {
	net.Conn
	closed func()
}

func (c *countedConn) Close() error {
	defer c.closed()
	return c.Conn.Close()
}

func keyOf(host string) client.Key { return client.Key{Addr: host + ":25"} }

// post sends a small message by p.
func post(t testing.TB, p *client.Pool, host string) {
	t.Helper()
	if err := postCtx(t.Context(), t, p, host, small); err != nil {
		t.Errorf("to %s: %v", host, err)
	}
}

func postCtx(ctx context.Context, t testing.TB, p *client.Pool, host string, content smtp.Content) error {
	t.Helper()
	res, err := p.Send(ctx, keyOf(host), envelope(t, 1), content)
	if (err == nil) != (res.Delivered() == 1) {
		t.Errorf("%d delivered and error %v", res.Delivered(), err)
	}
	return err
}

var small = smtp.BytesContent([]byte("A: b\r\n"))

// slow is a message whose end does not come before hold is closed.
func slow(hold chan struct{}) smtp.Content {
	return smtp.ReaderContent(io.MultiReader(strings.NewReader(strings.Repeat("x: y\r\n", 20000)), readerFunc(func([]byte) (int, error) {
		<-hold
		return 0, io.EOF
	})))
}
