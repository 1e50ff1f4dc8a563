package tlsrpt_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/mx/internal/webtest"
	"github.com/postrider/postrider/mx/tlsrpt"
)

// What crypto/tls says of servers that are not as they should be.
func TestResultOf(t *testing.T) {
	ca := webtest.NewCA()
	const name = "mx.example.org"
	good := ca.Issue(nil, name)
	for _, tt := range []struct {
		section string
		cert    tls.Certificate
		max     uint16
		want    tlsrpt.ResultType
		reason  string
	}{
		{"§4.3.1", ca.Issue(nil, "mx.example.net"), 0, tlsrpt.CertificateHostMismatch, "another name"},
		{"§4.3.1", ca.Issue(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }, name), 0, tlsrpt.CertificateExpired, "expired"},
		{"§4.3.1", ca.Issue(func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) }, name), 0, tlsrpt.CertificateExpired, "not valid yet"},
		{"§4.3.1", webtest.NewCA().Issue(nil, name), 0, tlsrpt.CertificateNotTrusted, "unknown authority"},
		{"§4.3.1", ca.Issue(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }, name), 0, tlsrpt.CertificateNotTrusted, "not for servers"},
		{"§4.3.3", good, tls.VersionTLS11, tlsrpt.ValidationFailure, "protocol version"},
	} {
		srv := webtest.ServeConns(func(conn net.Conn) {
			tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{tt.cert}, MinVersion: tls.VersionTLS10, MaxVersion: tt.max}).Handshake()
		})
		got, reason := tlsrpt.ResultOf(fmt.Errorf("client: %w", handshake(t, srv, &tls.Config{ServerName: name, RootCAs: ca.Pool()})))
		if got != tt.want || !strings.Contains(reason, tt.reason) {
			t.Errorf("%s: %s %q, want %s %q", tt.section, got, reason, tt.want, tt.reason)
		}
		srv.Close()
	}

	plaintext := webtest.ServeConns(func(conn net.Conn) {
		io.WriteString(conn, "454 4.7.0 not now\r\n")
		io.Copy(io.Discard, conn)
	})
	defer plaintext.Close()
	if got, reason := tlsrpt.ResultOf(handshake(t, plaintext, &tls.Config{ServerName: name})); got != tlsrpt.ValidationFailure || !strings.Contains(reason, "not TLS") {
		t.Errorf("no TLS: %s %q", got, reason)
	}
	// Names from certificates, and texts from anywhere, stay out.
	for _, err := range []error{
		x509.CertificateInvalidError{Cert: &x509.Certificate{}, Reason: x509.CANotAuthorizedForThisName, Detail: "secret"},
		x509.CertificateInvalidError{Cert: &x509.Certificate{}, Reason: x509.NotAuthorizedToSign, Detail: "secret"},
		x509.CertificateInvalidError{Cert: &x509.Certificate{}, Reason: x509.TooManyIntermediates, Detail: "secret"},
		x509.CertificateInvalidError{Cert: &x509.Certificate{}, Reason: x509.NameMismatch, Detail: "secret"},
		x509.CertificateInvalidError{Cert: &x509.Certificate{}, Reason: x509.NoValidChains, Detail: "secret"},
		x509.CertificateInvalidError{Cert: &x509.Certificate{}, Reason: 99, Detail: "secret"},
		&tls.CertificateVerificationError{Err: errors.New("secret")},
		errors.New("secret"),
	} {
		got, reason := tlsrpt.ResultOf(err)
		if strings.Contains(reason, "secret") || reason == "" || got != tlsrpt.CertificateNotTrusted && err.Error() != "secret" {
			t.Errorf("%v: %s %q", err, got, reason)
		}
	}
}

func handshake(t *testing.T, srv *webtest.Server, config *tls.Config) error {
	t.Helper()
	conn, err := srv.Dial(t.Context(), "tcp", "192.0.2.1:25")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err = tls.Client(conn, config).HandshakeContext(ctx); err == nil {
		t.Fatal("the handshake went well")
	}
	return err
}
