package prommetrics

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postrider/postrider/mx/queue"
)

// What is read at each scrape.
var (
	messages = desc("messages", "Messages in the queue.")
	size     = desc("size_bytes", "Octets of the messages in the queue.")
	items    = desc("items", "Items in the queue: the recipients of a message with a destination in common.", "state")
	oldest   = desc("oldest_message_age_seconds", "Since the oldest message in the queue arrived; 0 if there is none.")
	free     = desc("free_bytes", "What the disk of the queue has left.")
	up       = desc("store_up", "1, or 0 while the store of the queue does not answer.")
	resting  = desc("resting_destinations", "Destinations that are left alone for a while.")
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	o := opts(name, help)
	return prometheus.NewDesc(prometheus.BuildFQName(o.Namespace, o.Subsystem, o.Name), o.Help, labels, nil)
}

// Describe is for prometheus.Registerer.
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range m.seen {
		c.Describe(ch)
	}
	for _, d := range []*prometheus.Desc{messages, size, items, oldest, free, up, resting} {
		ch <- d
	}
}

// Collect is for prometheus.Gatherer. It asks the store, for five seconds at the
// most.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	for _, c := range m.seen {
		c.Collect(ch)
	}
	now := time.Now()
	gauge(ch, resting, float64(m.atRest(now)))
	if m.store == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), statsTime)
	defer cancel()
	stats, err := m.store.Stats(ctx)
	if err != nil {
		gauge(ch, up, 0)
		return
	}
	gauge(ch, up, 1)
	collectStats(ch, &stats, now)
}

func collectStats(ch chan<- prometheus.Metric, s *queue.Stats, now time.Time) {
	gauge(ch, messages, float64(s.Messages))
	gauge(ch, size, float64(s.Bytes))
	gauge(ch, items, float64(max(0, s.Items-s.Held-s.Leased)), "waiting")
	gauge(ch, items, float64(s.Leased), "leased")
	gauge(ch, items, float64(s.Held), "held")
	age := 0.0
	if !s.Oldest.IsZero() {
		age = max(0, now.Sub(s.Oldest).Seconds())
	}
	gauge(ch, oldest, age)
	if s.Free >= 0 {
		gauge(ch, free, float64(s.Free))
	}
}

func gauge(ch chan<- prometheus.Metric, d *prometheus.Desc, value float64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
}

// minSweep and maxResting are of the destinations that are remembered: how many
// are never looked through, and how many there are at the most. Those beyond are
// not counted.
const minSweep, maxResting = 64, 1 << 17

// rest notes that a destination is left alone until then, or no longer.
func (m *Metrics) rest(destination string, until time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if until.IsZero() {
		delete(m.resting, destination)
		return
	}
	if len(m.resting) >= m.sweepAt { // it doubles, so that each costs as much as it has let in
		m.sweep(time.Now())
	}
	if _, known := m.resting[destination]; known || len(m.resting) < maxResting {
		m.resting[destination] = until
	}
}

// atRest counts the destinations whose rest is not over.
func (m *Metrics) atRest(now time.Time) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sweep(now)
	return len(m.resting)
}

// sweep forgets destinations whose rest is over.
func (m *Metrics) sweep(now time.Time) {
	for destination, until := range m.resting {
		if !now.Before(until) {
			delete(m.resting, destination)
		}
	}
	m.sweepAt = max(minSweep, 2*len(m.resting))
}
