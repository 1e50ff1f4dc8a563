package dmarc

import (
	"cmp"
	"context"
	"time"

	"github.com/postrider/postrider/auth/authres"
	"github.com/postrider/postrider/auth/internal/from"
)

// A Lookup is the evaluation of one message, under way: the policy is looked up
// while the body still arrives. It must be ended with Evaluate or Abort, and is
// for one goroutine.
type Lookup struct {
	tree
	author from.Author
	base   context.Context // of all questions. That of the tree is below it and has a time limit
	cancel context.CancelFunc
	stop   context.CancelFunc // of the tree's
	done   chan struct{}      // closed when discover has ended. Nil if it was not started

	// What discover finds.
	org    string // of the author domain, if walkErr is nil
	policy *node  // whose record applies, nil if none does
	exists bool   // the author domain does. Only asked if it matters
	err    error  // why policy is not known
	orgErr error  // why org is not known
}

// Begin starts to look up the policy for what the From fields of a message name:
// the values of all of them. The context bounds all questions, later ones
// included.
func (v *Verifier) Begin(ctx context.Context, from []string) *Lookup {
	l := v.newLookup(ctx, from)
	if l.author.Problem == "" {
		l.done = make(chan struct{})
		go func() {
			defer close(l.done)
			l.discover()
		}()
	}
	return l
}

// Domain returns the author domain, or "" and what is wrong with From.
func (l *Lookup) Domain() (string, FromProblem) {
	return l.author.Domain, FromProblem(l.author.Problem)
}

// Evaluate waits for the policy, and says what SPF and DKIM mean for the
// message. When the context ends the verdict is TempError, unless what is known
// by then is enough. It ends the Lookup.
func (l *Lookup) Evaluate(ctx context.Context, spf Identifier, dkim []Identifier) Result {
	defer l.Abort()
	stop := context.AfterFunc(ctx, l.cancel)
	defer stop()
	if l.done != nil {
		<-l.done
	}
	l.stop()
	l.start()
	return l.evaluate(spf, dkim)
}

// Abort ends the Lookup. It returns when nothing is under way any more, and may
// be called after Evaluate and more than once.
func (l *Lookup) Abort() {
	l.cancel()
	if l.done != nil {
		<-l.done
	}
}

func (v *Verifier) newLookup(ctx context.Context, fields []string) *Lookup {
	l := &Lookup{author: from.Parse(fields)}
	l.tree = tree{v: v, limit: cmp.Or(v.MaxWalks, 10)}
	l.base, l.cancel = context.WithCancel(ctx)
	l.start()
	return l
}

// start begins to count the time that questions may take.
func (l *Lookup) start() {
	l.ctx, l.stop = context.WithTimeout(l.base, cmp.Or(l.v.Timeout, 20*time.Second))
}

// discover finds the policy for the author domain (§4.10.1).
func (l *Lookup) discover() {
	if l.author.Problem != "" {
		return
	}
	author := l.author.Domain
	l.policy, l.err = l.at(author)
	var w walk
	if l.v.PublicSuffix {
		w.org = registered(author)
		if l.policy == nil && l.err == nil {
			w.policy, w.err = l.at(w.org)
		}
	} else {
		w = l.walk(author)
	}
	l.org, l.orgErr = w.org, w.err
	if l.policy != nil || l.err != nil {
		return
	}
	if l.policy, l.err = w.policy, w.err; l.policy == nil {
		return
	}
	l.exists = true
	if r := l.policy.record; r.NonexistentPolicy != "" && r.NonexistentPolicy != r.forSubdomains() {
		l.exists, l.err = l.askExistence(author)
	}
}

// evaluate says what the identifiers mean (§5.3).
func (l *Lookup) evaluate(spf Identifier, dkim []Identifier) Result {
	res := Result{
		Verdict:     authres.None,
		Domain:      l.author.Domain,
		FromProblem: FromProblem(l.author.Problem),
		OrgDomain:   l.org,
		Disposition: None,
		Method:      TreeWalk,
	}
	if l.v.PublicSuffix {
		res.Method = PSL
	}
	switch {
	case l.author.Problem != "":
		res.Problem = string(l.author.Problem)
		return res
	case l.policy == nil && l.err != nil:
		res.Verdict, res.Err = authres.TempError, l.err
		res.Problem = "the policy of " + l.author.Domain + " could not be looked up"
		return res
	case l.policy == nil:
		res.Problem = l.note // §4.10.1: DMARC does not apply
		return res
	}
	record := l.policy.record
	res.Record, res.PolicyDomain, res.Testing = record, l.policy.name, record.Testing
	if l.policy.invalid {
		res.Verdict = authres.PermError
		res.Problem = "the record at " + l.policy.name + " has no valid policy"
		return res
	}
	switch {
	case l.policy.name == l.author.Domain:
		res.Policy = record.Policy
	case l.exists:
		res.Policy = record.forSubdomains()
	case l.err == nil:
		res.Policy = record.NonexistentPolicy
	}
	a := alignments{lookup: l}
	res.AlignedSPF = a.any(record.SPF, spf)
	res.AlignedDKIM = a.any(record.DKIM, dkim...)
	switch {
	case res.AlignedSPF || res.AlignedDKIM:
		res.Verdict = authres.Pass
	case a.err != nil || l.err != nil:
		res.Verdict, res.Problem, res.Err = authres.TempError, "the DNS did not answer about a domain", a.err
		if res.Err == nil {
			res.Err = l.err
		}
	case a.undecided != "":
		res.Verdict, res.Problem = authres.TempError, a.undecided+" could not be authenticated for now"
	default:
		res.Verdict, res.Problem = authres.Fail, a.note
		res.Disposition = res.requested()
	}
	return res
}

// forSubdomains is the policy for subdomains that exist.
func (r *Record) forSubdomains() Policy {
	if r.SubdomainPolicy != "" {
		return r.SubdomainPolicy
	}
	return r.Policy
}
