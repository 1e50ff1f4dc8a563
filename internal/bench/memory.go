package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"sync"
	"time"
)

// How the memory of a server is measured. Each round has fresh processes, whose
// memory does not depend on what else the machine does: a few will do.
const (
	memoryRounds = 3
	idleConns    = 10_000
	idlePerAddr  = 40 // below the 50 connections that our server allows an address
	largeMessage = 25_000_000

	// idleTime is how long connections have waited when memory is read: a server may
	// give back in peace what it would need again in a moment.
	idleTime = 5 * time.Second
)

// A memoryRow is a row of the table of memory.
type memoryRow struct {
	name   string
	goal   float64
	values map[string][]float64 // by peer, one a round
}

// The rows, in the order in which memoryOf finds the figures.
var memoryGoals = []memoryRow{
	{name: "KB a connection that waits after EHLO", goal: 4.5},
	{name: "KB a connection that waits after a message", goal: 6.5},
	{name: "KB a TLS connection that waits after EHLO", goal: 21},
	{name: "KB a TLS connection that waits after a message", goal: 21},
	{name: "MB more while a message of 25 MB passes", goal: 1},
}

// measureMemory gives each Go server in turn a round. smtp-sink, whose memory is not
// its child's, is left out.
func measureMemory(all []peer, rounds int) ([]memoryRow, error) {
	if _, err := ownResident(); err != nil {
		return nil, nil // not on this system
	}
	if err := raiseFileLimit(idleConns + 1000); err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(slices.Clone(all), func(p peer) bool { return p.name == sinkName })
	rows := slices.Clone(memoryGoals)
	for i := range rows {
		rows[i].values = make(map[string][]float64)
	}
	for round := range rounds {
		for i := range all {
			p := all[(i+round)%len(all)]
			figures, err := memoryOf(p)
			if err != nil {
				return nil, fmt.Errorf("memory of %s: %w", p.name, err)
			}
			for r, figure := range figures {
				rows[r].values[p.name] = append(rows[r].values[p.name], figure)
			}
		}
	}
	return rows, nil
}

// memoryOf measures one server, with fresh processes.
func memoryOf(p peer) ([]float64, error) {
	var figures []float64
	for _, s := range []security{plaintext, implicitTLS} {
		greeted, used, err := idleMemory(p, s)
		if err != nil {
			return nil, err
		}
		figures = append(figures, greeted, used)
	}
	large, err := largeMemory(p)
	return append(figures, large), err
}

// idleMemory holds idleConns connections and returns how many KB of resident memory
// each costs the server that waits: after EHLO, and after a message.
func idleMemory(p peer, s security) (greeted, used float64, err error) {
	k, err := startPeer(p, options{security: s, conns: idleConns + 100})
	if err != nil {
		return 0, 0, err
	}
	defer k.close()
	conns := make([]*client, idleConns)
	defer func() {
		for _, c := range conns {
			if c != nil {
				c.conn.Close()
			}
		}
	}()
	before, err := k.resident()
	if err != nil {
		return 0, 0, err
	}
	// afterwards is the resident memory when do has been done with each connection.
	afterwards := func(do func(i int) error) (float64, error) {
		if err := eachIdle(do); err != nil {
			return 0, err
		}
		time.Sleep(idleTime)
		n, err := k.resident()
		return float64(n-before) / idleConns / 1024, err
	}
	if greeted, err = afterwards(func(i int) (err error) {
		if conns[i], err = dialFrom(loopback(i), k.addr, s); err != nil {
			return err
		}
		return conns[i].run([]exchange{{ehlo, []int{250}}})
	}); err != nil {
		return 0, 0, err
	}
	message := pipelined(4 << 10)
	if used, err = afterwards(func(i int) error { return conns[i].run(message) }); err != nil {
		return 0, 0, err
	}
	return greeted, used, eachIdle(func(i int) error { return conns[i].run(quit) }) // still alive, every one of them
}

// eachIdle calls do for every connection, a few at a time.
func eachIdle(do func(i int) error) error {
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
	return errors.Join(errs...)
}

// largeMemory is by how many MB a large message raises the server's resident memory
// at most, above what it has after a small one.
func largeMemory(p peer) (float64, error) {
	k, err := startPeer(p, options{})
	if err != nil {
		return 0, err
	}
	defer k.close()
	c, err := dial(k.addr, plaintext)
	if err != nil {
		return 0, err
	}
	defer c.conn.Close()
	if err := c.run(slices.Concat([]exchange{{ehlo, []int{250}}}, pipelined(4<<10))); err != nil {
		return 0, err
	}
	before, err := k.resident()
	if err != nil {
		return 0, err
	}
	if err := c.run(pipelined(largeMessage)); err != nil {
		return 0, err
	}
	peak, err := k.peak()
	return float64(peak-before) / (1 << 20), err
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
		conn = tls.Client(conn, clientTLS)
	}
	return greet(conn)
}

// writeMemory prints the table of memory, as Markdown.
func writeMemory(w io.Writer, all []memoryRow) {
	others := slices.DeleteFunc(slices.Sorted(maps.Keys(all[0].values)), func(name string) bool { return name == oursName })
	rows := [][]string{append([]string{"memory", "Postrider", "lowest–highest", "goal", ""}, others...)}
	for _, r := range all {
		own := r.values[oursName]
		verdict := "not met"
		if median(own) <= r.goal {
			verdict = "met"
		}
		row := []string{r.name,
			fmt.Sprintf("**%.1f**", median(own)), fmt.Sprintf("%.1f–%.1f", slices.Min(own), slices.Max(own)),
			fmt.Sprintf("%.1f", r.goal), verdict}
		for _, name := range others {
			row = append(row, fmt.Sprintf("%.1f", median(r.values[name])))
		}
		rows = append(rows, row)
	}
	writeRows(w, rows)
}
