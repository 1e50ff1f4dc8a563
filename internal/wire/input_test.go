package wire

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
)

// reads is a connection whose Read returns one string after the other.
type reads struct {
	net.Conn
	left []string
}

func (r *reads) Read(p []byte) (int, error) {
	if len(r.left) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.left[0])
	if r.left[0] = r.left[0][n:]; r.left[0] == "" {
		r.left = r.left[1:]
	}
	return n, nil
}

// inPieces cuts s into pieces of n octets.
func inPieces(s string, n int) *reads {
	r := new(reads)
	for ; len(s) > n; s = s[n:] {
		r.left = append(r.left, s[:n])
	}
	if s != "" {
		r.left = append(r.left, s)
	}
	return r
}

// allLinesOf reads until the end. A line that is wrong is shown by its error.
func allLinesOf(t *testing.T, in *Input, limit int) (lines []string) {
	t.Helper()
	for {
		line, ok, err := in.Line(limit)
		switch {
		case err == ErrBareLF:
			lines = append(lines, "bare LF: "+string(line))
		case err != nil:
			lines = append(lines, err.Error()+" "+string(line))
		case ok:
			lines = append(lines, string(line))
		}
		if ok {
			continue
		}
		if err := in.Fill(true, false); err == io.EOF {
			return lines
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func TestInputLine(t *testing.T) {
	const limit = 10
	const tooLong = "wire: line too long "
	for _, tt := range []struct {
		in   string
		want []string
	}{
		{"a\r\nbc\r\n\r\nd\r\n", []string{"a", "bc", "", "d"}},
		{"12345678\r\nx\r\n", []string{"12345678", "x"}},
		{"123456789\r\nx\r\n", []string{tooLong + "12345678", "x"}},
		{strings.Repeat("y", 40000) + "\r\nx\r\n", []string{tooLong + "yyyyyyyy", "x"}},
		{strings.Repeat("y", 40000) + "\nx\r\n", []string{tooLong + "yyyyyyyy", "x"}},
		{"a\nb\r\n\nc\r\n", []string{"bare LF: a", "b", "bare LF: ", "c"}},
		{"a\rb\r\n\r\r\n", []string{"a\rb", "\r"}},
		{"a\x00\r\n", []string{"a\x00"}},
		{"a\r\nunfinished", []string{"a"}},
		{"a\r\nunfinished and too long", []string{"a"}},
		{"", nil},
	} {
		for _, size := range []int{1, 2, 3, 7, 4096, 1 << 20} {
			var in Input
			in.Reset(inPieces(tt.in, size), false)
			if got := allLinesOf(t, &in, limit); fmt.Sprint(got) != fmt.Sprint(tt.want) {
				t.Errorf("%.60q in pieces of %d: %q, want %q", tt.in, size, got, tt.want)
			}
			in.Close()
		}
	}
}

// The limit may differ from one line to the next, and what was looked at under
// one limit is not looked at again under another.
func TestInputLimitChanges(t *testing.T) {
	var in Input
	in.Reset(inPieces("12345678\r\n12345678\r\n", 4), false)
	defer in.Close()
	for range 2 {
		if err := in.Fill(false, false); err != nil {
			t.Fatal(err)
		}
		if line, ok, err := in.Line(10); ok || err != nil {
			t.Fatalf("%q %v before the end came", line, err)
		}
		if in.scanned != len(in.Unread()) {
			t.Errorf("%d octets were looked at of %d", in.scanned, len(in.Unread()))
		}
	}
	in.Fill(false, false)
	if line, _, err := in.Line(10); string(line) != "12345678" || err != nil {
		t.Fatalf("%q, %v", line, err)
	}
	in.Fill(false, false)
	in.Fill(false, false)
	if _, ok, err := in.Line(9); !ok || err != ErrLineTooLong {
		t.Fatalf("%t, %v", ok, err)
	}
}

func TestInputUnreadAndConsume(t *testing.T) {
	var in Input
	in.Reset(inPieces("a\r\nbody octets\r\n.\r\nb\r\n", 100), false)
	defer in.Close()
	in.Fill(true, false)
	in.Line(512)
	if got := string(in.Unread()); got != "body octets\r\n.\r\nb\r\n" {
		t.Fatalf("%q", got)
	}
	in.Consume(len("body octets\r\n.\r\n"))
	if line, ok, err := in.Line(512); string(line) != "b" || !ok || err != nil {
		t.Fatalf("%q, %t, %v", line, ok, err)
	}
	if in.Release(); in.buf != nil {
		t.Error("the buffer is kept though nothing is in it")
	}
	in.Reset(inPieces("unfinished", 100), false)
	in.Fill(true, false)
	in.Line(512)
	if in.Close(); in.buf != nil || len(in.Unread()) > 0 {
		t.Errorf("Close has left %q", in.Unread())
	}
	if line, ok, err := in.Line(512); ok || err != nil {
		t.Errorf("%q, %v after Close", line, err)
	}
}

func TestInputResetDropsWhatIsUnread(t *testing.T) {
	var in Input
	in.Reset(inPieces(strings.Repeat("x", 600)+"\r\n", 500), false)
	in.Fill(true, false)
	if _, ok, _ := in.Line(100); ok {
		t.Fatal("a line")
	}
	in.Fill(true, false) // the rest of an over-long line
	if n := in.Reset(inPieces("a\r\n", 9), false); n != 102 {
		t.Errorf("%d dropped, want 102", n)
	}
	defer in.Close()
	if got := allLinesOf(t, &in, 100); fmt.Sprint(got) != "[a]" {
		t.Errorf("%q: the new connection begins with an old line's end", got)
	}
}

// A body may leave some octets undecided while the buffer grows and is moved.
func TestInputKeepsWhatIsUnreadWhileTheBufferChanges(t *testing.T) {
	var text strings.Builder
	for i := range 40000 {
		fmt.Fprintf(&text, "%d\r\n", i)
	}
	var in Input
	in.Reset(inPieces(text.String(), 1<<20), false)
	defer in.Close()
	var got strings.Builder
	for round := 0; ; round++ {
		err := in.Fill(false, round > 2)
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		keep := min(round%5*30, len(in.Unread()))
		n := len(in.Unread()) - keep
		got.Write(in.Unread()[:n])
		in.Consume(n)
	}
	got.Write(in.Unread())
	if got.String() != text.String() {
		t.Error("octets were lost or repeated")
	}
	if len(in.buf) != LargeBuffer {
		t.Errorf("a buffer of %d", len(in.buf))
	}
}

// The little that is left of a buffer does not keep the next read small.
func TestInputReadsMuchBehindLittle(t *testing.T) {
	const n = SmallBuffer - 100
	var in Input
	in.Reset(inPieces(strings.Repeat("x", 4*n), n), false)
	defer in.Close()
	for left := 0; left < 4; left++ {
		if err := in.Fill(false, false); err != nil {
			t.Fatal(err)
		}
		if got := len(in.Unread()); got != left+n {
			t.Fatalf("%d octets, want %d", got, left+n)
		}
		in.Consume(n - 1)
	}
}

// stuck is a connection whose Read does nothing, against the rules.
type stuck struct{ net.Conn }

func (stuck) Read([]byte) (int, error) { return 0, nil }

func TestInputFillNeedsProgress(t *testing.T) {
	for _, encrypted := range []bool{false, true} {
		for _, idle := range []bool{false, true} {
			var in Input
			in.Reset(stuck{}, encrypted)
			if err := in.Fill(idle, false); err != io.ErrNoProgress {
				t.Errorf("encrypted %t, idle %t: %v", encrypted, idle, err)
			}
			in.Close()
		}
	}
}

func TestInputAllocatesNothing(t *testing.T) {
	client, server, _ := connections(t)["TCP"]()
	defer client.Close()
	defer server.Close()
	var in Input
	in.Reset(server, false)
	defer in.Close()
	group := []byte("MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n")
	for _, large := range []bool{false, true} {
		allocs := testing.AllocsPerRun(200, func() {
			client.Write(group)
			for lines := 0; lines < 3; {
				if _, ok, _ := in.Line(512); ok {
					lines++
				} else if err := in.Fill(true, large); err != nil {
					t.Fatal(err)
				}
			}
			in.Release() // as who waits has done
		})
		if allocs > 0 {
			t.Errorf("%g allocations for three lines, large %t", allocs, large)
		}
	}
	allocs := testing.AllocsPerRun(200, func() { // what grows gives back what it had
		for _, large := range []bool{false, true} {
			client.Write(group)
			if err := in.Fill(true, large); err != nil {
				t.Fatal(err)
			}
		}
		in.Close()
	})
	if allocs > 0 {
		t.Errorf("%g allocations to grow", allocs)
	}
}
