package smtp

import (
	"errors"
	"slices"
	"strings"
)

// Keyword is an EHLO keyword in upper case (RFC 5321 §4.1.1.1).
type Keyword string

// The keywords this package knows. Those without a row in the table are verbs
// that a server may name in its EHLO reply.
const (
	ExtPipelining          Keyword = "PIPELINING"          // RFC 2920
	ExtSize                Keyword = "SIZE"                // RFC 1870
	Ext8BitMIME            Keyword = "8BITMIME"            // RFC 6152
	ExtSMTPUTF8            Keyword = "SMTPUTF8"            // RFC 6531
	ExtEnhancedStatusCodes Keyword = "ENHANCEDSTATUSCODES" // RFC 2034
	ExtStartTLS            Keyword = "STARTTLS"            // RFC 3207
	ExtAuth                Keyword = "AUTH"                // RFC 4954
	ExtChunking            Keyword = "CHUNKING"            // RFC 3030
	ExtBinaryMIME          Keyword = "BINARYMIME"          // RFC 3030
	ExtDSN                 Keyword = "DSN"                 // RFC 3461
	ExtDeliverBy           Keyword = "DELIVERBY"           // RFC 2852
	ExtRequireTLS          Keyword = "REQUIRETLS"          // RFC 8689
	ExtLimits              Keyword = "LIMITS"              // RFC 9422
	ExtMTPriority          Keyword = "MT-PRIORITY"         // RFC 6710
	ExtRRVS                Keyword = "RRVS"                // RFC 7293
	ExtFutureRelease       Keyword = "FUTURERELEASE"       // RFC 4865
	ExtNoSoliciting        Keyword = "NO-SOLICITING"       // RFC 3865
	ExtPRDR                Keyword = "PRDR"                // draft-hall-prdr
	ExtEtrn                Keyword = "ETRN"                // RFC 1985
	ExtXClient             Keyword = "XCLIENT"             // Postfix XCLIENT_README
	ExtXForward            Keyword = "XFORWARD"            // Postfix XFORWARD_README
	ExtVrfy                Keyword = "VRFY"                // RFC 5321 §3.5.2
	ExtExpn                Keyword = "EXPN"                // RFC 5321 §3.5.2
	ExtHelp                Keyword = "HELP"                // RFC 5321 §4.1.1.8
)

// Extension is one row of the extension table, shaped like the registration
// form of RFC 5321 §2.2.2. A row of the application's own is handed to
// ParseMail and the others as their last argument; rows must not change while
// in use.
type Extension struct {
	Keyword     Keyword     // in upper case
	RFC         string      // "RFC 1870"
	Verbs       []Verb      // the commands it adds
	Mail        []MailParam // the parameters it adds to MAIL
	Rcpt        []RcptParam // the parameters it adds to RCPT
	MailGrowth  int         // octets by which a MAIL line may grow. If zero, none.
	RcptGrowth  int         // octets by which a RCPT line may grow. If zero, none.
	OtherGrowth int         // octets by which any other line may grow. If zero, none.
}

// MailParam is one parameter that an extension adds to MAIL.
type MailParam struct {
	Name string // esmtp-keyword, matched without regard to case

	// Values are the values that this row is for, matched without regard to
	// case, when several extensions share a name (BODY). If nil, every value.
	Values []string

	// Parse stores value in p; it is "" when there was no "=". The error is a
	// *SyntaxError whose offset counts in the value, an *Error to give a reply
	// of one's own, or any other, whose text the peer does not see. If nil, the
	// parameter goes to p.Other as it is.
	Parse func(p *MailParams, value string) error

	// Append appends " NAME=value" if p asks for it, and else nothing. If nil,
	// nothing: what is in p.Other is appended by AppendMail.
	Append func(dst []byte, p *MailParams) []byte

	// Drop clears the parameter in p if the message may go to a server without
	// the extension all the same. If nil, it always matters.
	Drop func(p *MailParams)

	// Fits says why the value in p is not within what o, which has the
	// extension, announces with it; the error is like that of Parse. CheckMail,
	// which also asks when p has no such parameter, makes it the Reason of a
	// *NotOfferedError. If nil, every value fits.
	Fits func(o Offers, p *MailParams) error
}

// RcptParam is one parameter that an extension adds to RCPT. The fields are
// those of MailParam.
type RcptParam struct {
	Name   string
	Values []string
	Parse  func(p *RcptParams, value string) error
	Append func(dst []byte, p *RcptParams) []byte
	Drop   func(p *RcptParams)
	Fits   func(o Offers, p *RcptParams) error
}

// Offers is what a server offered in its EHLO reply, or offers at this point of
// a session: the keyword in upper case and the text of its parameter. A nil map
// offers nothing. Safe for concurrent reading.
type Offers map[Keyword]string

// ParseOffers reads the lines of a positive EHLO reply after the first (RFC
// 5321 §4.1.1.1). Lines that break the grammar are ignored; of two with the same
// keyword the first counts, except that "AUTH=LOGIN", which servers older than
// RFC 4954 send, adds to AUTH. The result is never nil.
func ParseOffers(lines []string) Offers {
	o := make(Offers, len(lines))
	for _, line := range lines {
		k, param, ok := ehloLine(line)
		if !ok {
			continue
		}
		old, had := o[k]
		switch {
		case !had:
			o[k] = param
		case k == ExtAuth:
			o[k] = strings.Trim(old+" "+param, " ")
		}
	}
	return o
}

// Has reports whether k is offered.
func (o Offers) Has(k Keyword) bool {
	_, ok := o[k]
	return ok
}

// Param returns the text of the parameter of k, and whether k is offered.
func (o Offers) Param(k Keyword) (string, bool) {
	s, ok := o[k]
	return s, ok
}

// MaxSize returns the size, in octets, that the server announced with SIZE, and
// whether it offers SIZE. A size of 0 means that no bound was announced
// (RFC 1870 §3).
func (o Offers) MaxSize() (int64, bool) {
	s, ok := o[ExtSize]
	n, _ := decimal(s)
	return n, ok
}

// AuthMechanisms returns the SASL mechanisms in upper case, in the server's
// order, each once.
func (o Offers) AuthMechanisms() []string {
	var list []string
next:
	for _, name := range strings.Fields(o[ExtAuth]) {
		name = strings.ToUpper(name)
		for _, have := range list {
			if have == name {
				continue next
			}
		}
		list = append(list, name)
	}
	return list
}

// MaxLine returns how many octets a command line with verb v may have, its CRLF
// included: 512 and what the offered extensions add (RFC 5321 §4.1.1.11). A
// server takes AUTH lines of up to MaxAuthLine, since clients put long initial
// responses there; a client must not (RFC 4954 §4).
func (o Offers) MaxLine(v Verb, own ...*Extension) int {
	n := MaxCommandLine
	for i := range len(table) + len(own) {
		row := rowAt(i, own)
		growth := row.OtherGrowth
		switch v {
		case MAIL:
			growth = row.MailGrowth
		case RCPT:
			growth = row.RcptGrowth
		}
		if growth != 0 && o.Has(row.Keyword) {
			n += growth
		}
	}
	if v == AUTH && o.Has(ExtAuth) {
		n = max(n, MaxAuthLine)
	}
	return n
}

// CheckMail returns a *NotOfferedError for the first parameter in p whose
// extension is not offered, sending it would be a protocol error (RFC 5321
// §4.1.1.11), or whose value is not within what the server announced. A
// parameter in p.Other that is in no row passes: the caller vouches for it. A
// nil p passes.
func (o Offers) CheckMail(p *MailParams, own ...*Extension) error {
	if p == nil {
		return nil
	}
	if err := mailIndex.check(p, p.given(), p.Other, o); err != nil {
		return err
	}
	for _, row := range own {
		for j := range row.Mail {
			param := &row.Mail[j]
			switch {
			case !o.Has(row.Keyword):
				if param.Append != nil && len(param.Append(nil, p)) > 0 || hasParam(p.Other, param.Name, param.Values) {
					return &NotOfferedError{Keyword: row.Keyword, Param: param.Name}
				}
			case param.Fits != nil:
				if err := param.Fits(o, p); err != nil {
					return unfit(row.Keyword, param.Name, err)
				}
			}
		}
	}
	return nil
}

// CheckRcpt is CheckMail for the parameters of RCPT.
func (o Offers) CheckRcpt(p *RcptParams, own ...*Extension) error {
	if p == nil {
		return nil
	}
	if err := rcptIndex.check(p, p.given(), p.Other, o); err != nil {
		return err
	}
	for _, row := range own {
		for j := range row.Rcpt {
			param := &row.Rcpt[j]
			switch {
			case !o.Has(row.Keyword):
				if param.Append != nil && len(param.Append(nil, p)) > 0 || hasParam(p.Other, param.Name, param.Values) {
					return &NotOfferedError{Keyword: row.Keyword, Param: param.Name}
				}
			case param.Fits != nil:
				if err := param.Fits(o, p); err != nil {
					return unfit(row.Keyword, param.Name, err)
				}
			}
		}
	}
	return nil
}

// DropAdvisory clears the parameters in p whose extension is not offered and
// without which the message may go to this server all the same: SIZE, BODY=7BIT,
// AUTH, MT-PRIORITY (RFC 6710 §4.3), SOLICIT, PRDR, and BY with the mode N. For
// the last, a client that is a relay owes the sender a "relayed" notification
// (RFC 2852 §4.1.4.2). All others stay, and CheckMail refuses them: without BY
// with the mode R, REQUIRETLS, HOLDFOR or HOLDUNTIL the message would not be
// handled as its sender requires. A client that passes an envelope on calls it
// before CheckMail.
func (o Offers) DropAdvisory(p *MailParams, own ...*Extension) {
	mailIndex.dropFrom(p, p.given(), o)
	for _, row := range own {
		for j := range row.Mail {
			if drop := row.Mail[j].Drop; drop != nil && !o.Has(row.Keyword) {
				p.Other = slices.Clone(p.Other) // which copies of p share
				drop(p)
			}
		}
	}
}

// DropAdvisoryRcpt is DropAdvisory for the parameters of RCPT: RRVS with the
// action C (RFC 7293 §5.1.1).
func (o Offers) DropAdvisoryRcpt(p *RcptParams, own ...*Extension) {
	rcptIndex.dropFrom(p, p.given(), o)
	for _, row := range own {
		for j := range row.Rcpt {
			if drop := row.Rcpt[j].Drop; drop != nil && !o.Has(row.Keyword) {
				p.Other = slices.Clone(p.Other) // which copies of p share
				drop(p)
			}
		}
	}
}

// NotOfferedError says that a parameter cannot be sent because the server does
// not offer its extension, or not for the value.
type NotOfferedError struct {
	Keyword Keyword // the extension that is missing
	Param   string  // the name of the parameter
	Reason  string  // why the value does not fit. If "", the extension is missing.
}

// Error returns "smtp: BODY needs BINARYMIME, which the server does not offer".
func (e *NotOfferedError) Error() string {
	if e.Reason != "" {
		return "smtp: " + e.Param + ": " + e.Reason
	}
	if e.Param == "" || e.Param == string(e.Keyword) {
		return "smtp: the server does not offer " + string(e.Keyword)
	}
	return "smtp: " + e.Param + " needs " + string(e.Keyword) + ", which the server does not offer"
}

// unfit takes the reason from what a Fits function returned.
func unfit(k Keyword, name string, err error) *NotOfferedError {
	var syntax *SyntaxError
	reason := err.Error()
	if errors.As(err, &syntax) {
		reason = syntax.Reason
	}
	return &NotOfferedError{Keyword: k, Param: name, Reason: reason}
}

func hasParam(other []Param, name string, values []string) bool {
	for _, p := range other {
		if !equalFold(p.Name, name) {
			continue
		}
		for _, v := range values {
			if equalFold(v, p.Value) {
				return true
			}
		}
		return values == nil
	}
	return false
}

// ehloLine = ehlo-keyword *( SP ehlo-param )
func ehloLine(line string) (k Keyword, param string, ok bool) {
	word, param, _ := strings.Cut(strings.TrimRight(line, " \t"), " ")
	if hasPrefixFold(word, "AUTH=") {
		word, param = "AUTH", word[len("AUTH="):]+" "+param
	}
	param = strings.Trim(param, " \t")
	if !isEsmtpKeyword(word) || !isPrintable(param) {
		return "", "", false
	}
	return Keyword(strings.ToUpper(word)), param, true
}
