package queue_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/mx"
	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/smtp"
	"github.com/postrider/postrider/smtp/dsn"
)

// A stage has a Runner, a store that can be made to fail, and a Deliverer that does
// what is written down for each destination.
type stage struct {
	*testing.T
	ctx   context.Context
	store *faultyStore
	r     *queue.Runner
	began time.Time
	ran   chan error
	log   syncBuffer

	mu      sync.Mutex
	acts    map[string]act
	tries   []try
	running map[string]int
	most    map[string]int // at a time, "" for all
	settled []queue.Outcome
	settles int // calls of Settled
	sites   []siteEvent
	notes   []*dsn.Notification
}

// act is what a destination does.
type act func(ctx context.Context, m *mx.Message) []mx.Result

// try is a call of the Deliverer.
type try struct {
	at          time.Duration
	destination string
	m           *mx.Message
	leased      *queue.Leased
}

type siteEvent struct {
	at, until   time.Duration // until is zero for a recovery
	destination string
	err         error
}

// play runs f in a bubble, with a Runner that runs; it must have delivered everything
// it can, or not, when f returns.
func play(t *testing.T, set func(*queue.Runner), f func(s *stage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, set)
		s.run()
		f(s)
		s.stop()
	})
}

func newStage(t *testing.T, set func(*queue.Runner)) *stage {
	s := &stage{T: t, ctx: t.Context(), store: &faultyStore{Store: &queue.Memory{}}, began: time.Now(),
		acts: map[string]act{}, running: map[string]int{}, most: map[string]int{}}
	s.r = s.runner(set)
	return s
}

// runner returns another Runner over the same store.
func (s *stage) runner(set func(*queue.Runner)) *queue.Runner {
	r := &queue.Runner{
		Store:         s.store,
		Deliverer:     queue.DelivererFunc(s.deliver),
		Notifications: &dsn.Composer{Hostname: "mx.example.org", NotifyDelay: true},
		Logger:        slog.New(slog.NewTextHandler(&s.log, nil)),
		Trace: &queue.Trace{
			Settled: func(_ context.Context, _ *queue.Message, _ *queue.Item, done []queue.Outcome) {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.settled = append(s.settled, done...)
				s.settles++
			},
			Notified: func(_ context.Context, _ *queue.Message, n *dsn.Notification) {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.notes = append(s.notes, n)
			},
			Site: func(_ context.Context, destination string, until time.Time, err error) {
				s.mu.Lock()
				defer s.mu.Unlock()
				e := siteEvent{at: time.Since(s.began), destination: destination, err: err}
				if !until.IsZero() {
					e.until = until.Sub(s.began)
				}
				s.sites = append(s.sites, e)
			},
		},
	}
	if set != nil {
		set(r)
	}
	return r
}

func (s *stage) run() {
	s.ran = make(chan error, 1)
	go func() { s.ran <- s.r.Run(s.ctx) }()
	synctest.Wait()
}

func (s *stage) stop() {
	s.Helper()
	if s.ran == nil {
		return
	}
	s.store.breaks(nil)
	if err := s.r.Shutdown(s.ctx); err != nil {
		s.Errorf("Shutdown: %v", err)
	}
	if err := <-s.ran; err != nil {
		s.Errorf("Run: %v", err)
	}
	if a := s.r.Activity(); a.Deliveries+a.Waiting+a.Settling != 0 {
		s.Errorf("left behind: %+v", a)
	}
	s.ran = nil
}

func (s *stage) deliver(ctx context.Context, destination string, m *mx.Message) ([]mx.Result, error) {
	s.mu.Lock()
	s.tries = append(s.tries, try{time.Since(s.began), destination, m, queue.LeasedFrom(ctx)})
	a := s.acts[destination]
	for _, name := range []string{destination, ""} {
		s.running[name]++
		s.most[name] = max(s.most[name], s.running[name])
	}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.running[destination]--
		s.running[""]--
	}()
	if a == nil {
		a = well
	}
	return a(ctx, m), nil
}

// does says what a destination does from now on.
func (s *stage) does(destination string, a act) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.acts[destination] = a
}

// each returns a Result for each recipient.
func each(m *mx.Message, r mx.Result) (results []mx.Result) {
	for _, to := range m.Envelope.Recipients {
		r.Recipient = to.To
		results = append(results, r)
	}
	return results
}

// after does a when some time has gone by.
func after(d time.Duration, a act) act {
	return func(ctx context.Context, m *mx.Message) []mx.Result {
		select {
		case <-time.After(d):
			return a(ctx, m)
		case <-ctx.Done():
			return each(m, mx.Result{Scope: mx.ScopeLocal, Local: true, Err: ctx.Err(),
				Reply: smtp.Reply{Code: 451, Enhanced: smtp.Enh(3, 2), Text: "given up"}})
		}
	}
}

// always gives each recipient the same Result.
func always(r mx.Result) act {
	return func(_ context.Context, m *mx.Message) []mx.Result { return each(m, r) }
}

var (
	well    = always(mx.Result{Status: mx.Delivered, DSN: true, Reply: smtp.Reply{Code: 250, Enhanced: smtp.Enh(0, 0)}, Host: "mx.example.net"})
	relayed = always(mx.Result{Status: mx.Relayed, Reply: smtp.Reply{Code: 250}, Host: "mx.example.net"})
	refuses = always(refused(550))
	later   = always(refused(451))
	gone    = always(unreachable)
	stalls  = after(30*time.Second, gone)
)

var errGone = errors.New("nobody there")

var unreachable = mx.Result{Scope: mx.ScopeHost, Local: true, Err: errGone, Host: "mx.example.net",
	Reply: smtp.Reply{Code: 451, Enhanced: smtp.Enh(4, 1), Text: "no connection to the host"}}

// refused is what a server says of a recipient.
func refused(code int) mx.Result {
	r := mx.Result{Status: mx.Failed, Scope: mx.ScopeRecipient, Host: "mx.example.net",
		Reply: smtp.Reply{Code: code, Enhanced: smtp.Enh(1, 1), Text: "not you"}}
	if r.Reply.Temporary() {
		r.Status = mx.Deferred
	}
	r.Err = &smtp.Error{Verb: smtp.RCPT, Reply: r.Reply}
	return r
}

// send puts a message into the queue and returns its ID.
func (s *stage) send(from string, to ...string) queue.ID {
	s.Helper()
	return s.sendWith(nil, from, to...)
}

const sample = "Subject: hello\r\n\r\nhello\r\n"

func (s *stage) sendWith(set func(*queue.NewMessage), from string, to ...string) queue.ID {
	s.Helper()
	env, err := smtp.NewEnvelope(from, to...)
	if err != nil {
		s.Fatal(err)
	}
	m := &queue.NewMessage{Envelope: env}
	if set != nil {
		set(m)
	}
	in, err := s.r.Begin(s.ctx, int64(len(sample)))
	if err != nil {
		s.Fatal(err)
	}
	io.WriteString(in, sample)
	if err := in.Commit(s.ctx, m); err != nil {
		s.Fatal(err)
	}
	return in.ID()
}

// tried, told, done, rests and mostOf are what has happened so far.
func (s *stage) tried() []try              { return snapshot(s, &s.tries) }
func (s *stage) told() []*dsn.Notification { return snapshot(s, &s.notes) }
func (s *stage) done() []queue.Outcome     { return snapshot(s, &s.settled) }
func (s *stage) rests() []siteEvent        { return snapshot(s, &s.sites) }
func (s *stage) mostOf(destination string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.most[destination]
}

func snapshot[T any](s *stage, of *[]T) []T {
	s.mu.Lock()
	defer s.mu.Unlock()
	return (*of)[:len(*of):len(*of)]
}

// times returns when deliveries to a destination were tried.
func (s *stage) times(destination string) (times []time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.tries {
		if t.destination == destination {
			times = append(times, t.at)
		}
	}
	return times
}

// items returns what is in the queue.
func (s *stage) items() (items []queue.Item) {
	s.Helper()
	for e, err := range s.store.Scan(context.Background(), queue.Filter{}) {
		if err != nil {
			s.Fatal(err)
		}
		items = append(items, e.Item)
	}
	return items
}

// outcomes are those recorded, as "address status".
func (s *stage) outcomes() (all []string) {
	s.Helper()
	for o, err := range s.store.Outcomes(context.Background(), 0) {
		if err != nil {
			s.Fatal(err)
		}
		all = append(all, fmt.Sprint(o.Recipient.Mailbox, " ", o.Status))
	}
	return all
}

// want compares what came of all with what should have.
func (s *stage) want(outcomes ...string) {
	s.Helper()
	got := s.outcomes()
	slices.Sort(got)
	slices.Sort(outcomes)
	if !slices.Equal(got, outcomes) {
		s.Errorf("outcomes %q, want %q", got, outcomes)
	}
}

// about reports whether d is what it should be, give or take a fifth and a little.
func about(d, want time.Duration) bool {
	return d >= want-want/5 && d <= want+want/5+300*time.Millisecond
}

// faultyStore fails when it is told to.
type faultyStore struct {
	queue.Store
	mu     sync.Mutex
	err    error
	only   string // the method that fails; "" for all
	calls  map[string]int
	before func(method string) // called first
}

func (f *faultyStore) hook(before func(method string)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before = before
}

func (f *faultyStore) breaks(err error) { f.breaksAt("", err) }

func (f *faultyStore) breaksAt(method string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err, f.only = err, method
}

func (f *faultyStore) called(method string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[method]
}

func (f *faultyStore) call(method string) error {
	f.mu.Lock()
	if f.calls == nil {
		f.calls = map[string]int{}
	}
	f.calls[method]++
	err, before := f.err, f.before
	if f.only != "" && f.only != method {
		err = nil
	}
	f.mu.Unlock()
	if before != nil {
		before(method)
	}
	return err
}

func (f *faultyStore) Begin(ctx context.Context, size int64) (queue.Tx, error) {
	if err := f.call("Begin"); err != nil {
		return nil, err
	}
	tx, err := f.Store.Begin(ctx, size)
	if err != nil {
		return nil, err
	}
	return &faultyTx{tx, f}, nil
}

type faultyTx struct {
	queue.Tx
	f *faultyStore
}

func (t *faultyTx) Write(p []byte) (int, error) {
	if err := t.f.call("Write"); err != nil {
		return 0, err
	}
	return t.Tx.Write(p)
}

func (t *faultyTx) Commit(ctx context.Context, c *queue.Commit) ([]*queue.Leased, error) {
	if err := t.f.call("Commit"); err != nil {
		return nil, err
	}
	return t.Tx.Commit(ctx, c)
}

func (f *faultyStore) Ready(ctx context.Context, now time.Time, after string, max int) ([]string, time.Time, error) {
	if err := f.call("Ready"); err != nil {
		return nil, time.Time{}, err
	}
	return f.Store.Ready(ctx, now, after, max)
}

func (f *faultyStore) Lease(ctx context.Context, req queue.LeaseRequest) ([]*queue.Leased, error) {
	method := "Lease"
	if req.Late {
		method = "Late"
	}
	if err := f.call(method); err != nil {
		return nil, err
	}
	return f.Store.Lease(ctx, req)
}

func (f *faultyStore) Extend(ctx context.Context, until time.Time, leases []queue.Lease) ([]queue.Lease, error) {
	if err := f.call("Extend"); err != nil {
		return nil, err
	}
	return f.Store.Extend(ctx, until, leases)
}

func (f *faultyStore) Settle(ctx context.Context, settlements []*queue.Settlement) error {
	if err := f.call("Settle"); err != nil {
		return err
	}
	for _, s := range settlements {
		for i := range s.Spawn {
			if t, ok := s.Spawn[i].Tx.(*faultyTx); ok {
				s.Spawn[i].Tx = t.Tx
			}
		}
	}
	return f.Store.Settle(ctx, settlements)
}

func (f *faultyStore) Stats(ctx context.Context) (queue.Stats, error) {
	if err := f.call("Stats"); err != nil {
		return queue.Stats{}, err
	}
	return f.Store.Stats(ctx)
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) has(s string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Contains(b.b.String(), s)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// sleep lets time go by and everything happen that is due then.
func (s *stage) sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
