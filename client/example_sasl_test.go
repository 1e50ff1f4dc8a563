package client_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/server/smtptest"
)

// authLines prints what the server heard of AUTH.
func authLines(s *smtptest.Server) {
	for line := range strings.Lines(strings.Join(s.Transcripts(), "")) {
		if strings.HasPrefix(line, "C: AUTH") {
			fmt.Print(line)
		}
	}
}

// The strongest mechanism that there is: here a SCRAM that is bound to the TLS
// connection.
func ExamplePasswordAuth() {
	s := start(smtptest.Submission)
	defer s.Close()

	c := &client.Client{Addr: s.Addr, TLSConfig: s.ClientTLSConfig(), Auth: client.PasswordAuth("alice", "secret")}
	defer c.Close()
	_, err := c.Send(context.Background(), env, content)
	fmt.Println(err)
	authLines(s)
	// Output:
	// <nil>
	// C: AUTH SCRAM-SHA-256-PLUS ***
}

// A client that never shows its password to a server.
func ExampleScramAuth() {
	s := start(smtptest.Submission, func(s *smtptest.Server) {
		s.Config.Auth = server.Passwords(func(_ context.Context, user, password string) error {
			fmt.Println("the server has seen", password)
			return nil
		})
	})
	defer s.Close()

	c := &client.Client{Addr: s.Addr, TLSConfig: s.ClientTLSConfig(), Auth: client.ScramAuth("alice", "secret")}
	defer c.Close()
	_, err := c.Connect(context.Background())
	fmt.Println(err)
	// Output: AUTH: the server offers no SCRAM that this connection can use: ["PLAIN" "LOGIN"]
}

// CRAM-MD5 is for servers that know nothing better.
func ExampleCRAMMD5Auth() {
	s := start(smtptest.Submission, func(s *smtptest.Server) {
		s.Config.Auth = server.CRAMMD5(func(context.Context, string) (string, error) { return "secret", nil })
	})
	defer s.Close()

	c := &client.Client{Addr: s.Addr, TLSConfig: s.ClientTLSConfig(), Auth: client.CRAMMD5Auth("alice", "secret")}
	defer c.Close()
	_, err := c.Send(context.Background(), env, content)
	fmt.Println(err)
	authLines(s)
	// Output:
	// <nil>
	// C: AUTH CRAM-MD5
}
