package sqlqueue

import (
	"context"
	"database/sql"
	"sync"

	"github.com/postrider/postrider/mx/queue"
)

const maxSQLiteReaders = 8

// sqliteReaders are connections that read.
type sqliteReaders struct {
	db    *sql.DB
	slots chan struct{} // one for each that is in use

	mu     sync.Mutex
	idle   []*sqliteConn
	closed bool
}

func (p *sqliteReaders) start(db *sql.DB, most int) {
	n := maxSQLiteReaders
	if most > 0 {
		n = min(n, most-1) // the writer has one
	}
	p.db, p.slots = db, make(chan struct{}, n)
}

func (p *sqliteReaders) take(ctx context.Context) (querier, func(), error) {
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	c, err := p.get(ctx)
	if err != nil {
		<-p.slots
		return nil, nil, err
	}
	return c, func() { p.put(c) }, nil
}

func (p *sqliteReaders) get(ctx context.Context) (*sqliteConn, error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, queue.ErrClosed
	}
	if last := len(p.idle) - 1; last >= 0 {
		c := p.idle[last]
		p.idle = p.idle[:last]
		p.mu.Unlock()
		return c, nil
	}
	p.mu.Unlock()
	return openSQLiteConn(ctx, p.db, sqliteReading, sqlitePatience)
}

func (p *sqliteReaders) put(c *sqliteConn) {
	defer func() { <-p.slots }()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || c.broken {
		c.close()
		return
	}
	p.idle = append(p.idle, c)
}

// reset closes the connections that nobody uses.
func (p *sqliteReaders) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.idle {
		c.close()
	}
	p.idle = nil
}

func (p *sqliteReaders) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.reset()
}
