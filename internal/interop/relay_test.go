//go:build interop

package interop

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/postrider/postrider/auth/authres"
	"github.com/postrider/postrider/internal/pgtest"
	"github.com/postrider/postrider/smtp"
	"github.com/postrider/postrider/smtp/dsn"
)

// relays are two of them: the first takes what sender@example.org submits and signs
// it, the second is the mail exchanger of example.net and verifies. The mailboxes
// of both are Dovecot's.
type relays struct {
	certs         certificates
	key           signingKey
	tools         *root
	boxes         *dovecot
	dns           string
	first, second *relay
}

func startRelays(t *testing.T) *relays {
	t.Helper()
	_, key := newSigningKeys(t)
	w := &relays{certs: newCertificates(t), key: key, tools: newRoot(t, "tools")}
	w.tools.write(t, caPath, w.certs.ca, 0o644)
	w.dns = serveZone(t, relayZone(t, key))
	w.boxes = startDovecot(t, w.certs, dovecotOptions{more: "mail_utf8_extensions = yes\n"})
	at := freePort(t)
	// The first finds the second by the DNS, at an address of loopback.
	w.first = w.sender(t, "-insecure-local", "-port", fmt.Sprint(at))
	w.second = w.receiver(t, relayOptions{mx: at, more: []string{"-lmtp", address(w.boxes.lmtp), "-smarthost", address(w.first.mx)}})
	return w
}

// sender starts a relay like the first.
func (w *relays) sender(t *testing.T, more ...string) *relay {
	t.Helper()
	return startRelay(t, w.certs, relayOptions{root: newRoot(t, "tools"), hostname: "mx.example.org", domains: signingDomain,
		users: []string{author}, resolver: w.dns, key: &w.key, more: append(more, "-lmtp", address(w.boxes.lmtp))})
}

// receiver starts a relay like the second.
func (w *relays) receiver(t *testing.T, o relayOptions) *relay {
	t.Helper()
	if o.root == nil {
		o.root = newRoot(t, "tools")
	}
	o.hostname, o.domains, o.users, o.resolver = "mx.example.net", mailDomain+","+relayDomain, []string{one, two, "one@" + relayDomain}, w.dns
	return startRelay(t, w.certs, o)
}

// forged is what a sender writes in the name of the second relay, and, to be left
// alone, in that of another host.
const (
	forged  = "Authentication-Results: mx.example.net; dmarc=pass header.from=bank.example\r\n"
	another = "Authentication-Results: other.example; dkim=pass header.d=bank.example\r\n"
)

func TestRelay(t *testing.T) {
	w := startRelays(t)
	t.Run("lmtp", w.lmtp)
	t.Run("maildir", w.maildir)
	t.Run("two domains", w.twoDomains)
	t.Run("unknown recipient", w.unknown)
	t.Run("success", w.success)
	t.Run("utf8", w.utf8)
	t.Run("smarthost", w.smarthost)
	t.Run("postgres", w.postgres)
	t.Run("store down", w.storeDown)
}

// A message is signed by the first relay, verified by the second, and is in the
// mailbox as it was written, under the trace of its way.
func (w *relays) lmtp(t *testing.T) {
	msg := message("by lmtp")
	w.first.submit(t, w.tools, author, slices.Concat([]byte(forged+another), msg), one)
	got := w.boxes.arrives(t, one, "by lmtp")
	w.check(t, got, msg, "Return-Path", "Delivered-To", "Received") // Dovecot's
	if from := values(headerFields(got), "Received")[0]; !strings.Contains(from, " by mx.example.net with LMTP") {
		t.Errorf("the last hop: %s", from)
	}
	w.first.empty(t)
	w.second.empty(t)
}

// The same where the second relay writes into maildirs, which Dovecot reads.
func (w *relays) maildir(t *testing.T) {
	boxes := startDovecot(t, w.certs, dovecotOptions{more: "mail_path = /var/mail/%{user | domain}/%{user | username}\n"})
	second := w.receiver(t, relayOptions{root: boxes.root, uid: vmail, more: []string{"-maildir", "/var/mail"}})
	first := w.sender(t, "-smarthost", address(second.mx))
	msg := message("by maildir")
	first.submit(t, w.tools, author, slices.Concat([]byte(forged+another), msg), one)
	w.check(t, boxes.arrives(t, one, "by maildir"), msg, "Return-Path", "Delivered-To")
}

// check is for a message from the author that has gone through both relays; top
// are the fields on top of theirs.
func (w *relays) check(t *testing.T, got, sent []byte, top ...string) {
	t.Helper()
	sameBytes(t, original(t, got), sent)
	fields := headerFields(got)
	want := append(top, "Received", "Authentication-Results", "Received", "DKIM-Signature")
	for i, name := range want {
		if len(fields) <= i || fields[i].name != name {
			t.Fatalf("field %d is not %s:\n%.3000s", i+1, name, got)
		}
	}
	if values(fields, "Return-Path")[0] != "<"+author+">" {
		t.Errorf("Return-Path: %s", values(fields, "Return-Path"))
	}
	if ids := values(fields, "Message-ID"); len(ids) != 1 {
		t.Errorf("Message-ID: %q", ids)
	}
	received := values(fields, "Received")
	for i, words := range [][]string{ // the last hop's first (RFC 5321 §4.4)
		{"from mx.example.org ", "([127.0.0.1])", " by mx.example.net ", " with ESMTPS "},
		{"from swaks.example.org ", "([127.0.0.1])", " by mx.example.org ", " with ESMTPSA "},
	} {
		field := received[len(received)-2+i]
		for _, word := range words {
			if !strings.Contains(field, word) {
				t.Errorf("%q is not in Received: %s", word, field)
			}
		}
	}
	if all := values(fields, "Authentication-Results"); len(all) != 2 || all[1] != strings.TrimSpace(strings.TrimPrefix(another, "Authentication-Results:")) {
		t.Errorf("Authentication-Results: %q", all)
	}
	w.authenticated(t, values(fields, "Authentication-Results")[0])
	r := newAuthRoot(t, w.key)
	if py := dkimpy(t, r, []pyTask{{Do: "verify", Message: got, Signatures: 1}}); !slices.Equal(py[0].Verdicts, []string{"pass"}) {
		t.Errorf("dkimpy says %+v", py)
	}
}

// authenticated checks the field that the second relay has written.
func (w *relays) authenticated(t *testing.T, value string) {
	t.Helper()
	f, err := authres.Parse(value)
	if err != nil || f.AuthServID != "mx.example.net" {
		t.Fatalf("%+v, %v", f, err)
	}
	verdicts := map[string]string{}
	for _, r := range f.Results {
		for _, p := range r.Properties {
			verdicts[r.Method+" "+p.Type+"."+p.Name+"="+p.Value] = string(r.Verdict)
		}
	}
	for _, what := range []string{"dkim header.d=example.org", "spf smtp.mailfrom=" + author, "dmarc header.from=example.org"} {
		if verdicts[what] != string(authres.Pass) {
			t.Errorf("%s has %q in %s", what, verdicts[what], value)
		}
	}
}

// A message for a mailbox elsewhere and one here goes to both.
func (w *relays) twoDomains(t *testing.T) {
	msg := message("two domains")
	w.first.submit(t, w.tools, author, msg, one, author, two)
	for _, user := range []string{one, two, author} {
		got := w.boxes.arrives(t, user, "two domains")
		sameBytes(t, original(t, got), msg)
		if hops := len(values(headerFields(got), "Received")); hops != map[string]int{one: 3, two: 3, author: 2}[user] {
			t.Errorf("%s: %d hops", user, hops)
		}
		if n := len(values(headerFields(got), "DKIM-Signature")); n != 1 {
			t.Errorf("%s: %d signatures", user, n)
		}
	}
}

// Who is refused by the second relay is reported by the first, as we and Python
// read it.
func (w *relays) unknown(t *testing.T) {
	w.first.submit(t, w.tools, author, message("nobody"), "nobody@"+mailDomain, one)
	w.boxes.arrives(t, one, "nobody") // is not harmed
	got := w.boxes.awaits(t, author, "<nobody@example.org>")
	r := w.report(t, got, "mx.example.org")
	to := r.Recipients[0]
	reply, _ := to.Diagnostic.Reply()
	if to.Action != dsn.Failed || to.Status.String() != "5.1.1" || to.Final.Text != "nobody@"+mailDomain ||
		to.RemoteMTA.Host() != "mx.example.net" || reply.Code != 550 || r.MessageID() != "<nobody@example.org>" {
		t.Errorf("%+v\n%s", r, got)
	}
	if paths := values(headerFields(got), "Return-Path"); !slices.Equal(paths, []string{"<>"}) {
		t.Errorf("Return-Path: %q", paths)
	}
	res := w.first.queue(t, "outcomes")
	if !strings.Contains(res, "nobody@"+mailDomain) || !strings.Contains(res, "550 5.1.1") {
		t.Errorf("outcomes:\n%s", res)
	}
}

// report reads a notification about one recipient.
func (w *relays) report(t *testing.T, data []byte, from string) *dsn.Report {
	t.Helper()
	r, err := dsn.Parse(bytes.NewReader(data))
	if err != nil || len(r.Recipients) != 1 || r.ReportingMTA.Host() != from {
		t.Fatalf("%+v, %v in\n%s", r, err, data)
	}
	py := pythonReads(t, w.tools, data)
	to := r.Recipients[0]
	if len(py.Defects) > 0 || py.ReportType != "delivery-status" || len(py.Groups) != 2 || py.Groups[0]["Reporting-MTA"] != "dns; "+from ||
		py.Groups[1]["Action"] != to.Action.String() || py.Groups[1]["Status"] != to.Status.String() ||
		py.Groups[1]["Final-Recipient"] != "rfc822; "+to.Final.Text {
		t.Errorf("Python found %+v in\n%s", py, data)
	}
	return r
}

// Who asks for it is told by the last relay that his message is in the mailbox.
func (w *relays) success(t *testing.T) {
	msg := plainMessage("tell me")
	argv, _ := smtplib(t, w.tools, submission{port: w.first.submission, tls: "starttls", mech: "PLAIN", user: author, password: password,
		from: author, to: []string{one}, message: msg})
	argv = append(argv, "--mail-option=RET=HDRS", "--mail-option=ENVID=QQ+2B314159",
		"--rcpt-option=NOTIFY=SUCCESS", "--rcpt-option=ORCPT=rfc822;first@example.net")
	if res := run(t, w.tools, nil, argv...); res.code != 0 {
		t.Fatal(res)
	}
	w.boxes.arrives(t, one, "tell me")
	got := w.boxes.awaits(t, author, "<tell-me@example.org>")
	r := w.report(t, got, "mx.example.net")
	to := r.Recipients[0]
	if to.Action != dsn.Delivered || to.Status.Class != 2 || to.Final.Text != one || r.EnvelopeID != "QQ+314159" ||
		to.Original != (dsn.Typed{Type: "rfc822", Text: "first@example.net"}) || r.Returned != smtp.RetHeaders {
		t.Errorf("%+v\n%s", r, got)
	}
}

// Where all hosts know SMTPUTF8 a message with UTF-8 in its header and its
// reverse-path arrives as it is.
func (w *relays) utf8(t *testing.T) {
	msg := bytes.Replace(plainMessage("grüße"), []byte("Sender <"), []byte("Sündér <"), 1)
	argv, _ := smtplib(t, w.tools, submission{port: w.first.submission, tls: "starttls", mech: "PLAIN", user: author, password: password,
		from: author, to: []string{one}, message: msg})
	if res := run(t, w.tools, nil, append(argv, "--mail-option=SMTPUTF8")...); res.code != 0 {
		t.Fatal(res)
	}
	got := w.boxes.arrives(t, one, "grüße")
	sameBytes(t, original(t, got), msg)
	w.authenticated(t, values(headerFields(got), "Authentication-Results")[0])
	for i, protocol := range []string{"", "UTF8SMTPS", "UTF8SMTPSA"} { // RFC 6531 §4.3
		if field := values(headerFields(got), "Received")[i]; !strings.Contains(field, " with "+protocol) {
			t.Errorf("%s is not in Received: %s", protocol, field)
		}
	}
}

// Everything goes to a Postfix that takes it on to the second relay, and the
// signature survives.
func (w *relays) smarthost(t *testing.T) {
	s := startPostfixWith(t, w.certs, relayTo(relayDomain, "smtp:[127.0.0.1]:"+fmt.Sprint(w.second.mx)), "")
	first := w.sender(t, "-smarthost", address(s.plain))
	msg := message("smarthost")
	first.submit(t, w.tools, author, msg, "one@"+relayDomain)
	got := w.boxes.arrives(t, "one@"+relayDomain, "smarthost")
	sameBytes(t, original(t, got), msg)
	w.authenticated(t, values(headerFields(got), "Authentication-Results")[0])
	received := values(headerFields(got), "Received")
	if len(received) != 4 || !strings.Contains(received[2], "(Postfix)") {
		t.Errorf("Received: %q", received)
	}
}

// The queue of the second relay is in PostgreSQL.
func (w *relays) postgres(t *testing.T) {
	db := pgtest.Start(t)
	second := w.receiver(t, relayOptions{db: db.DSN(), more: []string{"-lmtp", address(w.boxes.lmtp)}})
	first := w.sender(t, "-smarthost", address(second.mx))
	msg := message("postgres")
	first.submit(t, w.tools, author, msg, one)
	sameBytes(t, original(t, w.boxes.arrives(t, one, "postgres")), msg)
	second.empty(t)
	if res := second.queue(t, "outcomes"); !strings.Contains(res, one) {
		t.Errorf("outcomes:\n%s", res)
	}
}

// While the mail store is down the second relay keeps what it has accepted, and
// when it is up again an operator need not wait.
func (w *relays) storeDown(t *testing.T) {
	w.boxes.stop()
	msg := message("store down")
	w.first.submit(t, w.tools, author, msg, one)
	w.second.eventually(t, "a deferred message", func() bool { return strings.Contains(w.second.queue(t, "list"), one) })
	w.first.empty(t)
	w.boxes.run(t)
	w.second.queue(t, "retry", "-to", one)
	sameBytes(t, original(t, w.boxes.arrives(t, one, "store down")), msg)
	w.second.empty(t)
}
