package structure

import (
	"go/ast"
	"go/doc"
	"maps"
	"slices"
	"strings"
	"testing"
)

// Every exported type is shown in use, by an example whose output is checked.
func TestExportedTypesHaveExamples(t *testing.T) {
	types := map[string][]string{} // by folder
	shown := map[string][]string{}
	for _, f := range sources(t) {
		dir := f.dir()
		switch {
		case internal(dir) || strings.HasPrefix(dir, "examples/"):
		case f.test():
			for _, ex := range doc.Examples(f.File) {
				if ex.Output != "" || ex.EmptyOutput {
					name, _, _ := strings.Cut(ex.Name, "_")
					shown[dir] = append(shown[dir], name)
				}
			}
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
