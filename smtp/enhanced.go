package smtp

import "strconv"

// Enhanced is an enhanced status code (RFC 3463) without its class: the class
// is the first digit of the reply code it travels with, so the two cannot
// disagree. The zero value means that there is none; Enh(0, 0) means x.0.0.
// Values are comparable with ==.
type Enhanced struct{ n uint32 } // zero, or 1 + subject*1000 + detail

// Enh returns the enhanced status code x.subject.detail. A number outside
// 0..999 gives the zero value (RFC 3463 §2).
func Enh(subject, detail int) Enhanced {
	if uint(subject) > 999 || uint(detail) > 999 {
		return Enhanced{}
	}
	return Enhanced{uint32(1 + subject*1000 + detail)}
}

// IsZero reports whether there is no enhanced status code.
func (e Enhanced) IsZero() bool { return e.n == 0 }

// Subject returns the second number of the code: 0 for the zero value.
func (e Enhanced) Subject() int {
	if e.n == 0 {
		return 0
	}
	return int(e.n-1) / 1000
}

// Detail returns the third number of the code: 0 for the zero value.
func (e Enhanced) Detail() int {
	if e.n == 0 {
		return 0
	}
	return int(e.n-1) % 1000
}

// String returns the code with an x for its class, "x.1.1", or "" for the zero
// value. Reply.EnhancedString has the class.
func (e Enhanced) String() string {
	if e.n == 0 {
		return ""
	}
	return string(e.appendTo(nil, 'x'))
}

func (e Enhanced) appendTo(dst []byte, class byte) []byte {
	subject, detail := uint(e.n-1)/1000, uint(e.n-1)%1000
	if subject < 10 && detail < 10 {
		return append(dst, class, '.', '0'+byte(subject), '.', '0'+byte(detail))
	}
	dst = append(dst, class, '.')
	dst = strconv.AppendUint(dst, uint64(subject), 10)
	dst = append(dst, '.')
	return strconv.AppendUint(dst, uint64(detail), 10)
}

// ParseEnhanced reads a whole enhanced status code such as "5.1.1". The class
// is 2, 4 or 5; leading zeros are refused (RFC 3463 §2).
func ParseEnhanced(s string) (class int, e Enhanced, ok bool) {
	class, e, n := cutEnhanced(s)
	return class, e, n > 0 && n == len(s)
}

// cutEnhanced reads the enhanced status code that s begins with and returns its
// length, 0 when there is none.
func cutEnhanced(s string) (class int, e Enhanced, n int) {
	if len(s) < 5 || s[1] != '.' || s[0] != '2' && s[0] != '4' && s[0] != '5' {
		return 0, Enhanced{}, 0
	}
	subject, i := subCode(s, 2)
	if i == 0 || i == len(s) || s[i] != '.' {
		return 0, Enhanced{}, 0
	}
	detail, i := subCode(s, i+1)
	if i == 0 {
		return 0, Enhanced{}, 0
	}
	return int(s[0] - '0'), Enh(subject, detail), i
}

// subCode reads 1*3DIGIT at i and returns the index after it, 0 on failure.
func subCode(s string, i int) (v, end int) {
	start := i
	for ; i < len(s) && isDigit(s[i]); i++ {
		if i-start == 3 {
			return 0, 0
		}
		v = v*10 + int(s[i]-'0')
	}
	if i == start || s[start] == '0' && i-start > 1 {
		return 0, 0
	}
	return v, i
}
