package server

import "io"

// Tee makes w get the message too, as it comes and before whoever reads it:
// each octet once, in order, without what is given to Prepend. It must be
// called before the first Read, and may be called several times. With it,
// middleware looks at a message that is another's to read; what that one leaves
// unread w does not get, unless the middleware reads on.
//
// That w has got everything only io.EOF from the Body tells. An error of w
// refuses the message: Read gives it as a *BodyError, and the client is
// answered as if Data had returned it.
func (b *Body) Tee(w io.Writer) {
	m := b.body
	if m == nil || m.begun {
		return
	}
	a := m.lookAhead()
	a.tees = append(a.tees, w)
	only := a.tees[len(a.tees)-1:]
	_ = m.copyTo(only, a.header) && m.copyTo(only, a.rest)
}

// copyTo reports whether everybody took the content. Otherwise the message is
// refused.
func (b *body) copyTo(all []io.Writer, content []byte) bool {
	if len(content) == 0 {
		return true
	}
	for _, w := range all {
		n, err := w.Write(content)
		if err == nil && n < len(content) {
			err = io.ErrShortWrite
		}
		if err == nil {
			continue
		}
		b.ahead.tees = nil
		b.failHandler(err)
		return false
	}
	return true
}
