package mx

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"time"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/smtp"
)

// finish takes over what an attempt has come to: who has the message, who will
// never, and who may still have it from another host.
func (d *delivery) finish(a *Attempt) {
	a.Next = d.ctx.Err() == nil && d.again()
	open := d.pending[:0:0]
	for i, at := range d.pending {
		r, decided := d.outcome(a, i)
		r.Recipient = d.results[at].Recipient
		a.Results = append(a.Results, r)
		if decided {
			d.results[at] = r
			continue
		}
		open = append(open, at)
		d.results[at].improve(r)
	}
	d.pending = open
	a.Next = a.Next && len(open) > 0
	if a.Server != nil && a.Server.Greeting.Positive() {
		d.sessions--
	}
	d.show(a)
}

// show is for attempts that are not counted too.
func (d *delivery) show(a *Attempt) {
	a.Took = time.Since(a.Began)
	d.reportTLS(a)
	if t := d.c.Trace; t != nil && t.Attempted != nil {
		t.Attempted(d.ctx, a)
	}
}

// giveUp makes err the outcome of all who have none.
func (d *delivery) giveUp(err error) {
	r := d.ours(err)
	for _, at := range d.pending {
		r.Recipient = d.results[at].Recipient
		d.results[at].improve(r)
	}
	d.pending = nil
}

// improve takes r in the place of what is known if it gives no less hope.
func (r *Result) improve(by Result) {
	if r.Err == nil || by.hope() >= r.hope() {
		*r = by
	}
}

// hope orders failures by what they leave open, and then by who says so.
func (r *Result) hope() int {
	n := 0
	switch {
	case r.Unknown:
		n = 4
	case r.Status == Deferred:
		n = 2
	}
	if !r.Local {
		n++
	}
	return n
}

// outcome is what an attempt has come to for the i-th of the recipients that were
// open. If it is decided, no other host is asked.
func (d *delivery) outcome(a *Attempt, i int) (r Result, decided bool) {
	if i >= len(a.sent) { // it came to no address
		r = d.ours(a.Err)
		r.Host, r.Policy = a.Host.Name, a.Policy
		return r, false
	}
	sent := &a.sent[i]
	if sent.Err != nil {
		r, decided = d.failure(a, sent.Err)
	} else {
		r, decided = Result{Status: Delivered, Reply: sent.Reply}, true
	}
	r.Host, r.Addr, r.Policy = a.Host.Name, a.Addr, a.Policy
	if s := sent.Server; s != nil {
		r.TLS, r.DSN = s.TLS, s.Offers.Has(smtp.ExtDSN)
		if r.Status == Delivered && d.relayed(s.Offers) {
			r.Status = Relayed
		}
	}
	return r, decided
}

// relayed reports whether the server will not tell what the sender wants to hear.
func (d *delivery) relayed(o smtp.Offers) bool {
	if d.hop.LMTP { // it is in the mailbox
		return false
	}
	return !o.Has(smtp.ExtDSN) || // RFC 3461 §5.2.2
		d.m.Envelope.MailParams.By.Mode != 0 && !o.Has(smtp.ExtDeliverBy) // RFC 2852 §4.1.4.2
}

// ours is the Result of an error that no server has caused by its reply.
func (d *delivery) ours(err error) Result {
	if d.ctx.Err() != nil {
		err = stopped.at(d.domain, "", d.ctx.Err())
	}
	r := Result{Status: Failed, Local: true, Err: err, Scope: ScopeSite}
	var known *Error
	var reply *smtp.Error
	switch {
	case errors.As(err, &known):
		r.Scope, r.Reply = known.Scope, known.Reply
	case errors.As(err, &reply):
		r.Reply = reply.Reply
	default:
		known = localFailure.at(d.domain, "", err)
		r.Scope, r.Reply, r.Err = known.Scope, known.Reply, known
	}
	if r.Reply.Temporary() {
		r.Status = Deferred
	}
	return r
}

// failure sorts out what err means: for whom, for how long, and whether another
// host may do better.
func (d *delivery) failure(a *Attempt, err error) (r Result, decided bool) {
	var refused *smtp.Error
	if !errors.Is(err, client.ErrUnknown) && !unusable(err) && !tlsFailed(err) && errors.As(err, &refused) {
		r, decided = refusal(refused, err)
		if d.route.Explicit && r.Scope == ScopeHost { // a next hop that takes no mail is for whoever has chosen it to mend
			r.Status = Deferred
		}
		return r, decided
	}
	f, decided := d.fault(a, err)
	r = d.at(a, f, err)
	r.Unknown = errors.Is(err, client.ErrUnknown)
	return r, decided
}

// at is the Result of a fault at the host of a.
func (d *delivery) at(a *Attempt, f fault, err error) Result {
	r := Result{Status: Failed, Scope: f.scope, Reply: f.reply(), Local: true, Err: f.at(d.route.Domain, a.Host.Name, err)}
	if r.Reply.Temporary() {
		r.Status = Deferred
	}
	return r
}

// refusal is the outcome that a server has decided by a negative reply. One that is
// about the server leads to another host.
func refusal(refused *smtp.Error, err error) (r Result, decided bool) {
	r = Result{Status: Failed, Scope: ScopeMessage, Reply: refused.Reply, Err: err}
	if refused.Temporary() {
		r.Status = Deferred
	}
	down := refused.Reply.Code == smtp.CodeUnavailable
	switch {
	case refused.Scope == smtp.ScopeHost: // its greeting
		r.Scope = ScopeHost
	case refused.Verb == smtp.RCPT && !down:
		r.Scope, decided = ScopeRecipient, true
	case refused.Verb == smtp.MAIL && (down || isFull(refused.Reply)):
		r.Scope = ScopeHost
	case refused.Verb == smtp.MAIL, refused.Verb == smtp.DATA && !down:
		decided = true
	case refused.Verb == "", refused.Verb == smtp.BDAT: // the message was written: it goes to no other
		decided = true
		if refused.Scope == smtp.ScopeRecipient {
			r.Scope = ScopeRecipient
		}
		if down {
			r.Scope = ScopeHost
		}
	default: // EHLO, RSET, RCPT and DATA with 421
		r.Scope = ScopeHost
	}
	return r, decided
}

// isFull reports whether a reply to MAIL says that the system takes no mail now,
// from whomever (RFC 3463 §3.4).
func isFull(reply smtp.Reply) bool {
	e := reply.Enhanced
	return reply.Temporary() && (e.Subject() == 3 && e.Detail() != 4 || e.IsZero() && reply.Code == smtp.CodeNoStorage)
}

// unusable reports whether err is about how we authenticate: nothing that a server
// says then is about the message.
func unusable(err error) bool {
	var auth *client.AuthError
	return errors.As(err, &auth) || errors.Is(err, client.ErrPlaintextAuth)
}

// tlsFailed reports whether err is about getting TLS to work.
func tlsFailed(err error) bool {
	var conn *client.ConnError
	var refused *smtp.Error
	return errors.As(err, &conn) && (conn.Op == "STARTTLS" || conn.Op == "TLS handshake") ||
		errors.As(err, &refused) && refused.Verb == smtp.STARTTLS
}

// brokenTLS reports whether err, of which nobody got the message, is that the
// connection broke behind the handshake, before it could be used: over TLS 1.3 a
// server refuses the client's side of it only then.
func (a *Attempt) brokenTLS(err error) bool {
	conn, lost := err.(*client.ConnError)
	return lost && err == a.connErr && a.Server != nil && a.Server.TLS != nil && conn.Op == string(smtp.EHLO)
}

// fault sorts out an error that is no server's verdict.
func (d *delivery) fault(a *Attempt, err error) (f fault, decided bool) {
	var conn *client.ConnError
	var content *client.ContentError
	var missing *smtp.NotOfferedError
	var protocol *client.ProtocolError
	isConn := errors.As(err, &conn)
	switch {
	case errors.Is(err, client.ErrUnknown):
		return unknown, true
	case d.ctx.Err() != nil, errors.Is(err, client.ErrClosed):
		return stopped, true
	case unusable(err):
		return noAuth, false
	case tlsFailed(err):
		return tlsFault(a.Policy, err), false
	case errors.As(err, &content):
		f = unsuitable
		if f.enh = content.Enhanced; content.Need == smtp.ExtRequireTLS {
			f.code, f.scope, f.text = smtp.CodeNoMailbox, ScopePolicy, "the message requires TLS, which the host does not provide"
		}
		return f, false
	case errors.As(err, &missing):
		return unsuitable, false
	case errors.Is(err, client.ErrLimit):
		return tooMany, true
	case isConn && errors.As(err, &protocol):
		return broken, false
	case isConn && conn.Op == "waiting for a connection":
		return noConn, true
	case isConn && conn.Op == "dial":
		return unreachable, false
	case isConn && conn.Temporary():
		return lost, false
	}
	return localFailure, true
}

// tlsFault is what it means that TLS has not proved what p asks for, or did not
// come about. With REQUIRETLS it is final where the host was reached and could not
// (RFC 8689 §4.2.1); what else asks for TLS makes the message wait (RFC 7672 §2.2,
// RFC 8461 §5).
func tlsFault(p Policy, err error) fault {
	f := badTLS
	if errors.Is(err, client.ErrNoStartTLS) {
		f = noTLS
	}
	var refused *smtp.Error
	passing := errors.As(err, &refused) && refused.Temporary()
	if p.Source == SourceRequireTLS && !passing && !networkFailed(err) {
		f.code, f.enh = smtp.CodeNoMailbox, smtp.Enh(7, 10)
	}
	return f
}

// networkFailed reports whether a handshake has failed for reasons that need not
// be the host's.
func networkFailed(err error) bool {
	var alert tls.AlertError
	var network net.Error
	var conn *client.ConnError
	if errors.As(err, &conn) { // a net.Error itself
		err = conn.Err
	}
	switch {
	case errors.As(err, &alert):
		return false
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.ErrClosedPipe),
		errors.Is(err, context.DeadlineExceeded):
		return true
	}
	return errors.As(err, &network)
}
