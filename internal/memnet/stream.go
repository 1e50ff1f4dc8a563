package memnet

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// stream is one direction of a connection.
type stream struct {
	mu              sync.Mutex
	cond            sync.Cond
	buf             []byte
	ended           bool // nothing more will be written
	readBy, writeBy deadline
}

// streamBuffer is how many octets may be under way.
const streamBuffer = 64 << 10

func newStream() *stream {
	s := new(stream)
	s.cond.L = &s.mu
	return s
}

// deadline is of one end of a stream, guarded by the stream's mu.
type deadline struct {
	timer  *time.Timer
	past   bool
	closed bool // the end itself
}

func (d *deadline) set(s *stream, t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d.closed {
		return net.ErrClosed
	}
	if d.timer != nil {
		d.timer.Stop()
	}
	d.timer, d.past = nil, false
	switch wait := time.Until(t); {
	case t.IsZero():
	case wait <= 0:
		d.past = true
	default:
		var own *time.Timer
		own = time.AfterFunc(wait, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			d.past = d.past || d.timer == own // not replaced meanwhile
			s.cond.Broadcast()
		})
		d.timer = own
	}
	s.cond.Broadcast()
	return nil
}

func (d *deadline) close(s *stream) {
	d.set(s, time.Time{})
	s.mu.Lock()
	defer s.mu.Unlock()
	d.closed = true
	s.cond.Broadcast()
}

func (d *deadline) err() error {
	switch {
	case d.closed:
		return net.ErrClosed
	case d.past:
		return os.ErrDeadlineExceeded
	}
	return nil
}

func (s *stream) read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(p) > 0 {
		switch err := s.readBy.err(); {
		case err != nil:
			return 0, err
		case len(s.buf) > 0:
			n := copy(p, s.buf)
			s.buf = s.buf[n:]
			s.cond.Broadcast()
			return n, nil
		case s.ended:
			return 0, io.EOF
		}
		s.cond.Wait()
	}
	return 0, nil
}

func (s *stream) write(p []byte) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		err := s.writeBy.err()
		switch {
		case err != nil:
			return n, err
		case s.ended || s.readBy.closed:
			return n, io.ErrClosedPipe
		case n == len(p):
			return n, nil
		}
		if room := min(streamBuffer-len(s.buf), len(p)-n); room > 0 {
			s.buf = append(s.buf, p[n:n+room]...)
			n += room
			s.cond.Broadcast()
			continue
		}
		s.cond.Wait()
	}
}
