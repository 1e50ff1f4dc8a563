package guarantee

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider/postrider/smtp"
)

// Messages of 25 MB (10 in short) cost the relay less than 1 MB of memory each while they are
// underway, in, stored and out: what more of them at a time cost more. What there
// is once, such as the caches of SQLite, does not depend on them.
func TestGuaranteeMemory(t *testing.T) {
	testMemory(t, func(t *testing.T) string { return filepath.Join(t.TempDir(), "relay.db") })
}

func testMemory(t *testing.T, dsn func(t *testing.T) string) {
	if raced {
		t.Skip("the race detector has memory of its own")
	}
	const few, many = 8, 32
	const limit = (many - few) << 20
	for try := 1; ; try++ { // by what SQLite leaves unused it varies, up and down
		base, met := memoryOf(t, dsn(t), few, many/few)
		grown, all := memoryOf(t, dsn(t), many, 1)
		grown -= base
		t.Logf("%d large messages at a time: %d KB; %d KB more for %d", few, base>>10, grown>>10, many)
		switch {
		case met && all && grown <= limit || t.Failed():
			return
		case try < 3:
		case !met || !all:
			t.Fatal("too few large messages were underway at a time")
		default:
			t.Fatalf("%d large messages at a time take %d KB more than %d, want %d at most", many, grown>>10, few, limit>>10)
		}
	}
}

// memoryOf returns what the relay has had at most when so many large messages were
// on their way in at a time, and then out, and so again for some rounds; and whether
// they were all, on their way in, and a third of them on their way out.
func memoryOf(t *testing.T, dsn string, flying, rounds int) (octets int64, met bool) {
	l := newLedger()
	s := startSink(t, l)
	s.calm.Store(true)
	k := keep(t, "relay", "-smarthost", s.addr, "-db", dsn, "-retry", "50ms", "-deliveries", fmt.Sprint(flying))
	k.start()
	var clients sync.WaitGroup
	send := func(id string, size int64, in *meeting) {
		for i := range flying {
			clients.Go(func() {
				c := newClient(k.dial)
				defer c.Close()
				m, content := bulk(fmt.Sprintf("%s%d", id, i), size, in)
				if err := l.send(t.Context(), c, m, content); err != nil {
					t.Error(err)
				}
			})
		}
		clients.Wait()
	}
	for i := range 20 { // the relay lets a destination have more and more at a time
		send(fmt.Sprintf("small%d-", i), 4<<10, nil)
	}
	for i := range 64 / flying { // SQLite fills its caches
		send(fmt.Sprintf("middle%d-", i), 1<<20, nil)
	}
	quiet(t, dsn)
	most := flying
	var out atomic.Pointer[meeting]
	gate := func(*message) { out.Load().attend() }
	for i := range rounds {
		in := newMeeting(flying, time.Minute)
		out.Store(newMeeting(flying, 3*time.Second)) // the relay may not have as many
		s.gate.Store(&gate)
		send(fmt.Sprintf("large%d-", i), int64(scaled(10<<20, 25<<20)), in)
		quiet(t, dsn)
		if most = min(most, in.most, 3*out.Load().most); most < flying {
			break
		}
	}
	octets = peak(t, k)
	k.stop()
	t.Log(l.audit(t, outcomes(t, dsn), true))
	if most < flying {
		t.Logf("%d were to be on their way in at a time, and a third of that out: %d were", flying, most)
	}
	return octets, most >= flying
}

// A meeting is where messages wait for each other, so that they are underway at
// the same time.
type meeting struct {
	n        int
	patience time.Duration
	opened   chan struct{}

	mu         sync.Mutex
	here, most int
}

func newMeeting(n int, patience time.Duration) *meeting {
	return &meeting{n: n, patience: patience, opened: make(chan struct{})}
}

// attend waits until all have come, or for a while.
func (m *meeting) attend() {
	m.mu.Lock()
	m.here++
	m.most = max(m.most, m.here)
	if m.here == m.n {
		select {
		case <-m.opened:
		default:
			close(m.opened)
		}
	}
	m.mu.Unlock()
	select {
	case <-m.opened:
	case <-time.After(m.patience):
	}
	m.mu.Lock()
	m.here--
	m.mu.Unlock()
}

// bulk is a message of that size, made as it is read. Shortly before its end it
// waits for the others.
func bulk(id string, size int64, others *meeting) (*message, smtp.Content) {
	m := &message{id: id}
	m.recipients = []*recipient{{message: m, addr: id + ".0.0@d0.example"}}
	head := fmt.Sprintf("X-Load: %s\r\nFrom: <%s>\r\nSubject: bulk\r\n\r\n", id, m.from())
	open := func(others *meeting) io.Reader {
		line := strings.Repeat("bulk ", 14) + "\r\n"
		lines := (size - int64(len(head))) / int64(len(line))
		return io.MultiReader(strings.NewReader(head), &repeated{line: line, left: lines - 1}, pause(others), strings.NewReader(line))
	}
	h := sha256.New()
	n, _ := io.Copy(h, open(nil))
	m.sum = [sha256.Size]byte(h.Sum(nil))
	return m, smtp.Content{
		Open: func() (io.ReadCloser, error) { return io.NopCloser(open(others)), nil },
		Size: n,
		Kind: smtp.KindExamined,
	}
}

// repeated reads as a line, again and again.
type repeated struct {
	line string
	left int64
}

func (r *repeated) Read(p []byte) (n int, err error) {
	for ; r.left > 0 && len(p)-n >= len(r.line); r.left-- {
		n += copy(p[n:], r.line)
	}
	if n == 0 {
		err = io.EOF
		if r.left > 0 {
			err = io.ErrShortBuffer
		}
	}
	return n, err
}

// pause reads as nothing, when all have met.
func pause(m *meeting) io.Reader {
	return readerFunc(func([]byte) (int, error) {
		if m != nil {
			m.attend()
		}
		return 0, io.EOF
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// peak returns how much memory the relay has had at most, in octets.
func peak(t *testing.T, k *keeper) (n int64) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", k.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	if _, after, ok := strings.Cut(string(status), "VmHWM:"); ok {
		fmt.Sscanf(after, "%d kB", &n)
	}
	return n << 10
}
