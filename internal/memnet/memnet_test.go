package memnet

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/nettest"

	"github.com/postrider/postrider/internal/leaktest"
)

func TestMain(m *testing.M) { os.Exit(leaktest.Main(m)) }

func pair(t *testing.T, l *Listener) (near, far net.Conn) {
	t.Helper()
	accepted := make(chan net.Conn, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			t.Error(err)
		}
		accepted <- c
	}()
	near, err := l.Dial(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return near, <-accepted
}

func TestConn(t *testing.T) {
	nettest.TestConn(t, func() (near, far net.Conn, stop func(), err error) {
		l := Listen()
		near, far = pair(t, l)
		return near, far, func() { near.Close(); far.Close(); l.Close() }, nil
	})
}

func TestClosedListener(t *testing.T) {
	l := Listen()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := l.Dial(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Dial that nobody accepts: %v", err)
	}
	l.Close()
	l.Close()
	if _, err := l.Dial(context.Background()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Dial after Close: %v", err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Close: %v", err)
	}
}

func TestAddresses(t *testing.T) {
	l := Listen()
	defer l.Close()
	ours, theirs := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 2), Port: 2}
	accepted := make(chan net.Conn)
	go func() {
		c, _ := l.Accept()
		accepted <- c
	}()
	near, err := l.DialFrom(t.Context(), ours, theirs)
	if err != nil {
		t.Fatal(err)
	}
	far := <-accepted
	if near.LocalAddr() != ours || near.RemoteAddr() != theirs || far.LocalAddr() != theirs || far.RemoteAddr() != ours {
		t.Errorf("near %v to %v, far %v to %v", near.LocalAddr(), near.RemoteAddr(), far.LocalAddr(), far.RemoteAddr())
	}
}

func TestCloseWrite(t *testing.T) {
	near, far := pair(t, Listen())
	fmt.Fprint(near, "question")
	near.(interface{ CloseWrite() error }).CloseWrite()
	if got, err := io.ReadAll(far); string(got) != "question" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	fmt.Fprint(far, "answer")
	far.Close()
	if got, err := io.ReadAll(near); string(got) != "answer" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := near.Write([]byte("x")); err == nil {
		t.Error("a write that nobody can read succeeds")
	}
}

// Both sides may write before they read, as net.Pipe does not let them.
func TestBuffers(t *testing.T) {
	near, far := pair(t, Listen())
	defer near.Close()
	defer far.Close()
	for _, c := range []net.Conn{near, far} {
		c.SetDeadline(time.Now().Add(5 * time.Second))
		if _, err := c.Write(make([]byte, streamBuffer)); err != nil {
			t.Fatal(err)
		}
	}
	near.SetWriteDeadline(time.Now().Add(time.Millisecond))
	if _, err := near.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a write beyond the buffer: %v", err)
	}
}

// A bubble's clock goes on while everybody waits for the network.
func TestBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := Listen()
		near, far := pair(t, l)
		start := time.Now()
		near.SetReadDeadline(start.Add(time.Hour))
		if _, err := near.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Hour {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		go tls.Client(near, &tls.Config{ServerName: "x"}).Handshake()
		far.SetReadDeadline(time.Now().Add(time.Hour))
		if n, err := far.Read(make([]byte, 1)); n != 1 || err != nil {
			t.Errorf("%d octets, %v", n, err)
		}
		near.Close()
		far.Close()
		l.Close()
	})
}
