// Package secrettest lets a package's TestMain fail when a log, a trace or a
// transcript of its tests has shown a credential.
//
// Tests write to Seen what observers, traces, loggers and transcripts get, and
// name the credentials they use with Account, Secret, Scripts or Authenticator.
// When all have run, Main looks for each credential in everything that was
// seen.
package secrettest

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/postrider/postrider/internal/leaktest"
	"github.com/postrider/postrider/server"
)

// run is the one run of the test binary.
var run struct {
	mu      sync.Mutex
	seen    bytes.Buffer
	secrets map[string]bool
}

// Main runs the tests and returns the exit code. What goes to slog.Default is
// seen too. It looks for goroutines left behind as leaktest does.
func Main(m *testing.M) int {
	slog.SetDefault(slog.New(slog.NewTextHandler(io.MultiWriter(os.Stderr, Seen), nil)))
	code := leaktest.Main(m)
	run.mu.Lock()
	defer run.mu.Unlock()
	for _, line := range shown(run.seen.String(), run.secrets) {
		fmt.Fprintf(os.Stderr, "a credential is shown: %s\n", line)
		code = max(code, 1)
	}
	return code
}

// shown returns the lines in which one of the secrets stands.
func shown(text string, secrets map[string]bool) (lines []string) {
	for secret := range secrets {
		for from := 0; ; {
			i := strings.Index(text[from:], secret)
			if i < 0 {
				break
			}
			start, end := from+i, from+i+len(secret)
			from = end
			if len(secret) < shortest && (isWord(text[:start], true) || isWord(text[end:], false)) {
				continue
			}
			line := text[strings.LastIndexByte(text[:start], '\n')+1:]
			line, _, _ = strings.Cut(line, "\n")
			lines = append(lines, line[:min(len(line), 500)])
			break
		}
	}
	return lines
}

// shortest is the length from which on a secret is found within a word too.
const shortest = 6

// isWord reports whether text ends, or else begins, with a letter or a digit.
func isWord(text string, end bool) bool {
	if text == "" {
		return false
	}
	c := text[0]
	if end {
		c = text[len(text)-1]
	}
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}

// Seen is where tests write what others may see.
var Seen io.Writer = seen{}

type seen struct{}

func (seen) Write(p []byte) (int, error) {
	run.mu.Lock()
	defer run.mu.Unlock()
	return run.seen.Write(p)
}

// Secret names credentials, which must not be seen as they are, nor quoted, nor
// in base64.
func Secret(secrets ...string) {
	for _, s := range secrets {
		hide(s, base64.StdEncoding.EncodeToString([]byte(s)))
		if q := fmt.Sprintf("%q", s); q != `"`+s+`"` {
			hide(q[1 : len(q)-1])
		}
	}
}

// response names a response of a client. One that is short may be a user's name,
// which is a secret only in the form in which it was sent. One of few different
// octets only fills a line.
func response(r string) {
	different := map[byte]bool{}
	for i := range len(r) {
		different[r[i]] = true
	}
	if len(different) < 4 {
		return
	}
	if hide(base64.StdEncoding.EncodeToString([]byte(r))); len(r) > 20 {
		Secret(r)
	}
}

func hide(secrets ...string) {
	run.mu.Lock()
	defer run.mu.Unlock()
	if run.secrets == nil {
		run.secrets = make(map[string]bool)
	}
	for _, s := range secrets {
		if len(s) >= 4 { // shorter ones would be found anywhere
			run.secrets[s] = true
		}
	}
}

// Account names a password, and what is sent of it with PLAIN and LOGIN.
func Account(user, password string) {
	Secret(password, "\x00"+user+"\x00"+password, user+"\x00"+user+"\x00"+password)
}

// Token names a token, and what is sent of it with XOAUTH2 and OAUTHBEARER.
func Token(user, token string) {
	Secret(token, "user="+user+"\x01auth=Bearer "+token+"\x01\x01")
}

// Scripts names the responses in the AUTH exchanges of conversations (see package
// smtptest): proofs and signatures too. It panics if there are none.
func Scripts(glob string) {
	names, err := filepath.Glob(glob)
	if err != nil || len(names) == 0 {
		panic(fmt.Sprintf("secrettest: no scripts: %s: %v", glob, err))
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			panic(err)
		}
		for _, r := range responses(string(text)) {
			response(r)
		}
	}
}

// responses returns what a script's client answers to 334, and what it sends
// with AUTH. What does not decode to more than a few octets is no credential.
func responses(script string) (list []string) {
	asked := false
	add := func(word string) {
		if b, err := base64.StdEncoding.DecodeString(word); err == nil && len(b) > 4 {
			list = append(list, string(b))
		}
	}
	for line := range strings.Lines(script) {
		line = strings.TrimSpace(line)
		said, ok := strings.CutPrefix(line, "C: ")
		if !ok {
			asked = strings.HasPrefix(line, "S: 334") || asked && !strings.HasPrefix(line, "S: ")
			continue
		}
		if words := strings.Fields(said); len(words) == 3 && strings.EqualFold(words[0], "AUTH") {
			add(words[2])
		}
		if asked {
			add(said)
		}
	}
	return list
}

// Authenticator is a, but every response that it gets and every challenge that
// it gives is a secret in base64: with SCRAM they differ each time.
func Authenticator(a server.Authenticator) server.Authenticator { return watched{a} }

type watched struct{ server.Authenticator }

func (w watched) Begin(ctx context.Context, c *server.Conn, mech string) (server.Exchange, error) {
	x, err := w.Authenticator.Begin(ctx, c, mech)
	if x == nil || err != nil {
		return x, err
	}
	return exchange{x}, nil
}

type exchange struct{ server.Exchange }

func (x exchange) Next(r []byte) ([]byte, bool, error) {
	response(string(r))
	challenge, done, err := x.Exchange.Next(r)
	hide(base64.StdEncoding.EncodeToString(challenge)) // what OAuth says in it may be shown
	return challenge, done, err
}

func (x exchange) Unwrap() server.Exchange { return x.Exchange }
