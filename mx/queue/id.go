package queue

import (
	"errors"
	"strings"
	"sync"
	"time"
)

// An ID names a message. IDs of one store are unique, and those of later
// messages are greater, as far as clocks agree. From the top: a zero bit, 42 bits
// of milliseconds since the year 2020, 9 bits for whose they are, 12 bits to
// count with.
type ID int64

const (
	idNodeBits  = 9
	idCountBits = 12
	idLetters   = "0123456789bcdfghjkmnpqrstvwxyzBC" // no vowels, so no words
)

var idEpoch = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

var errNoID = errors.New("queue: not the name of a message")

// String returns the ID in 13 letters and digits, which sort as the ID does not
// need to. ParseID reads it.
func (id ID) String() string {
	var b [13]byte
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = idLetters[id&31]
		id >>= 5
	}
	return string(b[:])
}

// ParseID reads what String returns. The error says that it is something else.
func ParseID(s string) (ID, error) {
	if len(s) != 13 {
		return 0, errNoID
	}
	var id ID
	for i := range len(s) {
		at := strings.IndexByte(idLetters, s[i])
		if at < 0 || i == 0 && at > 7 {
			return 0, errNoID
		}
		id = id<<5 | ID(at)
	}
	return id, nil
}

// Time returns when the ID was made, to the millisecond.
func (id ID) Time() time.Time {
	return idEpoch.Add(time.Duration(id>>(idNodeBits+idCountBits)) * time.Millisecond)
}

// IDs makes IDs, for a Store. The zero value is ready to use. It is safe for
// concurrent use and must not be copied.
type IDs struct {
	// Node tells the IDs of several that share a store apart: 0 to 511. One that
	// begins anew should not have that of its predecessor, lest the clock was set
	// back in between.
	Node int

	mu   sync.Mutex
	last int64 // milliseconds and count
}

// Next returns an ID that it has not returned before.
func (g *IDs) Next(now time.Time) ID {
	at := now.Sub(idEpoch).Milliseconds() << idCountBits
	g.mu.Lock()
	defer g.mu.Unlock()
	g.last = max(g.last+1, at) // more than 4,096 in a millisecond borrow from the next
	ms, count := g.last>>idCountBits, g.last&(1<<idCountBits-1)
	return ID(ms<<(idNodeBits+idCountBits) | int64(g.Node&(1<<idNodeBits-1))<<idCountBits | count)
}
