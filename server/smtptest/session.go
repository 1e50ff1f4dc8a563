package smtptest

import (
	"cmp"
	"context"
	"io"
	"slices"
	"time"

	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// newSession is the Handler of a Server that was not given one.
func (s *Server) newSession(ctx context.Context, c *server.Conn) (server.Session, error) {
	return &session{link: ctx.Value(linkKey{}).(*link), conn: c}, nil
}

// session accepts everything and records it, as far as no Fault is in the way.
type session struct {
	*link
	conn *server.Conn
	env  smtp.Envelope
}

func (s *session) Mail(_ context.Context, from smtp.ReversePath, p *smtp.MailParams) (smtp.Reply, error) {
	s.env = smtp.Envelope{From: from, MailParams: *p}
	return smtp.Reply{}, nil
}

func (s *session) Rcpt(_ context.Context, to smtp.ForwardPath, p *smtp.RcptParams) (smtp.Reply, error) {
	s.env.Recipients = append(s.env.Recipients, smtp.Recipient{To: to, RcptParams: *p})
	return smtp.Reply{}, nil
}

func (s *session) Reset(context.Context, server.ResetReason) { s.env = smtp.Envelope{} }

func (s *session) Close(error) {}

func (s *session) Data(ctx context.Context, b *server.Body) (smtp.Reply, error) {
	data, err := s.receive(ctx, b)
	if err != nil {
		s.lost(data, err)
		return smtp.Reply{}, err
	}
	return s.keep(ctx, b, data)
}

// lost notes a message that has not come to its end, or was refused.
func (s *session) lost(data []byte, err error) {
	s.log.comment("%d octets of a message, then: %v", len(data), err)
	s.srv.recorder.release(len(data))
}

// keep records a message that has come, unless its data is nil, and answers as
// the faults after the data say.
func (s *session) keep(ctx context.Context, b *server.Body, data []byte) (smtp.Reply, error) {
	s.log.comment("a message of %d octets", b.Received())
	f, err := s.conclude(ctx, b)
	if err != nil {
		s.srv.recorder.release(len(data))
		return smtp.Reply{}, err
	}
	if len(s.env.Recipients) == 0 {
		s.srv.recorder.release(len(data))
		return f.reply, nil
	}
	if data != nil {
		i := s.conn.Info()
		err = s.srv.recorder.add(Message{
			Envelope: s.env, Data: data,
			Hello: i.Hello, TLS: i.TLS != nil, Identity: i.Identity,
			ConnID: i.ID, RemoteAddr: i.RemoteAddr, Time: time.Now(),
		})
	}
	if err == nil && f.drop {
		s.cut()
		err = server.ErrAbort
	}
	return f.reply, err
}

// receive reads a message. With an error, it returns what has come so far.
func (s *session) receive(ctx context.Context, b *server.Body) (data []byte, err error) {
	faults := s.inData()
	data = make([]byte, 0, min(max(b.DeclaredSize(), 4096), 1<<20))
	slow := 0
	for {
		for len(faults) > 0 && int64(len(data)) >= faults[0].octets {
			if r := faults[0]; s.srv.take(r) {
				if err := s.strike(ctx, &r.Fault); err != nil {
					return data, err
				}
				slow = cmp.Or(r.rate, slow)
			}
			faults = faults[1:]
		}
		data = slices.Grow(data, 1)
		room := data[len(data):cap(data)]
		if slow > 0 {
			room = room[:min(len(room), max(slow/20, 1))]
		}
		if len(faults) > 0 {
			room = room[:min(int64(len(room)), faults[0].octets-int64(len(data)))]
		}
		n, err := b.Read(room)
		switch {
		case s.chunk != nil:
			return data, s.strike(ctx, s.chunk)
		case err == io.EOF:
			return data, nil
		case err != nil:
			return data, err
		}
		if err := s.srv.recorder.reserve(n); err != nil {
			return data, err
		}
		data = data[:len(data)+n]
		if slow > 0 {
			if err := sleep(ctx, time.Duration(n)*time.Second/time.Duration(slow)); err != nil {
				return data, err
			}
		}
	}
}

// inData returns the faults that are due in a message, in their order.
func (s *session) inData() []*rule {
	faults := s.srv.due(func(f *Fault) bool { return f.at == inData && s.concerns(f) })
	slices.SortStableFunc(faults, func(a, b *rule) int { return cmp.Compare(a.octets, b.octets) })
	return faults
}

// strike does what a Fault says in the midst of the data.
func (s *session) strike(ctx context.Context, f *Fault) error {
	if err := sleep(ctx, f.delay); err != nil {
		return err
	}
	switch {
	case f.drop:
		s.cut()
		return server.ErrAbort
	case !f.reply.IsZero():
		return &smtp.Error{Reply: f.reply}
	}
	return nil
}

// conclude asks the faults after the data. The one it returns says how to
// answer, and whether at all. Recipients that are refused one by one (LMTP)
// leave the envelope.
func (s *session) conclude(ctx context.Context, b *server.Body) (outcome Fault, err error) {
	decided := false
	refused := make([]bool, len(s.env.Recipients))
	for _, r := range s.srv.due(func(f *Fault) bool { return f.at == afterData && s.concerns(f) }) {
		single := b.PerRecipient() && r.who != nil && !r.reply.IsZero() && !r.drop
		if decided && !single || !s.srv.take(r) {
			continue
		}
		if err := sleep(ctx, r.delay); err != nil {
			return Fault{}, err
		}
		if !single {
			decided, outcome = true, r.Fault
			continue
		}
		for i, rcpt := range s.env.Recipients {
			if same(rcpt.To, *r.who) {
				b.SetReply(i, r.reply)
				refused[i] = !r.reply.Positive()
			}
		}
	}
	if outcome.reply.Code >= 400 {
		return Fault{}, s.strike(ctx, &Fault{reply: outcome.reply, drop: outcome.drop})
	}
	kept := make([]smtp.Recipient, 0, len(refused))
	for i, no := range refused {
		if !no {
			kept = append(kept, s.env.Recipients[i])
		}
	}
	s.env.Recipients = kept
	return outcome, nil
}

// concerns reports whether a Fault of the data is for this message.
func (s *session) concerns(f *Fault) bool {
	return f.who == nil || slices.ContainsFunc(s.env.Recipients, func(r smtp.Recipient) bool { return same(r.To, *f.who) })
}
