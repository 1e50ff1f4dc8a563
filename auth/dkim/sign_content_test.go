package dkim

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/postrider/postrider/internal/costtest"
	"github.com/postrider/postrider/smtp"
)

func TestSignContent(t *testing.T) {
	file := filepath.Join(t.TempDir(), "message.eml")
	if err := os.WriteFile(file, []byte(plain), 0o600); err != nil {
		t.Fatal(err)
	}
	ofFile, err := smtp.FileContent(file)
	if err != nil {
		t.Fatal(err)
	}
	long := plain + strings.Repeat("Grüße\r\n", 1000) + "and no line end"
	for _, test := range []struct {
		name    string
		content smtp.Content
		want    string
	}{
		{"bytes", smtp.BytesContent([]byte(plain)), plain},
		{"file", ofFile, plain},
		{"reader at", smtp.ReaderAtContent(strings.NewReader(long), int64(len(long))), long},
		{"once", smtp.ReaderContent(strings.NewReader(plain)), plain},
	} {
		t.Run(test.name, func(t *testing.T) {
			ed, rsa := newSigner("ed", edKey), newSigner("rsa", rsaKey())
			signed, err := Sign(test.content, ed, rsa)
			if err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			for range 3 { // it may be opened again, and from several goroutines
				wg.Go(func() {
					got := readContent(t, signed)
					if !strings.HasSuffix(got, "\r\n"+test.want) || int64(len(got)) != signed.Size {
						t.Errorf("%d octets, Size %d: %q", len(got), signed.Size, got)
					}
					accepted(t, []byte(got), ed, rsa)
				})
			}
			wg.Wait()
			known := smtp.Content{Open: signed.Open, Size: -1}
			if known, err = known.Examine(); err != nil || known.Kind != signed.Kind || known.Size != signed.Size || !signed.Reusable() {
				t.Errorf("kind %b, size %d, but it is %b, %d; reusable %t, %v", signed.Kind, signed.Size, known.Kind, known.Size, signed.Reusable(), err)
			}
		})
	}
}

func readContent(t *testing.T, c smtp.Content) string {
	r, err := c.Open()
	if err != nil {
		t.Error(err)
		return ""
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Error(err)
	}
	return string(data)
}

func TestSignContentFails(t *testing.T) {
	broken := errors.New("broken")
	s := newSigner("s", edKey)
	opened := func(r io.Reader, err error) smtp.Content {
		return smtp.Content{Open: func() (io.ReadCloser, error) { return io.NopCloser(r), err }}
	}
	for _, test := range []struct {
		name    string
		content smtp.Content
		signer  *Signer
		want    error
	}{
		{"no From", smtp.BytesContent([]byte("\r\n")), s, ErrNoFrom},
		{"cannot be opened", opened(nil, broken), s, broken},
		{"cannot be read", opened(iotest.ErrReader(broken), nil), s, broken},
		{"once and broken", smtp.ReaderContent(iotest.ErrReader(broken)), s, broken},
		{"no Open", smtp.Content{}, s, nil},
		{"bad signer", smtp.BytesContent([]byte(plain)), &Signer{}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			signed, err := Sign(test.content, test.signer)
			if signed.Open != nil || err == nil || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("%+v, %v", signed, err)
			}
		})
	}
}

// What can be read only once and is not small is not held, and is given back.
func TestSignLargeReader(t *testing.T) {
	r := &closing{Reader: strings.NewReader(plain + strings.Repeat("x\r\n", 64<<10))}
	if _, err := Sign(smtp.ReaderContent(r), newSigner("s", edKey)); !errors.Is(err, smtp.ErrContentUsed) || !r.closed {
		t.Errorf("%v; closed %t", err, r.closed)
	}
}

type closing struct {
	io.Reader
	closed bool
}

func (c *closing) Close() error {
	c.closed = true
	return nil
}

// Every reader that Sign opens is closed, and every one that was opened of what
// it returns closes the content's.
func TestSignedContentIsClosed(t *testing.T) {
	var opened []*closing
	signed, err := Sign(smtp.Content{Open: func() (io.ReadCloser, error) {
		c := &closing{Reader: strings.NewReader(plain)}
		opened = append(opened, c)
		return c, nil
	}}, newSigner("s", edKey))
	if err != nil {
		t.Fatal(err)
	}
	readContent(t, signed)
	for i, c := range opened {
		if !c.closed {
			t.Errorf("reader %d is not closed", i)
		}
	}
	if len(opened) != 2 {
		t.Errorf("opened %d times", len(opened))
	}
}

// Messages are streams: what is held does not grow with them.
func TestSigningHoldsNothing(t *testing.T) {
	rsa, ed := newSigner("rsa", rsaKey()), newSigner("ed", edKey)
	line := bytes.NewReader(bytes.Repeat([]byte(strings.Repeat("word  ", 12)+"\r\n"), 1000))
	used := func(times int) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		s, err := BeginSigning(rsa, ed)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(s, plain)
		for range times {
			line.Seek(0, io.SeekStart)
			io.Copy(s, line)
		}
		if _, err := s.Finish(); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	used(1)
	small, large := used(1), used(200)
	if large > small+64<<10 {
		t.Errorf("%d octets for 74 KB, %d for 15 MB", small, large)
	}
}

// Signing costs no more than its octets, whatever they are.
func TestSigningIsLinear(t *testing.T) {
	for name, message := range map[string][]byte{
		"empty lines":    append([]byte(plain), bytes.Repeat([]byte("\r\n"), 8<<20)...),
		"blank lines":    append([]byte(plain), bytes.Repeat([]byte(" \r\n"), 5<<20)...),
		"blanks":         append([]byte(plain), bytes.Repeat([]byte(" "), 16<<20)...),
		"folded":         []byte("Subject: x\r\n" + strings.Repeat(" \r\n", 300_000) + plain),
		"fields to sign": []byte(strings.Repeat("To: x\r\n", 90) + strings.Repeat("X: x\r\n", 900) + plain),
	} {
		for _, canon := range []Canonicalization{Relaxed, Simple} {
			s := newSigner("s", edKey)
			s.Header, s.Body = canon, canon
			// It costs a tenth of that at most; quadratic cost is minutes.
			costtest.AtMost(t, 2000, fmt.Sprint(name, ", ", canon), func() {
				if _, err := Signatures(bytes.NewReader(message), s); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			})
		}
	}
}
