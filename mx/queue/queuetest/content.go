package queuetest

import (
	"bytes"
	"errors"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/smtp"
)

var contentRules = []rule{
	{name: "Content/Sizes", test: contentSizes},
	{name: "Content/Prefix", test: contentPrefix},
	{name: "Content/Kind", test: contentKind},
	{name: "Content/ManyReaders", test: manyReaders},
	{name: "Content/SlowReader", test: slowReader},
	{name: "Content/GoneWhileRead", test: goneWhileRead},
	{name: "Content/Streamed", test: contentStreamed, when: func(h *Harness) bool { return !h.InMemory }},
	{name: "Content/GoneWithTheLastItem", test: contentGone},
}

// octets are n that repeat nowhere.
func octets(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(n), byte(n >> 8)})
	r.Read(b)
	return b
}

func (e *env) putBytes(prefix, content []byte, piece int) queue.ID {
	e.Helper()
	tx := e.begin()
	for p := range slices.Chunk(content, piece) {
		if n, err := tx.Write(p); n != len(p) || err != nil {
			e.Fatalf("Write: %d, %v", n, err)
		}
	}
	c := commitOf(item("a", 0))
	c.Prefix = prefix
	_, err := tx.Commit(e.ctx, c)
	e.must(err)
	return tx.ID()
}

// holds fails unless the message has the content, however it is read.
func (e *env) holds(id queue.ID, want []byte) {
	e.Helper()
	m, c, err := e.s.Open(e.ctx, id)
	e.must(err)
	examined, _ := smtp.BytesContent(want).Examine()
	e.want(m.Size == int64(len(want)) && c.Size == m.Size, "Size is %d and %d, want %d", m.Size, c.Size, len(want))
	e.want(m.Kind == examined.Kind && c.Kind == m.Kind, "Kind is %b and %b, want %b", m.Kind, c.Kind, examined.Kind)
	for _, buf := range []int{512, 4096, 1 << 20} {
		r, err := c.Open()
		e.must(err)
		var got bytes.Buffer
		_, err = io.CopyBuffer(struct{ io.Writer }{&got}, struct{ io.Reader }{r}, make([]byte, buf))
		e.must(err)
		if n, err := r.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			e.Errorf("Read after the end: %d, %v", n, err)
		}
		e.must(r.Close())
		e.want(bytes.Equal(got.Bytes(), want), "content of %d octets reads %d others", len(want), got.Len())
	}
	r, err := c.Open() // and not to the end
	e.must(err)
	_, err = io.ReadFull(r, make([]byte, min(len(want), 100)))
	e.must(err)
	e.must(r.Close())
}

func contentSizes(e *env) {
	sizes := []int{0, 1, 2, 4096, 256<<10 - 1, 256 << 10, 256<<10 + 1, 512 << 10, 3<<20 + 7}
	if n := e.h.InlineSize; n > 0 {
		sizes = append(sizes, n-1, n, n+1)
	}
	for _, size := range sizes {
		content := octets(size)
		for _, piece := range []int{max(size, 1), 32 << 10, 300<<10 + 1} {
			e.holds(e.putBytes(nil, content, piece), content)
		}
	}
	content := octets(1000)
	e.holds(e.putBytes(nil, content, 1), content)
}

func contentPrefix(e *env) {
	long := bytes.Repeat([]byte("X: "+strings.Repeat("y", 59)+"\r\n"), 1024)
	for _, prefix := range [][]byte{{}, []byte("X: y\r\n"), long[:32<<10], long} {
		for _, size := range []int{0, 1, e.h.InlineSize, max(e.h.InlineSize-len(prefix), 0), 256 << 10, 256<<10 - len(prefix), 600 << 10} {
			content := octets(size)
			e.holds(e.putBytes(prefix, content, 100_000), slices.Concat(prefix, content))
		}
	}
}

func contentKind(e *env) {
	for _, prefix := range []string{"", "X: y\r\n", "X: \xc3\xbc\r\n"} {
		for _, content := range []string{
			"", "a: b\r\n\r\nc\r\n", "a: \xc3\xbc\r\n\r\nc\r\n", "a: b\r\n\r\n\xc3\xbc\r\n", "a: b\r\n\r\nc\n", "a: b\r\n\r\nc", "a\rb\r\n", "a\x00b\r\n",
			"\r\n\xff\r\n", "\n", string(bytes.Repeat([]byte("x"), 998)) + "\r\n", string(bytes.Repeat([]byte("x"), 999)) + "\r\n",
		} {
			whole := []byte(prefix + content)
			e.holds(e.putBytes([]byte(prefix), []byte(content), 1), whole)
			e.holds(e.putBytes([]byte(prefix), []byte(content), 7), whole)
		}
	}
}

func manyReaders(e *env) {
	content := octets(1<<20 + 5)
	_, c, err := e.s.Open(e.ctx, e.putBytes(nil, content, 64<<10))
	e.must(err)
	var readers []io.ReadCloser
	var got [4]bytes.Buffer
	for range got {
		r, err := c.Open()
		e.must(err)
		readers = append(readers, r)
	}
	for range 40 { // in turn
		for i, r := range readers {
			_, err := io.CopyN(&got[i], r, int64(10_000+i))
			e.must(err)
		}
	}
	var all sync.WaitGroup // and at once
	for i, r := range readers {
		all.Go(func() {
			defer r.Close()
			io.Copy(&got[i], r)
		})
	}
	all.Wait()
	for i := range got {
		e.want(bytes.Equal(got[i].Bytes(), content), "reader %d reads something else", i)
	}
}

// slowReader: who reads slowly keeps nobody waiting, and reads what he began with.
func slowReader(e *env) {
	content := octets(3 << 20)
	id := e.putBytes(nil, content, 64<<10)
	_, c, err := e.s.Open(e.ctx, id)
	e.must(err)
	var readers []io.ReadCloser
	for range 20 {
		r, err := c.Open()
		e.must(err)
		defer r.Close()
		_, err = io.CopyN(io.Discard, r, 300<<10)
		e.must(err)
		readers = append(readers, r)
	}
	for range 5 {
		e.put(string(octets(700<<10)), item("b", 0))
		e.settled(done(e.lease1("b", 0, 10)))
	}
	e.change(queue.Filter{Messages: []queue.ID{id}}, queue.Hold, 0, 1)
	for _, r := range readers {
		rest, err := io.ReadAll(r)
		e.must(err)
		e.want(bytes.Equal(rest, content[300<<10:]), "the rest of the content is another")
	}
}

// goneWhileRead: what is left of a content that has gone is read or is an error,
// but never looks like the end.
func goneWhileRead(e *env) {
	for _, size := range []int{1000, 3 << 20} {
		content := octets(size)
		_, c, err := e.s.Open(e.ctx, e.putBytes(nil, content, 64<<10))
		e.must(err)
		r, err := c.Open()
		e.must(err)
		head := make([]byte, 500)
		_, err = io.ReadFull(r, head)
		e.must(err)
		e.settled(done(e.lease1("a", 0, 10)))
		rest, err := io.ReadAll(r)
		e.want(err != nil || bytes.Equal(append(head, rest...), content), "a content of %d octets that went while it was read ends after %d", size, len(head)+len(rest))
		e.must(r.Close())
		e.empty()
	}
}

// contentStreamed writes and reads much more than may be in memory.
func contentStreamed(e *env) {
	const size, most = 40 << 20, 6 << 20
	piece := octets(32 << 10)
	before := inUse()
	sum := crc32.NewIEEE()
	tx := e.begin()
	for n := 0; n < size; n += len(piece) {
		piece[0], piece[1] = byte(n>>15), byte(n>>23)
		sum.Write(piece)
		_, err := tx.Write(piece)
		e.must(err)
		if n%(8<<20) == 0 {
			e.want(inUse() < before+most, "after %d octets the store holds %d", n, inUse()-before)
		}
	}
	c := commitOf(item("a", 0))
	c.Prefix = []byte("X: y\r\n")
	_, err := tx.Commit(e.ctx, c)
	e.must(err)
	e.want(inUse() < before+most, "after Commit the store holds %d", inUse()-before)
	l := e.lease1("a", 0, 10)
	r, err := l.Content.Open()
	e.must(err)
	defer r.Close()
	_, err = io.ReadFull(r, make([]byte, len(c.Prefix)))
	e.must(err)
	got := crc32.NewIEEE()
	for n := 0; n < size; n += len(piece) {
		_, err := io.ReadFull(r, piece)
		e.must(err)
		got.Write(piece)
		if n%(8<<20) == 0 {
			e.want(inUse() < before+most, "while %d octets are read the store holds %d", n, inUse()-before)
		}
	}
	e.want(got.Sum32() == sum.Sum32() && l.Message.Size == size+6, "the content is another, of %d octets", l.Message.Size)
}

func inUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func contentGone(e *env) {
	for _, size := range []int{10, 700 << 10} {
		content := string(octets(size))
		id := e.put(content, item("a", 0), item("b", 0))
		_, c, err := e.s.Open(e.ctx, id)
		e.must(err)
		b := e.lease1("b", 0, 10)
		e.settled(done(e.lease1("a", 0, 10)))
		e.want(e.content(c) == content && e.content(b.Content) == content, "the content is gone with an item that is not the last")
		e.counts(1, int64(size), 1, 0, 1)
		e.settled(done(b))
		e.gone(id)
		for _, c := range []smtp.Content{c, b.Content} {
			if _, err := c.Open(); !errors.Is(err, queue.ErrNotFound) {
				e.Errorf("Content.Open of a message that is gone: %v", err)
			}
		}
		e.empty()
	}
}
