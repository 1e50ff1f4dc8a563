package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// failing takes so many octets and then gives its error.
type failing struct {
	strings.Builder
	room int
	err  error
}

func (w *failing) Write(p []byte) (int, error) {
	if len(p) > w.room && w.err != nil {
		return 0, w.err
	}
	w.room -= len(p)
	return w.Builder.Write(p)
}

// short takes one octet less than it is given and says nothing.
type short struct{}

func (short) Write(p []byte) (int, error) { return len(p) - 1, nil }

// Each Tee gets the message once, without what is put in front.
func TestTee(t *testing.T) {
	message := "a: b\r\n\r\n" + strings.Repeat(strings.Repeat("x", 70)+"\r\n", 1000)
	for _, how := range []string{"DATA", "BDAT"} {
		for order := range 4 {
			var first, second, late failing
			s := start(t)
			s.data = func(_ context.Context, b *server.Body) (smtp.Reply, error) {
				if order&1 != 0 {
					b.Tee(&first)
				}
				if order&2 != 0 {
					b.Header()
				}
				if order&1 == 0 {
					b.Tee(&first)
				}
				b.Tee(&second)
				b.Prepend("X: y\r\n")
				if b.Read(make([]byte, 3)); order == 3 {
					b.Tee(&late)
					return smtp.Reply{}, nil // the rest is of no interest
				}
				_, err := io.Copy(io.Discard, b)
				return smtp.Reply{}, err
			}
			p := s.hello()
			p.send(transaction)
			p.expect("250", "250")
			if how == "DATA" {
				p.do("DATA", "354")
				p.flood(message + ".\r\n")
			} else {
				p.flood(fmt.Sprintf("BDAT 20\r\n%sBDAT %d LAST\r\n%s", message[:20], len(message)-20, message[20:]))
				p.expect("250 2.0.0 chunk")
			}
			p.expect("250 2.0.0 message accepted")
			s.stop()
			for _, got := range []string{first.String(), second.String()} {
				if got != message && (order != 3 || got == "" || !strings.HasPrefix(message, got)) {
					t.Errorf("%s, order %d: %d octets of %d: %.40q", how, order, len(got), len(message), got)
				}
			}
			want(t, "octets after the first Read", late.Len(), 0)
		}
	}
}

// A Tee that fails refuses the message, and leaves the session in step: also
// when the message has been read to its end.
func TestTeeFails(t *testing.T) {
	full := smtp.Reject(452, smtp.Enh(3, 1), "no room")
	for _, send := range []string{"DATA\r\na: b\r\n\r\ntext\r\n.\r\n", "DATA\r\na: b\r\n.\r\n", "DATA\r\na: b\r\n\r\n" + strings.Repeat("text\r\n", 20000) + "te\nxt\r\n.\r\n", "BDAT 8\r\na: b\r\n\r\nBDAT 4 LAST\r\ntext", "BDAT 6 LAST\r\na: b\r\n"} {
		for _, tt := range []struct {
			w     io.Writer
			cause error
			reply string
		}{
			{&failing{err: fmt.Errorf("wrapped: %w", full)}, full, "452 4.3.1 no room"},
			{&failing{err: errInternal}, errInternal, "451 4.3.0 local error in processing"},
			{short{}, io.ErrShortWrite, "451 4.3.0 local error in processing"},
			{&failing{err: server.ErrAbort}, server.ErrAbort, ""},
		} {
			for _, header := range []bool{false, true} {
				var teed, read error
				s := start(t)
				s.data = func(_ context.Context, b *server.Body) (smtp.Reply, error) {
					if header {
						b.Header()
					}
					b.Tee(tt.w)
					n, err := b.Read(make([]byte, 1))
					if teed = err; n > 0 {
						t.Errorf("%.40q: read on", send)
					}
					_, read = io.ReadAll(b)
					return smtp.Reply{}, nil // ignored
				}
				p := s.hello()
				p.send(transaction)
				p.expect("250", "250")
				said, isData := strings.CutPrefix(send, "DATA\r\n")
				if isData {
					p.do("DATA", "354")
				}
				p.flood(said)
				if tt.reply == "" {
					p.closed()
				} else {
					p.expect(tt.reply)
					if strings.HasPrefix(send, "BDAT 8") {
						p.expect(tt.reply) // the other chunk
						p.do("RSET", "250")
					}
					p.do("MAIL FROM:<>", "250")
				}
				s.stop()
				var cut *server.BodyError
				if !errors.As(teed, &cut) || !errors.Is(teed, tt.cause) || read != teed {
					t.Errorf("%.40q: %v, then %v", send, teed, read)
				}
				if events := s.events.take(); strings.Contains(events, server.MessageAccepted.String()) || !strings.Contains(events, server.MessageRefused.String()) {
					t.Errorf("%.40q: %s", send, events)
				}
				if log := s.log.take(); strings.HasPrefix(tt.reply, "451") != (log != "") {
					t.Errorf("%.40q: log %q", send, log)
				}
			}
		}
	}
}
