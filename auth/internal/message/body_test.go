package message

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
)

// canonical is the oracle: RFC 6376 §3.4.3 and §3.4.4 said again, for a body
// that is in memory.
func canonical(canon Canon, body string) string {
	if canon == Relaxed {
		lines := strings.Split(body, "\r\n")
		for i, line := range lines {
			lines[i] = runs.ReplaceAllString(strings.TrimRight(line, " \t"), " ")
		}
		body = strings.Join(lines, "\r\n")
	}
	for strings.HasSuffix(body, "\r\n") {
		body = strings.TrimSuffix(body, "\r\n")
	}
	if body == "" && canon == Relaxed {
		return ""
	}
	return body + "\r\n"
}

var runs = regexp.MustCompile("[ \t]+")

// An octets is a hash that keeps what is hashed.
type octets struct{ bytes.Buffer }

func (o *octets) Sum(b []byte) []byte { return append(b, o.Bytes()...) }
func (o *octets) Size() int           { return 0 }
func (o *octets) BlockSize() int      { return 1 }

// canonicalize returns what our canonicaliser makes of the pieces.
func canonicalize(canon Canon, pieces ...[]byte) string {
	b := newBody(canon)
	s := &BodyHash{hash: new(octets), length: -1}
	b.sinks = append(b.sinks, s)
	for _, p := range pieces {
		if len(p) > 0 {
			b.write(p)
		}
	}
	b.close()
	return string(s.Sum())
}

var nasty = []string{
	"", "\r\n", "\r\n\r\n", " ", " \r\n", "\t\r\n \r\n", "a", "a\r\n", "a ", "a \r\n", "a\r\n\r\n", "a\r\n \r\n\t",
	"a\r\n\r\nb", "a \t b\t\r\n", "a\r\n\r\n \r\n\r\nb", "\r\n\r\na\r\n", "a\rb", "a\nb", "a\r", "a\r\r\n", "a\r\r\n\r\n",
	"a \r", "a \rb", "a \r\r\n", "\r", "\n", "\r\r", "\n\r", "\n\n", "\r\n\r", "\r\n\n", " \n ", " \r \r\n", "a\x00 \x00\r\n",
	" a", "\ta", "\r\n a", "a\r\n\ta", "a  b", "a b c  d", "12345678 \t", "1234567  90", "1234567 \r\n", "12345678\r\n\r\n\r\n\r\n\r\n\r\n",
	"\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\nx", "a\xa0\xa0 b", "a \xa0 b", "\x0b \x0c  \x1f", " \x1f  \r\n",
	"a\r\n\r\n\t\r\n", "\t\r\n\t\r\n", "a \r \n", "a\r\n \r", "a\r\n \r\r\n", strings.Repeat("a b ", 30) + "\r\n", strings.Repeat("\r\n", 40) + " x",
}

// However the body is cut into pieces, the canonical form is the same.
func TestBodyInPieces(t *testing.T) {
	for _, canon := range []Canon{Simple, Relaxed} {
		for _, text := range nasty {
			for _, text := range []string{text, "x y" + text, text + text, strings.Repeat("0123456789", 7) + text + "z"} {
				want, body := canonical(canon, text), []byte(text)
				for i := 0; i <= len(body); i++ {
					for j := i; j <= len(body); j++ {
						if got := canonicalize(canon, body[:i], body[i:j], body[j:]); got != want {
							t.Fatalf("%d: %q cut at %d and %d: %q, want %q", canon, text, i, j, got, want)
						}
					}
				}
			}
		}
	}
}

// Every body of few octets out of those that matter, whole and octet by octet.
func TestEveryShortBody(t *testing.T) {
	const alphabet = "a \t\r\n"
	length := 7
	if testing.Short() {
		length = 6
	}
	body := make([]byte, 0, length)
	var try func()
	try = func() {
		for _, canon := range []Canon{Simple, Relaxed} {
			want := canonical(canon, string(body))
			if got := canonicalize(canon, body); got != want {
				t.Fatalf("%d: %q: %q, want %q", canon, body, got, want)
			}
			if len(body) > 6 {
				continue
			}
			var each [][]byte
			for i := range body {
				each = append(each, body[i:i+1])
			}
			if got := canonicalize(canon, each...); got != want {
				t.Fatalf("%d: %q octet by octet: %q, want %q", canon, body, got, want)
			}
		}
		if len(body) == cap(body) {
			return
		}
		for i := range alphabet {
			body = append(body, alphabet[i])
			try()
			body = body[:len(body)-1]
		}
	}
	try()
}

// Long bodies of pieces that the fast paths care about.
func TestRandomBodies(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	pieces := []string{" ", "\t", "\r\n", "\r", "\n", "a", "word", "base64base64base64base64base64base64base64base64base64", "  ", "\xa0", strings.Repeat("\r\n", 700), strings.Repeat("x", 600), strings.Repeat("\t", 9)}
	for i := range 3000 {
		var text []byte
		few, many := 1+r.IntN(len(pieces)), 60
		if i%100 == 0 {
			many = 6000 // beyond what is gathered
		}
		for range r.IntN(many) {
			text = append(text, pieces[r.IntN(few)]...)
		}
		var cut [][]byte
		for rest := text; len(rest) > 0; {
			n := 1 + r.IntN(len(rest))
			cut, rest = append(cut, rest[:n]), rest[n:]
		}
		for _, canon := range []Canon{Simple, Relaxed} {
			want := canonical(canon, string(text))
			if got := canonicalize(canon, text); got != want {
				t.Fatalf("%d: %q: %q, want %q", canon, text, got, want)
			}
			if got := canonicalize(canon, cut...); got != want {
				t.Fatalf("%d: %q cut into %d: %q, want %q", canon, text, len(cut), got, want)
			}
		}
	}
}

func FuzzBody(f *testing.F) {
	for _, text := range nasty {
		f.Add([]byte(text), uint8(3))
	}
	f.Fuzz(func(t *testing.T, text []byte, at uint8) {
		cut := min(int(at), len(text))
		for _, canon := range []Canon{Simple, Relaxed} {
			if got, want := canonicalize(canon, text[:cut], text[cut:]), canonical(canon, string(text)); got != want {
				t.Errorf("%d: %q cut at %d: %q, want %q", canon, text, cut, got, want)
			}
		}
	})
}

// What is hashed is the canonical body, or its beginning, whoever asks.
func TestBodyHash(t *testing.T) {
	const body = "a  b \r\n\r\nc\r\n\r\n"
	var all, none, some, more *BodyHash
	m := New(Limits{}, func(m *Message) {
		all = m.BodyHash(Relaxed, crypto.SHA256, -1)
		none = m.BodyHash(Relaxed, crypto.SHA256, 0)
		some = m.BodyHash(Relaxed, crypto.SHA256, 4)
		more = m.BodyHash(Simple, crypto.SHA256, 100)
		if m.BodyHash(Relaxed, crypto.SHA256, -7) != all || m.BodyHash(Simple, crypto.SHA256, 100) != more {
			t.Error("hashed twice")
		}
	})
	fmt.Fprintf(m, "From: x\r\n\r\n%s", body)
	if all.Sum() != nil {
		t.Error("a sum before the end")
	}
	m.Close()
	for _, tt := range []struct {
		b      *BodyHash
		hashed string
		octets int64
	}{
		{all, "a b\r\n\r\nc\r\n", 10}, {none, "", 10}, {some, "a b\r", 10}, {more, "a  b \r\n\r\nc\r\n", 12},
	} {
		if want := sha256.Sum256([]byte(tt.hashed)); !bytes.Equal(tt.b.Sum(), want[:]) || tt.b.Octets() != tt.octets {
			t.Errorf("%q: %x of %d octets, want %x of %d", tt.hashed, tt.b.Sum(), tt.b.Octets(), want, tt.octets)
		}
	}
}

// A header that the end of the message ends is judged like another: a body of
// nothing can be hashed.
func TestBodyHashWithoutEmptyLine(t *testing.T) {
	var h *BodyHash
	m := New(Limits{}, func(m *Message) { h = m.BodyHash(Simple, crypto.SHA256, -1) })
	m.Write([]byte("From: a@example.org\r\n"))
	m.Close()
	if want := sha256.Sum256([]byte("\r\n")); !bytes.Equal(h.Sum(), want[:]) { // RFC 6376 §3.4.3
		t.Errorf("%x", h.Sum())
	}
}
