package authres

import (
	"strings"
	"testing"
)

var instances = []struct {
	value    string
	instance int
	id       string
}{
	{" i=1; lists.example.org; none", 1, "lists.example.org"},
	{"i=50;a;none\r\n", 50, "a"},
	{"(c) i (d)\r\n = (e) 07 (f) ; (g) a; spf=pass", 7, "a"},
	{"i=3; spf=pass", 3, ""}, // the number is good for something without the rest
	{"i=3; \xff; none", 3, ""},
	{"i=3;", 3, ""},
	{"", 0, ""}, {"i", 0, ""}, {"i=", 0, ""}, {"i=;a;none", 0, ""}, {"i=1", 0, ""}, {"i=1 a; none", 0, ""},
	{"i=0; a; none", 0, ""}, {"i=51; a; none", 0, ""}, {"i=001; a; none", 0, ""}, {"i=-1; a; none", 0, ""}, {"i=x; a; none", 0, ""},
	{"I=1; a; none", 0, ""}, {"a; i=1; none", 0, ""}, {"i=\n1; a; none", 0, ""}, {"(i=1; a; none", 0, ""},
	{"i=1; a; none" + strings.Repeat(" ", 64<<10), 0, ""},
}

func TestParseARC(t *testing.T) {
	for _, tt := range instances {
		i, f, err := ParseARC(tt.value)
		if i != tt.instance || f.AuthServID != tt.id || (err == nil) != (tt.id != "") {
			t.Errorf("%.60q: %d %q %v", tt.value, i, f.AuthServID, err)
		}
	}
}

func FuzzParseARC(f *testing.F) {
	for _, tt := range instances {
		f.Add(tt.value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		i, field, err := ParseARC(value)
		if i < 0 || i > 50 || i == 0 && err == nil {
			t.Fatal(i, err)
		}
		if err != nil {
			return
		}
		text := string(field.AppendARC(nil, i))
		oneField(t, text)
		j, again, err := ParseARC(strings.TrimPrefix(text, "ARC-Authentication-Results:"))
		if err != nil || j != i || string(again.AppendARC(nil, j)) != text {
			t.Fatalf("%q: %d %+v %v", text, j, again, err)
		}
	})
}
