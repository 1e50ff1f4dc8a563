// Package bounded reads no more than may be.
package bounded

import "io"

// Reader returns a reader of r that fails with tooLong where there are more than max
// octets; an io.LimitedReader would end there.
func Reader(r io.Reader, max int64, tooLong error) io.Reader { return &reader{r, max, tooLong} }

type reader struct {
	r       io.Reader
	left    int64
	tooLong error
}

func (r *reader) Read(p []byte) (int, error) {
	if r.left < 0 {
		return 0, r.tooLong
	}
	if int64(len(p))-1 > r.left {
		p = p[:r.left+1]
	}
	n, err := r.r.Read(p)
	if r.left -= int64(n); r.left < 0 {
		return 0, r.tooLong
	}
	return n, err
}
