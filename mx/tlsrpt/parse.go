package tlsrpt

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/postrider/postrider/internal/bounded"
)

// ReportLimits bound what ParseReport takes. The zero value has the defaults.
type ReportLimits struct {
	MaxSize     int64 // octets of JSON. If zero, 16 MiB
	MaxPolicies int   // If zero, 10,000
	MaxFailures int   // of all policies. If zero, 100,000
	MaxStrings  int   // of all policies: their fields, records and patterns. If zero, 100,000
}

// ErrReportTooLarge means that a report is past one of the limits.
var ErrReportTooLarge = errors.New("tlsrpt: report is too large")

// ParseReport reads a report: JSON as it is or in gzip, which it tells by the
// first octets. Members that are not known are ignored, and what is missing is
// zero. An address that is none is invalid, a list with one element may be that
// element, and a number may be in quotes: all of these are met. What the report
// says is the word of whoever sent it.
func ParseReport(r io.Reader, limits ReportLimits) (*Report, error) {
	limits = ReportLimits{
		MaxSize:     cmp.Or(limits.MaxSize, 16<<20),
		MaxPolicies: cmp.Or(limits.MaxPolicies, 10_000),
		MaxFailures: cmp.Or(limits.MaxFailures, 100_000),
		MaxStrings:  cmp.Or(limits.MaxStrings, 100_000),
	}
	b := bufio.NewReader(r)
	var plain io.Reader = b
	if start, _ := b.Peek(2); bytes.Equal(start, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, fmt.Errorf("tlsrpt: report: %w", err)
		}
		plain = z
	}
	b = bufio.NewReader(bounded.Reader(plain, limits.MaxSize, ErrReportTooLarge))
	if start, _ := b.Peek(3); string(start) == "\ufeff" {
		b.Discard(3)
	}
	p := &parser{Decoder: json.NewDecoder(fullReader{b}), left: limits}
	p.UseNumber()
	report := new(Report)
	err := p.report(report)
	if err == nil {
		if _, err = p.Token(); err == io.EOF {
			return report, nil
		}
		err = cmp.Or(err, errors.New("something follows the object"))
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if !errors.Is(err, ErrReportTooLarge) {
		err = fmt.Errorf("tlsrpt: report: %w", err)
	}
	return nil, err
}

// A fullReader gives as much as is asked for: the decoder goes through the white
// space that it has again after each read.
type fullReader struct{ io.Reader }

func (r fullReader) Read(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var m int
		m, err = r.Reader.Read(p[n:])
		n += m
	}
	return n, err
}
