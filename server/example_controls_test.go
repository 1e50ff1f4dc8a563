package server_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/postrider/postrider/server"
)

// A server uses new files for the handshakes that come after them.
func ExampleCertificate() {
	dir, err := os.MkdirTemp("", "certificate")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	chain, key := filepath.Join(dir, "fullchain.pem"), filepath.Join(dir, "privkey.pem")
	place(chain, first.cert)
	place(key, first.key)

	cert, err := server.LoadCertificate(chain, key)
	if err != nil {
		panic(err)
	}
	srv := &server.Server{
		Hostname:  "mx.example",
		Handler:   discard,
		TLSConfig: &tls.Config{GetCertificate: cert.GetCertificate},
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go srv.ServeTLS(l)
	defer srv.Close()
	shake := func() {
		conn, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		fmt.Println(conn.ConnectionState().PeerCertificates[0].DNSNames)
	}

	shake()
	place(chain, second.cert)
	place(key, second.key)
	if err := cert.Reload(); err != nil { // or wait five seconds
		panic(err)
	}
	shake()
	// Output:
	// [first.example]
	// [second.example]
}

// Whoever speaks before the greeting is refused.
func ExampleEarlyTalker() {
	srv := &server.Server{
		Hostname:    "mx.example",
		Handler:     discard,
		EarlyTalker: server.EarlyRefuse,
		Limits:      server.Limits{GreetingDelay: 10 * time.Second}, // for those who wait
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go srv.Serve(l)
	defer srv.Close()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "EHLO client.example\r\nMAIL FROM:<a@example.org>\r\n")
	for replies := bufio.NewScanner(conn); replies.Scan(); {
		fmt.Println(replies.Text())
		if replies.Text()[:3] == "503" {
			break
		}
	}
	// Output:
	// 554 you spoke before the greeting
	// 503 this connection was refused, send QUIT
}
