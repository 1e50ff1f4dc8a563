//go:build interop

package interop

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
)

// imapInbox returns the messages in a user's INBOX, octet for octet as the IMAP
// server gives them (RFC 9051).
func imapInbox(t *testing.T, port int, user, password string) [][]byte {
	t.Helper()
	nc, err := net.Dial("tcp", address(port))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(eventTime))
	c := &imapConn{T: t, Conn: nc, r: bufio.NewReader(nc)}
	c.line()
	c.command(fmt.Sprintf("LOGIN %q %q", user, password))
	for _, line := range c.command("EXAMINE INBOX") {
		if line == "* 0 EXISTS" { // of which FETCH 1:* would be an error
			return nil
		}
	}
	c.literals = nil
	c.command("FETCH 1:* BODY.PEEK[]")
	return c.literals
}

type imapConn struct {
	*testing.T
	net.Conn
	r        *bufio.Reader
	tag      int
	literals [][]byte
}

// command gives a command and returns the responses to it.
func (c *imapConn) command(line string) (responses []string) {
	c.Helper()
	c.tag++
	fmt.Fprintf(c, "t%d %s\r\n", c.tag, line)
	for {
		response := c.line()
		if rest, ok := strings.CutPrefix(response, fmt.Sprintf("t%d ", c.tag)); ok {
			if !strings.HasPrefix(rest, "OK") {
				c.Fatalf("%s: %s", line, rest)
			}
			return responses
		}
		responses = append(responses, response)
	}
}

// line reads a line and the literal that it announces.
func (c *imapConn) line() string {
	c.Helper()
	line, err := c.r.ReadString('\n')
	if err != nil {
		c.Fatal(err)
	}
	line = strings.TrimRight(line, "\r\n")
	if head, ok := strings.CutSuffix(line, "}"); ok {
		size, err := strconv.ParseInt(head[strings.LastIndexByte(head, '{')+1:], 10, 32)
		if err != nil {
			c.Fatal(err)
		}
		var literal bytes.Buffer
		if _, err := io.CopyN(&literal, c.r, size); err != nil {
			c.Fatal(err)
		}
		c.literals = append(c.literals, literal.Bytes())
	}
	return line
}
