package message

import (
	"bytes"
	"crypto"
	"encoding/binary"
	"hash"
	"math/bits"
	"sync"
)

// A BodyHash hashes the canonical form of a body.
type BodyHash struct {
	algorithm crypto.Hash
	hash      hash.Hash
	length    int64 // octets that are hashed, or -1
	octets    int64
	sum       []byte
}

// Sum returns the hash value once the message is closed, and nil before.
func (b *BodyHash) Sum() []byte { return b.sum }

// Octets returns how many octets the canonical form has, hashed or not.
func (b *BodyHash) Octets() int64 { return b.octets }

func (b *BodyHash) write(p []byte) {
	b.octets += int64(len(p))
	if b.length >= 0 {
		left := b.length - (b.octets - int64(len(p)))
		p = p[:max(0, min(int64(len(p)), left))]
	}
	b.hash.Write(p)
}

// A body brings a body into a canonical form and hands that to its sinks. What
// has come since the last octet that it wrote is so many line ends, then maybe
// white space, then maybe a CR.
type body struct {
	canon Canon
	sinks []*BodyHash
	wrote bool // anything
	lines int64
	space bool // only with Relaxed
	cr    bool
	buf   []byte // written, but not yet to the sinks
	array [2048]byte
}

var bodies = sync.Pool{New: func() any { return new(body) }}

func newBody(canon Canon) *body {
	b := bodies.Get().(*body)
	*b = body{canon: canon, sinks: b.sinks[:0]}
	b.buf = b.array[:0]
	return b
}

// sink returns the sink with these properties, a new one if there is none.
func (b *body) sink(h crypto.Hash, length int64) *BodyHash {
	for _, s := range b.sinks {
		if s.algorithm == h && s.length == length {
			return s
		}
	}
	s := &BodyHash{algorithm: h, hash: h.New(), length: length}
	b.sinks = append(b.sinks, s)
	return s
}

func (b *body) write(p []byte) {
	if b.canon == Simple {
		b.writeSimple(p)
	} else {
		b.writeRelaxed(p)
	}
}

// close writes what the end of the body decides and gives b back.
func (b *body) close() {
	if b.cr {
		b.cr = false
		b.data(crlfs[:1])
	}
	if b.wrote || b.canon == Simple { // an empty body stays empty only when relaxed
		b.emit(crlfs[:2])
	}
	b.flush()
	for _, s := range b.sinks {
		s.sum = s.hash.Sum(nil)
		s.hash = nil
	}
	clear(b.sinks)
	bodies.Put(b)
}

// writeSimple: all of it but the empty lines at the end (RFC 6376 §3.4.3).
func (b *body) writeSimple(p []byte) {
	if p = b.afterCR(p); len(p) == 0 {
		return
	}
	end := len(p)
	if p[end-1] == '\r' {
		b.cr = true
		end--
	}
	kept := trimLines(p[:end])
	if len(kept) > 0 {
		b.data(kept)
	}
	b.lines += int64(end-len(kept)) / 2
}

// writeRelaxed: one space for each run of white space, none at the end of a
// line, no empty lines at the end (RFC 6376 §3.4.4).
func (b *body) writeRelaxed(p []byte) {
	p = b.afterCR(p)
	tab := -1 // where the next tab stands, counted from the end of p
	for len(p) > 0 {
		switch c := p[0]; {
		case c == ' ' || c == '\t':
			b.space = true
			p = p[1:]
			continue
		case c == '\r' && len(p) == 1:
			b.cr = true
			return
		case c == '\r' && p[1] == '\n':
			n := countLines(p)
			b.space = false
			b.lines += int64(n)
			p = p[2*n:]
			continue
		}
		if tab < 0 || tab > len(p) {
			tab = 0
			if i := bytes.IndexByte(p, '\t'); i >= 0 {
				tab = len(p) - i
			}
		}
		run := p[:clean(p, len(p)-tab)]
		p = p[len(run):]
		if len(p) == 0 && len(run) > 1 && run[len(run)-1] == '\r' {
			b.cr = true
			run = run[:len(run)-1]
		}
		kept := trimLines(run)
		b.data(kept)
		b.lines = int64(len(run)-len(kept)) / 2
		if len(run) < shortRun {
			p = b.writeDense(p)
		}
	}
}

// After a run of clean octets as short as shortRun, a piece of densePiece is
// taken octet by octet: where white space is dense, looking for long runs costs
// more than it brings.
const shortRun, densePiece = 16, 256

// writeDense does what writeRelaxed does, for the beginning of p, and returns
// the rest.
func (b *body) writeDense(p []byte) []byte {
	if cap(b.buf)-len(b.buf) < densePiece+2*shortRun { // with what waits: of a run that is short
		b.flush()
	}
	buf, n := b.buf[:cap(b.buf)], len(b.buf)
	space, lines := b.space, b.lines
	i, end := 0, min(len(p)-1, densePiece) // the last octet may be a CR: not here
	for i < end {
		c := p[i]
		if c <= ' ' {
			if c == ' ' || c == '\t' {
				space = true
				i++
				continue
			}
			if c == '\r' && p[i+1] == '\n' {
				space = false
				lines++
				i += 2
				continue
			}
		}
		for ; lines > 0; lines-- {
			buf[n], buf[n+1] = '\r', '\n'
			n += 2
		}
		if space {
			space = false
			buf[n] = ' '
			n++
		}
		for {
			buf[n] = c
			n++
			i++
			if i >= end {
				break
			}
			if c = p[i]; c <= ' ' {
				break
			}
		}
	}
	b.buf, b.space, b.lines = buf[:n], space, lines
	return p[min(i, len(p)):]
}

// afterCR decides about a CR that ended the previous write.
func (b *body) afterCR(p []byte) []byte {
	if !b.cr || len(p) == 0 {
		return p
	}
	b.cr = false
	if p[0] == '\n' {
		b.space = false
		b.lines++
		return p[1:]
	}
	b.data(crlfs[:1])
	return p
}

// data writes p, which is canonical, after all that waited for it.
func (b *body) data(p []byte) {
	for b.lines > 0 {
		n := min(b.lines, int64(len(crlfs)/2))
		b.emit(crlfs[:2*n])
		b.lines -= n
	}
	if b.space {
		b.space = false
		b.emit(oneSpace)
	}
	b.wrote = true
	b.emit(p)
}

// What is written often: the line ends of many empty lines, and a space. It is
// never changed.
var (
	crlfs    = bytes.Repeat([]byte("\r\n"), 512)
	oneSpace = []byte(" ")
)

// emit gathers short pieces, and hands on long ones in place.
func (b *body) emit(p []byte) {
	if len(p) > cap(b.buf)-len(b.buf) || len(p) >= 512 {
		b.flush()
	}
	if len(p) >= 512 {
		for _, s := range b.sinks {
			s.write(p)
		}
		return
	}
	b.buf = append(b.buf, p...)
}

func (b *body) flush() {
	if len(b.buf) > 0 {
		for _, s := range b.sinks {
			s.write(b.buf)
		}
	}
	b.buf = b.buf[:0]
}

// trimLines returns p without the line ends at its end.
func trimLines(p []byte) []byte {
	for len(p) >= 8 && binary.LittleEndian.Uint64(p[len(p)-8:]) == fourLines {
		p = p[:len(p)-8]
	}
	for len(p) >= 2 && p[len(p)-2] == '\r' && p[len(p)-1] == '\n' {
		p = p[:len(p)-2]
	}
	return p
}

// countLines returns how many line ends p begins with.
func countLines(p []byte) (n int) {
	for len(p) >= 8 && binary.LittleEndian.Uint64(p) == fourLines {
		n, p = n+4, p[8:]
	}
	for len(p) >= 2 && p[0] == '\r' && p[1] == '\n' {
		n, p = n+1, p[2:]
	}
	return n
}

const (
	fourLines = 0x0a0d0a0d0a0d0a0d // CRLF four times, read as a little endian number
	ones      = 0x0101010101010101
	tops      = 0x80 * ones // each octet's top bit
)

// clean returns the length of the part at p's beginning that is canonical as
// it stands, except that it may end in line ends: up to the tab at p[tab], or
// to a space that another space, a tab, a line end or the end of p follows.
// The first octet is not white space. Eight octets are looked at as one
// number, in which each has its top bit for a flag.
func clean(p []byte, tab int) int {
	at, without := 0, 0
	carry := uint64(0) // the top bit of the lowest octet: the octet before it is a space
	for ; at+8 <= tab; at += 8 {
		x := binary.LittleEndian.Uint64(p[at:])
		low := x & (tops - ones) // without the top bits
		y := low ^ ' '*ones
		space := ^(y + (tops - ones) | x) & tops     // is a space
		blank := ^(low + (0x7f-' ')*ones | x) & tops // is at most a space
		if hit := (space<<8 | carry) & blank; hit != 0 {
			return at + bits.TrailingZeros64(hit)/8 - 1
		}
		carry = space >> 56
		if space != 0 {
			without = 0
		} else if without++; without == 4 { // not prose: there may be no space for long
			i := bytes.IndexByte(p[at+8:tab], ' ')
			if i < 0 {
				return tab
			}
			at += i
			without = 0
		}
	}
	for ; at < tab; at++ {
		if carry != 0 && p[at] <= ' ' {
			return at - 1
		}
		carry = 0
		if p[at] == ' ' {
			carry = 1
		}
	}
	if carry != 0 {
		return at - 1
	}
	return at
}
