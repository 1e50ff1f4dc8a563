//go:build unix && !aix

package client_test

import (
	"bytes"
	"io"
	"net"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/postrider/postrider/client"
)

// What a request does with a socket: it looks, takes nothing, writes, tells of it and
// waits, and each begins anew. Over a unix socket all of that is there at once.
func TestRequest(t *testing.T) {
	near, far := unixPipe(t)
	request := client.Requester(near)
	wrote := 0
	ask := func(what string, wantN int, wantArrived bool, wantWrote int) {
		t.Helper()
		wrote = 0
		n, arrived := request([]byte("ask\r\n"), func() { wrote++ })
		if n != wantN || arrived != wantArrived || wrote != wantWrote {
			t.Errorf("%s: wrote %d octets, arrived %t, told %d times; want %d, %t, %d", what, n, arrived, wrote, wantN, wantArrived, wantWrote)
		}
	}
	read := func(from net.Conn, want string) {
		t.Helper()
		got := make([]byte, len(want))
		if _, err := io.ReadFull(from, got); err != nil || string(got) != want {
			t.Fatalf("%q, %v; want %q", got, err, want)
		}
	}
	for range 2 {
		done := make(chan struct{})
		go func() {
			defer close(done)
			ask("in silence", 5, false, 1)
		}()
		untilRequest(t, done)
		read(far, "ask\r\n")
		io.WriteString(far, "answer\r\n")
		if <-done; t.Failed() {
			return
		}
		ask("behind an answer that was not read", 0, true, 0)
		read(near, "answer\r\n")
	}

	near.SetReadDeadline(time.Unix(1, 0))
	ask("behind the deadline", 0, false, 0)
	io.WriteString(far, "x")
	ask("behind the deadline, with an octet there", 0, true, 0)
	near.SetReadDeadline(time.Time{})
	read(near, "x")

	// Where there is no room for all of it nobody answers.
	raw, err := near.(*net.UnixConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		for err == nil {
			_, err = syscall.Write(int(fd), make([]byte, 64<<10))
		}
	})
	near.SetReadDeadline(time.Now().Add(time.Minute))
	if n, arrived := request(make([]byte, 64<<10), func() { t.Error("told of what was not written") }); n == 64<<10 || arrived {
		t.Errorf("wrote %d octets, arrived %t", n, arrived)
	}
	far.Close() // with much unread, which is an error on some systems and an end on others
	ask("to nobody", 0, true, 0)
}

func unixPipe(t *testing.T) (near, far net.Conn) {
	t.Helper()
	ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if near, err = net.Dial("unix", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if far, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); far.Close() })
	return near, far
}

// untilRequest waits until a goroutine waits in a request. It must not be done before.
func untilRequest(t *testing.T, done <-chan struct{}) {
	t.Helper()
	stacks := make([]byte, 1<<20)
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); runtime.Gosched() {
		for stack := range bytes.SplitSeq(stacks[:runtime.Stack(stacks, true)], []byte("\n\n")) {
			if bytes.Contains(stack, []byte("client.(*peeker).request(")) && bytes.Contains(stack, []byte("[IO wait")) {
				return
			}
		}
		select {
		case <-done:
			t.Fatal("did not wait")
		default:
		}
	}
	t.Fatal("does not wait")
}
