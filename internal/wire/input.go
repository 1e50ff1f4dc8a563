package wire

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
)

// Buffer sizes of an Input in octets: the small one serves commands and short
// bodies, the large one long bodies, where fewer system calls pay for it.
const (
	SmallBuffer = 16 << 10
	LargeBuffer = 64 << 10
)

var (
	smallBuffers = sync.Pool{New: func() any { return new([SmallBuffer]byte) }}
	largeBuffers = sync.Pool{New: func() any { return new([LargeBuffer]byte) }}
)

func getBuffer(large bool) []byte {
	if large {
		return largeBuffers.Get().(*[LargeBuffer]byte)[:]
	}
	return smallBuffers.Get().(*[SmallBuffer]byte)[:]
}

func putBuffer(b []byte) {
	switch cap(b) {
	case SmallBuffer:
		smallBuffers.Put((*[SmallBuffer]byte)(b[:SmallBuffer]))
	case LargeBuffer:
		largeBuffers.Put((*[LargeBuffer]byte)(b[:LargeBuffer]))
	}
}

// Errors of Input.Line. The line is gone when they are returned: the next call
// goes on behind it.
var (
	ErrLineTooLong = errors.New("wire: line too long")
	ErrBareLF      = errors.New("wire: line ends with a bare LF")
)

// Input is the reading half of a connection. It holds a buffer only while
// there are octets in it: a connection that waits for its peer costs none.
// An Input is used by one goroutine, and must not be copied.
type Input struct {
	conn     net.Conn
	parker   parker
	encrypt  bool // conn is a TLS connection: wait with a one-octet read
	overlong bool // the rest of an over-long line is still to be dropped

	buf     []byte  // while idle nil, or hardly longer than what is unread, see trim
	r, w    int     // unread octets are buf[r:w]
	scanned int     // octets behind r known to hold no LF
	head    [8]byte // how an over-long line began
	little  [8]byte // serves as buf while that holds little, see trim
}

// Reset makes in read from conn. Octets still unread are dropped and their
// number is returned (RFC 3207 §4.2 asks that of a STARTTLS).
func (in *Input) Reset(conn net.Conn, encrypted bool) (dropped int) {
	dropped = in.w - in.r
	in.Release()
	in.r, in.w, in.scanned, in.overlong = 0, 0, 0, false
	in.conn, in.encrypt = conn, encrypted
	in.parker.reset(conn)
	return dropped
}

// Release gives the buffer back, if there is nothing in it.
func (in *Input) Release() {
	if in.r == in.w && in.buf != nil {
		putBuffer(in.buf)
		in.buf, in.r, in.w, in.scanned = nil, 0, 0, 0
	}
}

// Close drops what is unread and gives the buffer back.
func (in *Input) Close() {
	in.r = in.w
	in.Release()
}

// Unread returns the octets read and not yet consumed. The slice is valid
// until the next Fill.
func (in *Input) Unread() []byte { return in.buf[in.r:in.w] }

// Consume takes n octets off the front of Unread.
func (in *Input) Consume(n int) {
	in.r += n
	in.scanned = 0
}

// Line returns the next line without its CRLF; limit counts the CRLF too. It
// never reads: ok is false when no whole line is buffered. The slice is valid
// until the next Fill. The errors are ErrLineTooLong, with only the first eight
// octets of the line, and ErrBareLF; in both cases the line has been consumed.
func (in *Input) Line(limit int) (line []byte, ok bool, err error) {
	p := in.buf[in.r:in.w]
	i := bytes.IndexByte(p[in.scanned:], '\n')
	if i < 0 {
		in.scanned = len(p)
		if !in.overlong && len(p) >= limit {
			in.overlong = true
			copy(in.head[:], p)
		}
		if in.overlong {
			in.Consume(len(p))
		}
		return nil, false, nil
	}
	i += in.scanned
	in.Consume(i + 1)
	switch {
	case in.overlong:
		in.overlong = false
		return in.head[:], true, ErrLineTooLong
	case i+1 > limit:
		return p[:min(i, len(in.head))], true, ErrLineTooLong
	case i == 0 || p[i-1] != '\r':
		return p[:i], true, ErrBareLF
	}
	return p[:i-1], true, nil
}

// Fill reads once, and blocks until octets have come or the read fails. Idle
// says that the peer may stay silent for long: nothing is held meanwhile
// where the platform allows it. Large asks for a large buffer.
func (in *Input) Fill(idle, large bool) error {
	if in.r == in.w {
		in.r, in.w, in.scanned = 0, 0, 0
	}
	switch {
	case idle && in.parker.usable():
		in.parker.large = large
		return in.park()
	case idle && in.r == in.w:
		return in.wait(large)
	}
	in.makeRoom(large)
	n, err := in.conn.Read(in.buf[in.w:])
	in.w += n
	if n > 0 {
		return nil
	}
	return noProgress(err)
}

// Rest is for a connection whose peer has been silent for a while: for one on
// which Fill has failed with os.ErrDeadlineExceeded and which has a later
// deadline now. It waits until Fill has something to do, with half a line in no
// more memory than it needs, and, called from the top of a goroutine, with a
// stack of 2 KB even over TLS. Where the platform or the connection does not
// allow that, it returns at once.
func (in *Input) Rest() {
	in.trim()
	in.rest()
}

// trim lets go of the buffer. Half a line, or what else is unread, is kept in as
// little as it needs, lest slow peers hold many buffers.
func (in *Input) trim() {
	in.Release()
	left := in.Unread()
	if len(left) == 0 || len(in.buf) < SmallBuffer || len(left) > SmallBuffer/2 {
		return
	}
	old := in.buf
	if in.buf = in.little[:]; len(left) > len(in.little) {
		in.buf = make([]byte, len(left))
	}
	in.r, in.w = 0, copy(in.buf, left)
	putBuffer(old)
}

func noProgress(err error) error {
	if err == nil {
		return io.ErrNoProgress
	}
	return err
}

// wait is Fill for an empty buffer, without a parker.
func (in *Input) wait(large bool) error {
	if !in.encrypt {
		in.makeRoom(large)
		n, err := in.conn.Read(in.buf)
		in.w = n
		if n > 0 {
			return nil
		}
		in.Release()
		return noProgress(err)
	}
	in.Release()
	var one [1]byte
	n, err := in.conn.Read(one[:])
	if n == 0 {
		return noProgress(err)
	}
	in.makeRoom(false)
	in.buf[0], in.w = one[0], 1
	return nil
}

// makeRoom sees to it that a read has somewhere to go.
func (in *Input) makeRoom(large bool) {
	if len(in.buf) < SmallBuffer || large && len(in.buf) < LargeBuffer {
		old := in.buf
		in.buf = getBuffer(large)
		in.w = copy(in.buf, old[in.r:in.w])
		in.r = 0
		if old != nil {
			putBuffer(old)
		}
		return
	}
	// Moving what is left only when it is little, or there is no room else,
	// keeps the cost of a body's tail (two octets at most) from growing.
	if left := in.w - in.r; in.r > 0 && (left < 64 || in.w == len(in.buf)) {
		in.w = copy(in.buf, in.buf[in.r:in.w])
		in.r = 0
	}
}
