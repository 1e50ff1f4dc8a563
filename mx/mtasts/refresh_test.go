package mtasts_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/mx/mtasts"
)

func TestRefresh(t *testing.T) {
	const d, week = "example.org", 7 * 24 * time.Hour
	none := strings.Replace(policyText, "enforce", "none", 1)
	for _, tt := range []struct {
		section string
		policy  string
		wait    time.Duration
		change  func(w *world)
		lookups int
		fetches int
		id      string        // afterwards
		age     time.Duration // of the policy, afterwards. Negative: it is gone
		alerts  int
	}{
		{"§3.3 not yet", policyText, 24*time.Hour - 1, nil, 0, 0, "a", 24*time.Hour - 1, 0},
		{"§3.3 daily", policyText, 24 * time.Hour, nil, 1, 1, "a", 0, 0},
		{"§3.3 at half of max_age", strings.Replace(policyText, "604800", "7200", 1), time.Hour, nil, 1, 1, "a", 0, 0},
		{"§3.3 not yet", strings.Replace(policyText, "604800", "7200", 1), time.Hour - 1, nil, 0, 0, "a", time.Hour - 1, 0},
		{"§5.1 another id", policyText, 24 * time.Hour, func(w *world) { w.ids[d] = "b" }, 1, 1, "b", 0, 0},
		{"§10.2 the DNS does not answer", policyText, 24 * time.Hour, func(w *world) { w.dnsErr = errDNS }, 1, 1, "a", 0, 0},
		{"§8.3 no record", policyText, 24 * time.Hour, func(w *world) { w.ids[d] = "" }, 1, 0, "a", 24 * time.Hour, 1},
		{"§3.1 a malformed record", policyText, 24 * time.Hour, func(w *world) { w.ids[d] = "?" }, 1, 0, "a", 24 * time.Hour, 1},
		{"§3.3 failure", policyText, 24 * time.Hour, func(w *world) { w.status = http.StatusNotFound }, 1, 1, "a", 24 * time.Hour, 1},
		{"§3.3 failure with mode none", none, 24 * time.Hour, func(w *world) { w.status = http.StatusNotFound }, 1, 1, "a", 24 * time.Hour, 0},
		{"§3.2 expired", policyText, week, nil, 0, 0, "", -1, 0},
	} {
		t.Run(tt.section, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.ids[d], w.policy = "a", tt.policy
				store := new(mtasts.MemoryStore)
				c := w.cache(store)
				w.want(c, d, mtasts.Fetched, "a", "", 1, 1)
				time.Sleep(tt.wait)
				if tt.change != nil {
					w.set(func() { tt.change(w) })
				}
				if err := c.Refresh(t.Context()); err != nil {
					t.Fatal(err)
				}
				if l, f := w.asked(); l != tt.lookups || f != tt.fetches {
					t.Errorf("%d lookups, %d fetches", l, f)
				}
				if got := strings.Count(w.log.String(), "level=WARN"); got != tt.alerts {
					t.Errorf("%d alerts: %s", got, w.log.String())
				}
				id, age := "", time.Duration(-1)
				for e := range store.All(t.Context()) {
					id, age = e.ID, time.Since(e.Fetched)
				}
				if id != tt.id || age != tt.age {
					t.Errorf("the store has id %q, age %v", id, age)
				}
				// Nothing is due any more.
				c.Refresh(t.Context())
				if l, f := w.asked(); l != 0 || f != 0 {
					t.Errorf("at once: %d lookups, %d fetches", l, f)
				}
				if tt.alerts > 0 {
					time.Sleep(time.Hour)
					c.Refresh(t.Context())
					if l, f := w.asked(); l != tt.lookups || f != tt.fetches {
						t.Errorf("an hour later: %d lookups, %d fetches", l, f)
					}
				}
			})
		})
	}
}

// With Run, whoever prevents that a policy is fetched has no chance at its end.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.ids["example.org"] = "a"
		c := w.cache(nil)
		w.want(c, "example.org", mtasts.Fetched, "a", "", 1, 1)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := c.Run(ctx); err != context.Canceled {
				t.Error(err)
			}
		})
		time.Sleep(20*24*time.Hour + time.Minute)
		w.set(func() { w.dnsErr, w.status = errDNS, http.StatusBadGateway })
		w.asked()
		time.Sleep(6 * 24 * time.Hour)
		w.asked()
		res := w.want(c, "example.org", mtasts.Stale, "a", mtasts.DNSFailed, 1, 0)
		if age := time.Since(res.Fetched); age > 7*24*time.Hour {
			t.Errorf("fetched %v ago", age)
		}
		cancel()
		wg.Wait()
	})
}

func TestRefreshOfManyDomains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c := w.cache(nil)
		var domains []string
		for i := range 20 {
			domain := fmt.Sprintf("%d.example.org", i)
			domains = append(domains, domain)
			w.ids[domain] = "a"
		}
		w.serve(domains...)
		c.Fetcher.Dial = w.srv.Dial
		for _, domain := range domains {
			w.want(c, domain, mtasts.Fetched, "a", "", 1, 1)
			time.Sleep(time.Second)
		}
		time.Sleep(24 * time.Hour)
		w.set(func() { w.delay = 10 * time.Second })
		began := time.Now()
		if err := c.Refresh(t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took != 30*time.Second {
			t.Errorf("it took %v: not eight at a time", took)
		}
		if first := slices.Sorted(slices.Values(w.fetches[:8])); !slices.Equal(first, slices.Sorted(slices.Values(domains[:8]))) {
			t.Errorf("the first are %q", first)
		}
		w.asked()

		time.Sleep(24 * time.Hour)
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
		defer cancel()
		began = time.Now()
		if err := c.Refresh(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if took := time.Since(began); took != 15*time.Second {
			t.Errorf("it took %v", took)
		}
		if strings.Contains(w.log.String(), "WARN") {
			t.Errorf("being cancelled is no failure: %s", w.log.String())
		}
	})
}

func TestRefreshOnlyWhatIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.ids["example.org"], w.policy = "a", strings.Replace(policyText, "604800", "31557600", 1)
		c := w.cache(nil)
		w.want(c, "example.org", mtasts.Fetched, "a", "", 1, 1)
		for range 60 {
			time.Sleep(24 * time.Hour)
			c.Refresh(t.Context())
		}
		if _, fetches := w.asked(); fetches != 30 {
			t.Errorf("%d fetches", fetches)
		}
		w.want(c, "example.org", mtasts.Cached, "a", "", 1, 0)
		c.Refresh(t.Context())
		if _, fetches := w.asked(); fetches != 1 {
			t.Errorf("%d fetches after it was used again", fetches)
		}
	})
}

// What Refresh has fetched ends a failure that Lookup remembers.
func TestRefreshMends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.ids["example.org"], w.ttl = "a", time.Hour
		c := w.cache(nil)
		c.RefreshAfter = time.Minute
		w.want(c, "example.org", mtasts.Fetched, "a", "", 1, 1)
		time.Sleep(5 * time.Minute)
		w.set(func() { w.ids["example.org"], w.status = "b", http.StatusNotFound })
		w.want(c, "example.org", mtasts.Stale, "a", mtasts.FetchFailed, 1, 1)
		w.set(func() { w.status = http.StatusOK })
		if err := c.Refresh(t.Context()); err != nil {
			t.Error(err)
		}
		w.asked()
		w.want(c, "example.org", mtasts.Cached, "b", "", 1, 0)
	})
}

// What Refresh removes makes room.
func TestRefreshMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.serve("a.example", "b.example", "c.example")
		w.ids["a.example"], w.ids["b.example"], w.ids["c.example"] = "1", "1", "1"
		store := new(mtasts.MemoryStore)
		c := w.cache(store)
		c.MaxDomains = 2
		w.want(c, "a.example", mtasts.Fetched, "1", "", 1, 1)
		w.policy = strings.Replace(policyText, "604800", "60", 1)
		w.want(c, "b.example", mtasts.Fetched, "1", "", 1, 1)
		time.Sleep(time.Minute)
		if err := c.Refresh(t.Context()); err != nil {
			t.Error(err)
		}
		w.want(c, "c.example", mtasts.Fetched, "1", "", 1, 1)
		w.want(c, "a.example", mtasts.Cached, "1", "", 1, 0)
	})
}

// A fetch that began earlier and ends later changes nothing.
func TestRefreshIsOvertaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.ids["example.org"], w.ttl = "a", time.Hour
		store := new(mtasts.MemoryStore)
		c := w.cache(store)
		w.want(c, "example.org", mtasts.Fetched, "a", "", 1, 1)
		time.Sleep(24 * time.Hour)
		w.set(func() { w.delay = 30 * time.Second })
		var wg sync.WaitGroup
		wg.Go(func() { c.Refresh(t.Context()) })
		time.Sleep(time.Second)
		w.set(func() { w.delay, w.ids["example.org"] = 0, "b" })
		w.asked()
		w.want(c, "example.org", mtasts.Fetched, "b", "", 1, 1)
		wg.Wait()
		w.want(c, "example.org", mtasts.Cached, "b", "", 0, 0)
		for e := range store.All(t.Context()) {
			if e.ID != "b" {
				t.Errorf("the store has %q", e.ID)
			}
		}
	})
}

// A caller keeps the policy that he got.
func TestRefreshDuringUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.ids["example.org"] = "a"
		c := w.cache(nil)
		w.want(c, "example.org", mtasts.Fetched, "a", "", 1, 1)
		res := w.want(c, "example.org", mtasts.Cached, "a", "", 0, 0)
		time.Sleep(24 * time.Hour)
		w.set(func() { w.policy = strings.Replace(policyText, "enforce", "testing", 1) })
		c.Refresh(t.Context())
		if res.Policy.Mode != mtasts.Enforce {
			t.Error("it has changed")
		}
	})
}
