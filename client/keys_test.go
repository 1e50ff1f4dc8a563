package client_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/smtp"
)

// Two messages share a connection if all of their keys is equal, and else never.
func TestPoolKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTown("PIPELINING")
		var made []client.Key
		p := &client.Pool{New: func(k client.Key) (*client.Client, error) {
			made = append(made, k)
			return s.newClient(k.Addr), nil
		}}
		keys := []client.Key{
			{Addr: "a:25"}, {Addr: "b:25"}, {Network: "tcp4", Addr: "a:25"}, {Addr: "a:25", LocalAddr: "192.0.2.1"},
			{Addr: "a:25", LocalName: "x.example"}, {Addr: "a:25", Credentials: "alice"}, {Addr: "a:25", TLS: "dane"},
		}
		for range 2 {
			for _, k := range keys {
				res, err := p.Send(t.Context(), k, envelope(t, 1), small)
				want(t, res, err, "250")
			}
		}
		if !slices.Equal(made, keys) || len(s.dials) != len(keys) {
			t.Errorf("%d connections for %v", len(s.dials), made)
		}
		if stats := p.Stats(); stats != (client.Stats{Keys: len(keys), Open: len(keys), Idle: len(keys)}) {
			t.Errorf("%+v", stats)
		}
		p.Close()
		s.serving.Wait()
		if len(s.quits) != len(keys) || s.open[""] != 0 || p.Stats() != (client.Stats{}) {
			t.Errorf("%d times QUIT, %d open, %+v", len(s.quits), s.open[""], p.Stats())
		}
	})
}

// The zero Pool works, as far as a Key can say what is wanted.
func TestZeroPool(t *testing.T) {
	ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "smtp"))
	if err != nil {
		t.Skip(err)
	}
	s := sinkOn(t, ln, "PIPELINING")
	var p client.Pool
	defer p.Close()
	key := client.Key{Network: "unix", Addr: ln.Addr().String(), LocalName: "client.example"}
	for range 2 {
		res, err := p.Send(t.Context(), key, envelope(t, 1), small)
		want(t, res, err, "250")
	}
	if p.Close(); len(s.messages(t)) != 2 {
		t.Errorf("%d messages", len(s.got))
	}
}

// What cannot make a connection is an error for every recipient, and one that no
// time mends if it is the program's fault.
func TestPoolNewFails(t *testing.T) {
	used := &client.Client{Addr: "a:25", Dial: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no") }}
	used.Send(t.Context(), envelope(t, 1), small)
	broken := errors.New("broken")
	for name, test := range map[string]struct {
		new       func(client.Key) (*client.Client, error)
		key       client.Key
		temporary bool
		is        error
	}{
		"credentials": {key: client.Key{Addr: "a:25", Credentials: "alice"}},
		"TLS":         {key: client.Key{Addr: "a:25", TLS: "dane"}},
		"no client":   {new: func(client.Key) (*client.Client, error) { return nil, nil }},
		"used client": {new: func(client.Key) (*client.Client, error) { return used, nil }},
		"error":       {new: func(client.Key) (*client.Client, error) { return nil, broken }, temporary: true, is: broken},
		"local name":  {key: client.Key{Addr: "127.0.0.1:1", LocalName: "a b"}},
		"local addr":  {key: client.Key{Addr: "127.0.0.1:1", LocalAddr: "lo"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := client.Pool{New: test.new}
			res, err := p.Send(t.Context(), test.key, envelope(t, 2), small)
			var failed *client.SendError
			if !errors.As(err, &failed) || failed.Temporary() != test.temporary || failed.Host != "" || test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("error %v", err)
			}
			if len(res.Recipients) != 2 || res.Recipients[1].Err == nil || res.Recipients[1].Host != "" {
				t.Errorf("result %+v", res)
			}
			if p.Close(); p.Stats() != (client.Stats{}) {
				t.Errorf("left: %+v", p.Stats())
			}
		})
	}
}

// Two who find no Client at the same time get the same one.
func TestPoolNewAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTown("PIPELINING")
		made, goOn := 0, make(chan struct{})
		p := &client.Pool{New: func(k client.Key) (*client.Client, error) {
			made++
			<-goOn
			c := s.newClient(k.Addr)
			c.MaxConns = 1
			return c, nil
		}}
		var done sync.WaitGroup
		for range 3 {
			done.Go(func() { post(t, p, "a") })
			synctest.Wait()
		}
		close(goOn)
		done.Wait()
		if made != 3 || len(s.dials) != 1 || p.Stats().Keys != 1 {
			t.Errorf("%d made, %d connections", made, len(s.dials))
		}
		p.Close()
		s.serving.Wait()
	})
}

// Where there are as many connections as there may be, an idle one goes, the one
// that nobody has used for longest; nobody waits for that but the time of its QUIT.
func TestPoolMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTown("PIPELINING")
		p := s.pool(nil)
		p.MaxConns = 2
		began := time.Now()
		for _, host := range []string{"a", "b", "a", "c", "a", "b"} { // c closes b, b closes c
			post(t, p, host)
			if time.Since(began) > 0 {
				t.Errorf("%s waited", host)
			}
		}
		if got := strings.Join(s.dials, " "); got != "a b c b" {
			t.Errorf("connections to %s", got)
		}
		if got := strings.Join(s.quits, " "); got != "b c" {
			t.Errorf("QUIT to %s", got)
		}
		if s.most[""] != 2 || p.Stats() != (client.Stats{Keys: 2, Open: 2, Idle: 2}) {
			t.Errorf("%d open, %+v", s.most[""], p.Stats())
		}
		p.Close()
		s.serving.Wait()
	})
}

// A server that does not answer QUIT holds up who needs its slot for no longer
// than Timeouts.Quit, and not past the end of his context.
func TestPoolMakesRoomInTime(t *testing.T) {
	for _, limit := range []time.Duration{time.Second, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			s := newTown("PIPELINING")
			p := s.pool(nil)
			p.MaxConns = 1
			post(t, p, "mute")
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			began := time.Now()
			err := postCtx(ctx, t, p, "a", small)
			if took := time.Since(began); took != min(limit, 2*time.Second) || (err == nil) != (limit > 2*time.Second) {
				t.Errorf("%v after %v", err, took)
			}
			post(t, p, "b")
			p.Close()
			s.serving.Wait()
		})
	}
}

// A connection counts for its server, and for all, until it is closed: a server
// that does not answer QUIT sees no second one before.
func TestPoolCountsWhatCloses(t *testing.T) {
	for name, test := range map[string]struct {
		makeRoom func(t *testing.T, p *client.Pool)
		conns    int
	}{
		"for another, and nobody else": {func(t *testing.T, p *client.Pool) { post(t, p, "a") }, 1},
		"for another":                  {func(t *testing.T, p *client.Pool) { post(t, p, "a") }, 2},
		"idle":                         {func(t *testing.T, p *client.Pool) { time.Sleep(30 * time.Second) }, 2},
		"CloseIdle":                    {func(t *testing.T, p *client.Pool) { p.CloseIdle() }, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newTown("PIPELINING")
				p := s.pool(func(c *client.Client) { c.MaxConns = 1 })
				p.MaxConns = test.conns
				post(t, p, "mute")
				if test.conns > 1 {
					time.Sleep(time.Second / 2)
					post(t, p, "b")
				}
				var done sync.WaitGroup
				done.Go(func() { test.makeRoom(t, p) })
				time.Sleep(time.Second)
				if name == "idle" {
					time.Sleep(29*time.Second + time.Second/2)
				}
				began := time.Now()
				post(t, p, "mute")
				if took := time.Since(began); took != time.Second {
					t.Errorf("%v for a message", took)
				}
				done.Wait()
				p.Close()
				s.serving.Wait()
				if s.most["mute:25"] != 1 || s.most[""] != test.conns {
					t.Errorf("%v connections at a time", s.most)
				}
			})
		})
	}
}

// While every connection is in use, nobody gets one more; who waits is woken by
// his context, and then by nothing else.
func TestPoolIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTown("PIPELINING")
		p := s.pool(nil)
		p.MaxConns = 1
		hold := make(chan struct{})
		var done sync.WaitGroup
		done.Go(func() {
			if err := postCtx(t.Context(), t, p, "a", slow(hold)); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		for i := range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			began := time.Now()
			err := postCtx(ctx, t, p, fmt.Sprint("gone", i), small)
			if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
				t.Errorf("%v after %v", err, time.Since(began))
			}
			cancel()
		}
		if stats := p.Stats(); stats != (client.Stats{Keys: 1, Open: 1}) || p.InLine() != 0 {
			t.Errorf("%+v, %d in line", stats, p.InLine())
		}
		done.Go(func() { post(t, p, "b") })
		synctest.Wait()
		if stats := p.Stats(); stats != (client.Stats{Keys: 2, Open: 1, Waiting: 1}) {
			t.Errorf("%+v", stats)
		}
		close(hold)
		done.Wait()
		if got := strings.Join(s.dials, " "); got != "a b" || s.most[""] != 1 {
			t.Errorf("connections to %s, %d at a time", got, s.most[""])
		}
		p.Close()
		s.serving.Wait()
	})
}

// Keys that wait take turns, and no key can hold a connection against others by
// always having more to send.
func TestPoolIsFair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTown("PIPELINING")
		p := s.pool(nil)
		p.MaxConns = 1
		hold := make(chan struct{})
		var done sync.WaitGroup
		send := func(host string, n int) {
			for range n {
				done.Go(func() { post(t, p, host) })
				synctest.Wait()
			}
		}
		done.Go(func() { postCtx(t.Context(), t, p, "a", slow(hold)) })
		synctest.Wait()
		send("a", 25)
		send("b", 15)
		send("c", 1)
		close(hold)
		done.Wait()
		ten := func(host string) string { return strings.Repeat(host, 10) }
		// The first of a had begun before anybody else came.
		if got, want := s.order(), ten("a")+ten("b")+"c"+ten("a")+"bbbbb"+"aaaaaa"; got != want {
			t.Errorf("order\n%s, want\n%s", got, want)
		}
		p.Close()
		s.serving.Wait()
	})
}

// A slot whose connection is closed goes by turns too.
func TestPoolIsFairWithSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTown("PIPELINING")
		p := s.pool(func(c *client.Client) { c.MaxMessages = 1 })
		p.MaxConns = 1
		hold := make(chan struct{})
		var done sync.WaitGroup
		done.Go(func() { postCtx(t.Context(), t, p, "a", slow(hold)) })
		synctest.Wait()
		for _, host := range []string{"a", "a", "a", "b", "b"} {
			done.Go(func() { post(t, p, host) })
			synctest.Wait()
		}
		close(hold)
		done.Wait()
		if got := s.order(); got != "aababa" {
			t.Errorf("order %s", got)
		}
		p.Close()
		s.serving.Wait()
	})
}

// One key that has all connections to itself goes on chaining.
func TestPoolChained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTown("PIPELINING")
		var writes atomic.Int64
		p := s.pool(func(c *client.Client) {
			c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
				nc, err := s.dial(ctx, network, addr)
				return countingConn{nc, &writes}, err
			}
		})
		p.MaxConns = 1
		hold := make(chan struct{})
		var done sync.WaitGroup
		done.Go(func() { postCtx(t.Context(), t, p, "a", slow(hold)) })
		synctest.Wait()
		before := writes.Load()
		const n = 30
		for range n {
			done.Go(func() { post(t, p, "a") })
		}
		synctest.Wait()
		close(hold)
		done.Wait()
		if got := writes.Load() - before; got != n+1 {
			t.Errorf("%d writes for %d messages", got, n+1)
		}
		p.Close()
		s.serving.Wait()
	})
}

// The idle connections of all keys together are limited.
func TestPoolMaxIdle(t *testing.T) {
	for _, limit := range []int{3, -1} {
		synctest.Test(t, func(t *testing.T) {
			s := newTown("PIPELINING")
			p := s.pool(nil)
			p.MaxIdle = limit
			for i := range 10 {
				post(t, p, string(rune('a'+i)))
				post(t, p, "z")
				synctest.Wait()
				if stats := p.Stats(); stats.Idle > max(0, limit) || stats.Open != stats.Idle {
					t.Errorf("%+v", stats)
				}
			}
			if n := map[int]int{3: 11, -1: 20}[limit]; len(s.dials) != n {
				t.Errorf("%d connections, want %d", len(s.dials), n)
			}
			if got := strings.Join(s.quits, ""); limit == 3 && got != "abcdefgh" {
				t.Errorf("QUIT to %s", got)
			}
			p.Close()
			s.serving.Wait()
		})
	}
}

// A key is forgotten with its last connection, and made anew when it is needed
// again: however many there have been, the Pool stays small.
func TestPoolForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTown("PIPELINING")
		made := 0
		p := s.pool(func(*client.Client) { made++ })
		p.MaxIdle = 5
		n := 2000
		for i := range n {
			post(t, p, fmt.Sprint("host", i))
			synctest.Wait() // for QUIT
			if keys := p.Stats().Keys; keys > p.MaxIdle {
				t.Errorf("%d keys after %d", keys, i)
				break
			}
		}
		time.Sleep(31 * time.Second)
		synctest.Wait()
		if stats := p.Stats(); stats != (client.Stats{}) || made != n {
			t.Errorf("%+v, made %d", stats, made)
		}
		post(t, p, "host1")
		if post(t, p, "host1"); made != n+1 {
			t.Errorf("made %d", made)
		}
		p.CloseIdle()
		if stats := p.Stats(); stats != (client.Stats{}) || s.open[""] != 0 {
			t.Errorf("%+v", stats)
		}
		p.Close()
		s.serving.Wait()
	})
}

// A key is remembered as long as its Rate has to be kept.
func TestPoolRemembersRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTown("PIPELINING")
		p := s.pool(func(c *client.Client) {
			c.MaxIdle = -1
			c.Rate = client.Rate{Messages: 1, Per: time.Hour}
		})
		post(t, p, "a")
		time.Sleep(time.Minute)
		if stats := p.Stats(); stats != (client.Stats{Keys: 1}) {
			t.Errorf("%+v", stats)
		}
		post(t, p, "a")
		if got := s.mailsTo("a"); !slices.Equal(got, []time.Duration{0, time.Hour}) {
			t.Errorf("sent at %v", got)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if stats := p.Stats(); stats != (client.Stats{}) {
			t.Errorf("%+v", stats)
		}
		post(t, p, "a")
		p.Close() // with a key that is remembered
		s.serving.Wait()
	})
}

func TestPoolClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTown("PIPELINING")
		p := s.pool(nil)
		post(t, p, "idle")
		hold := make(chan struct{})
		sent, closed := make(chan error, 1), make(chan error, 1)
		go func() { sent <- postCtx(t.Context(), t, p, "a", slow(hold)) }()
		synctest.Wait()
		go func() { closed <- p.Close() }()
		synctest.Wait()
		if err := postCtx(t.Context(), t, p, "b", small); !errors.Is(err, client.ErrClosed) {
			t.Errorf("a message after Close: %v", err)
		}
		select {
		case err := <-closed:
			t.Errorf("closed while a message is under way: %v", err)
		default:
		}
		close(hold)
		if err := <-sent; err != nil {
			t.Error(err)
		}
		if err := <-closed; err != nil {
			t.Error(err)
		}
		if err := p.Close(); !errors.Is(err, client.ErrClosed) {
			t.Errorf("closed again: %v", err)
		}
		if s.serving.Wait(); s.open[""] != 0 || len(s.quits) != 2 {
			t.Errorf("%d open, %d times QUIT", s.open[""], len(s.quits))
		}
	})
}

// However many come and go, no limit is ever exceeded, every message arrives
// whose sender was told so, and nobody waits for ever.
func TestPoolChaos(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { poolChaos(t, rand.New(rand.NewPCG(seed, 0))) })
		})
	}
}

func poolChaos(t *testing.T, random *rand.Rand) {
	s := newTown("PIPELINING")
	s.dialTo = func(addr string, _ int) error {
		time.Sleep(time.Duration(len(addr)) * time.Millisecond)
		if strings.HasPrefix(addr, "down") {
			return errors.New("down")
		}
		return nil
	}
	p := s.pool(func(c *client.Client) {
		c.MaxConns = 2
		c.IdleTimeout = 40 * time.Millisecond
		switch c.Addr[0] {
		case 'm':
			c.MaxMessages = 3
		case 'r':
			c.Rate = client.Rate{Messages: 100}
		}
	})
	p.MaxConns, p.MaxIdle = 4, 3
	hosts := []string{"a", "aa", "aaa", "aaaa", "m", "mm", "r", "rr", "rrr", "down"}
	var done sync.WaitGroup
	for range 30 {
		r := rand.New(rand.NewPCG(random.Uint64(), 0))
		done.Go(func() {
			for range 40 {
				host := hosts[r.IntN(len(hosts))]
				ctx, cancel := t.Context(), func() {}
				content := small
				switch r.IntN(6) {
				case 0:
					ctx, cancel = context.WithTimeout(ctx, time.Duration(r.IntN(20))*time.Millisecond)
				case 1:
					content = smtp.ReaderContent(strings.NewReader("A: \x00b\r\n"))
				case 2:
					time.Sleep(time.Duration(r.IntN(100)) * time.Millisecond)
				case 3:
					hold := make(chan struct{})
					time.AfterFunc(time.Duration(r.IntN(10))*time.Millisecond, func() { close(hold) })
					content = slow(hold)
				}
				err := postCtx(ctx, t, p, host, content)
				var refused *client.ContentError
				if err != nil && host != "down" && ctx.Err() == nil && !errors.As(err, &refused) {
					t.Errorf("%s: %v", host, err)
				}
				cancel()
			}
		})
	}
	done.Wait()
	synctest.Wait()
	stats := p.Stats()
	if stats.Waiting != 0 || stats.Open != stats.Idle || stats.Open != s.opened() {
		t.Errorf("%+v, %d open", stats, s.opened())
	}
	time.Sleep(time.Second)
	synctest.Wait()
	if stats := p.Stats(); stats != (client.Stats{}) {
		t.Errorf("left: %+v", stats)
	}
	p.Close()
	s.serving.Wait()
	if s.most[""] != p.MaxConns {
		t.Errorf("%d connections at a time", s.most[""])
	}
	for addr, n := range s.most {
		if addr != "" && n > 2 {
			t.Errorf("%d connections to %s at a time", n, addr)
		}
		host := strings.TrimSuffix(addr, ":25")
		times := s.mailsTo(host)
		for i := 1; i < len(times) && strings.HasPrefix(host, "r"); i++ {
			if times[i]-times[i-1] < 10*time.Millisecond {
				t.Errorf("%s: messages at %v and %v", host, times[i-1], times[i])
			}
		}
	}
}
