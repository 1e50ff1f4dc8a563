//go:build !plan9

package mxtest

import "syscall"

const (
	errRefused     = syscall.ECONNREFUSED
	errUnreachable = syscall.EHOSTUNREACH
)
