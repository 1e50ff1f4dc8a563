// Sink is a mail server for tests: it takes mail for every domain and delivers
// none. Each message that it accepts becomes one line of JSON in a file:
//
//	go run ./examples/sink -listen 127.0.0.1:2525 -spool /dev/stdout
//
// So that senders can be tested on refusals too, it refuses the recipients
// reject@… with 550 and tempfail@… with 451, and a message whose header has the
// field "X-Sink-Reject: yes" with 554.
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

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
	flags := flag.NewFlagSet("sink", flag.ContinueOnError)
	flags.SetOutput(stderr)
	listen := flags.String("listen", "", "`address` of an MX: STARTTLS offered, AUTH after it offered but not needed")
	tlsListen := flags.String("tls-listen", "", "`address` of the same with implicit TLS")
	subListen := flags.String("sub-listen", "", "`address` for submission: STARTTLS offered, AUTH required")
	lmtpListen := flags.String("lmtp-listen", "", "`address` for LMTP")
	timeoutListen := flags.String("timeout-listen", "", "`address` of an MX that waits only as long as -idle says")
	idle := flags.Duration("idle", 3*time.Second, "every read timeout at -timeout-listen")
	user := flags.String("user", "", "the one `name` that may authenticate; without it nobody can")
	pass := flags.String("pass", "", "its `password`, which is also its OAuth token")
	hostname := flags.String("hostname", "", "`name` the server calls itself; without it the machine's")
	maxSize := flags.Int64("max-size", 10<<20, "largest message, in `octets`")
	maxConns := flags.Int("max-conns", 0, "connections at one time to each server, from wherever; 0 means the library's defaults")
	certFile := flags.String("cert", "", "PEM `file` of the certificate; without it one is made that signs itself")
	keyFile := flags.String("key", "", "PEM `file` of its key")
	spoolFile := flags.String("spool", "", "`file` that accepted messages are appended to; without it they are dropped")
	discard := flags.Bool("discard", false, "read messages whole and keep nothing, whatever -spool says")
	if err := flags.Parse(args); err == flag.ErrHelp {
		return 0
	} else if err != nil || flags.NArg() > 0 {
		fmt.Fprintln(stderr, "sink takes flags only, see -help")
		return 64 // EX_USAGE
	}
	if *listen+*tlsListen+*subListen+*lmtpListen+*timeoutListen == "" {
		*listen = "127.0.0.1:2525"
	}
	log := slog.New(slog.NewTextHandler(stderr, nil))
	failed := func(err error) int {
		log.Error("sink", "err", err)
		return 1
	}
	cert, err := certificate(*certFile, *keyFile)
	if err != nil {
		return failed(err)
	}
	var spool *os.File
	if *spoolFile != "" && !*discard {
		if spool, err = os.OpenFile(*spoolFile, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600); err != nil {
			return failed(err)
		}
		defer spool.Close()
	}
	newServer := func(role server.Role, timeout time.Duration) *server.Server {
		return &server.Server{
			Handler: server.HandlerFunc(func(_ context.Context, c *server.Conn) (server.Session, error) {
				return &session{conn: c, spool: spool}, nil
			}),
			Role:      role,
			Hostname:  *hostname,
			TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}},
			Auth:      account(*user, *pass),
			// Promises of the application. A sink keeps them: every octet and
			// every parameter stays as it came.
			Extensions: []server.Extension{server.SMTPUTF8, server.BinaryMIME, server.DSN},
			Limits: server.Limits{
				MaxMessageSize:   *maxSize,
				MaxConns:         *maxConns,
				MaxConnsPerIP:    *maxConns, // the clients of a test share one address
				HandshakeTimeout: timeout,
				CommandTimeout:   timeout,
				DataTimeout:      timeout,
			},
			Logger: log,
		}
	}
	mx, impatient := newServer(server.MX, 0), newServer(server.MX, *idle)
	submission, lmtp := newServer(server.Submission, 0), newServer(server.LMTP, 0)
	defer shutdown(mx, impatient, submission, lmtp)
	stopped := make(chan error, 5)
	for _, l := range []struct {
		addr  string
		serve func(net.Listener) error
	}{
		{*listen, mx.Serve}, {*tlsListen, mx.ServeTLS}, {*timeoutListen, impatient.Serve},
		{*subListen, submission.Serve}, {*lmtpListen, lmtp.Serve},
	} {
		if l.addr == "" {
			continue
		}
		ln, err := net.Listen("tcp", l.addr)
		if err != nil {
			return failed(err)
		}
		log.Info("listening", "addr", ln.Addr())
		go func() { stopped <- l.serve(ln) }()
	}
	fmt.Fprintln(stdout, "ready")
	select {
	case <-ctx.Done():
		return 0
	case err := <-stopped: // nobody has asked for it
		return failed(err)
	}
}

// shutdown lets the mail transactions under way come to their end, and cuts off
// what takes longer than whoever sent the signal will wait.
func shutdown(servers ...*server.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	for _, s := range servers {
		wg.Go(func() { s.Shutdown(ctx) })
	}
	wg.Wait()
}

// certificate loads the certificate, or makes one that signs itself.
func certificate(certFile, keyFile string) (tls.Certificate, error) {
	if certFile+keyFile != "" {
		return tls.LoadX509KeyPair(certFile, keyFile)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{DNSNames: []string{"localhost"}, NotAfter: time.Now().AddDate(1, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}
