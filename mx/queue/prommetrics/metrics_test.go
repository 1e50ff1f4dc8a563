package prommetrics_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/postrider/postrider/internal/leaktest"
	"github.com/postrider/postrider/mx"
	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/mx/queue/prommetrics"
	"github.com/postrider/postrider/smtp/dsn"
)

func TestMain(m *testing.M) { os.Exit(leaktest.Main(m)) }

// scrape returns what Prometheus would get, as a map from metric to value.
func scrape(m *prommetrics.Metrics) map[string]string {
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(m)
	answer := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	values := map[string]string{}
	for line := range strings.Lines(answer.Body.String()) {
		if i := strings.LastIndexByte(line, ' '); !strings.HasPrefix(line, "#") && i > 0 {
			values[strings.TrimPrefix(line[:i], "smtp_queue_")] = strings.TrimSpace(line[i+1:])
		}
	}
	return values
}

// statsStore is a Store that can only count.
type statsStore struct {
	queue.Store
	stats func(context.Context) (queue.Stats, error)
}

func (s statsStore) Stats(ctx context.Context) (queue.Stats, error) { return s.stats(ctx) }

func expect(t *testing.T, m *prommetrics.Metrics, want map[string]string) {
	t.Helper()
	got := scrape(m)
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s is %q, want %q", name, got[name], value)
		}
	}
}

// What Prometheus gets of a queue in which a message was delivered to one of two
// recipients.
func ExampleMetrics() {
	store := statsStore{stats: func(context.Context) (queue.Stats, error) {
		return queue.Stats{Messages: 1, Bytes: 2000, Items: 1, Free: -1}, nil
	}}
	metrics := prommetrics.New(store)
	trace := metrics.Trace(nil) // for Runner.Trace

	ctx, arrived := context.Background(), time.Now()
	message := &queue.Message{Arrived: arrived, Size: 2000}
	item := queue.Item{Destination: "example.org", Recipients: make(queue.Recipients, 2)}
	trace.Accepted(ctx, message, []queue.NewItem{{Item: item}})
	trace.Attempted(ctx, &queue.Attempt{Took: time.Second, Results: []mx.Result{
		{Status: mx.Delivered}, {Status: mx.Deferred, Scope: mx.ScopeRecipient},
	}})
	trace.Settled(ctx, message, &item, []queue.Outcome{{Status: queue.Delivered, Time: arrived.Add(2 * time.Second)}})

	values := scrape(metrics)
	for _, name := range []string{
		`messages`, `items{state="waiting"}`, `accepted_recipients_total`,
		`attempts_total{scope="none",status="delivered"}`, `attempts_total{scope="recipient",status="deferred"}`,
		`outcomes_total{status="delivered"}`, `time_in_queue_seconds_sum{status="delivered"}`,
	} {
		fmt.Println(name, values[name])
	}
	// Output:
	// messages 1
	// items{state="waiting"} 1
	// accepted_recipients_total 2
	// attempts_total{scope="none",status="delivered"} 1
	// attempts_total{scope="recipient",status="deferred"} 1
	// outcomes_total{status="delivered"} 1
	// time_in_queue_seconds_sum{status="delivered"} 2
}

func TestTrace(t *testing.T) {
	m := prommetrics.New(nil)
	expect(t, m, map[string]string{"accepted_messages_total": "0", `outcomes_total{status="expired"}`: "0",
		`notifications_total{action="delayed"}`: "0", "resting_destinations": "0", "store_up": ""})
	trace := m.Trace(nil)
	ctx, message := t.Context(), &queue.Message{Arrived: time.Now(), Size: 10}
	trace.Accepted(ctx, message, []queue.NewItem{
		{Item: queue.Item{Recipients: make(queue.Recipients, 2)}}, {Item: queue.Item{Recipients: make(queue.Recipients, 1)}}})
	trace.Accepted(ctx, &queue.Message{Size: 7}, nil)
	trace.Attempted(ctx, &queue.Attempt{Took: 2 * time.Millisecond, Results: []mx.Result{
		{Status: mx.Failed, Scope: mx.ScopeMessage}, {Status: mx.Failed, Scope: mx.ScopeMessage}, {Status: mx.Relayed}}})
	var done []queue.Outcome
	for status, after := range map[queue.Status]time.Duration{queue.Failed: time.Minute, queue.Relayed: -time.Second,
		queue.Expired: 200 * time.Hour, queue.Deleted: time.Second, 0: 0, 99: 0} {
		done = append(done, queue.Outcome{Status: status, Time: message.Arrived.Add(after)})
	}
	trace.Settled(ctx, message, new(queue.Item), done)
	n := new(dsn.Notification)
	n.Report.Recipients = []dsn.Recipient{{Action: dsn.Failed}, {Action: dsn.Failed}, {Action: dsn.Expanded}, {}}
	trace.Notified(ctx, message, n)
	expect(t, m, map[string]string{
		"accepted_messages_total": "2", "accepted_recipients_total": "3", "accepted_bytes_total": "17",
		`attempts_total{scope="message",status="failed"}`: "2", `attempts_total{scope="none",status="relayed"}`: "1",
		"attempt_duration_seconds_count": "1", `attempt_duration_seconds_bucket{le="0.001"}`: "0", `attempt_duration_seconds_bucket{le="0.004"}`: "1",
		`outcomes_total{status="delivered"}`: "0", `outcomes_total{status="failed"}`: "1", `outcomes_total{status="relayed"}`: "1",
		`outcomes_total{status="expired"}`: "1", `outcomes_total{status="deleted"}`: "1", `outcomes_total{status="unknown"}`: "2",
		`time_in_queue_seconds_sum{status="failed"}`: "60", `time_in_queue_seconds_sum{status="relayed"}`: "0", // clocks may differ
		`time_in_queue_seconds_bucket{status="expired",le="432000"}`: "0", `time_in_queue_seconds_count{status="expired"}`: "1",
		`notifications_total{action="failed"}`: "2", `notifications_total{action="expanded"}`: "1", `notifications_total{action="delayed"}`: "0",
	})
}

// Who has hooks of his own keeps them, all of them or some.
func TestTraceIsChained(t *testing.T) {
	for _, next := range []*queue.Trace{nil, {}} {
		call(t, prommetrics.New(nil).Trace(next))
	}
	var seen []string
	call(t, prommetrics.New(nil).Trace(&queue.Trace{
		Accepted:  func(context.Context, *queue.Message, []queue.NewItem) { seen = append(seen, "accepted") },
		Attempted: func(context.Context, *queue.Attempt) { seen = append(seen, "attempted") },
		Settled: func(context.Context, *queue.Message, *queue.Item, []queue.Outcome) {
			seen = append(seen, "settled")
		},
		Notified: func(context.Context, *queue.Message, *dsn.Notification) { seen = append(seen, "notified") },
		Site:     func(context.Context, string, time.Time, error) { seen = append(seen, "site") },
	}))
	if got, want := strings.Join(seen, " "), "accepted attempted settled notified site"; got != want {
		t.Errorf("seen %q, want %q", got, want)
	}
}

// call calls every hook once.
func call(t *testing.T, trace *queue.Trace) {
	ctx := t.Context()
	trace.Accepted(ctx, new(queue.Message), nil)
	trace.Attempted(ctx, new(queue.Attempt))
	trace.Settled(ctx, new(queue.Message), new(queue.Item), nil)
	trace.Notified(ctx, new(queue.Message), new(dsn.Notification))
	trace.Site(ctx, "example.org", time.Time{}, nil)
}

func TestStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stats, err := queue.Stats{Free: -1}, error(nil)
		m := prommetrics.New(statsStore{stats: func(context.Context) (queue.Stats, error) { return stats, err }})
		expect(t, m, map[string]string{"store_up": "1", "messages": "0", "oldest_message_age_seconds": "0", "free_bytes": ""})
		stats = queue.Stats{Messages: 3, Bytes: 1000, Items: 9, Held: 2, Leased: 4, Oldest: time.Now().Add(-time.Hour), Free: 5000}
		expect(t, m, map[string]string{"messages": "3", "size_bytes": "1000", `items{state="waiting"}`: "3", `items{state="held"}`: "2",
			`items{state="leased"}`: "4", "oldest_message_age_seconds": "3600", "free_bytes": "5000"})
		stats.Held, stats.Oldest = 9, time.Now().Add(time.Hour) // held under a lease; a clock set back
		expect(t, m, map[string]string{`items{state="waiting"}`: "0", "oldest_message_age_seconds": "0"})
		err = errors.New("disk on fire")
		expect(t, m, map[string]string{"store_up": "0", "messages": "", `items{state="held"}`: "", "accepted_messages_total": "0"})
	})
}

// A scrape does not wait for ever, and the rest of it is there.
func TestStatsStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := prommetrics.New(statsStore{stats: func(ctx context.Context) (queue.Stats, error) {
			<-ctx.Done()
			return queue.Stats{}, ctx.Err()
		}})
		began := time.Now()
		expect(t, m, map[string]string{"store_up": "0", "messages": "", "accepted_messages_total": "0"})
		if waited := time.Since(began); waited > 5*time.Second {
			t.Errorf("it took %v", waited)
		}
	})
}

func TestResting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := prommetrics.New(nil)
		trace := m.Trace(nil)
		rest := func(destination string, d time.Duration) {
			trace.Site(t.Context(), destination, time.Now().Add(d), errors.New("down"))
		}
		rest("a.example", time.Minute)
		rest("b.example", time.Hour)
		rest("b.example", time.Hour)
		expect(t, m, map[string]string{"resting_destinations": "2"})
		time.Sleep(time.Minute)
		expect(t, m, map[string]string{"resting_destinations": "1"})
		trace.Site(t.Context(), "b.example", time.Time{}, nil)
		trace.Site(t.Context(), "c.example", time.Time{}, nil)
		expect(t, m, map[string]string{"resting_destinations": "0"})
	})
}

// However many destinations rest, what is remembered of them is bounded, and
// whatever the hooks are told, the labels are few.
func TestBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := prommetrics.New(nil)
		trace := m.Trace(nil)
		for i := range 1<<17 + 1000 {
			trace.Site(t.Context(), fmt.Sprint(i), time.Now().Add(time.Hour), nil)
		}
		expect(t, m, map[string]string{"resting_destinations": "131072"})
		time.Sleep(time.Hour)
		expect(t, m, map[string]string{"resting_destinations": "0"})
		trace.Site(t.Context(), "new", time.Now().Add(time.Hour), nil)
		expect(t, m, map[string]string{"resting_destinations": "1"})
		for i := range 256 {
			trace.Attempted(t.Context(), &queue.Attempt{Results: []mx.Result{{Status: mx.Status(i), Scope: mx.Scope(i)}}})
			trace.Settled(t.Context(), new(queue.Message), new(queue.Item),
				[]queue.Outcome{{Status: queue.Status(i), Destination: fmt.Sprint("evil", i), Host: "evil"}})
			n := new(dsn.Notification)
			n.Report.Recipients = []dsn.Recipient{{Action: dsn.Action(i)}}
			trace.Notified(t.Context(), new(queue.Message), n)
		}
		got := scrape(m)
		if len(got) > 250 {
			t.Errorf("%d series", len(got))
		}
		for name := range got {
			if strings.Contains(name, "evil") {
				t.Errorf("a label from outside: %s", name)
			}
		}
	})
}
