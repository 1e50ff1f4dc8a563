package smtp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// Content is a message, header section and body, as it is to be sent, without
// dot-stuffing. It is a value: copies read the same octets. Use one of the
// constructors, or set Open and Size.
type Content struct {
	// Open returns a reader at the first octet. It may be called again and
	// from several goroutines, unless Reusable is false.
	Open func() (io.ReadCloser, error)

	Size int64 // in octets; -1 if unknown. The constructors and Examine set it.
	Kind Kind  // what is known of the octets. If zero, nothing; Examine finds out.

	once *onceReader
}

// Kind is a set of facts about a Content. Without KindExamined the absence of
// the other bits says nothing.
type Kind uint8

// The members of Kind.
const (
	KindExamined    Kind = 1 << iota // all octets were looked at
	Kind8Bit                         // octets above 127: needs 8BITMIME (RFC 6152)
	KindUTF8Header                   // octets above 127 in the header section: needs SMTPUTF8 (RFC 6532 §3)
	KindBareLineEnd                  // CR or LF alone, or no CRLF at the end: cannot be sent with DATA (RFC 5321 §2.3.8)
	KindNUL                          // octet 0: cannot be sent with DATA (RFC 6152 §2)
	KindLongLine                     // a line of more than 998 octets before its CRLF (RFC 5321 §4.5.3.1.6)
)

// Has reports whether all of the bits are set.
func (k Kind) Has(bits Kind) bool { return k&bits == bits }

// ErrContentUsed is the error of opening a Content of a plain reader again.
var ErrContentUsed = errors.New("smtp: content can be read only once")

// readAhead is how much of a plain reader Examine keeps in memory.
const readAhead = 64 << 10

// BytesContent returns b as a Content. b must not change while in use.
func BytesContent(b []byte) Content {
	return Content{
		Open: func() (io.ReadCloser, error) {
			r := new(bytesReader)
			r.Reset(b)
			return r, nil
		},
		Size: int64(len(b)),
	}
}

// FileContent returns the file at path as a Content. The file is opened anew by
// each Open and must not change while in use. The error is that of os.Stat, or
// says that path is not a regular file.
func FileContent(path string) (Content, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Content{}, fmt.Errorf("smtp: content: %w", err)
	}
	if !info.Mode().IsRegular() {
		return Content{}, fmt.Errorf("smtp: content: %s is not a regular file", path)
	}
	return Content{
		Open: func() (io.ReadCloser, error) { return os.Open(path) },
		Size: info.Size(),
	}, nil
}

// ReaderAtContent returns the first size octets of r as a Content. Readers of
// it work at the same time if r allows ReadAt to.
func ReaderAtContent(r io.ReaderAt, size int64) Content {
	return Content{
		Open: func() (io.ReadCloser, error) { return sectionReader{io.NewSectionReader(r, 0, size)}, nil },
		Size: size,
	}
}

// ReaderContent returns what r gives as a Content that can be read only once:
// the second Open returns ErrContentUsed, whichever goroutine asks. Closing the
// reader that Open returned closes r if it is an io.Closer.
func ReaderContent(r io.Reader) Content {
	return onceContent(&onceReader{Reader: r, closer: r})
}

// Reusable reports whether c may be opened more than once, which sending it to
// a second host or in a second session takes.
func (c Content) Reusable() bool { return c.once == nil }

// Examine reads c once and returns it with Kind and Size filled in. Of a
// Content that can be read only once it reads at most 64 KB: if that is all, the
// result is held in memory and reusable; if there is more, the result gives the
// same octets, with Size -1 and without KindExamined, but with what those 64 KB
// are enough to know. c itself must then not be used again. A Content that has
// been examined is returned as it is.
func (c Content) Examine() (Content, error) {
	if c.Kind.Has(KindExamined) {
		return c, nil
	}
	if c.Open == nil {
		return c, errors.New("smtp: content has no Open function")
	}
	r, err := c.Open()
	if err != nil {
		return c, err
	}
	if !c.Reusable() {
		return examineOnce(r)
	}
	defer r.Close()
	var e Examiner
	n, err := io.CopyBuffer(&e, onlyReader{r}, make([]byte, readAhead))
	if err != nil {
		return c, fmt.Errorf("smtp: content: %w", err)
	}
	c.Size, c.Kind = n, e.Kind()
	return c, nil
}

func examineOnce(r io.ReadCloser) (Content, error) {
	head, err := io.ReadAll(io.LimitReader(r, readAhead+1))
	if len(head) <= readAhead { // all of it, or an error
		if e := r.Close(); err == nil {
			err = e
		}
	}
	if err != nil {
		return Content{}, fmt.Errorf("smtp: content: %w", err)
	}
	var e Examiner
	e.Write(head)
	c := BytesContent(head)
	if c.Kind = e.Kind(); len(head) > readAhead {
		c = onceContent(&onceReader{Reader: io.MultiReader(bytes.NewReader(head), r), closer: r})
		c.Kind = e.kind // what is known already stays so, whatever comes
	}
	return c, nil
}

func onceContent(o *onceReader) Content {
	return Content{Open: o.open, Size: -1, once: o}
}

// onceReader hands itself out once.
type onceReader struct {
	io.Reader
	closer any

	mu   sync.Mutex
	used bool
}

func (o *onceReader) open() (io.ReadCloser, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.used {
		return nil, ErrContentUsed
	}
	o.used = true
	return o, nil
}

func (o *onceReader) Close() error {
	if c, ok := o.closer.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// bytesReader and sectionReader keep the methods of what they hold: WriteTo
// hands all octets to the writer without copying them.
type bytesReader struct{ bytes.Reader }

func (*bytesReader) Close() error { return nil }

// FromBytesContent marks the reader for package client: what it gives is, unlike
// what another reader gives that has WriteTo, what it was when it was examined.
func (*bytesReader) FromBytesContent() {}

type sectionReader struct{ *io.SectionReader }

func (sectionReader) Close() error { return nil }

// onlyReader hides WriteTo, so that CopyBuffer uses its buffer.
type onlyReader struct{ io.Reader }
