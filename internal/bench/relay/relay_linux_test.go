package main

import (
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func TestParseStat(t *testing.T) {
	p, err := parseStat("42 (a (b) c) S 7 42 42 0 -1 4194560 1 2 3 4 150 50 20 5 20 0 9 0 100 0 0\n")
	if err != nil || p.parent != 7 || p.cpu != 2250*time.Millisecond {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := parseStat("42 (a) S 7"); err == nil {
		t.Error("half a line is no error")
	}
}

func TestCPUOf(t *testing.T) {
	if _, err := cpuOf([]int{os.Getpid(), os.Getppid()}); err != nil {
		t.Error(err)
	}
	if _, err := cpuOf([]int{os.Getpid(), 1 << 30}); err == nil {
		t.Error("a process that is not there has CPU time")
	}
}

// Counts come in pieces of any size, and a number that is cut in two is read
// when it is whole.
func TestCounter(t *testing.T) {
	for _, text := range []struct{ in, number string }{
		{"1\r2\r9\r10\r12\r123\r", "source"},
		{"sess=1 quit=0 mesg=1\rsess=20 quit=12 mesg=123\r", "sink"},
	} {
		number := sourceCount
		if text.number == "sink" {
			number = sinkCount
		}
		c := counter{risen: make(chan struct{}, 1)}
		c.mark(2)
		c.mark(123)
		c.follow(iotest.OneByteReader(strings.NewReader(text.in)), number)
		if c.count() != 123 {
			t.Errorf("%s: %d", text.number, c.count())
		}
		if second, err := c.reached(t.Context(), 2); err != nil || second.After(c.marks[123]) {
			t.Errorf("%s: %v, %v", text.number, c.marks, err)
		}
	}
}

func TestOverride(t *testing.T) {
	const main = "# a = comment\na = 1\nab = 2\nb =\n"
	if got := override(main, "a = 3\n"); got != "# a = comment\nab = 2\nb =\na = 3\n" {
		t.Errorf("%q", got)
	}
}

// A reply without a sync that began behind the message's last octets is found.
func TestReadTrace(t *testing.T) {
	const (
		read  = `7 read(9<socket:[1]>, "text\r\n.\r\n", 4096) = 9` + "\n"
		sync  = `8 fdatasync(5</x/traced.db-wal>) = 0` + "\n"
		begun = `8 fdatasync(5</x/traced.db-wal> <unfinished ...>` + "\n"
		ended = `8 <... fdatasync resumed>) = 0` + "\n"
		reply = `7 write(9<socket:[1]>, "250 2.0.0 queued as 0123\r\n", 26) = 26` + "\n"
		again = `7 read(9<socket:[1]>, 0xc000, 4096) = -1 EAGAIN (Resource temporarily unavailable)` + "\n"
	)
	for name, test := range map[string]struct {
		trace string
		want  syncs
	}{
		"in order":            {read + sync + reply, syncs{1, 1, 0}},
		"nothing read":        {read + sync + again + reply, syncs{1, 1, 0}},
		"in two lines":        {read + begun + again + ended + reply, syncs{1, 1, 0}},
		"none":                {read + reply, syncs{0, 1, 1}},
		"too early":           {sync + read + reply, syncs{1, 1, 1}},
		"begun too early":     {begun + read + ended + reply, syncs{1, 1, 1}},
		"not over":            {read + begun + reply + ended, syncs{1, 1, 1}},
		"that of another":     {read + `8 fsync(5</x/other>) = 0` + "\n" + reply, syncs{0, 1, 1}},
		"read in two lines":   {sync + `7 read(9<socket:[1]>,  <unfinished ...>` + "\n" + sync + `7 <... read resumed>"x\r\n", 4096) = 3` + "\n" + reply, syncs{2, 1, 1}},
		"two, one of them is": {read + reply + sync + reply, syncs{1, 2, 1}},
	} {
		if got := readTrace(strings.NewReader(test.trace)); got != test.want {
			t.Errorf("%s: %+v, want %+v", name, got, test.want)
		}
	}
}

func TestStages(t *testing.T) {
	for want, stack := range map[string][]string{
		"store":     {"runtime.mallocgc", "modernc.org/sqlite.(*conn).step", "github.com/postrider/postrider/mx/queue/sqlqueue.(*tx).Commit", "github.com/postrider/postrider/server.(*Conn).serve"},
		"SMTP out":  {"internal/runtime/syscall.Syscall6", "github.com/postrider/postrider/client.(*Conn).Mail", "github.com/postrider/postrider/mx/queue.(*Runner).run"},
		"SMTP in":   {"github.com/postrider/postrider/server.(*Conn).serve"},
		"queue":     {"runtime.mallocgc", "github.com/postrider/postrider/mx/queue.(*Runner).deliver"},
		"collector": {"runtime.scanobject", "runtime.gcBgMarkWorker"},
		"other":     {"time.Now"},
	} {
		if got := stageOf(stack); got != want {
			t.Errorf("%s: %s", want, got)
		}
	}
	const traces = "File: relay\n-----------+---\n      30ms   runtime.futex\n             runtime.mcall\n-----------+---\n      10ms   main.f\n"
	var b strings.Builder
	if err := writeShares(&b, traces, 0.4); err != nil || !strings.Contains(b.String(), "75 %   0.300 ms, of which  0.300") {
		t.Errorf("%v\n%s", err, &b)
	}
	if err := writeShares(io.Discard, "", 1); err == nil {
		t.Error("an empty profile is no error")
	}
}

func TestReadTimes(t *testing.T) {
	const log = `time=2026-11-22T14:02:33.030Z level=INFO msg=queued id=a from=<x@example.org> size=9
time=2026-11-22T14:02:33.036Z level=INFO msg=delivered id=a took=1.5ms result.to=<y@example.org>
time=2026-11-22T14:02:33.036Z level=INFO msg=delivered id=b took=1ms
time=2026-11-22T14:02:33.037Z level=INFO msg=queued id=c
time=2026-11-22T14:02:33.037Z level=INFO msg=relayed id=c took=500µs
a line of something else
`
	got := readTimes(strings.NewReader(log))
	if mean(got.took) != 1 || mean(got.waited) != 2.25 || len(got.took) != 2 {
		t.Errorf("%+v", got)
	}
}
