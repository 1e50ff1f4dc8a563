package smtptest

import (
	"cmp"
	"context"
	"errors"
	"io"
	"time"

	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// around records what the caller's own Handler accepts, and has the faults of
// the data happen to it.
func (s *Server) around(next server.Handler) server.Handler {
	return server.HandlerFunc(func(ctx context.Context, c *server.Conn) (server.Session, error) {
		inner, err := next.NewSession(ctx, c)
		if err != nil || inner == nil {
			return inner, err
		}
		return &outer{inner, session{link: ctx.Value(linkKey{}).(*link), conn: c}}, nil
	})
}

// outer stands around a Session of the caller's, and does for the Server what
// session does.
type outer struct {
	server.Session
	own session
}

// Unwrap keeps what is optional on the inner session reachable.
func (o *outer) Unwrap() server.Session { return o.Session }

func (o *outer) Mail(ctx context.Context, from smtp.ReversePath, p *smtp.MailParams) (smtp.Reply, error) {
	r, err := o.Session.Mail(ctx, from, p)
	if err == nil {
		o.own.Mail(ctx, from, p)
	}
	return r, err
}

func (o *outer) Rcpt(ctx context.Context, to smtp.ForwardPath, p *smtp.RcptParams) (smtp.Reply, error) {
	r, err := o.Session.Rcpt(ctx, to, p)
	if err == nil && (r.Code == 0 || r.Positive()) {
		o.own.Rcpt(ctx, to, p)
	}
	return r, err
}

func (o *outer) Reset(ctx context.Context, why server.ResetReason) {
	o.own.Reset(ctx, why)
	o.Session.Reset(ctx, why)
}

func (o *outer) Data(ctx context.Context, b *server.Body) (smtp.Reply, error) {
	t := &tap{session: &o.own, ctx: ctx, faults: o.own.inData(), data: []byte{}}
	b.Tee(t)
	returned := false
	defer func() {
		if !returned { // a panic
			o.own.srv.recorder.release(len(t.data))
		}
	}()
	r, err := o.Session.Data(ctx, b)
	returned = true
	accepted := err == nil && (r.Code == 0 || r.Positive())
	if accepted {
		if _, err = io.Copy(io.Discard, b); err == nil { // what it has left unread
			err = t.due()
		}
	}
	if err != nil || !accepted {
		o.own.lost(t.data, err)
		return r, err
	}
	fault, err := o.own.keep(ctx, b, t.data)
	if errors.Is(err, full) {
		err = nil // the caller's Handler has taken it
	}
	if !fault.IsZero() {
		r = fault
	}
	return r, err
}

// tap records a message on its way to the caller's Handler, as long as there is
// memory for it. What it returns refuses the message.
type tap struct {
	*session
	ctx    context.Context
	faults []*rule
	data   []byte // nil when there is no memory for it
	octets int64
	rate   int
}

func (t *tap) Write(p []byte) (n int, err error) {
	for n < len(p) {
		if err := t.due(); err != nil {
			return n, err
		}
		part := p[n:]
		if len(t.faults) > 0 {
			part = part[:min(int64(len(part)), t.faults[0].octets-t.octets)]
		}
		t.record(part)
		n += len(part)
		if t.rate > 0 {
			if err := sleep(t.ctx, time.Duration(len(part))*time.Second/time.Duration(t.rate)); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

func (t *tap) record(p []byte) {
	t.octets += int64(len(p))
	if t.data == nil {
		return
	}
	if t.srv.recorder.reserve(len(p)) != nil {
		t.srv.recorder.release(len(t.data))
		t.data = nil
		return
	}
	t.data = append(t.data, p...)
}

// due has the faults happen whose octet, or chunk, has come.
func (t *tap) due() error {
	if t.chunk != nil {
		return t.strike(t.ctx, t.chunk)
	}
	for len(t.faults) > 0 && t.octets >= t.faults[0].octets {
		if r := t.faults[0]; t.srv.take(r) {
			if err := t.strike(t.ctx, &r.Fault); err != nil {
				return err
			}
			t.rate = cmp.Or(r.rate, t.rate)
		}
		t.faults = t.faults[1:]
	}
	return nil
}
