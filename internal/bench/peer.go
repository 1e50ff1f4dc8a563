package main

import (
	"crypto/tls"
	"net"
	"slices"
	"time"
)

// The names of what is measured: servers, and behind them what only sends.
const (
	floorName  = "floor"
	oursName   = "ours"
	goSMTPName = "go-smtp"
	sinkName   = "smtp-sink"

	netSMTPName = "net/smtp"
	goMailName  = "go-mail"
	sourceName  = "smtp-source"
)

// A peer is a server, or a sender, under measurement. It runs in a child process.
type peer struct {
	name      string
	bdat      bool                             // as a sender, it can send by BDAT
	exe       string                           // the test binary that it is oursName in. If "", this one, by its own name.
	installed func() bool                      // nil: it is part of this binary
	start     func(options) (*instance, error) // called in the child
}

// options says how a child sets up its server or sender.
type options struct {
	security security // TLS with a fresh ECDSA P-256 certificate
	conns    int      // connections to allow in all, or to send over. If zero, the server's default.

	to       string // where to send; then outgoing says what. If empty, the child is a server.
	outgoing outgoingCase

	profile string // file for a CPU profile of the child. If empty, none.
}

// An instance is a server that listens, or a sender, seen from its own child process.
type instance struct {
	addr string                        // of a server
	cpu  func() (time.Duration, error) // user and system time spent so far
	send func(load) (int, error)       // of a sender: sends for a round, and returns how many messages
	stop func()
}

// peers lists the servers in the order of the table; the floor is first.
func peers() []peer {
	return []peer{
		{name: floorName, start: startFloor},
		{name: oursName, start: startOurs},
		{name: goSMTPName, start: startGoSMTP},
		{name: sinkName, start: startSink, installed: sinkInstalled},
	}
}

// installed lists those of all that can run on this machine.
func installed(all []peer) []peer {
	var found []peer
	for _, p := range all {
		if p.installed == nil || p.installed() {
			found = append(found, p)
		}
	}
	return found
}

// withBefore adds this library as it is in the test binary exe, unless that is "".
func withBefore(all []peer, exe string) []peer {
	if exe == "" {
		return all
	}
	own := all[slices.IndexFunc(all, func(p peer) bool { return p.name == oursName })]
	own.name, own.exe = "before", exe
	return append(all, own)
}

// serveInProcess runs a Go server in the child itself: what the child spends
// is what the server spends.
func serveInProcess(opt options, serve func(net.Listener) error, stop func()) (*instance, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	addr := l.Addr().String()
	if opt.security == implicitTLS {
		cfg, err := serverTLS()
		if err != nil {
			return nil, err
		}
		l = tls.NewListener(l, cfg)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		serve(l) // ends with stop; a server that fails early shows as a refused connection
	}()
	return &instance{addr: addr, cpu: ownCPU, stop: func() {
		stop()
		l.Close()
		<-done
	}}, nil
}
