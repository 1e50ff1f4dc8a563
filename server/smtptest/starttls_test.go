package smtptest

import (
	"context"
	"crypto/tls"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/memnet"
)

// tlsPlayers plays client and server against each other, with TLS for both.
func tlsPlayers(t *testing.T, client, server string) (clientErr, serverErr error) {
	t.Helper()
	cert := NewUnstartedServer()
	l := memnet.Listen()
	done := make(chan error)
	go func() {
		conn, err := l.Accept()
		if err == nil {
			s := parse(t, server)
			s.TLSConfig = &tls.Config{Certificates: cert.Config.TLSConfig.Certificates}
			err = s.PlayServer(conn)
			conn.Close()
		}
		done <- err
	}()
	conn, err := l.Dial(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	c := parse(t, client)
	c.TLSConfig = cert.ClientTLSConfig()
	clientErr = c.PlayClient(conn)
	conn.Close()
	return clientErr, <-done
}

func TestScriptStartTLS(t *testing.T) {
	const script = "S: 220 mx\nC: STARTTLS\nS: 220 go\n<starttls>\nC: NOOP\nC: QUIT\nS: 250 OK\nS: 221 bye\nS: <close>"
	if c, s := tlsPlayers(t, script, script); c != nil || s != nil {
		t.Errorf("client: %v\nserver: %v", c, s)
	}
	// Octets before the handshake, as somebody in the middle would put them
	// there (CVE-2011-0411), do not go unseen on either side.
	injected := strings.Replace(script, "S: 220 go", "S: 220 go\nS: 250 injected", 1)
	if err, _ := tlsPlayers(t, script, injected); err == nil || !strings.Contains(err.Error(), `before the handshake came "250 injected\r\n"`) {
		t.Errorf("the client: %v", err)
	}
	injected = strings.Replace(script, "C: STARTTLS", "C: STARTTLS\nC: RSET", 1)
	if _, err := tlsPlayers(t, injected, script); err == nil || !strings.Contains(err.Error(), `before the handshake came "RSET\r\n"`) {
		t.Errorf("the server: %v", err)
	}
	if c, s := tlsPlayers(t, "<starttls>", "S: no TLS"); c == nil || !strings.Contains(c.Error(), "TLS handshake: ") {
		t.Errorf("client: %v\nserver: %v", c, s)
	}
}
