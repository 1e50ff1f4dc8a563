package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	queuemetrics "github.com/postrider/postrider/mx/queue/prommetrics"
	"github.com/postrider/postrider/mx/queue/sqlqueue"
	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/server/middleware"
	"github.com/postrider/postrider/server/prommetrics"
	"github.com/postrider/postrider/smtp"
)

// serve starts everything, waits for ctx to end or for something to fail, and
// stops it so that nothing is lost: the store is closed when all others have ended.
func (r *relay) serve(ctx context.Context, store *sqlqueue.Store, stdout io.Writer) error {
	cert, err := server.SelfSigned(r.hostname) // enough for an MX, and for no mail client
	if r.certFile != "" {
		cert, err = server.LoadCertificate(r.certFile, r.keyFile) // and each new one as it comes
	}
	if err != nil {
		return err
	}
	counted, queued := prommetrics.New(), queuemetrics.New(store)
	registry := prometheus.NewRegistry()
	registry.MustRegister(counted, queued)
	r.setUp(store, queued)
	defer r.client.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if store.Dialect() == sqlqueue.PostgreSQL {
		r.runner.Wake = sqlqueue.Wake(ctx, r.wake)
	}
	mx, submission := r.server(server.MX, cert, counted), r.server(server.Submission, cert, counted)
	metrics := &http.Server{Handler: promhttp.HandlerFor(registry, promhttp.HandlerOpts{}), ReadHeaderTimeout: 10 * time.Second}
	defer metrics.Close()
	var running sync.WaitGroup
	defer r.stop(&running, mx, submission)
	stopped := make(chan error, 5)
	running.Go(func() { stopped <- r.runner.Run(context.WithoutCancel(ctx)) }) // until stop: what is underway shall end
	for _, l := range []struct {
		name, addr string
		serve      func(net.Listener) error
	}{
		{"mx", r.listen, mx.Serve}, {"submission", r.submission, submission.Serve},
		{"submissions", r.submissions, submission.ServeTLS}, {"metrics", r.metrics, metrics.Serve},
	} {
		if l.addr == "" {
			continue
		}
		ln, err := net.Listen("tcp", l.addr)
		if err != nil {
			return err
		}
		fmt.Fprintln(stdout, l.name, "listening on", ln.Addr())
		go func() { stopped <- l.serve(ln) }()
	}
	fmt.Fprintln(stdout, "ready")
	select {
	case <-ctx.Done():
		return nil
	case err := <-stopped: // nobody has asked for it
		return err
	}
}

// stop lets mail transactions and deliveries come to their end, but for what takes
// longer than whoever sent the signal will wait: that is tried again later.
func (r *relay) stop(running *sync.WaitGroup, servers ...*server.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), r.patience)
	defer cancel()
	for _, s := range servers {
		running.Go(func() { s.Shutdown(ctx) })
	}
	if err := r.runner.Shutdown(ctx); err != nil {
		r.log.Warn("deliveries were cut short", "err", err)
	}
	running.Wait() // what came of deliveries is recorded
}

// server returns the server for one kind of client. What it offers it promises:
// the queue keeps the parameters, the next hop gets them or the sender hears.
func (r *relay) server(role server.Role, cert *server.Certificate, counted *prommetrics.Metrics) *server.Server {
	s := &server.Server{
		Handler:     server.HandlerFunc(r.newSession),
		Role:        role,
		Hostname:    r.hostname,
		TLSConfig:   &tls.Config{GetCertificate: cert.GetCertificate},
		Extensions:  []server.Extension{server.DSN, server.SMTPUTF8, server.RequireTLS, server.DeliverBy(0)},
		ChunkPolicy: server.Normalize, // what has bare line ends could not go on to servers without CHUNKING, nor be signed
		Observer:    counted,
		Logger:      r.log,
	}
	if r.log.Enabled(context.Background(), slog.LevelDebug) {
		s.Observer = server.Observers(counted, server.LogObserver(r.log))
	}
	if r.insecureLocal {
		s.Limits.MaxConnsPerIP = -1 // the clients of a test share one address
	}
	around := []func(server.Handler) server.Handler{
		middleware.Recipients(middleware.RecipientsOptions{ // without, this would be an open relay
			Domains: r.domains, Addresses: slices.Collect(maps.Keys(r.users)), Relay: r.mayRelay,
			Exists: func(context.Context, smtp.ForwardPath) (bool, error) { return r.users == nil, nil },
		}),
		middleware.MaxHops(0),
	}
	if role == server.Submission {
		s.Auth = &server.Credentials{Lookup: r.users.Lookup}
		s.Extensions = append(s.Extensions, server.FutureRelease(7*24*time.Hour)) // not for strangers (RFC 4865 §3)
		around = append(around, middleware.Submission(middleware.SubmissionOptions{Owns: owns, AddDate: true, AddMessageID: true}))
	}
	s.Handler = middleware.Chain(s.Handler, around...)
	return s
}

// mayRelay says whose mail goes anywhere, and is signed and not verified: our users'.
func (r *relay) mayRelay(c *server.Conn) bool {
	return c.Identity() != "" || r.insecureLocal && c.RemoteIP().IsLoopback()
}

// owns says that users send as themselves.
func owns(_ context.Context, identity string, address smtp.Mailbox) (bool, error) {
	return strings.EqualFold(identity, address.String()), nil
}
