package smtp

import (
	"math"
	"strconv"
)

// Verb is the verb of a command in upper case, or the word of an application's
// own command.
type Verb string

// The verbs this package knows. ParseVerb gives these and no others.
const (
	HELO     Verb = "HELO"     // RFC 5321 §4.1.1.1
	EHLO     Verb = "EHLO"     // RFC 5321 §4.1.1.1
	LHLO     Verb = "LHLO"     // RFC 2033 §4.1
	MAIL     Verb = "MAIL"     // RFC 5321 §4.1.1.2
	RCPT     Verb = "RCPT"     // RFC 5321 §4.1.1.3
	DATA     Verb = "DATA"     // RFC 5321 §4.1.1.4
	BDAT     Verb = "BDAT"     // RFC 3030 §2
	RSET     Verb = "RSET"     // RFC 5321 §4.1.1.5
	VRFY     Verb = "VRFY"     // RFC 5321 §4.1.1.6
	EXPN     Verb = "EXPN"     // RFC 5321 §4.1.1.7
	HELP     Verb = "HELP"     // RFC 5321 §4.1.1.8
	NOOP     Verb = "NOOP"     // RFC 5321 §4.1.1.9
	QUIT     Verb = "QUIT"     // RFC 5321 §4.1.1.10
	STARTTLS Verb = "STARTTLS" // RFC 3207 §4
	AUTH     Verb = "AUTH"     // RFC 4954 §4
	ETRN     Verb = "ETRN"     // RFC 1985 §5
	XCLIENT  Verb = "XCLIENT"  // Postfix
	XFORWARD Verb = "XFORWARD" // Postfix
)

// ParseVerb splits a command line without its CRLF. The verb is matched without
// regard to case; an unknown one gives "" and false, and CutVerb gives its
// word. arg is what follows the verb, a slice of line without blanks at its
// ends. Nothing is allocated.
func ParseVerb(line []byte) (v Verb, arg []byte, ok bool) {
	if len(line) > 5 && line[4] == ' ' && !isBlank(line[5]) && !isBlank(line[len(line)-1]) {
		switch foldFour(line) { // 3 ns where what follows takes 15
		case wordRCPT:
			return RCPT, line[5:], true
		case wordMAIL:
			return MAIL, line[5:], true
		}
	}
	word, arg := CutVerb(line)
	if v = verb(word); v == "" {
		return "", arg, false
	}
	return v, arg, true
}

// CutVerb splits a command line without its CRLF at the first blank. Both
// results are slices of line; arg has no blanks at its ends.
func CutVerb(line []byte) (word, arg []byte) {
	i := 0
	for i < len(line) && !isBlank(line[i]) {
		i++
	}
	word, arg = line[:i], line[i:]
	for len(arg) > 0 && isBlank(arg[0]) {
		arg = arg[1:]
	}
	for len(arg) > 0 && isBlank(arg[len(arg)-1]) { // §4.1.1: trailing white space is tolerated
		arg = arg[:len(arg)-1]
	}
	return word, arg
}

// ParseBdat reads the argument of BDAT: chunk-size [ SP "LAST" ] (RFC 3030 §2).
// When the error, a *SyntaxError, is not nil, the size is unknown and with it
// where the next command begins.
func ParseBdat(arg []byte) (size int64, last bool, err error) {
	i := 0
	for ; i < len(arg) && isDigit(arg[i]); i++ {
		d := int64(arg[i] - '0')
		if size > (math.MaxInt64-d)/10 {
			return 0, false, badValue(i, "chunk size is too large")
		}
		size = size*10 + d
	}
	if i == 0 {
		return 0, false, badValue(0, "chunk size is missing")
	}
	if i == len(arg) {
		return size, false, nil
	}
	if !isBlank(arg[i]) {
		return 0, false, badValue(i, "chunk size is not a number")
	}
	for isBlank(arg[i]) && i < len(arg)-1 {
		i++
	}
	if rest := arg[i:]; len(rest) != 4 || foldWord(rest) != wordLAST {
		return 0, false, badValue(i, "only LAST may follow the chunk size")
	}
	return size, true, nil
}

// AppendMail appends a MAIL command with its CRLF. A nil p has no parameters.
// Rows of the application's own append theirs after those of the table, then
// come the parameters in p.Other. What the grammar does not allow is not
// emitted; call Validate to hear of it, and Offers.CheckMail whether the peer
// can take it.
func AppendMail(dst []byte, from ReversePath, p *MailParams, own ...*Extension) []byte {
	dst = from.AppendTo(append(dst, "MAIL FROM:"...))
	if p != nil {
		dst = appendMailParams(dst, p, own)
	}
	return append(dst, "\r\n"...)
}

// AppendRcpt appends a RCPT command with its CRLF, as AppendMail does.
func AppendRcpt(dst []byte, to ForwardPath, p *RcptParams, own ...*Extension) []byte {
	dst = to.AppendTo(append(dst, "RCPT TO:"...))
	if p != nil {
		dst = appendRcptParams(dst, p, own)
	}
	return append(dst, "\r\n"...)
}

// AppendBdat appends a BDAT command with its CRLF. A negative size is sent as 0.
func AppendBdat(dst []byte, size int64, last bool) []byte {
	dst = strconv.AppendInt(append(dst, "BDAT "...), max(size, 0), 10)
	if last {
		dst = append(dst, " LAST"...)
	}
	return append(dst, "\r\n"...)
}

const (
	wordLAST = 0x4c415354
	wordMAIL = 0x4d41494c
	wordRCPT = 0x52435054
)

// verb folds the word into an integer, so that one switch finds the constant
// without allocating.
func verb(word []byte) Verb {
	if len(word) < 4 || len(word) > 8 {
		return ""
	}
	switch foldWord(word) {
	case 0x48454c4f:
		return HELO
	case 0x45484c4f:
		return EHLO
	case 0x4c484c4f:
		return LHLO
	case wordMAIL:
		return MAIL
	case wordRCPT:
		return RCPT
	case 0x44415441:
		return DATA
	case 0x42444154:
		return BDAT
	case 0x52534554:
		return RSET
	case 0x56524659:
		return VRFY
	case 0x4558504e:
		return EXPN
	case 0x48454c50:
		return HELP
	case 0x4e4f4f50:
		return NOOP
	case 0x51554954:
		return QUIT
	case 0x5354415254544c53:
		return STARTTLS
	case 0x41555448:
		return AUTH
	case 0x4554524e:
		return ETRN
	case 0x58434c49454e54:
		return XCLIENT
	case 0x58464f5257415244:
		return XFORWARD
	}
	return ""
}

// foldFour is foldWord of the first four octets if they are letters, and never one
// of its words if they are not: a letter is all that this makes into a letter.
func foldFour(line []byte) uint32 {
	return (uint32(line[0])<<24 | uint32(line[1])<<16 | uint32(line[2])<<8 | uint32(line[3])) &^ 0x20202020
}

// foldWord packs at most 8 octets in upper case, the last one lowest. A NUL in
// front would vanish, so it becomes 0xff, which no verb has.
func foldWord(word []byte) (w uint64) {
	for _, c := range word {
		if c == 0 {
			c = 0xff
		}
		w = w<<8 | uint64(upper(c))
	}
	return w
}
