package authres

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/postrider/postrider/internal/costtest"
)

const ourID = "mx.example.org"

// Fields that claim to be ours, or may.
var forged = []string{
	"Authentication-Results: mx.example.org; dkim=pass\r\n",
	"AUTHENTICATION-RESULTS:MX.Example.ORG;dkim=pass\r\n",
	"authentication-results : mx.example.org. ; dkim=pass\r\n",
	"Authentication-Results\t: mx.example.org 1; dkim=pass\r\n",
	"Authentication-Results\r\n : mx.example.org; dkim=pass\r\n",
	"Authentication-Results:\r\n\tmx.example.org;\r\n dkim=pass\r\n header.d=example.org\r\n",
	"Authentication-Results:\r\n \r\n mx.example.org; dkim=pass\r\n",
	"Authentication-Results: \"mx.example.org\"; dkim=pass\r\n",
	"Authentication-Results: (a (b\r\n c)) \"mx.example\\.org\" (d); dkim=pass\r\n",
	"Authentication-Results: \" mx.example.org\"; dkim=pass\r\n",
	"Authentication-Results: =?utf-8?q?mx=2Eexample=2Eorg?=; dkim=pass\r\n",
	"Authentication-Results: mx.example.org (x) . ; dkim=pass\r\n",
	"Authentication-Results: mx . example . org; dkim=pass\r\n",
	"Authentication-Results: mx.example.org dkim=pass\r\n",
	"Authentication-Results: mx.example.org\r\n",
	"Authentication-Results: mx.example.org/1; dkim=pass\r\n",
	"Authentication-Results: mx.example.org 2; dkim=pass\r\n",
	"Authentication-Results: other.example 2; dkim=pass\r\n",
	"Authentication-Results: spf=pass (sender IP is 192.0.2.1)\r\n",
	"Authentication-Results: (mx.example.org; dkim=pass\r\n",
	"Authentication-Results: \"mx.example.org; dkim=pass\r\n",
	"Authentication-Results: \"\"; dkim=pass\r\n",
	"Authentication-Results:\r\n",
	"Authentication-Results:;\r\n",
	"Authentication-Results: mx.example\x00.org; dkim=pass\r\n",
	"Authentication-Results: mx.example.org; broken (\r\n",
	"Authentication-Results: ｍｘ.example。org; dkim=pass\r\n",
	"Authentication-Results: mx" + strings.Repeat("\u00ad", 64) + ".example.org; dkim=pass\r\n", // invisible, and no name that is compared
	"Authentication-Results: mx.exam\u00adple.org; dkim=pass\r\n",
	"Authentication-Results: mx.exam\u200dple.org; dkim=pass\r\n",
	"Authentication-Results: \u202emx.example.org; dkim=pass\r\n",
	"Authentication-Results: \"mx.example.org\xff\"; dkim=pass\r\n",
	"Authentication-Results\r: mx.example.org; dkim=pass\r\n",
	"Authentication-Results\n: mx.example.org; dkim=pass\r\n",
	"Authentication-Results \n\r\r\n\t\r: mx.example.org; dkim=pass\r\n",
	"Authentication-Results\v\f\x00: mx.example.org; dkim=pass\r\n",
	"Authentication-Results\u00a0: mx.example.org; dkim=pass\r\n",
	"\ufeffAuthentication-Results: mx.example.org; dkim=pass\r\n",
	"\v\n Authentication-Results: mx.example.org; dkim=pass\r\n",
	"\f\r\n Authentication-Results: mx.example.org; dkim=pass\r\n",
	"\vAuthentication-\x00Results: mx.example.org; dkim=pass\r\n",
	"Authentication-Results: (" + strings.Repeat("x", maxHeld) + ") other.example; none\r\n",
	"Authentication-Results" + strings.Repeat(" ", maxHeld) + ": mx.example.org; none\r\n",
	"Authentication-Results: mx.example.org; x=y\n foo: z\r\n",
	"Authentication-Results:\n mx.example.org; x=y\r\n",
	"Authentication-Results: mx.example.org; x=y\n\r\n",
}

// Names that are expensive to bring into A-labels are not brought there.
func TestStripIsCheap(t *testing.T) {
	var label strings.Builder
	for i := range rune(2500) {
		label.WriteRune(0x4e00 + i*61%20000)
	}
	for _, id := range []string{label.String(), "xn--" + strings.Repeat("a", 7000), strings.Repeat("\u00e4.", 2500)} {
		msg := bytes.Repeat([]byte("Authentication-Results: "+id+"; none\r\n"), 100)
		costtest.AtMost(t, 300, fmt.Sprintf("%.40s", id), func() {
			(&Strip{AuthServID: "mx.example.org"}).Header(msg)
		})
	}
}

// Fields that are none of our business.
var allowed = []string{
	"Authentication-Results: other.example; dkim=pass\r\n",
	"Authentication-Results: \"other.example\" (mx.example.org;) 1; dkim=pass\r\n",
	"Authentication-Results: example.org; mx.example.org; ((\r\n",
	"Authentication-Results: xmx.example.org; none\r\n",
	"Authentication-Results-Not: mx.example.org; none\r\n",
	"X-Authentication-Results: mx.example.org; dkim=pass\r\n",
	"ARC-Authentication-Results: i=1; mx.example.org; dkim=pass\r\n",
	"Authentication-Results\r\n",
	"Authentication-Results\n\r\n",
	"Authentication-Results\nA: b\r\n",
	"Authentication-Results mx.example.org: none\r\n",
	"Authentication: x\r\n",
	"Subject: a\r\n Authentication-Results: mx.example.org; dkim=pass\r\n",
	"\xff: \x00\r\n",
	"\ufeffAuthentication-Results: other.example; dkim=pass\r\n",
	"\n Authentication-Results: mx.example.org; none\r\n", // the header ends before it, or has such a line
	"\r Authentication-Results: mx.example.org; none\r\n",
	"Bare: a\rb\nc\r\n",
	": none\r\n",
	"Received-SPF: pass\r\n",
	"Authentication-Results: other.example; " + strings.Repeat("x", maxHeld) + "\r\n",
}

// strip runs the transform over the message in all its forms and compares.
func strip(t *testing.T, s *Strip, msg string) string {
	t.Helper()
	want := string(s.Header([]byte(msg)))
	for _, size := range []int{1, 2, 3, 7, 4096, len(msg) + 1} {
		var b bytes.Buffer
		w := s.Writer(&b)
		for chunk := range slices.Chunk([]byte(msg), size) {
			if n, err := w.Write(chunk); n != len(chunk) || err != nil {
				t.Fatal(n, err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if got := b.String(); got != want {
			t.Fatalf("%q written in pieces of %d:\n got %q\nwant %q", msg, size, got, want)
		}
	}
	for _, r := range []io.Reader{strings.NewReader(msg), iotest.OneByteReader(strings.NewReader(msg)), iotest.DataErrReader(strings.NewReader(msg))} {
		got, err := io.ReadAll(s.Reader(r))
		if err != nil || string(got) != want {
			t.Fatalf("%q read:\n got %q %v\nwant %q", msg, got, err, want)
		}
	}
	return want
}

func TestStrip(t *testing.T) {
	s := &Strip{AuthServID: "MX.example.org."}
	const body = "\r\nAuthentication-Results: mx.example.org; dkim=pass\r\n\r\n.\n\x00"
	for _, bad := range forged {
		for _, good := range allowed {
			for _, order := range []string{"", "b", "g", "bb", "gg", "bg", "gb", "gbg", "bgb"} {
				msg := strings.NewReplacer("b", bad, "g", good).Replace(order)
				want := strings.Repeat(good, strings.Count(order, "g")) + body
				if got := s.Header([]byte(msg + body)); string(got) != want {
					t.Fatalf("%q:\n got %q\nwant %q", msg, got, want)
				}
			}
		}
		strip(t, s, "A: b\r\n"+bad+"C: d\r\n"+body)
	}
	for _, msg := range []string{"", "\r\n", "x", "\r", "\n", "Subject: x", "Authentication-Results", "Authentication-Results: other.example;", "A: b\r\n\r"} {
		if got := strip(t, s, msg); got != msg {
			t.Errorf("%q: %q", msg, got)
		}
	}
	// These would become part of the field that is put on top.
	for _, msg := range []string{" ; dkim=pass\r\n", "\t\r\n \n ; x\r\n\t\r\n", " Authentication-Results: mx.example.org; a=b\r\n"} {
		if got := strip(t, s, msg+"A: b\r\n c\r\n\r\n d"); got != "A: b\r\n c\r\n\r\n d" {
			t.Errorf("%q: %q", msg, got)
		}
	}
	for _, msg := range []string{"Authentication-Results:", "Authentication-Results: mx.example.org; a=b", "Authentication-Results: mx.exa"} {
		if got := strip(t, s, "A: b\r\n"+msg); got != "A: b\r\n" {
			t.Errorf("%q: %q", msg, got)
		}
	}
}

func TestStripNames(t *testing.T) {
	const (
		a  = "Authentication-Results: a.example; none\r\n"
		b  = "Authentication-Results: xn--bcher-kva.example; none\r\n"
		bU = "Authentication-Results: BÜCHER.example; none\r\n"
		c  = "Authentication-Results: c.example; none\r\n"
		// No name of a host is compared as one either.
		noHost = "Authentication-Results: MY_server.; none\r\nAuthentication-Results: my_server; none\r\n"
		spf    = "Received-spf: pass\r\n"
		other  = "Received: x\r\n"
	)
	for _, tt := range []struct {
		s    Strip
		want string
	}{
		{Strip{AuthServID: "My_Server"}, a + b + bU + c + spf + other},
		{Strip{}, spf + other},
		{Strip{Fields: []string{"received-SPF", ""}}, other},
		{Strip{AuthServID: "a.example", More: []string{"my_SERVER."}}, b + bU + c + spf + other},
		{Strip{AuthServID: "bücher.example", More: []string{"", "C.example", "my_server"}}, a + spf + other},
		{Strip{More: []string{"xn--bcher-kva.example.", "my_server"}, Fields: []string{"Received", "Received-SPF"}}, a + c},
	} {
		if got := strip(t, &tt.s, a+b+noHost+bU+c+spf+other); got != tt.want {
			t.Errorf("%+v: %q, want %q", tt.s, got, tt.want)
		}
	}
}

// Where a field begins behind a bare CR or LF, taking it out would join what
// stands before and behind it for those who read CRLF only.
func TestStripBehindBareLineEnds(t *testing.T) {
	s := &Strip{AuthServID: ourID}
	const claim = "Authentication-Results: mx.example.org; dkim=pass"
	for in, want := range map[string]string{
		"A: b\r\n\xff\n" + claim + "\r\nC: d\r\n":                                 "A: b\r\nC: d\r\n",
		"A: b\r\n\xff\n" + "X: y\r\nC: d\r\n":                                     "A: b\r\n\xff\nX: y\r\nC: d\r\n",
		"A: b\n\xff\n" + claim + "\r\nC: d\r\n":                                   "A: b\n \xff\n " + claim + "\r\nC: d\r\n",
		"A: b\n" + claim + "\r\nC: d\r\n":                                         "A: b\n " + claim + "\r\nC: d\r\n",
		"A: b\r" + claim + "\r\nC: d\r\n":                                         "A: b\r " + claim + "\r\nC: d\r\n",
		"A: b\n\n" + claim + "\n" + claim + "\r\nC: d\r\n":                        "A: b\n\n " + claim + "\n " + claim + "\r\nC: d\r\n",
		"A: b\n\r\n" + claim + "\r\n":                                             "A: b\n\r\n",
		claim + "\n" + claim + "\nX: y\r\n " + claim + "\r\nC: d\r\n":             "X: y\r\n " + claim + "\r\nC: d\r\n",
		claim + "\r\t;\rX: y\r\nC: d\r\n":                                         "X: y\r\nC: d\r\n",
		claim + "\n\rX: y\r\nC: d\r\n":                                            "X: y\r\nC: d\r\n",
		"Authentication-Results: other.example;\n" + claim + "\r\nC: d\r\n":       "Authentication-Results: other.example;\n " + claim + "\r\nC: d\r\n",
		"A: b\r\r\n" + claim + "\r\n\r\n" + claim:                                 "A: b\r\r\n\r\n" + claim,
		"A: b\nAuthentication-Results: (" + strings.Repeat("x", maxHeld) + "\r\n": "A: b\n Authentication-Results: (" + strings.Repeat("x", maxHeld) + "\r\n",
	} {
		if got := strip(t, s, in); got != want {
			t.Errorf("%.200q:\n got %.200q\nwant %.200q", in, got, want)
		}
	}
}

// A message may have no CRLF at all when it comes in chunks. What stands behind a
// field that is taken out is not part of it then.
func TestStripKeepsTheMessage(t *testing.T) {
	const rest = "From: a@example.org\n\nHello\n"
	s := &Strip{AuthServID: ourID, Fields: []string{"Received-SPF"}}
	for _, top := range []string{forged[0], forged[4], forged[5], "Authentication-Results: spf=pass\r\n", " blank\r\n", "\t\r\n", "Received-SPF: pass\r\n a\r\n", forged[0] + forged[0]} {
		for _, end := range []string{"\n", "\r"} {
			msg := strings.ReplaceAll(top, "\r\n", end) + rest
			if got := strip(t, s, msg); got != rest {
				t.Errorf("%q becomes %q", msg, got)
			}
		}
	}
}

func TestStripErrors(t *testing.T) {
	s := &Strip{AuthServID: ourID}
	r := s.Reader(io.MultiReader(strings.NewReader("A: b\r\nAuth"), iotest.ErrReader(io.ErrUnexpectedEOF)))
	if got, err := io.ReadAll(r); string(got) != "A: b\r\nAuth" || err != io.ErrUnexpectedEOF {
		t.Errorf("%q %v", got, err)
	}
	w := s.Writer(brokenWriter{})
	if _, err := w.Write([]byte("A: b\r\n\r\n")); err != io.ErrClosedPipe {
		t.Error(err)
	}
	if _, err := w.Write([]byte("body")); err != io.ErrClosedPipe {
		t.Error(err)
	}
	if err := w.Close(); err != io.ErrClosedPipe {
		t.Error(err)
	}
}

// A body passes by in the pieces in which it comes.
func TestStripReadsBodiesWhole(t *testing.T) {
	body := strings.Repeat("x", 1<<16)
	r := (&Strip{}).Reader(io.MultiReader(strings.NewReader("A: b\r\n\r\n"), strings.NewReader(body)))
	p := make([]byte, len(body))
	if n, err := r.Read(p); n != 8 || err != nil {
		t.Error(n, err)
	}
	if n, err := r.Read(p); n != len(body) || err != nil || string(p) != body {
		t.Error(n, err)
	}
	if n, err := r.Read(p); n != 0 || err != io.EOF {
		t.Error(n, err)
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// Large headers cost their size and no more, whatever they are made of.
func TestStripIsLinear(t *testing.T) {
	s := &Strip{AuthServID: ourID}
	for _, piece := range []string{"x", "\r", "\n", "A\r\n", "Authentication-Results", "Authentication-Results ", "Authentication-Results: (\r\n", "Authentication-Results: other.example;\n"} {
		msg := []byte(strings.Repeat(piece, 1<<20/len(piece)))
		allocs := testing.AllocsPerRun(1, func() {
			w := s.Writer(io.Discard)
			for chunk := range slices.Chunk(msg, 32<<10) {
				_, _ = w.Write(chunk)
			}
			_ = w.Close()
		})
		if perField := float64(bytes.Count(msg, []byte("\n")) * 8); allocs > 100+perField {
			t.Errorf("%q: %.0f allocations", piece, allocs)
		}
	}
}

func FuzzStrip(f *testing.F) {
	for _, bad := range forged {
		if len(bad) < 200 {
			f.Add("A: b\r\n" + bad + "\r\nbody")
			f.Add("A: b\n" + bad + "\r\nbody")
		}
	}
	for _, good := range allowed {
		if len(good) < 200 {
			f.Add(good + forged[0] + "\r\n" + good)
		}
	}
	f.Add("\xff\nAuthentication-Results:")
	f.Add("A: b\n\xff\n\xfe\rAuthentication-Results:")
	s := &Strip{AuthServID: ourID}
	ids := []string{ourID}
	f.Fuzz(func(t *testing.T, msg string) {
		got := strip(t, s, msg)
		if again := string(s.Header([]byte(got))); again != got {
			t.Fatalf("%q becomes %q, and that becomes %q", msg, got, again)
		}
		seen := strings.ToLower(strings.Map(func(r rune) rune {
			if r <= ' ' || r >= 0x7f {
				return -1
			}
			return r
		}, msg))
		if !strings.Contains(seen, "authentication-results") && got != msg && msg[0] != ' ' && msg[0] != '\t' {
			t.Fatalf("%q becomes %q", msg, got)
		}
		header, _, _ := strings.Cut("\r\n"+got, "\r\n\r\n")
		unbare := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(header)
		for _, lines := range [][]string{strings.Split(header, "\r\n"), strings.Split(header, "\n"), strings.Split(unbare, "\n")} {
			for _, value := range claimed(lines) {
				if f, err := Parse(value); err == nil && sameName(f.AuthServID) == ourID {
					t.Fatalf("%q becomes %q, which still says %q", msg, got, value)
				}
				if claims(value, ids) == ours {
					t.Fatalf("%q becomes %q, which still says %q", msg, got, value)
				}
			}
		}
	})
}

// claimed returns the values of the Authentication-Results fields.
func claimed(lines []string) (values []string) {
	var fields []string
	for _, line := range lines {
		if n := len(fields); n > 0 && line != "" && (line[0] == ' ' || line[0] == '\t') {
			fields[n-1] += "\r\n" + line
		} else {
			fields = append(fields, line)
		}
	}
	for _, f := range fields {
		name, value, ok := strings.Cut(f, ":")
		name = strings.TrimRightFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f })
		name = strings.TrimLeftFunc(name, func(r rune) bool { return r < ' ' && r != '\r' && r != '\n' || r >= 0x7f })
		if ok && strings.EqualFold(name, FieldName) {
			values = append(values, value)
		}
	}
	return values
}
