package client_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/internal/scram"
	"github.com/postrider/postrider/internal/secrettest"
)

const (
	rfcNonce256 = "rOprNGfwEbeRWgbNEkqO"
	rfcNonce1   = "fyko+d2lbbFgONRv9qkxdawL"
)

// The exchanges of the RFCs, and servers that refuse or ask for what a client
// must not do: it gives the exchange up and stays in step.
func TestSCRAM(t *testing.T) {
	for script, want := range map[string]string{
		"sha-256":        "",
		"sha-1":          "",
		"refused":        "smtp: AUTH: 535 5.7.8 wrong",
		"error":          `the server says "invalid-proof"`,
		"error-first":    `the server says "unknown-user"`,
		"one-more":       "sasl: unexpected server challenge",
		"too-many":       "the server asks for 2147483647 iterations, 1000000 are allowed",
		"over-limit":     "the server asks for 1000001 iterations, 1000000 are allowed",
		"too-few":        "server requested too few iterations (4095)",
		"nonce":          "server nonce did not extend client nonce",
		"extension":      "unknown mandatory SCRAM extension",
		"extension-last": "unknown mandatory SCRAM extension",
		"truncated":      "malformed SCRAM message",
		"reordered":      "malformed SCRAM message",
		"empty":          "malformed SCRAM message",
	} {
		t.Run(script, func(t *testing.T) {
			conn := authConn(t, "scram-"+script)
			nonce := rfcNonce256
			if script == "sha-1" {
				nonce = rfcNonce1
			}
			err := conn.Auth(t.Context(), client.ScramAuthNonce("user", "pencil", nonce))
			fmt.Fprintln(secrettest.Seen, err)
			var failed *client.AuthError
			switch {
			case want == "" && err != nil, want != "" && (err == nil || err.Error() != "AUTH SCRAM-SHA-256: "+want):
				t.Errorf("error %v, want %s", err, want)
			case err != nil && (!errors.As(err, &failed) || failed.Temporary()):
				t.Errorf("error %v", err)
			}
			if err := conn.Quit(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// A server that cannot prove that it knows the password is not talked to any
// more, whatever it says.
func TestSCRAMImpostor(t *testing.T) {
	for _, script := range []string{"no-proof", "at-once", "wrong-proof", "no-verifier", "extension-final"} {
		t.Run(script, func(t *testing.T) {
			conn := authConn(t, "scram-"+script)
			err := conn.Auth(t.Context(), client.ScramAuthNonce("user", "pencil", rfcNonce256))
			var broken *client.ProtocolError
			if !errors.As(err, &broken) || broken.Reason != "the server has not proved that it knows the password" {
				t.Errorf("error %v", err)
			}
			if conn.Err() == nil {
				t.Error("the connection can still be used")
			}
			if _, err := conn.Mail(t.Context(), envelope(t, 1).From, nil); err == nil {
				t.Error("MAIL is sent")
			}
		})
	}
}

// What is chosen of what is offered, without a TLS connection that SCRAM could
// be bound to. See TestMechanismsEndToEnd for the others.
func TestChoice(t *testing.T) {
	for offered, want := range map[string]string{
		"PLAIN LOGIN": "PLAIN", "LOGIN": "LOGIN", "LOGIN SCRAM-SHA-1": "SCRAM-SHA-1", "SCRAM-SHA-1 SCRAM-SHA-256 PLAIN": "SCRAM-SHA-256",
		"SCRAM-SHA-256-PLUS PLAIN": "PLAIN", "SCRAM-SHA-256-PLUS SCRAM-SHA-1": "SCRAM-SHA-1",
		"CRAM-MD5": "", "SCRAM-SHA-512 XOAUTH2 EXTERNAL": "", "": "",
	} {
		info := client.AuthInfo{Mechanisms: strings.Fields(offered), TLS: &tls.ConnectionState{HandshakeComplete: true}}
		for name, auth := range map[string]client.Auth{"PasswordAuth": client.PasswordAuth("user", "pencil"), "ScramAuth": client.ScramAuth("user", "pencil")} {
			want := want
			if name == "ScramAuth" && !strings.HasPrefix(want, "SCRAM-") {
				want = ""
			}
			m, err := auth(t.Context(), info)
			if want == "" {
				if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q", strings.Fields(offered))) {
					t.Errorf("%s of %q: %v", name, offered, err)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s of %q: %v", name, offered, err)
				continue
			}
			got, first, err := m.Start()
			if got != want || err != nil || strings.HasPrefix(got, "SCRAM") && !strings.HasPrefix(string(first), "n,,n=user,r=") {
				t.Errorf("%s of %q: %s %q, %v", name, offered, got, first, err)
			}
		}
	}
}

// Where SASLprep allows no SCRAM, the password may still be shown.
func TestUnpreparedPassword(t *testing.T) {
	const password = "pass\U0001f511word"
	info := client.AuthInfo{Mechanisms: []string{"SCRAM-SHA-256", "PLAIN"}}
	if m, err := client.PasswordAuth("user", password)(t.Context(), info); err != nil {
		t.Error(err)
	} else if name, first, _ := m.Start(); name != "PLAIN" || string(first) != "\x00user\x00"+password {
		t.Errorf("%s %q", name, first)
	}
	for _, account := range [][2]string{{"user", password}, {password, "pencil"}, {"", "pencil"}, {"user", ""}} {
		_, err := client.ScramAuth(account[0], account[1])(t.Context(), info)
		if err == nil || strings.Contains(err.Error(), "\U0001f511") {
			t.Errorf("%q: %v", account, err)
		}
	}
}

// A password is hashed once for each salt, and a server that comes with ever new
// ones does not fill the memory.
func TestKeysAreKept(t *testing.T) {
	auth, salts := client.ScramAuthSalts("user", "pencil")
	exchange := func(salt, iterations int) time.Duration {
		m, err := auth(t.Context(), client.AuthInfo{Mechanisms: []string{"SCRAM-SHA-256"}})
		if err != nil {
			t.Fatal(err)
		}
		_, first, _ := m.Start()
		_, nonce, _ := strings.Cut(string(first), ",r=")
		began := time.Now()
		if _, err := m.Next(fmt.Appendf(nil, "r=%s,s=AAA%c,i=%d", nonce, 'A'+salt, iterations)); err != nil {
			t.Fatal(err)
		}
		return time.Since(began)
	}
	slow := exchange(0, 200_000)
	fast := slow
	for range 5 {
		fast = min(fast, exchange(0, 200_000))
	}
	if fast > slow/4 {
		t.Errorf("%v at first, %v with keys that are known", slow, fast)
	}
	if n := salts(); n != 1 {
		t.Errorf("%d salts", n)
	}
	for salt := range 25 {
		exchange(salt, 4096)
		if n := salts(); n > 9 {
			t.Errorf("%d salts", n)
		}
	}
}

// RFC 2195 §2, and no more than that.
func TestCRAMMD5(t *testing.T) {
	m, err := client.CRAMMD5Auth("tim", "tanstaaftanstaaf")(t.Context(), client.AuthInfo{})
	if err != nil {
		t.Fatal(err)
	}
	if name, first, err := m.Start(); name != "CRAM-MD5" || first != nil || err != nil {
		t.Errorf("%s %q, %v", name, first, err)
	}
	response, err := m.Next([]byte("<1896.697170952@postoffice.reston.mci.net>"))
	if string(response) != "tim b913a602c7eda7a495b4e6e7334d3890" || err != nil {
		t.Errorf("%q, %v", response, err)
	}
	if response, err := m.Next([]byte("<again@example.org>")); err == nil {
		t.Errorf("%q", response)
	}
	if _, err := client.CRAMMD5Auth("tim\r\n", "x")(context.Background(), client.AuthInfo{}); err == nil {
		t.Error("CRLF in a name")
	}
}

// Whatever a server says, it proves nothing unless it knows the password, and
// the client never hashes more than it may.
func FuzzSCRAMClient(f *testing.F) {
	const (
		server256 = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
		proof256  = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
	)
	f.Add(server256, proof256, "")
	f.Add(server256, "e=invalid-proof", proof256)
	f.Add(server256+",x=y", proof256+",x=y", "")
	f.Add("r=rOprNGfwEbeRWgbNEkqO,s=YQ==,i=2147483647", "v=", "m=x")
	f.Add("r=rOprNGfwEbeRWgbNEkqO,s=,i=4096", "v=====", "\x00")
	f.Add("", "", "")
	auth := client.ScramAuthNonce("user", "pencil", rfcNonce256)
	f.Fuzz(func(t *testing.T, first, second, third string) {
		if m, err := scram.ParseServerFirst(first); err == nil && m.Iterations > 5000 && m.Iterations <= 1_000_000 {
			return // allowed, and it takes long
		}
		m, err := auth(t.Context(), client.AuthInfo{Mechanisms: []string{"SCRAM-SHA-256"}})
		if err != nil {
			t.Fatal(err)
		}
		m.Start()
		complete := m.(interface{ Complete() error }).Complete
		for i, message := range []string{first, second, third} {
			response, err := m.Next([]byte(message))
			if complete() == nil && (first != server256 || !strings.HasPrefix(second, proof256)) {
				t.Fatalf("%q %q prove something", first, second)
			}
			if err == nil && (i == 2 || len(response) > 4000) {
				t.Fatalf("%q %q %q: %q", first, second, third, response)
			}
			if err != nil {
				return
			}
		}
	})
}
