package wire

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// verdict is what becomes of a stream of message data.
type verdict struct {
	content  string
	fault    Event // of the first octet that Lines or MaxLine forbid; More if there is none
	end      bool  // the end of data was found
	consumed int   // octets up to and with the end; without an end, all that can be decided
}

// model reads message data octet by octet, as RFC 5321 §4.5.2 tells it. It is
// what DotScanner is held against. Without dots the last octet stands at the
// end of the last chunk, so that even a CR there is decided.
func model(in []byte, lines Lines, maxLine int, dots bool) (v verdict) {
	var content []byte
	var line int
	bol := true
	defer func() { v.content = string(content) }()
	emit := func(s string) {
		content = append(content, s...)
		line += len(s)
		if bol = s == "\r\n" || s == "\n"; !bol {
			return
		}
		line = 0
	}
	for i := 0; i < len(in); {
		rest := in[i:]
		if dots && bol && rest[0] == '.' {
			switch {
			case bytes.HasPrefix(rest, []byte(".\r\n")):
				v.end, v.consumed = true, i+3
				return v
			case len(rest) == 1 || len(rest) == 2 && rest[1] == '\r':
				v.consumed = i
				return v
			}
			i, bol = i+1, false
			continue
		}
		octets, fault := 1, More
		switch {
		case bytes.HasPrefix(rest, []byte("\r\n")):
			octets = 2
		case rest[0] == '\r' && len(rest) == 1 && dots:
			if v.consumed = i; maxLine > 0 && line+1 > maxLine {
				v.fault = TooLong
			}
			return v
		case rest[0] == '\r' && lines != PassBare:
			fault = BareCR
		case rest[0] == '\n' && lines == RejectBare:
			fault = BareLF
		case rest[0] == 0 && lines != PassBare:
			fault = NUL
		}
		if maxLine > 0 && line+octets > maxLine {
			fault = TooLong
		}
		if v.fault = fault; fault != More {
			if rest[0] == '\r' && !dots {
				content = append(content, '\r') // may be handed out before it is known to be alone
			}
			return v
		}
		if rest[0] == '\n' && lines == NormalizeBareLF {
			emit("\r\n")
		} else {
			emit(string(rest[:octets]))
		}
		if octets == 1 && rest[0] == '\n' {
			bol = false // an LF alone begins no line that could hold the final dot
		}
		i += octets
		v.consumed = i
	}
	return v
}

// scanAll lets a DotScanner see in as the pieces between cuts. Without dots each
// piece is a chunk, and is seen in two parts. After a fault it goes on with
// Ignore, as the server does to find the end.
func scanAll(t *testing.T, in []byte, cuts []int, lines Lines, maxLine int, dots bool) (v verdict) {
	t.Helper()
	var s DotScanner
	s.Reset(lines, maxLine, dots)
	var content []byte
	from, have := 0, 0
	step := func(upTo int, chunkEnd bool) {
		have = upTo
		for rounds := 0; !v.end; rounds++ {
			if rounds > 3*len(in)+9 {
				t.Fatalf("%q %v: no progress", in, cuts)
			}
			got, n, event := s.Next(in[from:have], chunkEnd)
			from += n
			switch {
			case event == End:
				v.end = true
			case event != More:
				if n != 0 || got != nil {
					t.Fatalf("%q %v: %v with %d octets consumed and content %q", in, cuts, event, n, got)
				}
				if v.fault != More {
					t.Fatalf("%q %v: a fault after Ignore", in, cuts)
				}
				v.fault = event
				s.Ignore()
			case n == 0:
				if len(got) > 0 || have-from > 3 || chunkEnd && have > from {
					t.Fatalf("%q %v: %q is left, content %q", in, cuts, in[from:have], got)
				}
				return
			case v.fault == More:
				content = append(content, got...)
			}
		}
	}
	for _, cut := range append(slices.Clone(cuts), len(in)) {
		if !dots {
			step(have+(cut-have)/2, false)
		}
		step(cut, !dots)
	}
	if e := s.Finish(); e != More && v.fault == More {
		v.fault = e
	}
	v.content, v.consumed = string(content), from
	return v
}

// compare holds a DotScanner against the model.
func compare(t *testing.T, in []byte, cuts []int, lines Lines, maxLine int, dots bool) {
	t.Helper()
	want := model(in, lines, maxLine, dots)
	got := scanAll(t, in, cuts, lines, maxLine, dots)
	ok := got == want
	if want.fault != More {
		// Which of several faults is met first, and how much was handed out
		// before, depends on the cuts. That there is one does not, and neither
		// does where the data ends.
		all := model(in, PassBare, 0, dots)
		ok = got.fault != More && strings.HasPrefix(want.content, got.content) &&
			got.end == all.end && got.consumed == all.consumed
	}
	if !ok {
		t.Fatalf("%q cut at %v, lines %d, max %d, dots %t:\ngot  %+v\nwant %+v", in, cuts, lines, maxLine, dots, got, want)
	}
}

// everyCut compares with the input whole, cut at every place, and octet by octet.
func everyCut(t *testing.T, in []byte, lines Lines, maxLine int, dots bool) {
	t.Helper()
	compare(t, in, nil, lines, maxLine, dots)
	var all []int
	for i := 1; i < len(in); i++ {
		compare(t, in, []int{i}, lines, maxLine, dots)
		all = append(all, i)
	}
	compare(t, in, all, lines, maxLine, dots)
}

var allLines = []Lines{RejectBare, NormalizeBareLF, PassBare}

// Every string of up to six octets that matter.
func TestDotScannerExhaustively(t *testing.T) {
	const alphabet = "\r\n.a\x00"
	length := 6
	if testing.Short() {
		length = 4
	}
	in := make([]byte, 0, length)
	var extend func()
	extend = func() {
		for _, lines := range allLines {
			everyCut(t, in, lines, 0, true)
			everyCut(t, in, lines, 3, len(in)%2 == 0)
			everyCut(t, in, lines, 0, false)
		}
		if len(in) == length {
			return
		}
		for i := range len(alphabet) {
			in = append(in, alphabet[i])
			extend()
			in = in[:len(in)-1]
		}
	}
	extend()
}

// lookAlikes are the octets that some servers take for the end of data, or that
// hide it from them.
var lookAlikes = []string{
	"\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r.\r\n", "\r\n.\r", "\r\n..\r\n",
	"\n.\r", "\r.\n", "\r\r\n.\r\n", "\r\n.\r\r\n", "\r\n\r.\r\n", "\r\n.\x00\r\n",
	"\r\n\x00.\r\n", "\r\n. \r\n", "\r\n.\r\x00\n", "\n\n.\r\n", "\r\n.\n\r\n",
	"\r\n\r.\r\nx\n", // the LF comes in time to be seen with the CR
}

func TestDotScannerEndOfDataLookAlikes(t *testing.T) {
	const tail = "MAIL FROM:<evil@example>\r\n"
	for _, alike := range lookAlikes {
		in := []byte("a" + alike + tail + "\r\n.\r\nQUIT\r\n")
		for _, lines := range allLines {
			everyCut(t, in, lines, 0, true)
			v := scanAll(t, in, nil, lines, 0, true)
			if want := len(in) - len("QUIT\r\n"); strings.Contains(alike, "\r\r\n.\r\n") {
				// A CR too many, and then the true end.
				if at := len("a" + alike); v.consumed != at {
					t.Errorf("%q: ends at %d, want %d", alike, v.consumed, at)
				}
			} else if !v.end || v.consumed != want {
				t.Errorf("%q: ends at %d, want %d", alike, v.consumed, want)
			}
		}
	}
}

func TestDotScannerContent(t *testing.T) {
	for _, tt := range []struct{ in, content string }{
		{".\r\n", ""},
		{"\r\n.\r\n", "\r\n"},
		{"a\r\n.\r\n", "a\r\n"},
		{"..\r\n.\r\n", ".\r\n"},
		{".a\r\n.\r\n", "a\r\n"},
		{"a\r\n...\r\nb.\r\n.\r\n", "a\r\n..\r\nb.\r\n"},
	} {
		everyCut(t, []byte(tt.in), RejectBare, 0, true)
		v := scanAll(t, []byte(tt.in), nil, RejectBare, 0, true)
		if v.content != tt.content || !v.end || v.consumed != len(tt.in) {
			t.Errorf("%q: %+v, want content %q", tt.in, v, tt.content)
		}
	}
}

func TestDotScannerFaults(t *testing.T) {
	for _, tt := range []struct {
		in        string
		reject    Event
		normalize string // content; "" if it stops
	}{
		{"a\nb\r\n.\r\n", BareLF, "a\r\nb\r\n"},
		{"\n\n\r\n.\r\n", BareLF, "\r\n\r\n\r\n"},
		{"a\r\n\n.\r\n\r\n.\r\n", BareLF, "a\r\n\r\n.\r\n\r\n"},
		{"a\rb\r\n.\r\n", BareCR, ""},
		{"a\r\r\n.\r\n", BareCR, ""},
		{"a\x00\r\n.\r\n", NUL, ""},
	} {
		if v := scanAll(t, []byte(tt.in), nil, RejectBare, 0, true); v.fault != tt.reject {
			t.Errorf("%q: fault %d, want %d", tt.in, v.fault, tt.reject)
		}
		v := scanAll(t, []byte(tt.in), nil, NormalizeBareLF, 0, true)
		if v.content != tt.normalize || (v.fault == More) != (tt.normalize != "") {
			t.Errorf("%q normalized: %+v", tt.in, v)
		}
		pass := scanAll(t, []byte(tt.in), nil, PassBare, 0, true)
		if want := strings.TrimSuffix(tt.in, ".\r\n"); pass.content != want || pass.fault != More {
			t.Errorf("%q passed: %+v", tt.in, pass)
		}
	}
}

func TestDotScannerMaxLine(t *testing.T) {
	for _, tt := range []struct {
		line string
		long bool
	}{
		{"1234567", false},
		{"12345678", false},
		{"123456789", true},
		{".12345678", false}, // the dot that is undone does not count, §4.5.3.1.6
		{".123456789", true},
	} {
		for _, dots := range []bool{true, false} {
			in := []byte("ab\r\n" + tt.line + "\r\ncd\r\n.\r\n")
			if !dots {
				in = []byte("ab\r\n" + strings.TrimPrefix(tt.line, ".") + "\r\ncd\r\n")
			}
			everyCut(t, in, RejectBare, 10, dots)
			if v := scanAll(t, in, nil, RejectBare, 10, dots); (v.fault == TooLong) != tt.long {
				t.Errorf("%q with dots %t: %+v", in, dots, v)
			}
		}
	}
}

func TestDotScannerFinish(t *testing.T) {
	for in, want := range map[string]Event{"a\r\n": More, "a\r": BareCR, "": More, "a": More} {
		var s DotScanner
		s.Reset(RejectBare, 0, false)
		s.Next([]byte(in), true)
		if got := s.Finish(); got != want {
			t.Errorf("%q: %d, want %d", in, got, want)
		}
	}
}

// The cuts of a fuzz input are lengths of pieces, repeated as needed.
func FuzzDotScanner(f *testing.F) {
	for _, alike := range lookAlikes {
		in := "a" + alike + "b\r\n.\r\n"
		f.Add([]byte(in), []byte{255}, byte(0))
		for i := 1; i < len(in); i++ {
			f.Add([]byte(in), []byte{byte(i), 255}, byte(i))
		}
	}
	f.Add([]byte(strings.Repeat("x", 300)+"\r\n.\r\n"), []byte{7}, byte(6))
	f.Fuzz(func(t *testing.T, in, pieces []byte, mode byte) {
		var cuts []int
		for i, at := 0, 0; len(pieces) > 0 && len(cuts) < 1000; i++ {
			if at += 1 + int(pieces[i%len(pieces)]); at >= len(in) {
				break
			}
			cuts = append(cuts, at)
		}
		maxLine := []int{0, 10, 78}[mode/6%3]
		compare(t, in, cuts, allLines[mode%3], maxLine, mode/3%2 == 0)
	})
}

func BenchmarkDotScanner(b *testing.B) {
	for _, width := range []int{76, 998} {
		line := strings.Repeat("x", width-2) + "\r\n"
		body := []byte(strings.Repeat(line, (1<<20)/width))
		body = append(body, ".\r\n"...)
		for _, lines := range []Lines{RejectBare, PassBare} {
			b.Run(fmt.Sprintf("lines=%d/width=%d", lines, width), func(b *testing.B) {
				b.SetBytes(int64(len(body)))
				b.ReportAllocs()
				for b.Loop() {
					var s DotScanner
					s.Reset(lines, 0, true)
					for p := body; ; {
						// As a large buffer shows it.
						_, n, event := s.Next(p[:min(len(p), LargeBuffer)], false)
						if p = p[n:]; event == End {
							break
						}
					}
				}
			})
		}
	}
}
