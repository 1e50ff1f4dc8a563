// Send hands a message to a mail server:
//
//	go run ./examples/send -addr smtp.example.com:587 -user me -pass secret \
//		-from me@example.com -to you@example.net -file message.eml
//
// It sends once and retries nothing. The exit code is 0 if the server has taken
// the message for every recipient, 75 if that failed for now, 69 if it failed
// for good, and 64 if the command line was wrong. What the server said about each
// recipient is written to standard error.
//
// With -count it is a load generator: many messages over a few connections.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/smtp"
)

// Exit codes, as sysexits.h has them.
const (
	exitUsage     = 64
	exitPermanent = 69 // EX_UNAVAILABLE
	exitTemporary = 75 // EX_TEMPFAIL
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the program as a function that a test can call.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var o options
	flags := flag.NewFlagSet("send", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.addr, "addr", "", "`host:port` of the server, or the path of a unix socket")
	flags.StringVar(&o.from, "from", "", "reverse-path, an `address`; without it the null reverse-path")
	flags.Func("to", "recipient, an `address`; may be given several times", func(s string) error { o.to = append(o.to, s); return nil })
	flags.StringVar(&o.tls, "tls", "auto", "auto, starttls, implicit, opportunistic or none; auto is implicit on port 465 and else starttls")
	flags.StringVar(&o.ca, "ca", "", "PEM `file` of the authorities to trust; without it the system's")
	flags.StringVar(&o.serverName, "servername", "", "`name` that the certificate must be for; without it the host of -addr")
	flags.BoolVar(&o.insecure, "insecure", false, "accept every certificate")
	flags.StringVar(&o.user, "user", "", "`name` to authenticate as")
	flags.StringVar(&o.pass, "pass", "", "`password`, or token if the mechanism takes one")
	flags.StringVar(&o.mech, "mech", "", "SASL `mechanism`: PLAIN, LOGIN, OAUTHBEARER, XOAUTH2 or EXTERNAL; without it the best of the first two")
	flags.StringVar(&o.helo, "helo", "", "`name` to say in EHLO")
	flags.BoolVar(&o.lmtp, "lmtp", false, "speak LMTP")
	flags.DurationVar(&o.timeout, "timeout", 0, "limit of each wait for the server; 0 means those of RFC 5321")
	flags.StringVar(&o.file, "file", "-", "`file` that holds the message, header and body; - is standard input")
	flags.BoolVar(&o.crlf, "crlf", false, "turn line ends that are not CRLF into CRLF, which breaks signatures")
	flags.BoolVar(&o.trace, "trace", false, "show the conversation on standard error")
	flags.IntVar(&o.count, "count", 1, "`number` of messages")
	flags.IntVar(&o.conns, "conns", 1, "`number` of connections to send them over")
	flags.IntVar(&o.size, "size", 0, "send made-up messages of this many `octets` in place of -file")
	if err := flags.Parse(args); err == flag.ErrHelp {
		return 0
	} else if err != nil {
		return exitUsage
	}
	usage := func(err error) int {
		fmt.Fprintln(stderr, "send:", err)
		return exitUsage
	}
	if o.addr == "" || len(o.to) == 0 || flags.NArg() > 0 || o.count < 1 || o.conns < 1 || o.size < 0 {
		return usage(errors.New("-addr and -to are needed, numbers are positive, and there are flags only; see -help"))
	}

	env, err := smtp.NewEnvelope(o.from, o.to...)
	if err != nil {
		return usage(err)
	}
	c, err := o.client(stderr)
	if err != nil {
		return usage(err)
	}
	content, err := o.content(stdin)
	if err != nil {
		return usage(err)
	}
	defer c.Close() // says QUIT

	start := time.Now()
	n, code := send(ctx, c, o, env, content, stderr)
	if o.count > 1 {
		took := time.Since(start)
		fmt.Fprintf(stdout, "%d messages in %v, %.0f per second\n", n, took.Round(time.Millisecond), float64(n)/took.Seconds())
	}
	return code
}

type options struct {
	addr, from, file, helo string
	to                     []string
	tls, ca, serverName    string
	user, pass, mech       string
	insecure, lmtp         bool
	crlf, trace            bool
	timeout                time.Duration
	count, conns, size     int
}

// send sends all messages, or those for which there is time until ctx ends. It
// returns how many it has tried to send, and the exit code.
func send(ctx context.Context, c *client.Client, o options, env smtp.Envelope, content smtp.Content, stderr io.Writer) (n, code int) {
	var (
		begun atomic.Int64
		mu    sync.Mutex // for n, code and stderr
		wg    sync.WaitGroup
	)
	// Two for each connection: while one message is under way the next one
	// waits, and its envelope goes out in the same write as the data before it.
	for range min(o.count, 2*o.conns) {
		wg.Go(func() {
			for ctx.Err() == nil && begun.Add(1) <= int64(o.count) {
				// The error repeats what the result says about each recipient.
				res, _ := c.Send(ctx, env, content)
				mu.Lock()
				n++
				for i := range res.Recipients {
					r := &res.Recipients[i]
					code = worse(code, r)
					if !r.Delivered() {
						fmt.Fprintf(stderr, "%v: %v\n", r.To, r.Err)
					} else if o.count == 1 {
						fmt.Fprintf(stderr, "%v: %v\n", r.To, r.Reply)
					}
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if n < o.count {
		code = exitTemporary
	}
	return n, code
}

// worse returns the exit code after one more outcome. If one recipient can still
// get the message, sending it again is worth while, so that goes first. So it does
// for an unknown outcome: better twice than never.
func worse(code int, r *client.RecipientResult) int {
	switch {
	case r.Delivered():
		return code
	case r.Temporary(), r.Unknown(), code == exitTemporary:
		return exitTemporary
	}
	return exitPermanent
}

// content returns what is sent. It is looked at once here, and not again for
// each message.
func (o *options) content(stdin io.Reader) (content smtp.Content, err error) {
	switch {
	case o.size > 0:
		content = smtp.BytesContent(madeUp(o.size))
	case o.file == "-":
		// A pipe gives its octets only once, and what the server needs to
		// hear of them it must hear before the first: so they are held.
		var b []byte
		if b, err = io.ReadAll(stdin); err == nil {
			content = smtp.BytesContent(b)
		}
	default:
		content, err = smtp.FileContent(o.file)
	}
	if err != nil {
		return content, err
	}
	return content.Examine()
}

// madeUp returns a message of n octets, or a few more if those are too few for a
// header.
func madeUp(n int) []byte {
	const header, line = "Subject: load\r\n\r\n", 72
	b := []byte(header + strings.Repeat("x", max(0, n-len(header))))
	for end := len(b); end-2 >= len(header); end -= line {
		copy(b[end-2:], "\r\n")
	}
	return b
}
