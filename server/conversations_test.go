package server_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/server/smtptest"
	"github.com/postrider/postrider/smtp"
)

// Each conversation in testdata/session is played in every mode, as it stands:
// what must come before it (EHLO, STARTTLS, a handshake) is done first, and in
// LMTP EHLO goes out as LHLO. The others belong to one mode.
func TestConversations(t *testing.T) {
	starttls := func(p *peer) net.Conn {
		p.expect("220 ")
		p.do("EHLO client.example", "250")
		p.startTLS()
		return &prefixed{p.Conn, strings.NewReader("220 mx.example ESMTP\r\n")}
	}
	implicit := func(p *peer) net.Conn { return tls.Client(p.Conn, clientTLS) }
	plain := func(p *peer) net.Conn { return p.Conn }
	for _, mode := range []struct {
		name    string
		connect func(*peer) net.Conn
		scripts []string
		options []func(*testServer)
	}{
		{"plain", plain, []string{"session", "smtp", "plain"}, []func(*testServer){withTLS, withAuth}},
		{"STARTTLS", starttls, []string{"session", "smtp", "tls"}, []func(*testServer){withTLS, withAuth}},
		{"TLS", implicit, []string{"session", "smtp", "tls"}, []func(*testServer){withTLS, withAuth}},
		{"LMTP", func(p *peer) net.Conn { return lhlo{p.Conn} }, []string{"session"}, []func(*testServer){lmtp, withTLS}},
		{"trusted", plain, []string{"trusted"}, []func(*testServer){withTLS, trusting("127.0.0.1/32")}},
		{"LMTP-only", plain, []string{"lmtp"}, []func(*testServer){lmtp, withTLS}},
		{"early", plain, []string{"early"}, []func(*testServer){refuseEarly}},
		{"TLS-early", implicit, []string{"early"}, []func(*testServer){refuseEarly, withTLS}},
		{"submission", plain, []string{"submission"}, []func(*testServer){submission, withTLS}},
		{"SCRAM", plain, []string{"scram"}, []func(*testServer){withPencils(nonce256)}},
		{"extensions", plain, []string{"extensions"}, []func(*testServer){withTLS, withExtensions}},
	} {
		t.Run(mode.name, func(t *testing.T) {
			options := append(mode.options, func(s *testServer) {
				s.Handler = server.HandlerFunc(newRules)
				if s.Extensions == nil {
					s.Extensions = []server.Extension{server.SMTPUTF8, server.BinaryMIME, server.RequireTLS, server.DSN}
				}
				s.Limits.MaxMessageSize, s.Limits.MaxRecipients, s.Limits.MaxErrors = 1000, 3, 50
				s.Limits.GreetingDelay = time.Minute
			})
			s := start(t, options...)
			if strings.HasPrefix(mode.name, "TLS") {
				s.listener = s.serveTLS()
			}
			for _, folder := range mode.scripts {
				smtptest.RunScripts(t, "testdata/"+folder+"/*.txt", func(t *testing.T, script *smtptest.Script) net.Conn {
					script.TLSConfig, script.Timeout = clientTLS, time.Minute
					conn, err := s.listener.Dial(context.Background())
					if err != nil {
						t.Fatal(err)
					}
					return mode.connect(newPeer(t, conn))
				})
			}
			s.log.take() // the rules include mistakes
		})
	}
}

// withExtensions promises all there is.
func withExtensions(s *testServer) {
	s.Limits = server.Limits{MaxMessages: 8, MaxRecipientDomains: 2}
	s.Extensions = []server.Extension{
		server.DeliverBy(30 * time.Second), server.MTPriority("MIXER"), server.RRVS, server.FutureRelease(time.Hour),
		server.NoSoliciting("net.example:ADV", "org.example:TRADE"), server.PRDR, server.RequireTLS, server.ETRN(turn),
	}
}

// turn starts the queue of some nodes.
func turn(_ context.Context, _ *server.Conn, _ server.Session, etrn smtp.Etrn) (smtp.Reply, error) {
	switch node := etrn.String(); node {
	case "@example.org":
		return smtp.Reply{Code: 252, Enhanced: smtp.Enh(0, 0), Text: "OK, pending messages for " + node + " started"}, nil
	case "#slow":
		return smtp.Reply{}, smtp.Reject(458, smtp.Enh(0, 0), "unable to queue messages for "+node)
	case "elsewhere.example":
		return smtp.Reply{}, smtp.Reject(459, smtp.Enh(7, 0), node+" not allowed")
	}
	return smtp.Reply{}, nil
}

func refuseEarly(s *testServer) { s.EarlyTalker = server.EarlyRefuse }

// prefixed is a connection on which something has come already.
type prefixed struct {
	net.Conn
	first io.Reader
}

func (p *prefixed) Read(b []byte) (int, error) {
	if n, _ := p.first.Read(b); n > 0 {
		return n, nil
	}
	return p.Conn.Read(b)
}

// lhlo says LHLO where the script says EHLO.
type lhlo struct{ net.Conn }

func (c lhlo) Write(p []byte) (int, error) {
	if _, err := io.WriteString(c.Conn, strings.ReplaceAll(string(p), "EHLO", "LHLO")); err != nil {
		return 0, err
	}
	return len(p), nil
}

// rules is a Session that does what the addresses and the messages say.
type rules struct {
	server.Session
	messages   int
	recipients int
}

var errInternal = errors.New("open /var/lib/mail: permission denied")

func newRules(context.Context, *server.Conn) (server.Session, error) { return new(rules), nil }

func (r *rules) Mail(_ context.Context, from smtp.ReversePath, p *smtp.MailParams) (smtp.Reply, error) {
	r.recipients = 0
	return r.say(from.Local)
}

func (r *rules) Rcpt(_ context.Context, to smtp.ForwardPath, p *smtp.RcptParams) (smtp.Reply, error) {
	reply, err := r.say(to.Local)
	if err == nil {
		r.recipients++
	}
	return reply, err
}

func (r *rules) say(local string) (smtp.Reply, error) {
	switch local {
	case "reject":
		return smtp.Reply{}, smtp.Reject(550, smtp.Enh(1, 1), "no such user")
	case "tempfail":
		return smtp.Reply{}, fmt.Errorf("wrapped: %w", smtp.Reject(451, smtp.Enh(3, 0), "try again"))
	case "internal":
		return smtp.Reply{}, errInternal
	case "mistake":
		return smtp.Reply{Code: 354, Text: "not a final reply"}, nil
	case "moved":
		return smtp.Reply{Code: 251, Enhanced: smtp.Enh(1, 5), Text: "will forward"}, nil
	}
	return smtp.Reply{}, nil
}

// Data answers with what it has got. A message that begins with EARLY is
// refused, one with LAZY accepted, before it has been read. One with EACH gets
// another reply for the second recipient, one with NONE or SOON a negative one for
// all, where that is possible.
func (r *rules) Data(_ context.Context, b *server.Body) (smtp.Reply, error) {
	var start [5]byte
	n, err := io.ReadFull(b, start[:])
	switch {
	case string(start[:]) == "EARLY":
		return smtp.Reply{}, smtp.Reject(554, smtp.Enh(7, 1), "refused at once")
	case string(start[:]) == "LATER":
		return smtp.Reply{}, smtp.Reject(451, smtp.Enh(7, 1), "not now")
	case string(start[:4]) == "LAZY":
		return smtp.Reply{Code: 250, Enhanced: smtp.Enh(0, 0), Text: "accepted unseen"}, nil
	case string(start[:4]) == "EACH":
		b.SetReply(0, smtp.Reply{Code: 250, Enhanced: smtp.Enh(1, 5), Text: "for the first"})
		b.SetReply(1, smtp.Reply{Code: 552, Enhanced: smtp.Enh(2, 2), Text: "mailbox full"})
		b.SetReply(1, smtp.Reply{Code: 354, Text: "no effect"})
		b.SetReply(7, smtp.Reply{Code: 550, Text: "nobody"})
	}
	for i := range r.recipients {
		switch full := (smtp.Reply{Code: 552, Enhanced: smtp.Enh(2, 2), Text: "mailbox full"}); {
		case string(start[:4]) == "SOON" && i > 0:
			b.SetReply(i, smtp.Reply{Code: 452, Enhanced: smtp.Enh(2, 2), Text: "try later"})
		case string(start[:4]) == "NONE", string(start[:4]) == "SOON":
			b.SetReply(i, full)
		}
	}
	text := start[:n]
	if err == nil {
		var rest []byte
		rest, err = io.ReadAll(b)
		text = append(text, rest...)
	}
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return smtp.Reply{}, err
	}
	if strings.HasPrefix(string(text), "LEAK") {
		return smtp.Reply{}, errInternal
	}
	r.messages++
	return smtp.Reply{Code: 250, Enhanced: smtp.Enh(0, 0), Text: fmt.Sprintf("message %d: %.100q", r.messages, text)}, nil
}

func (r *rules) Reset(context.Context, server.ResetReason) {}

func (r *rules) Close(error) {}
