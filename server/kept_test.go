package server_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// What a handler keeps of a message stays what it was while others come: the
// envelope, the parameters and the context. A Body that was kept reads nothing of
// any of them.
func TestKept(t *testing.T) {
	type kept struct {
		env    smtp.Envelope
		params *smtp.MailParams
		none   *smtp.RcptParams
		body   *server.Body
		ctx    context.Context
		text   string
	}
	var all []*kept
	var now *kept
	deliver := server.Deliver(func(ctx context.Context, m *server.Message) (smtp.Reply, error) {
		text, err := io.ReadAll(m)
		now.env, now.body, now.ctx, now.text = m.Envelope, m.Body, ctx, string(text)
		for _, k := range all {
			var cut *server.BodyError
			if n, err := k.body.Read(make([]byte, 9)); n > 0 || !errors.As(err, &cut) {
				t.Errorf("a Body that was kept read %d octets: %v", n, err)
			}
			k.body.Prepend("X: y\r\n")
			k.body.SetReply(0, smtp.Reply{Code: 550})
			k.body.Tee(io.Discard)
			if k.body.Replace(strings.NewReader("x")) == nil || k.body.Received() != 0 || k.body.DeclaredSize() != 0 || k.body.PerRecipient() {
				t.Error("a Body that was kept is that of another message")
			}
		}
		all = append(all, now)
		return smtp.Reply{}, err
	})
	s := start(t, func(s *testServer) {
		s.Extensions = []server.Extension{server.DSN}
		s.Handler = server.HandlerFunc(func(ctx context.Context, c *server.Conn) (server.Session, error) {
			inner, err := deliver.NewSession(ctx, c)
			return &keeper{inner,
				func(p *smtp.MailParams) { now = &kept{params: p} },
				func(p *smtp.RcptParams) {
					if p.Notify == 0 {
						now.none = p
					}
				}}, err
		})
	})
	one, two := s.hello(), s.hello()
	const messages = 20
	for i := range messages {
		p := one
		if i%3 == 0 {
			p = two
		}
		letter := string(rune('a' + i))
		p.send("MAIL FROM:<" + letter + "@example.org> SIZE=" + strings.Repeat("1", i%5+1) + "\n")
		p.expect("250")
		switch i % 4 {
		case 1:
			p.do("RCPT TO:<"+letter+"1@example.com>", "250")
		case 2:
			p.do("RCPT TO:<refused@example.com>", "550")
			p.do("RCPT TO:<"+letter+"1@example.com> NOTIFY=NEVER", "250")
		default:
			p.do("RCPT TO:<"+letter+"1@example.com>", "250")
			p.do("RCPT TO:<"+letter+"2@example.com> NOTIFY=NEVER", "250")
		}
		p.send("BDAT 3 LAST\n" + letter + "\n")
		p.expect("250")
	}
	for i, k := range all {
		letter := string(rune('a' + i))
		want(t, "reverse-path", k.env.From.String(), "<"+letter+"@example.org>")
		want(t, "declared", k.params.Size, []int64{1, 11, 111, 1111, 11111}[i%5])
		want(t, "the same in the envelope", k.env.MailParams.Size, k.params.Size)
		var to, notify []string
		for _, r := range k.env.Recipients {
			to, notify = append(to, r.To.Local), append(notify, r.RcptParams.Notify.String())
		}
		wantTo, wantNotify := []string{letter + "1", letter + "2"}, []string{"", "NEVER"}
		switch i % 4 {
		case 1:
			wantTo, wantNotify = wantTo[:1], wantNotify[:1]
		case 2:
			wantTo, wantNotify = wantTo[:1], wantNotify[1:]
		}
		if !slices.Equal(to, wantTo) || !slices.Equal(notify, wantNotify) {
			t.Errorf("message %d: recipients %q with NOTIFY %q, want %q with %q", i, to, notify, wantTo, wantNotify)
		}
		if k.none != nil && (k.none.Notify != 0 || k.none.Other != nil) {
			t.Errorf("message %d: the parameters of a RCPT without any are %+v", i, k.none)
		}
		if k.ctx.Err() != context.Canceled {
			t.Errorf("message %d: its context says %v", i, k.ctx.Err())
		}
		if !strings.HasSuffix(k.text, letter+"\r\n") {
			t.Errorf("message %d is %q", i, k.text)
		}
	}
	want(t, "messages", len(all), messages)
}

// What one of several functions keeps of a message is not that of the next, and
// each has its own Received field on top, though nobody has read the other.
func TestKeptBySeveral(t *testing.T) {
	type kept struct {
		m    *server.Message
		env  smtp.Envelope
		text string
	}
	var all []kept
	reads := 0 // the first that reads
	deliver := server.Deliver(func(_ context.Context, m *server.Message) (smtp.Reply, error) {
		k := kept{m: m, env: m.Envelope}
		if len(all) >= reads {
			text, err := io.ReadAll(m)
			if err != nil {
				return smtp.Reply{}, err
			}
			k.text = string(text)
			m.Replace(strings.NewReader("A: b\r\n"))
		}
		all = append(all, k)
		return smtp.Reply{}, nil
	})
	s := start(t, func(s *testServer) {
		s.Handler = server.HandlerFunc(func(ctx context.Context, c *server.Conn) (server.Session, error) {
			f := fanOut{}
			for i := range f {
				f[i], _ = deliver.NewSession(ctx, c)
			}
			return &f, nil
		})
	})
	p := s.hello()
	for reads = range 3 {
		all = nil
		p.send("MAIL FROM:<a@example.org> SIZE=7\nRCPT TO:<one@example.com>\nDATA\nA: b\n.\n")
		p.expect("250", "250", "354", "250")
		for i, k := range all {
			to := "<one" + strings.Repeat("x", 10*i) + "@example.com>"
			want(t, "recipients", len(k.env.Recipients), 1)
			want(t, "recipient", k.env.Recipients[0].To.String(), to)
			want(t, "of the Message", k.m.Envelope.Recipients[0].To.String(), to)
			want(t, "declared", k.env.MailParams.Size, 7)
			fields := 0
			if i == reads {
				fields = i + 1
			} else if i > reads {
				fields = 1
			}
			want(t, "Received fields", strings.Count(k.text, "Received: from client.example"), fields)
			want(t, "their recipients", strings.Count(k.text, "\r\n\tfor "+to+";\r\n"), min(fields, 1))
		}
		want(t, "messages", len(all), 3)
	}
}

// A goroutine that Data leaves behind, in a call that has not returned, changes no
// other message.
func TestLeftBehind(t *testing.T) {
	for _, tt := range []struct {
		name string
		call func(*server.Body)
	}{
		{"Read", func(b *server.Body) { b.Read(make([]byte, 9)) }},
		{"WriteTo", func(b *server.Body) { b.WriteTo(io.Discard) }},
		{"Header", func(b *server.Body) { b.Header() }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t)
			late := &lateReader{asked: make(chan bool), answer: make(chan bool)}
			left := make(chan bool)
			s.data = func(_ context.Context, b *server.Body) (smtp.Reply, error) {
				text, err := io.ReadAll(b)
				if err == nil {
					err = b.Replace(late)
				}
				go func() { defer close(left); tt.call(b) }()
				<-late.asked
				return smtp.Reply{}, errors.Join(err, s.wantText(string(text)))
			}
			p := s.hello()
			p.send(transaction + "DATA\nx\n.\n")
			p.expect("250", "250", "354", "250")
			begun := make(chan bool)
			s.data = func(_ context.Context, b *server.Body) (smtp.Reply, error) {
				begun <- true
				<-left
				text, err := io.ReadAll(b)
				return smtp.Reply{}, errors.Join(err, s.wantText(string(text)))
			}
			peers := []*peer{p}
			for range 9 { // a pool gives what was put into it to some of them
				peers = append(peers, s.hello())
			}
			for _, p := range peers {
				p.send(transaction + "DATA\nx\n.\n")
				<-begun
			}
			close(late.answer)
			for _, p := range peers {
				p.expect("250", "250", "354", "250")
			}
		})
	}
}

// lateReader is empty, but takes its time to say so.
type lateReader struct{ asked, answer chan bool }

func (r *lateReader) Read([]byte) (int, error) {
	close(r.asked)
	<-r.answer
	return 0, io.EOF
}

func (s *testServer) wantText(text string) error {
	if text != "x\r\n" {
		return smtp.Reject(554, smtp.Enh(0, 0), "the message is "+strconv.Quote(text))
	}
	return nil
}

// A fanOut gives each message to several sessions, each with a recipient of its own.
type fanOut [3]server.Session

func (f *fanOut) Mail(ctx context.Context, from smtp.ReversePath, p *smtp.MailParams) (smtp.Reply, error) {
	for _, s := range f {
		s.Mail(ctx, from, p)
	}
	return smtp.Reply{}, nil
}

func (f *fanOut) Rcpt(ctx context.Context, to smtp.ForwardPath, p *smtp.RcptParams) (smtp.Reply, error) {
	local := to.Local
	for i, s := range f {
		to.Local = local + strings.Repeat("x", 10*i)
		s.Rcpt(ctx, to, p)
	}
	return smtp.Reply{}, nil
}

func (f *fanOut) Data(ctx context.Context, b *server.Body) (r smtp.Reply, err error) {
	for _, s := range f {
		if r, err = s.Data(ctx, b); err != nil {
			break
		}
	}
	return r, err
}

func (f *fanOut) Reset(ctx context.Context, why server.ResetReason) {
	for _, s := range f {
		s.Reset(ctx, why)
	}
}

func (f *fanOut) Close(reason error) {
	for _, s := range f {
		s.Close(reason)
	}
}

// A keeper looks at the parameters that pass by, and refuses one recipient.
type keeper struct {
	server.Session
	mail func(*smtp.MailParams)
	rcpt func(*smtp.RcptParams)
}

func (k *keeper) Mail(ctx context.Context, from smtp.ReversePath, p *smtp.MailParams) (smtp.Reply, error) {
	k.mail(p)
	return k.Session.Mail(ctx, from, p)
}

func (k *keeper) Rcpt(ctx context.Context, to smtp.ForwardPath, p *smtp.RcptParams) (smtp.Reply, error) {
	if k.rcpt(p); to.Local == "refused" {
		return smtp.Reply{}, smtp.Reject(550, smtp.Enh(1, 1), "no")
	}
	return k.Session.Rcpt(ctx, to, p)
}
