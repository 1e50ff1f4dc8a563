package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	rounds   = flag.Int("rounds", 9, "interleaved rounds per case")
	profiles = flag.String("profiles", "", "folder for a CPU profile of each Go server in each case")
	before   = flag.String("before", "", "test binary of an earlier state of this module, measured beside this one")
	slice    = flag.Duration("slice", 200*time.Millisecond, "length of one round on one server")
)

// measured collects what the benchmarks found, for the table.
var measured []caseResult

func TestMain(m *testing.M) {
	if name := os.Getenv(envServer); name != "" {
		if err := runChild(name); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	code := m.Run()
	if len(measured) > 0 {
		for _, c := range measured {
			writeCase(os.Stdout, c)
		}
	}
	for end := time.Now().Add(30 * time.Second); runtime.NumGoroutine() > 1 && time.Now().Before(end); {
		runtime.Gosched() // let those that have just ended go
	}
	if n := runtime.NumGoroutine(); code == 0 && n > 1 {
		stacks := make([]byte, 64<<10)
		fmt.Fprintf(os.Stderr, "%d goroutines left:\n%s\n", n-1, stacks[:runtime.Stack(stacks, true)])
		code = 1
	}
	os.Exit(code)
}

func benchLoad() load {
	return load{rounds: *rounds, slice: *slice, conns: 10, profiles: *profiles}
}

// BenchmarkServer measures every installed server in every case. A case is one
// iteration: its servers are interleaved, so one line holds them all.
func BenchmarkServer(b *testing.B) {
	for _, c := range cases() {
		b.Run(c.key+" "+c.name, func(b *testing.B) {
			if b.N == 1 { // a short run is called again with a larger N
				results, err := measure(c, withBefore(installed(peers()), *before), benchLoad())
				if err != nil {
					b.Fatal(err)
				}
				measured = append(measured, caseResult{c.key, c.name, c.goal, results, 0})
			}
			reportLast(b)
		})
	}
}

// BenchmarkClient measures every installed sender, likewise.
func BenchmarkClient(b *testing.B) {
	for _, c := range outgoingCases() {
		b.Run(c.key+" "+c.name, func(b *testing.B) {
			if b.N == 1 {
				results, err := measureOutgoing(c, withBefore(installed(outgoingPeers()), *before), benchLoad())
				if err != nil {
					b.Fatal(err)
				}
				measured = append(measured, caseResult{c.key, c.name, c.goal, results, 0})
			}
			reportLast(b)
		})
	}
}

// reportLast reports what was measured last.
func reportLast(b *testing.B) {
	b.ReportMetric(0, "ns/op") // means nothing here
	results := measured[len(measured)-1].results
	for _, r := range results {
		switch f := figuresOf(r, results[0]); {
		case r.lacks != "":
		case r.server == floorName:
			b.ReportMetric(median(f.micros), "floor-cpu-µs/msg")
		default:
			b.ReportMetric(median(f.ratio), r.server+"/floor")
		}
	}
}

// TestCasesRun sends a few messages in every case to every server: the octets
// and the replies fit one another, and CPU time is seen.
func TestCasesRun(t *testing.T) {
	for _, c := range cases() {
		results, err := measure(c, installed(peers()), load{rounds: 1, conns: 2, messages: 2})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range results {
			if r.lacks != "" {
				if r.server != sinkName {
					t.Errorf("case %s: %s does not offer %s", c.key, r.server, r.lacks)
				}
				continue
			}
			if got := r.samples[0]; got.messages != 4 || got.cpu <= 0 || got.wall <= 0 {
				t.Errorf("case %s: %s: %+v", c.key, r.server, got)
			}
		}
	}
}

// TestWrongReply proves that a server cannot look fast by refusing.
func TestWrongReply(t *testing.T) {
	k, err := startChild(floorName, options{})
	if err != nil {
		t.Fatal(err)
	}
	defer k.close()
	c := benchCase{key: "x", message: []exchange{{[]byte("NOOP\r\n"), []int{354}}}}
	_, err = runRound(k, c, load{conns: 1, messages: 1})
	if err == nil || !strings.Contains(err.Error(), "want 354") {
		t.Fatalf("got %v", err)
	}
}

// TestFloorSplit feeds the floor a whole session cut at every octet.
func TestFloorSplit(t *testing.T) {
	const in = "EHLO c\r\nMAIL FROM:<>\r\nDATA\r\nx\r\n.\r\nBDAT 6 LAST\r\n.\r\n.\r\nBDAT 0\r\nRSET\r\nQUIT\r\n"
	const want = floorEHLO + floorOK + "354 Go\r\n" + floorOK + floorOK + floorOK + floorOK + "221 2.0.0 Bye\r\n"
	for cut := range len(in) {
		f := new(floorConn)
		rest := f.consume([]byte(in[:cut]))
		rest = f.consume(append(slices.Clone(rest), in[cut:]...))
		if string(f.out) != want || len(rest) != 0 || !f.quit {
			t.Fatalf("cut at %d: %q, %q left", cut, f.out, rest)
		}
	}
}

func TestBodyNeedsNoStuffing(t *testing.T) {
	for _, size := range []int{4 << 10, 1 << 20} {
		b := string(body(size))
		if len(b) < size || len(b) > size+77 || !strings.HasSuffix(b, "\r\n") {
			t.Errorf("body(%d) has %d octets", size, len(b))
		}
		if strings.Contains(b, "\n.") || strings.Count(b, "\n") != strings.Count(b, "\r\n") {
			t.Errorf("body(%d) is not plain lines", size)
		}
	}
}

func TestStatistics(t *testing.T) {
	nine := []float64{9, 1, 8, 2, 7, 3, 6, 4, 5}
	if m := median(nine); m != 5 {
		t.Errorf("median %v", m)
	}
	if m := median(nine[:2]); m != 5 {
		t.Errorf("median of two %v", m)
	}
	// The ranks of the usual tables for the sign test.
	for n, rank := range map[int]int{1: 1, 5: 1, 6: 1, 8: 1, 9: 2, 12: 3, 13: 3, 20: 6} {
		values := make([]float64, n)
		for i := range values {
			values[i] = float64(i + 1)
		}
		low, high := interval(values)
		if low != float64(rank) || high != float64(n+1-rank) {
			t.Errorf("interval of %d values: %v..%v, want rank %d", n, low, high, rank)
		}
	}
}
