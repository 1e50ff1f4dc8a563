package smtptest

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// A Script is a conversation between an SMTP client and a server, to be played
// as one of them. The package comment describes its language. Its methods may
// be called by several goroutines at once, while nobody changes its fields.
type Script struct {
	// Name stands in errors in front of the line's number. ReadScript sets it
	// to the name of the file. If empty, "script".
	Name string
	// TLSConfig is for <starttls>: of the side that is played. If nil,
	// <starttls> is an error.
	TLSConfig *tls.Config
	// Timeout bounds each wait for the other side. If zero, 10 seconds.
	Timeout time.Duration

	steps []step
}

// kind says what a step is.
type kind uint8

const (
	text     kind = iota // octets to send or to await
	closing              // <close>
	flush                // <flush>
	wait                 // <wait d>
	startTLS             // <starttls>
)

// step is one line of a script.
type step struct {
	kind
	line   int
	from   byte // 'C' or 'S'; 0 for startTLS
	octets []byte
	expect pattern
	pause  time.Duration
	source string // as it stands in the file
}

const (
	maxScript = 1 << 20  // octets of a file
	maxRepeat = 16 << 20 // octets that one <repeat> makes
)

// ReadScript parses the script in a file.
func ReadScript(name string) (*Script, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("smtptest: %w", err)
	}
	defer f.Close()
	return parseScript(name, f)
}

// ParseScript parses a script of at most 1 MiB.
func ParseScript(r io.Reader) (*Script, error) { return parseScript("", r) }

func parseScript(name string, r io.Reader) (*Script, error) {
	s := &Script{Name: name}
	lines := bufio.NewScanner(io.LimitReader(r, maxScript+1))
	lines.Buffer(nil, maxScript)
	for n := 1; lines.Scan(); n++ {
		source := strings.TrimLeft(lines.Text(), " \t")
		if source == "" || source[0] == '#' {
			continue
		}
		st, err := parseStep(source)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.at(n), err)
		}
		st.line, st.source = n, source
		s.steps = append(s.steps, st)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("smtptest: reading a script: %w", err)
	}
	if len(s.steps) == 0 {
		return nil, errors.New("smtptest: a script without a line")
	}
	return s, nil
}

func (s *Script) at(line int) string {
	name := s.Name
	if name == "" {
		name = "script"
	}
	return name + ":" + strconv.Itoa(line)
}

func parseStep(source string) (step, error) {
	if strings.TrimRight(source, " \t") == "<starttls>" {
		return step{kind: startTLS}, nil
	}
	if len(source) < 2 || source[0] != 'C' && source[0] != 'S' || source[1] != ':' || len(source) > 2 && source[2] != ' ' {
		return step{}, fmt.Errorf("a line begins with %q, %q or %q, not as %.40q", "C: ", "S: ", "#", source)
	}
	st := step{from: source[0]}
	source = strings.TrimPrefix(source[2:], " ")
	if d, ok := strings.CutPrefix(source, "<wait "); ok {
		var err error
		st.kind = wait
		st.pause, err = time.ParseDuration(strings.TrimSuffix(strings.TrimRight(d, " "), ">"))
		return st, err
	}
	switch strings.TrimRight(source, " ") {
	case "<close>":
		st.kind = closing
		return st, nil
	case "<flush>":
		st.kind = flush
		return st, nil
	}
	return st, st.parseText(source)
}

var repeat = regexp.MustCompile(`^<repeat ([0-9]{1,8}) "((?:[^"\\]|\\.)*)">`)

func (st *step) parseText(source string) error {
	bare := false // no CRLF
	piece := 0    // where the current piece of the pattern begins
	for i := 0; i < len(source); {
		rest := source[i:]
		switch {
		case rest == `\`:
			bare = true
			i++
		case rest[0] == '\\':
			octet, n, err := unescape(rest)
			if err != nil {
				return err
			}
			st.octets = append(st.octets, octet)
			i += n
		case rest[0] == '*':
			st.expect.pieces = append(st.expect.pieces, string(st.octets[piece:]))
			st.octets = append(st.octets, '*')
			piece = len(st.octets)
			i++
		case strings.HasPrefix(rest, "<repeat "):
			m := repeat.FindStringSubmatch(rest)
			if m == nil {
				return errors.New(`<repeat needs a number and a text in quotes: <repeat 600 "x">`)
			}
			var unit step
			if err := unit.parseText(m[2] + `\`); err != nil {
				return err
			}
			n, _ := strconv.Atoi(m[1])
			if n*len(unit.octets) > maxRepeat {
				return fmt.Errorf("<repeat> makes more than %d octets", maxRepeat)
			}
			st.octets = append(st.octets, bytes.Repeat(unit.octets, n)...)
			i += len(m[0])
		default:
			st.octets = append(st.octets, rest[0])
			i++
		}
	}
	st.expect.pieces = append(st.expect.pieces, string(st.octets[piece:]))
	if bare || bytes.ContainsAny(st.octets, "\r\n") {
		st.expect.exact = true
	} else if len(source) == 5 && source[3:] == "-*" || len(source) == 7 && source[3:] == "-..." {
		st.expect.many = source[:4]
	} else if before, ok := strings.CutSuffix(st.expect.pieces[len(st.expect.pieces)-1], " ..."); ok {
		st.expect.open = true
		st.expect.pieces[len(st.expect.pieces)-1] = before
	}
	if !bare {
		st.octets = append(st.octets, "\r\n"...)
	}
	return nil
}

// unescape reads the escape that s begins with and returns its length.
func unescape(s string) (octet byte, n int, err error) {
	if i := strings.IndexByte(`rnt0\*"`, s[1]); i >= 0 {
		return "\r\n\t\x00\\*\""[i], 2, nil
	}
	if s[1] == 'x' && len(s) >= 4 {
		if v, err := strconv.ParseUint(s[2:4], 16, 8); err == nil {
			return byte(v), 4, nil
		}
	}
	return 0, 0, fmt.Errorf("unknown escape %.4q", s)
}

// pattern is what an awaited line is compared with.
type pattern struct {
	exact  bool     // the octets are awaited as they are, wherever lines end
	many   string   // any number of lines that begin so
	pieces []string // what stands between the wildcards
	open   bool     // a blank and anything may follow
}

func (p *pattern) match(line string) bool {
	if !p.open {
		return glob(p.pieces, line)
	}
	last := len(p.pieces) - 1
	spaced := append(append([]string(nil), p.pieces[:last]...), p.pieces[last]+" ", "")
	return glob(p.pieces, line) || glob(spaced, line)
}

// glob reports whether s is the pieces with anything between them.
func glob(pieces []string, s string) bool {
	s, ok := strings.CutPrefix(s, pieces[0])
	if !ok || len(pieces) == 1 {
		return ok && s == ""
	}
	last := len(pieces) - 1
	for _, piece := range pieces[1:last] {
		_, after, found := strings.Cut(s, piece)
		if !found {
			return false
		}
		s = after
	}
	return strings.HasSuffix(s, pieces[last])
}
