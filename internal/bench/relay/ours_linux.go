package main

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/postrider/postrider/internal/pgtest"
)

// profiler is one more file of the program, which so needs no flag for it. It does
// nothing as long as nobody asks.
//
//go:embed profiler.go.txt
var profiler string

// envProfile tells the profiler which file to write.
const envProfile = "POSTRIDER_BENCH_CPU"

// buildRelay builds examples/relay and returns the program.
func buildRelay(ctx context.Context, dir string) (string, error) {
	source, err := sourceOf("examples/relay")
	if err != nil {
		return "", err
	}
	program := filepath.Join(dir, "relay")
	file, overlay := filepath.Join(dir, "profiler.go"), filepath.Join(dir, "overlay.json")
	text, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(source, "profiler.go"): file}})
	if err == nil {
		err = errors.Join(os.WriteFile(file, []byte(profiler), 0o644), os.WriteFile(overlay, text, 0o644))
	}
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-overlay", overlay, "-o", program, ".")
	cmd.Dir = source
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return program, nil
}

// sourceOf returns the absolute path of a directory of the repository.
func sourceOf(name string) (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output() // that of internal/bench
	if err != nil {
		return "", err
	}
	module := strings.TrimSpace(string(out))
	if filepath.Base(module) != "go.mod" {
		return "", errors.New("to be run in internal/bench, whose relay it builds")
	}
	return filepath.Join(filepath.Dir(module), "../..", name), nil
}

// startRelay starts the program, by way of the words in front if there are any.
func startRelay(ctx context.Context, program, dsn, next, log string, front ...string) (*mta, error) {
	words := append(front, program, "-listen", "127.0.0.1:0", "-smarthost", next, "-db", dsn,
		"-hostname", "relay.bench.example", "-insecure-local")
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Env = append(os.Environ(), envProfile+"="+log+".pprof")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	stderr, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer stderr.Close()
	cmd.Stderr = stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { cmd.Process.Kill() })
	defer stop()
	m := &mta{about: "examples/relay with SQLite", pids: []int{cmd.Process.Pid}, stop: func() { end(cmd) }, log: log}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if at := strings.Index(lines.Text(), "127.0.0.1:"); at >= 0 && m.addr == "" {
			m.addr = lines.Text()[at:]
		}
		if lines.Text() == "ready" {
			return m, nil
		}
	}
	m.stop()
	said, _ := os.ReadFile(log)
	return nil, fmt.Errorf("%s is not ready: %s", program, said)
}

// startWithPostgres starts the program with a PostgreSQL of its own, whose CPU time
// counts like that of the program.
func startWithPostgres(ctx context.Context, program, next, log string) (*mta, error) {
	db, err := pgtest.Launch()
	if err != nil {
		return nil, err
	}
	m, err := startRelay(ctx, program, db.DSN(), next, log)
	if err != nil {
		return nil, errors.Join(err, db.Stop())
	}
	dir, _ := db.Dir()
	text, err := os.ReadFile(filepath.Join(dir, "data", "postmaster.pid"))
	first, _, _ := strings.Cut(string(text), "\n")
	pid, _ := strconv.Atoi(first)
	settings, err2 := db.Query("show server_version; show fsync; show synchronous_commit")
	m.about = strings.ReplaceAll("examples/relay with PostgreSQL "+strings.TrimSpace(settings), "\n", ", ")
	m.pids = append(m.pids, pid)
	relay := m.stop
	m.stop = func() {
		relay()
		db.Stop()
	}
	if err := errors.Join(err, err2); err != nil {
		m.stop()
		return nil, err
	}
	return m, nil
}
