package auth

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/postrider/postrider/auth/arc"
	"github.com/postrider/postrider/auth/authres"
	"github.com/postrider/postrider/auth/dkim"
	"github.com/postrider/postrider/auth/dmarc"
	"github.com/postrider/postrider/auth/internal/key"
	"github.com/postrider/postrider/auth/internal/message"
	"github.com/postrider/postrider/auth/spf"
	"github.com/postrider/postrider/smtp"
)

const defaultTimeout = 20 * time.Second

// ErrAborted is what Check.Finish returns after Check.Abort.
var ErrAborted = errors.New("auth: the check was aborted")

// A Check verifies one message, which is written to it as it comes: line ends
// are CRLF, dot-stuffing is undone. It is not safe for concurrent use, SPF
// apart.
//
// Its memory is the header section and less than 64 KB, whatever the size of
// the message. What it looks up ends with the context given to
// Connection.Message, or with Finish or Abort, whatever comes first.
type Check struct {
	c       *Connection
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
	over    bool

	from       smtp.ReversePath
	spf        *pending[spf.Result] // nil until the reverse-path is known
	message    *message.Message
	returnPath bool // the reverse-path is that of the message's Return-Path

	// From the end of the header on.
	keys  [2]*key.Keys // of DKIM and of ARC, so that neither uses up what the other may look up
	dkim  *dkim.Check
	arc   *arc.Check
	dmarc *dmarc.Lookup

	problem dmarc.FromProblem // with the header section
}

func (c *Connection) newCheck(ctx context.Context) *Check {
	k := &Check{c: c}
	k.ctx, k.cancel = context.WithCancel(ctx)
	k.message = message.New(message.Limits{MaxHeader: c.m.dkim.MaxHeaderSize, MaxFields: c.m.dkim.MaxFields}, k.header)
	return k
}

// startSPF evaluates SPF of the reverse-path. That of the null one is that of
// the HELO name (RFC 7208 §2.4), which is under way.
func (k *Check) startSPF(from smtp.ReversePath) {
	k.from = from
	if k.spf = k.c.hello; !from.IsNull() {
		req := k.c.request()
		req.From = from
		k.spf = start(k.ctx, &k.running, func(ctx context.Context) spf.Result { return k.c.m.spf.Verify(ctx, req) })
	}
}

// header is called when the header section is complete: what must be looked up
// is known now, and the body is still to come.
func (k *Check) header(m *message.Message) {
	dkim, arc := &k.c.m.dkim, &k.c.m.arc
	k.keys[0] = key.NewKeys(k.ctx, dkim.Resolver, key.Limits{Lookups: dkim.MaxLookups, Timeout: dkim.Timeout})
	k.keys[1] = key.NewKeys(k.ctx, arc.Resolver, key.Limits{Lookups: arc.MaxLookups, Timeout: arc.Timeout})
	k.dkim, k.arc = dkim.Attach(m, k.keys[0]), arc.Attach(m, k.keys[1])
	var from []string
	var returnPath smtp.ReversePath
	for _, f := range m.Fields() {
		if f.Is("From") {
			from = append(from, string(f.Value()))
		} else if f.Mimics("From") {
			k.problem = dmarc.FromMalformed
		}
		if k.returnPath && returnPath.IsNull() && f.Is("Return-Path") {
			returnPath, _ = smtp.ParseReversePath(string(bytes.TrimSpace(f.Value())))
		}
	}
	switch {
	case m.Err() != nil:
		k.problem = dmarc.HeaderTooLarge
	case m.Malformed():
		k.problem = dmarc.HeaderMalformed
	}
	k.dmarc = k.c.m.dmarc.Begin(k.ctx, from)
	if k.spf == nil {
		k.startSPF(returnPath)
	}
}

// SPF waits for what SPF says of the reverse-path, which may be asked for before
// the message comes. The error is the context's.
func (k *Check) SPF(ctx context.Context) (spf.Result, error) { return k.spf.wait(ctx) }

// Write takes octets of the message. It never fails: what is wrong with a
// message is in the Result.
func (k *Check) Write(p []byte) (int, error) {
	if k.over {
		return len(p), nil
	}
	return k.message.Write(p)
}

// Finish is called when the message has come whole. It waits for what is still
// being looked up until ctx ends or Verifier.Timeout has passed; what is not
// known by then has the verdict temperror. The Result is never nil; beside the
// error, that of ctx or of the context given to Connection.Message, it is what
// was known. Without an error, a message whose Result is bad was still received
// well: see Result.Refusal. Finish may be called once.
func (k *Check) Finish(ctx context.Context) (*Result, error) {
	c := k.c
	r := &Result{AuthServID: c.v.AuthServID, Peer: c.peer}
	if k.over {
		return r, ErrAborted
	}
	defer k.Abort()
	k.message.Close()
	r.From = k.from
	limit, cancel := context.WithTimeout(ctx, cmp.Or(c.v.Timeout, defaultTimeout))
	defer cancel()
	defer context.AfterFunc(k.ctx, cancel)()
	end, _ := limit.Deadline()
	known, enough := context.WithTimeout(limit, time.Until(end)/4*3) // DMARC has questions only then
	defer enough()
	r.DKIM = k.dkim.Finish(known)
	r.ARC = k.arc.Finish(known)
	var err error
	if r.IPRev, err = c.iprev.wait(known); err != nil && c.peer.IP.IsValid() {
		r.IPRev = IPRev{authres.TempError, c.peer.IP, "", late}
	}
	if r.HelloSPF, err = c.hello.wait(known); err != nil {
		r.HelloSPF = spf.Result{Verdict: authres.TempError, Identity: spf.Hello, Sender: smtp.Mailbox{Domain: c.peer.Hello}, Problem: late, Err: err}
	}
	if r.SPF, err = k.spf.wait(known); err != nil {
		r.SPF = spf.Result{Verdict: authres.TempError, Identity: spf.MailFrom, Sender: k.from.Mailbox, Problem: late, Err: err}
		if k.from.IsNull() {
			r.SPF = r.HelloSPF
		}
	}
	dkims := make([]dmarc.Identifier, len(r.DKIM))
	for i := range r.DKIM {
		dkims[i] = dmarc.Identifier{Verdict: r.DKIM[i].Verdict, Domain: r.DKIM[i].Domain}
	}
	r.DMARC = k.dmarc.Evaluate(limit, dmarc.Identifier{Verdict: r.SPF.Verdict, Domain: r.SPF.Domain}, dkims)
	if k.problem != "" {
		r.DMARC = dmarc.Result{Verdict: authres.None, FromProblem: k.problem, Disposition: dmarc.None, Problem: string(k.problem)}
	}
	r.TrustedSealer, r.honorReject = c.v.trustedSealer(r), c.v.HonorReject
	if ctx.Err() != nil {
		return r, context.Cause(ctx)
	}
	return r, context.Cause(k.ctx)
}

const late = "not known in time"

// Abort ends what was started for the message, and waits for that. After Finish
// it does nothing.
func (k *Check) Abort() {
	if k.over {
		return
	}
	k.over = true
	k.cancel()
	if k.dmarc != nil {
		k.dmarc.Abort()
		k.arc.Abort()
		k.dkim.Abort()
		k.keys[0].Close()
		k.keys[1].Close()
	}
	k.running.Wait()
}

// readFrom verifies the message that r gives.
func (k *Check) readFrom(ctx context.Context, r io.Reader) (*Result, error) {
	defer k.Abort()
	if _, err := io.Copy(k, r); err != nil {
		return nil, err
	}
	return k.Finish(ctx)
}
