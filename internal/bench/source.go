package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync/atomic"
	"time"
)

func sourceInstalled() bool { return postfixCommand(sourceName) != nil }

// startSource sends with Postfix's smtp-source, run anew for each round: about 3 ms
// of it are the program's start. Where our senders are told for how long to send,
// it is told how many messages: as many as it would have sent in that time in the
// round before.
func startSource(opt options) (*instance, error) {
	words := postfixCommand(sourceName)
	if words == nil {
		return nil, errors.New("smtp-source is not installed")
	}
	var spent atomic.Int64
	count := 0
	return &instance{
		cpu:  func() (time.Duration, error) { return time.Duration(spent.Load()), nil },
		stop: func() {},
		send: func(l load) (int, error) {
			switch {
			case l.messages > 0:
				count = l.messages * opt.conns
			case count == 0:
				count = 10 * opt.conns
			}
			cmd := exec.Command(words[0], append(words[1:],
				"-d", // keep the connections
				"-s", strconv.Itoa(opt.conns), "-m", strconv.Itoa(count), "-l", strconv.Itoa(opt.outgoing.size),
				"-M", outgoingHello, "-f", outgoingFrom, "-t", outgoingTo, "inet:"+opt.to)...)
			var said bytes.Buffer
			cmd.Stdout, cmd.Stderr = &said, os.Stderr
			began := time.Now()
			if err := cmd.Run(); err != nil {
				return 0, fmt.Errorf("smtp-source: %w: %s", err, &said)
			}
			spent.Add(int64(cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()))
			sent := count
			if l.messages == 0 {
				count = max(opt.conns, int(float64(count)*float64(l.slice)/float64(time.Since(began))))
			}
			return sent, nil
		},
	}, nil
}
