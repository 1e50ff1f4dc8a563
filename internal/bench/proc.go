package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// What is read here comes from Linux's /proc; elsewhere it fails.

// ownResident is the resident memory of this process in octets.
func ownResident() (int64, error) { return ownStatus("VmRSS:") }

// ownPeak is the most it has been since forgetPeak.
func ownPeak() (int64, error) { return ownStatus("VmHWM:") }

func forgetPeak() error { return os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) }

func ownStatus(key string) (int64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if kb, ok := strings.CutPrefix(line, key); ok {
			n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(kb), " kB"), 10, 64)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("no %s in %q", key, status)
}

// machineCPU is the time that the machine's CPUs have worked, all programs
// together and what other guests of its host took; interrupts are left out.
func machineCPU() (time.Duration, error) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	var word string
	var user, nice, system, idle, wait, irq, softirq, steal int64
	if _, err := fmt.Sscan(string(stat), &word, &user, &nice, &system, &idle, &wait, &irq, &softirq, &steal); err != nil {
		return 0, err
	}
	const tick = time.Second / 100
	return time.Duration(user+nice+system+steal) * tick, nil
}

// cpuOf is the time that the threads of process pid have spent on a CPU. It
// misses threads that have ended, so it suits a program with one thread. The
// stat file would say the same in ticks of 10 ms, too coarse for a round.
func cpuOf(pid int) (time.Duration, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(files) == 0 {
		return 0, fmt.Errorf("no schedstat for process %d", pid)
	}
	var sum time.Duration
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return 0, err
		}
		ran, _, _ := strings.Cut(string(text), " ")
		ns, err := strconv.ParseInt(ran, 10, 64)
		if err != nil {
			return 0, err
		}
		sum += time.Duration(ns)
	}
	return sum, nil
}
