// Quickstart shows both ends of a mail in one program: a client sends a message
// with an attachment to a server. It prints what was said and what arrived.
package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"mime"
	"mime/multipart"
	"net"
	"net/textproto"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := run(ctx, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out io.Writer) error {
	cert, err := certificate()
	if err != nil {
		return err
	}
	// The server. The function gets each message as a stream, and only when it
	// returns nil does the client hear that the message was accepted.
	received := make(chan []byte, 1)
	deliver := server.Deliver(func(_ context.Context, m *server.Message) (smtp.Reply, error) {
		data, err := io.ReadAll(m)
		if err == nil {
			received <- data
		}
		return smtp.Reply{}, err
	})
	srv := &server.Server{
		Handler: server.HandlerFunc(func(ctx context.Context, c *server.Conn) (server.Session, error) {
			s, err := deliver.NewSession(ctx, c)
			return onlyBob{s}, err
		}),
		Role:      server.Submission,
		Hostname:  "mail.example.org",
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}},
		Auth: server.Passwords(func(_ context.Context, user, password string) error {
			if user != "ann" || password != "secret" {
				return server.ErrCredentials
			}
			return nil
		}),
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go srv.Serve(l)
	defer srv.Shutdown(ctx)

	// The client. Without being told otherwise it insists on STARTTLS.
	roots := x509.NewCertPool()
	roots.AddCert(cert.Leaf)
	c := &client.Client{
		Addr:      l.Addr().String(),
		TLSConfig: &tls.Config{RootCAs: roots},
		Auth:      client.PasswordAuth("ann", "secret"),
		Trace: &client.Trace{ // credentials never get here, but ***
			TLSDone:   func(client.ConnInfo, tls.ConnectionState, error) { fmt.Fprintln(out, "   (TLS from here on)") },
			Wrote:     func(_ client.ConnInfo, line string) { fmt.Fprintln(out, "C:", line) },
			WroteData: func(_ client.ConnInfo, octets int64) { fmt.Fprintf(out, "C: (%d octets of the message)\n", octets) },
			Got: func(_ client.ConnInfo, r smtp.Reply) {
				wire := strings.TrimSpace(string(r.AppendTo(nil)))
				fmt.Fprintln(out, "S:", strings.ReplaceAll(wire, "\r\n", "\nS: "))
			},
		},
	}
	env, err := smtp.NewEnvelope("ann@example.org", "bob@example.org", "nobody@example.org")
	if err != nil {
		return err
	}
	result, err := c.Send(ctx, env, smtp.BytesContent(message()))
	c.Close() // says QUIT on the connection that was kept
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "\nOutcome:")
	for _, r := range result.Recipients {
		fmt.Fprintf(out, "%v delivered: %t, the server said %v\n", r.To, r.Delivered(), r.Reply)
	}
	fmt.Fprintf(out, "\nReceived:\n%s", <-received)
	return nil
}

// onlyBob wraps a session, to refuse everybody else.
type onlyBob struct{ server.Session }

func (s onlyBob) Rcpt(ctx context.Context, to smtp.ForwardPath, p *smtp.RcptParams) (smtp.Reply, error) {
	if to.Local != "bob" {
		return smtp.Reply{}, smtp.Reject(550, smtp.Enh(1, 1), "no such user")
	}
	return s.Session.Rcpt(ctx, to, p)
}

// message returns a text with an attachment. To write to memory does not fail.
func message() []byte {
	var b bytes.Buffer
	parts := multipart.NewWriter(&b)
	fmt.Fprintf(&b, "Date: %s\r\nFrom: Ann <ann@example.org>\r\nTo: Bob <bob@example.org>\r\n", time.Now().Format(time.RFC1123Z))
	fmt.Fprintf(&b, "Subject: %s\r\nMessage-ID: <%s@example.org>\r\n", mime.QEncoding.Encode("utf-8", "Grüße, Bob"), rand.Text())
	fmt.Fprintf(&b, "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=%s\r\n\r\n", parts.Boundary())
	text, _ := parts.CreatePart(textproto.MIMEHeader{"Content-Type": {"text/plain; charset=utf-8"}, "Content-Transfer-Encoding": {"8bit"}})
	fmt.Fprint(text, "Schöne Grüße, the numbers are attached.\r\n")
	file, _ := parts.CreatePart(textproto.MIMEHeader{"Content-Type": {"text/csv"}, "Content-Transfer-Encoding": {"base64"},
		"Content-Disposition": {`attachment; filename="numbers.csv"`}})
	for chunk := range slices.Chunk([]byte("month,messages\nJanuary,1402\nFebruary,1377\nMarch,1590\n"), 57) {
		fmt.Fprintf(file, "%s\r\n", base64.StdEncoding.EncodeToString(chunk)) // 76 characters, RFC 2045 §6.8
	}
	parts.Close()
	return b.Bytes()
}

// certificate makes one that signs itself.
func certificate() (tls.Certificate, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf, err := x509.ParseCertificate(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private, Leaf: leaf}, err
}
