//go:build unix

package guarantee

import (
	"math/rand/v2"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// Every message that was answered 250 outlives kill -9 of the relay at any
// moment, those of start and recovery included.
func TestGuaranteeKill(t *testing.T) {
	const sessions = 8
	l := newLedger()
	s := startSink(t, l)
	db := filepath.Join(t.TempDir(), "relay.db")
	k := keep(t, "relay", "-smarthost", s.addr, "-db", db, "-retry", "50ms")
	load := startLoad(t, l, sessions, k.dial)
	kills, began := 0, time.Now()
	for least := scaled(12, 200); kills < least || kills < 3*least && !l.enough(kills) && time.Since(began) < moreKills; kills++ {
		if rand.IntN(4) == 0 {
			k.spawn()
			k.wait(rand.N(100 * time.Millisecond))
		} else {
			k.start()
			k.wait(50*time.Millisecond + rand.N(250*time.Millisecond))
		}
		k.kill()
	}
	k.start()
	if was, _ := l.counts(); was == 0 {
		t.Error("nothing was accepted between the kills")
	}
	l.await(t, "enough is accepted to tell anything", func() bool { return l.enough(kills) })
	load.finish()
	s.calm.Store(true)
	quiet(t, db)
	k.stop()
	c := l.audit(t, outcomes(t, db), true)
	t.Logf("%d kills: %v", kills, c)
	if c.unknown > sessions*(kills+1)*3 {
		t.Errorf("%d recipients of unknown fate, of %d sessions and %d kills", c.unknown, sessions, kills)
	}
	s.auditDoubled(t, c, inFlight)
}

const (
	// moreKills is how long there may be more of them than called for, as so little is
	// accepted in between.
	moreKills = 30 * time.Second
	// deliveries is how many a relay makes to the sink at a time.
	deliveries = 20
	// inFlight is what a crash doubles at the most: those, and what waits for its
	// outcome to be recorded (queue.Runner.MaxSiteDeliveries).
	inFlight = 4 * deliveries
)

// auditDoubled checks that what was delivered again was underway when something
// was killed: at most so many transactions of each run of a relay.
func (s *sink) auditDoubled(t *testing.T, c tally, perRun int) {
	t.Helper()
	all, worst, most := 0, 0, int64(0)
	for run, n := range c.doubled {
		all += n
		worst = max(worst, n)
		if n > perRun {
			t.Errorf("%d transactions of %s were repeated, want %d at most", n, run, perRun)
		}
	}
	s.runs.Range(func(_, peak any) bool {
		most = max(most, peak.(*atomic.Int64).Load())
		return true
	})
	t.Logf("%d transactions were repeated, %d of one run at the most; at most %d were with the sink at a time", all, worst, most)
}
