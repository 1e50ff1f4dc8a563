// Quickstart shows both ends of a mail in one program: a client signs a message
// with an attachment and sends it to a server, which finds out who vouches for
// it. It prints what was said, what was found out and what arrived.
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
	"net"
	"os"
	"strings"
	"time"

	"github.com/postrider/postrider/auth"
	"github.com/postrider/postrider/auth/dkim"
	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/mx/dns/dnstest"
	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/server/middleware"
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
	// What example.org publishes: who may send, a key, what becomes of other mail.
	key, err := dkim.GenerateKey(dkim.Ed25519, 0)
	if err != nil {
		return err
	}
	record, err := dkim.Record(key)
	if err != nil {
		return err
	}
	zone := dnstest.MustParse(fmt.Sprintf(`
		example.org                TXT "v=spf1 ip4:127.0.0.1 -all"
		key1._domainkey.example.org TXT %q
		_dmarc.example.org         TXT "v=DMARC1; p=reject"`, record))
	// The server. The function gets each message as a stream, and only when it
	// returns nil does the client hear that the message was accepted.
	verifier := &auth.Verifier{Resolver: zone, AuthServID: "mail.example.org"}
	received := make(chan string, 1)
	deliver := server.Deliver(func(ctx context.Context, m *server.Message) (smtp.Reply, error) {
		var data bytes.Buffer
		info := m.Conn.Info()
		found, err := verifier.Verify(ctx, auth.NewPeer(info.RemoteAddr, info.Hello), m.Envelope.From, io.TeeReader(m, &data))
		if err == nil {
			received <- found.Header() + data.String()
		}
		return smtp.Reply{}, err
	})
	onlyBob := middleware.Recipients(middleware.RecipientsOptions{Domains: []string{"example.org"}, Addresses: []string{"bob@example.org"}})
	srv := &server.Server{
		Handler:   onlyBob(deliver),
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
				fmt.Fprintln(out, "S:", strings.ReplaceAll(strings.TrimSpace(string(r.AppendTo(nil))), "\r\n", "\nS: "))
			},
		},
	}
	env, err := smtp.NewEnvelope("ann@example.org", "bob@example.org", "nobody@example.org")
	if err != nil {
		return err
	}
	signed, err := dkim.Sign(smtp.BytesContent(message()), &dkim.Signer{Domain: "example.org", Selector: "key1", Key: key})
	if err != nil {
		return err
	}
	result, err := c.Send(ctx, env, signed)
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

// message returns a text with an attachment.
func message() []byte {
	return fmt.Appendf(nil, "Date: %s\r\nMessage-ID: <%s@example.org>\r\nFrom: Ann <ann@example.org>\r\nTo: Bob <bob@example.org>\r\n"+
		"Subject: %s\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=next\r\n\r\n"+
		"--next\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"+
		"Schöne Grüße, the numbers are attached.\r\n\r\n"+
		"--next\r\nContent-Type: text/csv\r\nContent-Disposition: attachment; filename=\"numbers.csv\"\r\n"+
		"Content-Transfer-Encoding: base64\r\n\r\n%s\r\n--next--\r\n",
		time.Now().Format(time.RFC1123Z), rand.Text(), mime.QEncoding.Encode("utf-8", "Grüße, Bob"),
		base64.StdEncoding.EncodeToString([]byte("month,messages\nJanuary,1402\nFebruary,1377\nMarch,1590\n")))
}

// certificate makes one that signs itself. Randomness does not fail.
func certificate() (tls.Certificate, error) {
	_, key, _ := ed25519.GenerateKey(nil)
	template := &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf, err := x509.ParseCertificate(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, err
}
