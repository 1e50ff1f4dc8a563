package dmarc

import (
	"archive/zip"
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/postrider/postrider/auth/authres"
	"github.com/postrider/postrider/internal/bounded"
)

// ReportLimits bound what ParseReport takes. The zero value has the defaults.
type ReportLimits struct {
	MaxCompressed int64 // octets of a zip archive, which is held in memory. If zero, 8 MiB
	MaxSize       int64 // octets of XML. If zero, 64 MiB
	MaxRows       int   // records, of 1,000 elements at most, on average 32. If zero, 100,000
	MaxText       int   // octets of one text or attribute. If zero, 4,096
	MaxDepth      int   // elements in elements. If zero, 16
}

// ErrReportTooLarge means that a report is past one of the limits.
var ErrReportTooLarge = errors.New("dmarc: report is too large")

// ParseReport reads an aggregate report: XML as it is, in gzip, or in a zip
// archive with one file, which it tells by the first octets. Reports of RFC 7489
// are read too, whatever their namespace, and what is missing in them is zero.
// Nothing outside the document is ever fetched, and a document type declaration
// is an error. What the report says is the word of whoever sent it.
func ParseReport(r io.Reader, limits ReportLimits) (*Report, error) {
	limits = ReportLimits{
		MaxCompressed: cmp.Or(limits.MaxCompressed, 8<<20),
		MaxSize:       cmp.Or(limits.MaxSize, 64<<20),
		MaxRows:       cmp.Or(limits.MaxRows, 100_000),
		MaxText:       cmp.Or(limits.MaxText, 4096),
		MaxDepth:      cmp.Or(limits.MaxDepth, 16),
	}
	plain, err := unpack(r, limits)
	if err != nil {
		return nil, fmt.Errorf("dmarc: report: %w", err)
	}
	defer plain.Close()
	report, err := parseXML(&runReader{r: bounded.Reader(plain, limits.MaxSize, ErrReportTooLarge), max: 64<<10 + 8*limits.MaxText}, limits)
	if err != nil && !errors.Is(err, ErrReportTooLarge) {
		err = fmt.Errorf("dmarc: report: %w", err)
	}
	return report, err
}

func unpack(r io.Reader, limits ReportLimits) (io.ReadCloser, error) {
	b := bufio.NewReader(r)
	switch start, _ := b.Peek(4); {
	case bytes.HasPrefix(start, []byte{0x1f, 0x8b}):
		return gzip.NewReader(b)
	case bytes.Equal(start, []byte("PK\x03\x04")):
		packed, err := io.ReadAll(bounded.Reader(b, limits.MaxCompressed, ErrReportTooLarge))
		if err != nil {
			return nil, err
		}
		archive, err := zip.NewReader(bytes.NewReader(packed), int64(len(packed)))
		if err != nil {
			return nil, err
		}
		if len(archive.File) != 1 {
			return nil, fmt.Errorf("%d files in the archive", len(archive.File))
		}
		return archive.File[0].Open()
	}
	return io.NopCloser(b), nil
}

// A runReader fails when there are more than so many octets without a "<". The
// decoder holds a whole text in memory before anybody can look at its length.
type runReader struct {
	r        io.Reader
	run, max int
}

func (r *runReader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p[:min(len(p), r.max)])
	first, last := bytes.IndexByte(p[:n], '<'), bytes.LastIndexByte(p[:n], '<')
	if first < 0 {
		first = n
	}
	if r.run+first > r.max {
		return 0, ErrReportTooLarge
	}
	if r.run += n; last >= 0 {
		r.run = n - last - 1
	}
	return n, err
}

func parseXML(r io.Reader, limits ReportLimits) (*Report, error) {
	in := xml.NewDecoder(r)
	in.CharsetReader = charset
	d := xml.NewTokenDecoder(&tokens{in: in, limits: limits})
	for {
		token, err := d.Token()
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, err
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		if start.Name.Local != "feedback" {
			return nil, fmt.Errorf("the document is no feedback but %.40q", start.Name.Local)
		}
		report := new(Report)
		if err := d.DecodeElement(report, &start); err != nil {
			return nil, err
		}
		for i := range report.Rows {
			report.Rows[i].normalize()
		}
		return report, nil
	}
}

// tokens is between the XML and the types: what it lets through is within the
// limits, and has no white space around texts.
type tokens struct {
	in     *xml.Decoder
	limits ReportLimits
	depth  int
	rows   int
	total  int // elements
	here   int // elements since the last of those right below the root
}

const (
	maxElements  = 1000 // in a record, or in another element below the root; 100 signatures take 500
	meanElements = 32   // of a record; most have 22
)

func (t *tokens) Token() (xml.Token, error) {
	token, err := t.in.RawToken()
	if err != nil {
		return nil, err
	}
	switch x := token.(type) {
	case xml.StartElement:
		t.depth++
		t.total++
		t.here++
		if t.depth == 2 {
			t.here = 0
			if x.Name.Local == "record" {
				t.rows++
			}
		}
		if t.depth > t.limits.MaxDepth || t.rows > t.limits.MaxRows ||
			t.here > maxElements || t.total-maxElements > meanElements*t.limits.MaxRows {
			return nil, ErrReportTooLarge
		}
		for _, a := range x.Attr {
			if len(a.Value) > t.limits.MaxText {
				return nil, ErrReportTooLarge
			}
		}
	case xml.EndElement:
		t.depth--
	case xml.CharData:
		x = bytes.TrimSpace(x)
		if len(x) > t.limits.MaxText {
			return nil, ErrReportTooLarge
		}
		return x, nil
	case xml.Directive:
		return nil, errors.New("a document type declaration")
	}
	return token, nil
}

// charset reads the other charsets that reports declare, for XML that is ASCII
// in practice.
func charset(name string, r io.Reader) (io.Reader, error) {
	switch strings.ToLower(name) {
	case "us-ascii", "ascii":
		return r, nil
	case "iso-8859-1", "latin1", "windows-1252":
		return &latin1{r: bufio.NewReader(r)}, nil
	}
	return nil, fmt.Errorf("charset %.40q", name)
}

// latin1 makes UTF-8 of ISO 8859-1.
type latin1 struct {
	r    io.ByteReader
	next byte // the second octet of a character, or 0
}

func (l *latin1) Read(p []byte) (n int, err error) {
	for ; n < len(p); n++ {
		c := l.next
		if l.next = 0; c == 0 {
			if c, err = l.r.ReadByte(); err != nil {
				return n, err
			}
			if c >= 0x80 {
				c, l.next = 0xc0|c>>6, 0x80|c&0x3f
			}
		}
		p[n] = c
	}
	return n, nil
}

// normalize turns the words of older reports into those of today.
func (row *Row) normalize() {
	row.Disposition = Action(strings.ToLower(string(row.Disposition)))
	for _, v := range []*authres.Verdict{&row.DKIM, &row.SPF} {
		*v = normalVerdict(*v)
	}
	for i := range row.DKIMResults {
		row.DKIMResults[i].Result = normalVerdict(row.DKIMResults[i].Result)
	}
	for i := range row.SPFResults {
		row.SPFResults[i].Result = normalVerdict(row.SPFResults[i].Result)
	}
}

func normalVerdict(v authres.Verdict) authres.Verdict {
	v = authres.Verdict(strings.ToLower(string(v)))
	switch v {
	case "hardfail":
		return authres.Fail
	case "unknown":
		return authres.TempError // RFC 7489 Appendix C
	case "error":
		return authres.PermError
	}
	return v
}
