package structure

import (
	"go/ast"
	"go/doc"
	"maps"
	"slices"
	"strings"
	"testing"
)

// shownElsewhere names the folder with the examples of a package that needs what
// its module does not have, such as the driver of a database. There the example of
// Store is called Example_store.
var shownElsewhere = map[string]string{"mx/queue/sqlqueue": "internal/sqltest"}

// Every exported type is shown in use, by an example whose output is checked.
func TestExportedTypesHaveExamples(t *testing.T) {
	types := map[string][]string{} // by folder
	shown := map[string][]string{}
	for _, f := range sources(t) {
		dir := f.dir()
		for of, elsewhere := range shownElsewhere {
			if dir == elsewhere {
				shown[of] = append(shown[of], examplesWithOutput(f.File, false)...)
			}
		}
		switch {
		case internal(dir) || strings.HasPrefix(dir, "examples/"):
		case f.test():
			shown[dir] = append(shown[dir], examplesWithOutput(f.File, true)...)
		case f.Name.Name != "main":
			types[dir] = append(types[dir], exportedTypes(f.File)...)
		}
	}
	for _, dir := range []string{"smtp", "smtp/dsn", "client", "server", "server/smtptest", "server/middleware", "server/prommetrics", "server/dnslist", "mx", "mx/dns", "mx/dns/dnstest", "mx/mtasts", "mx/tlsrpt", "auth/authres", "auth/spf", "auth/dkim", "auth/dmarc", "auth/arc", "auth"} {
		if len(types[dir]) == 0 {
			t.Errorf("%s has no exported type", dir)
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(types)) {
		for _, name := range types[dir] {
			if !slices.Contains(shown[dir], name) {
				t.Errorf("%s.%s has no Example%s with output", dir, name, name)
			}
		}
	}
}

// examplesWithOutput returns what the examples show: the identifier that they are
// named for, or the suffix with a capital letter.
func examplesWithOutput(f *ast.File, identifiers bool) []string {
	var names []string
	for _, ex := range doc.Examples(f) {
		if ex.Output == "" && !ex.EmptyOutput {
			continue
		}
		name, suffix, _ := strings.Cut(ex.Name, "_")
		if !identifiers && suffix != "" {
			name = strings.ToUpper(suffix[:1]) + suffix[1:]
		}
		names = append(names, name)
	}
	return names
}

func exportedTypes(f *ast.File) []string {
	var names []string
	for _, decl := range f.Decls {
		gen, ok := decl.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, spec := range gen.Specs {
			if ts, ok := spec.(*ast.TypeSpec); ok && ts.Name.IsExported() {
				names = append(names, ts.Name.Name)
			}
		}
	}
	return names
}
