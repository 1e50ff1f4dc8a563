//go:build linux && interop

package guarantee

import (
	"context"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/pgtest"
)

// postgresArgs make relays that share a PostgreSQL see soon what another has left.
var postgresArgs = []string{"-retry", "50ms", "-lease", leaseTime.String()}

const (
	leaseTime = 3 * time.Second
	longLease = 10 * time.Second // enough to be extended in time on a slow machine
)

// Every message that was answered 250 outlives kill -9 of PostgreSQL, and now and
// then of the relay with it.
func TestGuaranteePostgresKill(t *testing.T) {
	const sessions = 8
	pg := pgtest.Start(t)
	l := newLedger()
	l.vague = true // nobody can tell what became of a commit whose reply was lost
	s := startSink(t, l)
	k := keep(t, "relay", append([]string{"-smarthost", s.addr, "-db", pg.DSN()}, postgresArgs...)...)
	k.start()
	load := startLoad(t, l, sessions, k.dial)
	kills, began := 0, time.Now()
	for least := scaled(5, 200); kills < least || kills < 3*least && !l.enough(kills) && time.Since(began) < moreKills; kills++ {
		k.wait(100*time.Millisecond + rand.N(400*time.Millisecond))
		if err := pg.Kill(); err != nil {
			t.Fatal(err)
		}
		both := rand.IntN(5) == 0
		if both {
			k.kill()
		} else {
			k.wait(rand.N(200 * time.Millisecond))
		}
		if err := pg.Restart(); err != nil {
			t.Fatal(err)
		}
		if both {
			k.start()
		}
	}
	if was, _ := l.counts(); was == 0 {
		t.Error("nothing was accepted between the kills")
	}
	l.await(t, "enough is accepted to tell anything", func() bool { return l.enough(kills) })
	load.finish()
	s.calm.Store(true)
	quiet(t, pg.DSN())
	k.stop()
	c := l.audit(t, outcomes(t, pg.DSN()), false)
	t.Logf("%d kills: %v; %v", kills, c, l.declines)
	s.auditDoubled(t, c, inFlight)
}

// Of two relays on one PostgreSQL one is killed again and again, and does not come
// back in the end: the other delivers what it had leased, and nothing is settled
// twice.
func TestGuaranteeTwoRelays(t *testing.T) {
	testTwoRelays(t, longLease, scaled(6, 100), 0, inFlight, func(last bool, other *keeper) {
		other.kill()
		if !last {
			other.start()
		}
	})
}

// One of the relays stands still for longer than its leases last. When it goes on,
// what it had leased is the other's.
func TestGuaranteeStandstill(t *testing.T) {
	const late = 2 * deliveries
	times := scaled(2, 20)
	testTwoRelays(t, leaseTime, times, late, times*(inFlight+late), func(last bool, other *keeper) {
		other.cmd.Process.Signal(syscall.SIGSTOP)
		other.wait(2*leaseTime + rand.N(leaseTime))
		other.cmd.Process.Signal(syscall.SIGCONT)
		if last {
			other.wait(leaseTime) // for it to find out
			other.stop()
		}
	})
}

// testTwoRelays has something done to one of two relays a number of times. Late is
// how many transactions it may end each time after the other has made them too, and
// perRun how many of each run may be repeated.
func testTwoRelays(t *testing.T, lease time.Duration, times, late, perRun int, do func(last bool, other *keeper)) {
	const sessions = 8
	pg := pgtest.Start(t)
	l := newLedger()
	if late > 0 {
		l.standing = "other"
	}
	s := startSink(t, l)
	args := []string{"-smarthost", s.addr, "-db", pg.DSN(), "-retry", "50ms", "-lease", lease.String()}
	stays, other := keep(t, "stays", args...), keep(t, "other", args...)
	stays.start()
	other.start()
	var gone atomic.Bool
	var next atomic.Int64
	load := startLoad(t, l, sessions, func(ctx context.Context, network, addr string) (net.Conn, error) {
		if next.Add(1)%2 == 0 && !gone.Load() {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			return other.dial(ctx, network, addr)
		}
		return stays.dial(ctx, network, addr)
	})
	for i := range times {
		other.wait(100*time.Millisecond + rand.N(400*time.Millisecond))
		last := i == times-1
		gone.Store(last)
		do(last, other)
	}
	load.finish()
	s.calm.Store(true)
	quiet(t, pg.DSN())
	stays.stop()
	c := l.audit(t, outcomes(t, pg.DSN()), true)
	t.Logf("%d times: %v", times, c)
	s.auditDoubled(t, c, perRun)
	if n := c.doubled[stays.run()]; n > late*times {
		t.Errorf("%d transactions of the relay that nothing was done to were repeated", n)
	}
}

// PostgreSQL is not there for a while.
func TestGuaranteePostgresGone(t *testing.T) {
	pg := pgtest.Start(t)
	tr := trouble{dsn: pg.DSN(), vague: true, declines: 10, args: postgresArgs,
		begin: func(t *testing.T) {
			if err := pg.Kill(); err != nil {
				t.Fatal(err)
			}
		},
		end: func(t *testing.T) {
			if err := pg.Restart(); err != nil {
				t.Fatal(err)
			}
		},
	}
	tr.endure(t)
}

func TestGuaranteePostgresMemory(t *testing.T) {
	testMemory(t, func(t *testing.T) string { return pgtest.Start(t).DSN() })
}

func TestGuaranteePostgresDeadDestination(t *testing.T) {
	testDeadDestination(t, pgtest.Start(t).DSN())
}
