package main

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// envPostfix says which variable names a program of Postfix's that is not on PATH.
var envPostfix = map[string]string{
	sinkName:   "POSTRIDER_SMTP_SINK",
	sourceName: "POSTRIDER_SMTP_SOURCE",
}

func sinkInstalled() bool {
	if _, err := cpuOf(os.Getpid()); err != nil {
		return false // it could not be measured
	}
	return postfixCommand(sinkName) != nil
}

// postfixCommand returns the words that run a program of Postfix's, or nil.
func postfixCommand(name string) []string {
	if path := os.Getenv(envPostfix[name]); path != "" {
		return []string{path}
	}
	if path, err := exec.LookPath(name); err == nil {
		return []string{path}
	}
	return unpacked(name)
}

// unpacked looks where internal/interop/run unpacks Debian's packages. The
// root there has its own C library, so its own loader starts the program.
func unpacked(name string) []string {
	base := os.Getenv("POSTRIDER_INTEROP_ROOT")
	if base == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return nil
		}
		base = filepath.Join(cache, "postrider-interop")
	}
	root := filepath.Join(base, "postfix")
	path := filepath.Join(root, "usr/sbin", name)
	loaders, _ := filepath.Glob(filepath.Join(root, "lib/*/ld-linux-*.so.*"))
	if _, err := os.Stat(path); err != nil || len(loaders) == 0 {
		return nil
	}
	near := filepath.Dir(loaders[0]) // lib/<machine>
	libs := []string{
		filepath.Join(root, "usr/lib/postfix"), near,
		filepath.Join(root, "usr/lib", filepath.Base(near)),
	}
	return []string{loaders[0], "--library-path", strings.Join(libs, ":"), path}
}

// startSink runs smtp-sink below the child, which asks /proc what it spends.
func startSink(options) (*instance, error) {
	// smtp-sink does not say which port it got, so one is chosen for it.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	addr := l.Addr().String()
	l.Close()

	words := postfixCommand(sinkName)
	if words == nil {
		return nil, errors.New("smtp-sink is not installed")
	}
	if os.Getuid() == 0 {
		words = append(words, "-u", "nobody") // it refuses to run as root
	}
	cmd := exec.Command(words[0], append(words[1:], addr, "128")...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	server := &instance{
		addr: addr,
		cpu:  func() (time.Duration, error) { return cpuOf(cmd.Process.Pid) },
		stop: func() {
			cmd.Process.Kill()
			cmd.Wait()
		},
	}
	for range 200 {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
			return server, nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	server.stop()
	return nil, errors.New("smtp-sink does not listen")
}
