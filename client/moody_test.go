package client_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/internal/memnet"
	"github.com/postrider/postrider/smtp"
)

// A moody server obeys the RFCs and is different on each connection: it has limits,
// announced or not, refuses anything, says 421 or hangs up anywhere, before and
// after it has taken a message. It remembers who got which.
type moody struct {
	lmtp    bool
	mu      sync.Mutex
	random  *rand.Rand
	got     map[string]int // how often, by message and recipient
	broken  []string       // how the client broke a limit
	serving sync.WaitGroup
}

// often is true in one of n cases.
func (s *moody) often(n int) bool { return s.upTo(n) == 1 }

// upTo returns a number from 1 to n.
func (s *moody) upTo(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return 1 + s.random.IntN(n)
}

func (s *moody) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ln := memnet.Listen()
	s.serving.Go(func() {
		far, err := ln.Accept()
		if err != nil {
			return
		}
		defer far.Close()
		c := &moodyConn{moody: s, in: bufio.NewReader(far), out: bufio.NewWriter(far), domains: map[string]bool{}}
		c.serve()
		c.out.Flush()
	})
	near, err := ln.Dial(ctx)
	if err != nil {
		ln.Close()
	}
	return near, err
}

type moodyConn struct {
	*moody
	in  *bufio.Reader
	out *bufio.Writer

	flaky      bool // it may hang up
	limits     smtp.OfferedLimits
	unsaid     int // recipients in a transaction, by 452
	mails      int
	domains    map[string]bool
	open, prdr bool // MAIL was accepted, with PRDR
	rcpts      []string
	chunks     strings.Builder
}

func (c *moodyConn) say(reply string) {
	c.out.WriteString(reply + "\r\n")
	if c.in.Buffered() == 0 || c.often(3) {
		c.out.Flush()
	}
}

func (c *moodyConn) hangsUp() bool { return c.flaky && c.often(25) }

func (c *moodyConn) within(limit, n int, name string) {
	if limit > 0 && n > limit {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.broken = append(c.broken, name)
	}
}

func (c *moodyConn) serve() {
	if c.often(30) {
		c.say("421 busy")
		return
	}
	c.say("220 moody")
	c.flaky = c.often(3)
	for {
		c.out.Flush()
		line, err := c.in.ReadString('\n')
		if err != nil || c.hangsUp() {
			return
		}
		if c.often(4) {
			time.Sleep(time.Duration(c.upTo(20)) * time.Millisecond)
		}
		verb, arg, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		if !c.command(verb, arg) {
			return
		}
	}
}

// command answers one command; false ends the connection.
func (c *moodyConn) command(verb, arg string) bool {
	switch verb {
	case "EHLO", "LHLO":
		c.hello()
	case "MAIL":
		c.mails++
		c.within(c.limits.MailMax, c.mails, "MAILMAX")
		switch {
		case c.open:
			c.say("503 in a transaction")
		case c.often(15):
			c.say("421 no more")
			return false
		case c.often(15):
			c.say("451 not now")
		default:
			c.begin(true)
			c.prdr = strings.Contains(arg, " PRDR")
			c.say("250 ok")
		}
	case "RCPT":
		addr, _, _ := strings.Cut(strings.TrimPrefix(arg, "TO:<"), ">")
		switch {
		case !c.open:
			c.say("503 MAIL first")
		case c.unsaid > 0 && len(c.rcpts) >= c.unsaid:
			c.say([]string{"452 4.5.3 too many", "452 too many"}[c.mails%2])
		case c.often(10):
			c.say("550 5.1.1 no such user")
		case c.often(60):
			c.say("421 no more")
			return false
		default:
			c.rcpts = append(c.rcpts, addr)
			c.within(c.limits.RcptMax, len(c.rcpts), "RCPTMAX")
			_, domain, _ := strings.Cut(addr, "@")
			c.domains[domain] = true
			c.within(c.limits.RcptDomainMax, len(c.domains), "RCPTDOMAINMAX")
			c.say("250 ok")
		}
	case "DATA":
		switch {
		case len(c.rcpts) == 0:
			c.say("503 RCPT first")
		case c.often(20):
			c.say("451 no data now")
		default:
			c.say("354 go")
			c.out.Flush()
			message, err := readData(c.in)
			return err == nil && c.deliver(message)
		}
	case "BDAT":
		var n int64
		fmt.Sscan(arg, &n)
		last := strings.HasSuffix(arg, " LAST")
		if _, err := io.CopyN(&c.chunks, c.in, n); err != nil {
			return false
		}
		switch {
		case len(c.rcpts) == 0:
			c.say("503 RCPT first")
		case !last && c.often(10):
			c.rcpts = nil
			c.say("451 no chunk now")
		case last:
			return c.deliver(c.chunks.String())
		default:
			c.say("250 ok")
		}
	case "RSET":
		c.begin(false)
		c.say("250 ok")
	default:
		c.say("221 bye")
		return false
	}
	return true
}

func (c *moodyConn) hello() {
	reply := "250-moody\r\n"
	for _, keyword := range []string{"PIPELINING", "CHUNKING", "8BITMIME", "PRDR"} {
		if c.often(2) && !(c.lmtp && keyword == "PRDR") {
			reply += "250-" + keyword + "\r\n"
		}
	}
	for limit, most := range map[*int]int{&c.limits.MailMax: 5, &c.limits.RcptMax: 4, &c.limits.RcptDomainMax: 3, &c.unsaid: 3} {
		if c.often(3) {
			*limit = c.upTo(most)
		}
	}
	c.say(reply + "250 LIMITS " + c.limits.String())
}

func (c *moodyConn) begin(open bool) {
	c.open, c.rcpts = open, nil
	c.chunks.Reset()
}

func (c *moodyConn) keep(message string, rcpts ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	name, _, _ := strings.Cut(message, "\r\n")
	for _, r := range rcpts {
		c.got[name+" "+r]++
	}
}

// deliver answers the end of a message.
func (c *moodyConn) deliver(message string) bool {
	rcpts := c.rcpts
	c.begin(false)
	switch {
	case c.lmtp:
		for _, r := range rcpts {
			if c.hangsUp() {
				return false
			}
			if c.often(5) {
				c.say("452 not now")
				continue
			}
			c.keep(message, r)
			c.say("250 ok")
		}
	case c.hangsUp():
		if c.often(2) {
			c.keep(message, rcpts...)
		}
		return false
	case c.often(15):
		c.say("421 closing")
		return false
	case c.prdr && !c.often(4):
		return c.deliverEach(message, rcpts)
	case c.often(8):
		c.say([]string{"450 not now", "550 not that"}[c.upTo(2)-1])
	default:
		c.keep(message, rcpts...)
		c.say("250 ok")
	}
	return true
}

func (c *moodyConn) deliverEach(message string, rcpts []string) bool {
	var taken []string
	c.say("353 each")
	for _, r := range rcpts {
		if c.hangsUp() {
			return false
		}
		if c.often(3) {
			c.say("550 not to me")
			continue
		}
		taken = append(taken, r)
		c.say("250 fine")
	}
	if c.often(4) {
		c.say("554 to nobody")
		return true
	}
	c.keep(message, taken...)
	c.say("250 ok")
	return true
}

// Whatever a server does, the Result tells the truth: what was delivered has
// arrived once, what was not has not, and only what is unknown may be either.
func TestMoodyServers(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { sendToMoody(t, seed) })
		})
	}
}

func sendToMoody(t *testing.T, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 0))
	s := &moody{lmtp: seed%5 == 4, random: rand.New(rand.NewPCG(seed, 1)), got: map[string]int{}}
	some := func(n int) bool { return random.IntN(n) == 0 }
	c := &client.Client{
		Addr: host + ":25", TLSMode: client.Plaintext, LocalName: "client.example", Dial: s.dial,
		LMTP: s.lmtp, MaxConns: 1 + random.IntN(3),
		Chunking: some(2), Optimistic: some(3), AllOrNothing: some(5), NoRedial: some(4),
	}
	if some(4) {
		c.Rate = client.Rate{Messages: 50}
	}
	var done sync.WaitGroup
	for i := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 2+i))
		done.Go(func() {
			for j := range 12 {
				s.send(t, c, r, fmt.Sprintf("A: %d-%d", i, j))
			}
		})
	}
	done.Wait()
	time.Sleep(5 * time.Second) // longer than QUIT may take
	if stats := c.Stats(); stats.Open != stats.Idle || stats.Waiting != 0 {
		t.Errorf("%+v", stats)
	}
	c.Close()
	s.serving.Wait()
	if len(s.broken) > 0 {
		t.Errorf("beyond %v", s.broken)
	}
}

// send sends a message that begins with the line name, and compares.
func (s *moody) send(t *testing.T, c *client.Client, r *rand.Rand, name string) {
	to := make([]string, 1+r.IntN(7))
	for i := range to {
		to[i] = fmt.Sprintf("u%d@d%d.example", i, r.IntN(4))
	}
	env, err := smtp.NewEnvelope("a@example.org", to...)
	if err != nil {
		t.Fatal(err)
	}
	message := name + "\r\n"
	if r.IntN(4) == 0 {
		message += strings.Repeat("x: y\r\n", r.IntN(30000))
	}
	content := smtp.BytesContent([]byte(message))
	if r.IntN(4) == 0 {
		content = smtp.ReaderContent(strings.NewReader(message))
	}
	ctx, cancel := t.Context(), func() {}
	if r.IntN(4) == 0 {
		ctx, cancel = context.WithTimeout(ctx, time.Duration(r.IntN(60))*time.Millisecond)
	}
	defer cancel()
	res, err := c.Send(ctx, env, content)
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range res.Recipients {
		r := &res.Recipients[i]
		n := s.got[name+" "+to[i]]
		if n > 1 || r.Delivered() && n == 0 || !r.Delivered() && !r.Unknown() && n > 0 {
			t.Errorf("%s to %s arrived %d times, and the outcome is %v", name, to[i], n, r.Err)
		}
	}
	if (err == nil) != (res.Delivered() > 0) {
		t.Errorf("%d delivered and error %v", res.Delivered(), err)
	}
}
