// Verify is a mail exchanger that finds out who vouches for each message, by
// SPF, DKIM, ARC and DMARC, and prints what it accepts with the findings on top:
//
//	go run ./examples/verify -listen 127.0.0.1:2525 -refuse
//
// With -message it judges a file as if a client had sent it, and prints JSON.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"io"
	"log"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"

	"github.com/postrider/postrider/auth"
	"github.com/postrider/postrider/auth/authres"
	"github.com/postrider/postrider/mx/dns"
	"github.com/postrider/postrider/mx/dns/dnstest"
	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	var peer auth.Peer
	v := &auth.Verifier{Resolver: &dns.Cache{Resolver: &dns.Stub{}}}
	flags := flag.NewFlagSet("verify", flag.ContinueOnError)
	listen := flags.String("listen", "127.0.0.1:2525", "`address` of the mail exchanger")
	refuse := flags.Bool("refuse", false, "refuse messages that nobody can tell the author of; without it everything is only tagged")
	flags.BoolVar(&v.HonorReject, "honor-reject", false, "with -refuse: also what the author's domain wants rejected, mail from lists too")
	flags.StringVar(&v.AuthServID, "authserv-id", "mx.example.org", "`name` of who found out, in Authentication-Results")
	zone := flags.String("zone", "", "JSON `file` with all that is in the DNS; without it the real one is asked")
	message := flags.String("message", "", "`file` to judge, octet for octet as it came; - is standard input")
	flags.TextVar(&peer.IP, "ip", netip.Addr{}, "`address` of the client that sent it")
	flags.StringVar(&peer.Hello, "helo", "", "`name` that the client gave")
	from := flags.String("from", "", "its reverse-path, a `mailbox`; without it the null reverse-path")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *zone != "" {
		file, err := os.Open(*zone)
		if err != nil {
			return err
		}
		defer file.Close()
		if v.Resolver, err = dnstest.ReadJSON(file); err != nil {
			return err
		}
	}
	if *message == "" {
		return serve(ctx, *listen, Authenticate(v, *refuse), out)
	}
	reversePath, err := smtp.ParseReversePath("<" + *from + ">")
	if err != nil {
		return err
	}
	file := os.Stdin
	if *message != "-" {
		if file, err = os.Open(*message); err != nil {
			return err
		}
		defer file.Close()
	}
	result, err := v.Verify(ctx, peer, reversePath, file)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(result)
}

// serve takes mail until ctx ends and writes it to out.
func serve(ctx context.Context, addr string, middleware func(server.Handler) server.Handler, out io.Writer) error {
	var one sync.Mutex
	srv := &server.Server{Handler: middleware(server.Deliver(func(_ context.Context, m *server.Message) (smtp.Reply, error) {
		one.Lock()
		defer one.Unlock()
		_, err := io.Copy(out, m)
		return smtp.Reply{}, err
	}))}
	context.AfterFunc(ctx, func() { srv.Close() })
	if err := srv.ListenAndServe(addr); err != server.ErrServerClosed {
		return err
	}
	return nil
}

// Authenticate is middleware: the handler gets each message with an
// Authentication-Results field on top, and without those that others wrote in
// our name. With refuse it does not get what should be refused.
func Authenticate(v *auth.Verifier, refuse bool) func(server.Handler) server.Handler {
	return func(next server.Handler) server.Handler {
		return server.HandlerFunc(func(ctx context.Context, c *server.Conn) (server.Session, error) {
			s, err := next.NewSession(ctx, c)
			return &session{Session: s, v: v, refuse: refuse, ctx: ctx, conn: c}, err
		})
	}
}

type session struct {
	server.Session
	v      *auth.Verifier
	refuse bool
	ctx    context.Context // of the connection; what is looked up for it ends with it
	conn   *server.Conn
	client *auth.Connection
	check  *auth.Check
}

func (s *session) Unwrap() server.Session { return s.Session }

func (s *session) Mail(ctx context.Context, from smtp.ReversePath, p *smtp.MailParams) (smtp.Reply, error) {
	if peer := auth.NewPeer(s.conn.RemoteAddr(), s.conn.Hello()); s.client == nil || s.client.Peer() != peer {
		if s.client != nil {
			s.client.Close() // it has greeted with another name
		}
		s.client = s.v.Begin(s.ctx, peer)
	}
	s.check = s.client.Message(ctx, from) // ctx ends with the mail transaction
	return s.Session.Mail(ctx, from, p)
}

func (s *session) Data(ctx context.Context, b *server.Body) (smtp.Reply, error) {
	spool, err := os.CreateTemp("", "verify-*")
	if err != nil {
		return smtp.Reply{}, err
	}
	defer os.Remove(spool.Name())
	defer spool.Close()
	// Signatures may cover the fields that are stripped, so it is verified before.
	strip := authres.Strip{AuthServID: s.v.AuthServID}
	if _, err := io.Copy(spool, strip.Reader(io.TeeReader(b, s.check))); err != nil {
		return smtp.Reply{}, err
	}
	result, err := s.check.Finish(ctx)
	if err != nil {
		return smtp.Reply{}, err
	}
	if err := result.Refusal(); err != nil && s.refuse {
		return smtp.Reply{}, err
	}
	if err := b.Replace(io.MultiReader(strings.NewReader(result.Header()), io.NewSectionReader(spool, 0, 1<<62))); err != nil {
		return smtp.Reply{}, err
	}
	return s.Session.Data(ctx, b)
}
