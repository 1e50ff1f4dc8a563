package message

import (
	"fmt"
	"strings"
	"testing"
)

// show describes what a message was split into.
func show(m *Message) string {
	var b strings.Builder
	for _, f := range m.Fields() {
		fmt.Fprintf(&b, "%q=%q;", f.Name(), f.Value())
	}
	if m.Malformed() {
		b.WriteString("malformed;")
	}
	if m.Err() != nil {
		b.WriteString(m.Err().Error())
	}
	return b.String()
}

func TestMimics(t *testing.T) {
	for raw, want := range map[string]bool{
		"From\v: a\r\n": true, "From\u00a0: a\r\n": true, "\ufeffFROM: a\r\n": true, " From : a\r\n": true, "Fr om: a\r\n": true, "\x00F\xffrom\x7f: a\r\n": true,
		"From: a\r\n": false, "From : a\r\n": false, "From\r\n": false, "X From: a\r\n": false, " Fro: m\r\n": false, ": From\r\n": false, "Fröm: a\r\n": false,
	} {
		f := NewField([]byte(raw))
		if got := f.Mimics("From"); got != want {
			t.Errorf("%q: %t", raw, got)
		}
		if want && f.Is("From") {
			t.Errorf("%q is a field", raw)
		}
	}
}

func TestHeader(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"", ""},
		{"\r\n", ""},
		{"\r\nFrom: a\r\n\r\n", ""},
		{"From: a\r\n\r\nTo: b\r\n", `"From"=" a";`},
		{"From: a\r\nTo:b\r\n\r\n", `"From"=" a";"To"="b";`},
		{"From: a\r\n b\r\n\tc\r\n\r\n", `"From"=" a\r\n b\r\n\tc";`},
		{"From: a\r\n \r\n\r\n", `"From"=" a\r\n ";`}, // a line of white space continues the field
		{"From: a", `"From"=" a";`},
		{"From: a\r\n", `"From"=" a";`},
		{"From: a\r\nTo: b\r", `"From"=" a";"To"=" b\r";malformed;`},
		{"From : a\r\n\r\n", `"From"=" a";`},
		{"From\t \r\n : a\r\n\r\n", `"From"=" a";`},
		{"junk\r\nFrom: a\r\n\r\n", `""="";"From"=" a";`},
		{" From: x\r\nFrom: a\r\n\r\n", `""=" x";"From"=" a";`}, // continues nothing
		{"Fr om: x\r\n\r\n", `""=" x";`},
		{"Fröm: x\r\n\r\n", `""=" x";`},
		{": x\r\n\r\n", `""=" x";`},
		{"A: x\nFrom: a\n\r\n\r\nTo: b", `"A"=" x\nFrom: a\n";malformed;`}, // LF alone ends nothing
		{"A: x\n\nb\r\n\r\n", `"A"=" x\n\nb";malformed;`},
		{"A: x\rFrom: a\r\n\r\n", `"A"=" x\rFrom: a";malformed;`},
		{"A: x\r\r\n\r\n", `"A"=" x\r";malformed;`},
		{"A: \x00\r\n\r\n", `"A"=" \x00";malformed;`},
		{"A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\n\r\n", "too many header fields"},
		{"A: 1\r\n 2\r\n 3\r\n 4\r\n 5\r\n\r\n", `"A"=" 1\r\n 2\r\n 3\r\n 4\r\n 5";`},
		{"A: " + strings.Repeat("x", 58) + "\r\n\r\n", "header too large"},
		{"A: " + strings.Repeat("x", 60), "header too large"},
		{"A: " + strings.Repeat("x", 59), "header too large"}, // with the line end that is missing
		{"A: " + strings.Repeat("x", 57) + "\r\n\r\n" + strings.Repeat("x", 99), fmt.Sprintf("%q=%q;", "A", " "+strings.Repeat("x", 57))},
	} {
		for cut := range len(tt.text) + 1 {
			calls := 0
			m := New(Limits{MaxHeader: 62, MaxFields: 3}, func(m *Message) {
				calls++
				if got := show(m); got != tt.want {
					t.Fatalf("%q: %s, want %s", tt.text, got, tt.want)
				}
			})
			for _, p := range []string{tt.text[:cut], tt.text[cut:]} {
				if n, err := m.Write([]byte(p)); n != len(p) || err != nil {
					t.Errorf("Write: %d, %v", n, err)
				}
			}
			m.Close()
			m.Close()
			if calls != 1 {
				t.Errorf("%q cut at %d: told %d times", tt.text, cut, calls)
			}
		}
	}
}

// What is beyond the limits is dropped, not kept.
func TestHeaderIsBounded(t *testing.T) {
	m := New(Limits{}, nil)
	chunk := []byte("X: " + strings.Repeat("x", 1<<16))
	for range 100 {
		m.Write(chunk)
	}
	if m.Err() != ErrHeaderSize || cap(m.header) > 0 || m.Fields() != nil {
		t.Error(m.Err(), cap(m.header), len(m.Fields()))
	}
}

func TestField(t *testing.T) {
	f := NewField([]byte("SubJect : a\r\n b\r\n"))
	if !f.Is("subject") || f.Is("subjec") || f.Is("subject ") || f.Is("") || string(f.Raw()) != "SubJect : a\r\n b\r\n" {
		t.Error(f.Is("subject"), f.Is("subjec"))
	}
	if f := NewField([]byte(": a\r\n")); f.Is("") {
		t.Error("a field without a name has one")
	}
}
