package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/postrider/postrider/mx"
	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/server/middleware"
	"github.com/postrider/postrider/smtp"
	"github.com/postrider/postrider/smtp/dsn"
)

// A forwarder relays what its server accepts.
type forwarder struct {
	hostname string
	domains  []string // that mail is taken for
	next     []string // hosts that it goes to. If empty, those of the recipient's domain
	hops     int
	bounce   bool
	log      *slog.Logger
	client   *mx.Client
	notices  dsn.Composer
	underway sync.WaitGroup // messages that were accepted and have not gone on
	room     chan struct{}  // for so many of them
}

// server returns the server that takes the mail, which goes on by c.
func (f *forwarder) server(c *mx.Client) *server.Server {
	f.client, f.notices.Hostname, f.room = c, f.hostname, make(chan struct{}, 100)
	c.Hello, c.Router.Hostnames = f.hostname, []string{f.hostname} // §5.1: hosts that are no better than this one are none
	c.NextHop = f.nextHop
	c.Timeout = 4 * time.Minute // the client waits ten for the reply to its last dot (§4.5.3.2.6)
	return &server.Server{
		Hostname: f.hostname,
		Handler:  middleware.Chain(server.Deliver(f.take), middleware.Recipients(middleware.RecipientsOptions{Domains: f.domains})),
		// Promises: mx.Client passes these on, or gives the message back.
		Extensions: []server.Extension{server.DSN, server.SMTPUTF8, server.RequireTLS, server.MTPriority("")},
		Logger:     f.log,
	}
}

// nextHop is for mx.Client.NextHop. Notices go where the DNS says.
func (f *forwarder) nextHop(domain string, _ *mx.Message) *mx.NextHop {
	if len(f.next) == 0 || !slices.ContainsFunc(f.domains, func(d string) bool { return strings.EqualFold(d, domain) }) {
		return nil
	}
	return &mx.NextHop{Hosts: f.next}
}

// A parcel is a message that was taken, as its notices know it.
type parcel struct {
	dsn.Message
	tlsOptional bool
	file        *os.File
}

func (p *parcel) close() {
	p.file.Close()
	os.Remove(p.file.Name())
}

// take is called for each message, with the Received field on top.
func (f *forwarder) take(ctx context.Context, m *server.Message) (reply smtp.Reply, err error) {
	header, err := m.Header()
	if err != nil {
		return reply, err
	}
	hops, tlsOptional := look(header)
	if hops >= f.hops { // §6.3
		return reply, smtp.Reject(554, smtp.Enh(4, 6), "the message has been through too many hosts, there is a loop") // RFC 3463 §3.5
	}
	p := &parcel{tlsOptional: tlsOptional}
	if p.file, err = os.CreateTemp("", "forward-*"); err != nil {
		return reply, err
	}
	size, err := io.Copy(p.file, m)
	if err != nil {
		p.close()
		return reply, err
	}
	for i := range m.Envelope.Recipients {
		if to := &m.Envelope.Recipients[i].To; to.Domain == "" { // §4.5.1: <postmaster>
			to.Domain = f.domains[0]
		}
	}
	p.Envelope, p.Content, p.Arrival = m.Envelope, smtp.ReaderAtContent(p.file, size), time.Now()
	p.ReceivedFrom = dsn.Peer(m.Conn.Hello(), m.Conn.RemoteIP())
	if !f.bounce {
		defer p.close()
		return f.answer(ctx, p, f.relay(ctx, p))
	}
	select {
	case f.room <- struct{}{}:
	default:
		p.close()
		return reply, smtp.Reject(451, smtp.Enh(3, 2), "too many messages are on their way")
	}
	ctx = context.WithoutCancel(ctx) // it goes on after the reply, as long as the client's Timeout allows
	f.underway.Go(func() {
		f.notify(ctx, p, f.relay(ctx, p))
		p.close()
		<-f.room
	})
	return smtp.Reply{Code: smtp.CodeOK, Text: "accepted, to be relayed"}, nil
}

// look counts the hosts that a message has been through, and says whether its
// sender prefers delivery to TLS (RFC 8689 §5).
func look(header []byte) (hops int, tlsOptional bool) {
	for line := range bytes.Lines(header) {
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch strings.ToLower(string(bytes.TrimRight(name, " \t"))) {
		case "received":
			hops++
		case "tls-required":
			tlsOptional = tlsOptional || strings.EqualFold(string(bytes.TrimSpace(value)), "no")
		}
	}
	return hops, tlsOptional
}

// relay takes the message to all its destinations at once, one copy to each, and
// says what became of it for each recipient.
func (f *forwarder) relay(ctx context.Context, p *parcel) []mx.Result {
	groups := map[string][]int{} // the places of the recipients
	for i, r := range p.Envelope.Recipients {
		destination := strings.ToLower(r.To.Domain)
		if len(f.next) > 0 {
			destination = f.domains[0] // all have the same
		}
		groups[destination] = append(groups[destination], i)
	}
	results := make([]mx.Result, len(p.Envelope.Recipients))
	var wg sync.WaitGroup
	for domain, places := range groups {
		wg.Go(func() {
			env := p.Envelope
			env.Recipients = nil
			for _, at := range places {
				env.Recipients = append(env.Recipients, p.Envelope.Recipients[at])
			}
			// The error repeats what the results say.
			got, _ := f.client.Deliver(ctx, domain, &mx.Message{Envelope: env, Content: p.Content, TLSOptional: p.tlsOptional})
			for i, at := range places {
				results[at] = got[i]
			}
		})
	}
	wg.Wait()
	return results
}

// answer returns the reply of the last hop.
func (f *forwarder) answer(ctx context.Context, p *parcel, results []mx.Result) (smtp.Reply, error) {
	worst := results[0] // that which leaves the most hope, if nobody has the message
	for _, r := range results {
		if r.Status >= mx.Delivered {
			f.notify(context.WithoutCancel(ctx), p, results) // of those who have it not, though the server be closed
			return smtp.Reply{Code: smtp.CodeOK, Enhanced: r.Reply.Enhanced, Text: r.Reply.Text}, nil
		}
		if r.Status == mx.Deferred && worst.Status != mx.Deferred {
			worst = r
		}
	}
	if worst.Reply.Code == smtp.CodeUnavailable { // it is not this server that closes
		worst.Reply.Code = smtp.CodeLocalError
	}
	return smtp.Reply{}, smtp.Reject(worst.Reply.Code, worst.Reply.Enhanced, worst.Reply.Text)
}

// notify tells the sender by mail what he is owed to hear.
func (f *forwarder) notify(ctx context.Context, p *parcel, results []mx.Result) {
	recipients := make([]dsn.Recipient, len(results))
	for i, r := range results {
		to := dsn.NewRecipient(p.Envelope.Recipients[i])
		switch {
		case r.Status < mx.Delivered:
			to.Action = dsn.Failed
		case r.DSN: // the next hop tells of success
		default:
			to.Action = dsn.Relayed // RFC 3461 §5.2.2
		}
		if !r.Local {
			to.RemoteMTA = dsn.DNS(r.Host)
		}
		to.Diagnostic, to.LastAttempt = dsn.Diagnostic(r.Reply), time.Now()
		recipients[i] = to
	}
	n, err := f.notices.Compose(&p.Message, recipients...)
	if err == nil {
		_, err = f.client.Deliver(ctx, p.Envelope.From.Domain, &mx.Message{Envelope: n.Envelope, Content: n.Content, TLSOptional: p.tlsOptional})
	}
	if err != nil && !errors.Is(err, dsn.ErrUnwanted) {
		f.log.Error("the sender was not told", "sender", p.Envelope.From, "err", err)
	}
}
