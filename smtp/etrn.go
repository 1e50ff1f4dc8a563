package smtp

// Etrn is the argument of ETRN: whose waiting mail the server shall send now
// (RFC 1985 §5).
type Etrn struct {
	Kind EtrnKind // what Name names
	Name string   // a fully qualified domain name, or the name of a queue
}

// EtrnKind is the option character of ETRN (RFC 1985 §5.3).
type EtrnKind byte

// The kinds of ETRN. The zero value is EtrnNode.
const (
	EtrnNode   EtrnKind = 0   // the mail for one node: "example.org"
	EtrnDomain EtrnKind = '@' // the mail for a domain and everything below it: "@example.org"
	EtrnQueue  EtrnKind = '#' // a queue, whose name has a meaning to the server only: "#uucp"
)

// String returns the argument as it is sent.
func (e Etrn) String() string {
	if e.Kind == EtrnNode {
		return e.Name
	}
	return string(rune(e.Kind)) + e.Name
}

// ParseEtrn reads the argument of ETRN. The error is a *SyntaxError with the
// code 501. Who may ask for what is for the server to decide (RFC 1985 §8).
func ParseEtrn(arg string) (Etrn, error) {
	e := Etrn{Name: arg}
	if arg != "" && (arg[0] == byte(EtrnDomain) || arg[0] == byte(EtrnQueue)) {
		e = Etrn{Kind: EtrnKind(arg[0]), Name: arg[1:]}
	}
	if i, why := e.check(); why != "" {
		return Etrn{}, badValue(len(arg)-len(e.Name)+i, why)
	}
	return e, nil
}

// AppendEtrn appends an ETRN command with its CRLF. What ParseEtrn would refuse
// is not emitted: dst comes back as it was. Validate tells why.
func AppendEtrn(dst []byte, e Etrn) []byte {
	if e.Validate() != nil {
		return dst
	}
	dst = append(dst, "ETRN "...)
	if e.Kind != EtrnNode {
		dst = append(dst, byte(e.Kind))
	}
	return append(append(dst, e.Name...), "\r\n"...)
}

// Validate reports why e cannot be sent, as a *SyntaxError.
func (e Etrn) Validate() error {
	if e.Kind != EtrnNode && e.Kind != EtrnDomain && e.Kind != EtrnQueue {
		return badValue(-1, "ETRN has an unknown kind")
	}
	if _, why := e.check(); why != "" {
		return badValue(-1, why)
	}
	return nil
}

func (e Etrn) check() (offset int, why string) {
	switch {
	case e.Name == "":
		return 0, "ETRN has no name"
	case len(e.Name) > MaxDomain:
		return MaxDomain, "name is longer than 255 octets"
	}
	if e.Kind == EtrnQueue {
		for i := 0; i < len(e.Name); i++ {
			if e.Name[i]-0x21 > 0x7e-0x21 {
				return i, "character not allowed in the name of a queue"
			}
		}
		return 0, ""
	}
	end, why := domain(e.Name, 0, cLdh)
	switch {
	case why != "":
		return end, why
	case end < len(e.Name):
		return end, "unexpected character after the domain"
	case !isASCII(e.Name):
		return 0, "domain is not ASCII"
	}
	for i := 0; i < len(e.Name); i++ {
		if e.Name[i] == '.' {
			return 0, ""
		}
	}
	return 0, "domain is not fully qualified" // §5
}
