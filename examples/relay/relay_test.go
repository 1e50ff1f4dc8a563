package main

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/auth/authres"
	"github.com/postrider/postrider/auth/dkim"
	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/mx/dns/dnstest"
	"github.com/postrider/postrider/mx/mxtest"
	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/server/smtptest"
	"github.com/postrider/postrider/smtp/dsn"
)

// A user submits, the smarthost gets what he has sent with a signature that
// verifies, and nobody else gets anything through.
func TestSubmission(t *testing.T) {
	key, err := dkim.GenerateKey(dkim.Ed25519, 0)
	if err != nil {
		t.Fatal(err)
	}
	pem, err := dkim.MarshalPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	keyFile := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(keyFile, pem, 0o600); err != nil {
		t.Fatal(err)
	}
	smarthost := smtptest.NewServer(t)
	p := start(t, "-submission", "127.0.0.1:0", "-submissions", "127.0.0.1:0", "-users", usersFile(t), "-domains", "example.org", "-lmtp", deadAddr(t),
		"-smarthost", smarthost.Addr, "-dkim-key", keyFile, "-dkim-selector", "s2026")
	insecure := &tls.Config{InsecureSkipVerify: true} // the certificate is one that nobody vouches for
	for name, mode := range map[string]client.TLSMode{"submission": client.StartTLSRequired, "submissions": client.ImplicitTLS} {
		smarthost.Reset()
		c := &client.Client{Addr: p.addrs[name], TLSMode: mode, TLSConfig: insecure, Auth: client.PasswordAuth("alice@example.org", "secret")}
		defer c.Close()
		forged := "Authentication-Results: mx.example.org; dkim=pass\r\n"
		if _, err := send(t, c, forged+text, "alice@example.org", "b@example.net", "c@example.com"); err != nil {
			t.Fatal(name, err)
		}
		got := wait(t, smarthost, 1)
		if len(got) != 1 || len(got[0].To()) != 2 || got[0].From() != "alice@example.org" || !got[0].TLS {
			t.Fatalf("%s: %+v", name, got)
		}
		data := string(got[0].Data)
		if !strings.HasPrefix(data, "Received: from client.example.com ") || !strings.HasSuffix(data, "\r\n\r\nHello.\r\n") ||
			got[0].Header("Date") == "" || got[0].Header("Message-ID") == "" || strings.Contains(data, "dkim=pass") {
			t.Errorf("%s:\n%s", name, data)
		}
		record, err := dkim.Record(key)
		if err != nil {
			t.Fatal(err)
		}
		zone := dnstest.MustParse("s2026._domainkey.example.org. TXT " + dnstest.Quote(record))
		results, err := (&dkim.Verifier{Resolver: zone}).Verify(t.Context(), strings.NewReader(data))
		if err != nil || len(results) != 1 || results[0].Verdict != authres.Pass || results[0].Domain != "example.org" {
			t.Errorf("%s: %+v, %v\n%s", name, results, err, data)
		}

		if _, err := send(t, c, text, "bob@example.org", "b@example.net"); !strings.Contains(errText(err), "550 5.7.1") {
			t.Errorf("%s: sent as somebody else: %v", name, err)
		}
		if _, err := send(t, c, strings.Replace(text, "alice@", "bob@", 1), "alice@example.org", "b@example.net"); !strings.Contains(errText(err), "550 5.7.1") {
			t.Errorf("%s: written as somebody else: %v", name, err)
		}
		if _, err := send(t, c, text, "alice@example.org", "nobody@example.org"); !strings.Contains(errText(err), "550 5.1.1") {
			t.Errorf("%s: sent to nobody: %v", name, err)
		}
		anonymous := &client.Client{Addr: p.addrs[name], TLSMode: mode, TLSConfig: insecure}
		defer anonymous.Close()
		if _, err := send(t, anonymous, text, "alice@example.org", "b@example.net"); !strings.Contains(errText(err), "530 5.7.0") {
			t.Errorf("%s: sent without AUTH: %v", name, err)
		}
		wrong := &client.Client{Addr: p.addrs[name], TLSMode: mode, TLSConfig: insecure, Auth: client.PasswordAuth("alice@example.org", "Secret")}
		defer wrong.Close()
		if _, err := send(t, wrong, text, "alice@example.org", "b@example.net"); !strings.Contains(errText(err), "535 5.7.8") {
			t.Errorf("%s: sent with another password: %v", name, err)
		}
		if n := len(smarthost.Messages()); n != 1 {
			t.Errorf("%s: %d messages got through", name, n)
		}
	}
}

func errText(err error) string {
	if err == nil {
		return "no error"
	}
	return err.Error()
}

// What comes from the world is verified, and goes to users that there are.
func TestMX(t *testing.T) {
	inet := mxtest.New(t, mxtest.Loopback)
	inet.Records(`
		good.example. TXT "v=spf1 ip4:127.0.0.1 -all"
		_dmarc.good.example. TXT "v=DMARC1; p=reject"
		_dmarc.bad.example. TXT "v=DMARC1; p=reject"
	`)
	store := smtptest.NewServer(t, smtptest.LMTP)
	p := start(t, "-honor-reject", "-listen", "127.0.0.1:0", "-domains", "example.org, Example.NET", "-users", usersFile(t, "bob@example.net"), "-lmtp", store.Addr, "-resolver", inet.DNS().String())
	c := plain(t, p.addrs["mx"])
	forged := "authentication-results: (x) MX.example.org; spf=pass\r\nAuthentication-Results: other.example; spf=fail\r\n"
	mail := forged + strings.Replace(text, "alice@example.org", "me@good.example", 1)
	if _, err := send(t, c, mail, "me@good.example", "Alice@Example.ORG", "bob@example.net", "postmaster"); err != nil {
		t.Fatal(err)
	}
	got := wait(t, store, 1)[0]
	if to := strings.Join(got.To(), " "); to != "Alice@Example.ORG bob@example.net postmaster@example.org" {
		t.Errorf("to %s", to)
	}
	data := string(got.Data)
	fields, rest, _ := strings.Cut(data, "Authentication-Results: other.example;")
	if !strings.HasPrefix(fields, "Received: from client.example.com ") || !strings.Contains(fields, "\r\nAuthentication-Results: mx.example.org;") ||
		!strings.Contains(fields, "spf=pass") || !strings.Contains(fields, "dmarc=pass") || !strings.HasSuffix(rest, "\r\n\r\nHello.\r\n") ||
		strings.Contains(data, "MX.example.org") {
		t.Error(data)
	}
	for _, tt := range []struct{ from, author, to, reply string }{
		{"me@good.example", "me@good.example", "carol@example.org", "550 5.1.1 no such mailbox here"},
		{"me@good.example", "me@good.example", "alice@elsewhere.example", "550 5.7.1 relaying denied"},
		{"alice@example.org", "me@good.example", "alice@elsewhere.example", "550 5.7.1 relaying denied"},
		{"me@good.example", "me@good.example", `"alice@elsewhere.example"@good.example`, "550 5.7.1 relaying denied"},
		{"me@good.example", "boss@bad.example", "alice@example.org", "550 5.7.26 message refused as bad.example asks"},
	} {
		_, err := send(t, c, strings.Replace(text, "alice@example.org", tt.author, 1), tt.from, tt.to)
		if !strings.Contains(errText(err), tt.reply) {
			t.Errorf("%+v: %v", tt, err)
		}
	}
	if _, err := send(t, c, strings.Repeat("Received: x\r\n", 100)+mail, "me@good.example", "alice@example.org"); !strings.Contains(errText(err), "554 5.4.6") {
		t.Errorf("loop: %v", err)
	}
	if n := len(store.Messages()); n != 1 {
		t.Errorf("%d messages got through", n)
	}
}

// A file of users without any is not one of all there could be. Strangers are not
// offered what is for users, and nobody what the queue does not do.
func TestNobody(t *testing.T) {
	users := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(users, []byte("# nobody yet\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	p := start(t, "-listen", "127.0.0.1:0", "-domains", "example.org", "-users", users, "-maildir", dir)
	conn, err := net.Dial("tcp", p.addrs["mx"])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s, err := smtptest.ParseScript(strings.NewReader("S: 220 ...\nC: EHLO me.example\nS: 250-...\nS: 250 ...\n" +
		"C: MAIL FROM:<a@example.com> HOLDFOR=600\nS: 555 ...\nC: MAIL FROM:<a@example.com> MT-PRIORITY=9\nS: 555 ...\n" +
		"C: MAIL FROM:<a@example.com>\nS: 250 ...\nC: RCPT TO:<anybody@example.org>\nS: 550 5.1.1 no such mailbox here\nC: QUIT\nS: 221 ...\n"))
	if err == nil {
		err = s.PlayClient(conn)
	}
	if err != nil {
		t.Error(err)
	}
}

// Without a smarthost mail goes where the DNS says.
func TestWorld(t *testing.T) {
	inet := mxtest.New(t, mxtest.Loopback)
	host := inet.Host("mx.example.net")
	inet.Domain("example.net", mxtest.MX(10, host))
	p := start(t, "-listen", "127.0.0.1:0", "-insecure-local", "-resolver", inet.DNS().String(), "-port", fmt.Sprint(inet.Port))
	if _, err := send(t, plain(t, p.addrs["mx"]), text, "alice@example.org", "b@example.net", "c@EXAMPLE.net"); err != nil {
		t.Fatal(err)
	}
	if got := wait(t, host.Server, 1)[0]; len(got.To()) != 2 || got.Hello != "mx.example.org" {
		t.Errorf("%+v", got)
	}
}

// One mailbox has the message, the sender hears of the other.
func TestBounce(t *testing.T) {
	store, smarthost := smtptest.NewServer(t, smtptest.LMTP), smtptest.NewServer(t)
	store.Fault(smtptest.AfterData().For("full@example.org").Reply(552, "5.2.2", "mailbox full"))
	p := start(t, "-listen", "127.0.0.1:0", "-insecure-local", "-domains", "example.org", "-lmtp", store.Addr, "-smarthost", smarthost.Addr)
	if _, err := send(t, plain(t, p.addrs["mx"]), text, "me@example.com", "alice@example.org", "full@example.org"); err != nil {
		t.Fatal(err)
	}
	bounce := wait(t, smarthost, 1)[0]
	report, err := dsn.Parse(bytes.NewReader(bounce.Data))
	if err != nil || bounce.From() != "" || strings.Join(bounce.To(), " ") != "me@example.com" {
		t.Fatalf("%v: %+v", err, bounce)
	}
	r := report.Recipients[0]
	if len(report.Recipients) != 1 || r.Final.Text != "full@example.org" || r.Action != dsn.Failed || r.Diagnostic.Text != "552 5.2.2 mailbox full" {
		t.Errorf("%+v", report)
	}
	got := map[string]queue.Status{}
	for _, o := range p.outcomes(t, 3) {
		got[o.Recipient.Mailbox.String()] = o.Status
	}
	if got["alice@example.org"] != queue.Delivered || got["full@example.org"] != queue.Failed || got["me@example.com"] != queue.Relayed {
		t.Errorf("%v", got)
	}
}

func TestMaildir(t *testing.T) {
	dir := t.TempDir()
	p := start(t, "-listen", "127.0.0.1:0", "-insecure-local", "-domains", "example.org", "-users", usersFile(t), "-maildir", dir)
	c := plain(t, p.addrs["mx"])
	if _, err := send(t, c, text, "me@example.com", "ALICE@example.org"); err != nil {
		t.Fatal(err)
	}
	id := p.outcomes(t, 1)[0].Message
	names, err := filepath.Glob(filepath.Join(dir, "example.org", "alice", "new", "*."+id.String()+".*"))
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	b, err := os.ReadFile(names[0])
	if s := string(b); err != nil || !strings.HasPrefix(s, "Return-Path: <me@example.com>\nDelivered-To: ALICE@example.org\nReceived: ") || !strings.HasSuffix(s, "\n\nHello.\n") || strings.Contains(s, "\r") {
		t.Errorf("%v\n%s", err, s)
	}
	for _, to := range []string{`"../../x"@example.org`, "bob@example.org"} {
		if _, err := send(t, c, text, "me@example.com", to); !strings.Contains(errText(err), "550 5.1.1") {
			t.Errorf("%s: %v", to, err)
		}
	}
}

// relayQueue runs relay queue beside the relay.
func (p *program) relayQueue(t *testing.T, args ...string) string {
	t.Helper()
	var out, failed bytes.Buffer
	args = append([]string{"queue"}, args...)
	if code := run(t.Context(), append(args, "-db", p.db), nil, &out, &failed); code != 0 {
		t.Fatalf("%q: exit code %d, %s", args, code, &failed)
	}
	return out.String()
}

func TestQueue(t *testing.T) {
	smarthost := smtptest.NewServer(t)
	smarthost.Fault(smtptest.On("MAIL").Reply(451, "4.3.2", "not\nnow"))
	p := start(t, "-listen", "127.0.0.1:0", "-insecure-local", "-smarthost", smarthost.Addr, "-retry", "1h")
	c := plain(t, p.addrs["mx"])
	for _, to := range []string{"keep@example.net", "drop@example.net"} {
		if _, err := send(t, c, text, "alice@example.org", to); err != nil {
			t.Fatal(err)
		}
	}
	if got := p.relayQueue(t, "hold", "-to", "keep@example.net"); got != "hold 1\n" {
		t.Error(got)
	}
	if got := p.relayQueue(t, "delete", "-to", "drop@example.net"); got != "delete 1\n" {
		t.Error(got)
	}
	var item struct {
		ID, State, To, Destination, Reply string
		Attempts                          int
	}
	if got := p.relayQueue(t, "list", "-json"); json.Unmarshal([]byte(got), &item) != nil || item.State != "held" || item.To != "<keep@example.net>" || item.Destination != "SMARTHOST" {
		t.Error(got)
	}
	smarthost.ClearFaults()
	if got := p.relayQueue(t, "release", "-id", item.ID) + p.relayQueue(t, "retry", "-from", "@example.org"); got != "release 1\nretry 1\n" {
		t.Error(got)
	}
	if got := wait(t, smarthost, 1); len(got) != 1 || got[0].To()[0] != "keep@example.net" {
		t.Errorf("%+v", got)
	}
	p.outcomes(t, 2)
	got := p.relayQueue(t, "outcomes")
	if lines := strings.Split(got, "\n"); len(lines) != 4 || !strings.HasPrefix(lines[0], "ID ") ||
		!strings.Contains(got, " deleted ") || !strings.Contains(got, " relayed ") {
		t.Error(got)
	}
}

// What is full says so to MAIL, and takes mail again when it is no longer.
func TestFull(t *testing.T) {
	smarthost := smtptest.NewServer(t)
	smarthost.Fault(smtptest.On("MAIL").Reply(451, "4.3.2", "not now"))
	p := start(t, "-listen", "127.0.0.1:0", "-insecure-local", "-smarthost", smarthost.Addr, "-retry", "1h", "-max-messages", "1")
	c := plain(t, p.addrs["mx"])
	if _, err := send(t, c, text, "alice@example.org", "b@example.net"); err != nil {
		t.Fatal(err)
	}
	if _, err := send(t, c, text, "alice@example.org", "b@example.net"); !strings.Contains(errText(err), "MAIL: 452 4.3.1") {
		t.Error(err)
	}
	disk := start(t, "-listen", "127.0.0.1:0", "-insecure-local", "-smarthost", smarthost.Addr, "-min-free", fmt.Sprint(int64(1)<<60))
	if _, err := send(t, plain(t, disk.addrs["mx"]), text, "alice@example.org", "b@example.net"); !strings.Contains(errText(err), "MAIL: 452 4.3.1") {
		t.Error(err)
	}
}

// A message that is on its way in when the signal comes is accepted, and delivered
// by the next relay.
func TestStop(t *testing.T) {
	smarthost := smtptest.NewServer(t)
	db := filepath.Join(t.TempDir(), "relay.db")
	p := start(t, "-listen", "127.0.0.1:0", "-insecure-local", "-smarthost", deadAddr(t), "-db", db)
	conn, err := net.Dial("tcp", p.addrs["mx"])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	script := func(text string) {
		t.Helper()
		s, err := smtptest.ParseScript(strings.NewReader(text))
		if err == nil {
			err = s.PlayClient(conn)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	script("S: 220 ...\nC: EHLO me.example\nS: 250-...\nS: 250 ...\nC: MAIL FROM:<a@example.org>\nS: 250 ...\nC: RCPT TO:<b@example.net>\nS: 250 ...\nC: DATA\nS: 354 ...\n")
	stopped := make(chan int, 1)
	go func() { stopped <- p.stop() }()
	for refused := false; !refused; { // until it listens no longer
		again, err := net.Dial("tcp", p.addrs["mx"])
		if refused = err != nil; !refused {
			again.Close()
		}
	}
	script("C: Subject: late\nC:\nC: .\nS: 250 2.0.0 queued as *\nS: 421 ...\nS: <close>\n")
	if code := <-stopped; code != 0 {
		t.Errorf("exit code %d", code)
	}
	start(t, "-listen", "127.0.0.1:0", "-insecure-local", "-smarthost", smarthost.Addr, "-db", db).relayQueue(t, "retry", "-all")
	if got := wait(t, smarthost, 1)[0]; got.Header("Subject") != "late" {
		t.Errorf("%s", got.Data)
	}
}

// A client that does not come to an end takes no time from deliveries, and what
// comes of these is recorded though they are cut short.
func TestStopWithClient(t *testing.T) {
	smarthost := smtptest.NewServer(t)
	begun := smarthost.Fault(smtptest.AfterData().Delay(time.Hour))
	p := start(t, "-listen", "127.0.0.1:0", "-insecure-local", "-smarthost", smarthost.Addr, "-stop", "300ms")
	if _, err := send(t, plain(t, p.addrs["mx"]), text, "alice@example.org", "b@example.net"); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", p.addrs["mx"])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s, err := smtptest.ParseScript(strings.NewReader("S: 220 ...\nC: EHLO me.example\nS: 250-...\nS: 250 ...\nC: MAIL FROM:<a@example.org>\nS: 250 ...\nC: RCPT TO:<b@example.net>\nS: 250 ...\nC: DATA\nS: 354 ...\n"))
	if err == nil {
		err = s.PlayClient(conn)
	}
	if err != nil {
		t.Fatal(err)
	}
	for begun() == 0 {
		runtime.Gosched()
	}
	if code := p.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if got := p.relayQueue(t, "list", "-json"); !strings.Contains(got, `"state":"waiting"`) || !strings.Contains(got, `"attempts":1,`) {
		t.Error(got)
	}
}

func TestMetrics(t *testing.T) {
	smarthost := smtptest.NewServer(t)
	p := start(t, "-listen", "127.0.0.1:0", "-metrics", "127.0.0.1:0", "-insecure-local", "-smarthost", smarthost.Addr)
	if _, err := send(t, plain(t, p.addrs["mx"]), text, "alice@example.org", "b@example.net"); err != nil {
		t.Fatal(err)
	}
	p.outcomes(t, 1)
	res, err := http.Get("http://" + p.addrs["metrics"] + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	defer http.DefaultClient.CloseIdleConnections()
	body, _ := io.ReadAll(res.Body)
	for _, want := range []string{"smtp_queue_messages 0", `smtp_queue_accepted_messages_total 1`, `smtp_server_messages_total{outcome="accepted"} 1`} {
		if !strings.Contains(string(body), want) {
			t.Errorf("no %s in\n%s", want, body)
		}
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{
		{}, {"-listen"}, {"-listen", ":0", "more"}, {"-submission", ":0"}, {"-listen", ":0", "-domains", "example.org"},
		{"-listen", ":0", "-maildir", t.TempDir()}, {"-listen", ":0", "-lmtp", "a:24", "-maildir", t.TempDir(), "-users", usersFile(t)}, {"-listen", ":0", "-key", "k"}, {"-listen", ":0", "-cert", "c"}, {"-listen", ":0", "-port", "65561"},
		{"-listen", ":0", "-users", usersFile(t, "bob")}, {"-listen", ":0", "-domains", "example.org", "-maildir", t.TempDir(), "-users", usersFile(t, "b\u00fc@example.org")},
		{"-listen", ":0", "-users", "nowhere"}, {"-listen", ":0", "-resolver", "x"}, {"queue"}, {"queue", "x"}, {"queue", "delete"},
	} {
		var out bytes.Buffer
		if code := run(t.Context(), args, nil, &out, &out); code != 64 || out.Len() == 0 {
			t.Errorf("%q: exit code %d, %s", args, code, &out)
		}
	}
	for _, args := range [][]string{{"-help"}, {"queue", "list", "-help"}} {
		var out bytes.Buffer
		if code := run(t.Context(), args, nil, &out, &out); code != 0 || !strings.Contains(out.String(), "-db") {
			t.Errorf("%q: exit code %d, %s", args, code, &out)
		}
	}
	for _, args := range [][]string{{"-listen", "127.0.0.1:0", "-db", t.TempDir()}, {"-listen", "256.0.0.1:1", "-db", filepath.Join(t.TempDir(), "x")}, {"user", ""}} {
		var out bytes.Buffer
		if code := run(t.Context(), args, strings.NewReader("x\n"), &out, &out); code != 1 || out.Len() == 0 {
			t.Errorf("%q: exit code %d, %s", args, code, &out)
		}
	}
}
