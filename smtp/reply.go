package smtp

import (
	"iter"
	"strings"
	"unicode/utf8"
)

// Reply is what a server answers to a command, or greets with (RFC 5321 §4.2).
// The zero value is no reply.
type Reply struct {
	Code     int      // 200..599
	Enhanced Enhanced // without its class, which is that of Code. If zero, none.
	Text     string   // lines separated by "\n", without the two codes
	Raw      string   // of a parsed reply: the lines as received, separated by CRLF. "" in replies we write.
}

// ParseReply reads the lines of one reply, separated by CRLF; the last CRLF may
// be missing. All lines must have the same code (RFC 5321 §4.2.1). The enhanced
// status code is that of the first line that has one, and is cut from every
// line that has the same. Text may hold any octet but CR and LF; String and
// AppendTo make it fit to be shown. The error is a *SyntaxError with Code zero.
func ParseReply(raw string) (Reply, error) {
	raw = strings.TrimSuffix(raw, "\r\n")
	r := Reply{Raw: raw}
	prefix := "" // the enhanced status code with its class
	var text strings.Builder
	for offset := 0; ; {
		line, rest, more := strings.Cut(raw[offset:], "\r\n")
		if i := strings.IndexAny(line, "\r\n"); i >= 0 {
			return Reply{}, &SyntaxError{Offset: offset + i, Reason: "reply has a CR or LF alone"}
		}
		code, ok := replyCode(line)
		switch {
		case !ok:
			return Reply{}, &SyntaxError{Offset: offset, Reason: "reply line does not begin with a code"}
		case offset > 0 && code != r.Code:
			return Reply{}, &SyntaxError{Offset: offset, Reason: "reply code differs between lines"} // §4.2.1
		case more && (len(line) == 3 || line[3] != '-'):
			return Reply{}, &SyntaxError{Offset: offset + 3, Reason: "reply goes on after its last line"}
		case !more && len(line) > 3 && line[3] == '-':
			return Reply{}, &SyntaxError{Offset: offset + 3, Reason: "reply has no last line"}
		}
		r.Code = code
		s := line[min(4, len(line)):]
		if prefix == "" && hasEnhanced(code) {
			if _, e, n := cutEnhanced(s); isEnhancedEnd(s, n) {
				r.Enhanced, prefix = e, s[:n]
			}
		}
		if n := len(prefix); n > 0 && strings.HasPrefix(s, prefix) && isEnhancedEnd(s, n) {
			s = s[min(n+1, len(s)):]
		}
		if offset == 0 && !more {
			r.Text = s // a single line is not copied
			return r, nil
		}
		text.WriteString(s)
		if !more {
			r.Text = text.String()
			return r, nil
		}
		text.WriteByte('\n')
		offset = len(raw) - len(rest)
	}
}

// IsZero reports whether r is the zero value.
func (r Reply) IsZero() bool { return r == Reply{} }

// Positive reports whether the action was completed: 2xx (RFC 5321 §4.2.1).
func (r Reply) Positive() bool { return r.Code/100 == 2 }

// Intermediate reports whether the server waits for more: 3xx.
func (r Reply) Intermediate() bool { return r.Code/100 == 3 }

// Temporary reports whether the action failed and may succeed later: 4xx.
func (r Reply) Temporary() bool { return r.Code/100 == 4 }

// Permanent reports whether the action failed for good: 5xx.
func (r Reply) Permanent() bool { return r.Code/100 == 5 }

// ClassMismatch reports whether r was parsed and the class of its enhanced
// status code is not the first digit of its code, as in "550 4.2.1". The code
// decides (RFC 2034 §4); the mismatch is worth a line in the log.
func (r Reply) ClassMismatch() bool {
	if r.Enhanced.IsZero() {
		return false
	}
	for line := range strings.SplitSeq(r.Raw, "\r\n") {
		s := line[min(4, len(line)):]
		if class, e, n := cutEnhanced(s); isEnhancedEnd(s, n) && e == r.Enhanced {
			return class != r.Code/100
		}
	}
	return false
}

// EnhancedString returns the enhanced status code with its class, "5.1.1", or ""
// when there is none.
func (r Reply) EnhancedString() string {
	if r.Enhanced.IsZero() || !hasEnhanced(r.Code) {
		return ""
	}
	return string(r.Enhanced.appendTo(nil, '0'+byte(r.Code/100)))
}

// Lines yields the lines of Text. There is always one, which may be empty.
func (r Reply) Lines() iter.Seq[string] { return strings.SplitSeq(r.Text, "\n") }

// String returns the reply on one line for a human: "550 5.1.1 no such user",
// lines joined with " / ", control characters replaced by "?". Without a Code it
// is no reply: "".
func (r Reply) String() string {
	if r.Code == 0 {
		return ""
	}
	b := make([]byte, 0, len(r.Text)+16)
	b = r.appendCode(b, ' ')
	sep := ""
	for line := range r.Lines() {
		b = appendSafe(append(b, sep...), line)
		sep = " / "
	}
	return strings.TrimRight(string(b), " ")
}

// AppendTo appends the reply as it goes over the wire: each line of Text with
// the code, the enhanced status code if there is one (never in a 3xx, RFC 2034
// §3) and CRLF. Lines longer than 512 octets are folded into several. Whatever
// Text holds, no control character but HT and nothing that is not UTF-8 comes
// out: "?" stands in its place, and a CR is dropped. A code outside 200..599 is
// written as 451. Nothing is allocated if dst has room.
func (r Reply) AppendTo(dst []byte) []byte {
	const shortest = MaxReplyLine - len("250 2.999.999 \r\n")
	if len(r.Text) <= shortest && isPrintable(r.Text) {
		dst = r.appendCode(dst, ' ')
		dst = append(dst, r.Text...)
		return append(dst, '\r', '\n')
	}
	last := len(dst)
	for rest, more := r.Text, true; more; {
		var line string
		line, rest, more = strings.Cut(rest, "\n")
		for {
			var chunk string
			last = len(dst)
			dst = r.appendCode(dst, '-')
			chunk, line = cutLine(line, MaxReplyLine-len("\r\n")-(len(dst)-last))
			dst = append(appendSafe(dst, chunk), '\r', '\n')
			if line == "" {
				break
			}
		}
	}
	dst[last+3] = ' ' // §4.2.1
	return dst
}

// appendCode appends the code, sep and the enhanced status code with a space.
func (r Reply) appendCode(dst []byte, sep byte) []byte {
	code := uint(r.Code)
	if code-200 > 599-200 {
		code = CodeLocalError
	}
	class := '0' + byte(code/100)
	dst = append(dst, class, '0'+byte(code/10%10), '0'+byte(code%10), sep)
	if r.Enhanced.n == 0 || class == '3' {
		return dst
	}
	return append(r.Enhanced.appendTo(dst, class), ' ')
}

// cutLine cuts a chunk of at most limit octets from s, at a space if there is
// one, and never inside a character.
func cutLine(s string, limit int) (chunk, rest string) {
	if len(s) <= limit {
		return s, ""
	}
	if i := strings.LastIndexByte(s[:limit+1], ' '); i > 0 {
		return s[:i], s[i+1:]
	}
	i := limit
	for i > limit-utf8.UTFMax && !utf8.RuneStart(s[i]) {
		i--
	}
	return s[:i], s[i:]
}

// replyCode = %x32-35 DIGIT DIGIT, followed by "-", SP or nothing. RFC 5321 §4.2
// ends the second digit at 5; deployed servers do not.
func replyCode(line string) (int, bool) {
	if len(line) < 3 || line[0] < '2' || line[0] > '5' || !isDigit(line[1]) || !isDigit(line[2]) {
		return 0, false
	}
	if len(line) > 3 && line[3] != ' ' && line[3] != '-' {
		return 0, false
	}
	return int(line[0]-'0')*100 + int(line[1]-'0')*10 + int(line[2]-'0'), true
}

// hasEnhanced reports whether replies with the code carry an enhanced status
// code: classes 2, 4 and 5 do (RFC 2034 §3).
func hasEnhanced(code int) bool {
	class := code / 100
	return class == 2 || class == 4 || class == 5
}

func isEnhancedEnd(s string, n int) bool {
	return n > 0 && (n == len(s) || s[n] == ' ')
}
