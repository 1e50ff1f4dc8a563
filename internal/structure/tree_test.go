package structure

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"strings"
	"testing"
)

const modulePath = "github.com/postrider/postrider"

// tree is the whole checkout; go test runs in the folder of the package.
var tree = os.DirFS("../..")

// committed returns the path of every file in the tree outside .git.
func committed(t *testing.T) []string {
	t.Helper()
	var names []string
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case name == ".git":
			if d.IsDir() {
				return fs.SkipDir
			}
		case d.Type().IsRegular():
			names = append(names, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := fs.ReadFile(tree, name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// A source is a parsed Go file, whatever its build constraints say.
type source struct {
	*ast.File
	name string // path from the root of the tree
	fset *token.FileSet
}

func (s source) dir() string          { return path.Dir(s.name) }
func (s source) test() bool           { return strings.HasSuffix(s.name, "_test.go") }
func (s source) line(p token.Pos) int { return s.fset.Position(p).Line }

// sources parses the Go files that the go command would look at, those of
// nested modules among them.
func sources(t *testing.T) []source {
	t.Helper()
	fset := token.NewFileSet()
	var all []source
	for _, name := range committed(t) {
		if path.Ext(name) != ".go" || invisible(name) {
			continue
		}
		f, err := parser.ParseFile(fset, name, read(t, name), parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, source{f, name, fset})
	}
	return all
}

// invisible reports whether the go command passes over the file.
func invisible(name string) bool {
	for elem := range strings.SplitSeq(name, "/") {
		if elem == "testdata" || elem == "vendor" || elem[0] == '.' || elem[0] == '_' {
			return true
		}
	}
	return false
}

// internal reports whether outsiders cannot import the package in dir.
func internal(dir string) bool {
	return strings.Contains("/"+dir+"/", "/internal/")
}
