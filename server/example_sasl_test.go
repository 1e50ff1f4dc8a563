package server_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// users stands for a table of a database: a name and a credential as text.
var users = map[string]string{
	"alice": "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
}

// A server over a database of passwords, none of which it can read.
func ExampleCredentials() {
	srv := &server.Server{
		Role:    server.Submission,
		Handler: discard,
		Auth: &server.Credentials{
			Lookup: func(_ context.Context, user string) (c server.Credential, err error) {
				text, ok := users[user] // SELECT credential FROM users WHERE name = $1
				if !ok {
					return c, server.ErrCredentials
				}
				err = c.UnmarshalText([]byte(text))
				return c, err
			},
		},
		PlaintextAuthOnLoopback: true,
	}

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	go srv.Serve(l)
	defer srv.Close()
	for _, password := range []string{"pencil", "crayon"} {
		c := &client.Client{Addr: l.Addr().String(), TLSMode: client.Plaintext, Auth: client.ScramAuth("alice", password)}
		conn, err := c.Connect(context.Background())
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println("welcome")
		conn.Close()
	}
	// Output:
	// welcome
	// AUTH SCRAM-SHA-256: smtp: AUTH: 535 5.7.8 authentication credentials invalid
}

// What a program that adds a user writes to the database.
func ExampleCredential() {
	c, err := server.NewCredential("correct horse battery staple", 0)
	if err != nil {
		fmt.Println(err) // a password that SASLprep does not allow
		return
	}
	fmt.Println(c) // shows no key
	text, err := c.MarshalText()
	fmt.Println(len(text), err)
	// Output:
	// SCRAM-SHA-256$100000:***
	// 135 <nil>
}

// Machines log in with certificates, people with passwords.
func ExampleExternal() {
	srv := &server.Server{
		Hostname: "mx.example",
		Handler:  discard,
		TLSConfig: &tls.Config{
			Certificates: serverTLS.Certificates,
			ClientAuth:   tls.VerifyClientCertIfGiven,
			ClientCAs:    x509.NewCertPool(), // of the issuer of the machines' certificates
		},
		Auth: server.Authenticators(
			server.External(func(_ context.Context, _ *server.Conn, cert *x509.Certificate, authzid string) (string, error) {
				if len(cert.DNSNames) != 1 || authzid != "" {
					return "", server.ErrCredentials
				}
				return cert.DNSNames[0], nil
			}),
			server.Passwords(func(context.Context, string, string) error { return server.ErrCredentials }),
		),
		PlaintextAuthOnLoopback: true,
	}
	converse(srv, "EHLO client.example") // without a certificate
	// Output:
	// S: 220 mx.example ESMTP
	// C: EHLO client.example
	// S: 250-mx.example
	// S: 250-PIPELINING
	// S: 250-SIZE 67108864
	// S: 250-8BITMIME
	// S: 250-ENHANCEDSTATUSCODES
	// S: 250-CHUNKING
	// S: 250-LIMITS RCPTMAX=1000
	// S: 250-STARTTLS
	// S: 250 AUTH PLAIN LOGIN
}

// An old program on this machine that knows nothing else.
func ExampleCRAMMD5() {
	srv := &server.Server{
		Handler: server.Deliver(func(_ context.Context, m *server.Message) (smtp.Reply, error) {
			fmt.Println("from", m.Conn.Identity(), "by", m.Conn.Info().Mechanism)
			return smtp.Reply{}, nil
		}),
		Auth: server.CRAMMD5(func(_ context.Context, user string) (string, error) {
			if user != "scanner" {
				return "", server.ErrCredentials
			}
			return "tanstaaftanstaaf", nil
		}),
		PlaintextAuthOnLoopback: true,
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	go srv.Serve(l)
	defer srv.Close()
	c := &client.Client{Addr: l.Addr().String(), TLSMode: client.Plaintext, Auth: client.CRAMMD5Auth("scanner", "tanstaaftanstaaf")}
	defer c.Close()
	env, _ := smtp.NewEnvelope("scanner@example.org", "alice@example.org")
	_, err = c.Send(context.Background(), env, smtp.BytesContent([]byte("Subject: a page\r\n\r\n")))
	fmt.Println(err)
	// Output:
	// from scanner by CRAM-MD5
	// <nil>
}
