package client

import (
	"context"
	"errors"

	"github.com/postrider/postrider/smtp"
)

// Bdat sends one chunk of a message; last says that it is the last (RFC 3030).
// It returns one reply, or after the last chunk with LMTP, and perhaps with PRDR,
// one for each accepted recipient, and an error as Data does. After a refused chunk
// the transaction is of no more use: say Reset. The octets are not looked at: that
// they are what the BODY of MAIL said is the caller's business.
func (c *Conn) Bdat(ctx context.Context, chunk []byte, last bool) ([]smtp.Reply, error) {
	if err := c.enter(ctx, "BDAT"); err != nil {
		return nil, err
	}
	defer c.leave()
	if !c.may.chunking {
		return nil, &smtp.NotOfferedError{Keyword: smtp.ExtChunking}
	}
	if err := c.inStep("BDAT"); err != nil {
		return nil, err
	}
	line := smtp.AppendBdat(c.buf[:0], int64(len(chunk)), last)
	c.buf = line[:0]
	c.segs = append(c.segs[:0], line)
	for left := chunk; ; {
		piece := left[:min(len(left), block)]
		left = left[len(piece):]
		c.segs = append(c.segs, piece)
		if err := c.writeSegments(); err != nil {
			return nil, err
		}
		if len(left) == 0 {
			break
		}
	}
	c.traceWrote(line)
	c.traceData(int64(len(chunk)))
	if last {
		replies, err := c.final(smtp.BDAT)
		c.begun = err != nil // until RSET
		return replies, err
	}
	reply, err := c.expect("BDAT", smtp.BDAT, c.cfg.Timeouts.DataBlock)
	return []smtp.Reply{reply}, err
}

const (
	// bdatRoom is kept free in front of held back octets for "BDAT n LAST".
	bdatRoom = 32
	// maxChunk bounds a chunk but for up to coalesce octets more, so that a refusal is
	// heard before all is sent.
	maxChunk = 1 << 20
	// maxAhead bounds the chunks that no reply has come for yet, with PIPELINING.
	maxAhead = 8
)

// A chunkWriter sends a message by BDAT. What it holds back is in c.buf, behind
// bdatRoom octets.
type chunkWriter struct {
	c      *Conn
	left   int64 // octets to come; negative if nobody knows
	lines  bool  // the message consists of lines, and so ends in CRLF
	last   [2]byte
	ahead  int // chunks without a reply
	n      int64
	tail   int64 // octets of the last chunk, if it is in c.buf
	closed bool  // the last chunk is written
}

func (c *Conn) newChunkWriter(size int64, lines bool) *chunkWriter {
	c.buf = append(c.buf[:0], make([]byte, bdatRoom)...)
	c.chunks = chunkWriter{c: c, left: size, lines: lines}
	return &c.chunks
}

func (w *chunkWriter) Write(p []byte) (int, error) {
	c, n := w.c, len(p)
	known := w.left >= 0
	if known && int64(n) > w.left {
		return 0, errSize
	}
	w.n += int64(n)
	switch {
	case n > 1:
		w.last = [2]byte(p[n-2:])
	case n == 1:
		w.last = [2]byte{w.last[1], p[0]}
	}
	if len(c.buf)+n <= coalesce {
		c.buf = append(c.buf, p...)
		w.took(n)
		return n, nil
	}
	for len(p) > 0 {
		piece := p
		if len(p) > maxChunk+coalesce { // a small chunk more would be a round trip more
			piece = p[:maxChunk]
		}
		p = p[len(piece):]
		w.took(len(piece))
		if err := w.chunk(piece, known && w.left == 0); err != nil {
			return 0, err
		}
	}
	return n, nil
}

func (w *chunkWriter) took(n int) {
	if w.left >= 0 {
		w.left -= int64(n)
	}
}

// chunk writes what was held back and p as one chunk.
func (w *chunkWriter) chunk(p []byte, last bool) error {
	c := w.c
	for w.ahead >= maxAhead || w.ahead > 0 && (last || !c.may.pipelining) {
		if err := w.reply(); err != nil {
			return err
		}
	}
	line := w.header(len(p), last)
	c.segs = append(c.segs[:0], c.buf, p)
	if err := c.writeSegments(); err != nil {
		return err
	}
	c.traceWrote(line)
	c.buf = c.buf[:bdatRoom]
	w.closed = last
	if !last {
		w.ahead++
	}
	return nil
}

// header puts the command in front of what c.buf holds back, with extra octets
// to come behind it, and closes the gap.
func (w *chunkWriter) header(extra int, last bool) []byte {
	c := w.c
	held := len(c.buf) - bdatRoom
	var room [bdatRoom]byte
	line := smtp.AppendBdat(room[:0], int64(held+extra), last)
	n := copy(c.buf, line)
	c.buf = c.buf[:n+copy(c.buf[n:], c.buf[bdatRoom:])]
	return c.buf[:n]
}

// reply reads the reply to the oldest chunk. If it is a refusal it reads the
// replies to the others too, so that the connection is in step.
func (w *chunkWriter) reply() error {
	c := w.c
	w.ahead--
	_, err := c.expect("BDAT", smtp.BDAT, c.cfg.Timeouts.DataBlock)
	var refused *smtp.Error
	if errors.As(err, &refused) {
		for ; w.ahead > 0 && c.dead == nil; w.ahead-- {
			var next *smtp.Error
			if _, err := c.expect("BDAT", smtp.BDAT, c.cfg.Timeouts.DataBlock); err != nil && !errors.As(err, &next) {
				return err
			}
		}
	}
	return err
}

// finish puts the last chunk into c.buf, unless it is written already. LAST is
// said only when every chunk before was accepted: a server may otherwise take
// half a message for a whole one.
func (w *chunkWriter) finish() error {
	if w.lines && w.n > 0 && string(w.last[:]) != "\r\n" {
		if _, err := w.Write([]byte("\r\n")); err != nil {
			return err
		}
	}
	if w.left > 0 {
		return errSize
	}
	for w.ahead > 0 {
		if err := w.reply(); err != nil {
			return err
		}
	}
	if w.closed {
		w.c.buf = w.c.buf[:0]
		return nil
	}
	w.tail = int64(len(w.c.buf) - bdatRoom)
	w.header(0, true)
	return nil
}

func (w *chunkWriter) trace() {
	if !w.closed {
		w.c.traceWrote(smtp.AppendBdat(nil, w.tail, true))
	}
	w.c.traceData(w.n)
}

// sent reports whether the last chunk is written.
func (w *chunkWriter) sent() bool { return w.closed }

var errSize = localError{errors.New("the message is not as long as its Size says")}
