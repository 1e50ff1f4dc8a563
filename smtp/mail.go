package smtp

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
// The error, after which p means nothing, is a *SyntaxError: 501 for bad syntax
// and for a parameter given twice, 555 for a parameter that is unknown or not
// offered, 550 for an address that is not ASCII without SMTPUTF8 (RFC 6531
// §3.5). A Parse function of the application's own may also return an *Error,
// which is passed on.
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
		return ReversePath{}, badValue(i, "HOLDFOR ends after BY") // RFC 4865 §5.2.2
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
	case p.Priority.n < 0 || p.Priority.n > 19:
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
