package mx_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/mx"
	"github.com/postrider/postrider/mx/dns/dnstest"
	"github.com/postrider/postrider/server/smtptest"
)

// So many at a time for each site, the others in their turn.
func TestSiteLimiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &mx.SiteLimiter{PerSite: 2}
		var mu sync.Mutex
		var order []int
		running, most := 0, 0
		var all sync.WaitGroup
		for i := range 6 {
			all.Go(func() {
				release, err := l.Acquire(t.Context(), "a")
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				order = append(order, i)
				running++
				most = max(most, running)
				mu.Unlock()
				time.Sleep(time.Duration(60+i) * time.Second) // no two end at once
				mu.Lock()
				running--
				mu.Unlock()
				release()
			})
			synctest.Wait() // so that they stand in line in this order
		}
		began := time.Now()
		other, err := l.Acquire(t.Context(), "b")
		if err != nil || time.Since(began) > 0 {
			t.Errorf("another site waits: %v", err)
		}
		other()
		all.Wait()
		if most != 2 || time.Since(began) != (61+63+65)*time.Second {
			t.Errorf("%d at a time, %v", most, time.Since(began))
		}
		if got := fmt.Sprint(order); got != "[0 1 2 3 4 5]" {
			t.Error(got)
		}
		if n := mx.Sites(l); n != 0 {
			t.Errorf("%d sites are remembered", n)
		}
	})
}

// Who gives up leaves the line, and takes no place with him.
func TestSiteLimiterGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &mx.SiteLimiter{PerSite: 1}
		first, err := l.Acquire(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := l.Acquire(ctx, "a"); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		first()
		second, err := l.Acquire(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		second()
		if n := mx.Sites(l); n != 0 {
			t.Errorf("%d sites are remembered", n)
		}
	})
}

func TestSiteLimiterUnlimited(t *testing.T) {
	l := &mx.SiteLimiter{PerSite: -1}
	for range 100 {
		if _, err := l.Acquire(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
	}
}

// Domains with the same hosts are one site.
func TestSite(t *testing.T) {
	zone := dnstest.MustParse(`
		a.example MX 10 mx1.example.org
		a.example MX 10 mx2.example.org
		a.example MX 20 mx3.example.org
		b.example MX 5  mx2.example.org
		b.example MX 5  mx1.example.org
		c.example MX 5  mx1.example.org
	`)
	sites := map[string]string{}
	for _, domain := range []string{"a.example", "b.example", "c.example"} {
		route, err := (&mx.Router{Resolver: zone}).Route(t.Context(), domain)
		if err != nil {
			t.Fatal(err)
		}
		sites[domain] = route.Site()
	}
	if sites["a.example"] != sites["b.example"] || sites["a.example"] == sites["c.example"] {
		t.Error(sites)
	}
}

// counter is a Limiter that counts.
type counter struct {
	mu             sync.Mutex
	sites          []string
	taken, running int
}

func (c *counter) Acquire(_ context.Context, site string) (func(), error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sites = append(c.sites, site)
	c.taken++
	c.running++
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.running--
	}, nil
}

// Each delivery that has a route acquires once and releases once, whatever comes.
func TestLimiterIsAsked(t *testing.T) {
	n := newNetwork(t)
	s := n.server("192.0.2.1", smtptest.NoTLS)
	s.Fault(smtptest.On("MAIL").Reply(550, "5.7.1", "no").Times(1))
	c := n.client(dnstest.MustParse("example.org MX 10 mx.example.org\nmx.example.org A 192.0.2.1\ndown.example A 192.0.2.2\n"))
	l := &counter{}
	c.Limiter = l
	for _, domain := range []string{"example.org", "example.org", "down.example", "gone.example"} {
		c.Deliver(t.Context(), domain, message(t, "to@example.org"))
	}
	if got := strings.Join(l.sites, " "); got != "mx.example.org mx.example.org down.example" || l.running != 0 {
		t.Errorf("%s, %d running", got, l.running)
	}
}
