package dns_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/postrider/postrider/mx/dns"
	"github.com/postrider/postrider/mx/dns/dnstest"
)

// counter is a Resolver that counts what it is asked.
type counter struct {
	resolve func(ctx context.Context, name string, t dns.Type) (dns.Answer, error)
	mu      sync.Mutex
	asked   int
}

func (c *counter) Resolve(ctx context.Context, name string, t dns.Type) (dns.Answer, error) {
	c.mu.Lock()
	c.asked++
	c.mu.Unlock()
	return c.resolve(ctx, name, t)
}

// since returns how often it was asked since the last time.
func (c *counter) since() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer func() { c.asked = 0 }()
	return c.asked
}

var errServ = &dns.Error{Name: "a.example", Type: dns.A, RCode: dns.ServFail}

// For how long something is kept, and the TTL that is left.
func TestCacheTimes(t *testing.T) {
	one := []netip.Addr{netip.MustParseAddr("192.0.2.1")}
	for _, tt := range []struct {
		what   string
		cache  *dns.Cache
		answer dns.Answer
		err    error
		life   time.Duration
		left   time.Duration // of the TTL, a second later
	}{
		{"answer", &dns.Cache{}, dns.Answer{Addrs: one, TTL: time.Hour}, nil, time.Hour, time.Hour - time.Second},
		{"long", &dns.Cache{}, dns.Answer{Addrs: one, TTL: 100 * time.Hour}, nil, 24 * time.Hour, 24*time.Hour - time.Second},
		{"limited", &dns.Cache{MaxTTL: time.Minute}, dns.Answer{Addrs: one, TTL: time.Hour}, nil, time.Minute, time.Minute - time.Second},
		{"short", &dns.Cache{}, dns.Answer{Addrs: one, TTL: 3 * time.Second}, nil, 5 * time.Second, 2 * time.Second},
		{"unknown", &dns.Cache{}, dns.Answer{Addrs: one}, nil, 5 * time.Second, 0},
		{"to the letter", &dns.Cache{MinTTL: -1}, dns.Answer{Addrs: one, TTL: 2 * time.Second}, nil, 2 * time.Second, time.Second},
		{"not at all", &dns.Cache{MinTTL: -1}, dns.Answer{Addrs: one}, nil, 0, 0},
		{"floor above ceiling", &dns.Cache{MinTTL: time.Hour, MaxTTL: time.Minute}, dns.Answer{Addrs: one}, nil, time.Minute, 0},
		{"negative", &dns.Cache{}, dns.Answer{NXDomain: true, TTL: time.Minute}, nil, time.Minute, time.Minute - time.Second},
		{"long negative", &dns.Cache{}, dns.Answer{TTL: 3 * time.Hour}, nil, time.Hour, time.Hour - time.Second},
		{"limited negative", &dns.Cache{MaxNegativeTTL: time.Minute}, dns.Answer{TTL: 3 * time.Hour}, nil, time.Minute, time.Minute - time.Second},
		{"failure", &dns.Cache{}, dns.Answer{}, errServ, 10 * time.Second, 0},
		{"long failure", &dns.Cache{FailureTTL: time.Hour}, dns.Answer{}, errServ, 5 * time.Minute, 0},
		{"failure not kept", &dns.Cache{FailureTTL: -1}, dns.Answer{}, errServ, 0, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := &counter{resolve: func(context.Context, string, dns.Type) (dns.Answer, error) { return tt.answer, tt.err }}
			c := tt.cache
			c.Resolver = r
			ask := func(asked int) dns.Answer {
				t.Helper()
				a, err := c.Resolve(ctx, "a.example", dns.A)
				if err != tt.err || len(a.Addrs) != len(tt.answer.Addrs) || a.NXDomain != tt.answer.NXDomain {
					t.Errorf("%s: %+v, %v", tt.what, a, err)
				}
				if n := r.since(); n != asked {
					t.Errorf("%s: asked %d times, want %d", tt.what, n, asked)
				}
				return a
			}
			ask(1)
			if tt.life == 0 {
				ask(1)
				return
			}
			time.Sleep(time.Second)
			if a := ask(0); a.TTL != tt.left {
				t.Errorf("%s: TTL %v, want %v", tt.what, a.TTL, tt.left)
			}
			time.Sleep(tt.life - time.Second - time.Nanosecond)
			ask(0)
			time.Sleep(time.Nanosecond)
			ask(1)
		})
	}
}

// One question, however it is written; the answer as it was.
func TestCacheKeys(t *testing.T) {
	zone := dnstest.MustParse("example.org SECURE\nwww.example.org CNAME Example.org\nexample.org A 192.0.2.1\nexample.org TXT \"x\"")
	c := &dns.Cache{Resolver: zone}
	for range 2 {
		for _, name := range []string{"www.example.org", "WWW.example.ORG", "www.example.org."} {
			if got := show(c.Resolve(ctx, name, dns.A)); got != "[192.0.2.1] [www.example.org.] to Example.org. 5m0s secure" && !strings.Contains(got, "4m59") {
				t.Error(got)
			}
		}
		if got := show(c.Resolve(ctx, "example.org", dns.TXT)); !strings.HasPrefix(got, "[x] example.org.") {
			t.Error(got)
		}
		if _, err := c.Resolve(ctx, ".", dns.A); err != nil {
			t.Error(err)
		}
		for _, name := range []string{"", "a..b", strings.Repeat("a", 300)} {
			if a, err := c.Resolve(ctx, name, dns.A); err != nil || !a.NXDomain {
				t.Errorf("%q: %+v, %v", name, a, err)
			}
		}
	}
	if got := fmt.Sprint(zone.Queries()); got != "[www.example.org A example.org TXT  A]" {
		t.Errorf("asked: %s", got)
	}
}

// Those that were not asked for the longest make room.
func TestCacheIsBounded(t *testing.T) {
	r := &counter{resolve: func(_ context.Context, name string, t dns.Type) (dns.Answer, error) {
		if t == dns.TXT {
			return dns.Answer{TXT: []string{strings.Repeat("x", 4000)}, TTL: time.Hour}, nil
		}
		return dns.Answer{Addrs: []netip.Addr{netip.IPv6Unspecified()}, TTL: time.Hour}, nil
	}}
	c := &dns.Cache{Resolver: r, MaxEntries: 3}
	ask := func(names string, asked int) {
		t.Helper()
		for _, name := range names {
			c.Resolve(ctx, string(name)+".example", dns.A)
		}
		if n := r.since(); n != asked {
			t.Errorf("%s: asked %d times, want %d", names, n, asked)
		}
	}
	ask("abc", 3)
	ask("abca", 0)
	ask("d", 1) // b goes
	ask("acd", 0)
	ask("b", 1) // a goes
	ask("cdb", 0)
	ask("a", 1)

	c = &dns.Cache{Resolver: r, MaxBytes: 10_000}
	for i := range 100 {
		for _, name := range []string{"first.example", fmt.Sprintf("x%d.example", i)} {
			c.Resolve(ctx, name, dns.TXT)
		}
	}
	if n := r.since(); n != 101 {
		t.Errorf("asked %d times", n)
	}
	c = &dns.Cache{Resolver: r, MaxBytes: 1000}
	for range 2 {
		c.Resolve(ctx, "a.example", dns.TXT)
		c.Resolve(ctx, "b.example", dns.A)
	}
	if n := r.since(); n != 3 {
		t.Errorf("asked %d times: one is too large to be kept", n)
	}
	c = &dns.Cache{Resolver: r, MaxEntries: -1}
	c.Resolve(ctx, "a.example", dns.A)
	c.Resolve(ctx, "b.example", dns.A)
}

// What the estimate is worth.
func TestCacheMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("measures memory")
	}
	addr := []netip.Addr{netip.MustParseAddr("192.0.2.1")}
	r := &counter{resolve: func(_ context.Context, name string, t dns.Type) (dns.Answer, error) {
		return dns.Answer{Canonical: strings.Clone(name) + ".", Addrs: append([]netip.Addr(nil), addr...), TXT: []string{strings.Repeat("x", 100)}, TTL: time.Hour}, nil
	}}
	const limit = 4 << 20
	c := &dns.Cache{Resolver: r, MaxBytes: limit}
	heap := func() int {
		for range 3 { // what other tests have left in pools survives one
			runtime.GC()
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	before := heap()
	for i := range 20_000 {
		c.Resolve(ctx, fmt.Sprintf("host-%d.example.org", i), dns.A)
	}
	if used := heap() - before; used > limit*3/2 || used < limit/3 {
		t.Errorf("%d octets are used, the limit is %d", used, limit)
	}
	runtime.KeepAlive(c)
}

// Those who ask together wait for one lookup.
func TestCacheAsksOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, want := range []error{nil, errServ} {
			r := &counter{resolve: func(context.Context, string, dns.Type) (dns.Answer, error) {
				time.Sleep(time.Second)
				return dns.Answer{}, want
			}}
			c := &dns.Cache{Resolver: r, FailureTTL: -1, MinTTL: -1}
			var wg sync.WaitGroup
			for range 10 {
				wg.Go(func() {
					if _, err := c.Resolve(ctx, "a.example", dns.A); err != want {
						t.Error(err)
					}
				})
			}
			wg.Go(func() { c.Resolve(ctx, "a.example", dns.MX) })
			wg.Wait()
			if n := r.since(); n != 2 {
				t.Errorf("asked %d times", n)
			}
		}
	})
}

// Who gives up does so alone: first one who waits, then the one who looks up.
func TestCacheWaiterGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &counter{resolve: func(ctx context.Context, _ string, _ dns.Type) (dns.Answer, error) {
			select {
			case <-time.After(10 * time.Second):
				return dns.Answer{Addrs: []netip.Addr{netip.IPv6Unspecified()}, TTL: time.Minute}, nil
			case <-ctx.Done():
				return dns.Answer{}, ctx.Err()
			}
		}}
		c := &dns.Cache{Resolver: r}
		start := time.Now()
		type result struct {
			answer dns.Answer
			err    error
			after  time.Duration
		}
		results := make([]result, 4)
		var wg sync.WaitGroup
		for i, limit := range []time.Duration{3 * time.Second, time.Hour, 2 * time.Second, time.Hour} {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(ctx, limit)
				defer cancel()
				a, err := c.Resolve(ctx, "a.example", dns.A)
				results[i] = result{a, err, time.Since(start)}
			})
			synctest.Wait()
		}
		wg.Wait()
		for i, after := range []time.Duration{3 * time.Second, 13 * time.Second, 2 * time.Second, 13 * time.Second} {
			got, fails := results[i], i%2 == 0
			var failed *dns.Error
			if got.after != after || (got.err != nil) != fails || fails && !errors.Is(got.err, context.DeadlineExceeded) {
				t.Errorf("%d: %+v", i, got)
			}
			if i == 2 && (!errors.As(got.err, &failed) || !failed.Timeout) {
				t.Errorf("the one who waited: %v", got.err)
			}
		}
		if n := r.since(); n != 2 {
			t.Errorf("asked %d times", n)
		}
		// That somebody gave up is not kept as a failure.
		if a, err := c.Resolve(ctx, "a.example", dns.A); err != nil || len(a.Addrs) != 1 || r.since() != 0 {
			t.Errorf("%+v, %v", a, err)
		}
	})
}

// late is a context whose deadline has passed and whose timer has not fired yet.
type late struct{ context.Context }

func (late) Deadline() (time.Time, bool) { return time.Now(), true }

// The time of the one who looked up was up, also if a socket noticed that before
// the context did.
func TestCacheContextIsLate(t *testing.T) {
	r := &counter{resolve: func(ctx context.Context, _ string, _ dns.Type) (dns.Answer, error) {
		if _, hurried := ctx.Deadline(); hurried {
			return dns.Answer{}, &dns.Error{Timeout: true}
		}
		return dns.Answer{}, nil
	}}
	c := &dns.Cache{Resolver: r}
	if _, err := c.Resolve(late{ctx}, "a.example", dns.A); err == nil {
		t.Error("no error")
	}
	if _, err := c.Resolve(ctx, "a.example", dns.A); err != nil || r.since() != 2 {
		t.Errorf("kept: %v", err)
	}
}

// What is kept does not keep the text of which the name was a part.
func TestCacheLetsGoOfNames(t *testing.T) {
	c := &dns.Cache{Resolver: &counter{resolve: func(_ context.Context, name string, _ dns.Type) (dns.Answer, error) {
		return dns.Answer{Canonical: name}, nil
	}}}
	text := "a.example." + strings.Repeat("x", 1<<10)
	a, err := c.Resolve(ctx, text[:10], dns.A)
	if err != nil || unsafe.StringData(a.Canonical) == unsafe.StringData(text) {
		t.Errorf("%+v, %v", a, err)
	}
}

// A Resolver that panics harms nobody else.
func TestCacheResolverPanics(t *testing.T) {
	r := &counter{}
	r.resolve = func(context.Context, string, dns.Type) (dns.Answer, error) { panic("x") }
	c := &dns.Cache{Resolver: r}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic is gone")
			}
		}()
		c.Resolve(ctx, "a.example", dns.A)
	}()
	r.resolve = func(context.Context, string, dns.Type) (dns.Answer, error) { return dns.Answer{}, nil }
	if _, err := c.Resolve(ctx, "a.example", dns.A); err != nil {
		t.Error(err)
	}
}

func TestCacheConcurrently(t *testing.T) {
	zone := dnstest.MustParse("*.example A 192.0.2.1")
	c := &dns.Cache{Resolver: zone, MaxEntries: 7}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 500 {
				a, err := c.Resolve(ctx, fmt.Sprintf("x%d.example", i*j%11), dns.A)
				if err != nil || len(a.Addrs) != 1 {
					t.Errorf("%+v, %v", a, err)
				}
			}
		})
	}
	wg.Wait()
}

// A zero Cache asks the standard library.
func TestZeroCache(t *testing.T) {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := new(dns.Cache).Resolve(ctx, "a.example", dns.A); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestCacheHitAllocatesNothing(t *testing.T) {
	c := &dns.Cache{Resolver: dnstest.MustParse("mx.example.org A 192.0.2.1")}
	if n := testing.AllocsPerRun(100, func() { c.Resolve(ctx, "Mx.Example.org", dns.A) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkCacheHit(b *testing.B) {
	c := &dns.Cache{Resolver: dnstest.MustParse("mx.example.org A 192.0.2.1")}
	b.ReportAllocs()
	for b.Loop() {
		if a, err := c.Resolve(ctx, "mx.example.org", dns.A); err != nil || len(a.Addrs) != 1 {
			b.Fatal(a, err)
		}
	}
}

func BenchmarkStub(b *testing.B) {
	server, err := dnstest.MustParse("mx.example.org A 192.0.2.1").Serve("")
	if err != nil {
		b.Fatal(err)
	}
	defer server.Close()
	s := &dns.Stub{Servers: []dns.Server{{Addr: server.Addr()}}}
	b.ReportAllocs()
	for b.Loop() {
		if a, err := s.Resolve(ctx, "mx.example.org", dns.A); err != nil || len(a.Addrs) != 1 {
			b.Fatal(a, err)
		}
	}
}
