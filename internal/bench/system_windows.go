package main

import (
	"errors"
	"syscall"
	"time"
)

// ownCPU is the user and kernel time of this process, all its threads.
func ownCPU() (time.Duration, error) {
	self, err := syscall.GetCurrentProcess()
	if err != nil {
		return 0, err
	}
	var created, exited, kernel, user syscall.Filetime
	if err := syscall.GetProcessTimes(self, &created, &exited, &kernel, &user); err != nil {
		return 0, err
	}
	return ticks(kernel) + ticks(user), nil
}

func childrenCPU() (time.Duration, error) { return 0, errors.ErrUnsupported }
func raiseFileLimit(uint64) error         { return errors.ErrUnsupported }

// ticks reads a span, which a Filetime counts in units of 100 ns.
func ticks(t syscall.Filetime) time.Duration {
	return time.Duration(int64(t.HighDateTime)<<32|int64(t.LowDateTime)) * 100
}
