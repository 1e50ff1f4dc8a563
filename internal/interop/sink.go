//go:build interop

package interop

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// sink is examples/sink with all its listeners, and the root that senders run
// in to reach it.
type sink struct {
	*root
	*process
	mx, implicit, submit, lmtp int // ports
	spool                      string
}

// entry is a line of the spool.
type entry struct {
	From       string           `json:"from"`
	To         []string         `json:"to"`
	Data       []byte           `json:"data_base64"`
	TLS        bool             `json:"tls"`
	Auth       string           `json:"auth"`
	MailParams map[string]any   `json:"mail_params"`
	RcptParams []map[string]any `json:"rcpt_params"`
}

func startSink(t *testing.T, options ...string) *sink {
	t.Helper()
	s := &sink{root: newRoot(t, "tools"),
		mx: freePort(t), implicit: freePort(t), submit: freePort(t), lmtp: freePort(t)}
	certs := newCertificates(t)
	s.write(t, caPath, certs.ca, 0o644)
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, data := range map[string][]byte{cert: certs.cert, key: certs.key} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.spool = filepath.Join(dir, "spool")
	s.process = start(t, nil, append([]string{sinkProgram,
		"-listen", address(s.mx), "-tls-listen", address(s.implicit),
		"-sub-listen", address(s.submit), "-lmtp-listen", address(s.lmtp),
		"-user", user, "-pass", password, "-hostname", serverName,
		"-cert", cert, "-key", key, "-spool", s.spool}, options...)...)
	ready := regexp.MustCompile(`(?m)^ready$`)
	s.eventually(t, "ready", func() bool { return ready.MatchString(s.out.String()) })
	return s
}

// take runs the sender in the sink's root.
func (s *sink) take(t *testing.T, by sender, sub submission) result {
	t.Helper()
	argv, stdin := by.command(t, s.root, sub)
	return run(t, s.root, stdin, argv...)
}

// from returns what the sink accepted with that reverse-path.
func (s *sink) from(t *testing.T, from string) []entry {
	t.Helper()
	data, err := os.ReadFile(s.spool)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	var all []entry
	for line := range bytes.Lines(data) {
		var e entry
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatalf("spool: %v: %.200s", err, line)
		}
		if e.From == from {
			all = append(all, e)
		}
	}
	return all
}
