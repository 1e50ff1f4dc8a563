//go:build unix

package server_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/server"
)

// activated returns the listeners that systemd has opened for this process:
// LISTEN_FDS of them, from descriptor 3 on, if LISTEN_PID is its own. All that
// it takes is in the standard library.
func activated() ([]net.Listener, error) {
	if os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return nil, nil // they are meant for another process
	}
	n, err := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	if err != nil {
		return nil, err
	}
	var listeners []net.Listener
	for fd := 3; fd < 3+n; fd++ {
		f := os.NewFile(uintptr(fd), "LISTEN_FD_"+strconv.Itoa(fd))
		l, err := net.FileListener(f) // has a copy of the descriptor
		f.Close()
		if err != nil {
			return listeners, err
		}
		listeners = append(listeners, l)
	}
	return listeners, nil
}

// Under systemd's socket activation a server is given a descriptor on which
// somebody else listens, so that it needs no right to port 25 and no connection
// is lost when it starts anew. Serve takes it like any other listener.
func ExampleServer_Serve_socketActivation() {
	opened, err := net.Listen("tcp", "127.0.0.1:0") // as systemd does it
	if err != nil {
		fmt.Println(err)
		return
	}
	f, err := opened.(*net.TCPListener).File()
	if err != nil {
		fmt.Println(err)
		return
	}
	opened.Close()

	l, err := net.FileListener(f) // for descriptor 3: os.NewFile(3, "LISTEN_FD_3")
	f.Close()
	if err != nil {
		fmt.Println(err)
		return
	}
	srv := &server.Server{Hostname: "mx.example", Handler: discard}
	served := make(chan error)
	go func() { served <- srv.Serve(l) }()
	greet("tcp", l.Addr().String())
	srv.Shutdown(context.Background())
	fmt.Println(<-served)
	// Output:
	// 220 mx.example ESMTP
	// 221 2.0.0 bye
	// smtp server: closed
}

// A unix socket is a listener too. Clients on it have no IP address: limits per
// address do not apply.
func ExampleServer_Serve_unixSocket() {
	dir, err := os.MkdirTemp("", "lmtp")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	l, err := net.Listen("unix", filepath.Join(dir, "socket"))
	if err != nil {
		fmt.Println(err)
		return
	}
	srv := &server.Server{Hostname: "store.example", Role: server.LMTP, Handler: discard}
	served := make(chan error)
	go func() { served <- srv.Serve(l) }()
	greet("unix", l.Addr().String())
	srv.Shutdown(context.Background())
	fmt.Println(<-served)
	// Output:
	// 220 store.example LMTP
	// 221 2.0.0 bye
	// smtp server: closed
}

// greet connects, says QUIT and prints the replies.
func greet(network, addr string) {
	c, err := net.Dial(network, addr)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	fmt.Fprint(c, "QUIT\r\n")
	for lines := bufio.NewScanner(c); lines.Scan(); {
		fmt.Println(lines.Text())
	}
}

// TestSocketActivation runs the test binary again as a service that is given
// two sockets by LISTEN_FDS.
func TestSocketActivation(t *testing.T) {
	const childMark = "POSTRIDER_TEST_ACTIVATED"
	if os.Getenv(childMark) != "" {
		serveActivated(t)
		return
	}
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip(err)
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "socket")
	unix, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	unix.(*net.UnixListener).SetUnlinkOnClose(false) // it is the child's now
	// The process that execs has the pid that LISTEN_PID must name.
	cmd := exec.Command(sh, "-c", `LISTEN_PID=$$ exec "$0" "$@"`, os.Args[0], "-test.run=^TestSocketActivation$")
	cmd.Env = append(os.Environ(), childMark+"=1", "LISTEN_FDS=2")
	for _, l := range []interface{ File() (*os.File, error) }{tcp.(*net.TCPListener), unix.(*net.UnixListener)} {
		f, err := l.File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
	}
	addr := tcp.Addr().String()
	tcp.Close()
	unix.Close()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// The sockets listen already: what connects before the child accepts waits.
	for network, addr := range map[string]string{"tcp": addr, "unix": path} {
		c, err := net.DialTimeout(network, addr, 10*time.Second)
		if err != nil {
			t.Errorf("%s: %v", network, err)
			continue
		}
		c.SetDeadline(time.Now().Add(20 * time.Second))
		if line, err := bufio.NewReader(c).ReadString('\n'); line != "220 activated.example ESMTP\r\n" {
			t.Errorf("%s: %q, %v", network, line, err)
		}
		c.Close()
	}
	stdin.Close()
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, &out)
	}
}

// serveActivated is the service: it serves what it was given until its standard
// input ends.
func serveActivated(t *testing.T) {
	listeners, err := activated()
	if err != nil || len(listeners) != 2 {
		t.Fatalf("%d listeners, %v", len(listeners), err)
	}
	srv := &server.Server{Hostname: "activated.example", Handler: discard}
	var serving sync.WaitGroup
	for _, l := range listeners {
		serving.Go(func() {
			if err := srv.Serve(l); !errors.Is(err, server.ErrServerClosed) {
				t.Errorf("%v: %v", l.Addr(), err)
			}
		})
	}
	io.Copy(io.Discard, os.Stdin)
	srv.Close()
	srv.Shutdown(context.Background())
	serving.Wait()
}
