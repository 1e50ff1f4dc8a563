package client

import (
	"context"
	"crypto/tls"
	"net"
	"strings"

	"github.com/postrider/postrider/smtp"
)

// Trace is a set of hooks that see what happens on connections, in the manner of
// net/http/httptrace. Any may be nil. Hooks are called in order for one
// connection and at the same time for different ones; they must not block.
//
// Credentials never reach a hook: what follows the mechanism in an AUTH command,
// and every later line of the exchange, is shown as "***".
type Trace struct {
	// Connected is called when the network connection is there, before the greeting.
	Connected func(c ConnInfo)
	// TLSDone is called after a TLS handshake, that of STARTTLS or the one at the start.
	TLSDone func(c ConnInfo, state tls.ConnectionState, err error)
	// Ready is called when a connection that Send or Connect needs is dialled,
	// greeted, encrypted and authenticated, or cannot be: with the context of that
	// call, and with what is known of the server by then; nil if it was not reached.
	Ready func(ctx context.Context, c ConnInfo, s *ServerInfo, err error)
	// Reused is called when Send takes a connection that has carried a message before,
	// and means to use it. If the server has closed it meanwhile, as may show only
	// before the first command is written, Closed follows with no Wrote between them,
	// and then, if there is another, Connected.
	Reused func(c ConnInfo)
	// Wrote is called with each command line, without its CRLF, when it was written.
	Wrote func(c ConnInfo, line string)
	// WroteData is called when message data was written, with the number of its
	// octets before dot-stuffing. After DATA, Wrote follows with ".".
	WroteData func(c ConnInfo, octets int64)
	// Got is called with each reply.
	Got func(c ConnInfo, reply smtp.Reply)
	// Closed is called once, with the error for which the connection was given up, or nil.
	Closed func(c ConnInfo, err error)
}

// ConnInfo says which connection a hook is called for.
type ConnInfo struct {
	ID     uint64 // counts the connections of a Client, or a Pool, from 1; 0 after NewConn and Dial
	Host   string // the server's name as it was dialled
	Local  net.Addr
	Remote net.Addr
}

const redacted = "***"

// wrote shows the hook the command lines in p.
func (c *Conn) traceWrote(p []byte) {
	if c.cfg.Trace == nil || c.cfg.Trace.Wrote == nil || len(p) == 0 {
		return
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(string(p), "\r\n"), "\r\n") {
		c.cfg.Trace.Wrote(c.info, line)
	}
}

// traceRequest shows command lines, of so many octets, and message data behind them.
func (c *Conn) traceRequest(p []byte, commands int) {
	c.traceWrote(p[:commands])
	c.traceData(int64(len(p) - commands))
}

func (c *Conn) traceData(octets int64) {
	if c.cfg.Trace != nil && c.cfg.Trace.WroteData != nil && octets > 0 {
		c.cfg.Trace.WroteData(c.info, octets)
	}
}

func (c *Conn) traceGot(raw []byte) {
	if c.cfg.Trace == nil || c.cfg.Trace.Got == nil {
		return
	}
	reply := parse(raw)
	if reply.Code == smtp.CodeAuthContinue {
		reply.Text, reply.Raw = redacted, ""
	}
	c.cfg.Trace.Got(c.info, reply)
}
