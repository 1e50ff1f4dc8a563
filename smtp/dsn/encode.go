package dsn

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"mime/quotedprintable"
	"strings"
	"unicode/utf8"

	"github.com/postrider/postrider/smtp"
)

// quote encodes lines as quoted-printable.
func quote(lines []byte) []byte {
	var b bytes.Buffer
	w := quotedprintable.NewWriter(&b)
	w.Write(lines) // neither fails: b takes everything
	w.Close()
	return b.Bytes()
}

// encodedWords returns a text as it may stand in a header field behind its name. A
// line with encoded words has 76 octets at most (RFC 2047 §2).
func encodedWords(s string) string {
	s = plain(s)
	if isASCII(s) && !strings.Contains(s, "=?") {
		return s
	}
	const opening, closing, room = "=?utf-8?q?", "?=", 50
	var b strings.Builder
	n := room // octets in the word
	for _, r := range s {
		encoded := ""
		switch {
		case r == ' ':
			encoded = "_"
		case r < utf8.RuneSelf && (r|0x20 >= 'a' && r|0x20 <= 'z' || r >= '0' && r <= '9'):
			encoded = string(r)
		default:
			for _, c := range []byte(string(r)) {
				encoded += fmt.Sprintf("=%02X", c)
			}
		}
		if n+len(encoded) > room { // §5: no character is divided
			if b.Len() > 0 {
				b.WriteString(closing + " ")
			}
			b.WriteString(opening)
			n = 0
		}
		b.WriteString(encoded)
		n += len(encoded)
	}
	return b.String() + closing
}

// base64Line is how many octets one line of base64 holds (RFC 2045 §6.8).
const base64Line = 57

// base64Size is the size of n octets in base64, with the CRLF of each line but the
// last.
func base64Size(n int64) int64 {
	size := (n + 2) / 3 * 4
	if lines := (n + base64Line - 1) / base64Line; lines > 1 {
		size += (lines - 1) * 2
	}
	return size
}

// base64Content returns c in base64.
func base64Content(c smtp.Content) smtp.Content {
	return smtp.Content{
		Size: base64Size(c.Size),
		Open: func() (io.ReadCloser, error) {
			r, err := c.Open()
			if err != nil {
				return nil, err
			}
			return &base64Reader{src: r}, nil
		},
	}
}

// base64Reader encodes as it is read.
type base64Reader struct {
	src     io.ReadCloser
	in      [base64Line * 64]byte
	out     []byte // encoded and not yet read
	room    []byte
	started bool
	err     error
}

func (r *base64Reader) Read(p []byte) (int, error) {
	for len(r.out) == 0 && r.err == nil {
		n, err := io.ReadFull(r.src, r.in[:])
		if err == io.ErrUnexpectedEOF {
			err = io.EOF
		}
		r.err = err
		r.room = r.room[:0]
		for rest := r.in[:n]; len(rest) > 0; {
			line := rest[:min(len(rest), base64Line)]
			rest = rest[len(line):]
			if r.started {
				r.room = append(r.room, "\r\n"...)
			}
			r.started = true
			r.room = base64.StdEncoding.AppendEncode(r.room, line)
		}
		r.out = r.room
	}
	if len(r.out) == 0 {
		return 0, r.err
	}
	n := copy(p, r.out)
	r.out = r.out[n:]
	return n, nil
}

func (r *base64Reader) Close() error { return r.src.Close() }

// between returns c with octets before and behind it.
func between(head []byte, c smtp.Content, tail []byte) smtp.Content {
	return smtp.Content{
		Size: int64(len(head)) + c.Size + int64(len(tail)),
		Open: func() (io.ReadCloser, error) {
			r, err := c.Open()
			if err != nil {
				return nil, err
			}
			return &joined{io.MultiReader(bytes.NewReader(head), r, bytes.NewReader(tail)), r}, nil
		},
	}
}

type joined struct {
	io.Reader
	io.Closer
}
