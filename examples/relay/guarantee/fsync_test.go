//go:build linux && interop

package guarantee

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Before 250 leaves, a sync of the database has begun after the last octet of the
// message was read, and has ended well: what the power loss test would be if there
// was a switch to pull. The system calls are seen by strace.
func TestGuaranteeSync(t *testing.T) {
	const messages = 200
	strace := findStrace(t)
	l := newLedger()
	s := startSink(t, l)
	s.calm.Store(true)
	dir := t.TempDir()
	db, trace := filepath.Join(dir, "relay.db"), filepath.Join(dir, "trace")
	k := keep(t, "relay", "-smarthost", s.addr, "-db", db, "-retry", "50ms")
	k.start()

	cmd := exec.Command(strace[0], append(strace[1:], "-f", "-y", "-s", "160", "-o", trace,
		"-e", "trace=read,write,fsync,fdatasync,sync_file_range,msync", "-p", fmt.Sprint(k.cmd.Process.Pid))...)
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for attached := false; !attached; attached = strings.Contains(lines.Text(), "attached") {
		if !lines.Scan() {
			missing(t, "strace may watch other processes: %v", cmd.Wait())
		}
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		for lines.Scan() {
		}
	}()

	load := startLoad(t, l, 6, k.dial)
	l.await(t, "messages are accepted", func() bool { a, _ := l.counts(); return a > messages })
	load.finish()
	quiet(t, db)
	cmd.Process.Signal(syscall.SIGINT)
	select {
	case <-drained:
	case <-time.After(readyTime):
		cmd.Process.Kill()
	}
	<-drained
	cmd.Wait()
	k.stop()
	t.Log(l.audit(t, outcomes(t, db), true))

	calls, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	replies, syncs := auditSyncs(t, calls, db)
	t.Logf("%d replies, %d syncs", replies, syncs)
	if replies < messages/3 {
		t.Errorf("%d replies to messages were seen, want %d at least", replies, messages/3)
	}
	if syncs == 0 || syncs > 3*replies {
		t.Errorf("%d syncs for %d replies", syncs, replies)
	}
}

var (
	callBegins  = regexp.MustCompile(`^(\d+) +(read|write|fsync|fdatasync)\((\d+)<([^>]*)>(.*)$`)
	callResumes = regexp.MustCompile(`^(\d+) +<\.\.\. (read|write|fsync|fdatasync) resumed>(.*)$`)
	callEnds    = regexp.MustCompile(`\) += (-?\d+)`)
)

// auditSyncs reads what strace has seen. A call whose line says "unfinished" ends
// where one says that it was resumed.
func auditSyncs(t *testing.T, calls []byte, db string) (replies, syncs int) {
	t.Helper()
	type call struct {
		what, fd, file string
		at             int // the line
	}
	pending := map[string]call{} // by thread
	lastRead := map[string]int{} // by file descriptor: the line at which octets had come
	lastSync := 0                // the line at which the latest of the syncs began that have ended
	n := 0
	for line := range bytes.Lines(calls) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		n++
		var c call
		var thread, rest string
		if m := callBegins.FindStringSubmatch(string(line)); m != nil {
			thread, rest = m[1], m[5]
			c = call{m[2], m[3], m[4], n}
			if c.what == "write" && strings.Contains(rest, "queued as") && strings.Contains(rest, `"250`) {
				replies++
				if lastSync <= lastRead[c.fd] {
					t.Errorf("line %d: %s: no sync has begun and ended since octets were read at line %d; the last began at %d", n, line, lastRead[c.fd], lastSync)
				}
			}
			if strings.Contains(rest, "<unfinished ...>") {
				pending[thread] = c
				continue
			}
		} else if m := callResumes.FindStringSubmatch(string(line)); m != nil {
			thread, rest = m[1], m[3]
			c = pending[thread]
			delete(pending, thread)
		} else {
			continue
		}
		end := callEnds.FindAllStringSubmatch(rest, -1)
		if end == nil {
			continue
		}
		result := end[len(end)-1][1]
		switch {
		case c.what == "read" && result != "0" && result[0] != '-':
			lastRead[c.fd] = n
		case strings.HasSuffix(c.what, "sync") && result == "0" && strings.HasPrefix(c.file, db):
			syncs++
			lastSync = max(lastSync, c.at)
		}
	}
	return replies, syncs
}

// findStrace returns how to start strace: the one that is installed, or the one
// that internal/interop/run has unpacked, which brings its own libraries.
func findStrace(t *testing.T) []string {
	t.Helper()
	if path, err := exec.LookPath("strace"); err == nil {
		return []string{path}
	}
	root := filepath.Join(os.Getenv("POSTRIDER_INTEROP_ROOT"), "tools")
	program := filepath.Join(root, "usr/bin/strace")
	loaders, _ := filepath.Glob(filepath.Join(root, "lib64/ld-linux-*"))
	libs, _ := filepath.Glob(filepath.Join(root, "usr/lib/*-linux-gnu"))
	if _, err := os.Stat(program); err != nil || len(loaders) == 0 || len(libs) == 0 {
		missing(t, "strace, which internal/interop/run unpacks: %v", err)
	}
	return []string{loaders[0], "--library-path", strings.Join(libs, ":"), program}
}
