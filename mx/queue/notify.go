package queue

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/postrider/postrider/smtp"
	"github.com/postrider/postrider/smtp/dsn"
)

// composer writes notifications if the Runner has none.
var composer = dsn.Composer{NotifyDelay: true}

func (r *Runner) composer() *dsn.Composer {
	if r.Notifications != nil {
		return r.Notifications
	}
	return &composer
}

// about is what a notification says of a message.
func about(m *Message) *dsn.Message {
	return &dsn.Message{Envelope: m.Envelope, ReceivedFrom: m.ReceivedFrom, Arrival: m.Arrived}
}

// wantsWarning reports whether the sender of a message wants to hear of a delay of any
// of the recipients.
func (r *Runner) wantsWarning(env *smtp.Envelope, recipients Recipients) bool {
	m := dsn.Message{Envelope: *env}
	for i := range recipients {
		if r.composer().Wanted(&m, &dsn.Recipient{Action: dsn.Delayed, Notify: recipients[i].RcptParams.Notify}) {
			return true
		}
	}
	return false
}

// notice notes what the sender of j is to hear of a recipient, if he wants to. Expired
// says that it has failed because its time is over.
func (r *Runner) notice(j *job, action dsn.Action, to Recipient, expired bool) {
	m := dsn.Message{Envelope: j.Message.Envelope}
	if !r.composer().Wanted(&m, &dsn.Recipient{Action: action, Notify: to.RcptParams.Notify}) {
		return
	}
	n := dsn.NewRecipient(to.Recipient)
	n.Action = action
	n.LastAttempt = to.Last
	n.LogID = j.Message.ID.String()
	n.Diagnostic = dsn.Diagnostic(to.Reply)
	if !to.Local && smtp.ParseDomain(to.Host) == nil {
		n.RemoteMTA = dsn.DNS(to.Host)
	}
	switch {
	case action == dsn.Delayed:
		n.RetryUntil = j.Item.Expires
		if to.Reply.Code == 0 {
			n.Status = dsn.Status{Class: 4, Code: smtp.Enh(4, 7)}
		}
	case expired && (to.Reply.Code == 0 || j.Message.mustReturn()):
		n.Status = dsn.Status{Class: 4, Code: smtp.Enh(4, 7)} // RFC 3463 §3.5: unless the actual problem is known
		if j.Message.mustReturn() {
			n.Status.Class = 5 // RFC 2852 §4.1.1
		}
	}
	j.notices = append(j.notices, notice{n, to})
}

// notify writes the notification that j calls for into the store, to be committed with
// j's settlement. If the store fails it tries again and again. If the store is full, or
// the Runner ends first, the recipients whose sender should have heard of them stay.
func (r *Runner) notify(j *job) {
	if len(j.notices) == 0 {
		return
	}
	wait := minTrouble
	for try := 0; ; try++ {
		err := r.compose(j, try)
		if err == nil {
			return
		}
		if try == 0 {
			r.s.mu.Lock()
			now := time.Now()
			r.s.uncount(j, now)
			r.proceed(now)
			r.s.mu.Unlock()
		}
		r.logger().Error("queue: a notification could not be written", "id", j.Message.ID.String(), "err", err)
		var refused *storeError
		if !errors.As(err, &refused) && try >= withoutMessage { // no store is at fault: it would be no better later
			return
		}
		if errors.Is(err, ErrFull) && try >= patience && j.mayWait() { // its place may be that of one who makes room
			j.keepUnnotified()
			j.s.Due = time.Now().Add(r.retryAfter(max(1, j.s.Attempts)))
			return
		}
		select {
		case <-time.After(jitter(wait)):
		case <-r.s.ctx.Done():
			j.keepUnnotified()
			return
		}
		wait = min(2*wait, maxTrouble)
	}
}

// storeError is an error of the store while a notification was written to it.
type storeError struct{ err error }

func (e *storeError) Error() string { return e.err.Error() }
func (e *storeError) Unwrap() error { return e.err }

// patience is how many tries to write a notification into a full store may fail before
// the recipients are put off.
const patience = 6

// mayWait reports whether all recipients that j's sender is to hear of can be tried
// again: none has the message.
func (j *job) mayWait() bool {
	for i := range j.notices {
		if a := j.notices[i].Action; a != dsn.Failed && a != dsn.Delayed {
			return false
		}
	}
	return true
}

// How much of the message goes back, by the number of tries that have failed.
const (
	withHeader     = 1
	withoutMessage = 2
)

// compose writes the notification of j.
func (r *Runner) compose(j *job, try int) (err error) {
	m := about(j.Message)
	if m.Content = j.Content; try >= withoutMessage {
		m.Content = smtp.Content{}
	}
	if try >= withHeader {
		m.Envelope.MailParams.Ret = smtp.RetHeaders
	}
	recipients := make([]dsn.Recipient, len(j.notices))
	for i := range j.notices {
		recipients[i] = j.notices[i].Recipient
	}
	n, err := r.composer().Compose(m, recipients...)
	if err == dsn.ErrUnwanted {
		return nil
	} else if err != nil {
		return err
	}
	ctx := context.WithoutCancel(r.s.ctx)
	tx, err := r.Store.Begin(ctx, n.Content.Size)
	if err != nil {
		return &storeError{err}
	}
	defer func() {
		if err != nil {
			tx.Abort()
		}
	}()
	content, err := n.Content.Open()
	if err != nil {
		return err
	}
	defer content.Close()
	if _, err = io.Copy(storeWriter{tx}, content); err != nil {
		return err
	}
	j.s.Spawn = append(j.s.Spawn, Spawn{Tx: tx, Commit: r.notification(j.Message, n)})
	j.told = append(j.told, n)
	return nil
}

// storeWriter tells errors of writing from those of reading.
type storeWriter struct{ w io.Writer }

func (w storeWriter) Write(p []byte) (int, error) {
	n, err := w.w.Write(p)
	if err != nil {
		err = &storeError{err}
	}
	return n, err
}

// notification is a notification about m as a message of its own.
func (r *Runner) notification(m *Message, n *dsn.Notification) *Commit {
	now := time.Now()
	new := &NewMessage{Envelope: n.Envelope,
		TLSOptional: m.TLSOptional && !m.Envelope.MailParams.RequireTLS} // RFC 8689 §5
	c := r.commit(new, now, now)
	c.Message.Notification = true
	return c
}

// keepUnnotified takes back what cannot be recorded without a notification: the
// recipient is tried again, the sender hears of it then.
func (j *job) keepUnnotified() {
	for i := range j.notices {
		n := &j.notices[i]
		switch n.Action {
		case dsn.Failed:
			j.s.Done = withoutRecipient(j.s.Done, n.to.To)
			j.s.Left = append(j.s.Left, n.to)
		case dsn.Delayed:
			j.s.Warn = j.Item.Warn
		}
	}
}

func withoutRecipient(done []Outcome, to smtp.ForwardPath) []Outcome {
	for i := range done {
		if done[i].Recipient == to {
			return append(done[:i:i], done[i+1:]...)
		}
	}
	return done
}
