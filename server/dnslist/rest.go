package dnslist

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/postrider/postrider/mx/dns"
)

const (
	restAfter = 3 // timeouts in a row
	restFor   = time.Minute
)

// A rest is what a list has that lets everybody wait for nothing: it is not
// asked for a while, lest each message take as long as Options.Timeout.
type rest struct {
	mu       sync.Mutex
	timeouts int
	until    time.Time
}

// resting reports whether the list is not to be asked.
func (r *rest) resting() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Now().Before(r.until)
}

// note takes notice of how the list has answered.
func (r *rest) note(err error) {
	var failed *dns.Error
	timeout := errors.Is(err, context.DeadlineExceeded) || errors.As(err, &failed) && failed.Timeout
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case !timeout && !errors.Is(err, context.Canceled):
		r.timeouts = 0
	case timeout:
		if r.timeouts++; r.timeouts >= restAfter {
			r.until = time.Now().Add(restFor)
		}
	}
}
