package mx_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/mx"
	"github.com/postrider/postrider/mx/dns/dnstest"
	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/server/smtptest"
	"github.com/postrider/postrider/smtp"
)

// Which addresses are tried, in which order, until when (RFC 5321 §5.1).
func TestAddressesTried(t *testing.T) {
	const three = `
		example.org MX 10 a.example.org
		example.org MX 20 b.example.org
		example.org MX 30 c.example.org
		c.example.org A 192.0.2.30
	`
	for _, tt := range []struct {
		name    string
		zone    string
		change  func(*mx.Client)
		up      string // the address of a server that takes the message
		refuses string // those of servers that greet and refuse the sender's host, after EHLO
		dialled []string
		want    string
	}{
		{"one after the other", three + "a.example.org A 192.0.2.10\nb.example.org A 192.0.2.20\n", nil, "192.0.2.30", "",
			[]string{"192.0.2.10:25", "192.0.2.20:25", "192.0.2.30:25"}, "relayed 250 2.0.0"},
		{"no more than needed", three + "a.example.org A 192.0.2.10\nb.example.org A 192.0.2.20\n", nil, "192.0.2.10", "",
			[]string{"192.0.2.10:25"}, "relayed 250 2.0.0"},
		{"IPv6 and IPv4 in turns", "example.org A 192.0.2.1\nexample.org AAAA 2001:db8::1\n", nil, "", "",
			[]string{"[2001:db8::1]:25", "192.0.2.1:25"}, "deferred host 451 4.4.1 ours"},
		{"another port", "example.org A 192.0.2.1\n", func(c *mx.Client) { c.Port = 2525 }, "192.0.2.1", "",
			[]string{"192.0.2.1:2525"}, "relayed 250 2.0.0"},
		{"from an address of the family", "example.org A 192.0.2.1\nexample.org AAAA 2001:db8::1\n", func(c *mx.Client) {
			c.LocalAddrs = []netip.Addr{netip.MustParseAddr("192.0.2.99"), netip.MustParseAddr("192.0.2.98"), netip.MustParseAddr("2001:db8::99")}
		}, "", "", []string{"[2001:db8::1]:25 from 2001:db8::99", "192.0.2.1:25 from 192.0.2.99"}, "deferred host 451 4.4.1 ours"},
		{"a host without addresses is passed over", three + "b.example.org A 192.0.2.20\n", nil, "192.0.2.20", "",
			[]string{"192.0.2.20:25"}, "relayed 250 2.0.0"},
		{"a host that the DNS fails for is passed over", three + "a.example.org SERVFAIL\nb.example.org A 192.0.2.20\n", nil, "192.0.2.20", "",
			[]string{"192.0.2.20:25"}, "relayed 250 2.0.0"},
		{"two addresses", three + "a.example.org A 192.0.2.10\nb.example.org A 192.0.2.20\n", func(c *mx.Client) { c.MaxAddrs = 2 }, "192.0.2.30", "",
			[]string{"192.0.2.10:25", "192.0.2.20:25"}, "deferred host 451 4.4.1 ours"},
		{"one address", three + "a.example.org A 192.0.2.10\nb.example.org A 192.0.2.20\n", func(c *mx.Client) { c.MaxAddrs = 1 }, "192.0.2.30", "",
			[]string{"192.0.2.10:25"}, "deferred host 451 4.4.1 ours"},
		{"an address of several names once", three + "a.example.org A 192.0.2.30\nb.example.org CNAME c.example.org\n", nil, "", "",
			[]string{"192.0.2.30:25"}, "deferred host 451 4.4.1 ours"},
		{"two sessions", three + "a.example.org A 192.0.2.10\nb.example.org A 192.0.2.20\n", nil, "192.0.2.30", "192.0.2.10 192.0.2.20",
			[]string{"192.0.2.10:25", "192.0.2.20:25"}, "deferred host 421"},
		{"three sessions", three + "a.example.org A 192.0.2.10\nb.example.org A 192.0.2.20\n", func(c *mx.Client) { c.MaxSessions = 3 }, "192.0.2.30", "192.0.2.10 192.0.2.20",
			[]string{"192.0.2.10:25", "192.0.2.20:25", "192.0.2.30:25"}, "relayed 250 2.0.0"},
	} {
		t.Run(strings.ReplaceAll(tt.name, " ", "-"), func(t *testing.T) {
			n := newNetwork(t)
			if tt.up != "" {
				n.server(tt.up, smtptest.NoTLS)
			}
			for addr := range strings.FieldsSeq(tt.refuses) {
				n.script(addr, "S: 220 mx\nC: EHLO relay.example\nS: 421 no\nS: <close>\n")
			}
			c := n.client(dnstest.MustParse(tt.zone))
			if tt.change != nil {
				tt.change(c)
			}
			results, _ := c.Deliver(t.Context(), "example.org", message(t, "to@example.org"))
			equal(t, "outcome", sentences(results), []string{tt.want})
			equal(t, "dialled", n.dialled(), tt.dialled)
		})
	}
}

// Five addresses are tried, and one is left for the next host.
func TestManyAddresses(t *testing.T) {
	var text strings.Builder
	text.WriteString("example.org MX 10 many.example.org\nexample.org MX 20 backup.example.org\nbackup.example.org A 192.0.2.200\n")
	for i := range 100 {
		fmt.Fprintf(&text, "many.example.org A 192.0.2.%d\n", i+1)
	}
	n := newNetwork(t)
	n.server("192.0.2.200", smtptest.NoTLS)
	results, err := n.client(dnstest.MustParse(text.String())).Deliver(t.Context(), "example.org", message(t, "to@example.org"))
	if err != nil || results[0].Host != "backup.example.org" || results[0].Addr != "192.0.2.200:25" {
		t.Errorf("%+v, %v", results[0], err)
	}
	if log := n.dialled(); len(log) != 5 {
		t.Errorf("dialled %q", log)
	}
}

// A hostile list costs a bounded number of lookups.
func TestThousandsOfHostsThatDoNotExist(t *testing.T) {
	var text strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&text, "example.org MX %d h%d.gone.example\n", i, i)
	}
	zone := dnstest.MustParse(text.String())
	results, _ := newNetwork(t).client(zone).Deliver(t.Context(), "example.org", message(t, "to@example.org"))
	equal(t, "outcome", sentences(results), []string{"failed host 550 5.4.4 ours"})
	if q := len(zone.Queries()); q != 1+20*2 {
		t.Errorf("%d queries", q)
	}
}

// Of two hosts' outcomes the one counts that leaves more open; what a server says of
// the recipient counts whatever was before.
func TestOutcomesOfTwoHosts(t *testing.T) {
	const (
		noAddr     = ""
		refused    = "S: 554 5.7.1 no\nC: QUIT\nS: <close>\n"
		busy       = "S: 450 4.3.2 busy\nC: QUIT\nS: <close>\n"
		lost       = "S: <close>\n"
		recipient  = "S: 220 mx\nC: EHLO relay.example\nS: 250 mx\nC: MAIL FROM:<from@example.com>\nS: 250 ok\nC: RCPT TO:<to@example.org>\nS: 550 5.1.1 unknown\n"
		greylisted = "S: 220 mx\nC: EHLO relay.example\nS: 250 mx\nC: MAIL FROM:<from@example.com>\nS: 250 ok\nC: RCPT TO:<to@example.org>\nS: 450 4.7.1 later\n"
	)
	for _, tt := range []struct {
		first, second, want string
	}{
		{refused, refused, "failed host 554 5.7.1"},
		{refused, noAddr, "failed host 554 5.7.1"},
		{noAddr, refused, "failed host 554 5.7.1"},
		{noAddr, noAddr, "failed host 550 5.4.4 ours"},
		{refused, busy, "deferred host 450 4.3.2"},
		{busy, refused, "deferred host 450 4.3.2"},
		{lost, refused, "deferred host 451 4.4.2 ours"},
		{lost, busy, "deferred host 450 4.3.2"},
		{busy, lost, "deferred host 450 4.3.2"},
		{lost, noAddr, "deferred host 451 4.4.2 ours"},
		{busy, recipient, "failed recipient 550 5.1.1"},
		{lost, recipient, "failed recipient 550 5.1.1"},
		{refused, greylisted, "deferred recipient 450 4.7.1"},
		{recipient, busy, "failed recipient 550 5.1.1"},
	} {
		zone := dnstest.MustParse("example.org MX 10 a.example.org\nexample.org MX 20 b.example.org")
		n := newNetwork(t)
		for i, script := range []string{tt.first, tt.second} {
			if script != noAddr {
				addr := fmt.Sprintf("192.0.2.%d", i)
				n.script(addr, script)
				if err := zone.Add(fmt.Sprintf("%c.example.org A %s", 'a'+i, addr)); err != nil {
					t.Fatal(err)
				}
			}
		}
		results, _ := n.client(zone).Deliver(t.Context(), "example.org", message(t, "to@example.org"))
		if got := sentence(results[0]); got != tt.want {
			t.Errorf("%q then %q: %s, want %s", tt.first, tt.second, got, tt.want)
		}
	}
}

// The next host gets those whose outcome the first has not decided, and no others.
func TestRecipientsLeft(t *testing.T) {
	zone := dnstest.MustParse("example.org MX 10 a.example.org\nexample.org MX 20 b.example.org\na.example.org A 192.0.2.1\nb.example.org A 192.0.2.2\n")
	n := newNetwork(t)
	n.script("192.0.2.1", `
		S: 220 mx
		C: EHLO relay.example
		S: 250 mx
		C: MAIL FROM:<from@example.com>
		S: 250 ok
		C: RCPT TO:<one@example.org>
		S: 550 5.1.1 unknown
		C: RCPT TO:<two@example.org>
		S: 250 ok
		C: RCPT TO:<three@example.org>
		S: 450 4.2.2 full
		C: RCPT TO:<four@example.org>
		S: 421 4.3.2 bye
		S: <close>
	`)
	second := n.server("192.0.2.2", smtptest.NoTLS)
	results, err := n.client(zone).Deliver(t.Context(), "example.org", message(t, "one@example.org", "two@example.org", "three@example.org", "four@example.org"))
	if err != nil {
		t.Error(err)
	}
	equal(t, "outcomes", sentences(results), []string{"failed recipient 550 5.1.1", "relayed 250 2.0.0", "deferred recipient 450 4.2.2", "relayed 250 2.0.0"})
	equal(t, "recipients of the second", second.Messages()[0].To(), []string{"two@example.org", "four@example.org"})
	for i, host := range []string{"a.example.org", "b.example.org", "a.example.org", "b.example.org"} {
		if results[i].Host != host || results[i].Recipient.Local != []string{"one", "two", "three", "four"}[i] {
			t.Errorf("%d: %s from %s", i, results[i].Recipient, results[i].Host)
		}
	}
}

// All recipients share one copy, or as many as the server asks for (RFC 9422 §4.2,
// RFC 5321 §4.5.3.1.10).
func TestCopies(t *testing.T) {
	to := []string{"a@example.org", "b@example.org", "c@other.example", "d@example.org", "e@example.org"}
	for most, copies := range map[int]int{0: 1, 2: 3, 5: 1} {
		n := newNetwork(t)
		s := n.server("192.0.2.1", smtptest.NoTLS, func(s *smtptest.Server) { s.Config.Limits.MaxRecipients = most })
		results, err := n.client(dnstest.MustParse("example.org A 192.0.2.1")).Deliver(t.Context(), "example.org", message(t, to...))
		if err != nil {
			t.Error(err)
		}
		for _, r := range results {
			if got := sentence(r); got != "relayed 250 2.0.0" {
				t.Errorf("%s: %s", r.Recipient, got)
			}
		}
		if got := len(s.Messages()); got != copies {
			t.Errorf("%d at most: %d copies", most, got)
		}
	}
}

// TLS that fails on the way to those who are left sends nothing again to those who
// have the message.
func TestTLSFailsBetweenCopies(t *testing.T) {
	for _, broken := range []smtptest.Fault{smtptest.On("STARTTLS").Skip(1).Drop(), smtptest.On("EHLO").Skip(3).Drop()} {
		n := newNetwork(t)
		s := n.server("192.0.2.1", requireTLSServer(t), func(s *smtptest.Server) { s.Config.Limits.MaxRecipients = 1 })
		s.Fault(smtptest.On("MAIL").Skip(1).Times(1).Drop())
		s.Fault(broken.Times(1))
		results, err := n.client(dnstest.MustParse("example.org A 192.0.2.1")).Deliver(t.Context(), "example.org", message(t, "a@example.org", "b@example.org"))
		if err != nil || results[0].Status != mx.Relayed || results[1].Status != mx.Deferred || len(s.Messages()) != 1 {
			t.Errorf("%q, %v, %d copies", sentences(results), err, len(s.Messages()))
		}
	}
}

// A connection that is lost in the middle of the data has delivered nothing: the
// next host gets the message.
func TestLostInTheData(t *testing.T) {
	zone := dnstest.MustParse("example.org MX 10 a.example.org\nexample.org MX 20 b.example.org\na.example.org A 192.0.2.1\nb.example.org A 192.0.2.2\n")
	n := newNetwork(t)
	first := n.server("192.0.2.1", smtptest.NoTLS)
	first.Fault(smtptest.InData(100_000).Drop())
	second := n.server("192.0.2.2", smtptest.NoTLS)
	m := message(t, "to@example.org")
	m.Content = smtp.BytesContent([]byte("Subject: long\r\n\r\n" + strings.Repeat("0123456789\r\n", 200_000)))
	results, err := n.client(zone).Deliver(t.Context(), "example.org", m)
	if err != nil || results[0].Host != "b.example.org" || len(first.Messages()) != 0 || len(second.Messages()) != 1 {
		t.Errorf("%+v, %v", results[0], err)
	}
}

// A host that cannot take the message as it is, is passed over; if all are such, the
// message is at fault.
func TestUnsuitableHosts(t *testing.T) {
	const zone = "example.org MX 10 a.example.org\nexample.org MX 20 b.example.org\na.example.org A 192.0.2.1\nb.example.org A 192.0.2.2\n"
	eightBit := smtp.BytesContent([]byte("Subject: x\r\n\r\nüml\xc3\xa4ut\r\n"))
	for _, tt := range []struct {
		hidden [2]string
		want   string
	}{
		{[2]string{"8BITMIME", ""}, "relayed 250 2.0.0"},
		{[2]string{"8BITMIME", "8BITMIME"}, "failed message 554 5.6.3 ours"},
		{[2]string{"", "8BITMIME"}, "relayed 250 2.0.0"},
	} {
		n := newNetwork(t)
		for i, hidden := range tt.hidden {
			s := n.server(fmt.Sprintf("192.0.2.%d", i+1), smtptest.NoTLS)
			s.Hide(hidden)
		}
		m := message(t, "to@example.org")
		m.Content = eightBit
		results, _ := n.client(dnstest.MustParse(zone)).Deliver(t.Context(), "example.org", m)
		if got := sentence(results[0]); got != tt.want {
			t.Errorf("%q: %s, want %s: %v", tt.hidden, got, tt.want, results[0].Err)
		}
	}
}

// This host is known by its addresses too: it, its equals and what is behind them
// are left out (RFC 5321 §5.1).
func TestLoopByAddress(t *testing.T) {
	const hosts = "a.example.org A 192.0.2.1\nb.example.org A 192.0.2.2\nus.example.net AAAA 2001:db8::99\n"
	for _, tt := range []struct {
		zone    string
		want    string
		dialled []string
	}{
		{"example.org MX 10 us.example.net\nexample.org MX 20 b.example.org\n", "failed site 554 5.4.6 ours", nil},
		{"example.org MX 10 us.example.net\nexample.org MX 10 a.example.org\nexample.org MX 10 b.example.org\n", "failed site 554 5.4.6 ours", nil},
		{"example.org MX 10 a.example.org\nexample.org MX 20 b.example.org\nexample.org MX 20 us.example.net\n", "deferred host 451 4.4.1 ours", []string{"192.0.2.1:25"}},
		{"example.org AAAA 2001:db8::99\n", "failed site 554 5.4.6 ours", nil},
	} {
		n := newNetwork(t)
		c := n.client(dnstest.MustParse(hosts + tt.zone))
		c.Router.LocalAddrs = []netip.Addr{netip.MustParseAddr("2001:db8::99")}
		results, _ := c.Deliver(t.Context(), "example.org", message(t, "to@example.org"))
		equal(t, tt.zone, sentences(results), []string{tt.want})
		equal(t, tt.zone, n.dialled(), tt.dialled)
	}
}

// What is wrong before any host is asked.
func TestNothingToTry(t *testing.T) {
	zone := dnstest.MustParse("null.example MX 0 .\nbad.example SERVFAIL\nus.example MX 0 relay.example\nlocal.example A 127.0.0.1\n")
	broken := errors.New("disk on fire")
	for _, tt := range []struct {
		name   string
		domain string
		change func(*mx.Message)
		want   string
	}{
		{"null MX", "null.example", nil, "failed site 556 5.1.10 ours"},
		{"no such domain", "gone.example", nil, "failed site 550 5.1.2 ours"},
		{"no domain", "", nil, "failed site 550 5.1.2 ours"},
		{"DNS fails", "bad.example", nil, "deferred site 451 4.4.3 ours"},
		{"loop", "us.example", nil, "failed site 554 5.4.6 ours"},
		{"loopback", "local.example", nil, "failed host 550 5.4.4 ours"},
		{"an address that is none", "null.example", func(m *mx.Message) { m.Envelope.Recipients[0].To.Local = "a\r\nb" }, "failed message 501 5.1.3 ours"},
		{"no content", "null.example", func(m *mx.Message) { m.Content = smtp.Content{} }, "failed message 554 5.6.0 ours"},
		{"content that cannot be read", "null.example", func(m *mx.Message) {
			m.Content = smtp.Content{Open: func() (io.ReadCloser, error) { return nil, broken }}
		}, "deferred local 451 4.3.0 ours"},
	} {
		t.Run(strings.ReplaceAll(tt.name, " ", "-"), func(t *testing.T) {
			c := newNetwork(t).client(zone)
			c.Router.Hostnames = []string{"relay.example"}
			m := message(t, "a@example.org", "b@example.org")
			if tt.change != nil {
				tt.change(m)
			}
			results, err := c.Deliver(t.Context(), tt.domain, m)
			equal(t, "outcomes", sentences(results), []string{tt.want, tt.want})
			if err == nil {
				t.Error("no error")
			}
		})
	}
	results, err := newNetwork(t).client(zone).Deliver(t.Context(), "null.example", &mx.Message{Content: content})
	if len(results) != 0 || err == nil {
		t.Errorf("no recipients: %v, %v", results, err)
	}
}

// A content that can be read once goes to one address if it is long, to all if not.
func TestContentReadOnce(t *testing.T) {
	zone := dnstest.MustParse("example.org MX 10 a.example.org\nexample.org MX 20 b.example.org\na.example.org A 192.0.2.1\nb.example.org A 192.0.2.2\n")
	for size, want := range map[int]string{100: "relayed 250 2.0.0", 100_000: "deferred host 451 4.4.1 ours"} {
		n := newNetwork(t)
		n.server("192.0.2.2", smtptest.NoTLS)
		m := message(t, "to@example.org")
		m.Content = smtp.ReaderContent(strings.NewReader("Subject: once\r\n\r\n" + strings.Repeat("0123456789\r\n", size/12)))
		results, _ := n.client(zone).Deliver(t.Context(), "example.org", m)
		equal(t, fmt.Sprint(size), sentences(results), []string{want})
	}
}

// It is closed, whatever comes of the message, and its place is not taken by a
// failure to read it again.
func TestContentReadOnceIsClosed(t *testing.T) {
	const hosts = "example.org MX 10 mx.example.org\n"
	for _, tt := range []struct {
		zone, to, want string
	}{
		{"example.org MX 0 .", "to@example.org", "failed site 556 5.1.10 ours"},
		{"example.org SERVFAIL", "to@example.org", "deferred site 451 4.4.3 ours"},
		{hosts, "to@example.org", "failed host 550 5.4.4 ours"},
		{hosts + "mx.example.org A 192.0.2.1\nmx.example.org A 192.0.2.2", "to@example.org", "deferred host 451 4.4.1 ours"},
		{hosts + "mx.example.org A 192.0.2.3", "to@example.org", "relayed 250 2.0.0"},
		{hosts + "mx.example.org A 192.0.2.4", "to@example.org", "deferred policy 451 4.7.5 ours"},
		{hosts, "", ""},
	} {
		for _, size := range []int{100, 100_000} {
			if size == 100 && strings.HasSuffix(tt.want, "451 4.7.5 ours") {
				continue // it goes again in plaintext
			}
			n := newNetwork(t)
			n.server("192.0.2.3", smtptest.NoTLS)
			n.script("192.0.2.4", startTLS("S: <close>"))
			m := message(t, strings.Fields(tt.to)...)
			r := &closeCounter{Reader: strings.NewReader(strings.Repeat("0123456789\r\n", size/12))}
			m.Content = smtp.ReaderContent(r)
			results, _ := n.client(dnstest.MustParse(tt.zone)).Deliver(t.Context(), "example.org", m)
			equal(t, fmt.Sprintf("%q %d", tt.zone, size), sentences(results), strings.SplitAfterN(tt.want, "\n", len(results)))
			if r.closed != 1 {
				t.Errorf("%q %d: closed %d times", tt.zone, size, r.closed)
			}
		}
	}
}

type closeCounter struct {
	io.Reader
	closed int
}

func (c *closeCounter) Close() error {
	c.closed++
	return nil
}

// That all connections are in use is no host's fault, and another host is no better.
func TestAllConnectionsInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		for _, addr := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.3"} {
			n.server(addr, smtptest.NoTLS)
		}
		c := n.client(dnstest.MustParse("busy.example A 192.0.2.1\nexample.org A 192.0.2.2\nexample.org A 192.0.2.3"))
		c.Timeouts, c.MaxConns, c.AttemptTimeout = client.Timeouts{}, 1, time.Minute
		from, to := io.Pipe() // a Read that nobody ends
		m := message(t, "to@busy.example")
		m.Content = smtp.Content{Open: func() (io.ReadCloser, error) { return io.NopCloser(from), nil }, Size: -1, Kind: smtp.KindExamined}
		var busy sync.WaitGroup
		busy.Go(func() { c.Deliver(t.Context(), "busy.example", m) })
		synctest.Wait()
		began := time.Now()
		results, _ := c.Deliver(t.Context(), "example.org", message(t, "to@example.org"))
		equal(t, "outcome", sentences(results), []string{"deferred local 451 4.3.2 ours"})
		if took := time.Since(began); took != time.Minute {
			t.Errorf("it took %v", took)
		}
		to.Close()
		busy.Wait()
		c.Close()
	})
}

// Who tells the sender that he is waiting to hear from.
func TestRelayedOrDelivered(t *testing.T) {
	by := smtp.DeliverBy{Within: time.Hour, Mode: smtp.DeliverNotify}
	for _, tt := range []struct {
		offers []server.Extension
		by     smtp.DeliverBy
		lmtp   bool
		want   mx.Status
		dsn    bool
	}{
		{nil, smtp.DeliverBy{}, false, mx.Relayed, false}, // RFC 3461 §5.2.2
		{[]server.Extension{server.DSN}, smtp.DeliverBy{}, false, mx.Delivered, true},
		{[]server.Extension{server.DSN}, by, false, mx.Relayed, true}, // RFC 2852 §4.1.4.2
		{[]server.Extension{server.DSN, server.DeliverBy(0)}, by, false, mx.Delivered, true},
		{nil, smtp.DeliverBy{}, true, mx.Delivered, false},
		{[]server.Extension{server.DSN}, smtp.DeliverBy{}, true, mx.Delivered, true},
	} {
		n := newNetwork(t)
		n.server("192.0.2.1", smtptest.NoTLS, func(s *smtptest.Server) {
			if tt.lmtp {
				smtptest.LMTP(s)
			}
			s.Config.Extensions = append(s.Config.Extensions, tt.offers...)
		})
		c := n.client(dnstest.MustParse("example.org A 192.0.2.1"))
		c.NextHop = func(string, *mx.Message) *mx.NextHop { return &mx.NextHop{LMTP: tt.lmtp} }
		m := message(t, "to@example.org")
		m.Envelope.MailParams.By = tt.by
		m.Envelope.Recipients[0].RcptParams.Notify = smtp.NotifySuccess
		results, err := c.Deliver(t.Context(), "example.org", m)
		if err != nil || results[0].Status != tt.want || results[0].DSN != tt.dsn {
			t.Errorf("%d offers, by %v, LMTP %t: %s, DSN %t, %v", len(tt.offers), tt.by, tt.lmtp, results[0].Status, results[0].DSN, err)
		}
	}
}

// With LMTP each recipient has an outcome of his own after the data (RFC 2033 §4.2).
func TestLMTP(t *testing.T) {
	n := newNetwork(t)
	s := n.server("/run/lmtp.sock", smtptest.LMTP)
	s.Fault(smtptest.AfterData().For("b@example.org").Reply(552, "5.2.2", "full"))
	c := n.client(dnstest.MustParse(""))
	c.NextHop = func(string, *mx.Message) *mx.NextHop {
		return &mx.NextHop{Hosts: []string{"/run/lmtp.sock"}, LMTP: true}
	}
	m := message(t, "a@example.org", "b@example.org", "c@example.org")
	m.Envelope.MailParams.RequireTLS = true // which is about hops
	results, err := c.Deliver(t.Context(), "example.org", m)
	if err != nil {
		t.Error(err)
	}
	equal(t, "outcomes", sentences(results), []string{"delivered 250 2.0.0", "failed recipient 552 5.2.2", "delivered 250 2.0.0"})
}

// A reply that does not come for some is unknown for those.
func TestLMTPLost(t *testing.T) {
	n := newNetwork(t)
	n.script("/run/lmtp.sock", `
		S: 220 lmtp
		C: LHLO relay.example
		S: 250 lmtp
		C: MAIL FROM:<from@example.com>
		S: 250 ok
		C: RCPT TO:<a@example.org>
		S: 250 ok
		C: RCPT TO:<b@example.org>
		S: 250 ok
		C: DATA
		S: 354 go
		C: Subject: test
		C:
		C: Hello.
		C: .
		S: 250 2.0.0 a has it
		S: <close>
	`)
	c := n.client(dnstest.MustParse(""))
	c.NextHop = func(string, *mx.Message) *mx.NextHop {
		return &mx.NextHop{Hosts: []string{"/run/lmtp.sock", "[192.0.2.1]"}, LMTP: true}
	}
	results, _ := c.Deliver(t.Context(), "example.org", message(t, "a@example.org", "b@example.org"))
	equal(t, "outcomes", sentences(results), []string{"delivered 250 2.0.0", "deferred unknown host 451 4.4.2 ours"})
	equal(t, "dialled", n.dialled(), []string{"/run/lmtp.sock"})
}

// Time limits: of one address, and then the next is tried, of everything, and the
// caller's. What had not ended is deferred.
func TestTimeLimits(t *testing.T) {
	const zone = "example.org MX 10 a.example.org\nexample.org MX 20 b.example.org\na.example.org A 192.0.2.1\nb.example.org A 192.0.2.2\n"
	for _, tt := range []struct {
		name   string
		script string
		change func(*mx.Client)
		caller time.Duration
		took   time.Duration
		want   string
	}{
		{"an address", "S: 220 mx\nC: EHLO relay.example\n", func(c *mx.Client) { c.AttemptTimeout = 3 * time.Minute }, 0, 3 * time.Minute, "relayed 250 2.0.0"},
		{"the greeting", "", nil, 0, 5 * time.Minute, "relayed 250 2.0.0"}, // §4.5.3.2.1
		{"everything", "S: 220 mx\nC: EHLO relay.example\n", func(c *mx.Client) { c.Timeout = time.Minute }, 0, time.Minute, "deferred local 451 4.3.2 ours"},
		{"the caller", "S: 220 mx\nC: EHLO relay.example\n", nil, time.Minute, time.Minute, "deferred local 451 4.3.2 ours"},
		{"the caller after the data", end(""), nil, time.Minute, time.Minute, "deferred unknown host 451 4.4.2 ours"},
	} {
		t.Run(strings.ReplaceAll(tt.name, " ", "-"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t)
				n.script("192.0.2.1", tt.script+"S: <wait 3h>\n")
				n.server("192.0.2.2", smtptest.NoTLS)
				c := n.client(dnstest.MustParse(zone))
				c.Timeouts = client.Timeouts{}
				if tt.change != nil {
					tt.change(c)
				}
				ctx := t.Context()
				if tt.caller > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.caller)
					defer cancel()
				}
				began := time.Now()
				results, _ := c.Deliver(ctx, "example.org", message(t, "to@example.org"))
				if got := sentence(results[0]); got != tt.want {
					t.Errorf("%s, want %s: %v", got, tt.want, results[0].Err)
				}
				if results[0].Host == "" {
					t.Error("no host")
				}
				if took := time.Since(began); took != tt.took {
					t.Errorf("took %v, want %v", took, tt.took)
				}
				c.Close()
			})
		})
	}
}

// A dial that never ends is given 30 seconds.
func TestDialTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.hosts["192.0.2.1"] = func(ctx context.Context) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		c := n.client(dnstest.MustParse("example.org A 192.0.2.1"))
		c.Timeouts = client.Timeouts{}
		began := time.Now()
		results, _ := c.Deliver(t.Context(), "example.org", message(t, "to@example.org"))
		equal(t, "outcome", sentences(results), []string{"deferred host 451 4.4.1 ours"})
		if took := time.Since(began); took != 30*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestClosedClient(t *testing.T) {
	c := newNetwork(t).client(dnstest.MustParse("example.org A 192.0.2.1"))
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	results, err := c.Deliver(t.Context(), "example.org", message(t, "to@example.org"))
	equal(t, "outcome", sentences(results), []string{"deferred local 451 4.3.2 ours"})
	if !errors.Is(err, client.ErrClosed) {
		t.Error(err)
	}
}

// Of several failures the error is the one that gives the most hope.
func TestDeliverError(t *testing.T) {
	n := newNetwork(t)
	s := n.server("192.0.2.1", smtptest.NoTLS)
	s.Fault(smtptest.On("RCPT").For("a@example.org").Reply(550, "5.1.1", "unknown"))
	s.Fault(smtptest.On("RCPT").For("b@example.org").Reply(450, "4.2.1", "later"))
	_, err := n.client(dnstest.MustParse("example.org A 192.0.2.1")).Deliver(t.Context(), "example.org", message(t, "a@example.org", "b@example.org"))
	var refused *smtp.Error
	if !errors.As(err, &refused) || refused.Reply.Code != 450 {
		t.Fatal(err)
	}
	if got, want := err.Error(), "mx: example.org: example.org: smtp: RCPT: 450 4.2.1 later"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// Names that are none break out of no log.
func TestErrorText(t *testing.T) {
	_, err := new(mx.Router).Route(t.Context(), "a\r\nb\u2028.example")
	if got, want := err.Error(), `mx: "a\r\nb\u2028.example": 550 5.1.2 not the name of a domain`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	var reply *smtp.Error
	if !errors.As(err, &reply) || reply.Reply.Code != 550 || reply.Scope != smtp.ScopeHost || reply.Temporary() {
		t.Errorf("%+v", reply)
	}
}

// Deliveries at the same time do not get in each other's way, nor each other's
// outcomes.
func TestConcurrentDeliveries(t *testing.T) {
	n := newNetwork(t)
	zone := dnstest.MustParse("")
	for i := range 4 {
		s := n.server(fmt.Sprintf("192.0.2.%d", i), smtptest.NoTLS)
		s.Fault(smtptest.On("RCPT").For("nobody@example.org").Reply(550, "5.1.1", "unknown"))
		s.Fault(smtptest.On("MAIL").Reply(421, "4.3.2", "restarting").Skip(5).Times(1))
		s.Fault(smtptest.AfterData().For("lost@example.org").Drop())
		for j := range 3 {
			if err := zone.Add(fmt.Sprintf("d%d.example MX 10 h%d.example\nh%d.example A 192.0.2.%d", (i+j)%4, i, i, i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	c := n.client(zone)
	c.Limiter = &mx.SiteLimiter{PerSite: 3}
	var all sync.WaitGroup
	for i := range 60 {
		all.Go(func() {
			to, want := "to@example.org", "relayed 250 2.0.0"
			switch i % 3 {
			case 1:
				to, want = "nobody@example.org", "failed recipient 550 5.1.1"
			case 2:
				to, want = "lost@example.org", "deferred unknown host 451 4.4.2 ours"
			}
			results, _ := c.Deliver(t.Context(), fmt.Sprintf("d%d.example", i%4), message(t, to))
			if got := sentence(results[0]); got != want && got != "deferred host 421 4.3.2" {
				t.Errorf("%d: %s, want %s: %v", i, got, want, results[0].Err)
			}
		})
	}
	all.Wait()
}

// Who gives up between two hosts has not tried all: what failed for good there may
// succeed at another.
func TestGivesUpBetweenHosts(t *testing.T) {
	n := newNetwork(t)
	n.script("192.0.2.1", "S: 554 no\nC: QUIT\nS: <close>\n")
	c := n.client(dnstest.MustParse("example.org MX 10 a.example.org\nexample.org MX 20 b.example.org\na.example.org A 192.0.2.1\nb.example.org A 192.0.2.2\n"))
	ctx, cancel := context.WithCancel(t.Context())
	c.Trace = &mx.Trace{Attempted: func(context.Context, *mx.Attempt) { cancel() }}
	results, _ := c.Deliver(ctx, "example.org", message(t, "to@example.org"))
	equal(t, "outcome", sentences(results), []string{"deferred local 451 4.3.2 ours"})
}

// BY= runs while hosts are tried (RFC 2852 §4.1.4).
func TestDeliverByRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.script("192.0.2.1", "S: <wait 3h>\n")
		s := n.server("192.0.2.2", smtptest.NoTLS, func(s *smtptest.Server) {
			s.Config.Extensions = append(s.Config.Extensions, server.DeliverBy(0))
		})
		c := n.client(dnstest.MustParse("example.org MX 10 a.example.org\nexample.org MX 20 b.example.org\na.example.org A 192.0.2.1\nb.example.org A 192.0.2.2\n"))
		c.Timeouts, c.AttemptTimeout = client.Timeouts{}, time.Minute
		m := message(t, "to@example.org")
		m.Envelope.MailParams.By = smtp.DeliverBy{Within: 10 * time.Minute, Mode: smtp.DeliverReturn}
		if _, err := c.Deliver(t.Context(), "example.org", m); err != nil {
			t.Fatal(err)
		}
		if by := s.Messages()[0].Envelope.MailParams.By.Within; by != 9*time.Minute {
			t.Errorf("BY=%v", by)
		}
		c.Close()
	})
}

// Recipients that a server has no room for, of a message that cannot be read again,
// wait: another host would not do better by them.
func TestRecipientsBeyondTheLimit(t *testing.T) {
	n := newNetwork(t)
	n.server("192.0.2.1", smtptest.NoTLS, func(s *smtptest.Server) { s.Config.Limits.MaxRecipients = 1 })
	c := n.client(dnstest.MustParse("example.org MX 10 a.example.org\nexample.org MX 20 b.example.org\na.example.org A 192.0.2.1\nb.example.org A 192.0.2.2\n"))
	m := message(t, "a@example.org", "b@example.org")
	m.Content = smtp.ReaderContent(strings.NewReader("Subject: once\r\n\r\n" + strings.Repeat("0123456789\r\n", 10_000)))
	results, err := c.Deliver(t.Context(), "example.org", m)
	if err != nil {
		t.Error(err)
	}
	equal(t, "outcomes", sentences(results), []string{"relayed 250 2.0.0", "deferred message 452 4.5.3 ours"})
	equal(t, "dialled", n.dialled(), []string{"192.0.2.1:25"})
}

// What a host does not offer, and the message cannot do without, the next may.
func TestExtensionNotOffered(t *testing.T) {
	n := newNetwork(t)
	n.server("192.0.2.1", smtptest.NoTLS)
	n.server("192.0.2.2", smtptest.NoTLS, func(s *smtptest.Server) {
		s.Config.Extensions = append(s.Config.Extensions, server.FutureRelease(time.Hour))
	})
	c := n.client(dnstest.MustParse("example.org MX 10 a.example.org\nexample.org MX 20 b.example.org\nalone.example MX 10 a.example.org\na.example.org A 192.0.2.1\nb.example.org A 192.0.2.2\n"))
	m := message(t, "to@example.org")
	m.Envelope.MailParams.Hold.For = time.Minute
	for domain, want := range map[string]string{"example.org": "relayed 250 2.0.0", "alone.example": "failed message 554 5.6.3 ours"} {
		results, _ := c.Deliver(t.Context(), domain, m)
		equal(t, domain, sentences(results), []string{want})
	}
}

// A recipient that must not go to a host without RRVS (RFC 7293 §5.1.1) goes to the next
// that has it; the others go to the first.
func TestRecipientNeedsRRVS(t *testing.T) {
	n := newNetwork(t)
	n.server("192.0.2.1", smtptest.NoTLS)
	s := n.server("192.0.2.2", smtptest.NoTLS, func(s *smtptest.Server) {
		s.Config.Extensions = append(s.Config.Extensions, server.RRVS)
	})
	c := n.client(dnstest.MustParse("example.org MX 10 a.example.org\nexample.org MX 20 b.example.org\nalone.example MX 10 a.example.org\na.example.org A 192.0.2.1\nb.example.org A 192.0.2.2\n"))
	m := message(t, "to@example.org", "reassigned@example.org")
	m.Envelope.Recipients[1].RcptParams.RRVS = &smtp.RRVS{Since: time.Date(2024, 4, 3, 23, 1, 0, 0, time.UTC)}
	for domain, want := range map[string]string{"example.org": "relayed 250 2.0.0", "alone.example": "failed message 554 5.6.3 ours"} {
		results, _ := c.Deliver(t.Context(), domain, m)
		equal(t, domain, sentences(results), []string{"relayed 250 2.0.0", want})
	}
	if got := s.Messages(); len(got) != 1 || len(got[0].Envelope.Recipients) != 1 {
		t.Errorf("%d messages at the second", len(got))
	}
}

// An address that has failed as one host may do as another, of which it can prove
// that it is that.
func TestAddressWithTwoNames(t *testing.T) {
	n := newNetwork(t)
	n.server("192.0.2.1", requireTLSServer(t))
	c := n.client(dnstest.MustParse("example.org MX 10 a.elsewhere.example\nexample.org MX 20 a.example.org\na.elsewhere.example A 192.0.2.1\na.example.org A 192.0.2.1\n"))
	c.TLSConfig = trusting(t)
	mx.SetPolicy(c, func(host string) (mx.Policy, error) {
		level := mx.LevelVerify
		if host == "a.example.org" {
			level = mx.LevelEncrypt
		}
		return mx.Policy{Level: level, Names: []string{host}}, nil
	})
	results, _ := c.Deliver(t.Context(), "example.org", message(t, "to@example.org"))
	equal(t, "outcome", sentences(results), []string{"relayed 250 2.0.0"})
}
