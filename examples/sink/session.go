package main

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/json"
	"io"
	"os"
	"strings"

	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// session is one connection. The server calls its methods one at a time and in
// the order that the protocol allows: it needs no lock and checks no order.
type session struct {
	conn   *server.Conn
	spool  *os.File // nil to keep nothing
	env    smtp.Envelope
	data   []byte // of the message, if it is kept
	header header
}

func (s *session) Mail(_ context.Context, from smtp.ReversePath, p *smtp.MailParams) (smtp.Reply, error) {
	s.env.From, s.env.MailParams = from, *p
	return smtp.Reply{}, nil // the zero Reply is the usual success
}

func (s *session) Rcpt(_ context.Context, to smtp.ForwardPath, p *smtp.RcptParams) (smtp.Reply, error) {
	switch to.Local {
	case "reject":
		return smtp.Reply{}, smtp.Reject(550, smtp.Enh(1, 1), "no such user")
	case "tempfail":
		return smtp.Reply{}, smtp.Reject(451, smtp.Enh(3, 0), "try again later")
	}
	s.env.Recipients = append(s.env.Recipients, smtp.Recipient{To: to, RcptParams: *p})
	return smtp.Reply{}, nil
}

// Data accepts the message only once it is in the spool: with the 250 it becomes
// ours to look after (RFC 5321 §4.2.5).
func (s *session) Data(_ context.Context, b *server.Body) (smtp.Reply, error) {
	s.data = []byte{} // nil would be null in JSON
	if _, err := io.Copy(s, b); err != nil {
		return smtp.Reply{}, err // the message did not come to its end
	}
	if s.header.rejects {
		return smtp.Reply{}, smtp.Reject(554, smtp.Enh(7, 1), "refused, as its header asks")
	}
	if s.spool == nil {
		return smtp.Reply{}, nil
	}
	return smtp.Reply{}, s.store() // an error that is no *smtp.Error is logged; the client hears 451
}

// Reset comes after every transaction. The memory of the message is given back
// here and not held while the client is idle.
func (s *session) Reset(context.Context, server.ResetReason) {
	s.env = smtp.Envelope{Recipients: s.env.Recipients[:0]}
	s.data, s.header = nil, header{line: s.header.line[:0]}
}

func (s *session) Close(error) {}

// Write makes the session what its message is copied to.
func (s *session) Write(p []byte) (int, error) {
	s.header.look(p)
	if s.spool != nil {
		s.data = append(s.data, p...)
	}
	return len(p), nil
}

// store appends the message to the spool as one line and in one write: whoever
// follows the file sees whole lines, and lines of several sessions do not mix.
// A server that must not lose mail when the power goes would Sync it, too.
func (s *session) store() error {
	var to []string
	var rcptParams []map[string]string
	for _, r := range s.env.Recipients {
		to = append(to, r.To.Mailbox.String())
		rcptParams = append(rcptParams, params(smtp.AppendRcpt(nil, smtp.ForwardPath{}, &r.RcptParams)))
	}
	line, err := json.Marshal(struct {
		From       string              `json:"from"` // empty for the null reverse-path
		To         []string            `json:"to"`
		Data       []byte              `json:"data_base64"`
		TLS        bool                `json:"tls"`
		Auth       string              `json:"auth"`
		MailParams map[string]string   `json:"mail_params"`
		RcptParams []map[string]string `json:"rcpt_params"`
	}{
		s.env.From.Mailbox.String(), to, s.data, s.conn.TLS() != nil, s.conn.Identity(),
		params(smtp.AppendMail(nil, smtp.ReversePath{}, &s.env.MailParams)), rcptParams,
	})
	if err != nil {
		return err
	}
	n, err := s.spool.Write(append(line, '\n'))
	if err != nil && n > 0 {
		s.spool.Close() // or the next line would continue this half of one
	}
	return err
}

// params returns the parameters of a MAIL or RCPT command as they go over the
// wire, whichever extension they belong to.
func params(command []byte) map[string]string {
	m := map[string]string{}
	for _, p := range strings.Fields(string(command))[2:] {
		name, value, _ := strings.Cut(p, "=")
		m[name] = value
	}
	return m
}

// header looks for one field in a header section that comes in pieces.
type header struct {
	line    []byte // the beginning of a line whose end is still to come
	ended   bool
	rejects bool
}

func (h *header) look(p []byte) {
	for !h.ended {
		line, rest, whole := bytes.Cut(p, []byte("\n"))
		h.line = append(h.line, line[:min(len(line), 80-len(h.line))]...)
		if !whole {
			return
		}
		name, value, _ := bytes.Cut(h.line, []byte(":"))
		if bytes.EqualFold(name, []byte("X-Sink-Reject")) && bytes.EqualFold(bytes.TrimSpace(value), []byte("yes")) {
			h.rejects = true
		}
		h.ended = len(bytes.TrimRight(h.line, "\r")) == 0
		h.line, p = h.line[:0], rest
	}
}

// account lets one user in, by password or with the same string as a token.
func account(user, pass string) server.Authenticator {
	verify := func(_ context.Context, u, p string) error {
		// How long this takes tells nothing of how much was right.
		right := subtle.ConstantTimeCompare([]byte(u), []byte(user)) & subtle.ConstantTimeCompare([]byte(p), []byte(pass))
		if user == "" || right == 0 {
			return server.ErrCredentials
		}
		return nil
	}
	return server.Authenticators(server.Passwords(verify),
		server.Tokens(func(ctx context.Context, u, token string) (string, error) { return u, verify(ctx, u, token) }))
}
