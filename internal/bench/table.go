package main

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
)

// roundsToJudge is how many rounds it takes to say that a goal is met or not.
const roundsToJudge = 13

// column is the heading under which a peer's figures stand. Postfix has a program
// for each side, and so has go-smtp, under one name.
func column(peer string) string {
	if peer == sinkName || peer == sourceName {
		return "Postfix (C)"
	}
	return peer
}

// writeTable prints a row for each case, as Markdown.
func writeTable(w io.Writer, all []caseResult) {
	var columns []string // but for the floor and ourselves
	for _, c := range all {
		for _, r := range c.results {
			if name := column(r.server); name != floorName && name != oursName && !slices.Contains(columns, name) {
				columns = append(columns, name)
			}
		}
	}
	head := append([]string{"CPU a message, × floor", "floor µs", "Postrider", "95 %", "goal", "", "msg/s"}, columns...)
	rows := [][]string{head}
	for _, c := range all {
		cells := map[string]string{}
		var floor, own, within, verdict, rate string
		for _, r := range c.results {
			if r.lacks != "" {
				continue
			}
			f := figuresOf(r, c.results[0])
			ratio := fmt.Sprintf("%.2f", median(f.ratio))
			switch r.server {
			case floorName:
				floor = fmt.Sprintf("%.1f", median(f.micros))
			case oursName:
				low, high := interval(f.ratio)
				own, within = "**"+ratio+"**", fmt.Sprintf("%.2f–%.2f", low, high)
				verdict, rate = judge(low, c.goal, len(f.ratio)), fmt.Sprintf("%.0f", median(f.rate))
			default:
				cells[column(r.server)] = ratio
			}
		}
		row := []string{c.key + ": " + c.name, floor, own, within, fmt.Sprintf("%.2f", c.goal), verdict, rate}
		for _, name := range columns {
			row = append(row, or(cells[name], "–"))
		}
		rows = append(rows, row)
	}
	writeRows(w, rows)
}

// judge says whether a goal is met: it is unless the whole interval, of which low
// is the lower end, lies above it.
func judge(low, goal float64, rounds int) string {
	switch {
	case rounds < roundsToJudge:
		return "?"
	case low <= goal:
		return "met"
	default:
		return "not met"
	}
}

func or(s, instead string) string {
	if s == "" {
		return instead
	}
	return s
}

// writeRows prints rows as a table in Markdown, the first as its head.
func writeRows(w io.Writer, rows [][]string) {
	fmt.Fprintln(w)
	for i, row := range rows {
		fmt.Fprintf(w, "| %s |\n", strings.Join(row, " | "))
		if i == 0 {
			fmt.Fprintf(w, "|%s\n", strings.Repeat("---|", len(row)))
		}
	}
	fmt.Fprintln(w)
}

// notes explains what the table does not show.
func notes(all []caseResult, l load) []string {
	var lines, again []string
	if l.rounds < roundsToJudge {
		lines = append(lines, fmt.Sprintf("?: goals are judged by %d rounds or more", roundsToJudge))
	}
	for _, p := range append(peers(), outgoingPeers()...) {
		if p.installed != nil && !p.installed() {
			lines = append(lines, "–: "+p.name+" is not installed, or its time cannot be read here")
		}
	}
	for _, c := range all {
		var who []string
		var lacks string // the same for all of a case
		for _, r := range c.results {
			if r.lacks != "" {
				who, lacks = append(who, r.server), r.lacks
			}
		}
		if lacks != "" {
			lines = append(lines, fmt.Sprintf("– in %s: no %s in %s", c.key, lacks, strings.Join(who, ", ")))
		}
		if c.disturbed() {
			again = append(again, fmt.Sprintf("%s (%.0f %%)", c.key, 100*c.others))
		}
	}
	if len(again) > 0 {
		lines = append(lines, "measure again, other programs had their part of the CPUs: "+strings.Join(again, ", "))
	}
	return lines
}

// benchmarkLines has a line for each round of each peer, as go test prints them.
func benchmarkLines(all []caseResult) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "goos: %s\ngoarch: %s\npkg: github.com/postrider/postrider/internal/bench\n", runtime.GOOS, runtime.GOARCH)
	for _, c := range all {
		for _, r := range c.results {
			f := figuresOf(r, c.results[0])
			for i, s := range r.samples {
				fmt.Fprintf(&b, "BenchmarkMessage/case=%s/by=%s %d %.2f cpu-µs/msg %.3f x-floor %.0f msg/s\n",
					c.key, strings.ReplaceAll(r.server, "/", "-"), s.messages, f.micros[i], f.ratio[i], f.rate[i])
			}
		}
	}
	return b.Bytes()
}
