//go:build idle && unix

package bench

import (
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"syscall"
	"testing"
)

const (
	idleConns   = 10_000
	idlePerAddr = 40 // below the 50 connections that our server allows an address
)

// TestIdle holds 10,000 connections open on each Go server, in the clear and
// under implicit TLS, and reports the resident memory each costs the server:
// after EHLO, and after a message.
func TestIdle(t *testing.T) {
	raiseFileLimit(t)
	for _, p := range installed(peers()) {
		if p.name == sinkName {
			continue // its memory is not the child's, and it has one process for all
		}
		for _, mode := range []struct {
			name string
			security
		}{{"plain", plaintext}, {"TLS", implicitTLS}} {
			t.Run(p.name+"/"+mode.name, func(t *testing.T) { idle(t, p.name, mode.security) })
		}
	}
}

func idle(t *testing.T, server string, s security) {
	k, err := startChild(server, options{security: s, conns: idleConns + 100})
	if err != nil {
		t.Fatal(err)
	}
	defer k.close()
	message := pipelinedMessage(t)

	conns := make([]*client, idleConns)
	defer func() {
		for _, c := range conns {
			if c != nil {
				c.conn.Close()
			}
		}
	}()
	resident := func() int64 {
		n, err := k.resident()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := resident()
	each(t, func(i int) (err error) {
		if conns[i], err = dialFrom(loopback(i), k.addr, s); err != nil {
			return err
		}
		return conns[i].run([]exchange{{ehlo, []int{250}}})
	})
	greeted := resident()
	each(t, func(i int) error { return conns[i].run(message) })
	used := resident()
	// Still alive, every one of them.
	each(t, func(i int) error { return conns[i].run(quit) })

	per := func(after int64) float64 { return float64(after-before) / idleConns / 1024 }
	t.Logf("%d idle connections: %.1f KB each after EHLO, %.1f KB after a message (%.1f MB without any)",
		idleConns, per(greeted), per(used), float64(before)/(1<<20))
}

// pipelinedMessage is what case b sends for one message.
func pipelinedMessage(t *testing.T) []exchange {
	for _, c := range cases() {
		if c.key == "b" {
			return c.message
		}
	}
	t.Fatal("case b is missing")
	return nil
}

// each calls do for every connection, a few at a time.
func each(t *testing.T, do func(i int) error) {
	t.Helper()
	const workers = 4
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < idleConns && errs[w] == nil; i += workers {
				if err := do(i); err != nil {
					errs[w] = fmt.Errorf("connection %d: %w", i, err)
				}
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// loopback is the source address of connection i.
func loopback(i int) net.IP {
	host := i / idlePerAddr
	return net.IPv4(127, 0, byte(1+host/250), byte(1+host%250))
}

func dialFrom(source net.IP, addr string, s security) (*client, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: source}, Timeout: patience}
	conn, err := d.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	if s == implicitTLS {
		// The child made its certificate a moment ago; nobody knows it.
		conn = tls.Client(conn, clientTLS)
	}
	return greet(conn)
}

// raiseFileLimit asks for a descriptor per connection; the children inherit it.
func raiseFileLimit(t *testing.T) {
	const want = idleConns + 1000
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Max >= want && limit.Cur >= want {
		return
	}
	raised := syscall.Rlimit{Cur: want, Max: max(want, limit.Max)}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &raised); err != nil {
		t.Skipf("%d descriptors are allowed, %d needed: %v", limit.Max, want, err)
	}
}
