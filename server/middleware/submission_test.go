package middleware_test

import (
	"context"
	"fmt"
	"net/mail"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/server/middleware"
	"github.com/postrider/postrider/smtp"
)

// owns lets alice send as herself, and as anybody of her.example.
func owns(_ context.Context, identity string, address smtp.Mailbox) (bool, error) {
	if address.Local == "trouble" {
		return false, errStore
	}
	return identity == user && (address.String() == user || strings.EqualFold(address.Domain, "her.example")), nil
}

const (
	yours     = "550 5.7.1 you may not send as who is named in From or Sender"
	oneFrom   = "554 5.6.0 there must be one well-formed From field, and no more than one Sender"
	malformed = "554 5.6.0 header section is malformed"
	unquali   = "554 5.6.0 a domain in the header section is not fully qualified"
	accepted  = "250 2.0.0 message accepted"
)

func TestSubmissionEnvelope(t *testing.T) {
	h := start(t, middleware.Submission(middleware.SubmissionOptions{Owns: owns}))
	h.play(t, "127.0.0.1", login,
		"C: MAIL FROM:<alice@host>\nS: 554 5.1.8 sender's domain is not fully qualified",
		"C: MAIL FROM:<bob@example.org>\nS: 550 5.7.1 you may not send as this sender",
		"C: MAIL FROM:<trouble@example.org>\nS: 451 4.3.0 local error in processing",
		"C: MAIL FROM:<x@her.example>\nS: 250 ...\nC: RSET\nS: 250 ...",
		"C: MAIL FROM:<>\nS: 250 ...\nC: RSET\nS: 250 ...",
		"C: MAIL FROM:<alice@example.org>\nS: 250 ...",
		"C: RCPT TO:<b@localhost>\nS: 554 5.1.2 recipient's domain is not fully qualified",
		"C: RCPT TO:<b@example.com>\nS: 250 ...",
		"C: RCPT TO:<b@[192.0.2.1]>\nS: 250 ...",
		"C: RCPT TO:<postmaster>\nS: 250 ...")
	h.stop()
	want(t, "calls", strings.ReplaceAll(h.noted(), "\n", " "),
		"new mail <x@her.example> reset RSET mail <> reset RSET mail <alice@example.org> rcpt <b@example.com> rcpt <b@[192.0.2.1]> rcpt <postmaster> reset closed close")
	if log := h.log(); !strings.Contains(log, errStore.Error()) {
		t.Errorf("log: %s", log)
	}
	// Whoever has not authenticated owns nothing.
	h = start(t, middleware.Submission(middleware.SubmissionOptions{Owns: owns}))
	h.play(t, "127.0.0.1", "C: MAIL FROM:<alice@example.org>\nS: 550 5.7.1 ...")
}

// Who is named in From and Sender must be the client's to name.
func TestSubmissionAuthor(t *testing.T) {
	h := start(t, middleware.Submission(middleware.SubmissionOptions{Owns: owns}), func(s *server.Server) {
		s.ChunkPolicy = server.Pass
	})
	for header, reply := range map[string]string{
		"From: alice@example.org\r\n":                                                           accepted,
		"from:alice@example.org\r\n":                                                            accepted,
		"FROM : Alice <alice@example.org>\r\n":                                                  accepted, // RFC 5322 §4.5
		"From:\r\n \"Alice, that is\"\r\n\t(me) <alice@example.org>\r\n":                        accepted,
		"From: =?x-unknown?q?A=3Cevil=40evil.example=3E?= <alice@example.org>\r\n":              accepted,
		"From: alice@example.org, x@HER.example\r\n":                                            accepted,
		"From: \"evil@evil.example\" <alice@example.org>\r\n":                                   accepted,
		"From: us: alice@example.org, x@her.example;\r\n":                                       accepted, // RFC 6854
		"From: ALICE@example.org\r\n":                                                           yours,
		"From: evil@evil.example\r\n":                                                           yours,
		"From: alice@example.org, evil@evil.example\r\n":                                        yours,
		"From: \"alice@example.org\" <evil@evil.example>\r\n":                                   yours,
		"From: <evil@evil.example> (alice@example.org)\r\n":                                     yours,
		"From: \"alice@example.org\"@evil.example\r\n":                                          yours,
		"From:\r\n evil@evil.example\r\n":                                                       yours,
		"From : evil@evil.example\r\n":                                                          yours,
		"From: alice@example.org\r\nSender: evil@evil.example\r\n":                              yours,
		"From: boss@corp.example\r\nSender: alice@example.org\r\n":                              yours,
		"From: boss@corp.example, chair@corp.example\r\nSender: alice@example.org\r\n":          yours,
		"From: boss@corp.example, alice@example.org\r\nSender: alice@example.org\r\n":           yours,
		"From: " + strings.Repeat("x@her.example, ", 99) + "alice@example.org\r\n":              accepted,
		"From: " + strings.Repeat("x@her.example, ", 100) + "alice@example.org\r\n":             "554 5.6.0 too many mailboxes in From",
		"From: alice@example.org, x@her.example\r\nSender: alice@example.org\r\n":               accepted, // RFC 5322 §3.6.2
		"From: alice@example.org, chair@corp.example\r\nSender: evil@evil.example\r\n":          yours,
		"From: alice@example.org\r\nSender: x@her.example\r\n":                                  accepted,
		"From: alice@example.org\r\nFrom: evil@evil.example\r\n":                                oneFrom,
		"From: evil@evil.example\r\nfRoM: alice@example.org\r\n":                                oneFrom,
		"From: alice@example.org\r\nFrom : alice@example.org\r\n":                               oneFrom,
		"From: a@her.example, b@her.example\r\nSender: alice@example.org, b@her.example\r\n":    oneFrom,
		"From: alice@example.org\r\nSender: alice@example.org\r\nSender: evil@evil.example\r\n": oneFrom,
		"From: alice@example.org evil@evil.example\r\n":                                         oneFrom,
		"From: alice@example.org <evil@evil.example>\r\n":                                       oneFrom,
		"From: <alice@example.org> <evil@evil.example>\r\n":                                     oneFrom,
		"From: <@evil.example:alice@example.org>\r\n":                                           oneFrom,
		"From: alice\r\n":                        oneFrom,
		"From:\r\n":                              oneFrom,
		"From: nobody:;\r\n":                     oneFrom,
		"From: alice@example.org\r\nSender:\r\n": oneFrom,
		"From: alice@" + strings.Repeat("x.", 150) + "her.example\r\n": oneFrom,
		"Subject: x\r\n":                oneFrom,
		"":                              oneFrom,
		"From: trouble@example.org\r\n": "451 4.3.0 local error in processing",
		"X: y\nFrom: evil@evil.example\r\nFrom: alice@example.org\r\n":                             malformed,
		"X: y\rFrom: evil@evil.example\r\nFrom: alice@example.org\r\n":                             malformed,
		"From: alice@example.org\x00\r\n":                                                          malformed,
		"Fro\x00m: evil@evil.example\r\nFrom: alice@example.org\r\n":                               malformed,
		"\xef\xbb\xbfFrom: evil@evil.example\r\nFrom: alice@example.org\r\n":                       malformed,
		" From: evil@evil.example\r\nFrom: alice@example.org\r\n":                                  malformed,
		"From alice@example.org Thu Jul  9 08:05:03 2026\r\nFrom: alice@example.org\r\n":           malformed,
		"no field\r\nFrom: alice@example.org\r\n":                                                  malformed,
		": x\r\nFrom: alice@example.org\r\n":                                                       malformed,
		"From: alice@example.org\r\nX-\x80: y\r\n":                                                 malformed,
		"From: alice@example.org\r\nTo: b@localhost\r\n":                                           unquali,
		"From: alice@example.org\r\nTo: b@example.com\r\nCc: c@example.com,\r\n d@intern\r\n":      unquali,
		"From: alice@example.org\r\nReply-To: <x@y>\r\n":                                           unquali,
		"From: alice@example.org\r\nResent-To: <x@y>\r\n":                                          unquali,
		"From: alice@example.org\r\nTo: team: a@example.com, b@y;\r\n":                             unquali,
		"From: alice@example.org\r\nTo: undisclosed-recipients:;\r\nBcc:\r\nCc: b@[192.0.2.1]\r\n": accepted,
		"From: alice@example.org\r\nTo: what is this?\r\nX-Host: a@localhost\r\n":                  accepted,
		"From: alice@example.org\r\nX-To: " + strings.Repeat("x\r\n ", 30000) + "\r\n":             accepted,
	} {
		for _, rest := range []string{"\r\ntext\r\nFrom: evil@evil.example\r\n", ""} {
			message := header + rest
			h.play(t, "127.0.0.1", login, "C: MAIL FROM:<alice@example.org>\nC: RCPT TO:<b@example.com>\nS: 250 ...\nS: 250 ...",
				fmt.Sprintf("C: BDAT %d LAST\nC: %s\\\nS: %s", len(message), escape(message), reply))
			got := h.messages()
			if reply != accepted && len(got) > 0 || reply == accepted && (len(got) != 1 || got[0] != message) {
				t.Errorf("%q: delivered %q", header, got)
			}
		}
	}
	h.log()
}

func escape(s string) string {
	return strings.NewReplacer(`\`, `\\`, "\r", `\r`, "\n", `\n`, "\x00", `\0`, "\t", `\t`, "<", `\x3c`, "*", `\x2a`).Replace(s)
}

// A message whose header section is over the limit, or that is cut short, is
// the server's to refuse.
func TestSubmissionHeaderTooBig(t *testing.T) {
	h := start(t, middleware.Submission(middleware.SubmissionOptions{}), func(s *server.Server) { s.Limits.MaxHeaderSize = 100 })
	h.play(t, "127.0.0.1", "C: MAIL FROM:<>\nS: 250 ...\nC: RCPT TO:<b@example.com>\nS: 250 ...\nC: DATA\nS: 354 ...",
		`C: X: <repeat 100 "x">`, "C: .", "S: 552 5.3.4 header section exceeds the size limit", "C: NOOP\nS: 250 ...")
	want(t, "log", h.log(), "")
}

// Date and Message-ID are added when they are missing, and only then.
func TestSubmissionAdds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		date := "Date: " + regexp.QuoteMeta(time.Now().Format("Mon, 2 Jan 2006 15:04:05 -0700")) + "\r\n"
		const id = `Message-ID: <[A-Z2-7]{26}@mx\.example>\r\n`
		seen := map[string]bool{}
		for _, tt := range []struct {
			options middleware.SubmissionOptions
			header  string
			adds    string
		}{
			{middleware.SubmissionOptions{}, "Subject: x\r\n", ""},
			{middleware.SubmissionOptions{AddDate: true}, "Subject: x\r\n", date},
			{middleware.SubmissionOptions{AddMessageID: true}, "Subject: x\r\n", id},
			{middleware.SubmissionOptions{AddDate: true, AddMessageID: true}, "Subject: x\r\n", date + id},
			{middleware.SubmissionOptions{AddDate: true, AddMessageID: true}, "", date + id},
			{middleware.SubmissionOptions{AddDate: true, AddMessageID: true}, "dAtE: today\r\nSubject: x\r\n", id},
			{middleware.SubmissionOptions{AddDate: true, AddMessageID: true}, "Subject: x\r\nMESSAGE-id :\r\n <x@y>\r\n", date},
			{middleware.SubmissionOptions{AddDate: true, AddMessageID: true}, "Message-Id: <x@y>\r\nDate:\r\n", ""},
			{middleware.SubmissionOptions{AddDate: true, AddMessageID: true}, "X: y\r\n Date: folded\r\nResent-Date: x\r\nX-Date: z\r\n", date + id},
		} {
			for _, rest := range []string{"\r\nDate: in the text\r\n", "\r\n", ""} {
				h := start(t, middleware.Submission(tt.options))
				message := tt.header + rest
				h.play(t, "127.0.0.1", "C: MAIL FROM:<>\nC: RCPT TO:<b@example.com>\nC: DATA\nS: 250 ...\nS: 250 ...\nS: 354 ...",
					`C: `+escape(message)+`\`, "C: .", "S: "+accepted)
				got := h.messages()
				if len(got) != 1 || !strings.HasSuffix(got[0], message) {
					t.Fatalf("%q became %q", message, got)
				}
				added := strings.TrimSuffix(got[0], message)
				if !regexp.MustCompile("^" + tt.adds + "$").MatchString(added) {
					t.Errorf("%q: added %q, want %q", message, added, tt.adds)
				}
				if strings.Contains(tt.adds, "ID") {
					i := strings.Index(added, "Message-ID")
					if seen[added[i:]] {
						t.Error("the same Message-ID again")
					}
					seen[added[i:]] = true
				}
				if strings.Contains(tt.adds, "Date") {
					parsed, err := mail.ReadMessage(strings.NewReader(got[0] + "\r\n"))
					if err != nil {
						t.Fatal(err)
					}
					if date, err := parsed.Header.Date(); err != nil || !date.Equal(time.Now()) {
						t.Errorf("%v, %v", date, err)
					}
				}
			}
		}
	})
}
