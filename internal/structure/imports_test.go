package structure

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// arrows says what each package may import of the others. A package obeys the
// row that names it or else the longest row above it that ends in "/...".
// A package without a row is an error: whoever adds it decides where it stands.
var arrows = map[string][]string{
	"smtp":          {},
	"smtp/dsn":      {"smtp"},
	"internal/wire": {"smtp"},
	"internal/...":  {"..."}, // what they import counts as their importers' own
	"client":        {"smtp", "internal/wire"},
	"server":        {"smtp", "internal/wire"},
	"server/...":    {"smtp", "internal/wire", "server"},

	"server/dnslist":     {"smtp", "server"}, // and mx/dns, as everybody
	"server/middleware":  {"smtp", "server"},
	"server/prommetrics": {"smtp", "server"},

	"auth/...":        {"smtp", "auth/..."},
	"mx/dns/...":      {},
	"mx":              {"smtp", "client", "mx/dane", "mx/mtasts", "mx/tlsrpt"},
	"mx/dane":         {},
	"mx/internal/...": {},
	"mx/mtasts":       {},
	"mx/tlsrpt":       {"smtp"},
	"mx/queue/...":    {"smtp", "smtp/dsn", "mx", "mx/queue/..."},
	"mx/mxtest":       {"..."},
	"examples/...":    {"..."},
}

// everybody may import these, besides what arrows allows.
var everybody = []string{"mx/dns"}

// everybodysTests may import these too, without being external.
var everybodysTests = []string{"mx/dns/dnstest"}

// outside says what some packages may import of the rest of the world.
var outside = map[string]func(imp string) bool{
	// No network: addresses are netip's.
	"smtp": func(imp string) bool {
		return imp == "net/netip" || !covers("net/...", imp) && imp != "crypto/tls"
	},
	"mx/dns/...": func(imp string) bool {
		domain, _, _ := strings.Cut(imp, "/")
		return !strings.Contains(domain, ".") || covers("golang.org/x/net/...", imp)
	},
}

// A graph maps a package to what it imports. Packages of ours are named by
// their path from the root of the tree with modulePath in front.
type graph map[string][]string

func TestImportsPointDownwards(t *testing.T) {
	code, tests := graph{}, graph{}
	for _, f := range sources(t) {
		into := code
		if f.test() {
			if strings.HasSuffix(f.Name.Name, "_test") {
				continue // external tests may cross
			}
			into = tests
		}
		pkg := path.Join(modulePath, f.dir())
		for _, imp := range imports(f) {
			if !f.test() || !slices.Contains(everybodysTests, relative(imp)) {
				into[pkg] = append(into[pkg], imp)
			}
		}
	}
	for _, pkg := range []string{"smtp", "smtp/dsn", "internal/wire", "client", "server", "server/smtptest", "server/middleware", "server/prommetrics", "server/dnslist", "mx", "mx/dns", "mx/dns/dnstest", "mx/mtasts", "mx/mxtest", "mx/tlsrpt", "auth/spf"} {
		if _, ok := code[path.Join(modulePath, pkg)]; !ok {
			t.Errorf("package %s is missing", pkg)
		}
	}
	for _, pkg := range slices.Sorted(maps.Keys(code)) {
		for _, fault := range wrongArrows(pkg, code[pkg], code) {
			t.Error(fault)
		}
	}
	for _, pkg := range slices.Sorted(maps.Keys(tests)) {
		for _, fault := range wrongArrows(pkg, tests[pkg], code) {
			t.Errorf("test: %s (a test that crosses belongs in an external _test package)", fault)
		}
	}
}

func TestWrongArrowsAreFound(t *testing.T) {
	for _, tt := range []struct {
		edges string // "a>b c>d", walked from the first
		wrong bool
	}{
		{"client>smtp", false},
		{"client>internal/wire", false},
		{"client>server", true},
		{"client>server/smtptest", true},
		{"client>internal/x internal/x>smtp", false},
		{"client>internal/x internal/x>internal/y internal/y>server", true},
		{"client>mx/dns", false},
		{"client>mx", true},
		{"client/other>smtp", true}, // no row
		{"server>client", true},
		{"server>smtp/dsn", true},
		{"server/smtptest>server", false},
		{"server/middleware>server", false},
		{"server/middleware>internal/wire", true},
		{"server/prommetrics>!github.com/prometheus/client_golang/prometheus", false},
		{"server/smtptest>client", true},
		{"server/dnslist>mx/dns", false},
		{"server/dnslist>mx", true},
		{"smtp>smtp/dsn", true},
		{"smtp>internal/wire", true},
		{"smtp>!net", true},
		{"smtp>internal/x internal/x>!net/textproto", true},
		{"smtp>!net/netip", false},
		{"smtp/dsn>smtp", false},
		{"internal/wire>smtp", false},
		{"internal/wire>client", true},
		{"auth>auth/spf", false},
		{"auth/dkim>mx/dns", false},
		{"auth>server", true},
		{"auth>internal/wire", true},
		{"mx>client", false},
		{"mx>server", true},
		{"mx>mx/queue", true},
		{"mx>mx/mtasts", false},
		{"mx/mtasts>mx", true},
		{"mx/dane>mx/dns", false},
		{"mx/dns>smtp", true},
		{"mx/dns>!golang.org/x/net/dns/dnsmessage", false},
		{"mx/dns>!golang.org/x/text", true},
		{"mx/dns/dnstest>mx/dns", false},
		{"mx/queue>smtp/dsn", false},
		{"mx/queue>client", true},
		{"mx/queue/sqlqueue>mx/queue", false},
		{"mx/mxtest>server", false},
		{"examples/relay>mx/queue", false},
		{"elsewhere>smtp", true}, // no row
	} {
		g := graph{}
		var first string
		for edge := range strings.FieldsSeq(tt.edges) {
			from, to, _ := strings.Cut(edge, ">")
			from = path.Join(modulePath, from)
			if world, ok := strings.CutPrefix(to, "!"); ok {
				to = world
			} else {
				to = path.Join(modulePath, to)
			}
			first = cmp.Or(first, from)
			g[from] = append(g[from], to)
		}
		faults := wrongArrows(first, g[first], g)
		if got := len(faults) > 0; got != tt.wrong {
			t.Errorf("%s: wrong arrow %t, want %t %v", tt.edges, got, tt.wrong, faults)
		}
	}
}

// wrongArrows names the imports of pkg that no row allows.
func wrongArrows(pkg string, imports []string, g graph) []string {
	name := relative(pkg)
	allowed, ok := row(arrows, name)
	if !ok {
		return []string{fmt.Sprintf("%s has no row in arrows", name)}
	}
	world, limited := row(outside, name)
	var faults []string
	for _, imp := range slices.Sorted(maps.Keys(reached(imports, g))) {
		target := relative(imp)
		switch {
		case target == "" && limited && !world(imp):
			faults = append(faults, fmt.Sprintf("%s must not import %s", name, imp))
		case target == "" || target == name || transparent(target):
		case slices.ContainsFunc(allowed, func(p string) bool { return covers(p, target) }):
		case slices.Contains(everybody, target):
		default:
			faults = append(faults, fmt.Sprintf("%s must not import %s", name, target))
		}
	}
	return faults
}

// reached returns the imports and, through transparent packages, theirs.
func reached(imports []string, g graph) map[string]bool {
	seen := map[string]bool{}
	for todo := imports; len(todo) > 0; todo = todo[1:] {
		imp := todo[0]
		if !seen[imp] && transparent(relative(imp)) {
			todo = append(todo, g[imp]...)
		}
		seen[imp] = true
	}
	return seen
}

// transparent reports whether a package's imports count as its importers' own.
func transparent(name string) bool { return internal(name) && name != "internal/wire" }

// relative returns the path of one of our packages from the root of the tree,
// "." for the root, and nothing for a package that is not ours.
func relative(pkg string) string {
	if pkg == modulePath {
		return "."
	}
	name, ok := strings.CutPrefix(pkg, modulePath+"/")
	if !ok {
		return ""
	}
	return name
}

// row finds what stands for name in a table: under the name itself, or under
// the longest pattern that covers it.
func row[V any](table map[string]V, name string) (v V, ok bool) {
	if v, ok = table[name]; ok {
		return v, true
	}
	longest := ""
	for pattern := range table {
		if covers(pattern, name) && len(pattern) > len(longest) {
			longest, v, ok = pattern, table[pattern], true
		}
	}
	return v, ok
}

// covers reports whether the pattern is the name, or ends in "..." and stands
// above it ("a/..." covers a too).
func covers(pattern, name string) bool {
	if pattern == "..." {
		return true
	}
	above, ok := strings.CutSuffix(pattern, "/...")
	return pattern == name || ok && (name == above || strings.HasPrefix(name, above+"/"))
}

func imports(f source) []string {
	var paths []string
	for _, spec := range f.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			panic(err) // the parser has let it through
		}
		paths = append(paths, p)
	}
	return paths
}
