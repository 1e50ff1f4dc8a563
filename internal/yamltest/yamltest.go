// Package yamltest reads the suites of conformance tests that other projects
// publish as YAML. It knows the part of YAML that those suites use: block
// mappings and sequences, flow sequences of scalars, plain, quoted, literal and
// folded scalars, comments, several documents. Everything else is an error, so
// that no test is read as something that it is not. It is for tests only.
package yamltest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// A Kind says what a Node is.
type Kind int

// The kinds.
const (
	Scalar Kind = iota
	Sequence
	Mapping
)

// String returns the kind's name.
func (k Kind) String() string { return [...]string{"scalar", "sequence", "mapping"}[k] }

// A Node is one value of a document. A nil Node stands for one that is absent:
// its methods return zero values.
type Node struct {
	Kind  Kind
	Line  int      // where it begins, from 1
	Text  string   // of a scalar. Numbers and words like true or null are text like any other
	Items []*Node  // of a sequence, or the values of a mapping, in order
	Keys  []string // of a mapping, in order. The ARC suite has some twice, so that is no error here
}

// Get returns the first value under key in a mapping, or nil.
func (n *Node) Get(key string) *Node {
	if n == nil {
		return nil
	}
	for i, k := range n.Keys {
		if k == key {
			return n.Items[i]
		}
	}
	return nil
}

// Str returns the text of the scalar under key in a mapping, or "".
func (n *Node) Str(key string) string {
	if v := n.Get(key); v != nil {
		return v.Text
	}
	return ""
}

// Strings returns the texts of a sequence of scalars, or the one of a scalar.
func (n *Node) Strings() []string {
	switch {
	case n == nil:
		return nil
	case n.Kind == Scalar:
		return []string{n.Text}
	}
	texts := make([]string, len(n.Items))
	for i, item := range n.Items {
		texts[i] = item.Text
	}
	return texts
}

// Parse returns the documents of text. An error names the line.
func Parse(text []byte) ([]*Node, error) {
	p := &parser{}
	if err := p.split(string(text)); err != nil {
		return nil, err
	}
	return p.documents()
}

// Suite reads a suite from the folder shared/testdata beside the project's. The
// test is skipped if that folder is absent, and fails if anything else is wrong.
func Suite(t testing.TB, name string) []*Node {
	t.Helper()
	root, err := projectRoot()
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(filepath.Dir(root), "shared", "testdata")
	if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
		t.Skipf("%s is absent", folder)
	}
	text, err := os.ReadFile(filepath.Join(folder, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	docs, err := Parse(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return docs
}

// projectRoot returns the folder of the go.mod above the working directory.
func projectRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("no go.mod above the working directory")
		}
		dir = up
	}
}

func errorAt(line int, format string, args ...any) error {
	return fmt.Errorf("line %d: %s", line, fmt.Sprintf(format, args...))
}
