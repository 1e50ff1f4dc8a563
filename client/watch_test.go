package client_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/internal/secrettest"
	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/server/smtptest"
	"github.com/postrider/postrider/smtp"
)

// watched is a Trace by which TestMain sees what t sees, if it is not nil.
func watched(t *client.Trace) *client.Trace {
	if t == nil {
		t = new(client.Trace)
	}
	note := func(what string, args ...any) { fmt.Fprintln(secrettest.Seen, append([]any{what}, args...)...) }
	return &client.Trace{
		Connected: func(c client.ConnInfo) {
			if note("connected", c); t.Connected != nil {
				t.Connected(c)
			}
		},
		TLSDone: func(c client.ConnInfo, state tls.ConnectionState, err error) {
			if note("TLS", c, err); t.TLSDone != nil {
				t.TLSDone(c, state, err)
			}
		},
		Reused: func(c client.ConnInfo) {
			if note("reused", c); t.Reused != nil {
				t.Reused(c)
			}
		},
		Wrote: func(c client.ConnInfo, line string) {
			if note("C:", line); t.Wrote != nil {
				t.Wrote(c, line)
			}
		},
		WroteData: func(c client.ConnInfo, octets int64) {
			if note("data", octets); t.WroteData != nil {
				t.WroteData(c, octets)
			}
		},
		Got: func(c client.ConnInfo, r smtp.Reply) {
			if note("S:", r, r.Text, r.Raw); t.Got != nil {
				t.Got(c, r)
			}
		},
		Closed: func(c client.ConnInfo, err error) {
			if note("closed", err); t.Closed != nil {
				t.Closed(c, err)
			}
		},
	}
}

// watch makes TestMain see what a server sees, and know what clients answer to
// its challenges.
func watch(s *smtptest.Server) {
	s.Config.Observer = server.LogObserver(slog.New(slog.NewTextHandler(secrettest.Seen, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if s.Config.Auth != nil {
		s.Config.Auth = secrettest.Authenticator(s.Config.Auth)
	}
}

// newServer is smtptest.NewServer, watched to its end.
func newServer(t testing.TB, configure ...func(*smtptest.Server)) *smtptest.Server {
	t.Helper()
	var s *smtptest.Server
	t.Cleanup(func() {
		if s != nil {
			io.WriteString(secrettest.Seen, strings.Join(s.Transcripts(), "\n"))
		}
	})
	s = smtptest.NewServer(t, append(configure, watch)...)
	return s
}
