//go:build interop

package interop

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// Sendmail takes BY= (RFC 2852) from our client and gives our server what is
// left of the time, with the same mode and the wish to be told of each relay.
func TestDeliverByThroughSendmail(t *testing.T) {
	k := keep(t, &keeper{Server: server.Server{Extensions: []server.Extension{server.DeliverBy(0), server.DSN}}}, listenTCP(t))
	s := startSendmail(t, port(k.addr))
	c := &client.Client{Addr: address(s.port), TLSMode: client.Plaintext, Timeouts: client.EveryTimeout(30 * time.Second)}
	defer c.Close()
	for _, test := range []struct {
		name string
		by   smtp.DeliverBy
	}{
		{"return", smtp.DeliverBy{Within: 10 * time.Minute, Mode: smtp.DeliverReturn}},
		{"return-trace", smtp.DeliverBy{Within: 10 * time.Minute, Mode: smtp.DeliverReturn, Trace: true}},
		{"notify", smtp.DeliverBy{Within: 90 * time.Second, Mode: smtp.DeliverNotify}},
		{"notify-late", smtp.DeliverBy{Within: -time.Hour, Mode: smtp.DeliverNotify, Trace: true}},
	} {
		t.Run(test.name, func(t *testing.T) {
			subject := "deliver by " + test.name
			msg := message(subject)
			env := newEnvelope(t, one)
			env.MailParams.By = test.by
			if _, err := c.Send(t.Context(), env, smtp.BytesContent(msg)); err != nil {
				t.Fatal(err)
			}
			got := k.message(t, subject)
			sameBytes(t, body(got.data), body(msg)) // Sendmail folds the header anew
			by := got.MailParams.By
			if by.Mode != test.by.Mode || by.Trace != test.by.Trace || by.Within > test.by.Within || by.Within < test.by.Within-30*time.Second {
				t.Errorf("BY=%v, want little less than %v", by, test.by)
			}
		})
	}
	// Sendmail announces a minimum of 60 seconds, under which our client does not
	// even say MAIL.
	t.Run("too-soon", func(t *testing.T) {
		var seen events
		c := &client.Client{Addr: c.Addr, TLSMode: client.Plaintext, Timeouts: c.Timeouts, Trace: seen.trace()}
		defer c.Close()
		env := newEnvelope(t, one)
		env.MailParams.By = smtp.DeliverBy{Within: 30 * time.Second, Mode: smtp.DeliverReturn}
		_, err := c.Send(t.Context(), env, smtp.BytesContent(plainMessage("too soon")))
		if all := strings.Join(seen.all, "\n"); err == nil || !strings.Contains(all, "DELIVERBY 60") || strings.Contains(all, "C: MAIL") {
			t.Errorf("%v\n%s", err, all)
		}
	})
}

// body is a message behind its header section.
func body(message []byte) []byte {
	_, body, _ := bytes.Cut(message, []byte("\r\n\r\n"))
	return body
}
