package structure

import (
	"go/ast"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// buildAnMTA is the section of README.md that walks from nothing to a relay.
func buildAnMTA(t *testing.T) string {
	t.Helper()
	_, section, ok := strings.Cut(read(t, "README.md"), "\n## Build an MTA\n")
	if !ok {
		t.Fatal("README.md does not say how to build an MTA")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	return section
}

var goBlock = regexp.MustCompile("(?s)\n```go\n(.*?)```\n")

// The code of the section stands line by line in a test of the relay's module,
// which has the drivers, and is run there.
func TestReadmeCodeIsTested(t *testing.T) {
	tested := strings.Join(lines(read(t, "examples/relay/readme_test.go")), "\n")
	blocks := goBlock.FindAllStringSubmatch(buildAnMTA(t), -1)
	if len(blocks) == 0 {
		t.Error("README.md has no code in it")
	}
	for _, block := range blocks {
		if code := strings.TrimSpace(strings.Join(lines(block[1]), "\n")); !strings.Contains(tested, code) {
			t.Errorf("examples/relay/readme_test.go does not have\n%s", code)
		}
	}
}

var flagWord = regexp.MustCompile(`(?:^|\s)-([a-z][a-z-]*)`)

// The relay has the flags with which the section calls it.
func TestReadmeCallsTheRelayAsItIs(t *testing.T) {
	known := map[string]bool{}
	for _, f := range sources(t) {
		if f.test() || !slices.Contains([]string{"examples/relay", "mx/queue/queuecmd", "mx/queue"}, f.dir()) {
			continue
		}
		ast.Inspect(f.File, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok {
				if s, err := strconv.Unquote(lit.Value); err == nil {
					known[s] = true
				}
			}
			return true
		})
	}
	calls := 0
	section := strings.ReplaceAll(buildAnMTA(t), "\\\n", " ")
	for _, line := range lines(section) {
		_, args, ok := strings.Cut(line, "bin/relay ")
		if !ok {
			continue
		}
		calls++
		for _, m := range flagWord.FindAllStringSubmatch(args, -1) {
			if !known[m[1]] {
				t.Errorf("examples/relay has no flag -%s: %s", m[1], line)
			}
		}
		if command, _, _ := strings.Cut(args, " "); command == "queue" {
			if word := strings.Fields(args)[1]; !known[word] {
				t.Errorf("examples/relay has no command queue %s", word)
			}
		}
	}
	if calls < 3 {
		t.Errorf("README.md calls bin/relay %d times", calls)
	}
}

// Each guarantee names tests that are there.
func TestReadmeGuaranteesAreTested(t *testing.T) {
	tests := testNames(t)
	rows := 0
	for line := range strings.Lines(buildAnMTA(t)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 2 || !strings.HasPrefix(line, "| ") {
			continue
		}
		rows++
		proofs := backticked.FindAllStringSubmatch(cells[1], -1)
		for _, proof := range proofs {
			pkg, name, ok := strings.Cut(proof[1], ".")
			if ok && strings.HasPrefix(name, "Test") && !slices.Contains(tests[pkg], name) {
				t.Errorf("there is no test %s", proof[1])
			}
		}
		if rows > 1 && len(proofs) == 0 && !strings.HasPrefix(line, "|--") {
			t.Errorf("no proof of %s", cells[0])
		}
	}
	if rows < 6 {
		t.Errorf("%d rows of guarantees", rows)
	}
}
