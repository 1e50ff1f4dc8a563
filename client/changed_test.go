package client_test

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/smtp"
)

// A reader that can write itself is not for that reason what it was when it was
// examined: the second reading is checked too.
func TestChangedContentThatWritesItself(t *testing.T) {
	opened := 0
	content := smtp.Content{Size: -1, Open: func() (io.ReadCloser, error) {
		body := "as long as the next:\r\n"
		if opened++; opened > 1 {
			body = "x\n.\r\nMAIL FROM:<x@y>\r\n"
		}
		return io.NopCloser(io.MultiReader(strings.NewReader("A: b\r\n\r\n"), strings.NewReader(body))), nil
	}}
	s := newSink(t, "PIPELINING")
	res, err := s.Send(t.Context(), envelope(t, 1), content)
	var changed *client.ContentError
	if !errors.As(err, &changed) || res.Unknown() {
		t.Errorf("error %v", err)
	}
	if got := s.messages(t); len(got) > 0 {
		t.Errorf("it arrived: %q", got)
	}
}

// A message that is shorter or longer than it was is not sent as a whole one.
func TestContentOfAnotherSize(t *testing.T) {
	const message = "A: b\r\n\r\nfirst\r\n"
	for _, offers := range []string{"PIPELINING", "CHUNKING", "8BITMIME"} { // DATA, BDAT, and both in one write
		for _, size := range []int64{int64(len(message)) - 2, int64(len(message)) + 2} {
			t.Run(fmt.Sprint(offers, size), func(t *testing.T) {
				s := newSink(t, offers, "PIPELINING", "SIZE")
				s.Chunking, s.NormalizeLineEnds = true, offers == "8BITMIME"
				content := smtp.BytesContent([]byte(message))
				content.Size, content.Kind = size, smtp.KindExamined
				res, err := s.Send(t.Context(), envelope(t, 1), content)
				var failed *client.SendError
				if !errors.As(err, &failed) || failed.Temporary() || res.Unknown() {
					t.Errorf("error %v", err)
				}
				if got := s.messages(t); len(got) > 0 {
					t.Errorf("it arrived: %q", got)
				}
			})
		}
	}
}

// What the first 64 KB of a long reader show is known before anything is sent.
func TestHeadOfALongReader(t *testing.T) {
	body := strings.Repeat("0123456789\r\n", 7000)
	for _, test := range []struct {
		name, message, offers string
		mail                  string // what MAIL says; "" if it is not said
		need                  smtp.Keyword
	}{
		{"header", "Subject: é\r\n\r\n" + body, "8BITMIME SMTPUTF8", "MAIL FROM:<a@example.org> BODY=8BITMIME SMTPUTF8", ""},
		{"header", "Subject: é\r\n\r\n" + body, "8BITMIME", "", smtp.ExtSMTPUTF8},
		{"late header", strings.Repeat("A: b\r\n", 20000) + "C: é\r\n\r\n", "8BITMIME SMTPUTF8", "MAIL FROM:<a@example.org> BODY=8BITMIME", smtp.ExtSMTPUTF8},
		{"8-bit", "A: b\r\n\r\né" + body, "SIZE", "", smtp.Ext8BitMIME},
		{"bare LF", "A: b\n\n" + body, "8BITMIME", "", smtp.ExtBinaryMIME},
		{"cut CR LF", strings.Repeat("x", 64<<10) + "\r\n", "8BITMIME", "MAIL FROM:<a@example.org> BODY=8BITMIME", ""},
	} {
		t.Run(test.name+" "+test.offers, func(t *testing.T) {
			s := newSink(t, strings.Fields(test.offers)...)
			mail := ""
			s.Trace = &client.Trace{Wrote: func(_ client.ConnInfo, line string) {
				if strings.HasPrefix(line, "MAIL") {
					mail = line
				}
			}}
			res, err := s.Send(t.Context(), envelope(t, 1), smtp.ReaderContent(strings.NewReader(test.message)))
			var content *client.ContentError
			if errors.As(err, &content) != (test.need != "") || content != nil && content.Need != test.need {
				t.Errorf("error %v, result %v", err, outcomes(res))
			}
			if mail != test.mail {
				t.Errorf("said %q", mail)
			}
		})
	}
	t.Run("error", func(t *testing.T) { // before a connection is made
		broken := errors.New("broken")
		content := smtp.ReaderContent(io.MultiReader(strings.NewReader("A: b\r\n"), iotest.ErrReader(broken)))
		if _, err := scripted(t).Send(t.Context(), envelope(t, 1), content); !errors.Is(err, broken) {
			t.Errorf("error %v", err)
		}
	})
}

// A BODY that the message does not need is not what it fails for.
func TestBodyIsDeclaredOnlyIfNeeded(t *testing.T) {
	for _, body := range []smtp.BodyType{smtp.Body8BitMIME, smtp.BodyBinaryMIME} {
		for _, offers := range []string{"SIZE", "CHUNKING"} {
			s := newSink(t, offers)
			env := envelope(t, 1)
			env.MailParams.Body = body
			res, err := s.Send(t.Context(), env, smtp.BytesContent([]byte("A: b\r\n")))
			want(t, res, err, "250")
		}
	}
}

// The hook sees a command when it was written, that of the last chunk too.
func TestTraceOfChunks(t *testing.T) {
	s := newSink(t, "CHUNKING")
	s.Chunking = true
	writes := counting(s)
	var seen []string
	s.Trace = &client.Trace{
		Wrote:     func(_ client.ConnInfo, line string) { seen = append(seen, fmt.Sprint(writes.Load(), " ", line)) },
		WroteData: func(_ client.ConnInfo, octets int64) { seen = append(seen, fmt.Sprint(octets)) },
	}
	conn, err := s.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	env := envelope(t, 1)
	conn.Mail(t.Context(), env.From, nil)
	conn.Rcpt(t.Context(), env.Recipients[0].To, nil)
	before := writes.Load()
	if _, err := conn.Bdat(t.Context(), []byte("A: b\r\n"), true); err != nil {
		t.Fatal(err)
	}
	if want := []string{fmt.Sprint(writes.Load(), " BDAT 6 LAST"), "6"}; !slices.Equal(seen[3:], want) || writes.Load() == before {
		t.Errorf("%q, want %q", seen, want)
	}
	res, err := s.Send(t.Context(), env, smtp.BytesContent([]byte("A: bc\r\n")))
	want(t, res, err, "250")
	if last := []string{fmt.Sprint(writes.Load(), " BDAT 7 LAST"), "7"}; !slices.Equal(seen[len(seen)-2:], last) {
		t.Errorf("%q, want %q", seen, last)
	}
}
