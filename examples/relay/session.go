package main

import (
	"context"
	"errors"
	"io"

	"github.com/postrider/postrider/auth"
	"github.com/postrider/postrider/auth/authres"
	"github.com/postrider/postrider/auth/dkim"
	"github.com/postrider/postrider/mx"
	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
	"github.com/postrider/postrider/smtp/dsn"
)

// A session takes the messages of one client into the queue. Whom they may be from
// and for the middleware around it has seen to.
type session struct {
	*relay
	ctx    context.Context // of the connection
	conn   *server.Conn
	client *auth.Connection // what is found out about the client, once for all messages
	check  *auth.Check      // of the message. Nil for those of our users
	env    smtp.Envelope
}

func (r *relay) newSession(ctx context.Context, c *server.Conn) (server.Session, error) {
	return &session{relay: r, ctx: ctx, conn: c}, nil
}

// Mail refuses at once what there would be no room for.
func (s *session) Mail(ctx context.Context, from smtp.ReversePath, p *smtp.MailParams) (smtp.Reply, error) {
	if err := s.runner.Admit(ctx, p.Size); err != nil {
		return smtp.Reply{}, err // queue.ErrFull is a 452
	}
	s.env = smtp.Envelope{From: from, MailParams: *p}
	if s.mayRelay(s.conn) {
		return smtp.Reply{}, nil
	}
	if peer := auth.NewPeer(s.conn.RemoteAddr(), s.conn.Hello()); s.client == nil || s.client.Peer() != peer {
		if s.client != nil {
			s.client.Close() // it has greeted with another name
		}
		s.client = s.verifier.Begin(s.ctx, peer)
	}
	s.check = s.client.Message(ctx, from) // lookups begin while the message is still to come; ctx ends them
	return smtp.Reply{}, nil
}

func (s *session) Rcpt(_ context.Context, to smtp.ForwardPath, p *smtp.RcptParams) (smtp.Reply, error) {
	if to.Domain == "" { // RFC 5321 §4.5.1: <postmaster>
		if to.Domain = s.hostname; len(s.domains) > 0 {
			to.Domain = s.domains[0]
		}
	}
	s.env.Recipients = append(s.env.Recipients, smtp.Recipient{To: to, RcptParams: *p})
	return smtp.Reply{}, nil
}

// Data streams the message into the queue. The 250 says that it is on disk, and
// that from now on it is ours to deliver or to give back (RFC 5321 §4.2.5).
func (s *session) Data(ctx context.Context, b *server.Body) (reply smtp.Reply, err error) {
	header, err := b.Header()
	if err != nil {
		return reply, err
	}
	in, err := s.runner.Begin(ctx, b.DeclaredSize())
	if err != nil {
		return reply, err
	}
	defer in.Abort() // does nothing after Commit
	copyTo := s.sign
	if s.check != nil {
		copyTo = s.verify
	}
	field, err := copyTo(ctx, in, b)
	if err != nil {
		return reply, err
	}
	received := server.NewReceived(s.conn.Info(), &s.env)
	received.ID = in.ID().String()
	err = in.Commit(ctx, &queue.NewMessage{
		Envelope:     s.env,
		Prefix:       []byte(received.String() + field), // known only now, and stored in front of the rest
		ReceivedFrom: dsn.Peer(s.conn.Hello(), s.conn.RemoteIP()),
		TLSOptional:  mx.TLSOptional(header),
	})
	return smtp.Reply{Code: smtp.CodeOK, Text: "queued as " + received.ID}, err
}

// verify copies a message from the world, and returns the field that says who vouches
// for it, or a 550: nobody can tell its author, or, with -honor-reject, his domain asks.
func (s *session) verify(ctx context.Context, w io.Writer, b *server.Body) (string, error) {
	b.Tee(s.check) // as it came: signatures may cover what is stripped
	if err := s.copy(w, b); err != nil {
		return "", err
	}
	result, err := s.check.Finish(ctx)
	if err != nil {
		return "", err
	}
	return result.Header(), result.Refusal()
}

// sign copies a message of our users, and returns the signature of its sender's
// domain, if that is ours: another's would mean nothing to DMARC.
func (s *session) sign(_ context.Context, w io.Writer, b *server.Body) (string, error) {
	signer := s.signer
	if signer.Domain == "" && s.isLocal(s.env.From.Domain) {
		signer.Domain = s.env.From.Domain
	}
	if signer.Key == nil || signer.Domain == "" {
		return "", s.copy(w, b)
	}
	signing, err := dkim.BeginSigning(&signer)
	if err != nil {
		return "", err
	}
	if err := s.copy(io.MultiWriter(w, signing), b); err != nil {
		return "", err
	}
	field, err := signing.Finish()
	if err != nil { // the message is malformed, which is not ours to judge
		s.log.Warn("not signed", "conn", s.conn.ID(), "err", err)
	}
	return string(field), nil
}

// copy leaves out verdicts that claim to be ours: whoever reads them believes them.
func (s *session) copy(w io.Writer, b *server.Body) error {
	strip := authres.Strip{AuthServID: s.hostname}
	stripped := strip.Writer(w)
	_, err := io.Copy(stripped, b)
	return errors.Join(err, stripped.Close())
}

func (s *session) Reset(context.Context, server.ResetReason) { s.env, s.check = smtp.Envelope{}, nil }
func (s *session) Close(error)                               {}
