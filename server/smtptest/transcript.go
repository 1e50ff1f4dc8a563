package smtptest

import (
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/postrider/postrider/server"
)

const (
	maxTranscript  = 256 << 10 // octets of one transcript
	maxTranscripts = 1000
	maxShown       = 1000 // octets of one line
)

// transcript is the conversation of one connection, in the language of scripts.
type transcript struct {
	mu   sync.Mutex
	text strings.Builder
	full bool
}

func (t *transcript) write(prefix, line string) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.full:
	case t.text.Len()+len(line) > maxTranscript:
		t.full = true
		t.text.WriteString("# and so on\n")
	default:
		t.text.WriteString(prefix + line + "\n")
	}
}

// octets notes what one side has sent.
func (t *transcript) octets(prefix, octets string) {
	for octets != "" {
		line, rest, whole := strings.Cut(octets, "\r\n")
		if over := len(line) - maxShown; over > 0 {
			line = escape(line[:maxShown]) + fmt.Sprintf(` <%d more>`, over)
		} else {
			line = escape(line)
		}
		if !whole {
			line += `\`
		}
		t.write(prefix, line)
		octets = rest
	}
}

func (t *transcript) comment(format string, args ...any) {
	t.write("# ", escape(fmt.Sprintf(format, args...)))
}

func (t *transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String()
}

// escape writes octets as a script would have them.
func escape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case s[i] == '\\':
			b.WriteString(`\\`)
		case r < ' ' || r == 0x7f || r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		default:
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return b.String()
}

// tail returns the last lines of s that have no more than n octets.
func tail(s string, n int) string {
	if len(s) <= n {
		return s
	}
	_, s, _ = strings.Cut(s[len(s)-n:], "\n")
	return s
}

// transcripts keeps the latest of all connections.
type transcripts struct {
	mu    sync.Mutex
	list  []*transcript
	count int
}

func (t *transcripts) open() *transcript {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.list) == maxTranscripts {
		t.list[0] = nil
		t.list = t.list[1:]
	}
	t.count++
	one := new(transcript)
	one.comment("connection %d", t.count)
	t.list = append(t.list, one)
	return one
}

func (t *transcripts) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.list = nil
}

func (t *transcripts) strings() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]string, len(t.list))
	for i, one := range t.list {
		all[i] = one.String()
	}
	return all
}

// observe is the Observer of Config.
func (s *Server) observe(e server.Event) {
	if s.ownObserver != nil {
		s.ownObserver.Observe(e)
	}
	s.mu.Lock()
	l := s.links[e.Conn]
	switch e.Kind {
	case server.ConnOpened:
		l.log = s.log.open()
	case server.ConnClosed:
		delete(s.links, e.Conn)
	}
	s.mu.Unlock()
	if l == nil {
		return // turned away before it began
	}
	switch e.Kind {
	case server.CommandReceived:
		l.log.octets("C: ", e.Line+"\r\n")
	case server.ReplySent:
		octets := e.Reply.Raw + "\r\n"
		if e.Reply.Raw == "" {
			octets = string(e.Reply.AppendTo(nil))
		}
		l.log.octets("S: ", octets)
	case server.TLSStarted:
		l.log.write("<starttls>", "")
	case server.TLSFailed:
		l.log.comment("TLS failed: %v", e.Err)
	case server.ConnClosed:
		if e.Err != nil {
			l.log.comment("ended: %v", e.Err)
		} else {
			l.log.write("S: ", "<close>")
		}
	}
}
