package server

import (
	"bytes"
	"fmt"

	"github.com/postrider/postrider/smtp"
)

// foreign ends the connection, and reports true, if a line that is no command
// shows that the client speaks another protocol. Whoever makes a browser post a
// form to a mail server writes the lines that follow, so none of them may be
// run. Before a hello nothing more is said either, not even what was queued;
// later that could be the 250 of a message.
func (c *conn) foreign(line []byte) bool {
	word, _ := smtp.CutVerb(line)
	if c.cfg.verbs[smtp.Verb(bytes.ToUpper(word))] != nil {
		return false
	}
	return c.leave(foreignProtocol(line, c.isEarly()))
}

// isEarly reports whether no hello has been accepted.
func (c *conn) isEarly() bool { return c.state&(connected|refused) != 0 }

// leave ends the connection if protocol is the name of one.
func (c *conn) leave(protocol string) bool {
	if protocol == "" {
		return false
	}
	err := fmt.Errorf("smtp server: the client speaks %s", protocol)
	c.cfg.logger.Info("smtp server: connection closed: not SMTP", "conn", &c.Conn, "protocol", protocol)
	c.observe(Event{Kind: ForeignProtocol, Err: err})
	c.aborted = c.aborted || c.isEarly()
	c.unwelcome = true // replies that are still under way must not be lost to a reset
	c.end(err)
	return true
}

// foreignProtocol names the protocol that a line belongs to if it is known not
// to be SMTP, else it returns "". Of a line that was too long the first eight
// octets are enough. Early says that no hello has been accepted: some lines are
// then those of another protocol that later could be a mistake.
func foreignProtocol(line []byte, early bool) string {
	word, _, _ := bytes.Cut(line, []byte(" "))
	switch string(bytes.ToUpper(word)) {
	case "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "PROPFIND", "PRI":
		return "HTTP"
	case "PROXY":
		return "PROXY"
	}
	version := line[bytes.LastIndexByte(line, ' ')+1:]
	for _, name := range []string{"HTTP", "RTSP", "SIP"} {
		if rest, ok := bytes.CutPrefix(version, []byte(name)); ok && len(rest) > 0 && rest[0] == '/' {
			return name
		}
	}
	switch {
	case isClientHello(line):
		return "TLS"
	case len(line) == 1 && line[0] == 0: // of the signature of version 2
		return "PROXY"
	case bytes.HasPrefix(line, []byte("SSH-")):
		return "SSH"
	case early && isHeaderField(line):
		return "HTTP"
	}
	return ""
}

// isClientHello reports whether b begins like a TLS record with a handshake
// (RFC 8446 §5.1).
func isClientHello(b []byte) bool { return len(b) >= 2 && b[0] == 0x16 && b[1] == 0x03 }

// isHeaderField reports whether a line begins with a field's name and a colon.
func isHeaderField(line []byte) bool {
	name := bytes.IndexByte(line, ':')
	for _, b := range line[:max(name, 0)] {
		if (b|0x20 < 'a' || b|0x20 > 'z') && (b < '0' || b > '9') && b != '-' {
			return false
		}
	}
	return name > 0
}
