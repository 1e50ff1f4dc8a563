package wire

import (
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
)

func TestReplyReader(t *testing.T) {
	long := strings.Repeat("x", MaxReplyLine)
	for _, c := range []struct {
		name, in string
		code     int
		raw      string // "" means in
		err      error
	}{
		{name: "one line", in: "250 ok\r\n", code: 250},
		{name: "code only", in: "250\r\n", code: 250},
		{name: "code and blank", in: "354 \r\n", code: 354},
		{name: "several lines", in: "250-a\r\n250-\r\n250 c\r\n", code: 250},
		{name: "several lines, last without text", in: "250-a\r\n250\r\n", code: 250},
		{name: "LF alone", in: "250-a\n250 b\n", code: 250},
		{name: "octets above 127 and HT", in: "550 \xff\t\xc3\xa9\r\n", code: 550},
		{name: "the next is left", in: "250 a\r\n550 b\r\n", code: 250, raw: "250 a\r\n"},
		{name: "longest line", in: "250 " + long[:MaxReplyLine-6] + "\r\n", code: 250},
		{name: "most lines", in: strings.Repeat("250-x\r\n", 7) + "250 x\r\n", code: 250},

		{name: "nothing", in: "", err: io.EOF},
		{name: "half a line", in: "250 o", err: io.ErrUnexpectedEOF},
		{name: "half a reply", in: "250-o\r\n", err: io.ErrUnexpectedEOF},
		{name: "line too long", in: "250 " + long[:MaxReplyLine-5] + "\r\n", err: ErrReplyLine},
		{name: "endless line", in: strings.Repeat("2", 2*MaxReply), err: ErrReplyLine},
		{name: "too many lines", in: strings.Repeat("250-x\r\n", 8) + "250 x\r\n", err: ErrReplyLines},
		{name: "empty line", in: "\r\n", err: ErrReplyCode},
		{name: "two digits", in: "25 ok\r\n", err: ErrReplyCode},
		{name: "four digits", in: "2500 ok\r\n", err: ErrReplySep},
		{name: "100", in: "150 ok\r\n", err: ErrReplyCode},
		{name: "600", in: "600 ok\r\n", err: ErrReplyCode},
		{name: "no code", in: "HTTP/1.1 400 Bad Request\r\n", err: ErrReplyCode},
		{name: "blank before", in: " 250 ok\r\n", err: ErrReplyCode},
		{name: "sign", in: "+50 ok\r\n", err: ErrReplyCode},
		{name: "no separator", in: "250_ok\r\n", err: ErrReplySep},
		{name: "codes differ", in: "250-a\r\n550 b\r\n", err: ErrReplyMixed},
		{name: "NUL", in: "250 a\x00\r\n", err: ErrReplyOctet},
		{name: "CR alone", in: "250 a\r250 b\r\n", err: ErrReplyOctet},
		{name: "CR CR LF", in: "250 a\r\r\n", err: ErrReplyOctet},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, r := range []io.Reader{strings.NewReader(c.in), iotest.OneByteReader(strings.NewReader(c.in)), iotest.DataErrReader(strings.NewReader(c.in))} {
				in := ReplyReader{R: r}
				code, raw, err := in.Next(8)
				want := c.raw
				if want == "" && c.err == nil {
					want = c.in
				}
				if code != c.code || string(raw) != want || !errors.Is(err, c.err) {
					t.Fatalf("%d %q %v, want %d %q %v", code, raw, err, c.code, want, c.err)
				}
			}
		})
	}
}

func TestReplyReaderSequence(t *testing.T) {
	in := ReplyReader{R: iotest.HalfReader(strings.NewReader("220 hi\r\n250-a\r\n250 b\r\n" + strings.Repeat("354 go\r\n", 300)))}
	for i, want := range append([]string{"220 hi\r\n", "250-a\r\n250 b\r\n"}, strings.Split(strings.Repeat("354 go\r\n|", 299)+"354 go\r\n", "|")...) {
		if _, raw, err := in.Next(8); string(raw) != want || err != nil {
			t.Fatalf("reply %d: %q %v", i, raw, err)
		}
	}
	if n := in.Buffered(); n != 0 {
		t.Errorf("%d octets left", n)
	}
}

// A reply of lines that are each short enough is still bounded as a whole, and the
// memory it took is given back.
func TestReplyReaderBounds(t *testing.T) {
	line := "250-" + strings.Repeat("x", 4000) + "\r\n"
	in := ReplyReader{R: strings.NewReader(strings.Repeat(line, 100))}
	if _, _, err := in.Next(1000); err != ErrReplySize {
		t.Fatalf("error %v", err)
	}
	if len(in.buf) > MaxReply {
		t.Errorf("a buffer of %d octets", len(in.buf))
	}
	if _, _, err := in.Next(1000); err != ErrReplySize {
		t.Errorf("the next call says %v", err)
	}

	in = ReplyReader{R: strings.NewReader(strings.Repeat(line, 10) + "250 x\r\n220 y\r\n")}
	if _, _, err := in.Next(1000); err != nil {
		t.Fatal(err)
	}
	in.Next(8)
	if in.Next(8); len(in.buf) > keepReplyBuffer {
		t.Errorf("%d octets are kept", len(in.buf))
	}
}

func TestReplyReaderNoProgress(t *testing.T) {
	in := ReplyReader{R: idleReader{}}
	if _, _, err := in.Next(8); err != io.ErrNoProgress {
		t.Errorf("error %v", err)
	}
}

type idleReader struct{}

func (idleReader) Read([]byte) (int, error) { return 0, nil }

func FuzzReplyReader(f *testing.F) {
	for _, seed := range []string{
		"250 ok\r\n", "250-a\r\n250 b\r\n", "250-a\n250 b\n", "421\r\n", "550-5.1.1 x\r\n551 y\r\n",
		"250 a\r250 b\r\n", "2", "\xff\x00\r\n", strings.Repeat("250-x\r\n", 200),
	} {
		f.Add(seed, uint8(4))
	}
	f.Fuzz(func(t *testing.T, in string, lines uint8) {
		whole, bytewise := ReplyReader{R: strings.NewReader(in)}, ReplyReader{R: iotest.OneByteReader(strings.NewReader(in))}
		for taken := 0; ; {
			code, raw, err := whole.Next(int(lines) + 1)
			code2, raw2, err2 := bytewise.Next(int(lines) + 1)
			if code != code2 || string(raw) != string(raw2) || err != err2 {
				t.Fatalf("whole: %d %q %v; octet by octet: %d %q %v", code, raw, err, code2, raw2, err2)
			}
			if err != nil {
				return
			}
			if !strings.HasPrefix(in[taken:], string(raw)) || len(raw) > MaxReply {
				t.Fatalf("%q is not what comes at %d of %q", raw, taken, in)
			}
			taken += len(raw)
			n := strings.Count(string(raw), "\n")
			if code < 200 || code > 599 || n < 1 || n > int(lines)+1 {
				t.Fatalf("code %d, %d lines", code, n)
			}
			for line := range strings.Lines(string(raw)) {
				if !strings.HasPrefix(line, strconv.Itoa(code)) || len(line) > MaxReplyLine {
					t.Fatalf("line %q in a %d reply", line, code)
				}
			}
		}
	})
}

func BenchmarkReplyReader(b *testing.B) {
	replies := "250 2.1.0 sender ok\r\n250 2.1.5 recipient ok\r\n354 go ahead\r\n250 2.0.0 queued as 4fJk2T\r\n"
	in := ReplyReader{R: &endless{s: replies}}
	b.SetBytes(int64(len(replies)))
	b.ReportAllocs()
	for b.Loop() {
		for range 4 {
			if _, _, err := in.Next(8); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// endless gives s again and again, once a Read.
type endless struct{ s string }

func (e *endless) Read(p []byte) (int, error) { return copy(p, e.s), nil }
