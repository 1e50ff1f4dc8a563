// Forward is a mail server that keeps nothing: what it takes for its domains goes
// on to the next hop at once.
//
//	go run ./examples/forward -hostname mx.example.org -listen :2525 -for example.org -next '[mail.example.net]'
//
// It adds a Received field, keeps the parameters of the envelope (DSN, SMTPUTF8,
// MT-PRIORITY, with -cert REQUIRETLS), sends one copy to each destination and
// refuses messages that have been around too often.
//
// There is no queue, and two ways to do without. As a rule a message goes on while
// the client waits for the reply to its last dot, and the reply is that of the last
// hop: trying again is the client's business. Only if some recipients have the
// message and others do not, the client hears that it is accepted, and the sender
// of the others by mail. With -bounce the client hears at once that it is accepted,
// and the sender by mail if it was not delivered. Who hears by mail hears of
// failures that were for a moment only, and of outcomes that are not known, since
// nobody tries again; and never, if this process dies meanwhile or that mail cannot
// be delivered at once either. Mail that matters needs a queue.
package main

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/postrider/postrider/mx"
	"github.com/postrider/postrider/mx/dns"
	"github.com/postrider/postrider/server"
)

func main() {
	ctx, end := context.WithCancel(context.Background())
	signalled, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(signalled, func() { stop(); end() }) // the next signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the program without its process: the end of ctx is a signal, the result the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var f forwarder
	var stub dns.Stub
	flags := flag.NewFlagSet("forward", flag.ContinueOnError)
	flags.SetOutput(stderr)
	listen := flags.String("listen", "127.0.0.1:2525", "`address` of the server")
	flags.StringVar(&f.hostname, "hostname", "localhost", "`name` of this host")
	flags.Func("for", "`domain` to take mail for; may be given several times", func(s string) error { f.domains = append(f.domains, s); return nil })
	flags.Func("next", "`host` that the mail goes to, such as relay.example.net (its MX), [mx.example.net] or [192.0.2.1]:2525; may be given several times; without it the hosts of the recipient's domain", func(s string) error { f.next = append(f.next, s); return nil })
	flags.BoolVar(&f.bounce, "bounce", false, "accept a message before it goes on, and tell the sender by mail if it does not")
	flags.IntVar(&f.hops, "hops", 100, "Received fields of a message that has been around too often")
	certFile := flags.String("cert", "", "PEM `file` of the certificate; without it there is no STARTTLS")
	keyFile := flags.String("key", "", "PEM `file` of its key")
	flags.Func("resolver", "`address:port` of a resolver; without it those of /etc/resolv.conf", func(s string) error {
		addr, err := netip.ParseAddrPort(s)
		stub.Servers = append(stub.Servers, dns.Server{Addr: addr})
		return err
	})
	port := flags.Uint("port", 25, "`port` of the hosts that mail goes to")
	if err := flags.Parse(args); err == flag.ErrHelp {
		return 0
	} else if err != nil || len(f.domains) == 0 || flags.NArg() > 0 || *port > 65535 {
		fmt.Fprintln(stderr, "forward: -for is needed, and there are flags only; see -help")
		return 64 // EX_USAGE
	}
	f.log = slog.New(slog.NewTextHandler(stderr, nil))
	failed := func(err error) int {
		f.log.Error("forward", "err", err)
		return 1
	}
	c := &mx.Client{Router: &mx.Router{Resolver: &dns.Cache{Resolver: &stub}}, Port: uint16(*port), Trace: mx.LogTrace(f.log)}
	defer c.Close()
	defer f.underway.Wait() // what was accepted is dealt with
	srv := f.server(c)
	if *certFile != "" {
		cert, err := server.LoadCertificate(*certFile, *keyFile)
		if err != nil {
			return failed(err)
		}
		srv.TLSConfig = &tls.Config{GetCertificate: cert.GetCertificate}
	}
	l, err := net.Listen("tcp", *listen)
	if err != nil {
		return failed(err)
	}
	fmt.Fprintln(stdout, "listening on", l.Addr())
	stopped := make(chan error, 1)
	go func() { stopped <- srv.Serve(l) }()
	select {
	case <-ctx.Done():
	case err := <-stopped: // nobody has asked for it
		return failed(err)
	}
	end, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	srv.Shutdown(end)
	return 0
}
