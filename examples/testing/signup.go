// Package signup is a small service that sends mail. Its test shows how package
// smtptest tests one: against a real server, which fails on demand.
package signup

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/smtp"
)

// Mailer sends the mails of a sign-up form.
type Mailer struct {
	Client     *client.Client
	From       string
	RetryAfter time.Duration // how long to wait before the one retry
}

// Confirm sends a new user the link that confirms the address. A failure that may
// pass, such as greylisting, is retried once, and so is an unknown outcome: the
// connection was lost when the server may have taken the message. Here two mails
// are better than none, and that their Message-ID is the same shows that they are
// one. Where two do harm, return when errors.Is(err, client.ErrUnknown).
func (m *Mailer) Confirm(ctx context.Context, to, link string) error {
	env, err := smtp.NewEnvelope(m.From, to) // refuses what is no address, line ends first of all
	if err != nil {
		return err
	}
	message := smtp.BytesContent(fmt.Appendf(nil,
		"Date: %s\r\nMessage-ID: <%s@%s>\r\nFrom: %v\r\nTo: %v\r\nSubject: Please confirm your address\r\n\r\nFollow this link:\r\n%s\r\n",
		time.Now().Format(time.RFC1123Z), rand.Text(), env.From.Domain, env.From, env.Recipients[0].To, link))

	_, err = m.Client.Send(ctx, env, message)
	var failed *client.SendError
	if !errors.As(err, &failed) || !failed.Temporary() && !errors.Is(err, client.ErrUnknown) {
		return err
	}
	select {
	case <-time.After(m.RetryAfter):
	case <-ctx.Done():
		return ctx.Err()
	}
	_, err = m.Client.Send(ctx, env, message)
	return err
}
