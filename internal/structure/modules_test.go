package structure

import (
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var replaceRoot = regexp.MustCompile(`(?m)^(?:replace)?\s*` + regexp.QuoteMeta(modulePath) + `\s*=>\s*(\S+)`)

func TestEveryModuleIsListed(t *testing.T) {
	var listed []string
	for line := range strings.Lines(read(t, ".ci/modules")) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			listed = append(listed, line)
		}
	}
	var found []string
	for _, name := range committed(t) {
		if path.Base(name) == "go.mod" && name != "go.mod" {
			found = append(found, path.Dir(name))
		}
	}
	for _, dir := range found {
		if !slices.Contains(listed, dir) {
			t.Errorf("%s/go.mod: the module is missing from .ci/modules", dir)
		}
	}
	for _, dir := range listed {
		if !slices.Contains(found, dir) {
			t.Errorf(".ci/modules lists %s, which has no go.mod", dir)
		}
	}
	if !slices.IsSorted(listed) || len(slices.Compact(slices.Clone(listed))) != len(listed) {
		t.Error(".ci/modules is not sorted, or names a module twice")
	}
}

// A nested module that took the library from a proxy would test old code.
func TestNestedModulesUseThisTree(t *testing.T) {
	for _, name := range committed(t) {
		if path.Base(name) != "go.mod" || name == "go.mod" {
			continue
		}
		mod := read(t, name)
		if !regexp.MustCompile(regexp.QuoteMeta(modulePath) + ` v\d`).MatchString(mod) {
			continue // does not import the library
		}
		m := replaceRoot.FindStringSubmatch(mod)
		if m == nil || path.Join(path.Dir(name), m[1]) != "." {
			t.Errorf("%s requires %s without a replace that leads to the root", name, modulePath)
		}
	}
}

// The root go.mod is what users inherit: tools stand in internal/tools.
func TestRootModuleHasNoTools(t *testing.T) {
	if regexp.MustCompile(`(?m)^(tool|replace|exclude)\b`).MatchString(read(t, "go.mod")) {
		t.Error("the root go.mod has a tool, replace or exclude directive")
	}
}
