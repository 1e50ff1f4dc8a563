package smtptest

import (
	"bytes"
	"context"
	"net"
	"slices"
	"time"

	"github.com/postrider/postrider/internal/intercept"
	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// rule is a Fault at work. Its numbers are guarded by Server.mu.
type rule struct {
	Fault
	seen, hits int
}

// due counts an occurrence for each rule that matches, and returns those that
// let no more pass, the first one given first. They happen if take says so.
func (s *Server) due(match func(f *Fault) bool) []*rule {
	s.mu.Lock()
	defer s.mu.Unlock()
	var due []*rule
	for _, r := range s.faults {
		if !match(&r.Fault) {
			continue
		}
		if r.seen++; r.seen > r.skip {
			due = append(due, r)
		}
	}
	return due
}

// take reports whether r happens, and counts it.
func (s *Server) take(r *rule) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.times > 0 && r.hits == r.times {
		return false
	}
	r.hits++
	return true
}

// link is what the test server knows of a connection. It belongs to the
// connection's goroutine.
type link struct {
	srv   *Server
	conn  net.Conn
	log   *transcript
	chunk *Fault // refuses the BDAT that has just come
}

type linkKey struct{}

// connContext is server.Server.ConnContext.
func (s *Server) connContext(ctx context.Context, conn net.Conn) context.Context {
	if s.ownContext != nil {
		ctx = s.ownContext(ctx, conn)
	}
	l := &link{srv: s, conn: conn}
	s.mu.Lock()
	slow := slices.ContainsFunc(s.faults, func(r *rule) bool { return r.rate > 0 })
	s.mu.Unlock()
	if t, ok := conn.(interface{ SetReadBuffer(int) error }); ok && slow {
		t.SetReadBuffer(4096)
	}
	ctx = context.WithValue(ctx, linkKey{}, l)
	ctx = intercept.WithHidden(ctx, s.hides)
	ctx = intercept.WithOpened(ctx, func(conn any) {
		s.mu.Lock()
		s.links[conn.(*server.Conn)] = l
		s.mu.Unlock()
	})
	return intercept.With(ctx, l.command)
}

// hideable are the verbs that are named like their extensions.
var hideable = []string{"STARTTLS", "AUTH", "XCLIENT", "XFORWARD"}

// command is asked before each command and, with a nil line, before the
// greeting.
func (l *link) command(ctx context.Context, verb string, line []byte) (a intercept.Action, ok bool) {
	l.chunk = nil
	at := atCommand
	if line == nil {
		at = atGreeting
	}
	due := l.srv.due(func(f *Fault) bool {
		return f.at == at && (at == atGreeting || f.verb == verb || f.verb == "*") && (f.who == nil || names(line, *f.who))
	})
	for _, r := range due {
		if !l.srv.take(r) {
			continue
		}
		sleep(ctx, r.delay)
		isBDAT := verb == "BDAT" && at == atCommand
		if isBDAT && !r.reply.IsZero() && !r.drop {
			l.chunk = &r.Fault
			return a, false
		}
		a = intercept.Action{Reply: []byte(r.raw), Drop: r.drop || isBDAT && r.raw != ""}
		if _, err := smtp.ParseReply(r.raw); err != nil && r.raw != "" {
			l.log.octets("S: ", r.raw) // the server cannot tell its observer
		}
		return a, r.raw != "" || r.drop
	}
	if slices.Contains(hideable, verb) && at == atCommand && l.srv.hides(verb) {
		return intercept.Action{Reply: []byte("502 5.5.1 command not implemented\r\n")}, true
	}
	return a, false
}

// names reports whether the path in a MAIL or RCPT line is the address.
func names(line []byte, who smtp.Mailbox) bool {
	_, arg := smtp.CutVerb(line)
	open := bytes.IndexByte(arg, '<')
	if open < 0 {
		return false
	}
	for end := open + 1; end < len(arg); end++ {
		if arg[end] != '>' {
			continue
		}
		path := string(arg[open : end+1])
		if path == "<>" {
			return who.IsZero()
		}
		if p, err := smtp.ParseForwardPath(path); err == nil { // an earlier ">" stood in quotes
			return same(p, who)
		}
	}
	return false
}

// same reports whether two paths lead to the same mailbox.
func same(p smtp.ForwardPath, who smtp.Mailbox) bool {
	return p.Equal(who) || p.IsPostmaster() && smtp.ForwardPath{Mailbox: who}.IsPostmaster()
}

// cut closes the connection under the server's hands.
func (l *link) cut() { cut(l.conn) }

func cut(conn net.Conn) {
	if t, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = t.NetConn() // no close_notify: nothing is said
	}
	conn.Close()
}

// sleep waits for d or the end of ctx, whose error it returns.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
