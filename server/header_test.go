package server_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// asked is what a handler has found out with Header.
type asked struct {
	header, again, after string
	whole                string
	err, readErr         error
}

// ask is a Session.Data that reads the header section ahead, and then all.
func (a *asked) ask(_ context.Context, b *server.Body) (smtp.Reply, error) {
	*a = asked{}
	header, err := b.Header()
	a.header, a.err = string(header), err
	b.Prepend("X-Second: 2\r\n")
	again, _ := b.Header()
	a.again = string(again)
	b.Prepend("X-First: 1\r\n")
	var text bytes.Buffer
	if len(header)%2 == 0 {
		_, a.readErr = b.WriteTo(&text)
	} else {
		var all []byte
		all, a.readErr = io.ReadAll(struct{ io.Reader }{b})
		text.Write(all)
	}
	b.Prepend("X-Late: 3\r\n")
	after, _ := b.Header()
	a.after, a.whole = string(after), text.String()
	return smtp.Reply{}, a.readErr
}

// Whatever is asked for ahead, the message is read whole.
func TestHeader(t *testing.T) {
	const lines = "Subject: x\r\nFrom: a@example.org,\r\n\tb@example.org\r\n"
	long := strings.Repeat("X-Long: "+strings.Repeat("x", 70)+"\r\n", 2000) // more than any buffer
	for _, header := range []string{"", "\r\n", lines, lines + "\r\n", long, long + "\r\n", "no field at all\r\n", "\n", "a: b\n\n", "a: \r\r\n\r\n"} {
		for _, body := range []string{"", "text\r\n", "\r\n\r\n", long, "text without an end"} {
			if !strings.HasSuffix(header, "\r\n\r\n") && !strings.HasSuffix(header, "\n\n") && header != "\r\n" && header != "\n" {
				body = "" // it would be header too
			}
			message := header + body
			for _, how := range []string{"DATA", "BDAT", "chunks"} {
				var a asked
				s := start(t, func(s *testServer) { s.data, s.BodyPolicy = a.ask, server.Pass })
				p := s.hello()
				p.send(transaction)
				p.expect("250", "250")
				switch {
				case how == "BDAT":
					p.flood(fmt.Sprintf("BDAT %d LAST\r\n%s", len(message), message))
				case how == "chunks":
					size := len(message)/3 + 1
					var said string
					for rest := message; ; rest = rest[size:] {
						if len(rest) <= size {
							said += fmt.Sprintf("BDAT %d\r\n%sBDAT 0 LAST\r\n", len(rest), rest)
							p.flood(said)
							break
						}
						said += fmt.Sprintf("BDAT %d\r\n%s", size, rest[:size])
					}
					for n := len(message); ; n -= size {
						p.expect("250 2.0.0 chunk")
						if n <= size {
							break
						}
					}
				case message != "" && !strings.HasSuffix(message, "\r\n"):
					continue // DATA has no such message
				default:
					p.do("DATA", "354")
					p.flood(message + ".\r\n")
				}
				p.expect("250 2.0.0 message accepted")
				s.stop()
				switch {
				case a.err != nil || a.readErr != nil:
					t.Errorf("%.40q by %s: %v, %v", message, how, a.err, a.readErr)
				case a.header != header || a.again != header || a.after != header:
					t.Errorf("%.40q by %s: header %.80q, again %.80q, after %.80q", message, how, a.header, a.again, a.after)
				case a.whole != "X-First: 1\r\nX-Second: 2\r\n"+message:
					t.Errorf("%.40q by %s: read %.80q", message, how, a.whole)
				}
			}
		}
	}
}

// Asked for after the first Read there is nothing left to read ahead.
func TestHeaderAfterRead(t *testing.T) {
	var late, over error
	var kept *server.Body
	s := start(t)
	s.data = func(_ context.Context, b *server.Body) (smtp.Reply, error) {
		kept = b
		b.Read(make([]byte, 1))
		_, late = b.Header()
		return smtp.Reply{}, late
	}
	p := s.hello()
	p.send(transaction + "BDAT 4 LAST\ntext")
	p.expect("250", "250", "451 4.3.0 local error in processing")
	var cut *server.BodyError
	if late == nil || errors.As(late, &cut) {
		t.Errorf("late: %v", late)
	}
	if _, over = kept.Header(); !errors.As(over, &cut) {
		t.Errorf("after Data: %v", over)
	}
	s.log.take()
}

// What ends a message ends Header too, and Read says the same.
func TestHeaderCutShort(t *testing.T) {
	long := strings.Repeat("X-Long: "+strings.Repeat("x", 90)+"\r\n", 4)
	for _, tt := range []struct {
		name  string
		send  string
		end   func(s *testServer, p *peer)
		reply string
	}{
		{"too long in DATA", "DATA\r\n" + long + "\r\ntext\r\n.\r\n", nil, "552 5.3.4 header section exceeds"},
		{"too long in BDAT", "BDAT 410 LAST\r\n" + long + "\r\n12345678", nil, "552 5.3.4 header section exceeds"},
		{"too long by two", "DATA\r\n" + long[:298] + "\r\n\r\ntext\r\n.\r\n", nil, "552 5.3.4 header section exceeds"},
		{"bare LF", "DATA\r\na: b\nc: d\r\n.\r\n", nil, "550 5.6.11"},
		{"lost in DATA", "DATA\r\na: b\r\n", drop, ""},
		{"lost in a chunk", "BDAT 10 LAST\r\na: b\r\n", drop, ""},
		{"RSET between chunks", "BDAT 6\r\na: b\r\nRSET\r\n", nil, "250 2.0.0 reset"},
		{"QUIT between chunks", "BDAT 6\r\na: b\r\nQUIT\r\n", nil, "221"},
		{"server closed", "DATA\r\na: b\r\n", func(s *testServer, _ *peer) { s.Server.Close() }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var first, again, read error
				s := start(t, limits(server.Limits{MaxHeaderSize: 300}))
				s.data = func(_ context.Context, b *server.Body) (smtp.Reply, error) {
					_, first = b.Header()
					_, again = b.Header()
					_, read = b.Read(make([]byte, 1))
					return smtp.Reply{}, nil // ignored
				}
				p := s.hello()
				p.send(transaction)
				p.expect("250", "250")
				p.raw(tt.send)
				synctest.Wait()
				if tt.end != nil {
					tt.end(s, p)
					synctest.Wait()
				}
				var cut *server.BodyError
				if !errors.As(first, &cut) || errors.Is(first, io.EOF) || again != first || read != first {
					t.Errorf("%v, then %v and %v", first, again, read)
				}
				if strings.HasPrefix(tt.send, "DATA") && tt.end == nil {
					p.expect("354")
				}
				if strings.Contains(tt.name, "between") {
					p.expect("250")
				}
				if tt.reply != "" {
					p.expect(tt.reply)
				}
				if tt.reply != "" && tt.reply != "221" {
					p.do("NOOP", "250 2.0.0 OK")
				}
				s.stop()
				if events := s.events.take(); strings.Contains(events, server.MessageAccepted.String()) {
					t.Error("accepted")
				}
			})
		})
	}
}

// A header section of just MaxHeaderSize is none too many.
func TestHeaderOfMaxHeaderSize(t *testing.T) {
	var a asked
	s := start(t, limits(server.Limits{MaxHeaderSize: 300}))
	s.data = a.ask
	p := s.hello()
	p.send(transaction + "DATA\n")
	p.expect("250", "250", "354")
	header := "X: " + strings.Repeat("x", 293) + "\r\n\r\n"
	p.raw(header + "text\r\n.\r\n")
	p.expect("250")
	want(t, "header", a.header, header)
}

// Without a limit of the server's, Header has one of its own.
func TestHeaderWithoutMaxHeaderSize(t *testing.T) {
	var a asked
	s := start(t, limits(server.Limits{MaxHeaderSize: -1, MaxMessageSize: -1}))
	s.data = a.ask
	line := "X: " + strings.Repeat("x", 1019) + "\r\n"
	for _, tt := range []struct {
		lines int
		reply string
	}{{1 << 14, "250"}, {1<<14 + 1, "552 5.3.4 header section exceeds the size limit"}} {
		p := s.hello()
		p.send(transaction + "DATA\n")
		p.expect("250", "250", "354")
		p.flood(strings.Repeat(line, tt.lines) + ".\r\n")
		p.expect(tt.reply)
		p.do("NOOP", "250 2.0.0 OK")
	}
}

// Header waits as Read does: as long as octets come fast enough.
func TestHeaderDrips(t *testing.T) {
	for _, how := range datas {
		for pause, slow := range map[time.Duration]bool{time.Second / 200: false, time.Second / 20: true} {
			synctest.Test(t, func(t *testing.T) {
				var a asked
				s := start(t)
				s.data = a.ask
				p := s.hello()
				p.begin(how)
				go p.drip(strings.Repeat("x", int(7*time.Minute/pause)), pause)
				p.SetReadDeadline(time.Now().Add(7 * time.Minute))
				if text, _ := p.silence(); slow != strings.HasPrefix(text, "421 4.4.2 ") {
					t.Errorf("%.12s every %v: %q", how, pause, text)
				}
				p.end()
				s.stop()
				var cut *server.BodyError
				if !errors.As(a.err, &cut) || a.header != "" {
					t.Errorf("%.12s every %v: %q, %v", how, pause, a.header, a.err)
				}
			})
		}
	}
}

// reference finds the header section with nothing but strings.
func reference(message string) string {
	for end := 0; end < len(message); {
		line := message[end:]
		if i := strings.IndexByte(line, '\n'); i >= 0 {
			line = line[:i+1]
		}
		end += len(line)
		if line == "\n" || line == "\r\n" {
			return message[:end]
		}
	}
	return message
}

// FuzzHeader compares Header with the reference, however the octets come.
func FuzzHeader(f *testing.F) {
	for _, seed := range []string{"", "\r\n", "\n", "a: b", "a: b\r\n", "a: b\r\n\r\nc", "a: b\n\nc", "\r\r\n\r\n", "a\r\n.\r\n\r\nb", "\r\n\r\n", "a\n\r\nb", "a\r\n\rb\r\n\r\n", " a: b\r\n\r\n", "\t"} {
		f.Add(seed, uint16(1), byte(1))
		f.Add(seed, uint16(2), byte(255))
	}
	f.Fuzz(func(t *testing.T, message string, cut uint16, pieces byte) {
		var a asked
		srv := newArena(t, func(s *server.Server) {
			s.Limits = server.Limits{}
			s.ChunkPolicy = server.Pass
			s.Logger = slog.New(slog.NewTextHandler(panicking{t}, nil))
			s.Handler = server.HandlerFunc(func(context.Context, *server.Conn) (server.Session, error) {
				return &session{backend: &backend{data: a.ask}}, nil
			})
		})
		n := min(int(cut), len(message))
		octets := fmt.Sprintf("EHLO x.example\r\n%sBDAT %d\r\n%sBDAT %d LAST\r\n%s", transactionCRLF, n, message[:n], len(message)-n, message[n:])
		srv.queue.conns <- &played{left: []byte(octets), pieces: max(int(pieces), 1)}
		<-srv.ended
		if a.err != nil || a.readErr != nil || a.header != reference(message) || a.again != a.header || a.after != a.header {
			t.Errorf("%q: header %q, then %q and %q, %v", message, a.header, a.again, a.after, a.err)
		}
		prefix := "X-First: 1\r\nX-Second: 2\r\n"
		if strings.HasPrefix(message, " ") || strings.HasPrefix(message, "\t") {
			prefix += "\r\n" // or it would continue the field
		}
		if a.whole != prefix+message {
			t.Errorf("%q: read %q, %v", message, a.whole, a.readErr)
		}
	})
}
