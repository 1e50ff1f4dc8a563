//go:build interop

package interop

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// smtpSink is Postfix's smtp-sink, which stores each transaction as one file.
type smtpSink struct {
	*root
	*process
	port int
}

func startSMTPSink(t *testing.T, options ...string) *smtpSink {
	t.Helper()
	s := &smtpSink{root: newRoot(t, "postfix"), port: freePort(t)}
	argv := append([]string{"/usr/sbin/smtp-sink", "-u", "nobody", "-v", "-d", "/tmp/dump."}, options...)
	s.process = start(t, s.root, append(argv, address(s.port), "100")...)
	s.listening(t, s.port)
	return s
}

// transactions returns what smtp-sink stored: its own fields, the first
// X-Client-Addr, then the message.
func (s *smtpSink) transactions(t *testing.T) [][]byte {
	t.Helper()
	names, err := filepath.Glob(s.path("tmp/dump.*"))
	if err != nil {
		t.Fatal(err)
	}
	var all [][]byte
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, bytes.TrimSuffix(data, []byte("\n"))) // it ends each with an empty line
	}
	return all
}
