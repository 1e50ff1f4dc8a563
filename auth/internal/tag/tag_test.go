package tag

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

func list(text string) (string, error) {
	var b strings.Builder
	s := NewScanner([]byte(text))
	for s.Next() {
		t := s.Tag()
		fmt.Fprintf(&b, "%s=%q;", t.Name, t.Value)
	}
	return b.String(), s.Err()
}

func many(n int) (text string) {
	for i := range n {
		text += fmt.Sprintf("t%d=;", i)
	}
	return text
}

func TestScanner(t *testing.T) {
	for _, tt := range []struct {
		text, want string
		err        error
	}{
		{"v=1", `v="1";`, nil},
		{"v=1;", `v="1";`, nil},
		{" v = 1 ; \r\n\ta=\r\n b\r\n c \t;\r\n ", `v="1";a="b\r\n c";`, nil},
		{"a_1=x=y; b=", `a_1="x=y";b="";`, nil},
		{"a=1;A=2", `a="1";A="2";`, nil}, // case counts
		{"d=b\xc3\xbccher.example", "d=\"bücher.example\";", nil},
		{"", "", ErrSyntax},
		{" ", "", ErrSyntax},
		{";", "", ErrSyntax},
		{"v=1;;", `v="1";`, ErrSyntax},
		{"v=1; ;a=2", `v="1";`, ErrSyntax},
		{";v=1", "", ErrSyntax},
		{"v", "", ErrSyntax},
		{"=1", "", ErrSyntax},
		{"1a=1", "", ErrSyntax},
		{"a-b=1", "", ErrSyntax},
		{"a b=1", "", ErrSyntax},
		{"a=1;a=2", `a="1";`, ErrDuplicate},
		{"x=;unknown=1;y=;unknown=1", `x="";unknown="1";y="";`, ErrDuplicate},
		{"a=\x00", "", ErrSyntax},
		{"a=\x7f", "", ErrSyntax},
		{"a=b\rc", "", ErrSyntax},
		{"a=b\nc", "", ErrSyntax},
		{"a=b\r\nc", "", ErrSyntax},
		{"a=b\r\n", "", ErrSyntax},
		{"a=b\n c", "", ErrSyntax},
		{"a=b\x0bc", "", ErrSyntax},
	} {
		if got, err := list(tt.text); got != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("%q: %s %v, want %s %v", tt.text, got, err, tt.want, tt.err)
		}
	}
	if _, err := list(many(Max)); err != nil {
		t.Error(err)
	}
	if _, err := list(many(Max + 1)); err != ErrTooMany {
		t.Error(err)
	}
}

func TestTagPlace(t *testing.T) {
	const text = "v=1; b = \r\n x ;c=2"
	s := NewScanner([]byte(text))
	for s.Next() {
		if tag := s.Tag(); string(tag.Name) == "b" && text[tag.Start:tag.End] != " \r\n x " {
			t.Errorf("%q", text[tag.Start:tag.End])
		}
	}
}

func TestSplit(t *testing.T) {
	for text, want := range map[string][]string{
		"a": {"a"}, " a : b\r\n :c ": {"a", "b", "c"}, "": {""}, "a:": {"a", ""}, ":": {"", ""},
	} {
		var got []string
		for e := range Split([]byte(text)) {
			got = append(got, string(e))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	for range Split([]byte("a:b")) {
		break
	}
}

func TestBase64(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "aGk=": "hi", "aGk": "hi", "a\r\n G k =": "hi", "aA==": "h", "aA": "h", "aGlo": "hih", "aA= =": "h",
		"a": "!", "aGk==": "hi", "aG=k": "!", "aGk===": "!", "=": "", "a!": "!", "aGk-": "!", "====": "!",
	} {
		got, err := AppendBase64([]byte("x"), []byte(text))
		if want == "!" {
			if err == nil {
				t.Errorf("%q: %q, want an error", text, got)
			}
			want = ""
		}
		if string(got) != "x"+want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestNumber(t *testing.T) {
	for _, tt := range []struct {
		text string
		want int64
		ok   bool
	}{
		{"0", 0, true}, {"007", 7, true}, {"9223372036854775807", math.MaxInt64, true}, {"9223372036854775808", math.MaxInt64, true},
		{strings.Repeat("9", 40), math.MaxInt64, true}, {strings.Repeat("9", 41), 0, false}, {"", 0, false}, {"-1", 0, false},
		{"+1", 0, false}, {"1 2", 0, false}, {"1a", 0, false},
	} {
		if n, ok := Number([]byte(tt.text), 40); n != tt.want || ok != tt.ok {
			t.Errorf("%q: %d %t", tt.text, n, ok)
		}
	}
}

// Whatever the list is, tags lie in it, in order, with different names.
func FuzzScanner(f *testing.F) {
	for _, text := range []string{"v=1; a=b", " v = 1 ; \r\n\ta=\r\n b\r\n c \t;\r\n ", "a=1;a=2", ";;", many(70)} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s := NewScanner(text)
		at, names := 0, map[string]bool{}
		for s.Next() {
			tag := s.Tag()
			if tag.Start < at || tag.End < tag.Start || tag.End > len(text) || !bytes.Equal(Trim(text[tag.Start:tag.End]), tag.Value) {
				t.Fatalf("%q: %q at %d:%d after %d", text, tag.Value, tag.Start, tag.End, at)
			}
			if names[string(tag.Name)] || len(names) >= Max {
				t.Fatalf("%q twice, or too many", tag.Name)
			}
			at, names[string(tag.Name)] = tag.End, true
		}
		if s.Err() == nil && len(names) == 0 {
			t.Error("a list of nothing")
		}
		AppendBase64(nil, text)
		Number(text, 12)
	})
}
