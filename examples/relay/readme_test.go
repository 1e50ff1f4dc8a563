package main

import (
	"context"
	"database/sql"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/mx"
	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/mx/queue/sqlqueue"
	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/server/smtptest"
	"github.com/postrider/postrider/smtp"
)

// serveReadme has the code of "Build an MTA" in README.md, line by line.
func serveReadme(ctx context.Context, l net.Listener, file string, deliverer queue.Deliverer) error {
	db, err := sql.Open("sqlite", file)
	if err != nil {
		return err
	}
	defer db.Close()

	store, err := sqlqueue.Open(ctx, db, sqlqueue.SQLite, nil) // or sqlqueue.PostgreSQL; db has the driver that you like
	if err != nil {
		return err
	}
	defer store.Close()
	runner := &queue.Runner{Store: store, Deliverer: deliverer} // the mx.Client from above
	go runner.Run(ctx)                                          // delivers what comes, and what was there before

	srv := &server.Server{
		Hostname: "relay.example.com",
		Handler: server.Deliver(func(ctx context.Context, m *server.Message) (smtp.Reply, error) {
			in, err := runner.Begin(ctx, m.DeclaredSize())
			if err != nil {
				return smtp.Reply{}, err // queue.ErrFull is 452 4.3.1
			}
			defer in.Abort() // does nothing after Commit
			if _, err := io.Copy(in, m); err != nil {
				return smtp.Reply{}, err
			}
			err = in.Commit(ctx, &queue.NewMessage{Envelope: m.Envelope})
			return smtp.Reply{Code: 250, Text: "queued as " + in.ID().String()}, err // nil: it is on disk
		}),
	}

	defer runner.Shutdown(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() { srv.Close() })
	return srv.Serve(l)
}

// The README's server takes a message and brings it to the next host.
func TestReadme(t *testing.T) {
	next := smtptest.NewServer(t, smtptest.NoTLS)
	host, port, err := net.SplitHostPort(next.Addr)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	deliverer := &mx.Client{NextHop: func(string, *mx.Message) *mx.NextHop {
		return &mx.NextHop{Hosts: []string{"[" + host + "]:" + port}, Policy: &mx.Policy{Level: mx.LevelNone}}
	}}
	defer deliverer.Close()
	file := filepath.Join(t.TempDir(), "queue.db")
	go func() { done <- serveReadme(ctx, l, file, deliverer) }()
	c := &client.Client{Addr: l.Addr().String(), TLSMode: client.Plaintext}
	defer c.Close()
	env, err := smtp.NewEnvelope("ann@example.com", "bob@example.org")
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.Send(t.Context(), env, smtp.BytesContent([]byte("Subject: hello\r\n\r\nHello!\r\n")))
	if err != nil || !strings.HasPrefix(res.Recipients[0].Reply.Text, "queued as ") {
		t.Errorf("%+v, %v", res, err)
	}
	soon, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	got, err := next.Wait(soon, 1)
	if err != nil || got[0].To()[0] != "bob@example.org" || !strings.Contains(string(got[0].Data), "Subject: hello") {
		t.Errorf("%+v, %v", got, err)
	}
	stop()
	if err := <-done; err != server.ErrServerClosed {
		t.Error(err)
	}
}
