package smtp

import (
	"errors"
	"strings"
)

// Param is a parameter of MAIL or RCPT that belongs to an extension of the
// application's own.
type Param struct {
	Name  string // esmtp-keyword, in upper case when parsed
	Value string // esmtp-value; "" when there is none
}

// pathArgument reads "FROM:" or "TO:" and the path after it. Blanks between the
// two are not in the grammar but widely sent (RFC 5321 §3.3).
func pathArgument(arg, prefix string, path func(string, int) (Mailbox, int, string), enh Enhanced) (Mailbox, int, error) {
	if !hasPrefixFold(arg, prefix) {
		return Mailbox{}, 0, &SyntaxError{Code: CodeArgSyntax, Enhanced: enhSyntax, Reason: prefix + " and a path are missing"}
	}
	m, i, why := path(arg, skipBlanks(arg, len(prefix)))
	if why == "" && i < len(arg) && !isBlank(arg[i]) {
		why = "blank is missing after the path"
	}
	if why != "" {
		return Mailbox{}, 0, &SyntaxError{Code: CodeArgSyntax, Enhanced: enh, Offset: i, Reason: why}
	}
	return m, skipBlanks(arg, i), nil
}

// nonASCIIPath refuses the address in arg (RFC 6531 §3.5).
func nonASCIIPath(code int, arg, why string) error {
	i := 0
	for i < len(arg) && arg[i] < 0x80 {
		i++
	}
	return &SyntaxError{Code: code, Enhanced: enhNonASCII, Offset: i, Reason: why}
}

// paramNames remembers which parameters a command has had.
type paramNames struct {
	n    int
	name [MaxParams]string
}

// next reads esmtp-param = esmtp-keyword ["=" esmtp-value] at i and the blanks
// after it. The value may hold UTF-8 where SMTPUTF8 is offered.
func (seen *paramNames) next(arg string, i int, offers Offers) (name, value string, end int, err error) {
	start := i
	for i < len(arg) && class[arg[i]]&cLdh != 0 {
		i++
	}
	name = arg[start:i]
	switch {
	case name == "" || name[0] == '-':
		return "", "", 0, badValue(start, "parameter name is missing")
	case i < len(arg) && arg[i] != '=' && !isBlank(arg[i]):
		return "", "", 0, badValue(i, "character not allowed in a parameter name")
	case seen.n == MaxParams:
		return "", "", 0, badValue(start, "more than 32 parameters")
	}
	for _, other := range seen.name[:seen.n] {
		if equalFold(other, name) {
			return "", "", 0, badValue(start, "parameter given twice")
		}
	}
	seen.name[seen.n] = name
	seen.n++
	if i < len(arg) && arg[i] == '=' {
		start = i + 1
		if i, err = esmtpValue(arg, start, offers); err != nil {
			return "", "", 0, err
		}
		value = arg[start:i]
	}
	return name, value, skipBlanks(arg, i), nil
}

// esmtpValue = 1*(%d33-60 / %d62-126 / UTF8-non-ascii), RFC 5321 §4.1.2 and RFC
// 6531 §3.3
func esmtpValue(arg string, start int, offers Offers) (end int, err error) {
	i := start
	for i < len(arg) && !isBlank(arg[i]) {
		n := 1
		if class[arg[i]]&cValue == 0 {
			if n = nonASCII(arg, i); n == 0 || !offers.Has(ExtSMTPUTF8) {
				return 0, badValue(i, "character not allowed in a parameter value")
			}
		}
		i += n
	}
	if i == start {
		return 0, badValue(i, "parameter value is empty")
	}
	return i, nil
}

// match says what became of looking a parameter up in the table.
type match uint8

const (
	matchNone       match = iota // no row has the name
	matchUnoffered               // a row has the name, is not offered, and not for this value either
	matchOtherValue              // an offered row has the name, but not the value
	matchNotOffered              // a row has both and is not offered
	matchAccepted                // a row has both and is offered
)

// error returns nil for what was accepted. RFC 5321 §4.1.1.11 wants 555 for what
// the server does not know or cannot do; a value that nobody defined is plain
// bad syntax.
func (m match) error(offset, valueOffset int) error {
	why := "parameter not offered here"
	switch m {
	case matchAccepted:
		return nil
	case matchOtherValue:
		return badValue(valueOffset, "parameter value not recognized")
	case matchNone:
		why = "parameter not recognized"
	}
	return &SyntaxError{Code: CodeUnknownParameter, Enhanced: enhBadArgument, Offset: offset, Reason: why}
}

// inValue moves the offset of what a Parse function returned from the value to
// the whole argument. Text that is not ours to show is replaced.
func inValue(err error, offset int) error {
	var syntax *SyntaxError
	var reply *Error
	switch {
	case errors.As(err, &reply):
		return err
	case errors.As(err, &syntax):
		moved := *syntax
		moved.Offset += offset
		return &moved
	}
	return badValue(offset, "parameter value is not valid")
}

func badValue(offset int, why string) error {
	return &SyntaxError{Code: CodeArgSyntax, Enhanced: enhBadArgument, Offset: offset, Reason: why}
}

// otherParam returns what is kept of a parameter without a Parse function.
func otherParam(name, value string) Param {
	return Param{Name: strings.ToUpper(name), Value: value}
}

func appendOther(dst []byte, other []Param) []byte {
	for _, p := range other {
		if !isEsmtpKeyword(p.Name) || !isEsmtpValue(p.Value) {
			continue
		}
		dst = append(append(dst, ' '), p.Name...)
		if p.Value != "" {
			dst = append(append(dst, '='), p.Value...)
		}
	}
	return dst
}

// checkOther returns why other cannot be sent. reserved tells the names that
// have a typed field.
func checkOther(other []Param, reserved func(name string) bool) string {
	if len(other) > MaxParams {
		return "more than 32 parameters"
	}
	for i, p := range other {
		switch {
		case !isEsmtpKeyword(p.Name):
			return "parameter name has a character that is not allowed"
		case !isEsmtpValue(p.Value):
			return "parameter value has a character that is not allowed"
		case reserved(p.Name):
			return "parameter in Other has a field of its own"
		}
		for _, q := range other[:i] {
			if equalFold(p.Name, q.Name) {
				return "parameter given twice"
			}
		}
	}
	return ""
}

func isEsmtpKeyword(s string) bool {
	for i := 0; i < len(s); i++ {
		if class[s[i]]&cLdh == 0 {
			return false
		}
	}
	return s != "" && s[0] != '-'
}

func isEsmtpValue(s string) bool {
	for i := 0; i < len(s); {
		n := 1
		if class[s[i]]&cValue == 0 {
			if n = nonASCII(s, i); n == 0 {
				return false
			}
		}
		i += n
	}
	return true
}

// decimal reads 1*20DIGIT; what does not fit becomes the largest int64.
func decimal(s string) (n int64, ok bool) {
	if s == "" || len(s) > 20 {
		return 0, false
	}
	for i := 0; i < len(s); i++ {
		if !isDigit(s[i]) {
			return 0, false
		}
		d := int64(s[i] - '0')
		if n > (maxInt64-d)/10 {
			n = maxInt64
			continue
		}
		n = n*10 + d
	}
	return n, true
}

const maxInt64 = 1<<63 - 1
