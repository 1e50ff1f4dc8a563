package bounded_test

import (
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/postrider/postrider/internal/bounded"
)

func TestReader(t *testing.T) {
	tooLong := errors.New("too long")
	for _, tt := range []struct {
		text string
		max  int64
		want error
	}{
		{"", 0, nil},
		{"a", 0, tooLong},
		{"abc", 3, nil},
		{"abcd", 3, tooLong},
		{strings.Repeat("x", 10_000), 10_000, nil},
		{strings.Repeat("x", 10_000), 9_999, tooLong},
		{"abc", math.MaxInt64, nil},
		{"abc", -1, tooLong},
		{"", -5, tooLong},
	} {
		for name, slow := range map[string]func(io.Reader) io.Reader{
			"whole":         func(r io.Reader) io.Reader { return r },
			"one by one":    iotest.OneByteReader,
			"end with data": iotest.DataErrReader,
		} {
			got, err := io.ReadAll(bounded.Reader(slow(strings.NewReader(tt.text)), tt.max, tooLong))
			if err != tt.want || int64(len(got)) > max(0, tt.max) || err == nil && string(got) != tt.text {
				t.Errorf("%d of %d octets, %s: %d, %v", tt.max, len(tt.text), name, len(got), err)
			}
		}
	}
}
