package main

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/leaktest"
)

func TestMain(m *testing.M) {
	beChild()
	os.Exit(leaktest.Main(m))
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
