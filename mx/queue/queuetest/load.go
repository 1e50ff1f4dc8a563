package queuetest

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/smtp"
)

var loadRules = []rule{
	{name: "Load", test: load},
}

// load lets everybody at the store at once: those who bring messages, those who
// deliver, an operator, one who is slow and loses leases. In the end each
// recipient has exactly one outcome.
func load(e *env) {
	const writers, messages, workers = 4, 60, 4
	handles := []*env{e, e}
	if e.h.Shared {
		handles[1] = e.other()
	}
	l := &loader{env: e, sent: map[string]bool{}}
	var writing, working sync.WaitGroup
	for w := range writers {
		writing.Go(func() { l.write(handles[w%2], w, messages) })
	}
	var over atomic.Bool
	for w := range workers {
		working.Go(func() { l.work(handles[w%2], w, &over) })
	}
	working.Go(func() { l.operate(e, &over) })
	writing.Wait()
	over.Store(true)
	working.Wait()
	e.change(queue.Filter{}, queue.Release, 0, len(e.scan(queue.Filter{})))
	l.drain(e)
	e.empty()

	had := map[string]int{}
	for _, o := range e.outcomes(0) {
		had[o.Recipient.Local]++
	}
	for name, n := range had {
		e.want(n == 1, "%s has %d outcomes", name, n)
		e.want(l.sent[name], "%s has an outcome and was never sent to", name)
		delete(l.sent, name)
	}
	e.want(len(l.sent) == 0, "%d recipients of %d have no outcome", len(l.sent), len(l.sent)+len(had))
}

type loader struct {
	*env
	clock atomic.Int64 // in seconds
	mu    sync.Mutex
	sent  map[string]bool // local-parts
}

func (l *loader) now() int { return int(l.clock.Add(1)) }

func (l *loader) newItem(w, i, n int) queue.NewItem {
	name := fmt.Sprintf("w%d-%d-%d", w, i, n)
	it := item(fmt.Sprintf("site%d", (w+i+n)%5), l.now(), name+"a@b", name+"b@b")
	if i%4 == 0 {
		it = leased(it, l.now()+5) // and nobody comes back for it
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent[name+"a"], l.sent[name+"b"] = true, true
	return it
}

func (l *loader) write(e *env, w, messages int) {
	for i := range messages {
		tx, err := e.s.Begin(e.ctx, -1)
		if err == nil {
			_, err = io.Copy(tx, bytes.NewReader(octets(i*1000)))
		}
		if err != nil {
			e.Error(err)
			return
		}
		if i%7 == 0 {
			tx.Abort()
			continue
		}
		if _, err := tx.Commit(e.ctx, commitOf(l.newItem(w, i, 0), l.newItem(w, i, 1))); err != nil {
			e.Error(err)
			return
		}
	}
}

// work delivers to one recipient of an item at a time, or to none, or loses the
// lease.
func (l *loader) work(e *env, w int, over *atomic.Bool) {
	r := rand.New(rand.NewPCG(uint64(w), 1))
	spawned := 0
	for !over.Load() {
		now := l.now()
		names, _, err := e.s.Ready(e.ctx, at(now), "", 3)
		if err != nil {
			e.Error(err)
			return
		}
		var batch []*queue.Settlement
		for _, name := range names {
			got, err := e.s.Lease(e.ctx, queue.LeaseRequest{Destination: name, Max: 4, Now: at(now), Until: at(now + r.IntN(40))})
			if err != nil {
				e.Error(err)
				return
			}
			for _, item := range got {
				s := left(item, now+r.IntN(30))
				if r.IntN(3) > 0 {
					s.Done, s.Left = []queue.Outcome{outcome(item, s.Left[0], queue.Relayed)}, s.Left[1:]
				}
				if r.IntN(8) == 0 && spawned < 20 {
					spawned++
					if tx, err := e.s.Begin(e.ctx, -1); err == nil {
						tx.Write(octets(r.IntN(2) * 400_000))
						it := spawnItem(w, spawned)
						s.Spawn = []queue.Spawn{{Tx: tx, Commit: commitOf(it)}}
					}
				}
				batch = append(batch, s)
			}
		}
		if err := e.s.Settle(e.ctx, batch); err != nil {
			e.Error(err)
			return
		}
		l.mu.Lock()
		for _, s := range batch {
			if s.Err == nil && s.Spawn != nil {
				l.sent[s.Spawn[0].Commit.Items[0].Recipients[0].To.Local] = true
			}
		}
		l.mu.Unlock()
	}
}

func spawnItem(w, n int) queue.NewItem {
	return item("bounces", n, fmt.Sprintf("spawn%d-%d@b", w, n))
}

// operate holds, releases, retries, deletes, and looks.
func (l *loader) operate(e *env, over *atomic.Bool) {
	for i := 0; !over.Load(); i++ {
		f := queue.Filter{Destination: fmt.Sprintf("site%d", i%5), Limit: 2}
		_, err := e.s.Change(e.ctx, f, []queue.Action{queue.Hold, queue.Release, queue.Retry, queue.Release}[i%4], at(l.now()))
		if err == nil && i%10 == 0 {
			_, err = e.s.Change(e.ctx, f, queue.Delete, at(l.now()))
		}
		for _, e := range e.s.Scan(e.ctx, queue.Filter{}) {
			err = e
		}
		if err == nil {
			_, err = e.s.Stats(e.ctx)
		}
		if err != nil {
			e.Error(err)
			return
		}
	}
}

// drain delivers all that is left.
func (l *loader) drain(e *env) {
	for range 1000 {
		const now = 4e9 // a century on
		names := e.ready(now)
		if len(names) == 0 {
			return
		}
		var batch []*queue.Settlement
		for _, name := range names {
			for _, item := range e.lease(name, 100, now, now+1) {
				batch = append(batch, done(item))
			}
		}
		e.settled(batch...)
	}
	e.Error("there is no end")
}

// Benchmark measures how many messages of 4 KB a second go through a store, with 1,
// 10 and 100 who do that at a time: each brings one that is leased to it, reads it
// and settles it. Messages a second are reported as msgs/s.
func Benchmark(b *testing.B, h Harness) {
	for _, writers := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			e := newEnv(b, &h, h.New)
			content := octets(4 << 10)
			var left atomic.Int64
			left.Store(int64(b.N))
			b.ReportAllocs()
			b.ResetTimer()
			var all sync.WaitGroup
			for w := range writers {
				all.Go(func() {
					for left.Add(-1) >= 0 {
						if err := e.life(content, fmt.Sprintf("site%d.example", w)); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			all.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
		})
	}
}

// life is that of one message.
func (e *env) life(content []byte, destination string) error {
	tx, err := e.s.Begin(e.ctx, int64(len(content)))
	if err != nil {
		return err
	}
	defer tx.Abort()
	if _, err := tx.Write(content); err != nil {
		return err
	}
	got, err := tx.Commit(e.ctx, commitOf(leased(item(destination, 0), 60)))
	if err != nil {
		return err
	}
	if err := discard(got[0].Content); err != nil {
		return err
	}
	s := done(got[0])
	if err := e.s.Settle(e.ctx, []*queue.Settlement{s}); err != nil {
		return err
	}
	return s.Err
}

func discard(c smtp.Content) error {
	r, err := c.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(io.Discard, r)
	return err
}
