package wire

import "bytes"

// Lines says what to do with the octets that RFC 5321 §2.3.8 and §4.1.1.4
// forbid in message data: CR or LF not as part of a CRLF, and NUL.
type Lines uint8

const (
	RejectBare      Lines = iota // stop at the first of them
	NormalizeBareLF              // LF alone becomes CRLF; bare CR and NUL stop
	PassBare                     // let everything through
)

// Event is what DotScanner.Next came upon.
type Event uint8

const (
	More    Event = iota // nothing wrong: call again with more octets behind what is left
	End                  // the end of data has been consumed
	BareCR               // a CR that no LF follows
	BareLF               // an LF that no CR precedes
	NUL                  // a zero octet
	TooLong              // a text line longer than MaxLine
)

var crlf = []byte("\r\n")

// A DotScanner finds the content and the end of message data in the octets as
// they come (RFC 5321 §4.5.2). It hands out slices of what it is given and
// copies nothing. The end of data is CRLF.CRLF, whatever Lines says: an LF or
// CR alone never starts a line that could hold the final dot, so no setting
// lets one message be read as two.
//
// The zero value is not ready: use Reset.
type DotScanner struct {
	// Lines is the treatment of stray octets.
	Lines Lines
	// MaxLine limits a text line, its CRLF included. If zero, there is no
	// limit: lines are never gathered, so a long one costs nothing.
	MaxLine int

	dots    bool // undo dot-stuffing and look for the end of data
	bol     bool // at the beginning of a line
	emitLF  bool // the next octet is a bare LF, to be handed out as CRLF
	heldCR  bool // a CR was handed out at the end of a chunk; an LF must follow
	lineLen int  // octets of the current line that lie before the next call's first
	guess   int  // the length of a recent line, its CRLF included
}

// Reset starts at the beginning of a message. With dots, the data is
// dot-stuffed and ends with CRLF.CRLF (DATA); without, only Lines and MaxLine
// are applied, and where the data ends is the caller's knowledge (BDAT).
func (s *DotScanner) Reset(lines Lines, maxLine int, dots bool) {
	*s = DotScanner{Lines: lines, MaxLine: maxLine, dots: dots, bol: true}
}

// Next looks at p, the octets not yet consumed. Content is message content to
// hand on, a part of p (or CRLF in place of a bare LF); consumed says how many
// octets of p are done with. With event More and nothing consumed the scanner
// needs more octets than p holds to decide; at most three are ever left like
// that. After BareCR, BareLF, NUL and TooLong nothing was consumed; Ignore lets
// the caller go on.
//
// ChunkEnd says that p ends where a BDAT chunk ends: what follows comes in
// another call, so nothing is left over for it.
func (s *DotScanner) Next(p []byte, chunkEnd bool) (content []byte, consumed int, event Event) {
	switch {
	case len(p) == 0:
		return nil, 0, More
	case !s.dots && s.Lines == PassBare && s.MaxLine == 0:
		return p, len(p), More
	case s.emitLF:
		s.emitLF = false
		return crlf, 1, More
	case s.heldCR && p[0] == '\n' && s.MaxLine > 0 && s.lineLen+1 > s.MaxLine:
		return nil, 0, TooLong
	case s.heldCR && p[0] == '\n':
		s.heldCR, s.lineLen = false, 0
		return p[:1], 1, More
	case s.heldCR && s.Lines != PassBare:
		return nil, 0, BareCR
	}
	s.heldCR = false
	start := 0
	if s.dots && s.bol && p[0] == '.' {
		switch {
		case len(p) == 1, len(p) == 2 && p[1] == '\r':
			return nil, 0, More
		case p[1] == '\r' && p[2] == '\n':
			return nil, 3, End // §4.1.1.4
		}
		start = 1 // §4.5.2
	}
	end, pairs, event := s.lines(p, start)
	if event != More {
		return nil, 0, event
	}
	if end > start && end == len(p) && p[end-1] == '\r' {
		end-- // whether an LF follows decides what it is
		s.lineLen--
	}
	if s.Lines != PassBare {
		switch {
		case bytes.Count(p[start:end], crlf[:1]) != pairs:
			event = BareCR
		case bytes.IndexByte(p[start:end], 0) >= 0:
			event = NUL
		}
		if event != More {
			s.emitLF = false // it is not next: nothing is consumed
			return nil, 0, event
		}
	}
	switch {
	case end > start:
		s.bol = !s.emitLF && pairs > 0 && p[end-1] == '\n' && p[end-2] == '\r'
	case s.emitLF:
		s.emitLF, s.bol = false, false
		return crlf, end + 1, More
	}
	if chunkEnd && end < len(p) && !s.emitLF {
		s.heldCR = true
		s.lineLen++
		end = len(p)
	}
	return p[start:end], end, More
}

// Ignore makes the scanner let everything through from here on, so that only
// the end of the data is found.
func (s *DotScanner) Ignore() { s.Lines, s.MaxLine = PassBare, 0 }

// Finish reports what is wrong with the last octet of data without dots.
func (s *DotScanner) Finish() Event {
	if s.heldCR && s.Lines != PassBare {
		return BareCR
	}
	return More
}

// lines hops from LF to LF, up to the next line that begins with a dot. It
// returns where the content ends and how many CRLFs are in it.
func (s *DotScanner) lines(p []byte, start int) (end, pairs int, event Event) {
	if end, pairs, ok := s.leap(p, start); ok {
		return end, pairs, More
	}
	line := start - s.lineLen // where the current line began
	for i := start; ; {
		j := bytes.IndexByte(p[i:], '\n')
		if j < 0 {
			end = len(p)
			if s.MaxLine > 0 && end-line > s.MaxLine {
				return 0, 0, TooLong
			}
			s.lineLen = end - line
			return end, pairs, More
		}
		j += i
		if s.MaxLine > 0 && j+1-line > s.MaxLine {
			return 0, 0, TooLong
		}
		if j == start || p[j-1] != '\r' {
			switch s.Lines {
			case RejectBare:
				return 0, 0, BareLF
			case NormalizeBareLF:
				s.emitLF = true
				s.lineLen = 0
				return j, pairs, More
			}
			i, line = j+1, j+1
			continue
		}
		pairs++
		i, line = j+1, j+1
		if s.dots && i < len(p) && p[i] == '.' {
			s.lineLen = 0
			return i, pairs, More
		}
	}
}

// leap is lines for data in which nothing is wrong, as nearly all is. It looks for
// the end of a line where that of another was, and proves afterwards by counting
// that it has jumped over none: lines of 75 octets, all alike, take a quarter of
// the time. ok is false if the proof fails; nothing has been changed then.
func (s *DotScanner) leap(p []byte, start int) (end, pairs int, ok bool) {
	line, guess := start-s.lineLen, s.guess
	from := start
	end = len(p)
	for {
		lf := line + guess - 1
		if lf <= start || lf >= len(p) || p[lf] != '\n' || p[lf-1] != '\r' {
			if lf = bytes.IndexByte(p[from:], '\n'); lf < 0 {
				break
			}
			if lf += from; lf == start || p[lf-1] != '\r' {
				return 0, 0, false
			}
			guess = lf + 1 - line
		}
		if s.MaxLine > 0 && guess > s.MaxLine {
			return 0, 0, false
		}
		pairs++
		from, line = lf+1, lf+1
		if s.dots && from < len(p) && p[from] == '.' {
			end = from
			break
		}
	}
	if s.MaxLine > 0 && end-line > s.MaxLine || bytes.Count(p[start:end], crlf[1:]) != pairs {
		return 0, 0, false
	}
	s.lineLen, s.guess = end-line, guess
	return end, pairs, true
}
