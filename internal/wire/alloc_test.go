package wire

import (
	"strings"
	"testing"
)

// What is done for each line, reply and block of data allocates nothing.
func TestNoAllocations(t *testing.T) {
	text := []byte(strings.Repeat(strings.Repeat("x", 73)+"\r\n", 50) + "..stuffed\r\n.\r\n")
	stray := []byte(strings.Repeat("x\n", 50) + ".\r\n")
	replies := ReplyReader{R: &endless{s: "250-mx.example\r\n250 2.1.0 sender ok\r\n"}}
	if _, _, err := replies.Next(8); err != nil { // it takes a buffer
		t.Fatal(err)
	}
	for name, f := range map[string]func(){
		"DotScanner":             func() { scanOnce(text, RejectBare, true) },
		"DotScanner of a chunk":  func() { scanOnce(text, PassBare, false) },
		"DotScanner, normalizes": func() { scanOnce(stray, NormalizeBareLF, true) },
		"ReplyReader":            func() { replies.Next(8) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}

// scanOnce scans p to its end and returns how many octets of content it has.
func scanOnce(p []byte, lines Lines, dots bool) (octets int) {
	var s DotScanner
	for s.Reset(lines, 0, dots); ; {
		content, n, event := s.Next(p, !dots)
		if octets, p = octets+len(content), p[n:]; n == 0 || event != More {
			return octets
		}
	}
}

func BenchmarkInputLine(b *testing.B) {
	group := "MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n"
	var in Input
	in.buf = getBuffer(false)
	in.w = copy(in.buf, group)
	defer in.Close()
	b.SetBytes(int64(len(group)))
	b.ReportAllocs()
	for b.Loop() {
		for range 3 {
			if _, ok, err := in.Line(512); !ok || err != nil {
				b.Fatal(err)
			}
		}
		in.r = 0
	}
}
