package structure

import (
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// machinePath matches an absolute path of the machine that the text was
// written on, but not the same folder below a name or a variable.
var machinePath = regexp.MustCompile(`(?m)(?:^|[^\w.~/})\]*$-])/(?:work|root|tmp/pr)(?:/|["'\x60\s),;]|$)`)

func TestNoTextNamesAMachinePath(t *testing.T) {
	for _, name := range committed(t) {
		text := read(t, name)
		if strings.ContainsRune(text, 0) {
			continue // not text
		}
		for i, line := range strings.Split(text, "\n") {
			if m := machinePath.FindString(line); m != "" {
				t.Errorf("%s:%d names a path of one machine: %s", name, i+1, strings.TrimSpace(m))
			}
		}
	}
}

func TestMachinePaths(t *testing.T) {
	for _, dir := range []string{"work", "root", "tmp/pr"} {
		for text, want := range map[string]bool{
			"/" + dir + "/main":           true,
			"cd /" + dir:                  true,
			"file:///" + dir + "/x":       false,
			`"` + "/" + dir + `"`:         true,
			"HOME=/" + dir + "/go":        true,
			"$base/" + dir + "/x":         false,
			"${base}/" + dir + "/x":       false,
			"example.org/" + dir + "/":    false,
			"/" + dir + "ing":             false,
			"root:x:0:0::/" + dir + ":sh": false,
		} {
			if got := machinePath.MatchString(text); got != want {
				t.Errorf("%q: %t, want %t", text, got, want)
			}
		}
	}
}

func TestRootHasNoGoFile(t *testing.T) {
	for _, name := range committed(t) {
		if path.Dir(name) == "." && path.Ext(name) == ".go" {
			t.Errorf("%s stands at the root", name)
		}
	}
}

func TestReadmeCommandsAreWhatCIRuns(t *testing.T) {
	const quickstart, tests = "go run ./examples/quickstart", "go test ./..."
	ci := read(t, ".ci/run")
	if !slices.Contains(lines(ci), tests) {
		t.Errorf(".ci/run has no line that is exactly %q", tests)
	}
	if !slices.ContainsFunc(lines(ci), func(line string) bool { return strings.HasSuffix(line, " "+quickstart) }) {
		t.Errorf(".ci/run does not call %q", quickstart)
	}
	readme := lines(read(t, "README.md"))
	for _, command := range []string{quickstart, tests} {
		if !slices.Contains(readme, command) {
			t.Errorf("README.md has no line that is exactly %q", command)
		}
	}
}

func lines(text string) []string {
	var trimmed []string
	for line := range strings.Lines(text) {
		trimmed = append(trimmed, strings.TrimSpace(line))
	}
	return trimmed
}
