// Package spf finds out whether a host may send mail for a domain, by the
// Sender Policy Framework (RFC 7208).
//
// A [Verifier] evaluates what a domain publishes, for the MAIL FROM identity
// with [Verifier.Verify] and for the HELO identity with [Verifier.VerifyHello].
// [ParseRecord] reads a policy without evaluating it, for those who write one.
//
// Everything that a stranger chooses is bounded: the terms and the lookups that
// a policy may cost (§4.6.4), the size of records and explanations, the time.
// A name is looked up only if it is made of letters, digits, hyphens and
// underscores; see [Verifier] for the one exception. Other names match nothing,
// and as the domain of an include or redirect they are a permerror (§4.8 leaves
// both open).
package spf

import (
	"cmp"
	"context"
	"net/netip"
	"time"

	"github.com/postrider/postrider/auth/authres"
	"github.com/postrider/postrider/mx/dns"
	"github.com/postrider/postrider/smtp"
)

// A Verifier evaluates SPF policies. Only Resolver is needed. It is safe for
// concurrent use if its fields do not change.
//
// Beside names of hosts, a Verifier looks up names with a colon, slash, percent
// sign or space in them if the policy itself has these octets, or the host name
// of an MX record: the grammar of §7.1 allows them. They never come from what a
// client says about itself, through a macro.
type Verifier struct {
	// Resolver is asked. Without one every verdict is temperror.
	Resolver dns.Resolver

	// Hostname is the name of this host, for the macro %{r} of explanations. If
	// empty, "unknown" (§7.3).
	Hostname string

	// Explain asks for the explanation that a policy may give for a fail, at
	// the cost of one more lookup (§6.2).
	Explain bool

	// Trace asks for the steps of the evaluation in the Result.
	Trace bool

	// Timeout limits one verification. If zero, 20 seconds, the least that
	// §4.6.4 asks for. What the names of the client take beyond a quarter of it
	// is an error like any other there: they do not match (§5.5).
	Timeout time.Duration

	// MaxVoidLookups limits the terms for which the DNS has nothing. If zero, 2
	// (§4.6.4). If negative, none is allowed.
	MaxVoidLookups int

	// MaxRecord limits the octets of a record and of an explanation as
	// published. If zero, 8,192.
	MaxRecord int

	// MaxExplanation limits the octets of an explanation. What is longer is
	// cut. If zero, 400: it fits into one line of a reply (RFC 5321
	// §4.5.3.1.5).
	MaxExplanation int
}

// A Request is what is known of a client and of the message it sends.
type Request struct {
	IP    netip.Addr       // of the client. An IPv4 address mapped into IPv6 counts as IPv4 (§5)
	Hello string           // the argument of HELO or EHLO, as received
	From  smtp.ReversePath // the argument of MAIL. VerifyHello ignores it
}

// An Identity is what a verdict is about (§2.3, §2.4), in the words of the
// Received-SPF field (§9.1).
type Identity string

// The identities.
const (
	MailFrom Identity = "mailfrom"
	Hello    Identity = "helo"
)

// A Result is what came of a verification. Its texts, Sender apart, are printable
// ASCII of bounded length, but most of them are a stranger's.
type Result struct {
	// Verdict is None, Neutral, Pass, Fail, SoftFail, TempError or PermError
	// (§2.6).
	Verdict authres.Verdict

	// Identity is Hello also for a message with the null reverse-path, which
	// stands for postmaster at the name in HELO (§2.4).
	Identity Identity

	// Domain is the domain of the identity in A-labels, whose policy was asked
	// for. If empty, the identity has none that could have a policy.
	Domain string

	// Sender is the mailbox that was verified, as received: any octets. Its
	// local-part is "postmaster" where there was none (§4.3).
	Sender smtp.Mailbox

	// Mechanism is the directive that decided, as written in the policy:
	// "-all". It is "default" if none matched (§9.1), and empty if there was no
	// policy or it could not be evaluated.
	Mechanism string

	// Explanation is what the domain wants to be told to a client whose verdict
	// is Fail, if the Verifier asks for it. It can stand in a reply, which
	// should say that the text is not the server's own (§6.2).
	Explanation string

	// Problem says why the verdict is None, TempError or PermError. It holds
	// nothing of what the resolver said.
	Problem string

	// Err is the cause of a Problem if it has one: the resolver's error, or a
	// *SyntaxError. It is for logs.
	Err error

	Lookups     int // terms that caused lookups, of 10 (§4.6.4)
	VoidLookups int // terms for which the DNS had nothing

	// Trace has the steps of the evaluation in order, if asked for: the first
	// 500.
	Trace []Step
}

// A Step is a term that was evaluated.
type Step struct {
	Depth  int    // 0 in the policy of the identity and those it redirects to, one more in each include
	Domain string // whose policy has the term
	Term   string // as written
	Target string // the name that its domain-spec came to, if it has one that can be looked up
	Match  bool   // of a directive
}

// Verify evaluates the policy for the MAIL FROM identity (§2.4). When ctx ends
// the verdict is TempError.
func (v *Verifier) Verify(ctx context.Context, req Request) Result {
	if req.From.IsNull() {
		return v.VerifyHello(ctx, req)
	}
	return v.verify(ctx, req, MailFrom, req.From.Mailbox)
}

// VerifyHello evaluates the policy for the HELO identity (§2.3). It needs
// nothing of the message, so once for a connection is enough. When ctx ends the
// verdict is TempError.
func (v *Verifier) VerifyHello(ctx context.Context, req Request) Result {
	return v.verify(ctx, req, Hello, smtp.Mailbox{Domain: req.Hello})
}

// AuthRes returns the result as it stands in an Authentication-Results field
// (RFC 8601 §2.7.2).
func (r Result) AuthRes() authres.Result {
	p := authres.Property{Type: "smtp", Name: string(r.Identity), Value: r.Sender.Domain}
	if r.Identity == MailFrom {
		p.Value = r.Sender.String()
	}
	return authres.Result{Method: "spf", Verdict: r.Verdict, Reason: r.Problem, Properties: []authres.Property{p}}
}

// ReceivedSPF returns the result as it stands in a Received-SPF field (§9.1).
// The request is the one that was verified, receiver names this host.
func (r Result) ReceivedSPF(req Request, receiver string) authres.ReceivedSPF {
	return authres.ReceivedSPF{
		Verdict:      r.Verdict,
		Receiver:     receiver,
		ClientIP:     req.IP,
		EnvelopeFrom: req.From.Mailbox.String(),
		Hello:        req.Hello,
		Identity:     string(r.Identity),
		Mechanism:    r.Mechanism,
		Problem:      r.Problem,
	}
}

func (v *Verifier) verify(ctx context.Context, req Request, identity Identity, sender smtp.Mailbox) Result {
	sender.Local = cmp.Or(sender.Local, "postmaster") // §4.3
	r := Result{Verdict: authres.None, Identity: identity, Sender: sender}
	domain, why := policyDomain(sender.Domain)
	switch {
	case why != "":
	case !req.IP.IsValid():
		why = "the client has no IP address"
	case len(sender.Local) > maxLocal:
		why = "local-part too long"
	}
	if why != "" {
		r.Problem = why
		return r
	}
	r.Domain = domain
	if v.Resolver == nil {
		r.Verdict, r.Problem = authres.TempError, "no resolver"
		return r
	}
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(v.Timeout, defaultTimeout)) // §4.6.4
	defer cancel()
	e := evaluation{ctx: ctx, v: v, req: &req, result: &r,
		ip: req.IP.WithZone("").Unmap(), // §5
	}
	e.run()
	return r
}
