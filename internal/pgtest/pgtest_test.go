//go:build linux && interop

package pgtest

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/postrider/postrider/internal/leaktest"
)

func TestMain(m *testing.M) { os.Exit(leaktest.Main(m)) }

func query(t *testing.T, s *Server, sql string) string {
	t.Helper()
	out, err := s.Query(sql)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// What was committed is there after Kill, what was not is not.
func TestKill(t *testing.T) {
	s := Start(t, "max_connections=20")
	if got := query(t, s, "show fsync; show synchronous_commit; show full_page_writes; show max_connections"); got != "on\non\non\n20" {
		t.Errorf("settings: %q", got)
	}
	query(t, s, "create table t (n int); insert into t values (1)")
	dsn, pid := s.DSN(), s.cmd.Process.Pid
	children := childrenOf(pid)
	if len(children) < 3 {
		t.Errorf("children: %v", children)
	}
	for range 2 {
		if err := s.Kill(); err != nil {
			t.Fatal(err)
		}
		for _, child := range append(children, pid) {
			if state, _ := process(child); state != "" && state != "Z" {
				t.Errorf("process %d is %s", child, state)
			}
		}
		if _, err := s.Query("select 1"); err == nil {
			t.Error("a killed server answers")
		}
		if err := s.Restart(); err != nil {
			t.Fatal(err)
		}
		pid, children = s.cmd.Process.Pid, childrenOf(s.cmd.Process.Pid)
	}
	if !strings.Contains(s.Log(), "not properly shut down") {
		t.Errorf("no sign of a crash:\n%s", s.Log())
	}
	if s.DSN() != dsn {
		t.Errorf("DSN is %s, was %s", s.DSN(), dsn)
	}
	if got := query(t, s, "select n from t"); got != "1" {
		t.Errorf("got %q", got)
	}
}

func TestRestart(t *testing.T) {
	s := Start(t)
	query(t, s, "create table t (n int); insert into t values (1)")
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	if got := query(t, s, "select n from t"); got != "1" {
		t.Errorf("got %q", got)
	}
	if strings.Contains(s.Log(), "not properly shut down") {
		t.Errorf("it was killed:\n%s", s.Log())
	}
}

// Nothing is left of a server, killed or not.
func TestStop(t *testing.T) {
	Start(t) // or skip
	for _, kill := range []bool{false, true} {
		s, err := Launch()
		if err != nil {
			t.Fatal(err)
		}
		pid := s.cmd.Process.Pid
		segment := field(s.pidFile(), 6, 1)
		if segment == "" || !sharedMemory(t, segment) {
			t.Errorf("no shared memory: %q", s.pidFile())
		}
		if kill {
			if err := s.Kill(); err != nil {
				t.Error(err)
			}
		}
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
		if err := syscall.Kill(pid, 0); err == nil {
			t.Error("the process is there")
		}
		if _, err := os.Stat(s.dir); err == nil {
			t.Error("the directory is there")
		}
		if sharedMemory(t, segment) {
			t.Errorf("shared memory %s is there", segment)
		}
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	}
}

func sharedMemory(t *testing.T, id string) bool {
	data, err := os.ReadFile("/proc/sysvipc/shm")
	if err != nil {
		t.Skip(err)
	}
	for line := range strings.Lines(string(data)) {
		if words := strings.Fields(line); len(words) > 1 && words[1] == id {
			return true
		}
	}
	return false
}

func TestSettingThatIsNone(t *testing.T) {
	Start(t) // or skip
	if _, err := Launch("no_such_setting=1"); err == nil || !strings.Contains(err.Error(), "no_such_setting") {
		t.Errorf("got %v", err)
	}
}

func TestNewest(t *testing.T) {
	root := t.TempDir()
	if got := newest(root); got != "" {
		t.Errorf("got %q", got)
	}
	for _, version := range []int{9, 15, 17, 2} {
		dir := filepath.Join(root, "usr/lib/postgresql", strconv.Itoa(version), "bin")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "initdb"), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if got := newest(root); got != "/usr/lib/postgresql/17/bin" {
		t.Errorf("got %q", got)
	}
}
