package dmarc

import (
	"errors"
	"slices"
	"strings"
)

// A Policy is what a domain owner would have done with mail that fails (RFC
// 9989 §4.7), or the advice that comes of it.
type Policy string

// The policies, from the mildest to the strictest.
const (
	None       Policy = "none"       // no preference
	Quarantine Policy = "quarantine" // treat it as suspicious
	Reject     Policy = "reject"     // refuse it
)

// lower returns what a policy means where it is only tested: one level less.
func (p Policy) lower() Policy {
	if p == Reject {
		return Quarantine
	}
	return None
}

func (p Policy) valid() bool { return p == None || p == Quarantine || p == Reject }

// An Alignment is how close to the author domain an authenticated domain must
// be (§3.2.10). The zero value means Relaxed.
type Alignment string

// The alignment modes.
const (
	Relaxed Alignment = "r" // the same organizational domain
	Strict  Alignment = "s" // the same domain
)

// A PSD says what kind of domain a record stands at. The zero value means
// Undeclared.
type PSD string

// The kinds of domains.
const (
	PublicSuffix   PSD = "y" // others register domains below it
	Organizational PSD = "n" // no public suffix: the organizational domain of all below
	Undeclared     PSD = "u" // no public suffix: found out by walking the tree
)

// A Record is a DMARC policy record, as it is published at "_dmarc." in front of
// a domain (§4.7). The zero value is a valid one that asks for nothing.
type Record struct {
	Policy            Policy    // p: for mail from the domain. If empty, None
	SubdomainPolicy   Policy    // sp: for mail from subdomains. If empty, as Policy
	NonexistentPolicy Policy    // np: for mail from subdomains that do not exist. If empty, as SubdomainPolicy
	DKIM              Alignment // adkim. If empty, Relaxed
	SPF               Alignment // aspf. If empty, Relaxed
	PSD               PSD       // psd. If empty, Undeclared
	Testing           bool      // t: the policies are to be applied one level lower
	FailureOptions    string    // fo: when failure reports are wanted, as in "1:d:s". If empty, "0"
	RUA               []URI     // rua: where aggregate reports are wanted, at most 10
	RUF               []URI     // ruf: where failure reports are wanted, at most 10

	// Ignored tells what ParseRecord found at fault and ignored (§4.8), for the
	// domain's owner: the tags' names and a few words, at most 16.
	Ignored []string
}

// What may be wrong with a record.
var (
	// ErrNotDMARC means that a TXT record is about something else: it does not
	// begin with "v=DMARC1".
	ErrNotDMARC = errors.New("dmarc: not a policy record")
	// ErrNoPolicy means that p is missing, or that p, sp or np is invalid, and
	// that no report is wanted either. No policy applies then (§4.10.1).
	ErrNoPolicy = errors.New("dmarc: the record has no valid policy")
)

const (
	version    = "DMARC1"
	maxURIs    = 10
	maxIgnored = 16
)

// ParseRecord reads the text of a TXT record, its strings joined. Faults in it
// are ignored where the RFC wants that, unknown and historic tags (pct, rf, ri)
// always. When a policy is missing or invalid but a report is wanted, the record
// counts as one with p=none and no other policy.
//
// The error is ErrNotDMARC or ErrNoPolicy. With ErrNoPolicy the rest of the
// record is returned: it still marks a domain when the tree is walked.
func ParseRecord(text string) (Record, error) {
	first, rest, _ := strings.Cut(text, ";")
	name, value, ok := strings.Cut(first, "=")
	if !ok || !equalFold(strings.TrimRight(name, " \t"), "v") || strings.Trim(value, " \t") != version {
		return Record{}, ErrNotDMARC // §4.7: the first tag, its value with regard to case
	}
	p := recordParser{seen: 1 << tagVersion}
	for piece := range strings.SplitSeq(rest, ";") {
		p.tag(piece)
	}
	r := &p.record
	if p.badPolicy || r.Policy == "" {
		r.Policy, r.SubdomainPolicy, r.NonexistentPolicy = "", "", ""
		if len(r.RUA) == 0 {
			return *r, ErrNoPolicy // §4.10.1
		}
		r.Policy = None
	}
	return *r, nil
}

// String returns the text to publish. Tags that say the default are left out,
// but for p, and so is what the RFC does not allow.
func (r Record) String() string {
	policy := r.Policy
	if !policy.valid() {
		policy = None
	}
	text := "v=" + version + "; p=" + string(policy)
	add := func(name, value string, ok bool) {
		if ok {
			text += "; " + name + "=" + value
		}
	}
	add("sp", string(r.SubdomainPolicy), r.SubdomainPolicy.valid())
	add("np", string(r.NonexistentPolicy), r.NonexistentPolicy.valid())
	add("adkim", string(Strict), r.DKIM == Strict)
	add("aspf", string(Strict), r.SPF == Strict)
	add("psd", string(r.PSD), r.PSD == PublicSuffix || r.PSD == Organizational)
	add("t", "y", r.Testing)
	add("fo", r.FailureOptions, r.FailureOptions != "0" && validFailureOptions(r.FailureOptions))
	rua, ruf := joinURIs(r.RUA), joinURIs(r.RUF)
	add("rua", rua, rua != "")
	add("ruf", ruf, ruf != "")
	return text
}

// The tags, as bits of recordParser.seen.
const (
	tagVersion = iota
	tagP
	tagSP
	tagNP
	tagADKIM
	tagASPF
	tagPSD
	tagT
	tagFO
	tagRUA
	tagRUF
)

var tags = [...]string{"v", "p", "sp", "np", "adkim", "aspf", "psd", "t", "fo", "rua", "ruf"}

type recordParser struct {
	record    Record
	seen      uint
	badPolicy bool
}

func (p *recordParser) ignore(name, why string) {
	if len(p.record.Ignored) < maxIgnored {
		p.record.Ignored = append(p.record.Ignored, name+": "+why)
	}
}

// tag reads one piece between semicolons. Only the first of several tags of one
// name counts.
func (p *recordParser) tag(piece string) {
	piece = strings.Trim(piece, " \t")
	if piece == "" {
		return
	}
	name, value, ok := strings.Cut(piece, "=")
	name, value = strings.TrimRight(name, " \t"), strings.TrimLeft(value, " \t")
	t := slices.IndexFunc(tags[:], func(tag string) bool { return equalFold(tag, name) })
	switch {
	case !ok && t < 0:
		p.ignore("syntax", "a tag without a value")
		return
	case t < 0:
		return // §4.7: unknown tags
	case p.seen&(1<<t) != 0:
		p.ignore(tags[t], "given twice")
		return
	}
	p.seen |= 1 << t
	if !p.set(t, value) {
		p.ignore(tags[t], "invalid value")
		p.badPolicy = p.badPolicy || t == tagP || t == tagSP || t == tagNP
	}
}

func (p *recordParser) set(tag int, value string) (ok bool) {
	r := &p.record
	switch tag {
	case tagP:
		return choose(&r.Policy, value, None, Quarantine, Reject)
	case tagSP:
		return choose(&r.SubdomainPolicy, value, None, Quarantine, Reject)
	case tagNP:
		return choose(&r.NonexistentPolicy, value, None, Quarantine, Reject)
	case tagADKIM:
		return choose(&r.DKIM, value, Relaxed, Strict)
	case tagASPF:
		return choose(&r.SPF, value, Relaxed, Strict)
	case tagPSD:
		return choose(&r.PSD, value, PublicSuffix, Organizational, Undeclared)
	case tagT:
		r.Testing = equalFold(value, "y")
		return r.Testing || equalFold(value, "n")
	case tagFO:
		if ok = validFailureOptions(value); ok {
			r.FailureOptions = strings.ToLower(value)
		}
		return ok
	case tagRUA:
		r.RUA, ok = parseURIs(value)
	case tagRUF:
		r.RUF, ok = parseURIs(value)
	}
	return ok
}

// choose sets one of the words that a tag knows, whatever its case (RFC 5234
// §2.3).
func choose[T ~string](dst *T, value string, words ...T) bool {
	for _, word := range words {
		if equalFold(value, string(word)) {
			*dst = word
			return true
		}
	}
	return false
}

// validFailureOptions = dmarc-fo of §4.8: 0, 1, d and s once each, and of 0 and
// 1 only one.
func validFailureOptions(value string) bool {
	var seen, bits uint
	for option := range strings.SplitSeq(value, ":") {
		switch option {
		case "0", "1":
			bits = 1
		case "d", "D":
			bits = 2
		case "s", "S":
			bits = 4
		default:
			return false
		}
		if seen&bits != 0 {
			return false
		}
		seen |= bits
	}
	return true
}

// equalFold compares without regard to the case of ASCII letters: b is ASCII.
func equalFold(a, b string) bool { return len(a) == len(b) && strings.EqualFold(a, b) }
