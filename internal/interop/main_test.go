//go:build interop

package interop

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"testing"
	"time"
)

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "interop-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	programs = dir
	sendProgram, sinkProgram = filepath.Join(dir, "send"), filepath.Join(dir, "sink")
	build := exec.Command("go", "build", "-o", dir+"/", "./examples/send", "./examples/sink")
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v: %v\n%s", build, err, out)
		return 1
	}
	before := pprof.Lookup("goroutine").Count()
	code := m.Run()
	if code == 0 && leaked(before) {
		return 1
	}
	return code
}

// leaked reports whether more goroutines than that many outlive the tests.
func leaked(before int) bool {
	goroutines := pprof.Lookup("goroutine")
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for range 200 {
		if goroutines.Count() <= before {
			return false
		}
		<-tick.C
	}
	fmt.Fprintln(os.Stderr, "goroutines leaked:")
	goroutines.WriteTo(os.Stderr, 1)
	return true
}
