//go:build interop

package interop

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// Mail waits in Postfix, since nobody listens at the next hop. Then our server
// does, and our client asks Postfix with ETRN (RFC 1985) to send it now.
func TestETRNToPostfix(t *testing.T) {
	next := freePort(t)
	s := startPostfixWith(t, newCertificates(t), relayTo(relayDomain, "smtp:[127.0.0.1]:"+strconv.Itoa(next))+`
fast_flush_domains = $relay_domains
`, "flush unix n - n 1000? 0 flush\n")
	const subject = "waiting"
	msg := message(subject)
	send(t, msg, s.plain, append(envelope("anybody@"+relayDomain), "-tls", "none")...).want(t, sent)
	s.logged(t, "to=<anybody@"+relayDomain+">", "status=deferred", "Connection refused")
	// The log is ahead of the queue manager, who finds nothing to send before the
	// message is in the deferred queue and the flush service knows of it.
	s.eventually(t, "the message in the deferred queue", func() bool {
		queued, _ := filepath.Glob(s.path("var/spool/postfix/deferred/*/*"))
		known, _ := filepath.Glob(s.path("var/spool/postfix/flush/relay*"))
		if len(queued) != 1 || len(known) != 1 {
			return false
		}
		log, err := os.Stat(known[0])
		return err == nil && log.Size() > 0
	})

	k := keep(t, &keeper{}, listenAt(t, next))
	c := dial(t, "tcp", address(s.plain), false)
	if r, err := c.Etrn(t.Context(), relayDomain); err != nil || r.Code != 250 {
		t.Fatalf("%v, %v", r, err)
	}
	sameBytes(t, original(t, k.message(t, subject).data), msg)

	var refused *smtp.Error
	if _, err := c.Etrn(t.Context(), "elsewhere.example"); !errors.As(err, &refused) || refused.Reply.Code != 459 {
		t.Errorf("for a domain that is not Postfix's to flush: %v", err)
	}
	quit(t, c)
}

// Sendmail knows the three forms of ETRN's argument.
func TestETRNToSendmail(t *testing.T) {
	s := startSendmail(t, "1")
	c := dial(t, "tcp", address(s.port), false)
	for _, node := range []string{relayDomain, "@" + relayDomain} {
		if r, err := c.Etrn(t.Context(), node); err != nil || r.Code != 250 {
			t.Errorf("%s: %v, %v", node, r, err)
		}
	}
	var refused *smtp.Error
	if _, err := c.Etrn(t.Context(), "#nothing"); !errors.As(err, &refused) || refused.Reply.Code != 459 {
		t.Errorf("a queue that does not exist: %v", err)
	}
	quit(t, c)
}

// fetchmail asks our server.
func TestETRNFromFetchmail(t *testing.T) {
	asked := make(chan smtp.Etrn, 2)
	k := &keeper{Server: server.Server{Extensions: []server.Extension{
		server.ETRN(func(_ context.Context, _ *server.Conn, _ server.Session, node smtp.Etrn) (smtp.Reply, error) {
			asked <- node
			if node.Name != relayDomain {
				return smtp.Reply{}, smtp.Reject(459, smtp.Enh(7, 0), "not for you")
			}
			return smtp.Reply{}, nil
		}),
	}}}
	keep(t, k, listenTCP(t))
	r := newRoot(t, "tools")
	fetchmail := func(domain string) result {
		return run(t, r, nil, "/usr/bin/fetchmail", "--fetchmailrc", "/dev/null", "--nosyslog", "--idfile", "/tmp/ids", "--pidfile", "/tmp/pid",
			"--sslproto", "", "--protocol", "ETRN", "--service", port(k.addr), "--fetchdomains", domain, "--verbose", "127.0.0.1")
	}
	for _, domain := range []string{relayDomain, "elsewhere.example"} {
		res := fetchmail(domain)
		if (res.code == 0) != (domain == relayDomain) {
			t.Error(res)
		}
		select {
		case node := <-asked:
			if node.String() != domain {
				t.Errorf("asked for %v, want %s", node, domain)
			}
		default:
			t.Errorf("did not ask\n%v", res)
		}
	}
}
