package main

import (
	"context"
	"io"

	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// startOurs serves with this library as its zero values set it up.
func startOurs(opt options) (*instance, error) {
	s := &server.Server{
		Hostname: "bench.example",
		Limits:   server.Limits{MaxConns: opt.conns},
		Handler: server.Deliver(func(_ context.Context, m *server.Message) (smtp.Reply, error) {
			_, err := io.Copy(io.Discard, m.Body)
			return smtp.Reply{}, err
		}),
	}
	if opt.security == startTLS {
		cfg, err := serverTLS()
		if err != nil {
			return nil, err
		}
		s.TLSConfig = cfg
	}
	return serveInProcess(opt, s.Serve, func() { s.Close() })
}
