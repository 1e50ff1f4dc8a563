// Package prommetrics counts what servers do, for Prometheus. It is a module of
// its own, so that whoever does without has nothing to do with its
// dependencies.
//
//	metrics := prommetrics.New()
//	prometheus.MustRegister(metrics)
//	srv.Observer = metrics
//
// The metrics:
//
//	smtp_server_connections                     open connections
//	smtp_server_connections_total               accepted connections
//	smtp_server_connection_duration_seconds     histogram of how long they lasted
//	smtp_server_connections_failed_total        of them, those that did not end with QUIT
//	smtp_server_tls_handshakes_total{outcome}   "ok", "failed"
//	smtp_server_proxy_failures_total            connections without a good PROXY header
//	smtp_server_commands_total{verb}            commands, "other" for unknown ones
//	smtp_server_replies_total{verb,code}        replies, verb "none" for greetings and sudden ends
//	smtp_server_messages_total{outcome}         "accepted", "refused" (cut short ones too)
//	smtp_server_message_size_bytes              histogram of accepted messages
//	smtp_server_refused_bytes_total             what came of the others
//	smtp_server_recipients_total{outcome}       recipients of accepted and refused messages
//	smtp_server_limits_total{verb,code}         limits that were hit
//	smtp_server_tarpits_total                   connections whose refusals are held back
//	smtp_server_early_talkers_total             clients that did not wait for the greeting
//	smtp_server_foreign_protocols_total         clients that speak another protocol
//
// No label holds what a client has sent: their number is bounded by the verbs of
// package smtp and the codes of replies.
package prommetrics

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// Metrics is a server.Observer that counts events, and a prometheus.Collector
// that tells the counts. It serves any number of servers; to tell them apart,
// give each its own and register it with prometheus.WrapRegistererWith. New
// makes one. All methods are safe for concurrent use.
type Metrics struct {
	open       prometheus.Gauge
	conns      prometheus.Counter
	failed     prometheus.Counter
	duration   prometheus.Histogram
	handshakes *prometheus.CounterVec
	proxy      prometheus.Counter
	commands   *prometheus.CounterVec
	replies    *prometheus.CounterVec
	messages   *prometheus.CounterVec
	size       prometheus.Histogram
	refused    prometheus.Counter
	recipients *prometheus.CounterVec
	limits     *prometheus.CounterVec
	tarpits    prometheus.Counter
	early      prometheus.Counter
	foreign    prometheus.Counter

	all []prometheus.Collector
}

var (
	_ server.Observer      = (*Metrics)(nil)
	_ prometheus.Collector = (*Metrics)(nil)
)

// New returns Metrics in which everything is zero.
func New() *Metrics {
	m := new(Metrics)
	m.open = prometheus.NewGauge(prometheus.GaugeOpts(opts("connections", "Open connections.")))
	m.conns = m.counter("connections_total", "Accepted connections.")
	m.failed = m.counter("connections_failed_total", "Connections that did not end with QUIT.")
	m.duration = m.histogram("connection_duration_seconds", "How long connections lasted.", prometheus.ExponentialBuckets(0.01, 4, 10)) // 10 ms to 44 min
	m.handshakes = m.counters("tls_handshakes_total", "TLS handshakes.", "outcome")
	m.proxy = m.counter("proxy_failures_total", "Connections closed for want of a good PROXY header.")
	m.commands = m.counters("commands_total", "Commands received.", "verb")
	m.replies = m.counters("replies_total", "Replies sent.", "verb", "code")
	m.messages = m.counters("messages_total", "Messages whose data was begun.", "outcome")
	m.size = m.histogram("message_size_bytes", "Sizes of accepted messages.", prometheus.ExponentialBuckets(1<<10, 4, 9)) // 1 KiB to 64 MiB
	m.refused = m.counter("refused_bytes_total", "Octets of messages that were not accepted.")
	m.recipients = m.counters("recipients_total", "Recipients of messages.", "outcome")
	m.limits = m.counters("limits_total", "Limits that were hit, by the reply to it.", "verb", "code")
	m.tarpits = m.counter("tarpits_total", "Connections whose refusals are held back.")
	m.early = m.counter("early_talkers_total", "Clients that did not wait for the greeting.")
	m.foreign = m.counter("foreign_protocols_total", "Clients that speak another protocol.")
	m.all = append(m.all, m.open)
	for _, outcome := range []string{accepted, refused} {
		m.messages.WithLabelValues(outcome)
		m.recipients.WithLabelValues(outcome)
	}
	m.handshakes.WithLabelValues(ok)
	m.handshakes.WithLabelValues(failed)
	return m
}

// The outcomes.
const (
	ok, failed        = "ok", "failed"
	accepted, refused = "accepted", "refused"
)

// Observe counts an event of a server.
func (m *Metrics) Observe(e server.Event) {
	switch e.Kind {
	case server.ConnOpened:
		m.conns.Inc()
		m.open.Inc()
	case server.ConnClosed:
		m.open.Dec()
		m.duration.Observe(time.Since(e.Conn.Info().Opened).Seconds())
		if e.Err != nil {
			m.failed.Inc()
		}
	case server.TLSStarted:
		m.handshakes.WithLabelValues(ok).Inc()
	case server.TLSFailed:
		m.handshakes.WithLabelValues(failed).Inc()
	case server.ProxyFailed:
		m.proxy.Inc()
	case server.CommandReceived:
		m.commands.WithLabelValues(verb(e.Verb, "other")).Inc()
	case server.ReplySent:
		m.replies.WithLabelValues(verb(e.Verb, "none"), code(e.Reply)).Inc()
	case server.MessageAccepted:
		m.messages.WithLabelValues(accepted).Inc()
		m.recipients.WithLabelValues(accepted).Add(float64(e.Recipients))
		m.size.Observe(float64(e.Size))
	case server.MessageRefused:
		m.messages.WithLabelValues(refused).Inc()
		m.recipients.WithLabelValues(refused).Add(float64(e.Recipients))
		m.refused.Add(float64(e.Size))
	case server.LimitHit:
		m.limits.WithLabelValues(verb(e.Verb, "none"), code(e.Reply)).Inc()
	case server.Tarpitted:
		m.tarpits.Inc()
	case server.EarlyTalk:
		m.early.Inc()
	case server.ForeignProtocol:
		m.foreign.Inc()
	}
}

// Describe is for prometheus.Registerer.
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range m.all {
		c.Describe(ch)
	}
}

// Collect is for prometheus.Gatherer.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	for _, c := range m.all {
		c.Collect(ch)
	}
}

func opts(name, help string) prometheus.Opts {
	return prometheus.Opts{Namespace: "smtp", Subsystem: "server", Name: name, Help: help}
}

func (m *Metrics) counter(name, help string) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts(opts(name, help)))
	m.all = append(m.all, c)
	return c
}

func (m *Metrics) counters(name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts(opts(name, help)), labels)
	m.all = append(m.all, c)
	return c
}

func (m *Metrics) histogram(name, help string, buckets []float64) prometheus.Histogram {
	o := opts(name, help)
	h := prometheus.NewHistogram(prometheus.HistogramOpts{
		Namespace: o.Namespace, Subsystem: o.Subsystem, Name: o.Name, Help: o.Help, Buckets: buckets,
	})
	m.all = append(m.all, h)
	return h
}

// verb is a label from a bounded set: the verbs that package smtp knows, "other"
// for those of the application and what is no verb, none where there was no
// command.
func verb(v smtp.Verb, none string) string {
	if v == "" {
		return none
	}
	if known, _, ok := smtp.ParseVerb([]byte(v)); ok {
		return string(known)
	}
	return "other"
}

// code is a label from a bounded set: the codes that a reply can have.
func code(r smtp.Reply) string {
	if r.Code < 200 || r.Code > 599 {
		return "other"
	}
	return codes[r.Code-200]
}

var codes = func() (list [400]string) {
	for i := range list {
		list[i] = strconv.Itoa(200 + i)
	}
	return list
}()
