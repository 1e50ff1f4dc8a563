package wire

import (
	"bytes"
	"strings"
	"testing"
)

func TestDotWriter(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", ".\r\n"},
		{"a\r\n", "a\r\n.\r\n"},
		{"a", "a\r\n.\r\n"},
		{".", "..\r\n.\r\n"},
		{".\r\n", "..\r\n.\r\n"},
		{"..\r\n", "...\r\n.\r\n"},
		{"a\r\n.b\r\n..c\r\n", "a\r\n..b\r\n...c\r\n.\r\n"},
		{"\r\n.\r\n.\r\n", "\r\n..\r\n..\r\n.\r\n"},
		{"a.b\r\nc.\r\n", "a.b\r\nc.\r\n.\r\n"},
		{"a\n.b\r\n", "a\n.b\r\n.\r\n"},          // LF alone begins no line
		{"a\r.b\r\n", "a\r.b\r\n.\r\n"},          // nor does CR
		{"a\r\r\n.b\r\n", "a\r\r\n..b\r\n.\r\n"}, // the second CR does
		{"a\r", "a\r\r\n.\r\n"},
		{"a\n", "a\n\r\n.\r\n"},
	} {
		// Every way to cut the message in three gives the same.
		for i := range len(c.in) + 1 {
			for j := i; j <= len(c.in); j++ {
				w := DotWriter{Plain: !strings.Contains("\r\n"+c.in, "\r\n.")}
				got := w.Append(nil, []byte(c.in[:i]))
				got = w.Append(got, []byte(c.in[i:j]))
				got = w.Append(got, []byte(c.in[j:]))
				if got = w.AppendEnd(got); string(got) != c.want {
					t.Errorf("%q cut at %d and %d: %q, want %q", c.in, i, j, got, c.want)
				}
				if got = w.AppendEnd(got[:0]); string(got) != ".\r\n" {
					t.Errorf("%q: a new message after the end gives %q", c.in, got)
				}
			}
		}
	}
}

// Lines that are all alike are leapt over. What lies within such a jump is found
// all the same.
func TestDotWriterLeaps(t *testing.T) {
	alike := strings.Repeat(strings.Repeat("x", 75)+"\r\n", 250)
	for _, odd := range []string{
		strings.Repeat("x", 38) + "\r\n." + strings.Repeat("x", 34) + "\r\n", // two lines as long as one
		strings.Repeat("x", 38) + "\n." + strings.Repeat("x", 35) + "\r\n",
		strings.Repeat("x", 38) + "\r." + strings.Repeat("x", 35) + "\r\n",
		strings.Repeat("x", 74) + ".\n",
		strings.Repeat("x", 76) + "\n.\r\n",
		"." + strings.Repeat("x", 74) + "\r\n",
		".\r\n", "\r\n.\r\n", "\r\r\n.\r\n", "\n.\r\n", "\n\r\n.\n.\r\n",
		strings.Repeat("\r\n", 38) + ".\r\n",
		strings.Repeat("y", 3000) + "\r\n.\r\n",
	} {
		message := alike + odd + alike + odd
		want := strings.ReplaceAll(message, "\r\n.", "\r\n..")
		for _, piece := range []int{1, 77, 1000, 16 << 10, len(message)} {
			var w DotWriter
			var got []byte
			for rest := []byte(message); len(rest) > 0; {
				n := min(piece, len(rest))
				got = w.Append(got, rest[:n])
				rest = rest[n:]
			}
			if string(got) != want {
				t.Errorf("%.90q among lines alike, in pieces of %d: not what it should be", odd, piece)
			}
		}
	}
}

func TestDotWriterSegments(t *testing.T) {
	message := []byte(strings.Repeat(".line\r\n..two\r\nthree\r\n\r\n.\r\n", 20))
	var plain DotWriter
	want := plain.AppendEnd(plain.Append(nil, message))
	for _, max := range []int{3, 4, 7, 1000} {
		for _, piece := range []int{1, 2, 3, 5, 64, len(message)} {
			var w DotWriter
			var got []byte
			for rest := message; len(rest) > 0; {
				p := rest[:min(piece, len(rest))]
				segs, n := w.Segments(nil, p, max)
				if n == 0 || len(segs) > max {
					t.Fatalf("max %d, piece %d: %d segments cover %d octets", max, piece, len(segs), n)
				}
				got = append(got, bytes.Join(segs, nil)...)
				rest = rest[n:]
			}
			if got = w.AppendEnd(got); !bytes.Equal(got, want) {
				t.Errorf("max %d, piece %d:\n%q\nwant\n%q", max, piece, got, want)
			}
		}
	}
}

// Segments must hand out the caller's memory, not a copy of it.
func TestDotWriterSegmentsDoNotCopy(t *testing.T) {
	message := []byte("one\r\n.two\r\n")
	var w DotWriter
	if n := testing.AllocsPerRun(100, func() {
		var room [8][]byte
		w.Segments(room[:0], message, 8)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	segs, _ := new(DotWriter).Segments(nil, message, 8)
	if len(segs) != 2 || &segs[0][0] != &message[0] || &segs[1][0] != &message[5] {
		t.Errorf("segments %q", segs)
	}
}

// What DotWriter makes of a message, DotScanner makes the message of again, and
// finds its end where it is and nowhere else.
func FuzzDotWriter(f *testing.F) {
	f.Add([]byte("Subject: x\r\n\r\n.hidden\r\n..\r\n"), uint8(3), uint8(2))
	f.Add([]byte(".\r\n"), uint8(1), uint8(2))
	f.Add([]byte("a\r\n.\r\nMAIL FROM:<>\r\n"), uint8(7), uint8(5))
	f.Add([]byte("\r\r\n.\n.\r\n\r"), uint8(1), uint8(9))
	f.Add([]byte(""), uint8(0), uint8(0))
	f.Fuzz(func(t *testing.T, message []byte, cut, max uint8) {
		var w, v DotWriter
		var copied, direct []byte
		for rest, n := message, 0; len(rest) > 0; rest = rest[n:] {
			p := rest[:min(len(rest), int(cut)+1)]
			var segs [][]byte
			segs, n = w.Segments(nil, p, int(max)+3)
			direct = append(direct, bytes.Join(segs, nil)...)
			copied = v.Append(copied, p[:n])
		}
		copied, direct = v.AppendEnd(copied), w.AppendEnd(direct)
		if !bytes.Equal(copied, direct) {
			t.Fatalf("Append %q, Segments %q", copied, direct)
		}
		if i := bytes.Index(append([]byte("\r\n"), copied...), []byte("\r\n.\r\n")); i != len(copied)-3 {
			t.Fatalf("%q ends at %d", copied, i)
		}
		want := message
		if len(message) > 0 && !bytes.HasSuffix(message, []byte("\r\n")) {
			want = append(bytes.Clone(message), "\r\n"...)
		}
		if got := unstuff(t, copied, int(max)+1); !bytes.Equal(got, want) {
			t.Fatalf("%q came back as %q", want, got)
		}
	})
}

// unstuff gives wire to a DotScanner, step octets more at a time.
func unstuff(t *testing.T, wire []byte, step int) (message []byte) {
	var s DotScanner
	s.Reset(PassBare, 0, true)
	for have, from := 0, 0; ; {
		content, n, event := s.Next(wire[from:have], false)
		message = append(message, content...)
		from += n
		switch {
		case event == End && from == len(wire):
			return message
		case event != More:
			t.Fatalf("event %v after %d of %d octets", event, from, len(wire))
		case n == 0 && have == len(wire):
			t.Fatalf("no end in %q", wire)
		case n == 0:
			have = min(len(wire), have+step)
		}
	}
}

func BenchmarkDotWriter(b *testing.B) {
	line := strings.Repeat("0123456789abcdef", 5)[:73] + "\r\n"
	message := []byte(strings.Repeat(line, (64<<10)/len(line)))
	b.Run("Append", func(b *testing.B) {
		dst := make([]byte, 0, len(message)+64)
		b.SetBytes(int64(len(message)))
		b.ReportAllocs()
		for b.Loop() {
			var w DotWriter
			dst = w.Append(dst[:0], message)
		}
	})
	b.Run("Segments", func(b *testing.B) {
		segs := make([][]byte, 0, 8)
		b.SetBytes(int64(len(message)))
		b.ReportAllocs()
		for b.Loop() {
			var w DotWriter
			segs, _ = w.Segments(segs[:0], message, 8)
		}
	})
}
