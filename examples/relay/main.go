// Relay is a mail server that stores and forwards, the program to start from when
// you build your own MTA. It takes mail for your domains from the world, mail for
// the world from your users, and keeps each message in a queue on disk until every
// recipient has it or its sender has been told why not.
//
//	relay user alice@example.org >>users            # reads a password
//	relay -hostname mx.example.org -domains example.org -users users -maildir /var/mail \
//		-listen :25 -submission :587 -cert cert.pem -key key.pem -db /var/lib/relay.db
//	relay queue list -db /var/lib/relay.db          # beside it, while it runs
//
// What you want to be otherwise is in one of these files:
//
//	main.go     the command line, and the queue's database
//	servers.go  what is started and stopped when; who may send what to whom
//	session.go  from MAIL to the 250: verified or signed, and on disk
//	deliver.go  from the queue to where it belongs: mailboxes, a smarthost, the world
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/postrider/postrider/auth"
	"github.com/postrider/postrider/auth/dkim"
	"github.com/postrider/postrider/mx"
	"github.com/postrider/postrider/mx/dns"
	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/mx/queue/maildir"
	"github.com/postrider/postrider/mx/queue/queuecmd"
	"github.com/postrider/postrider/mx/queue/sqlqueue"
	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

func main() {
	ctx, end := context.WithCancel(context.Background())
	signalled, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(signalled, func() { stop(); end() }) // the next signal ends the process at once
	defer runtime.KeepAlive(make([]byte, 16<<20))          // never touched; without it the small heap is collected 50 times a second, for 5 % of the time
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// A relay is what its parts share. The runner is the heart of it: sessions put
// messages in, and it takes them to where they belong until they are there.
type relay struct {
	listen, submission, submissions, metrics, hostname, certFile, keyFile, db string
	domains                                                                   []string              // local ones: their mail ends here
	users                                                                     server.CredentialList // by address; nil if everybody has a mailbox
	insecureLocal                                                             bool
	patience                                                                  time.Duration // of who has sent the signal
	signer                                                                    dkim.Signer
	resolver                                                                  dns.Resolver
	verifier                                                                  auth.Verifier
	maildir                                                                   *maildir.Dir           // where local mail goes; if nil, to a hop
	hops                                                                      map[string]*mx.NextHop // by destination
	client                                                                    mx.Client
	runner                                                                    queue.Runner
	log                                                                       *slog.Logger
}

// run is the program without its process: the end of ctx is a signal, the result the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	const keepOutcomes = 7 * 24 * time.Hour
	switch {
	case len(args) > 0 && args[0] == "queue":
		attach := func(ctx context.Context, db string) (queue.Store, error) {
			return sqlqueue.AttachDSN(ctx, db, &sqlqueue.Options{KeepOutcomes: keepOutcomes})
		}
		c := queuecmd.Command{Open: attach, DB: "relay.db", Name: "relay queue", Stdout: stdout, Stderr: stderr}
		return c.Run(ctx, args[1:])
	case len(args) == 2 && args[0] == "user":
		password, _ := bufio.NewReader(stdin).ReadString('\n')
		err := server.WriteCredential(stdout, strings.ToLower(args[1]), strings.TrimRight(password, "\r\n"))
		return exit(err, 1, stderr)
	}
	r, opts, stub := relay{hops: map[string]*mx.NextHop{}}, sqlqueue.Options{}, dns.Stub{}
	var level slog.Level
	flags := flag.NewFlagSet("relay", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&r.listen, "listen", "", "`address` for mail from the world: STARTTLS offered, local domains only")
	flags.StringVar(&r.submission, "submission", "", "`address` for mail from our users: STARTTLS and AUTH required")
	flags.StringVar(&r.submissions, "submissions", "", "`address` of the same with TLS from the start")
	flags.StringVar(&r.metrics, "metrics", "", "`address` of /metrics for Prometheus, such as 127.0.0.1:9125")
	flags.StringVar(&r.hostname, "hostname", "localhost", "`name` of this host")
	flags.Func("domains", "`domain` whose mail ends here; several with commas, or given again", func(s string) error {
		for d := range strings.SplitSeq(s, ",") {
			r.domains = append(r.domains, smtp.CanonicalDomain(strings.TrimSpace(d)))
		}
		return nil
	})
	flags.Func("users", "`file` with an address on each line and, for those who may submit, what relay user has printed; without it local domains have every recipient", func(s string) (err error) { r.users, err = server.LoadCredentials(s); return err })
	flags.StringVar(&r.certFile, "cert", "", "PEM `file` of the certificate; without it one is made that signs itself")
	flags.StringVar(&r.keyFile, "key", "", "PEM `file` of its key")
	flags.StringVar(&r.db, "db", "relay.db", "SQLite `file` or postgres:// URL of the queue")
	flags.DurationVar(&opts.KeepOutcomes, "outcomes", keepOutcomes, "how long relay queue outcomes remembers")
	flags.Func("lmtp", "`host:port` or socket of the mail store for local domains", func(s string) error { r.hops[local] = hop(s, true); return nil })
	flags.Func("maildir", "`directory` in which each user of local domains has a Maildir: DOMAIN/USER", func(s string) (err error) { r.maildir, err = maildir.Open(s); return err })
	flags.Func("smarthost", "`host:port` that all other mail goes to; without it the hosts of its domain", func(s string) error { r.hops[smarthost] = hop(s, false); return nil })
	flags.Func("resolver", "`address:port` of a resolver; without it those of /etc/resolv.conf", func(s string) (err error) {
		stub.Servers = make([]dns.Server, 1)
		stub.Servers[0].Addr, err = netip.ParseAddrPort(s)
		return err
	})
	flags.BoolVar(&r.verifier.HonorReject, "honor-reject", false, "refuse mail whose author's domain wants that (DMARC), though it came by a mailing list")
	port := flags.Uint("port", 25, "`port` of the hosts that mail goes to")
	flags.Func("dkim-key", "PEM `file` of the key that signs what users submit", func(s string) (err error) { r.signer.Key, err = dkim.LoadPrivateKey(s); return err })
	flags.StringVar(&r.signer.Selector, "dkim-selector", "relay", "`name` of that key in the DNS")
	flags.StringVar(&r.signer.Domain, "dkim-domain", "", "`domain` that signs; without it that of the sender, if it is local")
	flags.BoolVar(&r.insecureLocal, "insecure-local", false, "for tests: clients on loopback need neither TLS nor AUTH to send anywhere, and mail may go to loopback")
	flags.IntVar(&r.runner.MaxSiteDeliveries, "deliveries", 20, "deliveries at a time to one destination")
	flags.DurationVar(&r.runner.Retry, "retry", 5*time.Minute, "time to the second attempt; each later one takes twice as long, up to 4 hours")
	flags.DurationVar(&r.runner.Lifetime, "lifetime", 5*24*time.Hour, "how long delivery is tried")
	flags.DurationVar(&r.runner.LeaseTime, "lease", time.Minute, "how long other relays on the same PostgreSQL leave to one that has died what it was delivering")
	flags.DurationVar(&r.runner.WarnAfter, "warn", 4*time.Hour, "when the sender hears that his mail is late")
	flags.Int64Var(&r.runner.MaxMessages, "max-messages", 0, "messages in the queue before new ones get 452; 0 means no limit")
	flags.Int64Var(&r.runner.MinFree, "min-free", 64<<20, "`octets` the disk must have left, lest new messages get 452")
	flags.DurationVar(&r.runner.Poll, "poll", 10*time.Second, "time between looks at what others have changed in the queue")
	flags.DurationVar(&r.patience, "stop", 20*time.Second, "how long mail that comes in or goes out when the relay is to stop may take")
	flags.TextVar(&level, "log", slog.LevelInfo, "debug, info, warn or error")
	err := flags.Parse(args)
	switch {
	case err == flag.ErrHelp:
		return 0
	case err != nil:
		return 64 // EX_USAGE; flags has said why
	case flags.NArg() > 0 || r.listen+r.submission+r.submissions == "":
		err = errors.New("there are flags only, and -listen or -submission is needed; see -help")
	case r.users == nil && (r.submission+r.submissions != "" || r.maildir != nil), (r.certFile == "") != (r.keyFile == ""), *port > 65535:
		err = errors.New("-submission and -maildir need -users, -cert and -key each other, and no port is above 65535")
	case r.hops[local] != nil && r.maildir != nil, len(r.domains) > 0 && r.hops[local] == nil && r.maildir == nil:
		err = errors.New("-domains needs -lmtp or -maildir, and there is one of them at most")
	}
	for user := range r.users {
		if to, bad := smtp.ParseMailbox(user); bad != nil || r.maildir != nil && r.isLocal(to.Domain) && !maildir.Fits(to) {
			err = fmt.Errorf("-users: %q is not an address that can have mail here", user)
		}
	}
	if err != nil {
		return exit(err, 64, stderr)
	}
	r.log = slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level}))
	r.resolver, r.client.Port = &dns.Cache{Resolver: &stub}, uint16(*port)
	store, err := sqlqueue.OpenDSN(ctx, r.db, &opts)
	if err == nil {
		err = errors.Join(r.serve(ctx, store, stdout), store.Close())
	}
	return exit(err, 1, stderr)
}

func exit(err error, code int, stderr io.Writer) int {
	if err == nil {
		return 0
	}
	fmt.Fprintln(stderr, "relay:", err)
	return code
}

// wake is for sqlqueue.Wake: it hears what others change in the same PostgreSQL.
func (r *relay) wake(ctx context.Context, news func()) error {
	conn, err := pgx.Connect(ctx, r.db)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, "LISTEN "+sqlqueue.WakeChannel)
	for ; err == nil; _, err = conn.WaitForNotification(ctx) {
		news()
	}
	return err
}
