//go:build unix

package guarantee

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/mx/mxtest"
	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/mx/queue/sqlqueue"
	"github.com/postrider/postrider/server/smtptest"
	"github.com/postrider/postrider/smtp"
)

// Ten thousand messages for a host that refuses connections and one that takes
// them and says nothing, queued before all others and due before them, delay
// nobody else: what is sent elsewhere arrives when only a few of them have been
// tried.
func TestGuaranteeDeadDestination(t *testing.T) {
	testDeadDestination(t, filepath.Join(t.TempDir(), "relay.db"))
}

func testDeadDestination(t *testing.T, dsn string) {
	const queued, sent = 100, 50
	dead := 10_000
	if testing.Short() {
		dead = 1000
	}
	l := newLedger()
	inet := mxtest.New(t, mxtest.Loopback)
	refused, silent := inet.Host("mx1.dead.example"), inet.Host("mx2.dead.example")
	inet.Domain("refused.example", mxtest.MX(10, refused))
	inet.Domain("silent.example", mxtest.MX(10, silent))
	refused.Close()
	silences := silent.Fault(smtptest.OnGreeting().Delay(time.Hour))
	s := &sink{ledger: l}
	s.calm.Store(true)
	inet.Domain("live.example", mxtest.MX(10, inet.Host("mx.live.example", mxtest.SMTP(func(srv *smtptest.Server) {
		srv.Config.Handler = s.handler()
	}))))

	store := enqueuer(t, dsn)
	var wg sync.WaitGroup
	for part := range 20 {
		wg.Go(func() {
			for i := part; i < dead; i += 20 {
				domain := [...]string{"refused.example", "silent.example"}[i/20%2]
				enqueue(t, store, fmt.Sprintf("dead%d", i), domain, time.Now().Add(-time.Hour))
			}
		})
	}
	wg.Wait()
	for i := range queued {
		m := liveMessage(l, fmt.Sprintf("queued%d", i))
		enqueue(t, store, m.id, "live.example", time.Now())
		l.tell(m.recipients[0], accepted)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}

	k := keep(t, "relay", "-db", dsn, "-resolver", inet.DNS().String(), "-port", fmt.Sprint(inet.Port))
	k.start()
	l.await(t, "what was queued for the live host arrives", func() bool { _, d := l.counts(); return d == queued })
	c := newClient(k.dial)
	defer c.Close()
	for i := range sent {
		m := liveMessage(l, fmt.Sprintf("sent%d", i))
		if err := l.send(t.Context(), c, m, smtp.BytesContent(plain(m.id))); err != nil {
			t.Fatal(err)
		}
		l.await(t, "what is sent to the live host arrives", func() bool { _, d := l.counts(); return d == queued+i+1 })
	}

	attached, done := attach(t, dsn)
	defer done()
	left, tried, attempts := 0, 0, 0
	for e, err := range attached.Scan(t.Context(), queue.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Item.Destination == "live.example" { // its settlement is underway
			continue
		}
		left++
		attempts += e.Item.Attempts
		if e.Item.Attempts > 0 {
			tried++
		}
	}
	t.Logf("%d messages for dead hosts are left; %d were tried, %d times; %d connections to the silent one", left, tried, attempts, silences())
	if left != dead {
		t.Errorf("%d messages for dead hosts are left, want %d", left, dead)
	}
	if attempts > 200 || silences() > 50 {
		t.Errorf("dead hosts were tried %d times, and %d connections were made to the silent one: too often for a rest", attempts, silences())
	}
	for _, w := range l.wrong {
		t.Error(w)
	}
	k.kill() // the silent host would keep it for 20 seconds
}

// liveMessage is a message for one recipient of the live host, entered.
func liveMessage(l *ledger, id string) *message {
	m := &message{id: id, sum: sha256.Sum256(plain(id))}
	m.recipients = []*recipient{{message: m, addr: id + ".0.0@live.example"}}
	l.enter(m)
	return m
}

func plain(id string) []byte { return text(rand.New(rand.NewPCG(1, 1)), id, 1<<10) }

// enqueuer opens a store in the test's own process.
func enqueuer(t *testing.T, dsn string) *sqlqueue.Store {
	t.Helper()
	driver, dialect := dialectOf(dsn)
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	store, err := sqlqueue.Open(t.Context(), db, dialect, nil)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// enqueue stores a message for one recipient.
func enqueue(t *testing.T, store queue.Store, id, domain string, due time.Time) {
	tx, err := store.Begin(t.Context(), -1)
	if err != nil {
		t.Error(err)
		return
	}
	defer tx.Abort()
	env, err := smtp.NewEnvelope(id+"@from.example", id+".0.0@"+domain)
	if err != nil {
		t.Error(err)
		return
	}
	c := &queue.Commit{Items: []queue.NewItem{{Item: queue.Item{
		Destination: domain,
		Recipients:  queue.Recipients{{Recipient: env.Recipients[0]}},
		Due:         due,
		Expires:     time.Now().Add(24 * time.Hour),
	}}}}
	c.Message.Arrived = due
	c.Message.Envelope = env
	c.Message.Envelope.Recipients = nil
	if _, err := tx.Write(plain(id)); err != nil {
		t.Error(err)
		return
	}
	if _, err := tx.Commit(context.Background(), c); err != nil {
		t.Error(err)
	}
}
