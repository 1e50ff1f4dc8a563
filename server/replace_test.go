package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// deliverBy sends a message over a session in which nothing was sent yet.
func deliverBy(p *peer, how, message string) {
	p.t.Helper()
	p.send(transaction)
	p.expect("250", "250")
	switch how {
	case "DATA":
		p.do("DATA", "354")
		p.flood(message + ".\r\n")
	case "BDAT":
		p.flood(fmt.Sprintf("BDAT 5\r\n%sBDAT %d LAST\r\n%s", message[:5], len(message)-5, message[5:]))
		p.expect("250 2.0.0 chunk")
	}
}

// Whoever reads after Replace gets the other message, and all that can be done
// with a Body can be done with it.
func TestReplace(t *testing.T) {
	for _, how := range []string{"DATA", "BDAT"} {
		for _, reader := range []func(io.Reader) io.Reader{iotest.OneByteReader, iotest.DataErrReader, func(r io.Reader) io.Reader { return &hesitant{Reader: r} }} {
			var came, teed, got strings.Builder
			var header []byte
			s := start(t)
			s.data = func(_ context.Context, b *server.Body) (smtp.Reply, error) {
				b.Prepend("lost: yes\r\n")
				if err := b.Replace(strings.NewReader("")); err == nil {
					t.Error("replaced before it was read")
				}
				if _, err := io.Copy(&came, b); err != nil {
					return smtp.Reply{}, err
				}
				if err := b.Replace(reader(strings.NewReader("x: 1\r\na: b\r\n\r\nother\r\n"))); err != nil {
					t.Error(err)
				}
				var err error
				if header, err = b.Header(); err != nil {
					t.Error(err)
				}
				b.Tee(&teed)
				b.Prepend("top: y\r\n")
				_, err = io.Copy(&got, b)
				want(t, "octets that came", b.Received(), 14)
				return smtp.Reply{}, err
			}
			p := s.hello()
			deliverBy(p, how, "a: b\r\n\r\ntext\r\n")
			p.expect("250 2.0.0 message accepted")
			p.do("NOOP", "250")
			s.stop()
			want(t, "what came", came.String(), "lost: yes\r\na: b\r\n\r\ntext\r\n")
			want(t, "header", string(header), "x: 1\r\na: b\r\n\r\n")
			want(t, "tee", teed.String(), "x: 1\r\na: b\r\n\r\nother\r\n")
			want(t, "what was read", got.String(), "top: y\r\nx: 1\r\na: b\r\n\r\nother\r\n")
		}
	}
}

// stuck is a reader that gives nothing and does not end.
type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

// A replacement that fails refuses the message, whatever Data returns, and
// leaves the session in step.
func TestReplaceFails(t *testing.T) {
	full := smtp.Reject(452, smtp.Enh(3, 1), "no room")
	for _, how := range []string{"DATA", "BDAT"} {
		for _, tt := range []struct {
			r     io.Reader
			cause error
			reply string
		}{
			{iotest.ErrReader(fmt.Errorf("wrapped: %w", full)), full, "452 4.3.1 no room"},
			{io.MultiReader(strings.NewReader("a: b\r\n"), iotest.ErrReader(errInternal)), errInternal, "451 4.3.0 local error in processing"},
			{stuck{}, io.ErrNoProgress, "451 4.3.0 local error in processing"},
			{iotest.ErrReader(server.ErrAbort), server.ErrAbort, ""},
		} {
			if how == "BDAT" && tt.reply == "" {
				continue // the reply to the first chunk may be lost with the connection
			}
			var read error
			s := start(t)
			s.data = func(_ context.Context, b *server.Body) (smtp.Reply, error) {
				io.Copy(io.Discard, b)
				b.Replace(tt.r)
				_, read = io.ReadAll(b)
				if b.Replace(strings.NewReader("a: b\r\n")) == nil {
					t.Error("replaced after a failure")
				}
				return smtp.Reply{}, nil // ignored
			}
			p := s.hello()
			deliverBy(p, how, "a: b\r\n\r\ntext\r\n")
			if tt.reply == "" {
				p.closed()
			} else {
				p.expect(tt.reply)
				p.do("MAIL FROM:<>", "250")
			}
			s.stop()
			var cut *server.BodyError
			if !errors.As(read, &cut) || !errors.Is(read, tt.cause) {
				t.Errorf("%s, %v: %v", how, tt.cause, read)
			}
			if events := s.events.take(); strings.Contains(events, server.MessageAccepted.String()) {
				t.Errorf("%s, %v: accepted: %s", how, tt.cause, events)
			}
			if log := s.log.take(); strings.HasPrefix(tt.reply, "451") != (log != "") {
				t.Errorf("%s, %v: log %q", how, tt.cause, log)
			}
		}
	}
}

// What was read ahead or only in part has not been read whole.
func TestReplaceTooEarly(t *testing.T) {
	s := start(t)
	s.data = func(_ context.Context, b *server.Body) (smtp.Reply, error) {
		b.Header() // is all of it
		if b.Replace(strings.NewReader("")) == nil {
			t.Error("replaced what was read ahead")
		}
		b.Read(make([]byte, 1))
		if b.Replace(strings.NewReader("")) == nil {
			t.Error("replaced behind the first octet")
		}
		got, err := io.ReadAll(b)
		want(t, "the rest", string(got), ": b\r\n")
		if err := b.Replace(strings.NewReader("")); err != nil {
			t.Error(err)
		}
		return smtp.Reply{}, err
	}
	p := s.hello()
	deliverBy(p, "DATA", "a: b\r\n")
	p.expect("250 2.0.0 message accepted")
	s.stop()
}

// hesitant gives nothing every other time.
type hesitant struct {
	io.Reader
	calls int
}

func (h *hesitant) Read(p []byte) (int, error) {
	if h.calls++; h.calls%2 == 1 {
		return 0, nil
	}
	return h.Reader.Read(p)
}

// Words of the client's never continue a field of ours.
func TestMessageThatBeginsWithABlank(t *testing.T) {
	for _, blank := range []string{" ", "\t"} {
		for _, how := range []string{"DATA", "BDAT"} {
			for _, way := range []string{"", "prefix", "header", "tee", "replace"} {
				message := blank + "; dkim=pass\r\na: b\r\n\r\ntext\r\n"
				var got, teed strings.Builder
				s := start(t)
				s.data = func(_ context.Context, b *server.Body) (smtp.Reply, error) {
					switch way {
					case "header":
						b.Header()
					case "tee":
						b.Tee(&teed)
					case "replace":
						io.Copy(io.Discard, b)
						b.Replace(strings.NewReader(message))
					}
					if way != "" {
						b.Prepend("x: y\r\n")
					}
					_, err := io.Copy(&got, b)
					return smtp.Reply{}, err
				}
				p := s.hello()
				deliverBy(p, how, message)
				p.expect("250 2.0.0 message accepted")
				s.stop()
				wanted := "x: y\r\n\r\n" + message
				if way == "" {
					wanted = message
				}
				want(t, "what was read", got.String(), wanted)
				if way == "tee" {
					want(t, "tee", teed.String(), message)
				}
			}
		}
	}
}
