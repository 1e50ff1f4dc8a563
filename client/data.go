package client

import (
	"context"
	"errors"
	"io"
	"net"

	"github.com/postrider/postrider/internal/wire"
	"github.com/postrider/postrider/smtp"
)

// Data says DATA, sends what r gives, dot-stuffed, and returns the reply to the
// end of data: one, or with LMTP one for each accepted recipient in order
// (§4.1.1.4, RFC 2033 §4.2). If MAIL has said PRDR the server may give the latter
// too: then there is, for each, what it refused him with, or the reply that is for
// all. The error is nil if one of them is positive, else it holds the first as
// *smtp.Error. A line end that is not CRLF, or an octet that
// BODY and SMTPUTF8 of MAIL do not allow, ends the connection before it is sent.
// After BODY=BINARYMIME nothing is sent, and the error says so: it takes Bdat.
func (c *Conn) Data(ctx context.Context, r io.Reader) ([]smtp.Reply, error) {
	if err := c.enter(ctx, "DATA"); err != nil {
		return nil, err
	}
	defer c.leave()
	if c.bodyType == smtp.BodyBinaryMIME {
		return nil, localError{errBinaryData} // RFC 3030 §3
	}
	if err := c.inStep("DATA"); err != nil {
		return nil, err
	}
	if err := c.write("DATA", append(c.buf[:0], "DATA\r\n"...), c.cfg.Timeouts.DataInit); err != nil {
		return nil, err
	}
	if err := c.expectData(); err != nil {
		return nil, err
	}
	if c.cfg.LMTP && c.rcpts == 0 {
		return nil, c.fail(opEnd, errNoReply)
	}
	w := c.newDataWriter(false)
	check := checkedWriter{w: w, forbidden: forbidden(c.bodyType, c.utf8)}
	err := copyBody(&check, r)
	if err == nil {
		err = check.finish()
	}
	if err != nil {
		return nil, c.fail(opData, err)
	}
	w.finish()
	if _, err := c.send(opData, c.buf, c.cfg.Timeouts.DataBlock); err != nil {
		return nil, err
	}
	w.trace()
	return c.final("")
}

var errBinaryData = errors.New("client: a message of BODY=BINARYMIME cannot be sent by DATA")

// What a ConnError says was going on around the data.
const (
	opData = "message data"
	opEnd  = "end of data"
)

// expectData reads the reply to DATA, which must be intermediate.
func (c *Conn) expectData() error {
	code, raw, err := c.readReply("DATA", c.cfg.Timeouts.DataInit, wire.MaxReplyLines)
	switch {
	case err != nil:
		return err
	case code/100 == 2:
		return c.outOfStep("DATA", "success before the data")
	case code/100 != 3:
		return refusal(smtp.DATA, parse(raw))
	}
	return nil
}

// final reads the replies that decide on the message.
func (c *Conn) final(verb smtp.Verb) ([]smtp.Reply, error) {
	n, rcpts, prdr := 1, c.rcpts, c.prdr
	if c.cfg.LMTP {
		n = max(1, rcpts) // RFC 2033 §4.2
	}
	var refused error
	delivered := false
	replies := make([]smtp.Reply, 0, n)
	c.forget()
	note := func(reply smtp.Reply, err error) {
		replies = append(replies, reply)
		delivered = delivered || err == nil
		if refused == nil {
			refused = err
		}
	}
	for range n {
		reply, own, err := c.expectEnd(verb, prdr, rcpts)
		if lost, ok := err.(*ConnError); ok {
			lost.Unknown = true
			return replies, lost
		}
		if own == nil {
			note(reply, err)
		}
		for ; len(own) > 0; own = own[1:] {
			note(ownOutcome(verb, own, reply))
		}
	}
	if delivered {
		refused = nil
	}
	return replies, refused
}

const (
	// coalesce is up to where message data is copied into one buffer, so that it
	// leaves in one write with what comes before and behind. Above it the
	// caller's memory is written as it lies.
	coalesce = 16 << 10
	// tail is how much of a large write is kept back to leave with what follows.
	tail = 1 << 10
	// block bounds one write of message data, hence what DataBlock is the time for.
	block = 256 << 10
)

// A dataWriter sends message data after 354. What it holds back is in c.buf.
type dataWriter struct {
	c   *Conn
	dot wire.DotWriter
	n   int64
}

// newDataWriter begins the data of a message. Dotless says that none of its lines
// begins with a dot.
func (c *Conn) newDataWriter(dotless bool) *dataWriter {
	c.data = dataWriter{c: c, dot: wire.DotWriter{Plain: dotless}}
	return &c.data
}

func (w *dataWriter) Write(p []byte) (int, error) {
	c, n := w.c, len(p)
	w.n += int64(n)
	if len(c.buf)+n <= coalesce {
		c.buf = w.dot.Append(c.buf, p)
		return n, nil
	}
	large := p[:max(0, n-tail)]
	for first := true; first || len(large) > 0; first = false {
		segs, covered := w.dot.Segments(append(c.segs[:0], c.buf), large[:min(len(large), block)], c.maxSegments())
		c.segs = segs
		large = large[covered:]
		if err := c.writeSegments(); err != nil {
			return 0, err
		}
		c.buf = c.buf[:0]
		if covered < coalesce && len(large) > 0 { // so many dots that copying is cheaper
			dense := large[:min(len(large), coalesce)]
			c.buf = w.dot.Append(c.buf, dense)
			large = large[len(dense):]
		}
	}
	c.buf = w.dot.Append(c.buf, p[max(0, n-tail):])
	return n, nil
}

// finish puts the end of data behind what c.buf holds back.
func (w *dataWriter) finish() error {
	w.c.buf = w.dot.AppendEnd(w.c.buf)
	return nil
}

// sent reports false: the end of data is still in c.buf.
func (w *dataWriter) sent() bool { return false }

func (w *dataWriter) trace() {
	w.c.traceData(w.n)
	w.c.traceWrote(endOfData)
}

var endOfData = []byte(".\r\n")

// gathers reports whether many pieces are one write: writev(2).
func (c *Conn) gathers() bool {
	switch c.nc.(type) {
	case *net.TCPConn, *net.UnixConn:
		return true
	}
	return false
}

// maxSegments bounds the pieces that a block is written in. Where each is a write,
// and over TLS a record, few are better copied than many are written.
func (c *Conn) maxSegments() int {
	if c.gathers() {
		return 64
	}
	return 4
}

// writeSegments writes c.segs.
func (c *Conn) writeSegments() (err error) {
	c.setDeadline(&c.writeBy, c.cfg.Timeouts.DataBlock, net.Conn.SetWriteDeadline)
	if c.gathers() {
		c.unsent = c.segs // WriteTo moves the slice it is called on
		_, err = c.unsent.WriteTo(c.nc)
		c.unsent = nil
	} else {
		for _, s := range c.segs {
			if len(s) > 0 && err == nil {
				_, err = c.nc.Write(s)
			}
		}
	}
	clear(c.segs) // they hold the caller's memory
	c.segs = c.segs[:0]
	if err != nil {
		return c.fail(opData, err)
	}
	return nil
}
