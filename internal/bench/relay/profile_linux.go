package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// A stage is a part of the relay that CPU time is put down to. The rows are asked
// from the top, and each function of a stack from the innermost: the first that
// has a stage decides.
type stage struct {
	name  string
	parts []string // of a function's name
}

var stages = []stage{
	{"store", []string{"mx/queue/sqlqueue.", "modernc.org/", "github.com/jackc/pgx/", "database/sql."}},
	{"SMTP out", []string{"postrider/client.", "postrider/client/", "postrider/mx."}},
	{"SMTP in", []string{"postrider/server.", "postrider/server/"}},
	{"queue", []string{"postrider/mx/queue.", "postrider/mx/queue/"}},
	{"log", []string{"log/slog."}},
	{"collector", []string{"runtime.gcBgMarkWorker", "runtime.bgsweep", "runtime.bgscavenge", "runtime.gcStart"}},
	{"scheduler", []string{"runtime.mcall", "runtime.mstart", "runtime.schedule", "runtime.park_m", "runtime.sysmon", "runtime.goexit0", "runtime.morestack"}},
	{"session", []string{"main."}},
}

// profile drives the relay once more.
func (m *mta) profile(ctx context.Context, w io.Writer, r *root, l load, keep string) error {
	file := m.log + ".pprof"
	os.Remove(file)
	if err := syscall.Kill(m.pids[0], syscall.SIGUSR1); err != nil {
		return err
	}
	l.messages *= 5
	own := m.pids[:1] // without the database's
	before, err := cpuOf(own)
	if err != nil {
		return err
	}
	log, err := os.Stat(m.log)
	if err != nil {
		return err
	}
	s, err := m.round(ctx, r, l)
	if err != nil {
		return err
	}
	after, err := cpuOf(own)
	if err != nil {
		return err
	}
	if err := syscall.Kill(m.pids[0], syscall.SIGUSR2); err != nil {
		return err
	}
	for range 500 {
		if _, err = os.Stat(file); err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err != nil {
		return err
	}
	if keep != "" {
		name := fmt.Sprintf("%s-%d.pprof", m.name, l.sessions)
		if l.kept {
			name = "kept-" + name
		}
		if err := copyFile(filepath.Join(keep, name), file); err != nil {
			return err
		}
	}
	out, err := exec.CommandContext(ctx, "go", "tool", "pprof", "-traces", m.program, file).Output()
	if err != nil {
		return fmt.Errorf("pprof: %w", err)
	}
	cpu := milliseconds(after-before) / float64(l.messages)
	fmt.Fprintf(w, "  %s: where the relay's %.2f ms CPU per message go\n", m.name, cpu)
	if err := writeShares(w, string(out), cpu); err != nil {
		return err
	}
	return m.writeTimes(w, log.Size(), l, s)
}

func copyFile(to, from string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o644)
}

// writeShares sums up the stacks that pprof -traces prints: each begins with its
// time and its innermost function.
func writeShares(w io.Writer, traces string, cpu float64) error {
	total, kernel := map[string]time.Duration{}, map[string]time.Duration{}
	var all time.Duration
	for _, text := range strings.Split(traces, "-----------+") {
		var took time.Duration
		var stack []string
		for line := range strings.Lines(text) {
			fields := strings.Fields(line)
			if len(fields) == 0 || strings.HasPrefix(fields[0], "---") {
				continue
			}
			if d, err := time.ParseDuration(fields[0]); err == nil && len(fields) > 1 {
				took, fields = d, fields[1:]
			}
			if took > 0 {
				stack = append(stack, strings.Join(fields, " "))
			}
		}
		if took == 0 {
			continue
		}
		name := stageOf(stack)
		all += took
		total[name] += took
		if strings.Contains(stack[0], "Syscall6") || strings.Contains(stack[0], "runtime.futex") || strings.Contains(stack[0], "epoll") {
			kernel[name] += took
		}
	}
	if all == 0 {
		return fmt.Errorf("the profile is empty")
	}
	for _, s := range append(stages, stage{name: "other"}) {
		share := float64(total[s.name]) / float64(all)
		fmt.Fprintf(w, "    %-10s %4.0f %%  %6.3f ms, of which %6.3f in system calls\n", s.name, 100*share, cpu*share, cpu*float64(kernel[s.name])/float64(all))
	}
	return nil
}

func stageOf(stack []string) string {
	for _, function := range stack {
		for _, s := range stages {
			for _, part := range s.parts {
				if strings.Contains(function, part) {
					return s.name
				}
			}
		}
	}
	return "other"
}
