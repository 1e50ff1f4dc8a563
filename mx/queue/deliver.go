package queue

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/postrider/postrider/mx"
	"github.com/postrider/postrider/smtp"
)

// deliverAll delivers j and then whatever is next, as long as there is something.
func (r *Runner) deliverAll(j *job) {
	defer r.s.work.Done()
	for j != nil {
		switch {
		case j.tooLate(j.began):
			r.lateOutcome(j, j.began)
		case j.overdue && !r.renew(j):
			j.unmoved = true
			r.outcome(j)
		default:
			r.deliver(j)
			r.outcome(j)
		}
		j = r.done(j)
	}
}

// renew asks whether an item whose lease is over is still ours: when the process or
// the machine has stood still, somebody else may have it.
func (r *Runner) renew(j *job) bool {
	s := &r.s
	until := time.Now().Add(r.leaseTime())
	lost, err := r.Store.Extend(s.ctx, until, []Lease{j.Lease})
	s.mu.Lock()
	defer s.mu.Unlock()
	r.storeSaid(toExtend, err, time.Now())
	j.lost = j.lost || len(lost) > 0
	if err != nil || j.lost {
		signal(s.extendNow) // which nothing begins without, if err
		return false
	}
	j.until = until
	return true
}

// done gives the place of a delivery back, and takes the next job if there is one.
func (r *Runner) done(j *job) (next *job) {
	s := &r.s
	noticing := len(j.notices) > 0
	now := time.Now()
	s.mu.Lock()
	j.cancel = nil
	s.stopRunning(j)
	told := r.learn(j, now)
	s.count(j)
	if noticing {
		s.settling++
	} else {
		r.finish(j)
		next = s.next(now)
	}
	s.lineUp(j.site, now)
	r.proceed(now)
	s.mu.Unlock()
	if told != nil {
		told()
	}
	if noticing {
		r.notify(j)
		s.mu.Lock()
		s.settling--
		r.finish(j)
		r.proceed(time.Now())
		s.mu.Unlock()
	}
	return next
}

// learn takes from a delivery what it says about the destination. Mu is held; what is
// returned is called without.
func (r *Runner) learn(j *job, now time.Time) (told func()) {
	s, at := &r.s, j.site
	found, why := verdict(j)
	var until time.Time
	switch found {
	case fine:
		recovered := at.succeeded(s.site, s.most, j.took)
		if at.class != wellKnown {
			s.setClass(at, wellKnown)
		}
		if !recovered {
			return nil
		}
	case broken:
		if !at.failed(now, s.scarce(), why) {
			return nil
		}
		s.setClass(at, dead)
		r.giveBack(s.takeBacklog(at, nil)...)
		s.noteRest(at.restEnds)
		until = at.restEnds
	default:
		return nil
	}
	if t := r.Trace; t != nil && t.Site != nil {
		return func() { t.Site(s.ctx, at.name, until, why.err) }
	}
	return nil
}

// finding is what a delivery says about its destination.
type finding uint8

const (
	nothing finding = iota
	fine            // it takes mail, or says what is wrong with this one
	broken          // nothing gets through to it, or it takes nothing
)

// verdict sorts results by whom they blame: what a server says of a recipient or a
// message is no fault of the server.
func verdict(j *job) (found finding, why heard) {
	for i := range j.results {
		res := &j.results[i]
		switch {
		case res.Status >= mx.Delivered, !res.Local && (res.Scope == mx.ScopeRecipient || res.Scope == mx.ScopeMessage):
			return fine, heard{}
		case res.Status == mx.Deferred && blamesSite(res) && found == nothing && !j.unmoved:
			found, why = broken, heard{shortened(res.Reply), res.Local, res.Host, res.Err}
		}
	}
	return found, why
}

// blamesSite reports whether other messages to the destination would fare no better.
func blamesSite(res *mx.Result) bool {
	if errors.Is(res.Err, ErrNotFound) || errors.Is(res.Err, ErrUnreadable) {
		return false // there was nothing to send
	}
	switch res.Scope {
	case mx.ScopeHost, mx.ScopeSite, mx.ScopeLocal:
		return true
	case mx.ScopePolicy: // unless the message has asked for it
		return res.Policy.Source != mx.SourceRequireTLS
	}
	return false
}

// deliver calls the Deliverer.
func (r *Runner) deliver(j *job) {
	s := &r.s
	ctx, cancel := context.WithCancelCause(s.ctx)
	defer cancel(nil)
	s.mu.Lock()
	if j.cancel = cancel; j.lost {
		cancel(ErrLost)
	}
	s.mu.Unlock()
	m := &mx.Message{
		Envelope: smtp.Envelope{
			From:       j.Message.Envelope.From,
			MailParams: passedOn(j.Message, j.began),
			Recipients: make([]smtp.Recipient, len(j.Item.Recipients)),
		},
		Content:     j.Content,
		TLSOptional: j.Message.TLSOptional,
	}
	for i := range j.Item.Recipients {
		m.Envelope.Recipients[i] = j.Item.Recipients[i].Recipient
	}
	ctx = WithLeased(ctx, j.Leased)
	j.results = r.call(ctx, j, m)
	if j.Message.Notification && m.Envelope.MailParams.RequireTLS {
		r.callRelaxed(ctx, j, m)
	}
	j.took = time.Since(j.began)
	j.unmoved = ctx.Err() != nil && !j.moved()
	if t := r.Trace; t != nil && t.Attempted != nil && !j.unmoved {
		t.Attempted(ctx, &Attempt{Leased: j.Leased, Results: j.results, Began: j.began, Took: j.took})
	}
}

// call returns a Result for each recipient, whatever the Deliverer does.
func (r *Runner) call(ctx context.Context, j *job, m *mx.Message) (results []mx.Result) {
	n := len(m.Envelope.Recipients)
	defer func() {
		p := recover()
		switch {
		case p != nil:
			r.logger().Error("queue: the Deliverer has panicked", "id", j.Message.ID.String(),
				"destination", j.Item.Destination, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			results = nil
		case len(results) < n && ctx.Err() == nil:
			r.logger().Error("queue: the Deliverer has returned too few results", "id", j.Message.ID.String(),
				"destination", j.Item.Destination, "results", len(results), "recipients", n)
		}
		if len(results) > n {
			results = results[:n]
		}
		for i := len(results); i < n; i++ {
			results = append(results, mx.Result{Recipient: m.Envelope.Recipients[i].To, Scope: mx.ScopeMessage,
				Reply: ourFailure, Local: true, Err: errNoResult})
		}
	}()
	results, _ = r.Deliverer.Deliver(ctx, j.Item.Destination, m)
	return results
}

var (
	ourFailure  = smtp.Reply{Code: 451, Enhanced: smtp.Enh(3, 0), Text: "a failure on this side"}
	errNoResult = errors.New("queue: the Deliverer has said nothing")
)

// callRelaxed sends a notification about a message with REQUIRETLS once more without,
// to those whose hosts do not have it: it must not be lost for that, and has nothing of
// the message but its header section (RFC 8689 §5).
func (r *Runner) callRelaxed(ctx context.Context, j *job, m *mx.Message) {
	again := *m
	again.Envelope.MailParams.RequireTLS = false
	again.Envelope.Recipients = nil
	var places []int
	for i := range j.results {
		if res := &j.results[i]; res.Status == mx.Failed && res.Local && res.Scope == mx.ScopePolicy {
			places = append(places, i)
			again.Envelope.Recipients = append(again.Envelope.Recipients, m.Envelope.Recipients[i])
		}
	}
	if len(places) == 0 || ctx.Err() != nil {
		return
	}
	for i, res := range r.call(ctx, j, &again) {
		j.results[places[i]] = res
	}
}

// delivered reports whether a recipient has the message.
func (j *job) delivered() bool {
	return slices.ContainsFunc(j.results, func(r mx.Result) bool { return r.Status >= mx.Delivered })
}

// moved reports whether a delivery that was cut short has changed anything.
func (j *job) moved() bool {
	for i := range j.results {
		if res := &j.results[i]; res.Status != mx.Deferred || res.Unknown || !res.Local {
			return true
		}
	}
	return false
}
