package smtp

import "strconv"

// MailParams are the parameters of one MAIL command, decoded. The zero value
// has none.
type MailParams struct {
	Size       int64     // SIZE=, in octets (RFC 1870 §6). If zero, not given. More than an int64 holds is MaxInt64.
	Body       BodyType  // BODY= (RFC 6152 §2, RFC 3030 §3). If "", not given.
	UTF8       bool      // SMTPUTF8 (RFC 6531 §3.4)
	RequireTLS bool      // REQUIRETLS: every hop must use verified TLS (RFC 8689 §4)
	PRDR       bool      // PRDR: after the data one reply for each recipient (draft-hall-prdr)
	Priority   Priority  // MT-PRIORITY= (RFC 6710 §5). If zero, not given.
	Auth       string    // AUTH=, a mailbox, or "<>" for an unknown identity (RFC 4954 §5). If "", not given.
	Ret        Ret       // RET= (RFC 3461 §4.3). If "", not given.
	EnvID      string    // ENVID=, printable ASCII (RFC 3461 §4.4). If "", not given.
	By         DeliverBy // BY= (RFC 2852 §4). If zero, not given.
	Hold       Hold      // HOLDFOR= or HOLDUNTIL= (RFC 4865 §3). If zero, not given.
	Solicit    string    // SOLICIT=, solicitation class keywords separated by commas (RFC 3865 §2.3). If "", not given.
	Other      []Param   // parameters of the application's own extensions, in order
}

// BodyType is the value of BODY=: which octets the message may have.
type BodyType string

// The values of BODY=.
const (
	Body7Bit       BodyType = "7BIT"       // lines of ASCII (RFC 6152 §2)
	Body8BitMIME   BodyType = "8BITMIME"   // lines of any octet (RFC 6152 §2)
	BodyBinaryMIME BodyType = "BINARYMIME" // any octet, no lines; needs BDAT (RFC 3030 §3)
)

// Ret is the value of RET=: how much of the message a failure report returns.
type Ret string

// The values of RET= (RFC 3461 §4.3).
const (
	RetFull    Ret = "FULL" // the entire message
	RetHeaders Ret = "HDRS" // the header section only
)

// ParseMail reads the argument of MAIL, "FROM:<a@b.example> SIZE=3", into the
// path, which is returned, and p, which is overwritten; a nil p means that the
// parameters are only checked. Parameters are those of the extensions that
// offers has, from the table or from own. Blanks between the colon and the path
// are let through. The strings are substrings of arg wherever nothing had to be
// decoded.
//
// The error, after which p means nothing, is a *SyntaxError: 501 for bad syntax and for a parameter given
// twice, 555 for a parameter that is unknown or not offered, 550 for an address
// that is not ASCII without SMTPUTF8 (RFC 6531 §3.5). A Parse function of the application's own
// may also return an *Error, which is passed on.
func ParseMail(arg string, offers Offers, p *MailParams, own ...*Extension) (ReversePath, error) {
	if p == nil {
		p = new(MailParams)
	}
	*p = MailParams{}
	m, i, err := pathArgument(arg, "FROM:", reversePath, enhBadSender) // §4.1.1.2
	if err != nil {
		return ReversePath{}, err
	}
	if i < len(arg) {
		if err := p.parse(arg, i, offers, own); err != nil {
			return ReversePath{}, err
		}
	}
	if p.Hold.For > 0 && p.By.Mode != 0 && p.Hold.For > p.By.Within {
		return ReversePath{}, badValue(-1, "HOLDFOR ends after BY") // RFC 4865 §5.2.2
	}
	if !p.UTF8 && !m.IsASCII() {
		return ReversePath{}, nonASCIIPath(CodeNoMailbox, arg, "address is not ASCII and SMTPUTF8 was not given")
	}
	return ReversePath{m}, nil
}

// parse reads the parameters that begin at i.
func (p *MailParams) parse(arg string, i int, offers Offers, own []*Extension) error {
	var seen paramNames
	var entry paramEntry[MailParams]
	for i < len(arg) {
		name, value, end, err := seen.next(arg, i, offers)
		if err != nil {
			return err
		}
		valueAt := min(i+len(name)+1, len(arg))
		param, found := findMailParam(name, value, offers, own, &entry)
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
func (p *MailParams) Validate() error {
	if why := p.check(); why != "" {
		return badValue(-1, why)
	}
	return nil
}

func (p *MailParams) check() string {
	if p == nil {
		return ""
	}
	switch {
	case p.Size < 0:
		return "SIZE is negative"
	case p.Body != "" && p.Body != Body7Bit && p.Body != Body8BitMIME && p.Body != BodyBinaryMIME:
		return "BODY has an unknown value"
	case p.Ret != "" && p.Ret != RetFull && p.Ret != RetHeaders:
		return "RET has an unknown value"
	case !isPrintable(p.EnvID):
		return "ENVID is not printable ASCII"
	case xtextLen(p.EnvID) > MaxEnvID:
		return "ENVID is longer than 100 octets"
	case p.Auth != "" && !isAuthIdentity(p.Auth):
		return "AUTH is not a mailbox"
	case p.Priority != Priority{} && p.Priority.String() == "":
		return "MT-PRIORITY is not from -9 to 9"
	case p.Solicit != "" && !isSolicit(p.Solicit):
		return "SOLICIT is not a list of solicitation class keywords"
	case p.Hold.For > 0 && p.By.Mode != 0 && p.Hold.For >= p.By.Within:
		return "HOLDFOR is not before the end of BY" // RFC 4865 §5.2.1
	}
	if why := p.By.check(); why != "" {
		return why
	}
	if why := p.Hold.check(); why != "" {
		return why
	}
	return checkOther(p.Other, func(name string) bool {
		_, found := mailIndex.find(name, "", nil)
		return found != matchNone
	})
}

// findMailParam looks in the table, then in own, whose match is kept in entry.
func findMailParam(name, value string, offers Offers, own []*Extension, entry *paramEntry[MailParams]) (*paramEntry[MailParams], match) {
	found, best := mailIndex.find(name, value, offers)
	for i := 0; i < len(own) && best != matchAccepted; i++ {
		for j := range own[i].Mail {
			e := own[i].Mail[j].entry(own[i].Keyword)
			if m := e.match(name, value, offers); m > best {
				*entry = e
				found, best = entry, m
			}
		}
	}
	return found, best
}

func appendMailParams(dst []byte, p *MailParams, own []*Extension) []byte {
	dst = mailIndex.appendTo(dst, p, p.given())
	for _, row := range own {
		for j := range row.Mail {
			if param := &row.Mail[j]; param.Append != nil {
				dst = param.Append(dst, p)
			}
		}
	}
	return appendOther(dst, p.Other)
}

// size-value ::= 1*20DIGIT, RFC 1870 §6
func parseSize(p *MailParams, value string) (err error) {
	n, ok := decimal(value)
	if !ok {
		return badValue(0, "SIZE is not a number of at most 20 digits")
	}
	p.Size = n
	return nil
}

func appendSize(dst []byte, p *MailParams) []byte {
	if p.Size <= 0 {
		return dst
	}
	return strconv.AppendInt(append(dst, " SIZE="...), p.Size, 10)
}

func dropSize(p *MailParams) { p.Size = 0 }

// body-value ::= "7BIT" / "8BITMIME", RFC 6152 §2
func parseBody(p *MailParams, value string) error {
	p.Body = Body7Bit
	if equalFold(value, string(Body8BitMIME)) {
		p.Body = Body8BitMIME
	}
	return nil
}

func appendBody(dst []byte, p *MailParams) []byte {
	if p.Body != Body7Bit && p.Body != Body8BitMIME {
		return dst
	}
	return append(append(dst, " BODY="...), p.Body...)
}

// dropBody clears what is the default anyway.
func dropBody(p *MailParams) {
	if p.Body == Body7Bit {
		p.Body = ""
	}
}

// body-value =/ "BINARYMIME", RFC 3030 §3
func parseBinary(p *MailParams, _ string) error {
	p.Body = BodyBinaryMIME
	return nil
}

func appendBinary(dst []byte, p *MailParams) []byte {
	if p.Body != BodyBinaryMIME {
		return dst
	}
	return append(dst, " BODY=BINARYMIME"...)
}

// The parameter has no value, RFC 6531 §3.4.
func parseUTF8(p *MailParams, value string) error {
	if value != "" {
		return badValue(0, "SMTPUTF8 takes no value")
	}
	p.UTF8 = true
	return nil
}

func appendUTF8(dst []byte, p *MailParams) []byte {
	if !p.UTF8 {
		return dst
	}
	return append(dst, " SMTPUTF8"...)
}

// requiretls-param = "REQUIRETLS", RFC 8689 §3
func parseRequireTLS(p *MailParams, value string) error {
	if value != "" {
		return badValue(0, "REQUIRETLS takes no value")
	}
	p.RequireTLS = true
	return nil
}

func appendRequireTLS(dst []byte, p *MailParams) []byte {
	if !p.RequireTLS {
		return dst
	}
	return append(dst, " REQUIRETLS"...)
}

// The parameter has no value, draft-hall-prdr §4.2.
func parsePRDR(p *MailParams, value string) error {
	if value != "" {
		return badValue(0, "PRDR takes no value")
	}
	p.PRDR = true
	return nil
}

func appendPRDR(dst []byte, p *MailParams) []byte {
	if !p.PRDR {
		return dst
	}
	return append(dst, " PRDR"...)
}

// dropPRDR: without it there is one reply for all.
func dropPRDR(p *MailParams) { p.PRDR = false }

// The value is a mailbox or "<>" as xtext, RFC 4954 §5.
func parseAuth(p *MailParams, value string) error {
	s, i, why := xtext(value)
	if why != "" {
		return badValue(i, why)
	}
	if !isAuthIdentity(s) {
		return badValue(0, "AUTH is not a mailbox")
	}
	p.Auth = s
	return nil
}

func appendAuth(dst []byte, p *MailParams) []byte {
	if p.Auth == "" {
		return dst
	}
	return AppendXtext(append(dst, " AUTH="...), p.Auth)
}

func dropAuth(p *MailParams) { p.Auth = "" }

func isAuthIdentity(s string) bool {
	if s == "<>" {
		return true
	}
	_, end, why := mailbox(s, 0)
	return why == "" && end == len(s) && end <= maxMailbox
}

func parseRet(p *MailParams, value string) error {
	p.Ret = RetFull
	if equalFold(value, string(RetHeaders)) {
		p.Ret = RetHeaders
	}
	return nil
}

func appendRet(dst []byte, p *MailParams) []byte {
	if p.Ret != RetFull && p.Ret != RetHeaders {
		return dst
	}
	return append(append(dst, " RET="...), p.Ret...)
}

// envid-parameter = "ENVID=" xtext, RFC 3461 §4.4
func parseEnvID(p *MailParams, value string) error {
	if value == "" {
		return badValue(0, "ENVID has no value")
	}
	if len(value) > MaxEnvID {
		return badValue(MaxEnvID, "ENVID is longer than 100 octets")
	}
	s, i, why := xtext(value)
	if why != "" {
		return badValue(i, why)
	}
	if !isPrintable(s) {
		return badValue(0, "ENVID is not printable ASCII")
	}
	p.EnvID = s
	return nil
}

func appendEnvID(dst []byte, p *MailParams) []byte {
	if p.EnvID == "" {
		return dst
	}
	return AppendXtext(append(dst, " ENVID="...), p.EnvID)
}

// xtextLen is the length that AppendXtext adds.
func xtextLen(s string) int {
	n := len(s)
	for i := 0; i < len(s); i++ {
		if class[s[i]]&cXchar == 0 {
			n += 2
		}
	}
	return n
}
