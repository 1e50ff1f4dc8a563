package smtptest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/postrider/postrider/smtp"
)

var (
	errClosed = errors.New("smtptest: the server is closed")
	full      = smtp.Reject(452, smtp.Enh(3, 1), "the test server's memory is full, Reset empties it")
)

// recorder keeps messages within bounds.
type recorder struct {
	mu          sync.Mutex
	messages    []Message
	octets      int64 // of messages and of what is arriving
	maxMessages int
	maxOctets   int64
	changed     chan struct{} // closed and replaced with each message
	closed      bool
}

// reserve takes memory for n octets that have come.
func (r *recorder) reserve(n int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.octets+int64(n) > r.maxOctets || len(r.messages) >= r.maxMessages {
		return full
	}
	r.octets += int64(n)
	return nil
}

// release gives back what was reserved for a message that is not kept.
func (r *recorder) release(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.octets -= int64(n)
}

// add keeps a message, whose memory has been reserved.
func (r *recorder) add(m Message) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.messages) >= r.maxMessages {
		r.octets -= int64(len(m.Data))
		return full
	}
	r.messages = append(r.messages, m)
	r.wake()
	return nil
}

// wake is called with mu held.
func (r *recorder) wake() {
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
}

func (r *recorder) all() []Message {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.messages)
}

func (r *recorder) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.messages {
		r.octets -= int64(len(m.Data))
	}
	r.messages = nil
}

func (r *recorder) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.wake()
}

func (r *recorder) wait(ctx context.Context, n int) ([]Message, error) {
	for {
		r.mu.Lock()
		messages, closed := slices.Clone(r.messages), r.closed
		if r.changed == nil {
			r.changed = make(chan struct{})
		}
		changed := r.changed
		r.mu.Unlock()
		if len(messages) >= n {
			return messages, nil
		}
		if closed {
			return messages, fmt.Errorf("%w with %d of %d messages", errClosed, len(messages), n)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return messages, fmt.Errorf("smtptest: %d of %d messages have come: %w", len(messages), n, ctx.Err())
		}
	}
}
