package middleware_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/memnet"
	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/server/middleware"
	"github.com/postrider/postrider/smtp"
)

// discard is the handler behind the middleware of the examples.
var discard = server.Deliver(func(_ context.Context, m *server.Message) (smtp.Reply, error) {
	_, err := io.Copy(io.Discard, m)
	return smtp.Reply{}, err
})

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
	fmt.Fprint(conn, "HELO client.example\r\n")
	replies.Scan()
	for _, line := range lines {
		for said := range strings.SplitSeq(line, "\n") {
			fmt.Println(strings.TrimRight("C: "+said, " "))
			fmt.Fprint(conn, said+"\r\n")
		}
		replies.Scan()
		fmt.Println("S:", replies.Text())
	}
}

// An MX: known recipients only, unknown clients have to try again, and nobody
// sends too much.
func ExampleChain() {
	h := middleware.Chain(discard,
		middleware.Recipients(middleware.RecipientsOptions{Domains: []string{"example.com"}}),
		middleware.RateLimit(middleware.RateLimitOptions{Messages: 2}),
		middleware.Greylist(middleware.GreylistOptions{}),
	)
	converse(h,
		"MAIL FROM:<alice@example.org>", "RCPT TO:<bob@elsewhere.example>", "RCPT TO:<bob@example.com>", "RSET",
		"MAIL FROM:<alice@example.org>", "RSET", "MAIL FROM:<alice@example.org>")
	// Output:
	// C: MAIL FROM:<alice@example.org>
	// S: 250 2.1.0 OK
	// C: RCPT TO:<bob@elsewhere.example>
	// S: 550 5.7.1 relaying denied
	// C: RCPT TO:<bob@example.com>
	// S: 451 4.7.1 greylisted, please try again later
	// C: RSET
	// S: 250 2.0.0 reset
	// C: MAIL FROM:<alice@example.org>
	// S: 250 2.1.0 OK
	// C: RSET
	// S: 250 2.0.0 reset
	// C: MAIL FROM:<alice@example.org>
	// S: 451 4.7.1 too many messages, try again later
}

// Two recipients a day, whoever of a domain sends.
func ExampleRateLimitOptions() {
	h := middleware.RateLimit(middleware.RateLimitOptions{
		Messages:   -1,
		Recipients: 2,
		Per:        24 * time.Hour,
		Key: func(_ context.Context, _ *server.Conn, from smtp.ReversePath) string {
			return from.Domain
		},
	})(discard)
	converse(h, "MAIL FROM:<alice@example.org>", "RCPT TO:<a@example.com>", "RCPT TO:<b@example.com>", "RSET",
		"MAIL FROM:<bob@example.org>", "RCPT TO:<c@example.com>")
	// Output:
	// C: MAIL FROM:<alice@example.org>
	// S: 250 2.1.0 OK
	// C: RCPT TO:<a@example.com>
	// S: 250 2.1.5 OK
	// C: RCPT TO:<b@example.com>
	// S: 250 2.1.5 OK
	// C: RSET
	// S: 250 2.0.0 reset
	// C: MAIL FROM:<bob@example.org>
	// S: 250 2.1.0 OK
	// C: RCPT TO:<c@example.com>
	// S: 450 4.7.1 too many recipients, try again later
}

// A function, perhaps a query of a database, tells who exists.
func ExampleRecipientsOptions() {
	users := map[string]bool{"bob": true}
	h := middleware.Recipients(middleware.RecipientsOptions{
		Domains: []string{"example.com"},
		Exists: func(_ context.Context, to smtp.ForwardPath) (bool, error) {
			return users[strings.ToLower(to.Local)], nil
		},
	})(discard)
	converse(h, "MAIL FROM:<>", "RCPT TO:<Bob@example.com>", "RCPT TO:<carol@example.com>", "RCPT TO:<bob@example.net>", "RCPT TO:<Postmaster@example.com>")
	// Output:
	// C: MAIL FROM:<>
	// S: 250 2.1.0 OK
	// C: RCPT TO:<Bob@example.com>
	// S: 250 2.1.5 OK
	// C: RCPT TO:<carol@example.com>
	// S: 550 5.1.1 no such mailbox here
	// C: RCPT TO:<bob@example.net>
	// S: 550 5.7.1 relaying denied
	// C: RCPT TO:<Postmaster@example.com>
	// S: 250 2.1.5 OK
}

// Networks of one's own choice need not wait.
func ExampleGreylistOptions() {
	partners := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/29")}
	h := middleware.Greylist(middleware.GreylistOptions{
		Delay: time.Minute,
		Exempt: func(_ context.Context, c *server.Conn, _ smtp.ReversePath, _ smtp.ForwardPath) (bool, error) {
			for _, p := range partners {
				if p.Contains(c.RemoteIP()) {
					return true, nil
				}
			}
			return false, nil
		},
	})(discard)
	converse(h, "MAIL FROM:<alice@example.org>", "RCPT TO:<bob@example.com>")
	// Output:
	// C: MAIL FROM:<alice@example.org>
	// S: 250 2.1.0 OK
	// C: RCPT TO:<bob@example.com>
	// S: 250 2.1.5 OK
}

// spy is a store that tells what it is asked, and leaves the work to another.
type spy struct{ middleware.GreylistStore }

func (s spy) Put(ctx context.Context, t middleware.Triplet, r middleware.GreylistRecord) error {
	fmt.Println("put", t, "for", r.Expires.Sub(r.First))
	return s.GreylistStore.Put(ctx, t, r)
}

// A store of one's own, which several servers may share, has two methods.
func ExampleGreylistStore() {
	h := middleware.Greylist(middleware.GreylistOptions{Store: spy{middleware.MemoryGreylist(1000)}})(discard)
	converse(h, "MAIL FROM:<alice@example.org>", "RCPT TO:<bob@example.com>")
	// Output:
	// C: MAIL FROM:<alice@example.org>
	// S: 250 2.1.0 OK
	// C: RCPT TO:<bob@example.com>
	// put 192.0.2.0/24 <alice@example.org> <bob@example.com> for 24h0m0s
	// S: 451 4.7.1 greylisted, please try again later
}

// A triplet is good for a key, as it is or as text.
func ExampleTriplet() {
	t := middleware.Triplet{
		Network: netip.MustParsePrefix("192.0.2.0/24"),
		From:    "<alice@example.org>",
		To:      "<bob@example.com>",
	}
	fmt.Println(t)
	// Output: 192.0.2.0/24 <alice@example.org> <bob@example.com>
}

// A client that is known already, put into a store by hand.
func ExampleGreylistRecord() {
	store := middleware.MemoryGreylist(0)
	now := time.Now()
	client := middleware.Triplet{Network: netip.MustParsePrefix("192.0.2.1/32")}
	store.Put(context.Background(), client, middleware.GreylistRecord{First: now, Passed: true, Expires: now.Add(time.Hour)})
	h := middleware.Greylist(middleware.GreylistOptions{Store: store})(discard)
	converse(h, "MAIL FROM:<alice@example.org>", "RCPT TO:<bob@example.com>")
	// Output:
	// C: MAIL FROM:<alice@example.org>
	// S: 250 2.1.0 OK
	// C: RCPT TO:<bob@example.com>
	// S: 250 2.1.5 OK
}

// Each user sends as himself, and what a mail program has left out is added.
func ExampleSubmissionOptions() {
	h := middleware.Submission(middleware.SubmissionOptions{
		AddDate:      true,
		AddMessageID: true,
		Owns: func(_ context.Context, identity string, address smtp.Mailbox) (bool, error) {
			// Nobody has authenticated here, so that everybody is a guest.
			return identity == "" && address.Domain == "guests.example", nil
		},
	})(server.Deliver(func(_ context.Context, m *server.Message) (smtp.Reply, error) {
		text, err := io.ReadAll(m)
		fmt.Println("there is a Date:", strings.Contains(string(text), "\nDate: "))
		return smtp.Reply{}, err
	}))
	converse(h, "MAIL FROM:<alice@example.org>", "MAIL FROM:<a@guests.example>", "RCPT TO:<b@example.com>",
		"DATA", "From: president@example.com\n\nYou have won.\n.",
		"MAIL FROM:<a@guests.example>", "RCPT TO:<b@example.com>", "DATA", "From: a@guests.example\n\nHello!\n.")
	// Output:
	// C: MAIL FROM:<alice@example.org>
	// S: 550 5.7.1 you may not send as this sender
	// C: MAIL FROM:<a@guests.example>
	// S: 250 2.1.0 OK
	// C: RCPT TO:<b@example.com>
	// S: 250 2.1.5 OK
	// C: DATA
	// S: 354 end data with <CRLF>.<CRLF>
	// C: From: president@example.com
	// C:
	// C: You have won.
	// C: .
	// S: 550 5.7.1 you may not send as who is named in From or Sender
	// C: MAIL FROM:<a@guests.example>
	// S: 250 2.1.0 OK
	// C: RCPT TO:<b@example.com>
	// S: 250 2.1.5 OK
	// C: DATA
	// S: 354 end data with <CRLF>.<CRLF>
	// C: From: a@guests.example
	// C:
	// C: Hello!
	// C: .
	// there is a Date: true
	// S: 250 2.0.0 message accepted
}
