package dnslist

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/postrider/postrider/mx/dns"
	"github.com/postrider/postrider/smtp"
)

// An Action is what is done with a client.
type Action uint8

// The actions.
const (
	Accept Action = iota
	Refuse
	Defer // for now
)

// String returns the action as a word.
func (a Action) String() string {
	switch a {
	case Accept:
		return "accept"
	case Refuse:
		return "refuse"
	case Defer:
		return "defer"
	}
	return fmt.Sprintf("Action(%d)", uint8(a))
}

// A Result is what the lists say about a client.
type Result struct {
	Action   Action
	Score    int       // the sum of the weights of the lists it is in
	Outcomes []Outcome // of the lists that were asked, in the order of Options.Lists
}

// An Outcome is what one list says.
type Outcome struct {
	List   List
	Name   string       // what was asked for
	Listed bool         // there is an entry, and it counts
	Addrs  []netip.Addr // the entry
	Reason string       // why, if the list is one that is asked for that. Printable ASCII, bounded
	Err    error        // why nothing is known. It holds a *dns.Error, or is one of those below
}

// Why a list is not believed.
var (
	ErrRefused    = errors.New("dnslist: the list does not answer this resolver")
	ErrNoList     = errors.New("dnslist: the answer is not that of a list")
	ErrEverything = errors.New("dnslist: the list has entered everything")
	ErrResting    = errors.New("dnslist: the list has not answered lately, and is not asked for a minute")
)

// subject is whom the lists are asked about.
type subject struct {
	ip    netip.Addr
	hello string
	from  smtp.ReversePath
}

// check asks the lists, all at once, and waits until each has ended.
func (o *Options) check(ctx context.Context, who subject) (r Result) {
	limited, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	for _, l := range o.Lists {
		if entry := l.entry(who); entry != "" {
			r.Outcomes = append(r.Outcomes, Outcome{List: l, Name: entry})
		}
	}
	var wg sync.WaitGroup
	for i := range r.Outcomes {
		out := &r.Outcomes[i]
		wg.Go(func() {
			if out.List.rest.resting() {
				out.Err = ErrResting
				return
			}
			out.ask(limited, o.Resolver, who)
			out.List.rest.note(out.Err)
			if out.Listed && out.List.Allow {
				cancel() // the others do not matter any more
			}
		})
	}
	wg.Wait()
	allowed := slices.ContainsFunc(r.Outcomes, func(out Outcome) bool { return out.Listed && out.List.Allow })
	if allowed {
		r.Outcomes = slices.DeleteFunc(r.Outcomes, func(out Outcome) bool { return errors.Is(out.Err, context.Canceled) })
	}
	r.decide(allowed, o)
	return r
}

// decide weighs the outcomes. What is not known could be any of its values.
func (r *Result) decide(allowed bool, o *Options) {
	least, most := 0, 0 // that the score could be
	saved := allowed    // or could be
	for _, out := range r.Outcomes {
		w := out.List.Weight
		switch {
		case out.Err != nil && out.List.Allow:
			saved = true
		case out.Err != nil:
			least, most = least+min(w, 0), most+max(w, 0)
		case out.Listed && !out.List.Allow:
			r.Score += w
		}
	}
	switch {
	case allowed:
		r.Action = Accept
	case r.Score >= o.Threshold && (saved || r.Score+least < o.Threshold):
		r.Action = Defer
	case r.Score >= o.Threshold:
		r.Action = Refuse
	case r.Score+most >= o.Threshold && o.DeferOnFailure:
		r.Action = Defer
	}
}

// entry returns the name that has records if the list has an entry, empty if
// there is nothing to ask for.
func (l *List) entry(who subject) string {
	var label string
	switch l.Of {
	case Address:
		label = dns.ReverseLabels(who.ip)
	case Hello:
		label = qualified(who.hello)
	case Sender:
		if m, err := who.from.ToASCII(); err == nil {
			label = qualified(m.Domain)
		}
	}
	if name := label + l.Zone + "."; label != "" && dns.ValidName(name) {
		return name
	}
	return ""
}

// nobody returns the name of what no list has an entry of (RFC 5782 §5).
func (l *List) nobody(ip netip.Addr) string {
	switch {
	case l.Of != Address:
		return "invalid." + l.Zone + "."
	case ip.Is4():
		return "1.0.0.127." + l.Zone + "."
	}
	const mapped = "1.0.0.0.0.0.f.7.f.f.f.f." // ::ffff:127.0.0.1
	return mapped + strings.Repeat("0.", 32-len(mapped)/2) + l.Zone + "."
}

// ask fills in the outcome.
func (out *Outcome) ask(ctx context.Context, r dns.Resolver, who subject) {
	defer func() { // a Resolver's mistake costs no more than its answer
		if p := recover(); p != nil {
			out.Listed, out.Err = false, fmt.Errorf("dnslist: panic: %v", p)
		}
	}()
	a, err := r.Resolve(ctx, out.Name, dns.A)
	if err != nil || a.Empty() {
		out.Err = err
		return
	}
	out.Addrs = a.Addrs
	if out.Err = doubt(a.Addrs); out.Err != nil || !slices.ContainsFunc(a.Addrs, out.List.counts) {
		return
	}
	nobody, err := r.Resolve(ctx, out.List.nobody(who.ip), dns.A)
	switch {
	case err != nil:
		out.Err = err
		return
	case !nobody.Empty():
		out.Err = ErrEverything
		return
	}
	out.Listed = true
	if out.List.Reason {
		if txt, err := r.Resolve(ctx, out.Name, dns.TXT); err == nil && len(txt.TXT) > 0 {
			out.Reason = printable(txt.TXT[0])
		}
	}
}

var (
	codes    = netip.MustParsePrefix("127.0.0.0/8")      // RFC 5782 §2.1
	refusals = netip.MustParsePrefix("127.255.255.0/24") // of lists that limit who may ask
	unused   = netip.MustParseAddr("127.0.0.1")          // what others of those say
)

// doubt says why an answer is not an entry.
func doubt(addrs []netip.Addr) error {
	for _, a := range addrs {
		if !codes.Contains(a) {
			return ErrNoList
		}
	}
	for _, a := range addrs {
		if a == unused || refusals.Contains(a) {
			return ErrRefused
		}
	}
	return nil
}

// counts reports whether an entry with this value matters.
func (l *List) counts(addr netip.Addr) bool {
	return len(l.Codes) == 0 || slices.ContainsFunc(l.Codes, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// qualified returns a domain name with its final dot, or nothing if there is
// none that a list could have: it is no address and has more than one label.
func qualified(name string) string {
	name = strings.TrimSuffix(name, ".")
	if _, err := netip.ParseAddr(name); err == nil || !dns.ValidName(name) || !strings.Contains(name, ".") {
		return ""
	}
	return name + "."
}

var notPublic = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"), // RFC 6598
	netip.MustParsePrefix("240.0.0.0/4"),
}

// public reports whether others can know the address.
func public(ip netip.Addr) bool {
	return ip.IsGlobalUnicast() && !ip.IsPrivate() && !slices.ContainsFunc(notPublic, func(p netip.Prefix) bool { return p.Contains(ip) })
}

const maxReason = 200

// printable makes text fit for a reply: whoever publishes a list, or pretends
// to, chooses it.
func printable(text string) string {
	b := []byte(text[:min(len(text), maxReason)])
	for i, c := range b {
		if c < ' ' || c > '~' {
			b[i] = '?'
		}
	}
	return strings.TrimSpace(string(b))
}
