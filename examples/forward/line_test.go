package main

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/internal/leaktest"
	"github.com/postrider/postrider/mx/mxtest"
	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/server/smtptest"
	"github.com/postrider/postrider/smtp"
)

func TestMain(m *testing.M) { os.Exit(leaktest.Main(m)) }

// A line is three forwarders in a row, the last hop behind them, and the sender's
// own host, to which notices go.
type line struct {
	inet              *mxtest.Internet
	hops              [3]*forwarder
	hosts             [3]*mxtest.Host
	last, other, home *mxtest.Host
	submit            *client.Client
}

// promises are what a host of the test offers.
func promises(all ...server.Extension) func(*mxtest.Host) {
	return mxtest.SMTP(func(s *smtptest.Server) { s.Config.Extensions = all })
}

// everything that a forwarder passes on.
var everything = promises(server.DSN, server.SMTPUTF8, server.RequireTLS, server.MTPriority(""))

// forwarderHost adds a host that is a forwarder.
func forwarderHost(inet *mxtest.Internet, f *forwarder) *mxtest.Host {
	f.log = slog.New(slog.DiscardHandler)
	return inet.Host(f.hostname, mxtest.SMTP(func(s *smtptest.Server) {
		own := f.server(inet.Client())
		own.TLSConfig, own.Limits = s.Config.TLSConfig, s.Config.Limits
		s.Config = own
	}))
}

func newLine(t *testing.T, bounce bool, last ...func(*mxtest.Host)) *line {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	t.Setenv("TMP", dir)
	t.Cleanup(func() { // when all is at rest
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	})
	inet := mxtest.New(t)
	l := &line{inet: inet}
	for i := range l.hops {
		f := &forwarder{hostname: fmt.Sprintf("hop%d.example.net", i+1), domains: []string{"example.org", "other.example"}, hops: 10, bounce: bounce}
		if i < 2 {
			f.next = []string{fmt.Sprintf("[hop%d.example.net]", i+2)}
		}
		l.hops[i], l.hosts[i] = f, forwarderHost(inet, f)
	}
	l.last = inet.Host("mx.example.org", append(last, everything)...)
	l.other = inet.Host("mx.other.example", everything)
	l.home = inet.Host("mx.example.com", everything)
	inet.Domain("example.org", mxtest.MX(10, l.last))
	inet.Domain("other.example", mxtest.MX(10, l.other))
	inet.Domain("example.com", mxtest.MX(10, l.home))
	inet.Sign("example.net", "example.org", "other.example", "example.com")
	l.submit = &client.Client{Addr: "hop1.example.net:25", Dial: inet.Dial, TLSConfig: inet.TLSConfig(), LocalName: "client.example.com"}
	t.Cleanup(func() { l.submit.Close() })
	return l
}

// rest waits until nothing is under way: in a bubble, until all wait for each other
// and then for longer than any of them would.
func (l *line) rest() { time.Sleep(10 * time.Minute) }

const text = "Received: from nowhere by somewhere; Sun, 1 Feb 2026 10:00:00 +0000\r\nMessage-ID: <1@example.com>\r\nSubject: test\r\n\r\n.Hello.\r\n"

func (l *line) send(t *testing.T, env smtp.Envelope, fields ...string) (*client.Result, error) {
	t.Helper()
	return l.submit.Send(t.Context(), env, smtp.BytesContent([]byte(strings.Join(fields, "")+text)))
}

func envelope(t *testing.T, from string, to ...string) smtp.Envelope {
	t.Helper()
	env, err := smtp.NewEnvelope(from, to...)
	if err != nil {
		t.Fatal(err)
	}
	return env
}

// inBothModes runs a test with a line of each mode.
func inBothModes(t *testing.T, test func(t *testing.T, l *line)) {
	for _, bounce := range []bool{false, true} {
		t.Run(map[bool]string{false: "session", true: "bounce"}[bounce], func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, newLine(t, bounce)) })
		})
	}
}
