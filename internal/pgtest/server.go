//go:build linux

package pgtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	startTime = 2 * time.Minute // recovery from a crash included, which syncs a thousand files
	stopTime  = 30 * time.Second
	tick      = 5 * time.Millisecond
)

// A Server is a PostgreSQL that listens on loopback and trusts who connects. Its
// methods must not be called at the same time, but for DSN.
type Server struct {
	programs programs
	dir      string // outside of the root
	port     int
	settings []string

	cmd  *exec.Cmd
	gone chan struct{} // closed when the process is, and cmd.ProcessState is set
}

// Start starts a server that ends with the test. Each of the settings is like a
// line of postgresql.conf, as "max_connections=20". Without a PostgreSQL the test
// is skipped; with CI=true in the environment it fails.
func Start(t testing.TB, settings ...string) *Server {
	t.Helper()
	s, err := Launch(settings...)
	var missing missingError
	switch {
	case errors.As(err, &missing) && os.Getenv("CI") != "true":
		t.Skip(err)
	case err != nil:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("PostgreSQL's log ends with:\n%s", s.Log())
		}
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Launch is Start for programs that are no test. Stop has to be called.
func Launch(settings ...string) (*Server, error) {
	p, err := find()
	if err != nil {
		return nil, err
	}
	tmp := os.TempDir()
	if p.root != "" {
		tmp = filepath.Join(p.root, "tmp")
	}
	dir, err := os.MkdirTemp(tmp, "pgtest-")
	if err != nil {
		return nil, err
	}
	s := &Server{programs: p, dir: dir, settings: settings}
	if err := s.launch(); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	return s, nil
}

func (s *Server) launch() error {
	if s.programs.user != 0 {
		if err := os.Chown(s.dir, s.programs.user, s.programs.user); err != nil {
			return err
		}
	}
	// The new cluster itself need not survive the machine.
	initdb := s.programs.command("initdb", "--no-sync", "--no-locale", "--encoding=UTF8",
		"--auth=trust", "--username=postgres", "--pgdata="+s.inside("data"))
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	var err error
	for range 3 { // somebody may be quicker at the port
		if s.port, err = freePort(); err != nil {
			return err
		}
		if err = s.Restart(); err == nil {
			return nil
		}
		if s.cmd == nil { // it was slow
			break
		}
	}
	return err
}

// DSN returns the URL of the server's first database, for a superuser. It stays
// the same for all of the server's life.
func (s *Server) DSN() string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", s.port)
}

// Dir returns a directory that the server can write to, and what the server calls
// it.
func (s *Server) Dir() (outside, inside string) { return s.dir, s.inside("") }

// User returns the number of the account that the server runs as.
func (s *Server) User() int {
	if s.programs.user != 0 {
		return s.programs.user
	}
	return os.Getuid()
}

// Log returns the end of what the server has written to its log.
func (s *Server) Log() string {
	log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
	return string(log[max(0, len(log)-16<<10):])
}

// Restart starts the server after Kill, or after a fast shutdown if it runs, and
// returns when it takes connections.
func (s *Server) Restart() error {
	if err := s.shutdown(); err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	args := []string{"-D", s.inside("data"), "-p", strconv.Itoa(s.port)}
	for _, setting := range append([]string{
		"listen_addresses=127.0.0.1",
		"unix_socket_directories=",
		"dynamic_shared_memory_type=mmap", // nothing stays in /dev/shm after Kill
		"jit=off",
	}, s.settings...) {
		args = append(args, "-c", setting)
	}
	cmd := s.programs.command("postgres", args...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		cmd.Wait()
	}()
	s.cmd, s.gone = cmd, gone
	return s.ready()
}

// ready waits until the server has written that it is ready.
func (s *Server) ready() error {
	every := time.NewTicker(tick)
	defer every.Stop()
	late := time.After(startTime)
	for {
		if f := s.pidFile(); field(f, 0, 0) == strconv.Itoa(s.cmd.Process.Pid) && field(f, 7, 0) == "ready" {
			return nil
		}
		select {
		case <-every.C:
		case <-s.gone:
			return fmt.Errorf("PostgreSQL has ended: %v\n%s", s.cmd.ProcessState, s.Log())
		case <-late:
			s.Kill()
			return fmt.Errorf("PostgreSQL is not ready after %v\n%s", startTime, s.Log())
		}
	}
}

// Query runs statements with psql, each in a transaction of its own, and returns
// what they return: a line for each row, with "|" between columns.
func (s *Server) Query(sql string) (string, error) {
	cmd := s.programs.command("psql", "-XqtA", "-v", "ON_ERROR_STOP=1", "-d", s.DSN())
	cmd.Stdin = strings.NewReader(sql)
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("psql: %w\n%s", err, out)
	}
	return string(out), err
}

// Stop ends the server and removes what it has stored.
func (s *Server) Stop() error {
	return errors.Join(s.shutdown(), os.RemoveAll(s.dir))
}

// shutdown ends the server in good order, or if that takes too long, not.
func (s *Server) shutdown() error {
	if s.cmd == nil {
		return nil
	}
	s.cmd.Process.Signal(syscall.SIGINT) // a fast shutdown
	select {
	case <-s.gone:
		s.cmd = nil
		return nil
	case <-time.After(stopTime):
		return s.Kill()
	}
}

// inside returns what the server calls a name in its directory.
func (s *Server) inside(name string) string {
	return filepath.Join("/", strings.TrimPrefix(s.dir, s.programs.root), name)
}

func (s *Server) pidFile() string {
	return readFile(filepath.Join(s.dir, "data", "postmaster.pid"))
}

func readFile(name string) string {
	data, _ := os.ReadFile(name)
	return string(data)
}
