//go:build interop

package interop

import (
	"bytes"
	"testing"
	"time"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

const relayDomain = "relay.example"

// Postfix reads the parameters of RFC 3461 that our client sends, writes them
// anew for the next hop, and our server there reads what the client was given:
// both agree with Postfix on xtext.
func TestDSNThroughPostfix(t *testing.T) {
	k := keep(t, &keeper{Server: server.Server{Extensions: []server.Extension{server.DSN, server.SMTPUTF8}}}, listenTCP(t))
	certs := newCertificates(t)
	s := startPostfixWith(t, certs, relayTo(relayDomain, "smtp:[127.0.0.1]:"+port(k.addr)), "")
	c := &client.Client{Addr: address(s.plain), TLSConfig: certs.client(t), Timeouts: client.EveryTimeout(30 * time.Second)}
	defer c.Close()
	for _, test := range []struct {
		name string
		mail smtp.MailParams
		rcpt []smtp.RcptParams
	}{
		{"success", smtp.MailParams{Ret: smtp.RetHeaders, EnvID: "QQ314159"},
			[]smtp.RcptParams{{Notify: smtp.NotifySuccess | smtp.NotifyFailure,
				ORcpt: smtp.ORcpt{Type: "rfc822", Address: "Bob@example.com"}}}},
		{"never", smtp.MailParams{Ret: smtp.RetFull, EnvID: "never"},
			[]smtp.RcptParams{{Notify: smtp.NotifyNever, ORcpt: smtp.ORcpt{Type: "x400", Address: "/C=de/A= /P=x/"}}}},
		{"all", smtp.MailParams{EnvID: "all"},
			[]smtp.RcptParams{{Notify: smtp.NotifySuccess | smtp.NotifyFailure | smtp.NotifyDelay}}},
		{"xtext", smtp.MailParams{Ret: smtp.RetFull, EnvID: `a+b=c d"e\f<g>~`},
			[]smtp.RcptParams{{Notify: smtp.NotifyDelay,
				ORcpt: smtp.ORcpt{Type: "rfc822", Address: `"a+b=c d\"e"+2B=@example.com`}}}},
		{"each-its-own", smtp.MailParams{EnvID: "each"},
			[]smtp.RcptParams{
				{Notify: smtp.NotifyNever, ORcpt: smtp.ORcpt{Type: "rfc822", Address: "first@example.com"}},
				{Notify: smtp.NotifyDelay, ORcpt: smtp.ORcpt{Type: "rfc822", Address: "second@example.com"}},
				{Notify: smtp.NotifyFailure, ORcpt: smtp.ORcpt{Type: "rfc822", Address: "third@example.com"}},
			}},
	} {
		t.Run(test.name, func(t *testing.T) {
			subject := "dsn " + test.name
			env := newEnvelope(t)
			env.MailParams = test.mail
			for i, p := range test.rcpt {
				to, err := smtp.ParseForwardPath("<" + string(rune('a'+i)) + "@" + relayDomain + ">")
				if err != nil {
					t.Fatal(err)
				}
				env.Recipients = append(env.Recipients, smtp.Recipient{To: to, RcptParams: p})
			}
			if res, err := c.Send(t.Context(), env, smtp.BytesContent(plainMessage(subject))); err != nil || res.Delivered() != len(test.rcpt) {
				t.Fatalf("%+v, %v", res, err)
			}
			got := k.message(t, subject)
			if got.MailParams.Ret != test.mail.Ret || got.MailParams.EnvID != test.mail.EnvID {
				t.Errorf("RET=%s ENVID=%s, want %+v", got.MailParams.Ret, got.MailParams.EnvID, test.mail)
			}
			came := map[string]smtp.RcptParams{} // Postfix may change the order
			for _, r := range got.Recipients {
				came[r.To.Local] = r.RcptParams
			}
			for _, want := range env.Recipients {
				if p := came[want.To.Local]; p.Notify != want.RcptParams.Notify || !want.RcptParams.ORcpt.IsZero() && p.ORcpt != want.RcptParams.ORcpt {
					t.Errorf("%s: %+v, want %+v", want.To, p, want.RcptParams)
				}
			}
		})
	}
}

// What Postfix writes in its report of success is what our client asked for.
func TestDSNReportFromPostfix(t *testing.T) {
	certs := newCertificates(t)
	s := startPostfix(t, certs)
	c := &client.Client{Addr: address(s.plain), TLSConfig: certs.client(t), Timeouts: client.EveryTimeout(30 * time.Second)}
	defer c.Close()
	env, err := smtp.NewEnvelope(two, one)
	if err != nil {
		t.Fatal(err)
	}
	env.MailParams.EnvID = "id with + and ="
	env.MailParams.Ret = smtp.RetHeaders
	env.Recipients[0].RcptParams = smtp.RcptParams{Notify: smtp.NotifySuccess,
		ORcpt: smtp.ORcpt{Type: "rfc822", Address: "first+name=one@example.com"}}
	msg := plainMessage("report")
	if _, err := c.Send(t.Context(), env, smtp.BytesContent(msg)); err != nil {
		t.Fatal(err)
	}
	report := s.delivered(t, "two", "Successful Mail Delivery Report")
	for _, want := range []string{
		"\nOriginal-Envelope-Id: id with + and =\n",
		"\nOriginal-Recipient: rfc822;first+name=one@example.com\n",
		"\nFinal-Recipient: rfc822; " + one + "\n",
		"\nAction: delivered\n",
		"\nSubject: report\n",
	} {
		if !bytes.Contains(report, []byte(want)) {
			t.Errorf("no %q in\n%s", want, report)
		}
	}
	if bytes.Contains(report, []byte("Another.")) {
		t.Error("the body came back, although RET=HDRS")
	}
}
