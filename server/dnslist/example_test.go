package dnslist_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"

	"github.com/postrider/postrider/internal/memnet"
	"github.com/postrider/postrider/mx/dns/dnstest"
	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/server/dnslist"
	"github.com/postrider/postrider/smtp"
)

// zone is the DNS of the examples. Their client is 192.0.2.1.
var zone = dnstest.MustParse(`
	1.2.0.192.dnsbl.example    A    127.0.0.4
	1.2.0.192.dnsbl.example    TXT  "https://dnsbl.example/192.0.2.1"
	1.2.0.192.dynamic.example  A    127.0.0.2
	spam.example.names.example A    127.0.0.2
	1.2.0.192.down.example     TIMEOUT`)

// converse says each of the lines as a client from 192.0.2.1, and prints the
// conversation but for the greetings.
func converse(h server.Handler, lines ...string) {
	srv := &server.Server{Hostname: "mx.example", Handler: h}
	addrs := make(chan net.Addr, 1)
	l := memnet.Listen()
	done := make(chan error)
	go func() { done <- srv.Serve(from{l, addrs}) }()
	defer func() {
		srv.Shutdown(context.Background())
		if err := <-done; !errors.Is(err, server.ErrServerClosed) {
			fmt.Println(err)
		}
	}()
	addrs <- &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1025}
	conn, err := l.Dial(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	replies := bufio.NewScanner(conn)
	replies.Scan()
	if greeting := replies.Text(); !strings.HasPrefix(greeting, "220 ") {
		fmt.Println("S:", greeting)
		return
	}
	fmt.Fprint(conn, "HELO client.example\r\n")
	replies.Scan()
	for _, line := range lines {
		fmt.Println("C:", line)
		fmt.Fprint(conn, line+"\r\n")
		replies.Scan()
		fmt.Println("S:", replies.Text())
	}
}

var discard = server.Deliver(func(_ context.Context, m *server.Message) (smtp.Reply, error) {
	_, err := io.Copy(io.Discard, m)
	return smtp.Reply{}, err
})

// A block list, and one of clients to which it does not matter.
func ExampleMiddleware() {
	check := dnslist.Middleware(dnslist.Options{
		Lists: []dnslist.List{
			{Zone: "dnsbl.example", Reason: true},
			{Zone: "dnswl.example", Allow: true},
		},
		Resolver: zone,
	})
	converse(check(discard), "MAIL FROM:<a@example.org>", "RCPT TO:<b@example.com>", "RCPT TO:<postmaster@example.com>")
	// Output:
	// C: MAIL FROM:<a@example.org>
	// S: 250 2.1.0 OK
	// C: RCPT TO:<b@example.com>
	// S: 550 5.7.1 your address 192.0.2.1 is listed by dnsbl.example: https://dnsbl.example/192.0.2.1
	// C: RCPT TO:<postmaster@example.com>
	// S: 250 2.1.5 OK
}

// Two lists that are not enough by themselves.
func ExampleOptions() {
	check := dnslist.Middleware(dnslist.Options{
		Lists:     []dnslist.List{{Zone: "dnsbl.example", Weight: 3}, {Zone: "dynamic.example", Weight: 2}},
		Threshold: 5,
		At:        dnslist.AtMail,
		Resolver:  zone,
	})
	converse(check(discard), "MAIL FROM:<a@example.org>")
	// Output:
	// C: MAIL FROM:<a@example.org>
	// S: 550 5.7.1 your address 192.0.2.1 is listed by dnsbl.example
}

// Only what the list says about some kinds of clients counts.
func ExampleList() {
	check := dnslist.Middleware(dnslist.Options{
		Lists:    []dnslist.List{{Zone: "dnsbl.example", Codes: []netip.Prefix{netip.MustParsePrefix("127.0.0.10/31")}}},
		Resolver: zone,
	})
	converse(check(discard), "MAIL FROM:<a@example.org>", "RCPT TO:<b@example.com>")
	// Output:
	// C: MAIL FROM:<a@example.org>
	// S: 250 2.1.0 OK
	// C: RCPT TO:<b@example.com>
	// S: 250 2.1.5 OK
}

// An MX where nobody authenticates need not say a word to who is listed.
func ExampleStage() {
	check := dnslist.Middleware(dnslist.Options{
		Lists:    []dnslist.List{{Zone: "dnsbl.example"}},
		At:       dnslist.AtConnect,
		Resolver: zone,
	})
	converse(check(discard))
	// Output: S: 554 your address 192.0.2.1 is listed by dnsbl.example
}

// A list of domains from which nobody wants mail.
func ExampleSubject() {
	check := dnslist.Middleware(dnslist.Options{
		Lists:    []dnslist.List{{Zone: "names.example", Of: dnslist.Sender}},
		Resolver: zone,
	})
	converse(check(discard), "MAIL FROM:<a@spam.example>", "RCPT TO:<b@example.com>")
	// Output:
	// C: MAIL FROM:<a@spam.example>
	// S: 250 2.1.0 OK
	// C: RCPT TO:<b@example.com>
	// S: 550 5.7.1 the sender's domain is listed by names.example
}

// A report of what was found, for a log or a counter.
func ExampleResult() {
	check := dnslist.Middleware(dnslist.Options{
		Lists:    []dnslist.List{{Zone: "dnsbl.example", Weight: 3}, {Zone: "dynamic.example", Weight: 2}},
		Resolver: zone,
		Report: func(_ context.Context, c *server.Conn, r dnslist.Result) {
			fmt.Println(c.RemoteIP(), r.Action, r.Score, len(r.Outcomes))
		},
	})
	converse(check(discard), "MAIL FROM:<a@example.org>", "RCPT TO:<b@example.com>")
	// Output:
	// C: MAIL FROM:<a@example.org>
	// S: 250 2.1.0 OK
	// C: RCPT TO:<b@example.com>
	// 192.0.2.1 refuse 5 2
	// S: 550 5.7.1 your address 192.0.2.1 is listed by dnsbl.example
}

// What each of the lists says, and which of them fail.
func ExampleOutcome() {
	check := dnslist.Middleware(dnslist.Options{
		Lists:    []dnslist.List{{Zone: "dynamic.example"}, {Zone: "down.example"}},
		Resolver: zone,
		Report: func(_ context.Context, _ *server.Conn, r dnslist.Result) {
			for _, out := range r.Outcomes {
				fmt.Println(out.Name, out.Listed, out.Addrs, out.Err)
			}
		},
		At: dnslist.AtConnect,
	})
	converse(check(discard))
	// Output:
	// 1.2.0.192.dynamic.example. true [127.0.0.2] <nil>
	// 1.2.0.192.down.example. false [] dns: 1.2.0.192.down.example. A: timeout
	// S: 554 your address 192.0.2.1 is listed by dynamic.example
}

// A report that tells only of those who have to come again.
func ExampleAction() {
	check := dnslist.Middleware(dnslist.Options{
		Lists:          []dnslist.List{{Zone: "down.example"}},
		DeferOnFailure: true,
		Resolver:       zone,
		Report: func(_ context.Context, _ *server.Conn, r dnslist.Result) {
			if r.Action == dnslist.Defer {
				fmt.Println(r.Action)
			}
		},
	})
	converse(check(discard), "MAIL FROM:<a@example.org>", "RCPT TO:<b@example.com>")
	// Output:
	// C: MAIL FROM:<a@example.org>
	// S: 250 2.1.0 OK
	// C: RCPT TO:<b@example.com>
	// defer
	// S: 451 4.7.1 cannot ask DNS lists about you at this time, try again later
}
