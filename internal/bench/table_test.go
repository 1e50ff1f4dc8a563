package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// madeUp is a case whose rounds cost the floor 10 µs a message, and us own[i] µs.
func madeUp(goal float64, own ...int) caseResult {
	c := caseResult{key: "x", name: "made up", goal: goal, results: []result{
		{server: floorName}, {server: oursName}, {server: sinkName, lacks: "CHUNKING"},
	}}
	for _, micros := range own {
		for i, cpu := range []int{10, micros} {
			c.results[i].samples = append(c.results[i].samples, sample{100, time.Duration(100*cpu) * time.Microsecond, time.Second})
		}
	}
	return c
}

func TestTable(t *testing.T) {
	rounds := []int{9, 9, 11, 11, 11, 12, 12, 12, 13, 13, 13, 30, 30} // interval: 1.1 to 1.3
	for _, test := range []struct {
		c    caseResult
		want string
	}{
		{madeUp(1.1, rounds...), "| x: made up | 10.0 | **1.20** | 1.10–1.30 | 1.10 | met | 100 | – |"},
		{madeUp(1.3, rounds...), "| x: made up | 10.0 | **1.20** | 1.10–1.30 | 1.30 | met | 100 | – |"},
		{madeUp(1.09, rounds...), "| x: made up | 10.0 | **1.20** | 1.10–1.30 | 1.09 | not met | 100 | – |"},
		{madeUp(9, rounds[1:]...), "| x: made up | 10.0 | **1.20** | 1.10–1.30 | 9.00 | ? | 100 | – |"},
	} {
		var b strings.Builder
		writeTable(&b, []caseResult{test.c})
		if !strings.Contains(b.String(), "\n"+test.want+"\n") || !strings.Contains(b.String(), "| Postfix (C) |") {
			t.Errorf("want %s\ngot%s", test.want, &b)
		}
	}
	c := madeUp(1, rounds...)
	c.others = 0.5
	said := strings.Join(notes([]caseResult{c}, load{rounds: len(rounds)}), "\n")
	if !strings.Contains(said, "– in x: no CHUNKING in smtp-sink") || !strings.Contains(said, "CPUs: x (50 %)") {
		t.Errorf("notes: %s", said)
	}
	if got := string(benchmarkLines([]caseResult{c})); !strings.Contains(got, "\nBenchmarkMessage/case=x/by=ours 100 9.00 cpu-µs/msg 0.900 x-floor 100 msg/s\n") {
		t.Errorf("for benchstat: %s", got)
	}
}

// TestInterleaving proves that each is measured as often as the others, and before
// each of them as often as behind it.
func TestInterleaving(t *testing.T) {
	const n, rounds = 4, 12
	var order []int
	results := make([]result, n)
	err := interleave(results, load{rounds: rounds}, func(at int) (sample, error) {
		order = append(order, at)
		return sample{messages: 1}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	before := map[string]int{}
	for round := range slices.Chunk(order[n:], n) { // behind the one that warms up
		for i, a := range round {
			for _, b := range round[i+1:] {
				before[fmt.Sprint(a, b)]++
			}
		}
	}
	for a := range n {
		if len(results[a].samples) != rounds {
			t.Errorf("%d samples of %d", len(results[a].samples), a)
		}
		for b := range a {
			if x, y := before[fmt.Sprint(a, b)], before[fmt.Sprint(b, a)]; x != rounds/2 || y != rounds/2 {
				t.Errorf("%d is %d times before %d, and %d times behind it", a, x, b, y)
			}
		}
	}
}

func TestOthers(t *testing.T) {
	if _, err := machineCPU(); err != nil {
		t.Skip(err)
	}
	w := startWatch()
	w.machine -= 3 * time.Second
	w.inside -= time.Second
	w.began = w.began.Add(-10 * time.Second)
	if got := w.others(); got <= 0 || got > 0.3 {
		t.Errorf("others had %v", got)
	}
}

func TestUnknownCase(t *testing.T) {
	if err := bench(t.Output(), []string{"-case", "a,zz"}); err == nil || !strings.Contains(err.Error(), "zz") {
		t.Error(err)
	}
}

// TestLargeMessage holds us to what a message of 25 MB may cost.
func TestLargeMessage(t *testing.T) {
	if _, err := ownResident(); err != nil {
		t.Skip(err)
	}
	if mb, err := largeMemory(peer{name: oursName}); err != nil || mb > 1 {
		t.Errorf("%.1f MB more, %v", mb, err)
	}
}
