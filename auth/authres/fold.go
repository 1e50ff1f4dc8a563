package authres

import "bytes"

// A folder appends words to a header field and folds it into lines.
type folder struct {
	b     []byte
	line  int  // where the line begins in b
	fresh bool // nothing stands in the line but white space
}

// lineLength is what a line should not exceed (RFC 5322 §2.1.1).
const lineLength = 78

func newFolder(b []byte) folder {
	return folder{b: b, line: bytes.LastIndexByte(b, '\n') + 1, fresh: true}
}

func (w *folder) newLine() {
	w.b = append(w.b, "\r\n"...)
	w.line = len(w.b)
	w.b = append(w.b, '\t')
	w.fresh = true
}

// word appends a word, with white space before it if it is not the first.
func (w *folder) word(s []byte) {
	if !w.fresh {
		if len(w.b)-w.line+len(" ;")+len(s) > lineLength {
			w.newLine()
		} else {
			w.b = append(w.b, ' ')
		}
	}
	w.b = append(w.b, s...)
	w.fresh = false
}

// text appends a word that may hold blanks: those of a quoted string or a
// comment. If it is longer than a line, that ends before a single blank, which
// stays part of the text.
func (w *folder) text(s []byte) {
	if len("\t;")+len(s) <= lineLength {
		w.word(s)
		return
	}
	first := true
	for len(s) > 0 {
		n := 1
		for n < len(s) && !(s[n] == ' ' && s[n-1] != ' ' && n+1 < len(s) && s[n+1] != ' ') {
			n++
		}
		switch {
		case first:
			w.word(s[:n])
		case len(w.b)-w.line+n+len(";") > lineLength:
			w.b = append(w.b, "\r\n"...)
			w.line = len(w.b)
			fallthrough
		default:
			w.b = append(w.b, s[:n]...)
		}
		first, s = false, s[n:]
	}
}
