package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// What strace prints: the thread, the call with the file behind its descriptor, and
// the result; when other threads come in between, in two lines.
var (
	straceLine   = regexp.MustCompile(`^(\d+) +(.*)$`)
	straceCall   = regexp.MustCompile(`^(\w+)\(\d+<([^>]*)>(.*)$`)
	straceResult = regexp.MustCompile(`= (-?\d+)`)
)

// A syncs is what a trace says about when the store was made durable.
type syncs struct {
	calls    int // fdatasync and fsync
	accepted int // replies to the end of a message
	early    int // of them with no such call between the message's last octet and the reply
}

// proveSync lets the relay run below strace, with a database of its own.
func proveSync(ctx context.Context, w io.Writer, r *root, o options, program, dir string) error {
	strace, err := exec.LookPath("strace")
	if err != nil {
		fmt.Fprintln(w, "fsync: not looked at, there is no strace")
		return nil
	}
	s, err := startSink(ctx, r)
	if err != nil {
		return err
	}
	defer s.stop()
	trace := filepath.Join(dir, "trace")
	m, err := startRelay(ctx, program, filepath.Join(dir, "traced.db"), s.addr, filepath.Join(dir, "traced.log"),
		strace, "-f", "-qq", "-y", "-s", "64", "-e", "signal=none", "-e", "trace=read,write,fdatasync,fsync", "-o", trace)
	if err != nil {
		return err
	}
	m.sink = s
	l := o.load
	l.messages, l.sessions = min(l.messages, 500), 10
	_, err = m.round(ctx, r, l)
	m.stop()
	if err != nil {
		return err
	}
	f, err := os.Open(trace)
	if err != nil {
		return err
	}
	defer f.Close()
	found := readTrace(f)
	fmt.Fprintf(w, "fsync: %d calls for %d messages at 10 sessions below strace, %.2f each; ", found.calls, found.accepted, float64(found.calls)/float64(found.accepted))
	if found.early > 0 || found.accepted != l.messages {
		return fmt.Errorf("%d of %d replies without one before them", found.early, found.accepted)
	}
	fmt.Fprintln(w, "each 250 came after one that began when the message was there and had returned")
	return nil
}

// readTrace looks for a sync between the last read from a connection and the reply
// to the end of the message. The order of the lines is that of events.
func readTrace(r io.Reader) syncs {
	var found syncs
	pending := map[string]string{} // the first half of a call, by its thread
	began := map[string]int{}      // the line of a sync, by its thread
	read := map[string]int{}       // the line of the last octets from a socket
	last := 0                      // the latest beginning of a sync that has returned
	lines := bufio.NewScanner(r)
	for at := 1; lines.Scan(); at++ {
		fields := straceLine.FindStringSubmatch(lines.Text())
		if fields == nil {
			continue
		}
		thread, text := fields[1], fields[2]
		first, unfinished := strings.CutSuffix(text, "<unfinished ...>")
		resumed := strings.HasPrefix(text, "<... ")
		if resumed {
			text = pending[thread] + text
		}
		call := straceCall.FindStringSubmatch(text)
		if call == nil {
			continue
		}
		name, file := call[1], call[2]
		if unfinished {
			pending[thread] = first
		}
		switch {
		case name == "write" && !resumed && strings.Contains(call[3], `"250 2.0.0 queued as`):
			found.accepted++
			if last <= read[file] {
				found.early++
			}
		case strings.HasSuffix(name, "sync") && strings.Contains(file, "traced.db"):
			if !resumed {
				began[thread] = at
				found.calls++
			}
			if !unfinished {
				last = max(last, began[thread])
			}
		case name == "read" && !unfinished && (strings.HasPrefix(file, "socket:") || strings.HasPrefix(file, "TCP:")):
			if n := straceResult.FindAllStringSubmatch(text, -1); n != nil && n[len(n)-1][1][0] > '0' {
				read[file] = at
			}
		}
	}
	return found
}
