package structure

import (
	"go/ast"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/postrider/postrider/smtp"
)

// The README's table has one row for each extension that package smtp knows,
// with its RFC, and names for both sides a test, or a conversation, that is
// there.
func TestExtensionTable(t *testing.T) {
	rows := extensionRows(t)
	tests := testNames(t)
	missing := map[smtp.Keyword]bool{}
	for x := range smtp.Extensions() {
		missing[x.Keyword] = true
		cells := rows[string(x.Keyword)]
		if cells == nil {
			continue
		}
		delete(missing, x.Keyword)
		if !strings.Contains(cells[1], x.RFC) {
			t.Errorf("%s: %q does not name %s", x.Keyword, cells[1], x.RFC)
		}
		if cells[2] == "" || cells[3] == "" {
			t.Errorf("%s: what the server or the client does is not said", x.Keyword)
		}
		proofs := backticked.FindAllStringSubmatch(cells[4], -1)
		sides := map[string]bool{}
		for _, proof := range proofs {
			pkg, name, _ := strings.Cut(proof[1], ".")
			if path.Ext(proof[1]) == ".txt" { // a conversation: server/testdata/...
				pkg, _, _ = strings.Cut(proof[1], "/")
				read(t, proof[1])
			} else if !slices.Contains(tests[pkg], name) {
				t.Errorf("%s: there is no test %s", x.Keyword, proof[1])
			}
			sides[pkg] = true
		}
		for _, side := range []string{"server", "client"} {
			if !sides[side] {
				t.Errorf("%s: no test of package %s is named", x.Keyword, side)
			}
		}
	}
	for _, k := range slices.Sorted(maps.Keys(missing)) {
		t.Errorf("README.md has no row for %s", k)
	}
	for _, k := range slices.Sorted(maps.Keys(rows)) {
		if smtp.LookupExtension(smtp.Keyword(k)) == nil {
			t.Errorf("README.md has a row for %s, which package smtp does not know", k)
		}
	}
}

// Package smtp's own documentation lists the same extensions.
func TestExtensionsInPackageDocs(t *testing.T) {
	doc := read(t, "smtp/doc.go")
	for x := range smtp.Extensions() {
		listed := regexp.MustCompile(`(?m)^//\s+` + regexp.QuoteMeta(string(x.Keyword)) + `\s+` + regexp.QuoteMeta(x.RFC))
		if !listed.MatchString(doc) {
			t.Errorf("smtp/doc.go does not list %s with %s", x.Keyword, x.RFC)
		}
	}
}

var backticked = regexp.MustCompile("`([^`]+)`")

// extensionRows returns the cells of the README's table by keyword.
func extensionRows(t *testing.T) map[string][]string {
	_, section, ok := strings.Cut(read(t, "README.md"), "\n## Extensions\n")
	if !ok {
		t.Fatal("README.md has no section on extensions")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	rows := map[string][]string{}
	for line := range strings.Lines(section) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 5 {
			continue
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if m := backticked.FindStringSubmatch(cells[0]); m != nil {
			rows[m[1]] = cells
		}
	}
	return rows
}

// testNames returns the names of the tests by the last element of their folder.
func testNames(t *testing.T) map[string][]string {
	names := map[string][]string{}
	for _, f := range sources(t) {
		if !f.test() {
			continue
		}
		pkg := path.Base(f.dir())
		for _, decl := range f.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Test") {
				names[pkg] = append(names[pkg], fn.Name.Name)
			}
		}
	}
	return names
}
