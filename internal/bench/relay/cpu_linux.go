package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of times in /proc/PID/stat; Linux has 100 a second wherever Go
// runs.
const tick = 10 * time.Millisecond

// A process is what /proc/PID/stat says of one.
type process struct {
	parent int
	cpu    time.Duration // user and system, with that of children that were waited for
}

// cpuOf is the CPU time that processes and all below them have spent so far, those
// that have ended included.
func cpuOf(pids []int) (time.Duration, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0, err
	}
	all := map[int]process{}
	for _, e := range entries {
		id, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		text, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue // it has ended meanwhile
		}
		if all[id], err = parseStat(string(text)); err != nil {
			return 0, err
		}
	}
	for _, pid := range pids {
		if _, ok := all[pid]; !ok {
			return 0, fmt.Errorf("process %d is gone", pid)
		}
	}
	var sum time.Duration
	for id, p := range all {
		for at := id; at > 1; at = all[at].parent {
			if slices.Contains(pids, at) {
				sum += p.cpu
				break
			}
		}
	}
	return sum, nil
}

// parseStat reads the fields of proc_pid_stat(5).
func parseStat(text string) (process, error) {
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:]) // the name is in parentheses
	if len(fields) < 15 {
		return process{}, fmt.Errorf("not a line of /proc/PID/stat: %q", text)
	}
	const state = 3 // the first behind the name is the third
	var p process
	p.parent, _ = strconv.Atoi(fields[4-state])
	for _, at := range []int{14, 15, 16, 17} { // utime stime cutime cstime
		n, err := strconv.ParseInt(fields[at-state], 10, 64)
		if err != nil {
			return process{}, err
		}
		p.cpu += time.Duration(n) * tick
	}
	return p, nil
}
