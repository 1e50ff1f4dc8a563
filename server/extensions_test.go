package server_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/memnet"
	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// An extension of the application's own: a parameter for MAIL, one for RCPT
// and a verb.
func colours() server.Extension {
	return server.Extension{
		Param: "RED BLUE",
		Row: &smtp.Extension{
			Keyword: "XCOLOUR",
			Mail: []smtp.MailParam{{Name: "XCOLOUR", Values: []string{"RED", "BLUE"}}, {Name: "XTEMP", Parse: func(_ *smtp.MailParams, value string) error {
				switch value {
				case "":
					return smtp.Reject(455, smtp.Enh(5, 4), "no temperature today")
				case "internal":
					return errors.New("secret")
				}
				return nil
			}}},
			Rcpt:        []smtp.RcptParam{{Name: "XSHADE"}},
			MailGrowth:  100,
			OtherGrowth: 50,
		},
		Verbs: map[smtp.Verb]server.VerbFunc{
			"xpaint": func(_ context.Context, c *server.Conn, s server.Session, arg string) (smtp.Reply, error) {
				if _, ok := s.(*session); !ok || c.Hello() != "x.example" {
					return smtp.Reply{}, errors.New("not the session")
				}
				if arg == "" {
					return smtp.Reply{}, smtp.Reject(501, smtp.Enh(5, 4), "XPAINT what?")
				}
				return smtp.Reply{Code: 250, Text: "painted " + arg}, nil
			},
			smtp.ETRN: func(context.Context, *server.Conn, server.Session, string) (smtp.Reply, error) {
				return smtp.Reply{}, nil
			},
		},
	}
}

func TestOwnExtension(t *testing.T) {
	var mail smtp.MailParams
	var rcpt smtp.RcptParams
	s := start(t, func(s *testServer) { s.Extensions = []server.Extension{server.DSN, colours()} })
	s.mail = func(_ context.Context, _ smtp.ReversePath, p *smtp.MailParams) (smtp.Reply, error) {
		mail = *p
		return smtp.Reply{}, nil
	}
	s.rcpt = func(_ context.Context, _ smtp.ForwardPath, p *smtp.RcptParams) (smtp.Reply, error) {
		rcpt = *p
		return smtp.Reply{}, nil
	}
	p := s.dial()
	p.expect("220")
	p.do("XPAINT it", "503 5.5.1 say EHLO first")
	p.do("HELO x.example", "250")
	p.do("XPAINT it", "502 5.5.1 not offered")
	p.do("MAIL FROM:<> XCOLOUR=RED", "555")
	p.send("EHLO x.example\n")
	if r, _ := p.reply(); !strings.HasSuffix(r, "\n250-DSN\n250 XCOLOUR RED BLUE") {
		t.Errorf("%q", r)
	}
	p.do("xPaint it black ", "250 2.0.0 painted it black")
	p.do("XPAINT", "501 5.5.4 XPAINT what?")
	p.do("XPAINT a\rb", "500 5.5.2")
	p.do("ETRN x", "250 2.0.0 OK")
	p.do("XPAINT "+strings.Repeat("x", 512+50-9), "250")
	p.do("XPAINT "+strings.Repeat("x", 512+50-8), "500 5.5.2")
	p.do("MAIL FROM:<> XCOLOUR=GREEN", "501 5.5.4")
	p.do("MAIL FROM:<> XTEMP", "455 4.5.4 no temperature today")
	p.do("MAIL FROM:<> XTEMP=internal", "501 5.5.4 parameter value is not valid")
	p.do("MAIL FROM:<> XSHADE=1", "555")
	p.do("MAIL FROM:<> xcolour=red RET=HDRS", "250")
	p.do("XPAINT it", "503 5.5.1 not during a mail transaction")
	p.do("RCPT TO:<b@example.com> XSHADE=dark NOTIFY=NEVER", "250")
	want(t, "MAIL", fmt.Sprint(mail.Other, mail.Ret), "[{XCOLOUR red}]HDRS")
	want(t, "RCPT", fmt.Sprint(rcpt.Other, rcpt.Notify), "[{XSHADE dark}] NEVER")
}

// Handlers may keep parameters: what one RCPT had is not another's.
func TestParametersAreKept(t *testing.T) {
	var kept []*smtp.RcptParams
	var paths []smtp.ForwardPath
	s := start(t, func(s *testServer) { s.Extensions = []server.Extension{server.DSN} })
	s.rcpt = func(_ context.Context, to smtp.ForwardPath, p *smtp.RcptParams) (smtp.Reply, error) {
		kept, paths = append(kept, p), append(paths, to)
		return smtp.Reply{}, nil
	}
	p := s.hello()
	p.do("MAIL FROM:<>", "250")
	sent := []string{"", " NOTIFY=NEVER", "\tNOTIFY=DELAY", "", " NOTIFY=SUCCESS ORCPT=rfc822;x@y", "\t"}
	for i, params := range sent {
		p.do(fmt.Sprintf("RCPT TO:<%d@example.com>%s", i, params), "250")
	}
	for i, wanted := range []string{"", "NEVER", "DELAY", "", "SUCCESS", ""} {
		want(t, "NOTIFY", kept[i].Notify.String(), wanted)
		want(t, "address", paths[i].String(), fmt.Sprintf("<%d@example.com>", i))
	}
	// More of them than fit into one piece of memory.
	p.do("RSET", "250")
	p.do("MAIL FROM:<>", "250")
	paths = nil
	for i := range 200 {
		p.do(fmt.Sprintf("RCPT TO:<%d%s@example.com>", i, strings.Repeat("x", i%50)), "250")
	}
	for i, path := range paths {
		want(t, "address", path.String(), fmt.Sprintf("<%d%s@example.com>", i, strings.Repeat("x", i%50)))
	}
}

// An offer may depend on the connection.
func TestOffer(t *testing.T) {
	x := colours()
	x.Offer = func(c *server.Conn) (string, bool) { return strings.ToUpper(c.Hello()), c.TLS() != nil }
	s := start(t, withTLS, func(s *testServer) { s.Extensions = []server.Extension{x, server.DSN} })
	p := s.dial()
	p.expect("220")
	for range 2 {
		p.send("EHLO x.example\n")
		if r, _ := p.reply(); strings.Contains(r, "XCOLOUR") || !strings.HasSuffix(r, "\n250 DSN") {
			t.Errorf("%q", r)
		}
		p.do("XPAINT it", "502 5.5.1 not offered")
		p.do("MAIL FROM:<> XCOLOUR=RED", "555")
	}
	p.startTLS()
	for i := range 100 { // more than are kept
		p.send(fmt.Sprintf("EHLO x%d.example\n", i%50))
		if r, err := p.reply(); !strings.Contains(r, fmt.Sprintf("\n250-XCOLOUR X%d.EXAMPLE\n", i%50)) {
			t.Fatalf("%q, %v", r, err)
		}
		p.do("MAIL FROM:<> XCOLOUR=RED", "250")
		p.send("RCPT TO:<a@example.org>\nBDAT 0 LAST\n")
		p.expect("250", "250")
	}
}

func TestServeTLSClosesItsListener(t *testing.T) {
	for _, s := range []*server.Server{{}, {Handler: new(backend)}} {
		l := new(accepts)
		if err := s.ServeTLS(l); err == nil || !l.closed {
			t.Errorf("%v, closed %t", err, l.closed)
		}
	}
}

func TestBadConfiguration(t *testing.T) {
	handler := new(backend)
	auth := server.Passwords(func(context.Context, string, string) error { return nil })
	for _, tt := range []struct {
		s    *server.Server
		want string
	}{
		{&server.Server{}, "Handler is nil"},
		{&server.Server{Handler: handler, Role: server.Submission}, "Submission needs Auth"},
		{&server.Server{Handler: handler, Role: 9, Auth: auth}, "unknown role"},
		{&server.Server{Handler: handler, RequireTLS: true}, "RequireTLS without TLSConfig"},
		{&server.Server{Handler: handler, Hostname: "not a name"}, "Hostname"},
		{&server.Server{Handler: handler, Hostname: "a\r\nb"}, "Hostname"},
		{&server.Server{Handler: handler, Extensions: []server.Extension{{Keyword: "XUNKNOWN"}}}, "brings no Row"},
		{&server.Server{Handler: handler, Extensions: []server.Extension{server.DSN, server.DSN}}, "given twice"},
		{&server.Server{Handler: handler, Extensions: []server.Extension{{Verbs: map[smtp.Verb]server.VerbFunc{"X": nil}}}}, `"": EHLO cannot`},
		{&server.Server{Handler: handler, Extensions: []server.Extension{{Keyword: "X", Verbs: map[smtp.Verb]server.VerbFunc{"MAIL": nil}}}}, "taken"},
		{&server.Server{Handler: handler, Extensions: []server.Extension{{Keyword: "X Y", Verbs: map[smtp.Verb]server.VerbFunc{"X": nil}}}}, "EHLO cannot"},
		{&server.Server{Handler: handler, Extensions: []server.Extension{{Keyword: "xcolour", Row: colours().Row}}}, "EHLO cannot"},
		{&server.Server{Handler: handler, Extensions: []server.Extension{{Row: colours().Row, Param: "a\r\n250 b"}}}, "EHLO cannot"},
		{&server.Server{Handler: handler, Extensions: []server.Extension{{Keyword: "X\r\nY", Row: &smtp.Extension{Keyword: "X\r\nY"}}}}, "EHLO cannot"},
	} {
		for _, serve := range []func() error{
			func() error { return tt.s.Serve(memnet.Listen()) },
			func() error { return tt.s.ServeTLS(memnet.Listen()) },
			func() error { return tt.s.ListenAndServe("127.0.0.1:0") },
			func() error { return tt.s.ListenAndServeTLS("127.0.0.1:0") },
		} {
			if err := serve(); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		}
	}
}

// What Offer returns must not break out of its line of the EHLO reply. The offer
// is left out, and with it what it would allow.
func TestOfferWithALineEnd(t *testing.T) {
	for _, param := range []string{"a\r\nSTARTTLS", "a\nb", "a\rb", "\n"} {
		s := start(t, func(s *testServer) {
			x := colours()
			x.Offer = func(*server.Conn) (string, bool) { return param, true }
			s.Extensions = []server.Extension{x, server.DSN}
		})
		p := s.dial()
		p.expect("220")
		p.send("EHLO x.example\n")
		if r, _ := p.reply(); strings.Contains(r, "XCOLOUR") || strings.Contains(r, "STARTTLS") || !strings.HasSuffix(r, "\n250 DSN") {
			t.Errorf("%q: %q", param, r)
		}
		p.do("MAIL FROM:<> XCOLOUR=RED", "555 5.5.4")
		p.do("XPAINT it", "502 5.5.1")
	}
}
