package smtp

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
)

const plainMessage = "From: a@b\r\n\r\nHello\r\n"

func readAll(t *testing.T, c Content) string {
	t.Helper()
	r, err := c.Open()
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Error(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	return string(b)
}

func TestContentReusable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "message")
	if err := os.WriteFile(path, []byte(plainMessage), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := FileContent(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]Content{
		"bytes":    BytesContent([]byte(plainMessage)),
		"file":     file,
		"readerat": ReaderAtContent(strings.NewReader(plainMessage+"more"), int64(len(plainMessage))),
	} {
		if !c.Reusable() || c.Size != int64(len(plainMessage)) || c.Kind != 0 {
			t.Errorf("%s: %+v", name, c)
		}
		for range 2 {
			if got := readAll(t, c); got != plainMessage {
				t.Errorf("%s: %q", name, got)
			}
		}
		examined, err := c.Examine()
		if err != nil || examined.Kind != KindExamined || examined.Size != c.Size || !examined.Reusable() {
			t.Errorf("%s: %+v, %v", name, examined, err)
		}
		if again, err := examined.Examine(); err != nil || again.Kind != examined.Kind {
			t.Errorf("%s: %+v, %v", name, again, err)
		}
		if got := readAll(t, examined); got != plainMessage {
			t.Errorf("%s: %q", name, got)
		}
	}
	if err := os.WriteFile(path, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, file); got != "new" {
		t.Errorf("the file was not opened again: %q", got)
	}
}

func TestFileContentErrors(t *testing.T) {
	dir := t.TempDir()
	if _, err := FileContent(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if _, err := FileContent(dir); err == nil {
		t.Error("a directory is content")
	}
	path := filepath.Join(dir, "gone")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := FileContent(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Examine(); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestContentZero(t *testing.T) {
	if _, err := (Content{}).Examine(); err == nil {
		t.Error("no error without Open")
	}
}

func TestReaderContentOnce(t *testing.T) {
	c := ReaderContent(strings.NewReader(plainMessage))
	if c.Reusable() || c.Size != -1 || c.Kind != 0 {
		t.Fatalf("%+v", c)
	}
	var opened, refused atomic.Int32
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			switch r, err := c.Open(); {
			case err == nil:
				opened.Add(1)
				r.Close()
			case err == ErrContentUsed:
				refused.Add(1)
			}
		})
	}
	wait.Wait()
	if opened.Load() != 1 || refused.Load() != 7 {
		t.Errorf("opened %d times, refused %d times", opened.Load(), refused.Load())
	}
}

type closeCounter struct {
	io.Reader
	closed int
}

func (c *closeCounter) Close() error { c.closed++; return nil }

func TestReaderContentExamine(t *testing.T) {
	line := strings.Repeat("x", 62) + "\r\n"
	for _, test := range []struct {
		name  string
		text  string
		known bool
	}{
		{"short", plainMessage, true},
		{"empty", "", true},
		{"64 KB", strings.Repeat(line, 1024), true},
		{"64 KB and one", strings.Repeat(line, 1024) + "x", false},
		{"1 MB", strings.Repeat(line, 1<<14), false},
	} {
		source := &closeCounter{Reader: iotest.OneByteReader(strings.NewReader(test.text))}
		if len(test.text) > 100 {
			source.Reader = strings.NewReader(test.text)
		}
		c, err := ReaderContent(source).Examine()
		if err != nil {
			t.Fatal(test.name, err)
		}
		if c.Reusable() != test.known || c.Kind.Has(KindExamined) != test.known || (c.Size == int64(len(test.text))) != test.known {
			t.Errorf("%s: size %d, kind %b, reusable %v", test.name, c.Size, c.Kind, c.Reusable())
		}
		if !test.known && c.Size != -1 {
			t.Errorf("%s: size %d", test.name, c.Size)
		}
		if got := readAll(t, c); got != test.text {
			t.Errorf("%s: %d octets, want %d", test.name, len(got), len(test.text))
		}
		if source.closed != 1 {
			t.Errorf("%s: closed %d times", test.name, source.closed)
		}
		if _, err := c.Open(); (err == nil) != test.known {
			t.Errorf("%s: opened again: %v", test.name, err)
		}
	}
}

// What the first 64 KB of a long reader show is kept, and only that: whether a
// line has its end, the next octet may tell.
func TestReaderContentExamineHead(t *testing.T) {
	long := strings.Repeat("0123456789abcd\r\n", 1<<13)
	for _, test := range []struct {
		text string
		want Kind
	}{
		{long, 0},
		{"x" + long, 0}, // the last CRLF of the 64 KB and one is cut
		{strings.Repeat("x", 64<<10) + "\r\n", 0},
		{"A: \xc3\xa9\r\n\r\n" + long, Kind8Bit | KindUTF8Header},
		{"A: b\r\n\r\n\xe9\x00\n" + long, Kind8Bit | KindNUL | KindBareLineEnd},
		{strings.Repeat("x", 999) + "\r\n" + long, KindLongLine},
		{long + "\x00\xe9", 0},
	} {
		c, err := ReaderContent(strings.NewReader(test.text)).Examine()
		if err != nil || c.Kind != test.want || c.Size != -1 || c.Reusable() {
			t.Errorf("%.20q: kind %b, want %b, %v", test.text, c.Kind, test.want, err)
		}
	}
}

func TestReaderContentExamineError(t *testing.T) {
	broken := errors.New("broken")
	source := &closeCounter{Reader: io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(broken))}
	if _, err := ReaderContent(source).Examine(); !errors.Is(err, broken) || source.closed != 1 {
		t.Errorf("%v, closed %d times", err, source.closed)
	}
	used := ReaderContent(strings.NewReader("abc"))
	if _, err := used.Open(); err != nil {
		t.Fatal(err)
	}
	if _, err := used.Examine(); err != ErrContentUsed {
		t.Error(err)
	}
}

func TestBytesContentWriteTo(t *testing.T) {
	r, err := BytesContent([]byte(plainMessage)).Open()
	if err != nil {
		t.Fatal(err)
	}
	w, ok := r.(io.WriterTo)
	if !ok {
		t.Fatal("no WriteTo")
	}
	var b bytes.Buffer
	if _, err := w.WriteTo(&b); err != nil || b.String() != plainMessage {
		t.Errorf("%q, %v", b.String(), err)
	}
}
