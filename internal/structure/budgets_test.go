package structure

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// budgets limits the lines of each example: blank lines and comments count,
// declarations of flags and test files do not.
var budgets = map[string]int{
	"quickstart": 150,
	"testing":    150,
	"verify":     150,
	"sign":       150,
	"route":      150,
	"sink":       300,
	"send":       300,
	"forward":    300,
	"relay":      500,
}

func TestExamplesStayShort(t *testing.T) {
	length := map[string]int{}
	for _, f := range sources(t) {
		below, ok := strings.CutPrefix(f.name, "examples/")
		if !ok || f.test() {
			continue
		}
		example, _, _ := strings.Cut(below, "/")
		length[example] += f.line(f.FileEnd-1) - flagLines(f)
	}
	if len(length) == 0 {
		t.Fatal("no example found")
	}
	for _, example := range slices.Sorted(maps.Keys(length)) {
		budget, ok := budgets[example]
		switch n := length[example]; {
		case !ok:
			t.Errorf("examples/%s has no budget", example)
		case n > budget:
			t.Errorf("examples/%s has %d lines, %d are allowed", example, n, budget)
		}
	}
}

func TestFlagLines(t *testing.T) {
	const text = `package main

import "flag"

var addr = flag.String("addr", "", "usage")

var (
	user = flag.String("user", "", "usage")
	pass = flag.String("pass", "",
		"usage")
)

func parse(fs *flag.FlagSet, to *[]string) {
	own := flag.NewFlagSet("own", flag.ExitOnError)
	own.BoolVar(nil, "v", false, "usage")
	fs.Func("to", "usage", func(s string) error {
		*to = append(*to, s)
		return nil
	})
	other.String("not", "a", "flag")
	flag.Parse()
}
`
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, "main.go", text, 0)
	if err != nil {
		t.Fatal(err)
	}
	if n, want := flagLines(source{f, "main.go", fset}), 6; n != want {
		t.Errorf("%d lines declare flags, want %d", n, want)
	}
}

var declares = regexp.MustCompile(`^(Bool|Int|Int64|Uint|Uint64|Float64|String|Duration|Text|Func|BoolFunc)?(Var)?$`)

// flagLines counts the lines on which flags are declared. The body of a
// function given to flag.Func is code like any other.
func flagLines(f source) int {
	sets := flagSets(f.File)
	on := map[int]bool{}
	ast.Inspect(f.File, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		method, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || !declares.MatchString(method.Sel.Name) {
			return true
		}
		if set, ok := method.X.(*ast.Ident); !ok || !sets[set.Name] {
			return true
		}
		last := f.line(call.End())
		for _, arg := range call.Args {
			if fn, ok := arg.(*ast.FuncLit); ok {
				last = f.line(fn.Pos())
			}
		}
		for l := f.line(call.Pos()); l <= last; l++ {
			on[l] = true
		}
		return true
	})
	return len(on)
}

// flagSets returns the names through which the file declares flags: the
// package, and variables and parameters that hold a *flag.FlagSet.
func flagSets(f *ast.File) map[string]bool {
	names := map[string]bool{"flag": true}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Field:
			if star, ok := n.Type.(*ast.StarExpr); ok && isFlag(star.X, "FlagSet") {
				for _, name := range n.Names {
					names[name.Name] = true
				}
			}
		case *ast.AssignStmt:
			for i, value := range n.Rhs {
				call, ok := value.(*ast.CallExpr)
				if !ok || !isFlag(call.Fun, "NewFlagSet") {
					continue
				}
				if name, ok := n.Lhs[i].(*ast.Ident); ok {
					names[name.Name] = true
				}
			}
		}
		return true
	})
	return names
}

func isFlag(e ast.Expr, name string) bool {
	sel, ok := e.(*ast.SelectorExpr)
	if !ok || sel.Sel.Name != name {
		return false
	}
	pkg, ok := sel.X.(*ast.Ident)
	return ok && pkg.Name == "flag"
}
