package smtp

import "strings"

// RcptParams are the parameters of one RCPT command, decoded. The zero value
// has none.
type RcptParams struct {
	Notify Notify  // NOTIFY= (RFC 3461 §4.1). If zero, not given.
	ORcpt  ORcpt   // ORCPT= (RFC 3461 §4.2). If zero, not given.
	RRVS   *RRVS   // RRVS= (RFC 7293 §3.1). If nil, not given.
	Other  []Param // parameters of the application's own extensions, in order
}

// Notify is the set of events a sender wants to hear of. The zero value asks
// for the default, failure and perhaps delay; NotifyNever stands alone.
type Notify uint8

// The members of Notify (RFC 3461 §4.1).
const (
	NotifyNever Notify = 1 << iota
	NotifySuccess
	NotifyFailure
	NotifyDelay
)

// String returns the set as NOTIFY= writes it, "SUCCESS,DELAY"; "" for the zero
// value and for a set that cannot be written.
func (n Notify) String() string { return string(n.appendTo(nil)) }

// ORcpt is the recipient as the sender first wrote it (RFC 3461 §4.2). The
// address need not obey the rules of its type.
type ORcpt struct {
	Type    string // address type, an atom: "rfc822", "utf-8" (RFC 6533 §3)
	Address string // printable ASCII; with the type utf-8 any graphic character
}

// IsZero reports whether there is no original recipient.
func (o ORcpt) IsZero() bool { return o == ORcpt{} }

// String returns the address with its type: "rfc822;a@b.example".
func (o ORcpt) String() string {
	if o.IsZero() {
		return ""
	}
	return o.Type + ";" + o.Address
}

// ParseRcpt reads the argument of RCPT, "TO:<a@b.example> NOTIFY=NEVER", as
// ParseMail does that of MAIL. An address that is not ASCII is refused with 553
// when offers lacks SMTPUTF8; whether the MAIL before had the parameter is for
// the caller to ask.
func ParseRcpt(arg string, offers Offers, p *RcptParams, own ...*Extension) (ForwardPath, error) {
	if p == nil {
		p = new(RcptParams)
	}
	if p.Notify != 0 || !p.ORcpt.IsZero() || p.RRVS != nil || p.Other != nil {
		*p = RcptParams{}
	}
	m, i, err := pathArgument(arg, "TO:", forwardPath, enhBadRecipient) // §4.1.1.3
	if err != nil {
		return ForwardPath{}, err
	}
	if !isASCII(arg[:i]) && !offers.Has(ExtSMTPUTF8) {
		return ForwardPath{}, nonASCIIPath(CodeBadMailbox, arg, "address is not ASCII and SMTPUTF8 is not offered")
	}
	if i < len(arg) {
		if err := p.parse(arg, i, offers, own); err != nil {
			return ForwardPath{}, err
		}
	}
	return ForwardPath{m}, nil
}

// parse reads the parameters that begin at i.
func (p *RcptParams) parse(arg string, i int, offers Offers, own []*Extension) error {
	var seen paramNames
	var entry paramEntry[RcptParams]
	for i < len(arg) {
		name, value, end, err := seen.next(arg, i, offers)
		if err != nil {
			return err
		}
		valueAt := min(i+len(name)+1, len(arg))
		param, found := findRcptParam(name, value, offers, own, &entry)
		if err := found.error(i, valueAt); err != nil {
			return err
		}
		if param.parse == nil {
			p.Other = append(p.Other, otherParam(name, value))
		} else if err := param.parse(p, value); err != nil {
			return inValue(err, valueAt)
		}
		if param.fits != nil {
			if err := param.fits(offers, p); err != nil {
				return inValue(err, valueAt)
			}
		}
		i = end
	}
	return nil
}

// Validate reports the first reason why p cannot be sent, as a *SyntaxError.
// A nil p is valid.
func (p *RcptParams) Validate() error {
	if why := p.check(); why != "" {
		return badValue(-1, why)
	}
	return nil
}

func (p *RcptParams) check() string {
	if p == nil {
		return ""
	}
	switch {
	case p.Notify >= 1<<len(notifyNames):
		return "NOTIFY has an unknown member"
	case p.Notify&NotifyNever != 0 && p.Notify != NotifyNever:
		return "NOTIFY=NEVER does not stand alone"
	}
	if why := p.ORcpt.check(); why != "" {
		return why
	}
	if why := p.RRVS.check(); why != "" {
		return why
	}
	return checkOther(p.Other, func(name string) bool {
		_, found := rcptIndex.find(name, "", nil)
		return found != matchNone
	})
}

func (o ORcpt) check() string {
	if o.IsZero() {
		return ""
	}
	if !isAddrType(o.Type) {
		return "ORCPT has a bad address type"
	}
	if o.isUTF8() {
		for i := 0; i < len(o.Address); {
			n := nonASCII(o.Address, i)
			if n == 0 && !isPrintable(o.Address[i:i+1]) {
				return "ORCPT is not UTF-8 of graphic characters"
			}
			i += max(n, 1)
		}
	} else if !isPrintable(o.Address) {
		return "ORCPT is not printable ASCII"
	}
	if len(o.appendTo(make([]byte, 0, MaxORcpt+1))) > MaxORcpt {
		return "ORCPT is longer than 500 octets"
	}
	return ""
}

// findRcptParam looks in the table, then in own, whose match is kept in entry.
func findRcptParam(name, value string, offers Offers, own []*Extension, entry *paramEntry[RcptParams]) (*paramEntry[RcptParams], match) {
	found, best := rcptIndex.find(name, value, offers)
	for i := 0; i < len(own) && best != matchAccepted; i++ {
		for j := range own[i].Rcpt {
			e := own[i].Rcpt[j].entry(own[i].Keyword)
			if m := e.match(name, value, offers); m > best {
				*entry = e
				found, best = entry, m
			}
		}
	}
	return found, best
}

func appendRcptParams(dst []byte, p *RcptParams, own []*Extension) []byte {
	dst = rcptIndex.appendTo(dst, p, p.given())
	for _, row := range own {
		for j := range row.Rcpt {
			if param := &row.Rcpt[j]; param.Append != nil {
				dst = param.Append(dst, p)
			}
		}
	}
	return appendOther(dst, p.Other)
}

// notify-esmtp-value = "NEVER" / 1#notify-list-element, RFC 3461 §4.1
func parseNotify(p *RcptParams, value string) error {
	var n Notify
	for offset := 0; ; {
		word, rest, more := strings.Cut(value[offset:], ",")
		bit := notifyBit(word)
		if bit == 0 {
			return badValue(offset, "NOTIFY takes NEVER, or SUCCESS, FAILURE and DELAY")
		}
		n |= bit
		if n&NotifyNever != 0 && n != NotifyNever || bit == NotifyNever && (more || offset > 0) {
			return badValue(offset, "NOTIFY=NEVER does not stand alone") // §4.1 a
		}
		if !more {
			p.Notify = n
			return nil
		}
		offset = len(value) - len(rest)
	}
}

func notifyBit(word string) Notify {
	for i, name := range notifyNames {
		if equalFold(word, name) {
			return 1 << i
		}
	}
	return 0
}

var notifyNames = [...]string{"NEVER", "SUCCESS", "FAILURE", "DELAY"}

func (n Notify) appendTo(dst []byte) []byte {
	if n >= 1<<len(notifyNames) || n&NotifyNever != 0 && n != NotifyNever {
		return dst
	}
	first := true
	for i, name := range notifyNames {
		if n&(1<<i) == 0 {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		dst, first = append(dst, name...), false
	}
	return dst
}

func appendNotify(dst []byte, p *RcptParams) []byte {
	const prefix = " NOTIFY="
	start := len(dst)
	if p.Notify == 0 {
		return dst
	}
	if dst = p.Notify.appendTo(append(dst, prefix...)); len(dst) == start+len(prefix) {
		return dst[:start]
	}
	return dst
}

// original-recipient-address = addr-type ";" xtext, RFC 3461 §4.2; after the
// type utf-8 comes utf-8-enc-addr instead, RFC 6533 §3
func parseORcpt(p *RcptParams, value string) error {
	if len(value) > MaxORcpt {
		return badValue(MaxORcpt, "ORCPT is longer than 500 octets")
	}
	kind, encoded, ok := strings.Cut(value, ";")
	if !ok || !isAddrType(kind) {
		return badValue(0, "ORCPT does not begin with an address type")
	}
	o := ORcpt{Type: kind}
	var i int
	var why string
	if o.isUTF8() {
		o.Address, i, why = unitext(encoded)
	} else if o.Address, i, why = xtext(encoded); why == "" && !isPrintable(o.Address) {
		why = "ORCPT is not printable ASCII"
	}
	if why != "" {
		return badValue(len(kind)+1+i, why)
	}
	p.ORcpt = o
	return nil
}

func (o ORcpt) isUTF8() bool { return equalFold(o.Type, "utf-8") }

func (o ORcpt) appendTo(dst []byte) []byte {
	dst = append(append(dst, o.Type...), ';')
	if o.isUTF8() {
		return AppendUnitext(dst, o.Address)
	}
	return AppendXtext(dst, o.Address)
}

func appendORcpt(dst []byte, p *RcptParams) []byte {
	if !isAddrType(p.ORcpt.Type) {
		return dst
	}
	return p.ORcpt.appendTo(append(dst, " ORCPT="...))
}

// addr-type = atom; "=" may not stand in an esmtp-value
func isAddrType(s string) bool {
	for i := 0; i < len(s); i++ {
		if class[s[i]]&cAtext == 0 || s[i] == '=' {
			return false
		}
	}
	return s != ""
}
