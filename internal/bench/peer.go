package bench

import (
	"crypto/tls"
	"net"
	"time"
)

// The names of the measured servers.
const (
	floorName  = "floor"
	oursName   = "ours"
	goSMTPName = "go-smtp"
	sinkName   = "smtp-sink"
)

// A peer is a server under measurement. It runs in a child process.
type peer struct {
	name      string
	installed func() bool                      // nil: it is part of this binary
	start     func(options) (*instance, error) // called in the child
}

// options says how a child sets up its server.
type options struct {
	security security // TLS with a fresh ECDSA P-256 certificate
	conns    int      // connections to allow in all. If zero, the server's default.

	profile string // file for a CPU profile of the child. If empty, none.
}

// An instance is a server that listens, seen from its own child process.
type instance struct {
	addr string
	cpu  func() (time.Duration, error) // user and system time spent so far
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

// installedPeers lists the peers that can run on this machine.
func installedPeers() []peer {
	var found []peer
	for _, p := range peers() {
		if p.installed == nil || p.installed() {
			found = append(found, p)
		}
	}
	return found
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
