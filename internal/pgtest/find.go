//go:build linux

package pgtest

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
)

const nobody = 65534

// A missingError says that there is no PostgreSQL to run.
type missingError struct{ error }

// programs are those of a PostgreSQL.
type programs struct {
	root string // they see this as their root directory, unless it is ""
	dir  string // where they are in it
	user int    // they run as; 0 for who runs the test, as they refuse root
}

// find prefers what is installed.
func find() (programs, error) {
	var p programs
	if os.Getuid() == 0 {
		p.user = nobody
	}
	if p.dir = newest(""); p.dir != "" {
		return p, nil
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			p.dir = filepath.Dir(path)
			return p, nil
		}
	}
	base := os.Getenv("POSTRIDER_INTEROP_ROOT")
	switch {
	case base == "":
		return p, missingError{errors.New("no PostgreSQL is installed, and POSTRIDER_INTEROP_ROOT is not set: start internal/interop/run")}
	case os.Getuid() != 0:
		return p, missingError{errors.New("no PostgreSQL is installed, and only root may chroot to the one that is unpacked")}
	}
	p.root = filepath.Join(base, "postgres")
	if p.dir = newest(p.root); p.dir == "" {
		return p, missingError{errors.New("no PostgreSQL in " + p.root)}
	}
	return p, nil
}

// newest returns where Debian has put the PostgreSQL of the greatest version.
func newest(root string) (dir string) {
	found, _ := filepath.Glob(filepath.Join(root, "/usr/lib/postgresql/*/bin/initdb"))
	version := func(path string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
		return n
	}
	if len(found) == 0 {
		return ""
	}
	path := slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })
	return filepath.Dir(path[len(root):])
}

// command prepares one of the programs, as the leader of a process group of its
// own, so that an interrupt from a terminal is the test's alone.
func (p programs) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(p.dir, name), args...)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C", "TZ=UTC"}
	// Should the test end without a word, so does the program.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Chroot: p.root, Pdeathsig: syscall.SIGINT}
	if p.user != 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(p.user), Gid: uint32(p.user)}
	}
	return cmd
}

var nextPort atomic.Int32

// freePort finds a port of the loopback interface that nobody listens at, below
// those that the kernel gives to outgoing connections.
func freePort() (int, error) {
	for range 1000 {
		port := 15000 + int(nextPort.Add(1)+int32(os.Getpid()*7))%5000
		ln, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			ln.Close()
			return port, nil
		}
	}
	return 0, errors.New("no free port between 15000 and 20000")
}
