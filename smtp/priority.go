package smtp

import "strconv"

// Priority is the value of MT-PRIORITY= (RFC 6710 §5): from -9 to 9, more is
// sooner. The zero value is not given, which is not the priority 0; a server
// treats the message as its policy says. Values are comparable with ==.
type Priority struct{ n int8 } // zero, or level + 10; badPriority

const badPriority = 127

// NewPriority returns the priority of a level from -9 to 9. Any other level
// gives a value that Validate refuses and that is never sent.
func NewPriority(level int) Priority {
	if level < -9 || level > 9 {
		return Priority{badPriority}
	}
	return Priority{int8(level + 10)}
}

// Level returns the level, and whether one is given. Without, it is 0.
func (p Priority) Level() (level int, given bool) {
	if p.n < 1 || p.n > 19 {
		return 0, false
	}
	return int(p.n) - 10, true
}

// String returns the level as it is sent, "-3", and "" when none is given.
func (p Priority) String() string {
	level, given := p.Level()
	if !given {
		return ""
	}
	return strconv.Itoa(level)
}

// priority-value = (["-"] NZDIGIT) / "0", RFC 6710 §7
func parsePriority(p *MailParams, value string) error {
	digit := value
	if len(digit) == 2 && digit[0] == '-' && digit[1] != '0' {
		digit = digit[1:]
	}
	if len(digit) != 1 || !isDigit(digit[0]) {
		// §4.1 asks for this enhanced status code.
		return &SyntaxError{Code: CodeArgSyntax, Enhanced: enhSyntax, Reason: "MT-PRIORITY is not from -9 to 9"}
	}
	level := int(digit[0] - '0')
	if len(value) == 2 {
		level = -level
	}
	p.Priority = NewPriority(level)
	return nil
}

func appendPriority(dst []byte, p *MailParams) []byte {
	level, given := p.Priority.Level()
	if !given {
		return dst
	}
	return strconv.AppendInt(append(dst, " MT-PRIORITY="...), int64(level), 10)
}

// dropPriority: a message goes to other servers without its priority (§4.3).
func dropPriority(p *MailParams) { p.Priority = Priority{} }
