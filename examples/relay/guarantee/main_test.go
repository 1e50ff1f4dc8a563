package guarantee

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/postrider/postrider/internal/leaktest"
)

var full = flag.Bool("full", false, "kill two hundred times and queue thousands of messages, which takes minutes")

// program is the relay, built once, with the race detector if the test has it: a
// race then ends the program, and the test fails.
var program string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	flag.Parse()
	dir, err := os.MkdirTemp("", "guarantee")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "relay")
	build := exec.Command("go", "build", fmt.Sprintf("-race=%t", raced), "-o", program, "..")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v: %v\n%s", build, err, out)
		return 1
	}
	return leaktest.Main(m)
}

// scaled is n in full, and less otherwise.
func scaled(short, n int) int {
	if *full {
		return n
	}
	return short
}

// missing skips a test that this machine cannot run. With CI=true it fails.
func missing(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("this takes "+format, args...)
	}
	t.Skipf("this takes "+format, args...)
}
