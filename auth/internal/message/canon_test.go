package message

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
)

// relaxed is the oracle: RFC 6376 §3.4.2 said again.
func relaxed(name, value string) string {
	value = unfold.ReplaceAllString(value, "$1")
	value = runs.ReplaceAllString(value, " ")
	return strings.ToLower(strings.TrimRight(name, " \t\r\n")) + ":" + strings.Trim(value, " ") + "\r\n"
}

var unfold = regexp.MustCompile("\r\n([ \t]|$)")

var fields = []struct{ name, value string }{
	{"A", ""}, {"A", " "}, {"A", " X"}, {"B ", " Y\t\r\n\tZ  "}, {"SUBJECT\t", "\t a \t b "}, {"A", "\r\n b"}, {"A", " a\r\n \r\n b"},
	{"A", " a:b : c"}, {"A", "\xc3\xbc  \xc3\xbc"}, {"A", " a\r\n\t"}, {"A", "x\x0b  \x0b"}, {"A", strings.Repeat("ab  ", 700)},
	{strings.Repeat("Long", 700), strings.Repeat("z", 3000)}, {"A", " a\rb"}, {"A", " a \nb"}, {"A", " a \r b"},
}

func TestAppendField(t *testing.T) {
	for _, tt := range fields {
		raw := tt.name + ":" + tt.value + "\r\n"
		f := NewField([]byte(raw))
		if got := string(AppendField([]byte("x"), Simple, f)); got != "x"+raw {
			t.Errorf("simple: %q, want %q", got, raw)
		}
		if got, want := string(AppendField([]byte("x"), Relaxed, f)), "x"+relaxed(tt.name, tt.value); got != want {
			t.Errorf("relaxed: %q, want %q", got, want)
		}
	}
}

// All fields in one hash, whatever their length, then the one that holds the
// signature: without a part of it, and without its CRLF.
func TestFieldHash(t *testing.T) {
	const signed, start, end = " v=1; b=\r\n abc \r\n ; d=x ", 8, 18
	self := NewField([]byte("Sig:" + signed + "\r\n"))
	for _, canon := range []Canon{Simple, Relaxed} {
		h := NewFieldHash(canon, crypto.SHA256)
		var want []byte
		for range 3 {
			for _, tt := range fields {
				f := NewField([]byte(tt.name + ":" + tt.value + "\r\n"))
				h.Add(f)
				want = AppendField(want, canon, f)
			}
		}
		h.AddSigned(self, start, end)
		if canon == Simple {
			want = append(want, "Sig: v=1; b=; d=x "...)
		} else {
			want = append(want, "sig:v=1; b=; d=x"...)
		}
		if sum := sha256.Sum256(want); !bytes.Equal(h.Sum(), sum[:]) {
			t.Errorf("%d: another hash", canon)
		}
	}
}

func FuzzField(f *testing.F) {
	for _, tt := range fields {
		f.Add(tt.name, tt.value)
	}
	f.Fuzz(func(t *testing.T, name, value string) {
		raw := name + ":" + value + "\r\n"
		if strings.Contains(name, ":") || len(folds(raw)) > 0 {
			t.Skip() // no field
		}
		if got, want := string(AppendField(nil, Relaxed, NewField([]byte(raw)))), relaxedASCII(name, value); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	})
}

// folds returns the line ends within a field that do not fold it.
func folds(raw string) []string {
	return regexp.MustCompile("\r\n[^ \t]").FindAllString(strings.TrimSuffix(raw, "\r\n"), -1)
}

// relaxedASCII is relaxed, for names that are none.
func relaxedASCII(name, value string) string {
	b := []byte(strings.TrimRight(name, " \t\r\n"))
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b) + relaxed("", value)
}

// Fields are picked from the bottom up, whatever the case, each once, and the
// signature itself never.
func TestPicker(t *testing.T) {
	m := New(Limits{}, nil)
	m.Write([]byte("A: 1\r\nSig: 1\r\nb: 1\r\na: 2\r\njunk\r\nSig: 2\r\nA: 3\r\nSig: 3\r\n\r\n"))
	for range 2 { // a Picker does not disturb the next
		p := m.Picker(5)
		for _, tt := range []struct{ name, want string }{
			{"a", " 3"}, {"A", " 2"}, {"B", " 1"}, {"a", " 1"}, {"a", ""}, {"a", ""}, {"b", ""}, {"c", ""}, {"", ""},
			{"sig", " 3"}, {"SIG", " 1"}, {"sig", ""}, {"junk", ""}, {strings.Repeat("a", 99), ""},
		} {
			if f, ok := p.Pick([]byte(tt.name)); ok != (tt.want != "") || ok && string(f.Value()) != tt.want {
				t.Errorf("%s: %q %t, want %q", tt.name, f.Raw(), ok, tt.want)
			}
		}
	}
}

// The Picker against the sentence of §5.4.2, on random headers.
func TestPickerAgainstOracle(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		m := New(Limits{}, nil)
		var names []string
		for range r.IntN(60) {
			name := strings.Repeat("x", r.IntN(3)) + string(rune('a'+r.IntN(1+r.IntN(26))))
			names = append(names, name)
			m.Write([]byte(name + ": " + name + "\r\n"))
		}
		m.Write([]byte("\r\n"))
		p, left := m.Picker(-1), append([]string(nil), names...)
		for range 100 {
			name := strings.Repeat("x", r.IntN(3)) + string(rune('a'+r.IntN(26)))
			want := -1
			for i, n := range left {
				if n == name {
					want = i
				}
			}
			f, ok := p.Pick([]byte(name))
			if ok != (want >= 0) || ok && &f.Raw()[0] != &m.Fields()[want].Raw()[0] {
				t.Fatalf("%v: %s: %t %q, want field %d", names, name, ok, f.Raw(), want)
			}
			if ok {
				left[want] = ""
			}
		}
	}
}
