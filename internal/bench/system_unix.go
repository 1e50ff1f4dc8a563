//go:build unix

package main

import (
	"fmt"
	"syscall"
	"time"
)

// ownCPU is the user and system time of this process, all its threads.
func ownCPU() (time.Duration, error) { return usage(syscall.RUSAGE_SELF) }

// childrenCPU is that of the processes below this one that have ended.
func childrenCPU() (time.Duration, error) { return usage(syscall.RUSAGE_CHILDREN) }

func usage(who int) (time.Duration, error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(who, &u); err != nil {
		return 0, err
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}

// raiseFileLimit asks for n descriptors; children inherit that.
func raiseFileLimit(n uint64) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if limit.Cur >= n {
		return nil
	}
	raised := syscall.Rlimit{Cur: n, Max: max(n, limit.Max)}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &raised); err != nil {
		return fmt.Errorf("%d file descriptors are allowed, %d needed: %w", limit.Max, n, err)
	}
	return nil
}
