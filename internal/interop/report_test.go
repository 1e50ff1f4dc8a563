//go:build interop

package interop

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/server/smtptest"
	"github.com/postrider/postrider/smtp"
	"github.com/postrider/postrider/smtp/dsn"
)

//go:embed testdata/reports.py
var reportsPy []byte

// refusedAt sends a message for refused recipients behind a server that then reports
// to its sender, whose mailbox is user's.
func refusedAt(t *testing.T, s *mailServer, certs certificates, user, from string) []byte {
	t.Helper()
	c := &client.Client{Addr: address(s.plain), TLSConfig: certs.client(t), Timeouts: client.EveryTimeout(30 * time.Second)}
	defer c.Close()
	env, err := smtp.NewEnvelope(from, "gone@"+relayDomain)
	if err != nil {
		t.Fatal(err)
	}
	env.MailParams.EnvID = "id with + and ="
	env.Recipients[0].RcptParams.ORcpt = smtp.ORcpt{Type: "rfc822", Address: "written+first=@example.com"}
	if _, err := c.Send(t.Context(), env, smtp.BytesContent(plainMessage("refused"))); err != nil {
		t.Fatal(err)
	}
	var report []byte
	s.eventually(t, "a report for "+user, func() bool {
		for _, data := range s.mailbox(t, user) {
			if bytes.Contains(data, []byte("\nAuto-Submitted: auto-replied\n")) {
				report = data
			}
		}
		return report != nil
	})
	return report
}

// pythonReport is what Python finds in a notification (see testdata/reports.py).
type pythonReport struct {
	Defects    []string            `json:"defects"`
	Type       string              `json:"type"`
	ReportType string              `json:"report_type"`
	Parts      []string            `json:"parts"`
	Text       string              `json:"text"`
	Groups     []map[string]string `json:"groups"`
	Subject    string              `json:"subject"`
}

// pythonReads reads a notification with Python's email package.
func pythonReads(t *testing.T, r *root, data []byte) (found pythonReport) {
	t.Helper()
	r.write(t, "tmp/reports.py", reportsPy, 0o644)
	runes := make([]rune, len(data))
	for i, c := range data {
		runes[i] = rune(c)
	}
	line, err := json.Marshal(string(runes))
	if err != nil {
		t.Fatal(err)
	}
	res := run(t, r, append(line, '\n'), "/usr/bin/python3", "-IB", "/tmp/reports.py")
	if err := json.Unmarshal([]byte(res.stdout), &found); err != nil || res.code != 0 {
		t.Fatal(err, res)
	}
	return found
}

// What Postfix and Exim report of a refused recipient is what we read.
func TestReportsOfOthers(t *testing.T) {
	for _, test := range []struct {
		name  string
		start func(t *testing.T, certs certificates, relay string) *mailServer
	}{
		{"postfix", func(t *testing.T, certs certificates, relay string) *mailServer {
			return startPostfixWith(t, certs, relayTo(relayDomain, "smtp:[127.0.0.1]:"+relay), "")
		}},
		{"exim", func(t *testing.T, certs certificates, relay string) *mailServer {
			return startEximWith(t, certs, eximOptions{relay: relay, main: "dsn_advertise_hosts = *"})
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			next := smtptest.NewServer(t, smtptest.NoTLS, func(s *smtptest.Server) {
				s.Config.Extensions = []server.Extension{server.DSN}
			})
			next.Fault(smtptest.On("RCPT").Reply(550, "5.1.1", "nobody of that name\nis known here"))
			certs := newCertificates(t)
			s := test.start(t, certs, port(next.Addr))
			data := refusedAt(t, s, certs, "two", two)
			r, err := dsn.Parse(bytes.NewReader(data))
			if err != nil {
				t.Fatalf("%v in\n%s", err, data)
			}
			if len(r.Recipients) != 1 || r.MessageID() != "<refused@example.org>" || r.Get("Subject") != "refused" ||
				r.ReportingMTA.Host() != serverName || r.Truncated || r.Returned == "" {
				t.Fatalf("%+v\n%s", r, data)
			}
			to := r.Recipients[0]
			reply, ok := to.Diagnostic.Reply()
			final, isMailbox := to.Final.Mailbox()
			if to.Action != dsn.Failed || to.Status.Class != 5 || !ok || reply.Code != 550 ||
				reply.Text != "nobody of that name\nis known here" || !isMailbox || final.String() != "gone@"+relayDomain {
				t.Errorf("%+v\n%s", to, data)
			}
			if r.EnvelopeID != "id with + and =" && test.name == "postfix" {
				t.Errorf("ENVID is %q", r.EnvelopeID)
			}
			if to.Original != (dsn.Typed{Type: "rfc822", Text: "written+first=@example.com"}) && test.name == "postfix" {
				t.Errorf("ORCPT is %v", to.Original)
			}
		})
	}
}

// A notification of ours goes through Postfix into a mailbox and is read there by us
// and by Python.
func TestReportOfOurs(t *testing.T) {
	certs := newCertificates(t)
	s := startPostfix(t, certs)
	c := &client.Client{Addr: address(s.plain), TLSConfig: certs.client(t), Timeouts: client.EveryTimeout(30 * time.Second)}
	defer c.Close()
	tools := newRoot(t, "tools")
	utf8 := bytes.ReplaceAll(plainMessage("Grüße"), []byte("<Grüße@"), []byte("<x@"))
	for i, test := range []struct {
		name    string
		content []byte
		set     func(c *dsn.Composer, m *dsn.Message, r *dsn.Recipient)
		parts   []string
		subject string
	}{
		{"failed", message("full"), func(c *dsn.Composer, m *dsn.Message, r *dsn.Recipient) { c.MaxReturn = -1 },
			[]string{"text/plain", "message/delivery-status", "message/rfc822"}, "full"},
		{"header", plainMessage("header"), func(c *dsn.Composer, m *dsn.Message, r *dsn.Recipient) { m.Envelope.MailParams.Ret = smtp.RetHeaders },
			[]string{"text/plain", "message/delivery-status", "text/rfc822-headers"}, "header"},
		{"delayed", plainMessage("delayed"), func(c *dsn.Composer, m *dsn.Message, r *dsn.Recipient) {
			r.Action, r.RetryUntil = dsn.Delayed, m.Arrival.Add(time.Hour)
		}, []string{"text/plain", "message/delivery-status", "text/rfc822-headers"}, "delayed"},
		{"8-bit header", utf8, func(c *dsn.Composer, m *dsn.Message, r *dsn.Recipient) {},
			[]string{"text/plain", "message/delivery-status", "text/rfc822-headers"}, "Grüße"},
		{"message/global", utf8, func(c *dsn.Composer, m *dsn.Message, r *dsn.Recipient) { m.Envelope.MailParams.UTF8 = true },
			[]string{"text/plain", "message/global-delivery-status", "message/global"}, "Grüße"},
	} {
		t.Run(test.name, func(t *testing.T) {
			env, err := smtp.NewEnvelope(one)
			if err != nil {
				t.Fatal(err)
			}
			env.MailParams.EnvID = test.name
			r := dsn.NewRecipient(smtp.Recipient{To: smtp.ForwardPath{Mailbox: smtp.Mailbox{Local: "ü", Domain: relayDomain}},
				RcptParams: smtp.RcptParams{ORcpt: smtp.ORcpt{Type: "x400", Address: "/C=de; (x)/"}}})
			r.Action, r.RemoteMTA = dsn.Failed, dsn.DNS("mx."+relayDomain)
			r.Diagnostic = dsn.Diagnostic(smtp.Reply{Code: 550, Enhanced: smtp.Enh(1, 1), Text: strings.Repeat("nobody of that name ", 10) + "\nnobody"})
			m := &dsn.Message{Envelope: env, Content: smtp.BytesContent(test.content), Arrival: time.Now(),
				ReceivedFrom: dsn.Peer("client.example", netip.MustParseAddr("192.0.2.1"))}
			composer := &dsn.Composer{Hostname: "ours.example", NotifyDelay: true}
			test.set(composer, m, &r)
			n, err := composer.Compose(m, r)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Send(t.Context(), n.Envelope, n.Content); err != nil {
				t.Fatal(err)
			}
			var data []byte
			s.eventually(t, "the notification", func() bool {
				for _, d := range s.mailbox(t, "one") {
					if bytes.Contains(d, []byte("\nMessage-ID: "+n.MessageID+"\n")) {
						data = d
					}
				}
				return data != nil
			})
			got, err := dsn.Parse(bytes.NewReader(data))
			if err != nil || !reflect.DeepEqual(*got, n.Report) {
				t.Errorf("read    %+v, %v\nwritten %+v", got, err, n.Report)
			}

			py := pythonReads(t, tools, data)
			if len(py.Defects) > 0 || py.Type != "multipart/report" || "message/"+py.ReportType != test.parts[1] ||
				!reflect.DeepEqual(py.Parts, test.parts) || !strings.Contains(py.Text, "ü@"+relayDomain) {
				t.Errorf("Python found %+v in\n%s", py, data)
			}
			status := "5.1.1"
			if r.Action == dsn.Delayed {
				status = "4.1.1" // what a server has said for good is not yet that
			}
			if test.parts[1] == "message/delivery-status" {
				if len(py.Groups) != 2 || py.Groups[0]["Original-Envelope-Id"] != test.name || py.Groups[1]["Action"] != r.Action.String() ||
					py.Groups[1]["Final-Recipient"] != `utf-8; \x{FC}@`+relayDomain || py.Groups[1]["Status"] != status {
					t.Errorf("Python read %v", py.Groups)
				}
			}
			if py.Subject != test.subject {
				t.Errorf("%d: Python read the subject %q, want %q", i, py.Subject, test.subject)
			}
		})
	}
}
