// Package prommetrics counts what happens in a queue, for Prometheus. It is a
// module of its own, so that whoever does without has nothing to do with its
// dependencies.
//
//	metrics := prommetrics.New(store)
//	prometheus.MustRegister(metrics)
//	runner.Trace = metrics.Trace(nil)
//
// What the store says when it is asked; nothing of this is there while it does
// not answer:
//
//	smtp_queue_messages                             messages
//	smtp_queue_size_bytes                           their contents
//	smtp_queue_items{state}                         "waiting", "leased", "held"
//	smtp_queue_oldest_message_age_seconds           0 if there is none
//	smtp_queue_free_bytes                           what the disk has left, if that is known
//	smtp_queue_store_up                             1, or 0 while the store does not answer
//
// What the trace has seen:
//
//	smtp_queue_accepted_messages_total              messages that were committed, notifications included
//	smtp_queue_accepted_recipients_total            their recipients
//	smtp_queue_accepted_bytes_total                 their contents
//	smtp_queue_attempts_total{status,scope}         recipients that a delivery was tried to: "delivered", "relayed",
//	                                                "deferred" or "failed", and what a failure harms, as in mx.Scope
//	smtp_queue_attempt_duration_seconds             histogram of deliveries
//	smtp_queue_outcomes_total{status}               recipients that are done: "delivered", "relayed", "failed",
//	                                                "expired", "deleted"
//	smtp_queue_time_in_queue_seconds{status}        histogram of how long they took from the message's arrival
//	smtp_queue_notifications_total{action}          recipients that a sender was told about: "failed", "delayed",
//	                                                "delivered", "relayed", "expanded"
//	smtp_queue_resting_destinations                 destinations that are left alone for a while
//
// No label holds a destination, an address or anything else that a stranger has
// chosen.
package prommetrics

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postrider/postrider/mx"
	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/smtp/dsn"
)

// statsTime is how long a scrape waits for the store.
const statsTime = 5 * time.Second

// Metrics is a prometheus.Collector that tells what is in a queue and what has
// happened to it. To tell several queues apart, register each with
// prometheus.WrapRegistererWith. New makes one. All methods are safe for
// concurrent use.
type Metrics struct {
	store queue.Store

	accepted, recipients, bytes prometheus.Counter
	attempts                    *prometheus.CounterVec
	took                        prometheus.Histogram
	outcomes                    *prometheus.CounterVec
	inQueue                     *prometheus.HistogramVec
	notifications               *prometheus.CounterVec
	seen                        []prometheus.Collector

	mu      sync.Mutex
	resting map[string]time.Time // destinations, and until when
	sweepAt int                  // how many make it worth to look for those whose time is over
}

var _ prometheus.Collector = (*Metrics)(nil)

// New returns Metrics of a store in which nothing has happened so far. If store is
// nil, there are only those of the Trace.
func New(store queue.Store) *Metrics {
	m := &Metrics{store: store, resting: map[string]time.Time{}, sweepAt: minSweep}
	m.accepted = m.counter("accepted_messages_total", "Messages that were committed, notifications included.")
	m.recipients = m.counter("accepted_recipients_total", "Recipients of messages that were committed.")
	m.bytes = m.counter("accepted_bytes_total", "Octets of messages that were committed.")
	m.attempts = m.counters("attempts_total", "Recipients that a delivery was tried to, by what came of it and what a failure harms.", "status", "scope")
	m.took = prometheus.NewHistogram(histogram("attempt_duration_seconds", "How long deliveries took.", prometheus.ExponentialBuckets(0.001, 4, 10))) // 1 ms to 4 min
	m.outcomes = m.counters("outcomes_total", "Recipients that are done.", "status")
	m.inQueue = prometheus.NewHistogramVec(histogram("time_in_queue_seconds", "From a message's arrival to a recipient's outcome.",
		[]float64{0.01, 0.1, 1, 10, 60, 300, 1800, 2 * 3600, 6 * 3600, 24 * 3600, 2 * 24 * 3600, 5 * 24 * 3600}), []string{"status"})
	m.notifications = m.counters("notifications_total", "Recipients that a sender was told about.", "action")
	m.seen = append(m.seen, m.took, m.inQueue)
	for _, status := range []mx.Status{mx.Delivered, mx.Relayed} {
		m.attempts.WithLabelValues(status.String(), mx.ScopeNone.String())
	}
	for s := queue.Delivered; s <= queue.Deleted; s++ {
		m.outcomes.WithLabelValues(s.String())
	}
	for a := dsn.Failed; a.String() != ""; a++ {
		m.notifications.WithLabelValues(a.String())
	}
	return m
}

// Trace returns hooks that count and then call those of next, which may be nil.
func (m *Metrics) Trace(next *queue.Trace) *queue.Trace {
	if next == nil {
		next = new(queue.Trace)
	}
	return &queue.Trace{
		Accepted: func(ctx context.Context, message *queue.Message, items []queue.NewItem) {
			m.accept(message, items)
			if next.Accepted != nil {
				next.Accepted(ctx, message, items)
			}
		},
		Attempted: func(ctx context.Context, a *queue.Attempt) {
			m.attempt(a)
			if next.Attempted != nil {
				next.Attempted(ctx, a)
			}
		},
		Settled: func(ctx context.Context, message *queue.Message, item *queue.Item, done []queue.Outcome) {
			m.settle(message, done)
			if next.Settled != nil {
				next.Settled(ctx, message, item, done)
			}
		},
		Notified: func(ctx context.Context, about *queue.Message, n *dsn.Notification) {
			m.notify(n)
			if next.Notified != nil {
				next.Notified(ctx, about, n)
			}
		},
		Site: func(ctx context.Context, destination string, until time.Time, err error) {
			m.rest(destination, until)
			if next.Site != nil {
				next.Site(ctx, destination, until, err)
			}
		},
	}
}

func (m *Metrics) accept(message *queue.Message, items []queue.NewItem) {
	m.accepted.Inc()
	m.bytes.Add(float64(message.Size))
	for i := range items {
		m.recipients.Add(float64(len(items[i].Recipients)))
	}
}

func (m *Metrics) attempt(a *queue.Attempt) {
	m.took.Observe(a.Took.Seconds())
	for i := range a.Results {
		r := &a.Results[i]
		m.attempts.WithLabelValues(r.Status.String(), r.Scope.String()).Inc()
	}
}

func (m *Metrics) settle(message *queue.Message, done []queue.Outcome) {
	for i := range done {
		status := status(done[i].Status)
		m.outcomes.WithLabelValues(status).Inc()
		m.inQueue.WithLabelValues(status).Observe(max(0, done[i].Time.Sub(message.Arrived).Seconds()))
	}
}

func (m *Metrics) notify(n *dsn.Notification) {
	for i := range n.Report.Recipients {
		if action := n.Report.Recipients[i].Action.String(); action != "" {
			m.notifications.WithLabelValues(action).Inc()
		}
	}
}

// status is a label from a bounded set: the statuses of package queue.
func status(s queue.Status) string {
	if s < queue.Delivered || s > queue.Deleted {
		return "unknown"
	}
	return s.String()
}

func (m *Metrics) counter(name, help string) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts(opts(name, help)))
	m.seen = append(m.seen, c)
	return c
}

func (m *Metrics) counters(name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts(opts(name, help)), labels)
	m.seen = append(m.seen, c)
	return c
}

func opts(name, help string) prometheus.Opts {
	return prometheus.Opts{Namespace: "smtp", Subsystem: "queue", Name: name, Help: help}
}

func histogram(name, help string, buckets []float64) prometheus.HistogramOpts {
	o := opts(name, help)
	return prometheus.HistogramOpts{Namespace: o.Namespace, Subsystem: o.Subsystem, Name: o.Name, Help: o.Help, Buckets: buckets}
}
