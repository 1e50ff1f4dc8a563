//go:build linux && interop

package main

import (
	"testing"
	"time"

	"github.com/postrider/postrider/internal/pgtest"
	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/server/smtptest"
)

// Two relays share a PostgreSQL. What one has taken in and leaves behind when it
// stops the other delivers, and it need not look for it: it is told.
func TestPostgres(t *testing.T) {
	db := pgtest.Start(t)
	smarthost := smtptest.NewServer(t)
	args := []string{"-listen", "127.0.0.1:0", "-insecure-local", "-db", db.DSN()}
	dead := start(t, append(args, "-smarthost", deadAddr(t), "-retry", "1h")...)
	if _, err := send(t, plain(t, dead.addrs["mx"]), text, "alice@example.org", "b@example.net"); err != nil {
		t.Fatal(err)
	}
	if code := dead.stop(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	p := start(t, append(args, "-smarthost", smarthost.Addr, "-poll", "1h")...)
	began := time.Now()
	if got := p.relayQueue(t, "retry", "-to", "b@example.net"); got != "retry 1\n" {
		t.Error(got)
	}
	wait(t, smarthost, 1)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	if got := p.outcomes(t, 1); got[0].Status != queue.Relayed {
		t.Errorf("%+v", got)
	}
}
