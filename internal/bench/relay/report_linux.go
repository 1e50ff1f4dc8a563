package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

const row = "  %-9s %7s %-14s %7s %-14s %9s %-12s %6s %-12s\n"

// header says what is measured, and of what.
func header(w io.Writer, o options, all []*mta) {
	fmt.Fprintf(w, "smtp-source -> relay -> smtp-sink: %d messages of %d octets a round; %d interleaved rounds, median and extremes.\n",
		o.messages, o.size, o.rounds)
	for _, m := range all {
		fmt.Fprintf(w, "%s: %s\n", m.name, m.about)
	}
	fmt.Fprintf(w, "\n"+row, "", "accepted/s", "", "delivered/s", "", "× Postfix", "", "CPU ms", "a message")
}

// report prints the rows of the table for one load.
func report(w io.Writer, l load, all []*mta, samples [][]sample) {
	fmt.Fprintln(w, l)
	postfix := slices.IndexFunc(all, func(m *mta) bool { return m.name == "postfix" })
	for i, m := range all {
		var accepted, delivered, ratio, cpu []float64
		for round, s := range samples[i] {
			accepted, delivered, cpu = append(accepted, s.accepted), append(delivered, s.delivered), append(cpu, s.cpu)
			if postfix >= 0 {
				ratio = append(ratio, s.delivered/samples[postfix][round].delivered)
			}
		}
		cells := []any{m.name}
		cells = append(cells, cell("%.0f", accepted)...)
		cells = append(cells, cell("%.0f", delivered)...)
		cells = append(cells, cell("%.2f", ratio)...)
		cells = append(cells, cell("%.2f", cpu)...)
		line := fmt.Sprintf(row, cells...)
		fmt.Fprintln(w, strings.TrimRight(line, " \n"))
	}
}

// cell is the median and the extremes.
func cell(format string, values []float64) []any {
	if len(values) == 0 {
		return []any{"", ""}
	}
	return []any{fmt.Sprintf(format, median(values)), fmt.Sprintf(format+".."+format, slices.Min(values), slices.Max(values))}
}

// median is the middle value, or the mean of the middle two.
func median(values []float64) float64 {
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	return (v[(n-1)/2] + v[n/2]) / 2
}
