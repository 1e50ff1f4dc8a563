package dsn_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/server/smtptest"
	"github.com/postrider/postrider/smtp"
	"github.com/postrider/postrider/smtp/dsn"
)

var accepted = time.Date(2026, 2, 3, 10, 11, 12, 0, time.UTC)

// A relay passes a message on, one of its recipients is refused, and the sender
// hears of it.
func ExampleComposer() {
	ctx := context.Background()
	next, origin := smtptest.NewUnstartedServer(), smtptest.NewUnstartedServer()
	for _, s := range []*smtptest.Server{next, origin} {
		smtptest.NoTLS(s)
		s.Config.Extensions = append(s.Config.Extensions, server.DSN)
		if err := s.Start(); err != nil {
			fmt.Println(err)
			return
		}
		defer s.Close()
	}
	next.Fault(smtptest.On("RCPT").For("bob@example.net").Reply(550, "5.1.1", "no such user"))

	// What the relay has stored.
	env, err := smtp.NewEnvelope("alice@example.org", "bob@example.net", "carol@example.net")
	if err != nil {
		fmt.Println(err)
		return
	}
	env.MailParams.EnvID = "QQ314159"
	env.Recipients[0].RcptParams.ORcpt = smtp.ORcpt{Type: "rfc822", Address: "Bob@example.org"}
	content := smtp.BytesContent([]byte("Message-ID: <1@example.org>\r\nSubject: Lunch\r\n\r\nAt noon?\r\n"))

	relay := &client.Client{Addr: next.Addr, TLSMode: client.Plaintext}
	defer relay.Close()
	res, err := relay.Send(ctx, env, content)
	if err != nil {
		fmt.Println(err)
		return
	}

	// What it makes of the results.
	var report []dsn.Recipient
	for i, r := range res.Recipients {
		to := dsn.NewRecipient(env.Recipients[i])
		if !r.Delivered() {
			to.Action = dsn.Failed
			to.RemoteMTA = dsn.DNS("mx.example.net")
			to.Diagnostic = dsn.Diagnostic(r.Reply)
			to.LastAttempt = accepted.Add(time.Second)
		}
		report = append(report, to)
	}
	c := &dsn.Composer{Hostname: "relay.example.org"}
	n, err := c.Compose(&dsn.Message{Envelope: env, Content: content, Arrival: accepted}, report...)
	if errors.Is(err, dsn.ErrUnwanted) {
		return // nobody wants to know
	}
	if err != nil {
		fmt.Println(err)
		return
	}

	back := &client.Client{Addr: origin.Addr, TLSMode: client.Plaintext}
	defer back.Close()
	if _, err := back.Send(ctx, n.Envelope, n.Content); err != nil {
		fmt.Println(err)
		return
	}

	// What the sender has.
	m := origin.Messages()[0]
	fmt.Printf("from <%s> to %v: %s\n", m.From(), m.To(), m.Header("Subject"))
	got, err := dsn.Parse(strings.NewReader(string(m.Data)))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range got.Recipients {
		fmt.Println(got.EnvelopeID, got.MessageID(), r.Original, r.Action, r.Status, r.Diagnostic)
	}
	// Output:
	// from <> to [alice@example.org]: Your message could not be delivered
	// QQ314159 <1@example.org> rfc822; Bob@example.org failed 5.1.1 smtp; 550 5.1.1 no such user
}

func ExampleMessage() {
	env, _ := smtp.NewEnvelope("", "postmaster@example.net")
	m := &dsn.Message{
		Envelope:     env, // with the null reverse-path: perhaps a notification itself
		Content:      smtp.BytesContent([]byte("Subject: undeliverable\r\n\r\n")),
		ReceivedFrom: dsn.Peer("client.example.org", netip.MustParseAddr("192.0.2.1")),
		Arrival:      accepted,
	}
	r := dsn.NewRecipient(env.Recipients[0])
	r.Action = dsn.Failed
	_, err := new(dsn.Composer).Compose(m, r)
	fmt.Println(err)
	// Output: dsn: no notification is wanted
}

func ExampleNotification() {
	env, _ := smtp.NewEnvelope("alice@example.org", "bob@example.net")
	env.MailParams.RequireTLS = true
	env.Recipients[0].RcptParams.Notify = smtp.NotifySuccess
	r := dsn.NewRecipient(env.Recipients[0])
	r.Action = dsn.Relayed
	n, err := new(dsn.Composer).Compose(&dsn.Message{Envelope: env}, r)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(n.Envelope.From, n.Envelope.Recipients[0].To, n.Envelope.MailParams.RequireTLS)
	body, err := n.Content.Open()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer body.Close()
	size, err := io.Copy(io.Discard, body)
	fmt.Println(size == n.Content.Size, err)
	// Output:
	// <> <alice@example.org> true
	// true <nil>
}

const bounce = `From: MAILER-DAEMON@mx.example.net
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b

Sorry.

--b
Content-Type: message/delivery-status

Original-Envelope-Id: QQ314159
Reporting-MTA: dns; mx.example.net

Final-Recipient: rfc822; bob@example.net
Action: failed
Status: 5.2.2
Remote-MTA: dns; store.example.net (192.0.2.7)
Diagnostic-Code: smtp; 552-5.2.2 The mailbox is full.
 552 5.2.2 Try again next week.
X-Quota: 1000

--b
Content-Type: text/rfc822-headers

Message-ID: <1@example.org>
Subject: Lunch

--b--
`

func ExampleParse() {
	r, err := dsn.Parse(strings.NewReader(bounce))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, to := range r.Recipients {
		fmt.Println(to.Final.Text, to.Action, to.Status)
	}
	_, err = dsn.Parse(strings.NewReader("Subject: Lunch\n\nAt noon?\n"))
	fmt.Println(err)
	// Output:
	// bob@example.net failed 5.2.2
	// dsn: not a delivery status notification
}

func ExampleReport() {
	r, err := dsn.Parse(strings.NewReader(bounce))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(r.EnvelopeID, "of", r.ReportingMTA.Host())
	fmt.Println(r.MessageID(), r.Get("subject"), r.Returned)
	// Output:
	// QQ314159 of mx.example.net
	// <1@example.org> Lunch HDRS
}

func ExampleRecipient() {
	r, err := dsn.Parse(strings.NewReader(bounce))
	if err != nil {
		fmt.Println(err)
		return
	}
	to := r.Recipients[0]
	addr, ok := to.Final.Mailbox()
	fmt.Println(addr, ok)
	reply, ok := to.Diagnostic.Reply()
	fmt.Println(to.RemoteMTA.Host(), "said", reply, ok)
	if to.Action == dsn.Failed && to.Status.Class == 5 && to.Status.Code == smtp.Enh(2, 2) {
		fmt.Println("full")
	}
	// Output:
	// bob@example.net true
	// store.example.net said 552 5.2.2 The mailbox is full. / Try again next week. true
	// full
}

func ExampleField() {
	r, err := dsn.Parse(strings.NewReader(bounce))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range r.Recipients[0].Fields {
		fmt.Println(f.Name, f.Value)
	}
	// Output: X-Quota 1000
}

func ExampleTyped() {
	fmt.Println(dsn.Address(smtp.Mailbox{Local: "bob", Domain: "example.net"}))
	fmt.Println(dsn.Address(smtp.Mailbox{Local: "jörg", Domain: "example.net"}))
	fmt.Println(dsn.Peer("mail.example.net", netip.MustParseAddr("2001:db8::1")))
	fmt.Println(dsn.Diagnostic(smtp.Reply{Code: 550, Enhanced: smtp.Enh(1, 1), Text: "no such user"}))
	fmt.Println(dsn.Typed{Type: "x-unix", Text: "exit 75"})
	// Output:
	// rfc822; bob@example.net
	// utf-8; jörg@example.net
	// dns; mail.example.net (2001:db8::1)
	// smtp; 550 5.1.1 no such user
	// x-unix; exit 75
}

func ExampleStatus() {
	fmt.Println(dsn.StatusOf(smtp.Reply{Code: 450, Enhanced: smtp.Enh(2, 1)}))
	fmt.Println(dsn.StatusOf(smtp.Reply{Code: 550, Text: "no"}))
	s, ok := dsn.ParseStatus("4.4.7 (given up)")
	fmt.Println(s, ok, s.Class)
	// Output:
	// 4.2.1
	// 5.0.0
	// 4.4.7 true 4
}

// The sender hears of the actions that NOTIFY asks for, and of failures unless it
// says otherwise.
func ExampleAction() {
	env, _ := smtp.NewEnvelope("alice@example.org", "bob@example.net")
	m := &dsn.Message{Envelope: env}
	for _, notify := range []smtp.Notify{0, smtp.NotifyNever, smtp.NotifySuccess | smtp.NotifyDelay} {
		var heard []dsn.Action
		for action := dsn.Failed; action <= dsn.Expanded; action++ {
			if new(dsn.Composer).Wanted(m, &dsn.Recipient{Action: action, Notify: notify}) {
				heard = append(heard, action)
			}
		}
		fmt.Printf("NOTIFY=%v: %v\n", notify, heard)
	}
	// Output:
	// NOTIFY=: [failed]
	// NOTIFY=NEVER: []
	// NOTIFY=SUCCESS,DELAY: [delayed delivered relayed expanded]
}

// A part for people in another language, above the English one.
func ExampleText() {
	c := &dsn.Composer{Text: func(r *dsn.Report) dsn.Text {
		english := dsn.English(r)
		var b strings.Builder
		b.WriteString("Ihre Nachricht kam nicht an:\n")
		for _, to := range r.Recipients {
			fmt.Fprintf(&b, "    <%s>\n", to.Final.Text)
		}
		return dsn.Text{Subject: "Nicht zugestellt / " + english.Subject, Body: b.String() + "\n" + english.Body}
	}}
	env, _ := smtp.NewEnvelope("alice@example.org", "bob@example.net")
	r := dsn.NewRecipient(env.Recipients[0])
	r.Action = dsn.Failed
	n, err := c.Compose(&dsn.Message{Envelope: env}, r)
	if err != nil {
		fmt.Println(err)
		return
	}
	text := c.Text(&n.Report)
	fmt.Println(text.Subject)
	fmt.Println(strings.SplitAfterN(text.Body, "\n", 3)[1])
	// Output:
	// Nicht zugestellt / Your message could not be delivered
	//     <bob@example.net>
}
