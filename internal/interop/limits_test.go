//go:build interop

package interop

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// many returns n addresses of that domain.
func many(n int, domain string) (to []string) {
	for i := range n {
		to = append(to, fmt.Sprintf("r%d@%s", i, domain))
	}
	return to
}

// Exim announces with LIMITS (RFC 9422) how many recipients and messages it takes.
// Our client keeps to it: the message goes in as many transactions, and these
// over as many connections, and Exim has nothing to refuse.
func TestLimitsOfExim(t *testing.T) {
	certs := newCertificates(t)
	k := keep(t, &keeper{}, listenTCP(t))
	s := startEximWith(t, certs, eximOptions{relay: port(k.addr), main: `
recipients_max = 3
smtp_accept_max_per_connection = 2
limits_advertise_hosts = *
`})
	var seen events
	conns := 0
	trace := seen.trace()
	trace.Connected = func(client.ConnInfo) { conns++ }
	c := &client.Client{Addr: address(s.plain), TLSConfig: certs.client(t), MaxConns: 1,
		Timeouts: client.EveryTimeout(30 * time.Second), Trace: trace}
	defer c.Close()
	const subject, recipients = "limits of exim", 10
	msg := message(subject)
	res, err := c.Send(t.Context(), newEnvelope(t, many(recipients, relayDomain)...), smtp.BytesContent(msg))
	if err != nil || res.Delivered() != recipients {
		t.Fatalf("%d delivered: %+v, %v", res.Delivered(), res, err)
	}
	got := map[string]int{}
	k.waitFor(t, "the message for everybody", func() bool {
		clear(got)
		for _, m := range k.find(subject) {
			for _, r := range m.Recipients {
				got[r.To.String()]++
			}
		}
		return len(got) == recipients
	})
	all := strings.Join(seen.all, "\n")
	if n := strings.Count(all, "C: MAIL "); n != 4 || conns != 2 {
		t.Errorf("%d transactions over %d connections, want 4 over 2", n, conns)
	}
	if regexp.MustCompile(`(?m)^S: [45]`).MatchString(all) {
		t.Errorf("refused: %s", all)
	}
	if !strings.Contains(all, "LIMITS MAILMAX=2 RCPTMAX=3") {
		t.Errorf("not announced: %s", all)
	}
}

// Exim's client keeps to what our server announces.
func TestLimitsForExim(t *testing.T) {
	k := keep(t, &keeper{Server: server.Server{Limits: server.Limits{MaxRecipients: 3, MaxMessages: 2}}}, listenTCP(t))
	s := startEximWith(t, newCertificates(t), eximOptions{relay: port(k.addr)})
	const subject, recipients = "limits for exim", 10
	msg := message(subject)
	send(t, msg, s.plain, append(envelope(many(recipients, relayDomain)...), "-tls", "none")...).want(t, sent)
	k.waitFor(t, "the message for everybody", func() bool {
		n := 0
		for _, m := range k.find(subject) {
			n += len(m.Recipients)
		}
		return n == recipients
	})
	for _, m := range k.about(subject) {
		if len(m.Recipients) > 3 {
			t.Errorf("%d recipients in a transaction", len(m.Recipients))
		}
		sameBytes(t, original(t, m.data), msg)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.refused != 0 {
		t.Errorf("%d commands refused: %q", k.refused, k.lines)
	}
}
