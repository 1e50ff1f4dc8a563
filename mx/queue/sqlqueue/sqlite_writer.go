package sqlqueue

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/postrider/postrider/mx/queue"
)

const (
	maxGroupJobs  = 512
	maxGroupBytes = 4 << 20
)

// A sqliteJob is something to write. Jobs that wait are done together, in one
// transaction.
type sqliteJob struct {
	// do may be called again, after what it has done was rolled back. An error is for
	// the job alone.
	do    func(c *sqliteConn) (totals, error)
	bytes int  // about so many
	grows bool // takes room that it will not do without

	state atomic.Int32
	err   error
	done  chan struct{}
}

// The states of a job: it waits, it is being done, or its context has ended
// before it was.
const (
	jobWaits = iota
	jobRuns
	jobLeft
)

// A sqliteWriter is a goroutine that has the connection that writes. While a group
// is underway the next gathers.
type sqliteWriter struct {
	e *sqliteEngine
	c *sqliteConn // nil after an error

	mu      sync.Mutex
	waiting []*sqliteJob
	closed  bool
	wake    chan struct{} // has room for one
	over    chan struct{}
}

func (w *sqliteWriter) start(e *sqliteEngine, c *sqliteConn) {
	w.e, w.c = e, c
	w.wake, w.over = make(chan struct{}, 1), make(chan struct{})
	go w.loop()
}

// do has a job done and returns its error. When ctx ends while it is underway, the
// end of it is waited for: its variables are those of the caller.
func (w *sqliteWriter) do(ctx context.Context, j *sqliteJob) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !w.add(j) {
		return queue.ErrClosed
	}
	select {
	case <-j.done:
	case <-ctx.Done():
		if j.state.CompareAndSwap(jobWaits, jobLeft) {
			return ctx.Err()
		}
		<-j.done
	}
	return j.err
}

func (w *sqliteWriter) add(j *sqliteJob) bool {
	j.done = make(chan struct{})
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return false
	}
	w.waiting = append(w.waiting, j)
	select {
	case w.wake <- struct{}{}:
	default:
	}
	return true
}

// close has everything done that waits.
func (w *sqliteWriter) close() {
	w.mu.Lock()
	if !w.closed {
		w.closed = true
		close(w.wake)
	}
	w.mu.Unlock()
	<-w.over
}

func (w *sqliteWriter) loop() {
	defer close(w.over)
	defer func() {
		if w.c != nil {
			w.c.close()
		}
	}()
	var group []*sqliteJob
	for {
		_, open := <-w.wake
		for group = w.next(group); len(group) > 0; group = w.next(group) {
			w.group(group)
		}
		if !open {
			return
		}
	}
}

// next returns the jobs of the next group.
func (w *sqliteWriter) next(group []*sqliteJob) []*sqliteJob {
	clear(group)
	group = group[:0]
	w.mu.Lock()
	defer w.mu.Unlock()
	taken, bytes := 0, 0
	for _, j := range w.waiting {
		if len(group) == maxGroupJobs || bytes > maxGroupBytes {
			break
		}
		taken++
		if j.state.Load() != jobLeft {
			group = append(group, j)
			bytes += j.bytes
		}
	}
	rest := copy(w.waiting, w.waiting[taken:])
	clear(w.waiting[rest:])
	w.waiting = w.waiting[:rest]
	return group
}

// group does jobs and answers them. They are tried together; if one of them cannot
// be done, again, each with a savepoint, so that it does not spoil the others; if
// then there is no room for all of them, once more without those that take it.
func (w *sqliteWriter) group(jobs []*sqliteJob) {
	defer func() { answer(jobs) }()
	err := w.ready()
	if err == nil {
		var spoiled bool
		if spoiled, err = w.try(jobs, false); spoiled {
			_, err = w.try(jobs, true)
		}
	}
	if err == nil {
		return
	}
	if isFull(err) {
		grow, rest := partition(jobs)
		fail(grow, err)
		answer(grow)
		if jobs = rest; len(rest) > 0 && len(grow) > 0 {
			_, err = w.try(rest, true)
		}
	}
	if err != nil {
		fail(jobs, err)
		w.drop(err)
	}
}

// ready sees to the connection.
func (w *sqliteWriter) ready() error {
	other, err := w.e.checkFile()
	if err != nil {
		return err
	}
	if other {
		w.drop(errOtherFile)
		w.e.readers.reset()
	}
	if w.c == nil {
		w.c, err = w.e.connect(context.Background())
	}
	return err
}

// drop closes a connection with which something may be wrong.
func (w *sqliteWriter) drop(err error) {
	if w.c != nil && !isBusy(err) && !isFull(err) && err != errSuperseded {
		w.c.close()
		w.c = nil
	}
}

// try does jobs in one transaction. If a job fails for itself and has no savepoint
// to go back to, nothing is done, and they are spoiled.
func (w *sqliteWriter) try(jobs []*sqliteJob, savepoints bool) (spoiled bool, err error) {
	if err := w.c.begin(); err != nil {
		return false, err
	}
	var sum totals
	for _, j := range jobs {
		if !j.begin() {
			continue
		}
		j.err = nil
		var t totals
		if savepoints {
			t, err = j.doAlone(w.c)
		} else {
			t, err = j.do(w.c)
			spoiled = err != nil
		}
		if err != nil {
			return spoiled, w.c.end(err)
		}
		sum.add(&t)
	}
	err = w.e.count(w.c, &sum)
	if err == nil {
		err = w.e.purge(w.c)
	}
	return false, w.c.end(err)
}

// begin reports whether the job is still to be done. Until then, and so while
// somebody else has the database, its context can end it.
func (j *sqliteJob) begin() bool {
	return j.state.CompareAndSwap(jobWaits, jobRuns) || j.state.Load() == jobRuns
}

// doAlone does the job, or leaves everything as it was and the error with the job.
// The error that it returns is that of the transaction.
func (j *sqliteJob) doAlone(c *sqliteConn) (totals, error) {
	ctx := context.Background()
	if _, err := c.exec(ctx, "SAVEPOINT job"); err != nil {
		return totals{}, err
	}
	t, err := j.do(c)
	if err != nil {
		if _, gone := c.exec(ctx, "ROLLBACK TO job"); gone != nil {
			return totals{}, err
		}
		j.err, t = err, totals{}
	}
	_, err = c.exec(ctx, "RELEASE job")
	return t, err
}

func partition(jobs []*sqliteJob) (grow, rest []*sqliteJob) {
	for _, j := range jobs {
		if j.grows {
			grow = append(grow, j)
		} else {
			rest = append(rest, j)
		}
	}
	return grow, rest
}

func fail(jobs []*sqliteJob, err error) {
	for _, j := range jobs {
		j.err = err
	}
}

func answer(jobs []*sqliteJob) {
	for _, j := range jobs {
		close(j.done)
	}
}
