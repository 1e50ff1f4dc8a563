package mx

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"time"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/mx/tlsrpt"
)

// Trace is a set of hooks that see what happens to messages on their way. Any may
// be nil. Hooks are called in order for one delivery and at the same time for
// different ones, with the context of the delivery; they must not block.
type Trace struct {
	// Routed is called when it is known where the mail of a domain goes, or why
	// that is not known.
	Routed func(ctx context.Context, domain string, route *Route, err error)
	// Attempted is called at the end of each attempt: at an address, or at a host
	// that comes to none.
	Attempted func(ctx context.Context, a *Attempt)
	// TLS is called for each connection to a host of a domain, as far as it got to
	// TLS, and for each host that a policy forbids: once for each policy that the
	// domain has published, DANE or MTA-STS, or else for its having none. It is for
	// the Add of a tlsrpt.Collector. Of what the operator or the message has decided
	// no domain hears.
	TLS func(ctx context.Context, s tlsrpt.Session)
	// Done is called at the end of each Deliver, with what it returns.
	Done func(ctx context.Context, domain string, results []Result)
	// Conn sees what is said on the connections. An Attempt's Server tells which.
	Conn *client.Trace
}

// An Attempt is what was tried at one address of one host, or why none of the
// host's was. It must not be changed.
type Attempt struct {
	Route  *Route
	Host   Host
	Addr   string // network address; "" if there was none to try
	Policy Policy // what TLS had to prove

	// Plaintext is why TLS was given up: what it came to in the attempt before, at
	// the same address. Nil if it was not.
	Plaintext error
	// Server is what the server has said and proved, as far as it got to; nil if it
	// was not reached.
	Server *client.ServerInfo
	Reused bool // the connection had carried a message before

	Results []Result // of the recipients whose outcome was open, as far as this attempt goes
	Err     error    // why nobody got the message; nil if somebody did
	Next    bool     // another attempt follows, as long as there are hosts and addresses

	Began time.Time
	Took  time.Duration

	sent []client.RecipientResult

	relaxed   bool  // REQUIRETLS stays behind
	connected bool  // a connection was made for this attempt, or could not be
	connErr   error // why it could not
	local     net.Addr
}

// LogTrace returns a Trace that logs to l: what was delivered at level Info, what
// was not, and why, at level Warn, routes at level Debug.
func LogTrace(l *slog.Logger) *Trace {
	return &Trace{
		Routed: func(ctx context.Context, domain string, route *Route, err error) {
			if err != nil {
				l.LogAttrs(ctx, slog.LevelWarn, "no route", slog.String("domain", domain), slog.Any("err", err))
				return
			}
			l.LogAttrs(ctx, slog.LevelDebug, "route", slog.String("domain", domain), slog.Any("route", route))
		},
		Attempted: func(ctx context.Context, a *Attempt) {
			level := slog.LevelInfo
			if a.Err != nil {
				level = slog.LevelWarn
			}
			l.LogAttrs(ctx, level, "attempt", slog.Any("attempt", a))
		},
		Done: func(ctx context.Context, domain string, results []Result) {
			for i := range results {
				r := &results[i]
				level := slog.LevelInfo
				if r.Status < Delivered {
					level = slog.LevelWarn
				}
				l.LogAttrs(ctx, level, r.Status.String(), slog.String("domain", domain), slog.Any("result", r))
			}
		},
	}
}

// LogValue is the route in a log: its domain and its hosts.
func (r *Route) LogValue() slog.Value {
	hosts := make([]string, len(r.Hosts))
	for i, h := range r.Hosts {
		hosts[i] = h.Name
	}
	return slog.GroupValue(slog.String("domain", r.Domain), slog.Any("hosts", hosts),
		slog.Bool("implicit", r.Implicit), slog.Bool("secure", r.Secure))
}

// LogValue is the attempt in a log.
func (a *Attempt) LogValue() slog.Value {
	attrs := []slog.Attr{
		slog.String("host", a.Host.Name),
		slog.String("addr", a.Addr),
		slog.String("level", a.Policy.Level.String()),
		slog.String("source", a.Policy.Source.String()),
		slog.Duration("took", a.Took),
	}
	if a.Policy.Why != "" && a.Policy.Source != SourceDefault {
		attrs = append(attrs, slog.String("why", a.Policy.Why))
	}
	if a.Route != nil {
		attrs = append(attrs, slog.String("domain", a.Route.Domain))
	}
	if s := a.Server; s != nil {
		attrs = append(attrs, slog.Uint64("conn", s.ConnID), slog.Bool("reused", a.Reused), slog.String("tls", tlsName(s.TLS)))
	}
	if a.Plaintext != nil {
		attrs = append(attrs, slog.String("plaintext", a.Plaintext.Error()))
	}
	if a.Err != nil {
		attrs = append(attrs, slog.String("err", a.Err.Error()), slog.Bool("next", a.Next))
	}
	return slog.GroupValue(attrs...)
}

// LogValue is the result in a log.
func (r *Result) LogValue() slog.Value {
	attrs := []slog.Attr{
		slog.String("to", r.Recipient.String()),
		slog.String("host", r.Host),
		slog.String("reply", r.Reply.String()),
	}
	if r.Err != nil {
		attrs = append(attrs, slog.String("scope", r.Scope.String()), slog.Bool("unknown", r.Unknown), slog.String("err", r.Err.Error()))
	}
	return slog.GroupValue(attrs...)
}

func tlsName(s *tls.ConnectionState) string {
	if s == nil {
		return "none"
	}
	return tls.VersionName(s.Version)
}
