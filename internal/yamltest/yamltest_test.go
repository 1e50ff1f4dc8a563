package yamltest

import (
	"fmt"
	"strings"
	"testing"
)

// dump writes a node so that every difference is seen: scalars quoted,
// sequences in brackets, mappings in braces in their order.
func dump(n *Node) string {
	var b strings.Builder
	switch n.Kind {
	case Scalar:
		return fmt.Sprintf("%q", n.Text)
	case Sequence:
		for i, item := range n.Items {
			if i > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(dump(item))
		}
		return "[" + b.String() + "]"
	}
	for i, key := range n.Keys {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%s=%s", key, dump(n.Items[i]))
	}
	return "{" + b.String() + "}"
}

func TestParse(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"", ""},
		{"# nothing\n\n", ""},
		{"a: 1\nb: 2", `{a="1" b="2"}`},
		{"b: 1\na: 2\nb: 3\n", `{b="1" a="2" b="3"}`},
		{"---\na: 1\n--- \n# x\nb: 2\n", `{a="1"} {b="2"}`},
		{"a:\n  b:\n    c: 1\n  d: 2\n", `{a={b={c="1"} d="2"}}`},
		{"a: # comment\n  b: 1 # another\n", `{a={b="1"}}`},
		{"- 1\n- b\n", `["1" "b"]`},
		{"a:\n- 1\n- 2\nb: 3\n", `{a=["1" "2"] b="3"}`},
		{"a:\n  - 1\nb: 3\n", `{a=["1"] b="3"}`},
		{"a:\n  - b: 1\n    c: 2\n  - TIMEOUT\n  - d: x\n", `{a=[{b="1" c="2"} "TIMEOUT" {d="x"}]}`},
		{"a:\n  - b: >-\n      1\n      2\n  - c\n", `{a=[{b="1 2"} "c"]}`},
		// Plain scalars.
		{"a: ::FFFF:1.2.3.4\n", `{a="::FFFF:1.2.3.4"}`},
		{"a: -all ~all ?all\n", `{a="-all ~all ?all"}`},
		{"a: x#y %{d} 'q' [z\n", `{a="x#y %{d} 'q' [z"}`},
		{"foo:bar/baz.example.com:\n  - A: 1\n", `{foo:bar/baz.example.com=[{A="1"}]}`},
		{"a: one\n  two\n   three\nb: 1\n", `{a="one two three" b="1"}`},
		{"a: one\n\nb: 1\n", `{a="one" b="1"}`},
		{"a: null\nb: true\n", `{a="null" b="true"}`},
		// Quoted scalars.
		{`a: "x: #y\x00\xEF\0\t\"\\z" # c`, `{a="x: #y\x00ï\x00\t\"\\z"}`},
		{`"a: b": 'it''s \n'`, `{a: b="it's \\n"}`},
		{`a: ""`, `{a=""}`},
		// Block scalars.
		{"a: |\n  x\n   y \n\n  z\n\n\nb: 1\n", `{a="x\n y \n\nz\n" b="1"}`},
		{"a: |-\n  x\n\nb: 1\n", `{a="x" b="1"}`},
		{"a: |\n\n  x\n", `{a="\nx\n"}`},
		{"a: |\n\nb: 1\n", `{a="" b="1"}`},
		{"a: |\n  # text\n  ---\n  b: 'c\n# comment\nb: 1\n", `{a="# text\n---\nb: 'c\n" b="1"}`},
		{"a: |\n  x\n    \n  y\n", `{a="x\n  \ny\n"}`},
		{"a: >-\nb: 1\n", `{a="" b="1"}`},
		{"a: >\n  x\n  y\n\n  z\n\n\n  w\n", `{a="x y\nz\n\nw\n"}`},
		{"a: >-\n  x\n\n    code\n    code\n\n  y\n", `{a="x\n\n  code\n  code\n\ny"}`},
		{"a: >-\n  x\n    code\n  y\n", `{a="x\n  code\ny"}`},
		{"a: >-\n\n  x\n", `{a="\nx"}`},
		// Flow sequences.
		{"a: [ ]\nb: []\n", `{a=[] b=[]}`},
		{`a: [10,smtp.example.org] # c`, `{a=["10" "smtp.example.org"]}`},
		{`a: [ "x, ]", '', y z ]`, `{a=["x, ]" "" "y z"]}`},
	} {
		docs, err := Parse([]byte(tt.text))
		var got []string
		for _, doc := range docs {
			got = append(got, dump(doc))
		}
		if s := strings.Join(got, " "); err != nil || s != tt.want {
			t.Errorf("%q:\n got %s %v\nwant %s", tt.text, s, err, tt.want)
		}
	}
}

// What is not in the subset is an error that names the line, never a value.
func TestOutsideTheSubset(t *testing.T) {
	for _, tt := range []struct {
		line int
		text string
	}{
		{1, "a"},
		{1, "a: b: c"},
		{1, "a: b:"},
		{2, "a: b\n  c: d"},
		{1, "a: &x b"},
		{1, "a: *x"},
		{1, "a: !!str b"},
		{1, "a: {b: c}"},
		{1, "a: @b"},
		{1, "a: `b"},
		{1, "a: %b"},
		{1, "a: ]"},
		{1, "a: - b"},
		{1, "? a"},
		{1, "%YAML 1.2"},
		{2, "a: 1\n..."},
		{1, "\ta: 1"},
		{1, "a: \x01"},
		{1, "a: 1\r\nb: 2"},
		{1, "a:"},
		{1, "a:\nb: 1"},
		{3, "a:\n - b\n -"},
		{1, "'a' : 1"},
		{2, "a: 1\n  b: 2"},
		{2, "a: 1\n- b"},
		{3, "a:\n    b: 1\n  c: 2"},
		{3, "a:\n  b: 1\n  - c"},
		{1, "- - a"},
		{1, "-"},
		{1, "a: |+\n  x"},
		{1, "a: |2\n  x"},
		{1, "a: |#x\n  x"},
		{3, "a: |\n    x\n  y\n"},
		{3, "a: |\n    \n  y\n"},
		{1, `a: "b`},
		{1, `a: "b" c`},
		{1, `a: "\q"`},
		{1, `a: "\xZZ"`},
		{1, `a: "\x4`},
		{1, `a: "b"#c`},
		{1, `a: 'b`},
		{1, `"a" b`},
		{1, `"a":b`},
		{1, "a: [b"},
		{1, "a: [b,"},
		{1, "a: [b,]"},
		{1, "a: [,]"},
		{1, "a: [[b]]"},
		{1, "a: [b [c]]"},
		{1, "a: [b: c]"},
		{1, "a: [b] c"},
		{1, `a: ["b" c]`},
		{2, "a: b\n\n  c"},
		{2, "a: b # x\n  c"},
		{1, "---\n---\na: 1"},
		{2, "a: 1\n---"},
	} {
		docs, err := Parse([]byte(tt.text))
		if err == nil {
			t.Errorf("%q: no error, %s", tt.text, dump(docs[0]))
		} else if want := fmt.Sprintf("line %d: ", tt.line); !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %s", tt.text, err, want)
		}
	}
	if _, err := Parse([]byte("a: \xff")); err == nil {
		t.Error("invalid UTF-8: no error")
	}
}

func TestNode(t *testing.T) {
	docs, err := Parse([]byte("a: x\nb: [y, z]\nc:\n  d: 1\n"))
	if err != nil {
		t.Fatal(err)
	}
	n := docs[0]
	if n.Str("a") != "x" || n.Str("e") != "" || n.Get("c").Str("d") != "1" || n.Get("c").Line != 4 {
		t.Errorf("Str: %s", dump(n))
	}
	if got := fmt.Sprint(n.Get("a").Strings(), n.Get("b").Strings(), n.Get("e").Strings()); got != "[x] [y z] []" {
		t.Errorf("Strings: %s", got)
	}
	if n.Get("e") != nil || n.Get("e").Get("f") != nil || n.Get("e").Str("f") != "" {
		t.Error("absent keys")
	}
	if s := fmt.Sprint(n.Kind, n.Get("a").Kind, n.Get("b").Kind); s != "mapping scalar sequence" {
		t.Errorf("kinds: %s", s)
	}
}

func TestSuites(t *testing.T) {
	for _, tt := range []struct {
		name        string
		docs, tests int
	}{
		{"spf/rfc7208-tests.yml", 16, 203},
		{"arc/arc-draft-validation-tests.yml", 10, 175}, // four names stand twice
		{"arc/arc-draft-sign-tests.yml", 2, 17},
	} {
		docs := Suite(t, tt.name)
		tests := 0
		for _, doc := range docs {
			tests += len(doc.Get("tests").Items)
		}
		if len(docs) != tt.docs || tests != tt.tests {
			t.Errorf("%s: %d documents with %d tests, want %d with %d", tt.name, len(docs), tests, tt.docs, tt.tests)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("---\na: >-\n  b\n   c\n- d: [e, \"f\\x00\"] # g\n"))
	f.Add([]byte("a:\n- b: 'c'\n  d: |\n\n    e\n---\nf: g\n  h\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		docs, err := Parse(text)
		if err != nil && docs != nil {
			t.Error("documents and an error")
		}
		for _, doc := range docs {
			dump(doc)
			if doc.Kind == Mapping && len(doc.Keys) != len(doc.Items) {
				t.Errorf("%d keys, %d values", len(doc.Keys), len(doc.Items))
			}
		}
	})
}
