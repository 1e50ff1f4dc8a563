package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/mx/mxtest"
	"github.com/postrider/postrider/smtp"
)

// The program itself, over loopback.
func TestRun(t *testing.T) {
	if l, err := net.Listen("tcp", "127.0.0.2:0"); err != nil {
		t.Skip("this machine has one address of loopback only")
	} else {
		l.Close()
	}
	inet := mxtest.New(t, mxtest.Loopback)
	last := inet.Host("mx.example.org")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var stderr bytes.Buffer
	lines, w := net.Pipe()
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, []string{
			"-listen", "127.0.0.1:0", "-hostname", "hop.example.net", "-for", "example.org",
			"-resolver", inet.DNS().String(), "-port", fmt.Sprint(inet.Port), "-next", "[mx.example.org]",
		}, w, &stderr)
	}()
	first := make([]byte, 100)
	n, err := lines.Read(first)
	if err != nil {
		t.Fatal(err)
	}
	_, addr, _ := strings.Cut(strings.TrimSpace(string(first[:n])), "listening on ")
	c := &client.Client{Addr: addr, TLSMode: client.Plaintext, Timeouts: client.EveryTimeout(10 * time.Second)}
	_, err = c.Send(t.Context(), envelope(t, "me@example.com", "a@example.org"), smtp.BytesContent([]byte(text)))
	c.Close()
	cancel()
	if code := <-code; err != nil || code != 0 || len(last.Messages()) != 1 {
		t.Errorf("exit code %d, %v, %d messages\n%s", code, err, len(last.Messages()), &stderr)
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{
		{}, {"-for", "example.org", "-bounce=x"}, {"-for", "example.org", "more"},
		{"-for", "example.org", "-port", "70000"}, {"-for", "example.org", "-resolver", "localhost"}, {"-no"},
	} {
		var stderr bytes.Buffer
		if code := run(t.Context(), args, &stderr, &stderr); code != 64 || stderr.Len() == 0 {
			t.Errorf("%q: exit code %d, %q", args, code, &stderr)
		}
	}
	var stderr bytes.Buffer
	if code := run(t.Context(), []string{"-help"}, &stderr, &stderr); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
