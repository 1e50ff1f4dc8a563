//go:build interop

package interop

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// Every mail server takes mail for one@ and two@ the domain mailDomain, refuses
// reject@ for good and tempfail@ for now, and lets this account in.
const (
	mailDomain = "example.net"
	user       = "postbote"
	password   = "correct horse"
)

// mailServer is a server that stores what it receives as one file a message,
// /var/mail/USER/new/*.
type mailServer struct {
	*root
	*process
	plain    int // port; STARTTLS is offered
	implicit int // port for TLS from the first octet
	submit   int // port that demands AUTH, offered after STARTTLS only
	log      string
}

// mailServers are the servers that examples/send delivers to.
var mailServers = []struct {
	name  string
	start func(*testing.T, certificates) *mailServer
}{
	{"postfix", startPostfix},
	{"exim", startExim},
	{"opensmtpd", startOpenSMTPD},
}

// newMailServer prepares the root of a mail server.
func newMailServer(t *testing.T, rootName, log string, certs certificates) *mailServer {
	t.Helper()
	s := &mailServer{
		root:     newRoot(t, rootName),
		plain:    freePort(t),
		implicit: freePort(t),
		submit:   freePort(t),
		log:      log,
	}
	s.write(t, "etc/tls/cert.pem", certs.cert, 0o644)
	s.write(t, "etc/tls/key.pem", certs.key, 0o600)
	s.mkdir(t, vmail, 0o755, "var/mail")
	return s
}

// run starts the server and waits until it takes connections.
func (s *mailServer) run(t *testing.T, argv ...string) {
	t.Helper()
	t.Cleanup(func() { // runs after the process is stopped and before the root goes
		if t.Failed() && s.log != "" {
			t.Logf("%s:\n%s", s.log, readFile(s.path(s.log)))
		}
	})
	s.process = start(t, s.root, argv...)
	s.listening(t, s.plain, s.implicit, s.submit)
}

// delivered waits for a message with that subject in the user's mailbox.
func (s *mailServer) delivered(t *testing.T, user, subject string) []byte {
	t.Helper()
	var found []byte
	s.eventually(t, "a message for "+user+" about "+subject, func() bool {
		found = s.find(t, user, subject)
		return found != nil
	})
	return found
}

// find returns the message with that subject in the user's mailbox, or nil.
func (s *mailServer) find(t *testing.T, user, subject string) []byte {
	t.Helper()
	for _, data := range s.mailbox(t, user) {
		if bytes.Contains(data, []byte("\nSubject: "+subject+"\n")) {
			return data
		}
	}
	return nil
}

// stored counts the messages in the user's mailbox of that size at least that
// did not come from message or plainMessage.
func (s *mailServer) stored(t *testing.T, user string, size int) int {
	t.Helper()
	n := 0
	for _, data := range s.mailbox(t, user) {
		if len(data) >= size && !bytes.Contains(data, []byte(firstField)) {
			n++
		}
	}
	return n
}

func (s *mailServer) mailbox(t *testing.T, user string) [][]byte {
	t.Helper()
	names, err := filepath.Glob(s.path("var/mail/" + user + "/new/*"))
	if err != nil {
		t.Fatal(err)
	}
	var all [][]byte
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, data)
	}
	return all
}

// fill replaces {NAME} in a configuration by the server's ports.
func (s *mailServer) fill(config string) []byte {
	out := []byte(config)
	for name, port := range map[string]int{"PLAIN": s.plain, "IMPLICIT": s.implicit, "SUBMIT": s.submit} {
		out = bytes.ReplaceAll(out, []byte("{"+name+"}"), []byte(strconv.Itoa(port)))
	}
	return out
}
