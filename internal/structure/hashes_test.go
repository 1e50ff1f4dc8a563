package structure

import (
	"go/ast"
	"maps"
	"path"
	"slices"
	"testing"
)

// hashes are the packages that make a crypto.Hash available.
var hashes = map[string]string{
	"MD5": "crypto/md5", "SHA1": "crypto/sha1",
	"SHA224": "crypto/sha256", "SHA256": "crypto/sha256", "SHA384": "crypto/sha512", "SHA512": "crypto/sha512",
}

// A crypto.Hash panics in a program into which nobody has linked its package.
// No other test can see that: package testing links SHA-256 itself. So what a
// package uses, it or one of ours that it imports has to import.
func TestHashesAreLinked(t *testing.T) {
	g, uses := graph{}, map[string]map[string]bool{}
	for _, f := range sources(t) {
		if f.test() {
			continue
		}
		pkg := path.Join(modulePath, f.dir())
		g[pkg] = append(g[pkg], imports(f)...)
		ast.Inspect(f.File, func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if x, ok := s.X.(*ast.Ident); ok && x.Name == "crypto" && hashes[s.Sel.Name] != "" {
				if uses[pkg] == nil {
					uses[pkg] = map[string]bool{}
				}
				uses[pkg][hashes[s.Sel.Name]] = true
			}
			return true
		})
	}
	if len(uses) == 0 {
		t.Fatal("nobody uses a hash")
	}
	for _, pkg := range slices.Sorted(maps.Keys(g)) {
		if internal(relative(pkg)) {
			continue // its importers have to
		}
		seen, wanted := map[string]bool{}, map[string]bool{}
		for todo := []string{pkg}; len(todo) > 0; todo = todo[1:] {
			if !seen[todo[0]] {
				seen[todo[0]] = true
				maps.Copy(wanted, uses[todo[0]])
				todo = append(todo, g[todo[0]]...)
			}
		}
		for _, imp := range slices.Sorted(maps.Keys(wanted)) {
			if !seen[imp] {
				t.Errorf("%s uses %s, which is not linked", relative(pkg), imp)
			}
		}
	}
}
