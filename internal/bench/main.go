// Bench measures what a message costs this library, as a server and as a client,
// and what a connection costs that only waits: in one interleaved run with other
// servers and clients and with a floor. It prints the table by which the goals of
// the project are judged. README.md says how it measures.
//
//	go -C internal/bench run .
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

func main() {
	beChild()
	if err := bench(os.Stdout, os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// A job is a case of one kind or the other, ready to be measured.
type job struct {
	key, name string
	goal      float64
	run       func(load) ([]result, error)
}

// jobs lists all, servers first. before is as in withBefore.
func jobs(before string) []job {
	var all []job
	servers := withBefore(installed(peers()), before)
	for _, c := range cases() {
		all = append(all, job{c.key, c.name, c.goal, func(l load) ([]result, error) { return measure(c, servers, l) }})
	}
	senders := withBefore(installed(outgoingPeers()), before)
	for _, c := range outgoingCases() {
		all = append(all, job{c.key, c.name, c.goal, func(l load) ([]result, error) { return measureOutgoing(c, senders, l) }})
	}
	return all
}

// memoryKey stands for the memory of connections, in the place of a case.
const memoryKey = "memory"

func bench(w io.Writer, args []string) error {
	l := load{conns: 10}
	var before, lines string
	var chosen []string
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.IntVar(&l.rounds, "rounds", roundsToJudge, "rounds for each case")
	flags.DurationVar(&l.slice, "slice", 200*time.Millisecond, "length of one round on one server or client")
	flags.Func("case", "only these `keys`, with commas: a,b2,g,memory", func(s string) error {
		chosen = strings.Split(s, ",")
		return nil
	})
	flags.StringVar(&before, "before", "", "another build of this `program`, with the library as it was, measured beside this one")
	flags.StringVar(&l.profiles, "profiles", "", "`folder` for a CPU profile of each Go program in each case")
	flags.StringVar(&lines, "benchstat", "", "`file` for a line a round, for benchstat to read")
	if err := flags.Parse(args); err != nil {
		return err
	}
	all := jobs(before)
	for _, key := range chosen {
		if key != memoryKey && !slices.ContainsFunc(all, func(j job) bool { return j.key == key }) {
			return fmt.Errorf("no case %q", key)
		}
	}
	if l.profiles != "" {
		if err := os.MkdirAll(l.profiles, 0o777); err != nil {
			return err
		}
	}
	wanted := func(key string) bool { return chosen == nil || slices.Contains(chosen, key) }

	var results []caseResult
	for _, j := range all {
		if !wanted(j.key) {
			continue
		}
		seen := startWatch()
		measured, err := j.run(l)
		if err != nil {
			return err
		}
		c := caseResult{j.key, j.name, j.goal, measured, seen.others()}
		results = append(results, c)
		writeCase(w, c)
	}
	var memory []memoryRow
	if wanted(memoryKey) {
		var err error
		if memory, err = measureMemory(withBefore(installed(peers()), before), min(l.rounds, memoryRounds)); err != nil {
			return err
		}
	}
	fmt.Fprintf(w, "\n%s %s/%s, %d CPUs; %d rounds of %v, %d connections\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), l.rounds, l.slice, l.conns)
	if len(results) > 0 {
		writeTable(w, results)
	}
	if len(memory) > 0 {
		writeMemory(w, memory)
	}
	for _, n := range notes(results, l) {
		fmt.Fprintln(w, "-", n)
	}
	if lines == "" {
		return nil
	}
	return os.WriteFile(lines, benchmarkLines(results), 0o644)
}
