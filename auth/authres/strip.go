package authres

import "io"

// Strip takes out of a message the fields that outsiders must not bring along:
// each Authentication-Results that claims to be ours (RFC 8601 §5). Whoever
// adds the field of its own must do this first, or a forged one is believed.
// The zero value takes out every Authentication-Results. A Strip must not be
// changed while it is in use; then it is safe for concurrent use.
//
// A name counts as ours however it is spelled: in upper or lower case, quoted,
// with comments before it, folded, in A-labels or U-labels, with a final dot.
// A field whose name cannot be made out, or whose syntax is broken before the
// first semicolon, is taken out too: other programs might make our name out of
// it. Octets that are not printable ASCII do not hide a field's own name: there
// are programs that trim them. Everything else passes octet by octet, the body
// untouched.
//
// Lines that begin with a blank at the very start of a message belong to no
// field, but would to the one that is put on top. They are taken out.
//
// The header ends with the first empty line between CRLFs. Some programs take
// a bare CR or LF for the end of a line as well, so that a field may hide
// behind one. It gets a blank before it there, which makes it part of the field
// before, whichever way the line ends are read.
type Strip struct {
	// AuthServID is our name, as in Field.AuthServID. If there is none here
	// and in More, nobody's field is let through.
	AuthServID string
	// More are further names that count as ours, as of other hosts within the
	// trust boundary.
	More []string
	// Fields names other header fields to take out whatever they say, for
	// instance "Received-SPF". If empty, none.
	Fields []string
}

// Reader returns what r gives without the fields. An error of r comes when all
// octets before it have been given.
func (s *Strip) Reader(r io.Reader) io.Reader {
	return &stripReader{r: r, t: s.transform()}
}

// Writer returns an io.Writer for a message that hands it on to w without the
// fields. Close must be called after the last octet and does not close w.
func (s *Strip) Writer(w io.Writer) io.WriteCloser {
	return &stripWriter{w: w, t: s.transform()}
}

// Header returns a header section without the fields. An empty line at its end
// is optional, and anything behind that one is not looked at.
func (s *Strip) Header(header []byte) []byte {
	t := s.transform()
	return t.end(t.add(make([]byte, 0, len(header)), header))
}

func (s *Strip) transform() *stripper {
	t := &stripper{line: lineCRLF}
	for _, id := range append([]string{s.AuthServID}, s.More...) {
		if id = sameName(id); id != "" {
			t.ids = append(t.ids, id)
		}
	}
	t.names = append(t.names, []byte(FieldName))
	for _, name := range s.Fields {
		if name != "" {
			t.names = append(t.names, []byte(name))
		}
	}
	return t
}

type stripReader struct {
	r    io.Reader
	t    *stripper
	in   []byte
	out  []byte // not yet given
	full []byte // where out is made
	err  error
}

const stripBuffer = 4 << 10

func (s *stripReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(s.out) == 0 {
		if s.err != nil {
			return 0, s.err
		}
		if s.t.state == inBody {
			s.in = nil
			n, err := s.r.Read(p) // the body passes by without a copy
			return n, err
		}
		if s.in == nil {
			s.in = make([]byte, stripBuffer)
		}
		var n int
		n, s.err = s.r.Read(s.in)
		s.full = s.t.add(s.full[:0], s.in[:n])
		if s.err != nil {
			s.full = s.t.end(s.full)
		}
		s.out = s.full
	}
	n := copy(p, s.out)
	s.out = s.out[n:]
	return n, nil
}

type stripWriter struct {
	w   io.Writer
	t   *stripper
	out []byte
	err error
}

func (s *stripWriter) Write(p []byte) (int, error) {
	if s.t.state == inBody && s.err == nil {
		return s.w.Write(p)
	}
	s.out = s.t.add(s.out[:0], p)
	if err := s.flush(); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (s *stripWriter) Close() error {
	s.out = s.t.end(s.out[:0])
	return s.flush()
}

func (s *stripWriter) flush() error {
	if s.err == nil && len(s.out) > 0 {
		_, s.err = s.w.Write(s.out)
	}
	return s.err
}
