package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// patience bounds the life of one connection of the load generator.
const patience = 2 * time.Minute

// An exchange is octets to send in one write and the reply codes to expect.
type exchange struct {
	send []byte
	want []int
}

// A client drives one connection with octets made beforehand. It knows no
// more of SMTP than where a reply ends and which code it must carry.
type client struct {
	conn   net.Conn
	buf    []byte
	unread []byte // the part of buf that holds octets not yet looked at
}

// dial connects and reads the greeting.
func dial(addr string, s security) (*client, error) {
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return nil, err
	}
	if s == implicitTLS {
		conn = tls.Client(conn, clientTLS)
	}
	return greet(conn)
}

// greet takes over conn and reads the greeting.
func greet(conn net.Conn) (*client, error) {
	c := &client{conn: conn, buf: make([]byte, 4<<10)}
	conn.SetDeadline(time.Now().Add(patience))
	if _, err := c.expect(220); err != nil {
		conn.Close()
		return nil, fmt.Errorf("greeting: %w", err)
	}
	return c, nil
}

// hello sends EHLO and returns the keywords that the server offers.
func (c *client) hello() (map[string]bool, error) {
	if _, err := c.conn.Write(ehlo); err != nil {
		return nil, err
	}
	reply, err := c.expect(250)
	if err != nil {
		return nil, fmt.Errorf("EHLO: %w", err)
	}
	offers := make(map[string]bool)
	for line := range strings.Lines(reply) {
		if keyword := strings.Fields(line[4:]); len(keyword) > 0 {
			offers[strings.ToUpper(keyword[0])] = true
		}
	}
	return offers, nil
}

// run does the exchanges one after another.
func (c *client) run(exchanges []exchange) error {
	for _, x := range exchanges {
		if _, err := c.conn.Write(x.send); err != nil {
			return err
		}
		for _, code := range x.want {
			if err := c.skip(code); err != nil {
				return err
			}
		}
	}
	return nil
}

// quit ends the session and closes the connection.
func (c *client) quit() error {
	defer c.conn.Close()
	return c.run(quit)
}

// expect reads one reply of the given code and returns its lines.
func (c *client) expect(code int) (string, error) {
	var reply strings.Builder
	for {
		line, err := c.line()
		if err != nil {
			return "", err
		}
		reply.Write(line)
		reply.WriteByte('\n')
		if last, err := check(line, code); last || err != nil {
			return reply.String(), err
		}
	}
}

// skip reads one reply of the given code, without keeping its text.
func (c *client) skip(code int) error {
	for {
		line, err := c.line()
		if err != nil {
			return err
		}
		if last, err := check(line, code); last || err != nil {
			return err
		}
	}
}

// check looks at one line of a reply, and whether the reply ends with it.
func check(line []byte, code int) (last bool, err error) {
	if len(line) < 3 || line[0] != byte('0'+code/100) || line[1] != byte('0'+code/10%10) || line[2] != byte('0'+code%10) {
		return false, fmt.Errorf("want %d, got %q", code, line)
	}
	return len(line) == 3 || line[3] == ' ', nil
}

// line returns the next line without its CRLF; it is valid until the next call.
func (c *client) line() ([]byte, error) {
	for {
		if i := bytes.IndexByte(c.unread, '\n'); i >= 0 {
			line := bytes.TrimSuffix(c.unread[:i], []byte("\r"))
			c.unread = c.unread[i+1:]
			return line, nil
		}
		kept := copy(c.buf, c.unread)
		if kept == len(c.buf) {
			return nil, errors.New("reply line too long")
		}
		n, err := c.conn.Read(c.buf[kept:])
		if err != nil {
			return nil, err
		}
		c.unread = c.buf[:kept+n]
	}
}
