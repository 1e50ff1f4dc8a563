package smtptest

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// Each row is a server with faults, and the conversations with it.
func TestFaults(t *testing.T) {
	const (
		rcpt   = "C: RCPT TO:<bob@example.com>\n"
		begun  = "C: MAIL FROM:<alice@example.org>\nS: 250 ...\n"
		chunks = begun + rcpt + "S: 250 ...\n"
	)
	for name, tt := range map[string]struct {
		configure func(*Server)
		faults    []Fault
		talks     []string // one connection each
		hits      []int    // of each fault
		recorded  int
	}{
		"first refused, then accepted": {
			faults:   []Fault{On("rcpt").Reply(451, "4.3.0", "try later").Times(1)},
			talks:    []string{hello + "\n" + begun + rcpt + "S: 451 4.3.0 try later\n" + rcpt + "S: 250 ...\nC: DATA\nS: 354 ...\n" + data + "\n" + quit},
			hits:     []int{1},
			recorded: 1,
		},
		"one after the other, then none": {
			faults: []Fault{
				On("RCPT").Reply(450, "", "a\nb").Times(1),
				On("RCPT").Reply(550, "5.1.1", "").Times(2),
				On("RCPT").Skip(4).Times(1).Raw("250 x\r\n"),
			},
			talks: []string{hello + "\n" + begun + rcpt + "S: 450-a\nS: 450 b\n" +
				rcpt + "S: 550 5.1.1 \n" + rcpt + "S: 550 5.1.1 \n" + rcpt + "S: 250 2.1.5 *\n" + rcpt + "S: 250 x\n" + rcpt + "S: 250 2.1.5 *\n" + quit},
			hits: []int{1, 2, 1},
		},
		"for an address": {
			faults: []Fault{
				On("RCPT").For("bob@EXAMPLE.com").Reply(550, "5.1.1", "no bob"),
				On("RCPT").For("<\">\"@example.com>").Reply(550, "5.1.1", "no sign"),
				On("RCPT").For("postmaster").Reply(550, "5.1.1", "no postmaster"),
				On("MAIL").For("eve@example.org").Reply(550, "5.7.1", "no eve"),
				On("MAIL").For("<>").Reply(550, "5.7.1", "no bounces"),
			},
			talks: []string{hello + "\nC: MAIL FROM:<> BODY=7BIT\nS: 550 5.7.1 no bounces\nC: MAIL FROM: <eve@example.org>\nS: 550 5.7.1 no eve\n" +
				begun + rcpt + "S: 550 5.1.1 no bob\nC: RCPT TO:<Bob@example.com>\nS: 250 ...\nC: RCPT TO:<bob>\nS: 501 ...\nC: RCPT TO:<\">\"@example.com>\nS: 550 5.1.1 no sign\nC: RCPT TO:<PostMaster>\nS: 550 5.1.1 no postmaster\nC: RCPT\nS: 501 ...\n" + quit},
			hits: []int{1, 1, 1, 1, 1},
		},
		"greeting refused": {
			faults: []Fault{OnGreeting().Reply(554, "", "no service").Times(1)},
			talks:  []string{"S: 554 no service\nC: EHLO a\nS: 503 ...\n" + quit, hello + "\n" + quit},
			hits:   []int{1},
		},
		"greeting 421": {
			faults: []Fault{OnGreeting().Reply(421, "4.3.2", "busy")},
			talks:  []string{"S: 421 4.3.2 busy\nS: <close>"},
			hits:   []int{1},
		},
		"greeting of one's own": {
			faults: []Fault{OnGreeting().Raw("220-mx\r\n220 welcome\r\n")},
			talks:  []string{"S: 220-mx\nS: 220 welcome\nC: EHLO a\nS: 250-*\nS: 250 ...\n" + quit},
			hits:   []int{1},
		},
		"greeting that is noise": {
			faults: []Fault{OnGreeting().Raw("SSH-2.0\n").Drop()},
			talks:  []string{`S: SSH-2.0\n\` + "\nS: <close>"},
			hits:   []int{1},
		},
		"no greeting": {
			faults: []Fault{OnGreeting().Drop().Skip(1)},
			talks:  []string{hello + "\n" + quit, "S: <close>"},
			hits:   []int{1},
		},
		"an empty line is no greeting": {
			faults: []Fault{OnGreeting().Reply(554, "", "").Skip(1)},
			talks:  []string{hello + "\nC:\nS: 500 ...\n" + quit},
			hits:   []int{0},
		},
		"421 closes": {
			faults: []Fault{On("MAIL").Reply(421, "4.3.2", "bye")},
			talks:  []string{hello + "\nC: MAIL FROM:<a@example.org>\nC: RCPT TO:<b@example.com>\nS: 421 4.3.2 bye\nS: <close>"},
			hits:   []int{1},
		},
		"dropped after a reply": {
			faults: []Fault{On("EHLO").Raw("250-half of").Drop()},
			talks:  []string{"S: 220 ...\nC: EHLO a\nS: 250-half of\\\nS: <close>"},
			hits:   []int{1},
		},
		"dropped without one": {
			faults: []Fault{On("DATA").Drop()},
			talks:  []string{hello + "\n" + chunks + "C: DATA\nS: <close>"},
			hits:   []int{1},
		},
		"any command": {
			faults: []Fault{On("*").Reply(500, "5.5.1", "no").Skip(2).Times(2)},
			talks:  []string{hello + "\nC: NOOP\nC: WHAT\nC: NOOP\nC: NOOP\nS: 250 ...\nS: 500 5.5.1 no\nS: 500 5.5.1 no\nS: 250 ...\n" + quit},
			hits:   []int{2},
		},
		"the data refused in its midst": {
			faults: []Fault{InData(1000).Reply(554, "", ""), InData(3).Reply(552, "5.3.4", "too much").Times(1)},
			talks:  []string{hello + "\n" + envelope + "\nC: Subject: x\nC: .\nS: 552 5.3.4 too much\n" + envelope + "\n" + data + "\n" + quit},
			hits:   []int{0, 1}, recorded: 1,
		},
		"the data cut": {
			faults: []Fault{InData(12).Drop()},
			talks:  []string{hello + "\n" + envelope + "\nC: 0123456789\nC: 01\\\nS: <close>"},
			hits:   []int{1},
		},
		"the data cut under TLS": {
			configure: ImplicitTLS,
			faults:    []Fault{InData(12).Drop()},
			talks:     []string{"<starttls>\n" + hello + "\n" + envelope + "\nC: 0123456789\nC: 01\\\nS: <close>"},
			hits:      []int{1},
		},
		"a message refused at its end": {
			faults: []Fault{AfterData().For("carol@example.com").Reply(554, "5.6.0", "no carol"), AfterData().For("bob@example.com").Reply(452, "4.3.1", "full").Times(1), AfterData().Reply(250, "2.0.0", "queued as 7")},
			talks:  []string{hello + "\n" + envelope + "\nC: .\nS: 452 4.3.1 full\n" + envelope + "\nC: .\nS: 250 2.0.0 queued as 7\n" + quit},
			hits:   []int{0, 1, 1}, recorded: 1,
		},
		"a message taken and not confirmed": {
			faults: []Fault{AfterData().Drop()},
			talks:  []string{hello + "\n" + envelope + "\nC: .\nS: <close>"},
			hits:   []int{1}, recorded: 1,
		},
		"a message refused and dropped": {
			faults: []Fault{AfterData().Reply(450, "4.0.0", "").Drop()},
			talks:  []string{hello + "\n" + envelope + "\nC: .\nS: <close>"},
			hits:   []int{1},
		},
		"first chunk refused": {
			faults: []Fault{On("BDAT").Reply(451, "4.3.0", "later").Times(1)},
			talks: []string{hello + "\n" + chunks + "C: BDAT 6\nC: NOOP\nC: BDAT 2 LAST\nC:\nS: 451 4.3.0 later\nS: 451 ...\n" +
				chunks + "C: BDAT 2 LAST\nC:\nS: 250 ...\n" + quit},
			hits: []int{1}, recorded: 1,
		},
		"later chunk refused": {
			faults: []Fault{On("BDAT").Reply(451, "4.3.0", "later").Skip(1).Times(1)},
			talks:  []string{hello + "\n" + chunks + "C: BDAT 6\nC: NOOP\nC: BDAT 2\nC:\nS: 250 ...\nS: 451 4.3.0 later\nC: BDAT 2 LAST\nC:\nS: 451 ...\n" + quit},
			hits:   []int{1},
		},
		"empty last chunk refused": {
			faults: []Fault{On("BDAT").Reply(554, "5.6.0", "no").Skip(1)},
			talks:  []string{hello + "\n" + chunks + "C: BDAT 6\nC: NOOP\nC: BDAT 0 LAST\nS: 250 ...\nS: 554 5.6.0 no\n" + quit},
			hits:   []int{1},
		},
		"a chunk out of place": {
			faults: []Fault{On("BDAT").Reply(554, "5.6.0", "no").Times(1)},
			talks:  []string{hello + "\nC: BDAT 6\nC: NOOP\nS: 503 ...\n" + chunks + "C: BDAT 2 LAST\nC:\nS: 250 ...\n" + quit},
			hits:   []int{1}, recorded: 1,
		},
		"a chunk answered with noise": {
			faults: []Fault{On("BDAT").Raw("?\r\n")},
			talks:  []string{hello + "\n" + chunks + "C: BDAT 6 LAST\nC: NOOP\nS: ?\nS: <close>"},
			hits:   []int{1},
		},
		"LMTP, one of three": {
			configure: LMTP,
			faults: []Fault{
				AfterData().For("bob@example.com").Reply(452, "4.2.2", "full").Times(1),
				AfterData().For("carol@example.com").Reply(250, "2.0.0", "as she likes it").Times(1),
				AfterData().For("bob@example.com").Reply(550, "5.2.1", "gone").Times(1).Skip(1),
			},
			talks: []string{"S: 220 ...\nC: LHLO a\nS: 250-*\nS: 250 ...\n" + begun + strings.Repeat(rcpt+"C: RCPT TO:<carol@example.com>\nS: 250 ...\nS: 250 ...\n", 2) +
				"C: DATA\nS: 354 ...\nC: .\nS: 452 4.2.2 full\nS: 250 2.0.0 as she likes it\nS: 452 4.2.2 full\nS: 250 2.0.0 as she likes it\n" +
				begun + rcpt + "S: 250 ...\nC: DATA\nS: 354 ...\nC: .\nS: 550 5.2.1 gone\n" + quit},
			hits: []int{1, 1, 1}, recorded: 1,
		},
		"no STARTTLS after all": {
			faults: []Fault{On("STARTTLS").Reply(454, "4.7.0", "not now")},
			talks:  []string{hello + "\nC: STARTTLS\nS: 454 4.7.0 not now\n" + quit},
			hits:   []int{1},
		},
		"a handshake that breaks off": {
			faults: []Fault{On("STARTTLS").Reply(220, "", "go").Drop()},
			talks:  []string{hello + "\nC: STARTTLS\nS: 220 go\nS: <close>"},
			hits:   []int{1},
		},
	} {
		for _, handler := range []server.Handler{nil, ownHandler} {
			t.Run(fmt.Sprintf("%s/%t", name, handler != nil), func(t *testing.T) {
				configure := []func(*Server){func(s *Server) { s.Config.Handler = handler }}
				if tt.configure != nil {
					configure = append(configure, tt.configure)
				}
				s := newServer(t, configure...)
				hits := make([]func() int, len(tt.faults))
				for i, f := range tt.faults {
					hits[i] = s.Fault(f)
				}
				for _, script := range tt.talks {
					talk(t, s, script)
				}
				for i, h := range hits {
					if h() != tt.hits[i] {
						t.Errorf("fault %d has happened %d times, want %d", i, h(), tt.hits[i])
					}
				}
				if n := len(s.Messages()); n != tt.recorded {
					t.Errorf("%d messages recorded, want %d", n, tt.recorded)
				}
				s.ClearFaults()
				s.Fault(On("NOOP").Reply(250, "", "last"))
				if tt.configure == nil {
					talk(t, s, hello, "C: NOOP\nS: 250 last", quit)
				}
			})
		}
	}
}

// ownHandler is a caller's: it puts a field on top of what it gets.
var ownHandler = server.Deliver(func(_ context.Context, m *server.Message) (smtp.Reply, error) {
	_, err := io.Copy(io.Discard, m)
	return smtp.Reply{}, err
})

func TestLMTPRecordsWhoWasAccepted(t *testing.T) {
	s := newServer(t, LMTP)
	s.Fault(AfterData().For("bob@example.com").Reply(452, "4.2.2", "full"))
	talk(t, s, "S: 220 ...\nC: LHLO a\nS: 250-*\nS: 250 ...\nC: MAIL FROM:<>\nC: RCPT TO:<bob@example.com>\nC: RCPT TO:<carol@example.com>\nC: DATA\nC: .",
		"S: 250 ...\nS: 250 ...\nS: 250 ...\nS: 354 ...\nS: 452 4.2.2 full\nS: 250 ...", quit)
	if all := s.Messages(); len(all) != 1 || fmt.Sprint(all[0].To()) != "[carol@example.com]" {
		t.Errorf("%+v", all)
	}
}

func TestDelays(t *testing.T) {
	for name, tt := range map[string]struct {
		fault Fault
		delay time.Duration
	}{
		"greeting":    {OnGreeting().Delay(time.Minute), time.Minute},
		"command":     {On("RCPT").Delay(time.Minute), time.Minute},
		"and a reply": {On("NOOP").Delay(time.Minute).Reply(250, "", "OK"), time.Minute},
		"chunk":       {On("BDAT").Delay(time.Minute), 0},
		"data":        {InData(5).Delay(time.Minute), time.Minute},
		"after data":  {AfterData().Delay(time.Minute), time.Minute},
		"slow":        {InData(0).Slow(1), 17 * time.Second},
		"slow later":  {InData(11).Slow(1), 6 * time.Second},
		"fast":        {InData(1).Slow(17e9), 15 * time.Nanosecond / 17},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newServer(t, InMemory)
			s.Fault(tt.fault)
			start := time.Now()
			conn, err := s.Dial(t.Context(), "", "")
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			script := parse(t, hello, envelope, data, "C: NOOP\nS: 250 ...", quit)
			script.Timeout = time.Hour
			if err := script.PlayClient(conn); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if took := time.Since(start); took != tt.delay {
				t.Errorf("%s: took %v, want %v", name, took, tt.delay)
			}
		})
	}
}

// A client cannot push a large message into the buffers of the network when
// the server reads slowly.
func TestSlowHoldsTheClientUp(t *testing.T) {
	s := newServer(t)
	s.Fault(InData(0).Slow(1))
	conn, err := s.Dial(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := parse(t, hello, envelope).PlayClient(conn); err != nil {
		t.Fatal(err)
	}
	conn.(*net.TCPConn).SetWriteBuffer(4096)
	conn.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	if n, err := conn.Write(make([]byte, 256<<10)); err == nil {
		t.Errorf("%d octets are written at once", n)
	}
}

func TestHide(t *testing.T) {
	s := newServer(t, func(s *Server) { s.Config.PlaintextAuthOnLoopback = true })
	s.AddAccount("alice", "secret")
	offered := func() string {
		t.Helper()
		talk(t, s, hello, quit)
		all := s.Transcripts()
		return all[len(all)-1]
	}
	hidden := []string{"starttls", "AUTH", "CHUNKING", "SIZE", "PIPELINING", "8BITMIME"}
	before := offered()
	s.Hide(hidden...)
	after := offered()
	for _, k := range hidden {
		if k = strings.ToUpper(k); !strings.Contains(before, k) || strings.Contains(after, k) {
			t.Errorf("%s before in\n%safter in\n%s", k, before, after)
		}
	}
	if !strings.Contains(after, "ENHANCEDSTATUSCODES") {
		t.Errorf("hidden too much:\n%s", after)
	}
	talk(t, s, hello, "C: STARTTLS\nS: 502 ...\nC: AUTH PLAIN\nS: 502 ...\nC: MAIL FROM:<> SIZE=1\nS: 555 ...", quit)
	s.Hide()
	if again := offered(); strings.Count(again, "S: 250") != strings.Count(before, "S: 250") {
		t.Errorf("offered again\n%s", again)
	}
}

func TestFaultsThatMakeNoSense(t *testing.T) {
	s := NewUnstartedServer()
	for name, f := range map[string]func(){
		"no verb":           func() { On("") },
		"negative octets":   func() { InData(-1) },
		"code":              func() { On("NOOP").Reply(42, "", "") },
		"enhanced code":     func() { On("NOOP").Reply(250, "2", "") },
		"class":             func() { On("NOOP").Reply(450, "5.0.0", "") },
		"slow command":      func() { On("NOOP").Slow(1) },
		"rate":              func() { InData(1).Slow(0) },
		"address":           func() { On("RCPT").For("@") },
		"null forward-path": func() { On("RCPT").For("<>") },
		"for nobody":        func() { On("NOOP").For("a@example.org") },
		"for no greeting":   func() { OnGreeting().For("a@example.org") },
		"nothing":           func() { s.Fault(On("NOOP")) },
		"raw data":          func() { s.Fault(InData(1).Raw("x")) },
		"positive in data":  func() { s.Fault(InData(1).Reply(250, "", "")) },
		"354 at the end":    func() { s.Fault(AfterData().Reply(354, "", "")) },
		"positive chunk":    func() { s.Fault(On("BDAT").Reply(250, "", "")) },
	} {
		func() {
			defer func() {
				if v, ok := recover().(string); !ok || !strings.HasPrefix(v, "smtptest: ") {
					t.Errorf("%s: panic %q", name, v)
				}
			}()
			f()
		}()
	}
}
