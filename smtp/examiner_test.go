package smtp

import (
	"strings"
	"testing"
)

var examinerTests = []struct {
	name string
	text string
	want Kind
}{
	{"empty", "", 0},
	{"plain", plainMessage, 0},
	{"header only", "A: b\r\n", 0},
	{"8-bit body", "A: b\r\n\r\nü\r\n", Kind8Bit},
	{"8-bit body, not UTF-8", "A: b\r\n\r\n\xff\r\n", Kind8Bit},
	{"8-bit, the lowest", "A: b\r\n\r\n\x80\r\n", Kind8Bit},
	{"8-bit header", "A: ü\r\n\r\nx\r\n", Kind8Bit | KindUTF8Header},
	{"8-bit header cut short", "A: ü", Kind8Bit | KindUTF8Header | KindBareLineEnd},
	{"8-bit in both", "A: ü\r\n\r\nü\r\n", Kind8Bit | KindUTF8Header},
	{"8-bit, no header", "\r\nü\r\n", Kind8Bit},
	{"8-bit far into the body", "A: b\r\n\r\n" + strings.Repeat("line\r\n", 5000) + "ü\r\n", Kind8Bit},
	{"8-bit far into the header", strings.Repeat("A: b\r\n", 5000) + "B: ü\r\n\r\n", Kind8Bit | KindUTF8Header},
	{"bare LF", "A: b\n\r\nx\r\n", KindBareLineEnd},
	{"bare LF ends the header", "A: b\n\nü\r\n", KindBareLineEnd | Kind8Bit},
	{"bare LF first", "\nA: b\r\n", KindBareLineEnd},
	{"bare CR", "A: b\r\n\r\nx\ry\r\n", KindBareLineEnd},
	{"bare CR first", "\rA: b\r\n", KindBareLineEnd},
	{"bare CR last", "A: b\r\n\r", KindBareLineEnd},
	{"CR CR LF", "A: b\r\r\n", KindBareLineEnd},
	{"LF CR", "A: b\r\n\n\r\r\n", KindBareLineEnd},
	{"no line end", "A: b", KindBareLineEnd},
	{"LF at the end", "A: b\n", KindBareLineEnd},
	{"CR at the end", "A: b\r", KindBareLineEnd},
	{"NUL", "A: b\r\n\r\n\x00\r\n", KindNUL},
	{"998", "A: b\r\n\r\n" + strings.Repeat("x", 998) + "\r\n", 0},
	{"999", "A: b\r\n\r\n" + strings.Repeat("x", 999) + "\r\n", KindLongLine},
	{"998 and CR", "A: b\r\n\r\n" + strings.Repeat("x", 998) + "\r", KindBareLineEnd},
	{"998 without end", "A: b\r\n\r\n" + strings.Repeat("x", 998), KindBareLineEnd},
	{"999 without end", "A: b\r\n\r\n" + strings.Repeat("x", 999), KindLongLine | KindBareLineEnd},
	{"999 and LF", "A: b\r\n\r\n" + strings.Repeat("x", 999) + "\n", KindLongLine | KindBareLineEnd},
	{"lines alike", "A: b\r\n\r\n" + alike, 0},
	{"two lines as long as one", "A: b\r\n\r\n" + alike + strings.Repeat("x", 38) + "\r\n" + strings.Repeat("x", 35) + "\r\n" + alike, 0},
	{"bare LF in a line as long as all", "A: b\r\n\r\n" + alike + strings.Repeat("x", 38) + "\n" + strings.Repeat("x", 36) + "\r\n" + alike, KindBareLineEnd},
	{"bare CR in a line as long as all", "A: b\r\n\r\n" + alike + strings.Repeat("x", 38) + "\r" + strings.Repeat("x", 36) + "\r\n" + alike, KindBareLineEnd},
	{"999 among lines alike", "A: b\r\n\r\n" + alike + strings.Repeat("x", 999) + "\r\n" + alike, KindLongLine},
	{"many of 999", "A: b\r\n\r\n" + strings.Repeat(strings.Repeat("x", 999)+"\r\n", 100), KindLongLine},
	{"ragged", "A: b\r\n\r\n" + strings.Repeat("x\r\nxx\r\nxxx\r\n", 5000), 0},
	{"endless line", strings.Repeat("x", 100000), KindLongLine | KindBareLineEnd},
	{"everything", "ü\x00\n\r\n" + strings.Repeat("x", 999), Kind8Bit | KindUTF8Header | KindNUL | KindBareLineEnd | KindLongLine},
}

// alike is more than a block of lines of 77 octets.
var alike = strings.Repeat(strings.Repeat("y", 75)+"\r\n", 300)

func TestExaminer(t *testing.T) {
	for _, test := range examinerTests {
		if got := slowKind(test.text); got != test.want|KindExamined {
			t.Errorf("%s: slowKind says %07b, want %07b", test.name, got, test.want|KindExamined)
		}
		for _, chunk := range []int{len(test.text), 1, 2, 3, 7, 1000} {
			if got := examineChunks(test.text, chunk); got != test.want|KindExamined {
				t.Errorf("%s in chunks of %d: %07b, want %07b", test.name, chunk, got, test.want|KindExamined)
			}
		}
	}
}

func examineChunks(text string, chunk int) Kind {
	var e Examiner
	for len(text) > 0 {
		n := min(max(chunk, 1), len(text))
		if m, err := e.Write([]byte(text[:n])); m != n || err != nil {
			panic("Write")
		}
		e.Kind()
		text = text[n:]
	}
	return e.Kind()
}

func TestExaminerDots(t *testing.T) {
	for text, want := range map[string]bool{
		"":                               false,
		".":                              true,
		"a.\r\n":                         false,
		"A: b\r\n.":                      true,
		"A: b\r\n\r\n.\r\n":              true,
		"A: b\r\n\r\na\n.\r\n":           true,
		"A: b\r\n\r\na\r.\r\n":           false,
		"A: b\r\n\r\n" + alike:           false,
		"A: b\r\n\r\n" + alike + ".\r\n": true,
		"A: b\r\n\r\n" + alike + "." + strings.Repeat("x", 74) + "\r\n" + alike:                       true,
		"A: b\r\n\r\n" + alike + strings.Repeat("x", 38) + "\r\n." + strings.Repeat("x", 34) + "\r\n": true,
		"A: b\r\n\r\n" + alike + strings.Repeat("x", 38) + "\r\n" + strings.Repeat(".x", 35) + "\r\n": true,
	} {
		for _, chunk := range []int{len(text), 1, 2, 3, 77, 1000} {
			var e Examiner
			for rest := text; rest != ""; {
				n := min(max(chunk, 1), len(rest))
				e.Write([]byte(rest[:n]))
				rest = rest[n:]
			}
			if e.Dots() != want {
				t.Errorf("%.20q, %d octets in chunks of %d: %v", text, len(text), chunk, e.Dots())
			}
		}
	}
}

// slowKind is what Examiner must say, written for clarity.
func slowKind(text string) Kind {
	k := KindExamined
	header := true
	for header || text != "" {
		line, rest, ended := strings.Cut(text, "\n")
		if !ended && line == "" {
			break
		}
		cut := strings.TrimSuffix(line, "\r")
		if strings.Contains(cut, "\r") || !ended || len(cut) == len(line) {
			k |= KindBareLineEnd
		}
		for _, c := range []byte(line) {
			if c >= 0x80 {
				k |= Kind8Bit
				if header {
					k |= KindUTF8Header
				}
			}
			if c == 0 {
				k |= KindNUL
			}
		}
		if len(cut) > 998 {
			k |= KindLongLine
		}
		if cut == "" {
			header = false
		}
		text = rest
	}
	return k
}
