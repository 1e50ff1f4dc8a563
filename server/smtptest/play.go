package smtptest

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// RunScripts plays each script that glob matches as the client, in a subtest
// named for the file. Connect returns a connection to the server under test,
// before its greeting has been read; it may set the script's TLSConfig and
// Timeout first. The connection is closed afterwards. No match is an error.
func RunScripts(t *testing.T, glob string, connect func(t *testing.T, s *Script) net.Conn) {
	t.Helper()
	files, err := filepath.Glob(glob)
	if err != nil || len(files) == 0 {
		t.Fatalf("smtptest: no script is %s (%v)", glob, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), filepath.Ext(file)), func(t *testing.T) {
			s, err := ReadScript(file)
			if err != nil {
				t.Fatal(err)
			}
			conn := connect(t, s)
			defer conn.Close()
			if err := s.PlayClient(conn); err != nil {
				t.Error(err)
			}
		})
	}
}

// PlayClient sends the script's C: lines over conn and compares what comes with
// its S: lines. The error says at which line of the script what was awaited and
// what came instead, and shows the conversation so far; it wraps the error of
// conn if there was one. Octets that have come beyond the script's end are an
// error too. Conn is left open, but for <close>, with its deadlines cleared.
func (s *Script) PlayClient(conn net.Conn) error { return s.play('C', conn) }

// PlayServer is PlayClient with the sides exchanged.
func (s *Script) PlayServer(conn net.Conn) error { return s.play('S', conn) }

func (s *Script) play(side byte, conn net.Conn) error {
	p := &player{Script: s, side: side, conn: conn, timeout: s.Timeout}
	if p.timeout <= 0 {
		p.timeout = 10 * time.Second
	}
	err := p.run()
	if p.writing != nil {
		conn.SetDeadline(time.Unix(1, 0))
		<-p.writing
	}
	conn.SetDeadline(time.Time{})
	return err
}

// player is one performance of a script.
type player struct {
	*Script
	side    byte
	conn    net.Conn
	timeout time.Duration
	buf     []byte     // received, not yet compared
	writing chan error // the write under way, if any
	past    transcript
}

const (
	maxAwaitedLine = 64 << 10 // what an awaited line may come to
	maxManyLines   = 1000     // lines that one "250-*" may stand for
)

func (p *player) run() error {
	for i := 0; i < len(p.steps); i++ {
		st := &p.steps[i]
		var err error
		switch {
		case st.kind == startTLS:
			err = p.startTLS()
		case st.from == p.side && st.kind == text:
			last := i
			for last+1 < len(p.steps) && p.steps[last+1].kind == text && p.steps[last+1].from == p.side {
				last++
			}
			err = p.send(p.steps[i : last+1])
			i = last
		case st.kind == wait && st.from == p.side:
			if err = p.written(); err == nil {
				time.Sleep(st.pause)
			}
		case st.kind == wait || st.kind == flush:
		case st.kind == closing && st.from == p.side:
			if err = p.written(); !errors.Is(err, os.ErrDeadlineExceeded) {
				err = nil // the other side has closed it first
			}
			p.conn.Close()
		case st.kind == closing:
			err = p.awaitClose()
		case st.expect.exact:
			err = p.awaitOctets(st.octets)
		default:
			var next *step
			if i+1 < len(p.steps) && p.steps[i+1].from == st.from && p.steps[i+1].kind == text {
				next = &p.steps[i+1]
			}
			err = p.awaitLines(st, next)
		}
		if err != nil {
			return fmt.Errorf("%s: %s\n%w\nthe conversation so far:\n%s", p.at(st.line), st.source, err, p.past.String())
		}
	}
	if end := p.steps[len(p.steps)-1]; end.kind != closing {
		if err := p.written(); err != nil {
			return fmt.Errorf("%s: %w\nthe conversation:\n%s", p.at(end.line), err, p.past.String())
		}
	}
	if len(p.buf) > 0 {
		return fmt.Errorf("%s: after it came %.200q\nthe conversation:\n%s", p.at(p.steps[len(p.steps)-1].line), p.buf, p.past.String())
	}
	return nil
}

// send begins a write. The other side may have to send before it can read all
// of it, so nobody waits for its end until the next one.
func (p *player) send(group []step) error {
	if err := p.written(); err != nil {
		return err
	}
	var octets []byte
	for i := range group {
		octets = append(octets, group[i].octets...)
		p.log(p.side, group[i].octets)
	}
	// As in fill. The write says the same, and a script that then closes does
	// not mind.
	if err := p.conn.SetWriteDeadline(time.Now().Add(p.timeout)); err != nil && !errors.Is(err, io.ErrClosedPipe) {
		return fmt.Errorf("cannot send: %w", err)
	}
	p.writing = make(chan error, 1)
	go func(conn net.Conn, done chan<- error) {
		_, err := conn.Write(octets)
		done <- err
	}(p.conn, p.writing)
	return nil
}

// written waits for the end of the write under way.
func (p *player) written() error {
	if p.writing == nil {
		return nil
	}
	err := <-p.writing
	p.writing = nil
	if err != nil {
		return fmt.Errorf("cannot send: %w", err)
	}
	return nil
}

func (p *player) awaitLines(st, next *step) error {
	for n := 0; ; n++ {
		line, err := p.peekLine()
		if st.expect.many == "" {
			switch {
			case err != nil:
				return fmt.Errorf("awaited %q, got %w", st.octets, err)
			case !st.expect.match(line):
				p.take(len(line) + 2)
				return fmt.Errorf("awaited %q, got %.2000q", bytes.TrimSuffix(st.octets, []byte("\r\n")), line)
			}
			p.take(len(line) + 2)
			return nil
		}
		switch {
		case err != nil:
			return fmt.Errorf("awaited a line after any that begin with %q, got %w", st.expect.many, err)
		case n == maxManyLines:
			return fmt.Errorf("more than %d lines begin with %q", maxManyLines, st.expect.many)
		case !strings.HasPrefix(line, st.expect.many), next != nil && next.expect.match(line):
			return nil
		}
		p.take(len(line) + 2)
	}
}

func (p *player) awaitOctets(want []byte) error {
	for len(p.buf) < len(want) && bytes.HasPrefix(want, p.buf) {
		if err := p.fill(); err != nil {
			return fmt.Errorf("awaited %.200q, got %.200q and then %w", want, p.buf, err)
		}
	}
	if !bytes.HasPrefix(p.buf, want) {
		return fmt.Errorf("awaited %.200q, got %.200q", want, p.buf)
	}
	p.take(len(want))
	return nil
}

func (p *player) awaitClose() error {
	for len(p.buf) == 0 {
		err := p.fill()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return fmt.Errorf("awaited the end of the connection: %w", err)
		case err != nil:
			return nil
		}
	}
	return fmt.Errorf("awaited the end of the connection, got %.200q", p.buf)
}

// peekLine returns the next line without its CRLF.
func (p *player) peekLine() (string, error) {
	for {
		if line, _, ok := strings.Cut(string(p.buf[:min(len(p.buf), maxAwaitedLine)]), "\r\n"); ok {
			return line, nil
		}
		if len(p.buf) >= maxAwaitedLine {
			return "", errors.New("a line without an end")
		}
		if err := p.fill(); err != nil {
			if len(p.buf) > 0 {
				return "", fmt.Errorf("%.200q and then %w", p.buf, err)
			}
			return "", err
		}
	}
}

func (p *player) fill() error {
	// A net.Pipe whose other end is closed takes no deadline, but still says EOF.
	if err := p.conn.SetReadDeadline(time.Now().Add(p.timeout)); err != nil && !errors.Is(err, io.ErrClosedPipe) {
		return err
	}
	var chunk [4096]byte
	n, err := p.conn.Read(chunk[:])
	p.buf = append(p.buf, chunk[:n]...)
	if n > 0 {
		return nil
	}
	if err == io.EOF {
		err = fmt.Errorf("the end of the connection (%w)", err)
	}
	return err
}

func (p *player) take(n int) {
	p.log('C'+'S'-p.side, p.buf[:n])
	p.buf = p.buf[n:]
}

func (p *player) startTLS() error {
	if err := p.written(); err != nil {
		return err
	}
	switch {
	case p.TLSConfig == nil:
		return errors.New("the script has no TLSConfig")
	case len(p.buf) > 0:
		return fmt.Errorf("before the handshake came %.200q", p.buf)
	}
	if err := p.conn.SetDeadline(time.Now().Add(p.timeout)); err != nil {
		return err
	}
	var conn *tls.Conn
	if p.side == 'C' {
		conn = tls.Client(p.conn, p.TLSConfig)
	} else {
		conn = tls.Server(p.conn, p.TLSConfig)
	}
	if err := conn.Handshake(); err != nil {
		return fmt.Errorf("TLS handshake: %w", err)
	}
	p.conn = conn
	p.past.write("<starttls>", "")
	return nil
}

// log notes octets that were sent or received.
func (p *player) log(from byte, octets []byte) {
	p.past.octets(string(from)+": ", string(octets))
}
