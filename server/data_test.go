package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// lookAlikes are what one server or another has been seen to take for the end
// of data.
var lookAlikes = []string{
	"\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r.\r\n", "\r\n.\r", "\n.\r", "\r.\n",
	"\r\n.\r\r\n", "\r\n\r.\r\n", "\r\n.\x00\r\n", "\r\n\x00.\r\n", "\r\n..\r\n", "\r\n. \r\n", "\n\n.\r\n",
}

// The end of data is CRLF.CRLF and nothing else, whatever is done about stray
// octets, and wherever the segments of the network begin.
func TestEndOfDataIsNothingElse(t *testing.T) {
	for _, policy := range []server.Policy{server.Reject, server.Normalize, server.Pass} {
		t.Run(fmt.Sprint(policy), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := start(t, limits(server.Limits{MaxErrors: -1}), func(s *testServer) { s.BodyPolicy = policy })
				p := s.hello()
				for _, alike := range lookAlikes {
					text := "a" + alike + "MAIL FROM:<evil@example.org>\r\nx\n\r\n.\r\n"
					for cut := 1; cut < len(text); cut++ {
						p.send("MAIL FROM:<a@example.org>\nRCPT TO:<b@example.com>\nDATA\n")
						p.expect("250", "250", "354")
						p.raw(text[:cut])
						synctest.Wait()
						p.raw(text[cut:])
						got, err := p.reply()
						delivered := strings.HasPrefix(got, "250 2.0.0")
						if err != nil || !delivered && !strings.HasPrefix(got, "550 5.6.11") {
							t.Fatalf("%q cut at %d: %q, %v", alike, cut, got, err)
						}
						if policy != server.Normalize && delivered != (policy == server.Pass) {
							t.Fatalf("%q cut at %d: %q", alike, cut, got)
						}
						p.do("DATA", "503 5.5.1 MAIL first")
						if delivered {
							want := strings.TrimSuffix(strings.ReplaceAll(text, "\r\n.", "\r\n"), "\r\n")
							if policy == server.Normalize {
								want = strings.ReplaceAll(strings.ReplaceAll(want, "\r\n", "\n"), "\n", "\r\n")
							}
							if last := s.messages()[len(s.messages())-1]; last != want {
								t.Fatalf("%q cut at %d: %q, want %q", alike, cut, last, want)
							}
						}
					}
				}
			})
		})
	}
}

// A chunk may hold anything; only its count ends it. ChunkPolicy says whether
// its stray octets are let through.
func TestChunkPolicy(t *testing.T) {
	const text = "a\nb\r\n.\r\nc\rd\x00"
	for _, tt := range []struct {
		policy server.Policy
		params string
		reply  string
		want   string
	}{
		{server.DefaultPolicy, "", "250 2.0.0", text},
		{server.Pass, "", "250 2.0.0", text},
		{server.Reject, "", "550 5.6.11", ""},
		{server.Normalize, "", "550 5.6.11", ""}, // for the CR and the NUL
		{server.Reject, " BODY=BINARYMIME", "250 2.0.0", text},
	} {
		s := start(t, func(s *testServer) {
			s.ChunkPolicy = tt.policy
			s.Extensions = []server.Extension{server.BinaryMIME}
		})
		p := s.hello()
		for cut := range len(text) {
			p.send("MAIL FROM:<a@example.org>" + tt.params + "\nRCPT TO:<b@example.com>\n")
			p.expect("250", "250")
			p.raw(fmt.Sprintf("BDAT %d\r\n%sBDAT %d LAST\r\n%s", cut, text[:cut], len(text)-cut, text[cut:]))
			first, _ := p.reply()
			if !strings.HasPrefix(first, "250 2.0.0 ") && first != "550 5.6.11 message has a bare LF" && first != "550 5.6.11 message has a bare CR" {
				t.Fatalf("first chunk: %q", first)
			}
			p.expect(tt.reply)
			p.do("NOOP", "250 2.0.0 OK")
		}
		for _, got := range s.messages() {
			if got != tt.want {
				t.Errorf("policy %d: %q", tt.policy, got)
			}
		}
		want(t, "messages", len(s.messages()) > 0, tt.want != "")
	}
}

func TestNormalizedChunks(t *testing.T) {
	s := start(t, func(s *testServer) { s.ChunkPolicy = server.Normalize })
	p := s.hello()
	p.send("MAIL FROM:<a@example.org>\nRCPT TO:<b@example.com>\n")
	p.raw("BDAT 3\r\na\n\r" + "BDAT 2\r\n\nb" + "BDAT 1 LAST\r\n\n")
	p.expect("250", "250", "250", "250", "250 2.0.0 message accepted")
	want(t, "message", s.messages()[0], "a\r\n\r\nb\r\n")
}

// A CR that ends the message has no LF behind it.
func TestLastChunkEndsInCR(t *testing.T) {
	s := start(t, func(s *testServer) { s.ChunkPolicy = server.Reject })
	p := s.hello()
	p.send("MAIL FROM:<a@example.org>\nRCPT TO:<b@example.com>\n")
	p.raw("BDAT 2 LAST\r\na\r")
	p.expect("250", "250", "550 5.6.11 message has a bare CR")
	p.do("NOOP", "250")
	want(t, "messages", len(s.messages()), 0)
}

// A refused body is consumed by the same parser, or the connection ends with
// 421: there is no third outcome.
func TestRefusedBodyIsConsumed(t *testing.T) {
	refuse := func(after int) func(s *testServer) {
		return func(s *testServer) {
			s.data = func(_ context.Context, b *server.Body) (smtp.Reply, error) {
				io.ReadFull(b, make([]byte, after))
				return smtp.Reply{}, smtp.Reject(554, smtp.Enh(7, 1), "no")
			}
		}
	}
	commands := "\r\nRSET\r\nMAIL FROM:<evil@example.org>\r\nQUIT\r\n"
	for _, tt := range []struct {
		name  string
		reply string
		setup func(*testServer)
		text  string
	}{
		{"by the handler at once", "554 5.7.1 no", refuse(0), "text" + commands},
		{"by the handler in the middle", "554 5.7.1 no", refuse(6), "text" + commands},
		{"by the handler, with stray octets to come", "554 5.7.1 no", refuse(0), "te\nxt\r\x00" + commands},
		{"too large", "552 5.3.4", limits(server.Limits{MaxMessageSize: 10}), "text" + commands},
		{"header too large", "552 5.3.4 header", limits(server.Limits{MaxHeaderSize: 10}), "X: " + strings.Repeat("x", 20) + commands},
		{"line too long", "554 5.6.0", limits(server.Limits{MaxTextLine: 10}), "X: " + strings.Repeat("x", 20) + commands},
		{"too large though accepted unseen", "552 5.3.4", func(s *testServer) {
			s.Limits = server.Limits{MaxMessageSize: 10}
			s.data = func(context.Context, *server.Body) (smtp.Reply, error) { return smtp.Reply{}, nil }
		}, "text" + commands},
		{"stray octets though accepted unseen", "550 5.6.11", func(s *testServer) {
			s.BodyPolicy, s.ChunkPolicy = server.Reject, server.Reject
			s.data = func(context.Context, *server.Body) (smtp.Reply, error) { return smtp.Reply{}, nil }
		}, "te\nxt" + commands},
		{"large, too large", "552 5.3.4", limits(server.Limits{MaxMessageSize: 10, MaxDiscard: -1}), strings.Repeat(commands, 5000)},
		{"large, by the handler", "554 5.7.1 no", refuse(100), strings.Repeat(commands, 5000)},
	} {
		for _, chunks := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/chunks=%t", tt.name, chunks), func(t *testing.T) {
				s := start(t, tt.setup)
				p := s.hello()
				for range 2 {
					p.do("MAIL FROM:<a@example.org>", "250")
					p.do("RCPT TO:<b@example.com>", "250")
					if chunks {
						p.flood(fmt.Sprintf("BDAT %d LAST\r\n%sNOOP\r\n", len(tt.text), tt.text))
					} else {
						p.do("DATA", "354")
						p.flood(tt.text + ".\r\nNOOP\r\n")
					}
					p.expect(tt.reply, "250 2.0.0 OK")
				}
				want(t, "messages", len(s.messages()), 0)
			})
		}
	}
}

func TestTooMuchToDiscard(t *testing.T) {
	l := limits(server.Limits{MaxMessageSize: 10, MaxDiscard: 1000})
	for _, send := range []string{
		"DATA\r\n",
		"BDAT 1200000 LAST\r\n",
		"RSET\r\nBDAT 1200000 LAST\r\n",
		strings.Repeat("BDAT 900\r\n"+strings.Repeat("x", 900), 3) + "QUIT\r\n",
	} {
		s := start(t, l)
		p := s.hello()
		p.do("MAIL FROM:<a@example.org>", "250")
		p.do("RCPT TO:<b@example.com>", "250")
		p.flood(send + strings.Repeat("0123456789\r\n", 100000))
		var replies []string
		for {
			r, err := p.reply()
			if err != nil {
				break
			}
			replies = append(replies, r)
		}
		if n := len(replies); n == 0 || !strings.HasPrefix(replies[n-1], "421 4.3.4") {
			t.Errorf("%q: %q", send, replies)
		}
		s.stop()
		if events := s.events.take(); strings.Count(events, server.MessageRefused.String()) > 1 {
			t.Errorf("%q: refused more than once:\n%s", send, events)
		}
	}
}

// What a Body gives is io.EOF after the true end, and never when it was cut.
func TestBodyEnds(t *testing.T) {
	for _, tt := range []struct {
		name string
		send string
		end  func(s *testServer, p *peer)
		eof  bool
	}{
		{"dot", "DATA\r\ntext\r\n.\r\n", nil, true},
		{"last chunk", "BDAT 4 LAST\r\ntext", nil, true},
		{"lost in DATA", "DATA\r\ntext\r\n.", drop, false},
		{"lost after DATA", "DATA\r\n", drop, false},
		{"lost in a chunk", "BDAT 10 LAST\r\ntext", drop, false},
		{"lost after a chunk", "BDAT 4\r\ntext", drop, false},
		{"RSET between chunks", "BDAT 4\r\ntextRSET\r\n", nil, false},
		{"EHLO between chunks", "BDAT 4\r\ntextEHLO x.example\r\n", nil, false},
		{"QUIT between chunks", "BDAT 4\r\ntextQUIT\r\n", nil, false},
		{"nonsense in BDAT", "BDAT 4\r\ntextBDAT LAST\r\n", nil, false},
		{"too large", "BDAT 4\r\ntextBDAT 1000 LAST\r\n" + strings.Repeat("x", 1000), nil, false},
		{"bare LF", "DATA\r\nte\nxt\r\n.\r\n", nil, false},
		{"server closed", "BDAT 4\r\ntext", func(s *testServer, _ *peer) { s.Server.Close() }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var got error
				var again, written error
				s := start(t, limits(server.Limits{MaxMessageSize: 100}))
				s.data = func(_ context.Context, b *server.Body) (smtp.Reply, error) {
					_, got = io.Copy(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{b})
					_, again = b.Read(make([]byte, 1))
					_, written = b.WriteTo(io.Discard)
					return smtp.Reply{}, nil // ignored unless the end came
				}
				p := s.hello()
				p.do("MAIL FROM:<a@example.org>", "250")
				p.do("RCPT TO:<b@example.com>", "250")
				p.raw(tt.send)
				synctest.Wait()
				if tt.end != nil {
					tt.end(s, p)
					synctest.Wait()
				}
				var cut *server.BodyError
				switch {
				case tt.eof && (got != nil || again != io.EOF || written != nil):
					t.Errorf("%v, then %v and %v", got, again, written)
				case !tt.eof && (!errors.As(got, &cut) || errors.Is(got, io.EOF) || again != got || written != got):
					t.Errorf("%v, then %v and %v", got, again, written)
				}
				s.stop()
				accepted := strings.Contains(s.events.take(), server.MessageAccepted.String())
				want(t, "accepted", accepted, tt.eof)
			})
		})
	}
}

func drop(_ *testServer, p *peer) { p.Close() }

func TestBodyAfterData(t *testing.T) {
	var kept *server.Body
	s := start(t)
	s.data = func(_ context.Context, b *server.Body) (smtp.Reply, error) {
		kept = b
		return smtp.Reply{}, nil
	}
	p := s.hello()
	p.send("MAIL FROM:<a@example.org>\nRCPT TO:<b@example.com>\nDATA\n")
	p.expect("250", "250", "354")
	p.send("text\n.\n")
	p.expect("250")
	var cut *server.BodyError
	if n, err := kept.Read(make([]byte, 10)); n != 0 || !errors.As(err, &cut) {
		t.Errorf("Read after Data: %d, %v", n, err)
	}
	if n, err := kept.WriteTo(io.Discard); n != 0 || !errors.As(err, &cut) {
		t.Errorf("WriteTo after Data: %d, %v", n, err)
	}
}

// The methods of Body, by Read and by WriteTo, with fields put in front.
func TestBody(t *testing.T) {
	text := strings.Repeat("0123456789\r\n", 20000)
	for _, small := range []bool{false, true} {
		var got strings.Builder
		s := start(t)
		s.data = func(_ context.Context, b *server.Body) (smtp.Reply, error) {
			b.Prepend("B: 2\r\n")
			b.Prepend("A: 1\r\n")
			if n, err := b.Read(nil); n != 0 || err != nil {
				t.Errorf("Read of nothing: %d, %v", n, err)
			}
			if b.DeclaredSize() != 99 || b.Received() != 0 || b.PerRecipient() {
				t.Errorf("declared %d, received %d, per recipient %t", b.DeclaredSize(), b.Received(), b.PerRecipient())
			}
			start := make([]byte, 8)
			if n, err := b.Read(start); n != 8 || err != nil {
				t.Errorf("Read: %d, %v", n, err)
			}
			got.Write(start)
			b.Prepend("too: late\r\n")
			var err error
			if small {
				buf := make([]byte, 7)
				_, err = io.CopyBuffer(struct{ io.Writer }{&got}, struct{ io.Reader }{b}, buf)
			} else {
				_, err = b.WriteTo(&got)
			}
			want(t, "received", b.Received(), int64(len(text)))
			return smtp.Reply{}, err
		}
		p := s.hello()
		p.send("MAIL FROM:<a@example.org> SIZE=99\nRCPT TO:<b@example.com>\nDATA\n")
		p.expect("250", "250", "354")
		p.flood(text + ".\r\n")
		p.expect("250 2.0.0")
		want(t, "text", got.String() == "A: 1\r\nB: 2\r\n"+text, true)
	}
}

// stubborn takes only so much.
type stubborn struct {
	left int
	err  error
}

func (w *stubborn) Write(p []byte) (int, error) {
	if len(p) > w.left {
		return w.left, w.err
	}
	w.left -= len(p)
	return len(p), nil
}

// What fails in a Writer is the handler's trouble; the session goes on.
func TestBodyWriteToFails(t *testing.T) {
	full := errors.New("disk full")
	for _, w := range []*stubborn{{3, full}, {3, nil}} {
		s := start(t)
		s.data = func(_ context.Context, b *server.Body) (smtp.Reply, error) {
			n, err := b.WriteTo(w)
			want(t, "n", n, 3)
			if w.err == nil {
				w.err = io.ErrShortWrite
			}
			if err != w.err {
				t.Errorf("%v, want %v", err, w.err)
			}
			return smtp.Reply{}, smtp.Reject(452, smtp.Enh(3, 1), "full")
		}
		p := s.hello()
		p.send("MAIL FROM:<a@example.org>\nRCPT TO:<b@example.com>\nDATA\n")
		p.expect("250", "250", "354")
		p.send("text\n.\nNOOP\n")
		p.expect("452 4.3.1 full", "250 2.0.0 OK")
	}
}

// A header section is what stands before the first empty line, whatever ends
// the lines, and however it is cut.
func TestMaxHeaderSize(t *testing.T) {
	const limit = 20
	body := strings.Repeat("body\r\n", 50)
	for _, tt := range []struct {
		head string
		ok   bool
	}{
		{"A: 345678\r\nB: 4\r\n\r\n", true}, // 19
		{"A: 345678\r\nB: 45\r\n\r\n", true},
		{"A: 345678\r\nB: 456\r\n\r\n", false},
		{"\r\n", true},
		{"\n", true},
		{"A: 1\nB: 2\n\n", true},
		{"A: 1\nB: 2\n\r\n", true},
		{"A: 1\r\rB: 2\r\n\r\n", true},
		{"A: 1\r\n\r\r\n" + strings.Repeat("x", 20) + "\r\n\r\n", false},
		{strings.Repeat("A: 1\r\n", 4), false},
		{"A: 1\r\n", true}, // a message without a body, see below
	} {
		text := tt.head + body
		if tt.head == "A: 1\r\n" {
			text = tt.head
		}
		s := start(t, limits(server.Limits{MaxHeaderSize: limit}), func(s *testServer) { s.BodyPolicy = server.Pass })
		p := s.hello()
		for _, size := range []int{1, 2, 5, len(text)} {
			p.send("MAIL FROM:<a@example.org>\nRCPT TO:<b@example.com>\n")
			p.expect("250", "250")
			replies := []string{}
			for piece := range slices.Chunk([]byte(text), size) {
				p.raw(fmt.Sprintf("BDAT %d\r\n%s", len(piece), piece))
				r, _ := p.reply()
				replies = append(replies, r[:min(len(r), 9)])
			}
			p.raw("BDAT 0 LAST\r\n")
			r, _ := p.reply()
			if got := strings.HasPrefix(r, "250 2.0.0 message"); got != tt.ok || !tt.ok && !strings.HasPrefix(r, "552 5.3.4 header") {
				t.Errorf("%q in pieces of %d: %q %q", tt.head, size, replies, r)
			}
		}
	}
}
