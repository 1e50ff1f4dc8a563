package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"time"
)

// figures are a result's numbers, one a round.
type figures struct {
	micros []float64 // CPU µs per message
	ratio  []float64 // the same, over the floor's in the same round
	rate   []float64 // messages per second
}

// figuresOf computes r's figures; floor is the floor's result of the same run.
func figuresOf(r, floor result) figures {
	var f figures
	for i, s := range r.samples {
		own := perMessage(s)
		f.micros = append(f.micros, own)
		f.ratio = append(f.ratio, own/perMessage(floor.samples[i]))
		f.rate = append(f.rate, float64(s.messages)/s.wall.Seconds())
	}
	return f
}

func perMessage(s sample) float64 {
	return float64(s.cpu) / float64(time.Microsecond) / float64(s.messages)
}

// median is the middle value, or the mean of the middle two.
func median(values []float64) float64 {
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	return (v[(n-1)/2] + v[n/2]) / 2
}

// interval bounds the median with 95 % confidence, whatever the distribution:
// a value is below the median as often as a coin shows heads, so with cut of n
// values left out on each side the median lies outside as often as n coins show
// at most cut heads, or at most cut tails. Below six values even the extremes
// do not reach 95 %; it then returns the extremes.
func interval(values []float64) (low, high float64) {
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	cut := 0 // values left out on each side
	chance := math.Pow(0.5, float64(n))
	for heads, tail := 0, chance; tail <= 0.025; tail += chance { // tail is P(at most heads)
		cut = heads
		chance *= float64(n-heads) / float64(heads+1)
		heads++
	}
	return v[cut], v[n-1-cut]
}

// A caseResult is a case with its results, the floor's first.
type caseResult struct {
	key, name string
	goal      float64
	results   []result
	others    float64 // part of the machine's CPUs that other programs had
}

// writeCase prints the figures of everybody in one case.
func writeCase(w io.Writer, c caseResult) {
	const row = "  %-11s %9s %18s %8s %13s %8s\n"
	fmt.Fprintf(w, "\n%s: %s\n", c.key, c.name)
	fmt.Fprintf(w, row, "", "CPU µs", "min..max", "× floor", "95 %", "msg/s")
	for _, r := range c.results {
		if r.lacks != "" {
			fmt.Fprintf(w, "  %-11s %9s (no %s)\n", r.server, "–", r.lacks)
			continue
		}
		f := figuresOf(r, c.results[0])
		low, high := interval(f.ratio)
		fmt.Fprintf(w, row, r.server, fmt.Sprintf("%.1f", median(f.micros)),
			fmt.Sprintf("%.1f..%.1f", slices.Min(f.micros), slices.Max(f.micros)),
			fmt.Sprintf("%.2f", median(f.ratio)), fmt.Sprintf("%.2f..%.2f", low, high),
			fmt.Sprintf("%.0f", median(f.rate)))
	}
	if c.disturbed() {
		fmt.Fprintf(w, "  (others had %.0f %% of the CPUs meanwhile)\n", 100*c.others)
	}
}

// disturbed reports whether the figures are not to be relied on.
func (c caseResult) disturbed() bool { return c.others > 0.05 }
