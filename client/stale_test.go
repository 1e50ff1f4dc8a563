//go:build unix && !aix

package client_test

import (
	"context"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/smtp"
)

// arrival waits until there is something to read on nc, or its end.
func arrival(t *testing.T, nc net.Conn) {
	raw, err := nc.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Read(func(fd uintptr) bool {
		_, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK)
		return err != syscall.EAGAIN
	})
}

// Who is given a connection that turns out to be gone, is before those who came while
// that was not known. A Trace sees it taken, closed and replaced.
func TestStaleConnectionKeepsItsPlace(t *testing.T) {
	s := newSink(t, "PIPELINING")
	s.MaxConns, s.IdleTimeout = 1, time.Hour
	var near, far net.Conn
	s.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if near != nil {
			return (&net.Dialer{}).DialContext(ctx, network, addr)
		}
		near, far = pipe(t)
		s.done.Go(func() { s.serve(far, []string{"PIPELINING"}) })
		return near, nil
	}
	sending := func(what string) {
		res, err := s.Send(t.Context(), envelope(t, 1), smtp.BytesContent([]byte("A: "+what+"\r\n")))
		want(t, res, err, "250")
	}
	var events []string
	var other sync.WaitGroup
	s.Trace = watched(&client.Trace{
		Connected: func(client.ConnInfo) { events = append(events, "connected") },
		Reused: func(client.ConnInfo) {
			if events = append(events, "reused"); len(events) > 2 {
				return
			}
			other.Go(func() { sending("third") })
			for s.Waiting() == 0 && t.Context().Err() == nil {
				yield()
			}
		},
		Closed: func(client.ConnInfo, error) { events = append(events, "closed") },
	})
	sending("first")
	far.Close()
	arrival(t, near)
	sending("second")
	other.Wait()
	if got := strings.Join(events, " "); !strings.HasPrefix(got, "connected reused closed connected") {
		t.Errorf("events: %s", got)
	}
	if got := strings.Join(s.messages(t), ""); got != "A: first\r\nA: second\r\nA: third\r\n" {
		t.Errorf("in this order: %q", got)
	}
}
