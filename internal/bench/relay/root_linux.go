package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// A root is a private copy of what internal/interop/run has unpacked of Debian's
// package postfix. Its programs run with it as their root directory. It lies on
// the file system of the databases.
type root struct{ dir string }

// newRoot copies the unpacked root into dir, as hard links, which do not leave a
// file system.
func newRoot(dir string) (*root, error) {
	r := &root{filepath.Join(dir, "root")}
	if out, err := exec.Command("cp", "-al", filepath.Join(unpackedBase(), "postfix"), r.dir).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	return r, nil
}

// unpackedBase is where internal/interop/run unpacks.
func unpackedBase() string {
	if base := os.Getenv("POSTRIDER_INTEROP_ROOT"); base != "" {
		return base
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(cache, "postrider-interop")
}

// needs says what is missing to run at all.
func needs() error {
	if os.Getuid() != 0 {
		return errors.New("only root can start Postfix and change the root directory")
	}
	if _, err := os.Stat(filepath.Join(unpackedBase(), "postfix", ".version")); err != nil {
		return fmt.Errorf("%w: internal/interop/run -run NONE unpacks Debian's packages", err)
	}
	return os.Setenv("POSTRIDER_INTEROP_ROOT", unpackedBase()) // for pgtest
}

// write puts a file in place of whatever has that name. A link to the unpacked
// root is cut first, lest its file change too.
func (r *root) write(name, text string) error {
	path := filepath.Join(r.dir, name)
	os.Remove(path)
	return os.WriteFile(path, []byte(text), 0o644)
}

// own makes directories that belong to the account uid.
func (r *root) own(uid int, mode os.FileMode, names ...string) error {
	for _, name := range names {
		path := filepath.Join(r.dir, name)
		if err := errors.Join(os.MkdirAll(path, 0o755), os.Chmod(path, mode), os.Chown(path, uid, uid)); err != nil {
			return err
		}
	}
	return nil
}

// command prepares a program of the root as the leader of a process group.
func (r *root) command(argv ...string) *exec.Cmd {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin", "LC_ALL=C"}
	// Should the benchmark end without a word, so does the program.
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: r.dir, Setpgid: true, Pdeathsig: syscall.SIGKILL}
	return cmd
}

// end asks a process to end, then ends what is left of its group.
func end(cmd *exec.Cmd) {
	cmd.Process.Signal(syscall.SIGTERM)
	late := time.AfterFunc(10*time.Second, func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	cmd.Wait()
	late.Stop()
	syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
}

// freeAddr is an address of the loopback interface that nobody listens at.
func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// listening waits until somebody takes connections at addr.
func listening(ctx context.Context, addr string) error {
	for ctx.Err() == nil {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			return conn.Close()
		}
		time.Sleep(10 * time.Millisecond)
	}
	return fmt.Errorf("nobody listens at %s: %w", addr, ctx.Err())
}

func port(addr string) string { return addr[strings.LastIndexByte(addr, ':')+1:] }
