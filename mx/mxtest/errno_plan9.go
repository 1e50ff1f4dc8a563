package mxtest

import "errors"

var (
	errRefused     = errors.New("connection refused")
	errUnreachable = errors.New("no route to host")
)
