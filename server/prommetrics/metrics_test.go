package prommetrics_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/postrider/postrider/internal/leaktest"
	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/server/prommetrics"
	"github.com/postrider/postrider/smtp"
)

func TestMain(m *testing.M) { os.Exit(leaktest.Main(m)) }

// scrape returns what Prometheus would get, as a map from metric to value.
func scrape(m *prommetrics.Metrics) map[string]string {
	registry := prometheus.NewRegistry()
	registry.MustRegister(m)
	answer := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	values := map[string]string{}
	for line := range strings.Lines(answer.Body.String()) {
		if i := strings.LastIndexByte(line, ' '); !strings.HasPrefix(line, "#") && i > 0 {
			values[strings.TrimPrefix(line[:i], "smtp_server_")] = strings.TrimSpace(line[i+1:])
		}
	}
	return values
}

// serve serves on loopback, says each of the lines as one client, and waits for
// the end of the connection.
func serve(srv *server.Server, lines ...string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	done := make(chan error)
	go func() { done <- srv.Serve(l) }()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return err
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	in.ReadString('\n')
	for _, line := range lines {
		io.WriteString(conn, strings.ReplaceAll(line, "\n", "\r\n")+"\r\n")
		in.ReadString('\n')
	}
	conn.(*net.TCPConn).CloseWrite() // to close with replies unread would reset the connection
	io.Copy(io.Discard, in)
	srv.Shutdown(context.Background())
	if err := <-done; !errors.Is(err, server.ErrServerClosed) {
		return err
	}
	return nil
}

// discard takes every message but those to nobody.
var discard = server.Deliver(func(_ context.Context, m *server.Message) (smtp.Reply, error) {
	_, err := io.Copy(io.Discard, m)
	if err == nil && m.Envelope.Recipients[0].To.Local == "nobody" {
		err = smtp.Reject(550, smtp.Enh(1, 1), "nobody is not here")
	}
	return smtp.Reply{}, err
})

// What Prometheus gets after one connection.
func ExampleMetrics() {
	metrics := prommetrics.New()
	srv := &server.Server{Hostname: "mx.example", Handler: discard, Observer: metrics}
	if err := serve(srv, "HELO client.example", "MAIL FROM:<>", "RCPT TO:<bob@example.com>", "DATA", "Hello!\n.", "QUIT"); err != nil {
		fmt.Println(err)
	}
	values := scrape(metrics)
	for _, name := range []string{
		`connections_total`, `commands_total{verb="MAIL"}`, `replies_total{code="250",verb="DATA"}`,
		`messages_total{outcome="accepted"}`, `message_size_bytes_sum`, `recipients_total{outcome="accepted"}`,
	} {
		fmt.Println(name, values[name])
	}
	// Output:
	// connections_total 1
	// commands_total{verb="MAIL"} 1
	// replies_total{code="250",verb="DATA"} 1
	// messages_total{outcome="accepted"} 1
	// message_size_bytes_sum 8
	// recipients_total{outcome="accepted"} 1
}

func TestMetrics(t *testing.T) {
	m := prommetrics.New()
	if v := scrape(m); v["connections"] != "0" || v[`messages_total{outcome="accepted"}`] != "0" {
		t.Errorf("at the beginning: %v", v)
	}
	srv := &server.Server{
		Hostname: "mx.example", Handler: discard, Observer: m,
		Limits: server.Limits{MaxErrors: 3, MaxRecipients: 2},
		Logger: slog.New(slog.DiscardHandler),
	}
	if err := serve(srv,
		"HELO client.example", "MAIL FROM:<>", "RCPT TO:<nobody@example.com>", "RCPT TO:<b@example.com>", "RCPT TO:<c@example.com>",
		"DATA", "text\n.", "MAIL FROM:<>", "RCPT TO:<b@example.com>", "DATA", strings.Repeat("x", 4998)+"\n.",
		"EVIL\"} 7\nevil_total{verb=\"x", "x\x80y", "NOOP", "NONSENSE"); err != nil {
		t.Fatal(err)
	}
	got := scrape(m)
	for name, want := range map[string]string{
		"connections": "0", "connections_total": "1", "connections_failed_total": "1", "connection_duration_seconds_count": "1",
		`commands_total{verb="HELO"}`: "1", `commands_total{verb="RCPT"}`: "4", `commands_total{verb="other"}`: "4", `commands_total{verb="NOOP"}`: "1",
		`replies_total{code="220",verb="none"}`: "1", `replies_total{code="452",verb="RCPT"}`: "1", `replies_total{code="550",verb="DATA"}`: "1",
		`replies_total{code="354",verb="DATA"}`: "2", `replies_total{code="500",verb="none"}`: "3", `replies_total{code="421",verb="none"}`: "1",
		`messages_total{outcome="accepted"}`: "1", `messages_total{outcome="refused"}`: "1",
		`recipients_total{outcome="accepted"}`: "1", `recipients_total{outcome="refused"}`: "2",
		"message_size_bytes_sum": "5000", "message_size_bytes_count": "1", `message_size_bytes_bucket{le="4096"}`: "0", `message_size_bytes_bucket{le="16384"}`: "1",
		"refused_bytes_total":                  "6",
		`limits_total{code="452",verb="RCPT"}`: "1", `limits_total{code="421",verb="none"}`: "1",
		`tls_handshakes_total{outcome="ok"}`: "0", "proxy_failures_total": "0",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
	for name := range got {
		if strings.Contains(strings.ToLower(name), "evil") {
			t.Errorf("a label from the client: %s", name)
		}
	}
}

// Each kind of event is counted, or left out on purpose.
func TestEveryKindIsCounted(t *testing.T) {
	for kind := server.ConnOpened; kind.String() != server.EventKind(255).String(); kind++ {
		m := prommetrics.New()
		before := fmt.Sprint(scrape(m))
		m.Observe(server.Event{Kind: kind, Conn: new(server.Conn), Recipients: 1, Size: 1, Err: io.EOF, Reply: smtp.Reply{Code: 250}, Verb: smtp.MAIL})
		if fmt.Sprint(scrape(m)) == before {
			t.Errorf("%v is not counted", kind)
		}
	}
}

// Whatever an event holds, the labels are few.
func TestLabelsAreBounded(t *testing.T) {
	m := prommetrics.New()
	for i := range 3000 {
		for _, kind := range []server.EventKind{server.CommandReceived, server.ReplySent, server.LimitHit} {
			m.Observe(server.Event{Kind: kind, Verb: smtp.Verb(fmt.Sprint("X-", i)), Reply: smtp.Reply{Code: i - 1000}})
		}
	}
	if n := len(scrape(m)); n > 1000 {
		t.Errorf("%d series", n)
	}
}
