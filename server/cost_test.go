package server_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// What a message costs is counted: the writes that answer it, and the allocations
// once the connection has seen a few.
func TestCostOfAMessage(t *testing.T) {
	const (
		mail = "MAIL FROM:<alice@client.example>\r\n"
		rcpt = "RCPT TO:<bob@example.com>\r\n"
		data = "DATA\r\n"
	)
	text := "Subject: x\r\n\r\n" + strings.Repeat(strings.Repeat("x", 73)+"\r\n", 50)
	bdat := fmt.Sprintf("BDAT %d LAST\r\n%s", len(text), text)
	long := strings.Repeat(text, 270)
	for _, tt := range []struct {
		name   string
		before string
		parts  []string
		writes int
		allocs float64
	}{
		{"lockstep", "", []string{mail, rcpt, data, text + ".\r\n"}, 4, 3},
		{"pipelined", "", []string{mail + rcpt + data, text + ".\r\n"}, 2, 3},
		{"10 recipients", "", []string{mail + strings.Repeat(rcpt, 10) + data, text + ".\r\n"}, 2, 5},
		{"100 recipients", "", []string{mail + strings.Repeat(rcpt, 100) + data, text + ".\r\n"}, 2, 6},
		{"500 recipients", "", []string{mail + strings.Repeat(rcpt, 500) + data, text + ".\r\n"}, 2, 30},
		{"next envelope behind the body", mail + rcpt + data, []string{text + ".\r\n" + mail + rcpt + data}, 1, 3},
		{"BDAT in one write", "", []string{mail + rcpt + bdat}, 1, 3},
		{"two messages by BDAT in one write", "", []string{mail + rcpt + bdat + mail + rcpt + bdat}, 1, 6},
		{"1 MB", "", []string{mail + rcpt + data, long + ".\r\n"}, 2, 3},
		{"commands", "", []string{"NOOP\r\nRSET\r\nNOOP x\r\nHELP NOOP\r\n"}, 1, 0},
		{"a transaction given up", "", []string{mail + rcpt + "RSET\r\n"}, 1, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := &server.Server{
				Hostname: "mx.example.com",
				Limits:   server.Limits{MaxIdleChat: -1},
				Handler: server.Deliver(func(_ context.Context, m *server.Message) (smtp.Reply, error) {
					_, err := io.Copy(io.Discard, m.Body)
					return smtp.Reply{}, err
				}),
			}
			c := &askedConn{replayConn: replayConn{done: make(chan struct{})}, asks: make(chan bool), input: make(chan []byte)}
			served := make(chan error)
			go func() { served <- srv.Serve(&oneConn{conn: net.Conn(c)}) }()
			<-c.asks
			parts := make([][]byte, len(tt.parts))
			for i, p := range tt.parts {
				parts[i] = []byte(p)
			}
			c.say([]byte("EHLO client.example\r\n"))
			if tt.before != "" {
				c.say([]byte(tt.before))
			}
			message := func() {
				for _, p := range parts {
					c.say(p)
				}
			}
			c.writes = 0
			message()
			want(t, "writes", c.writes, tt.writes)
			if last := string(c.last); !strings.HasSuffix(last, "\r\n") || last[0] != '2' {
				t.Errorf("replies %q", last)
			}
			// A sync.Pool drops some of what it is given when looking for races. That
			// it is emptied now and then is less than one for each message.
			if n := testing.AllocsPerRun(100, message); n > tt.allocs && !raceEnabled {
				t.Errorf("%v allocations, want at most %v", n, tt.allocs)
			}
			close(c.input)
			<-c.done
			<-served
			srv.Close()
			srv.Shutdown(context.Background())
		})
	}
}

// An askedConn says when it is read though it has nothing left, so that all that was
// written to it has been answered.
type askedConn struct {
	replayConn
	asks   chan bool
	input  chan []byte
	writes int
}

// say hands over octets and waits until more are wanted.
func (c *askedConn) say(b []byte) {
	c.input <- b
	<-c.asks
}

func (c *askedConn) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		c.asks <- true
		c.rest = <-c.input
	}
	if len(c.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

func (c *askedConn) Write(p []byte) (int, error) {
	c.writes++
	return c.replayConn.Write(p)
}
