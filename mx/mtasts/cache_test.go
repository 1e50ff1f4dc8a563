package mtasts_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/mx/mtasts"
)

// A policy's life, step by step.
func TestLookup(t *testing.T) {
	const (
		fetched, cached, stale, absent = mtasts.Fetched, mtasts.Cached, mtasts.Stale, mtasts.Absent
		d                              = "example.org"
	)
	type step struct {
		section string
		wait    time.Duration
		change  func(w *world)
		origin  mtasts.Origin
		id      string
		reason  mtasts.Reason
		lookups int
		fetches int
	}
	record := func(id string) func(*world) { return func(w *world) { w.ids[d] = id } }
	status := func(n int) func(*world) { return func(w *world) { w.status = n } }
	policy := func(text string) func(*world) { return func(w *world) { w.policy = text } }
	both := func(f, g func(*world)) func(*world) { return func(w *world) { f(w); g(w) } }
	dnsDown := func(w *world) { w.dnsErr = errDNS }
	dnsUp := func(w *world) { w.dnsErr = nil }
	const week = 7 * 24 * time.Hour

	for _, tt := range []struct {
		name  string
		steps []step
	}{
		{"found, used, changed", []step{
			{"§5.1", 0, record("a"), fetched, "a", "", 1, 1},
			{"at once", 0, nil, cached, "a", "", 0, 0},
			{"the record's TTL", 5*time.Minute - 1, nil, cached, "a", "", 0, 0},
			{"§5.1 the id is the same", time.Second, nil, cached, "a", "", 1, 0},
			{"§5.1 another id", 5 * time.Minute, record("b"), fetched, "b", "", 1, 1},
			{"at once", 0, nil, cached, "b", "", 0, 0},
		}},
		{"expiry", []step{
			{"§3.2", 0, record("a"), fetched, "a", "", 1, 1},
			{"§3.2 just not", week - 1, nil, cached, "a", "", 1, 0},
			{"§3.2 expired, while the record is remembered", 1, nil, fetched, "a", "", 1, 1},
		}},
		{"a policy of no age holds for a minute", []step{
			{"§3.2", 0, both(record("a"), policy("version: STSv1\nmode: none\nmax_age: 0")), fetched, "a", "", 1, 1},
			{"§3.2", time.Minute - 1, nil, cached, "a", "", 0, 0},
			{"§3.2", 1, nil, fetched, "a", "", 1, 1},
		}},
		{"none", []step{
			{"§3.1", 0, nil, absent, "", mtasts.NoRecord, 1, 0},
			{"at once", 0, nil, absent, "", mtasts.NoRecord, 0, 0},
			{"again", 5 * time.Minute, nil, absent, "", mtasts.NoRecord, 1, 0},
			{"§3.1 now there is", 5 * time.Minute, record("a"), fetched, "a", "", 1, 1},
		}},
		{"a malformed record", []step{
			{"§3.1", 0, record("?"), absent, "", mtasts.RecordInvalid, 1, 0},
			{"at once", 0, nil, absent, "", mtasts.RecordInvalid, 0, 0},
			{"§3.1 mended", 5 * time.Minute, record("a"), fetched, "a", "", 1, 1},
			{"§3.3 broken again", 5 * time.Minute, record("?"), stale, "a", mtasts.RecordInvalid, 1, 0},
		}},
		{"the DNS does not answer", []step{
			{"at first", 0, dnsDown, absent, "", mtasts.DNSFailed, 1, 0},
			{"at once", 59 * time.Second, nil, absent, "", mtasts.DNSFailed, 0, 0},
			{"a minute later", time.Second, nil, absent, "", mtasts.DNSFailed, 1, 0},
			{"it answers", time.Minute, both(dnsUp, record("a")), fetched, "a", "", 1, 1},
			{"§3.3 no live policy", 5 * time.Minute, dnsDown, stale, "a", mtasts.DNSFailed, 1, 0},
			{"§3.3", time.Minute, dnsDown, stale, "a", mtasts.DNSFailed, 1, 0},
			{"§3.2 until it expires", week - 6*time.Minute, dnsDown, absent, "", mtasts.DNSFailed, 1, 0},
		}},
		{"the record goes", []step{
			{"§3.1", 0, record("a"), fetched, "a", "", 1, 1},
			{"§3.1 not enough to remove it", 5 * time.Minute, record(""), stale, "a", mtasts.NoRecord, 1, 0},
			{"at once", 0, nil, stale, "a", mtasts.NoRecord, 0, 0},
			{"§3.1", week - 5*time.Minute - 1, nil, stale, "a", mtasts.NoRecord, 1, 0},
			{"§3.2 expired, while that is remembered", 1, nil, absent, "", mtasts.NoRecord, 0, 0},
			{"§3.2", time.Hour, nil, absent, "", mtasts.NoRecord, 1, 0},
		}},
		{"the policy cannot be fetched", []step{
			{"§3.3 as if there were none", 0, both(record("a"), status(404)), absent, "", mtasts.FetchFailed, 1, 1},
			{"at once", 0, nil, absent, "", mtasts.FetchFailed, 0, 0},
			{"§3.3 not before 5 minutes", 5*time.Minute - 1, status(200), absent, "", mtasts.FetchFailed, 0, 0},
			{"§3.3", 1, nil, fetched, "a", "", 1, 1},
		}},
		{"a short TTL does not make it faster", []step{
			{"§3.3", 0, both(record("a"), func(w *world) { w.status, w.ttl = 404, time.Second }), absent, "", mtasts.FetchFailed, 1, 1},
			{"§3.3 10 seconds at least", 10*time.Second - 1, nil, absent, "", mtasts.FetchFailed, 0, 0},
			{"§3.3", 1, status(200), absent, "", mtasts.FetchFailed, 1, 0},
			{"§3.3 another version", time.Minute, record("b"), fetched, "b", "", 1, 1},
		}},
		{"the new policy cannot be fetched", []step{
			{"§5.1", 0, record("a"), fetched, "a", "", 1, 1},
			{"§3.3 the old one", 5 * time.Minute, both(record("b"), status(500)), stale, "a", mtasts.FetchFailed, 1, 1},
			{"at once", 0, nil, stale, "a", mtasts.FetchFailed, 0, 0},
			{"§3.3 again", 5 * time.Minute, nil, stale, "a", mtasts.FetchFailed, 1, 1},
			{"§3.3 the old version is back", 5 * time.Minute, record("a"), cached, "a", "", 1, 0},
			{"§3.3 the new one too", 5 * time.Minute, both(record("b"), status(200)), fetched, "b", "", 1, 1},
		}},
		{"the new policy is none", []step{
			{"§5.1", 0, record("a"), fetched, "a", "", 1, 1},
			{"§3.3", 5 * time.Minute, both(record("b"), policy("hello")), stale, "a", mtasts.PolicyInvalid, 1, 1},
			{"§3.2 expired", week, nil, absent, "", mtasts.PolicyInvalid, 1, 1},
		}},
		{"giving up MTA-STS", []step{
			{"§5.1", 0, record("a"), fetched, "a", "", 1, 1},
			{"§8.3 mode none", 5 * time.Minute, both(record("b"), policy("version: STSv1\nmode: none\nmax_age: 86400")), fetched, "b", "", 1, 1},
			{"§8.3 and then nothing", 5 * time.Minute, both(record(""), status(404)), stale, "b", mtasts.NoRecord, 1, 0},
			{"§8.3 expired", 24 * time.Hour, nil, absent, "", mtasts.NoRecord, 1, 0},
		}},
		{"the longest that is remembered", []step{
			{"", 0, both(record("a"), func(w *world) { w.ttl = time.Hour }), fetched, "a", "", 1, 1},
			{"", 5 * time.Minute, nil, cached, "a", "", 1, 0},
		}},
		{"the TTL", []step{
			{"", 0, both(record("a"), func(w *world) { w.ttl = time.Minute }), fetched, "a", "", 1, 1},
			{"", time.Minute - 1, nil, cached, "a", "", 0, 0},
			{"", 1, nil, cached, "a", "", 1, 0},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.ttl = time.Hour
				c := w.cache(nil)
				for _, s := range tt.steps {
					time.Sleep(s.wait)
					if s.change != nil {
						w.set(func() { s.change(w) })
					}
					if w.want(c, d, s.origin, s.id, s.reason, s.lookups, s.fetches); t.Failed() {
						t.Fatalf("in step %q", s.section)
					}
				}
			})
		})
	}
}

func TestLookupOfNothing(t *testing.T) {
	w := newWorld(t)
	c := w.cache(nil)
	for _, domain := range []string{"", ".", "[192.0.2.1]", "a..b", strings.Repeat("a.", 130), "b\u00fccher.example"} {
		w.want(c, domain, mtasts.Absent, "", mtasts.NoRecord, 0, 0)
	}
}

// Case and a final dot make no other domain.
func TestLookupIsByDomain(t *testing.T) {
	w := newWorld(t)
	w.ids["example.org"] = "a"
	c := w.cache(nil)
	w.want(c, "Example.ORG.", mtasts.Fetched, "a", "", 1, 1)
	w.want(c, "example.org", mtasts.Cached, "a", "", 0, 0)
	w.want(c, "sub.example.org", mtasts.Absent, "", mtasts.NoRecord, 1, 0) // §3.4
}

func TestResultTells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.ids["example.org"] = "a"
		w.delay = 3 * time.Second
		c := w.cache(nil)
		began := time.Now()
		first := w.want(c, "example.org", mtasts.Fetched, "a", "", 1, 1)
		second := w.want(c, "example.org", mtasts.Cached, "a", "", 0, 0)
		for _, res := range []mtasts.Result{first, second} {
			// The policy may have changed just behind the beginning.
			if !res.Fetched.Equal(began) || !res.Expires.Equal(began.Add(604800*time.Second)) || res.Policy.String() != policyText {
				t.Errorf("%+v", res)
			}
		}
	})
}

// One lookup for all who ask, and none of them waits for longer than he wants.
func TestOneLookupForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.ids["example.org"], w.delay = "a", 10*time.Second
		c := w.cache(nil)
		origins := make([]mtasts.Origin, 10)
		var wg sync.WaitGroup
		for i := range origins {
			wg.Go(func() {
				res, err := c.Lookup(t.Context(), "example.org")
				if err != nil {
					t.Error(err)
				}
				origins[i] = res.Origin
			})
		}
		synctest.Wait()
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if res, err := c.Lookup(impatient, "example.org"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%+v, %v", res, err)
		}
		// Others do not wait for this one.
		w.want(c, "none.example.org", mtasts.Absent, "", mtasts.NoRecord, 2, 1)
		wg.Wait()
		count := map[mtasts.Origin]int{}
		for _, o := range origins {
			count[o]++
		}
		if _, fetches := w.asked(); fetches != 0 || count[mtasts.Fetched] != 1 || count[mtasts.Cached] != 9 {
			t.Errorf("%d more fetches, %v", fetches, count)
		}
	})
}

// Whoever gives up takes nobody with him, and is no failure of the web server.
func TestGivingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.ids["example.org"], w.delay = "a", 10*time.Second
		c := w.cache(nil)
		first, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if res, err := c.Lookup(first, "example.org"); !errors.Is(err, context.Canceled) {
				t.Errorf("the first: %+v, %v", res, err)
			}
		})
		synctest.Wait()
		for range 5 {
			wg.Go(func() {
				if res, err := c.Lookup(t.Context(), "example.org"); err != nil || res.Policy == nil {
					t.Errorf("another: %+v, %v", res, err)
				}
			})
		}
		synctest.Wait()
		cancel()
		wg.Wait()
		if lookups, fetches := w.asked(); lookups != 2 || fetches != 2 {
			t.Errorf("%d lookups and %d fetches", lookups, fetches)
		}
		w.want(c, "example.org", mtasts.Cached, "a", "", 0, 0)
	})
}

// A slow or dead web server costs a minute once in five minutes.
func TestSlowWebServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.ids["example.org"], w.delay, w.ttl = "a", time.Hour, time.Hour
		c := w.cache(nil)
		began := time.Now()
		w.want(c, "example.org", mtasts.Absent, "", mtasts.FetchFailed, 1, 1)
		if took := time.Since(began); took != time.Minute {
			t.Errorf("it took %v", took)
		}
		w.want(c, "example.org", mtasts.Absent, "", mtasts.FetchFailed, 0, 0)
		time.Sleep(5*time.Minute - 1)
		w.want(c, "example.org", mtasts.Absent, "", mtasts.FetchFailed, 0, 0)
	})
}

// The administrator learns of policies that cannot be renewed, but for those of
// mode none.
func TestAlert(t *testing.T) {
	for mode, alerts := range map[string]int{"enforce": 1, "testing": 1, "none": 0} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.ids["example.org"], w.policy = "a", strings.Replace(policyText, "enforce", mode, 1)
			c := w.cache(nil)
			w.want(c, "example.org", mtasts.Fetched, "a", "", 1, 1)
			time.Sleep(5 * time.Minute)
			w.set(func() { w.ids["example.org"], w.status = "b", http.StatusNotFound })
			w.want(c, "example.org", mtasts.Stale, "a", mtasts.FetchFailed, 1, 1)
			if got := strings.Count(w.log.String(), "level=WARN"); got != alerts {
				t.Errorf("%s: %d alerts: %s", mode, got, w.log.String())
			}
		})
	}
}

func TestCacheIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.ttl = time.Hour
		store := new(mtasts.MemoryStore)
		for i := range 4 {
			w.ids[fmt.Sprintf("%d.example.org", i)] = "a"
		}
		w.serve("0.example.org", "1.example.org", "2.example.org", "3.example.org")
		c := w.cache(store)
		c.MaxDomains = 3
		for i := range 3 {
			w.want(c, fmt.Sprintf("%d.example.org", i), mtasts.Fetched, "a", "", 1, 1)
		}
		// Names without a policy drive none out.
		for i := range 100 {
			w.want(c, fmt.Sprintf("none%d.example.org", i), mtasts.Absent, "", mtasts.NoRecord, 1, 0)
		}
		w.want(c, "0.example.org", mtasts.Cached, "a", "", 1, 0)
		w.want(c, "3.example.org", mtasts.Fetched, "a", "", 1, 1)
		w.want(c, "0.example.org", mtasts.Cached, "a", "", 0, 0)
		var kept []string
		for e := range store.All(t.Context()) {
			kept = append(kept, e.Domain)
		}
		if len(kept) != 3 || strings.Contains(strings.Join(kept, " "), "1.example.org") {
			t.Errorf("the store has %q", kept)
		}
		w.want(c, "1.example.org", mtasts.Fetched, "a", "", 1, 1) // it had gone: not used the longest
	})
}

// A policy that is too large for what may be kept is used all the same.
func TestCacheIsBoundedInBytes(t *testing.T) {
	w := newWorld(t)
	w.ids["example.org"] = "a"
	store := new(mtasts.MemoryStore)
	c := w.cache(store)
	c.MaxBytes = 100
	w.want(c, "example.org", mtasts.Fetched, "a", "", 1, 1)
	for e := range store.All(t.Context()) {
		t.Errorf("kept: %+v", e)
	}
	w.want(c, "example.org", mtasts.Fetched, "a", "", 1, 1)
}

// Whoever has large policies drives out those of no one else.
func TestCacheIsFair(t *testing.T) {
	w := newWorld(t)
	domains := []string{"small.example"}
	for i := range 12 {
		domains = append(domains, fmt.Sprintf("large%d.example", i))
	}
	w.serve(domains...)
	for _, domain := range domains {
		w.ids[domain] = "a"
	}
	store := new(mtasts.MemoryStore)
	c := w.cache(store)
	c.MaxBytes = 1 << 20
	c.MaxDomains = 300
	w.want(c, "small.example", mtasts.Fetched, "a", "", 1, 1)
	w.policy += strings.Repeat("mx: a\n", 10_000)
	for _, domain := range domains[1:] {
		w.want(c, domain, mtasts.Fetched, "a", "", 1, 1)
	}
	w.want(c, "small.example", mtasts.Cached, "a", "", 0, 0)
	w.want(c, "large11.example", mtasts.Cached, "a", "", 0, 0)
	n := 0
	for range store.All(t.Context()) {
		n++
	}
	if n < 2 || n > 7 {
		t.Errorf("%d policies are kept", n)
	}
}

// Limits below zero are no reason to panic: nothing is kept.
func TestCacheOfNothing(t *testing.T) {
	for _, limits := range [][2]int{{-1, 0}, {0, -1}, {-1, -1}} {
		w := newWorld(t)
		w.ids["example.org"] = "a"
		c := w.cache(nil)
		c.MaxDomains, c.MaxBytes = limits[0], limits[1]
		w.want(c, "example.org", mtasts.Fetched, "a", "", 1, 1)
		w.want(c, "example.org", mtasts.Fetched, "a", "", 1, 1)
	}
}
