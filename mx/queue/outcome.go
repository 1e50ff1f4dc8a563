package queue

import (
	"time"
	"unicode/utf8"

	"github.com/postrider/postrider/mx"
	"github.com/postrider/postrider/smtp"
	"github.com/postrider/postrider/smtp/dsn"
)

// notice is what a sender may want to hear of a recipient.
type notice struct {
	dsn.Recipient
	to Recipient // as it goes on if he cannot be told
}

// outcome makes a settlement of what a delivery has come to.
func (r *Runner) outcome(j *job) {
	it, now := &j.Item, j.began.Add(j.took)
	j.s = Settlement{Lease: j.Lease, Due: it.Due, Warn: it.Warn, Attempts: it.Attempts}
	if j.unmoved {
		j.s.Left = it.Recipients
		return
	}
	j.s.Attempts++
	late := it.expired(now)
	warn := it.warns(now)
	for i := range it.Recipients {
		to, res := it.Recipients[i], j.results[i]
		res.Reply = shortened(res.Reply)
		switch res.Status {
		case mx.Delivered, mx.Relayed, mx.Failed:
			r.conclude(j, to, &res, now)
		default:
			to.Last, to.Reply, to.Local, to.Host = j.began, res.Reply, res.Local, res.Host
			r.carryOn(j, to, now, late, warn)
		}
	}
	if warn {
		j.s.Warn = time.Time{}
	}
	if len(j.s.Left) > 0 {
		j.s.Due = now.Add(r.retryAfter(j.s.Attempts))
	}
}

// shortened is what is kept of a reply. A server may say 64 KB of each recipient.
func shortened(r smtp.Reply) smtp.Reply {
	const most = 2 << 10
	if len(r.Raw) <= most && len(r.Text) <= most {
		return r
	}
	r.Raw = "" // which would say what is not in Text
	if n := most; len(r.Text) > n {
		for n > most-utf8.UTFMax && !utf8.RuneStart(r.Text[n]) {
			n--
		}
		r.Text = r.Text[:n]
	}
	return r
}

// conclude is for a recipient that has the message, or never will.
func (r *Runner) conclude(j *job, to Recipient, res *mx.Result, now time.Time) {
	row := conclusions[res.Status]
	j.s.Done = append(j.s.Done, Outcome{Message: j.Message.ID, Destination: j.Item.Destination, Recipient: to.To,
		Status: row.status, Reply: res.Reply, Host: res.Host, Time: now})
	to.Last, to.Reply, to.Local, to.Host = j.began, res.Reply, res.Local, res.Host
	action := row.action
	if action == dsn.Delivered && res.DSN {
		if !j.Message.Envelope.MailParams.By.Trace { // RFC 3461 §5.2.1: the next server tells
			return
		}
		action = dsn.Relayed // RFC 2852 §4.1: each relay tells
	}
	r.notice(j, action, to, false)
}

// conclusions are what a Status that is final means for the queue and for the sender.
var conclusions = [...]struct {
	status Status
	action dsn.Action
}{
	mx.Failed:    {Failed, dsn.Failed},
	mx.Delivered: {Delivered, dsn.Delivered},
	mx.Relayed:   {Relayed, dsn.Relayed},
}

// carryOn is for a recipient that is tried again, unless the time is over.
func (r *Runner) carryOn(j *job, to Recipient, now time.Time, late, warn bool) {
	switch {
	case late:
		o := Outcome{Message: j.Message.ID, Destination: j.Item.Destination, Recipient: to.To,
			Status: Expired, Reply: to.Reply, Host: to.Host, Time: now}
		if o.Reply.Code == 0 {
			o.Reply = timeIsOver
		}
		j.s.Done = append(j.s.Done, o)
		r.notice(j, dsn.Failed, to, true)
		return
	case warn:
		r.notice(j, dsn.Delayed, to, false)
	}
	j.s.Left = append(j.s.Left, to)
}

var timeIsOver = smtp.Reply{Code: 451, Enhanced: smtp.Enh(4, 7), Text: "the time for delivery is over"}

// lateOutcome makes a settlement of an item that is late: without another attempt.
func (r *Runner) lateOutcome(j *job, now time.Time) {
	it := &j.Item
	j.s = Settlement{Lease: j.Lease, Due: it.Due, Warn: it.Warn, Attempts: it.Attempts}
	late, warn := it.expired(now) || j.tooLate(now), it.warns(now)
	why := r.lastHeard(j.site)
	for _, to := range it.Recipients {
		if to.Reply.Code == 0 { // it was not tried, since nothing got through
			to.Reply, to.Local, to.Host = why.reply, why.local, why.host
		}
		r.carryOn(j, to, now, late, warn)
	}
	if warn {
		j.s.Warn = time.Time{}
	}
	j.unmoved = !late && !warn
}

func (r *Runner) lastHeard(at *site) heard {
	if at == nil {
		return heard{}
	}
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return at.why
}
