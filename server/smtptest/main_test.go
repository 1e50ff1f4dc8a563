package smtptest

import (
	"io"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/secrettest"
	"github.com/postrider/postrider/server"
)

// TestMain also fails when a transcript or a log of the whole run shows a
// credential.
func TestMain(m *testing.M) {
	secrettest.Account("alice", "secret")
	secrettest.Token("alice", "t0k3n")
	os.Exit(secrettest.Main(m))
}

// newServer is NewServer, watched to its end.
func newServer(t testing.TB, configure ...func(*Server)) *Server {
	t.Helper()
	var s *Server
	t.Cleanup(func() {
		if s != nil {
			io.WriteString(secrettest.Seen, strings.Join(s.Transcripts(), "\n"))
		}
	})
	s = NewServer(t, append(configure, watch)...)
	return s
}

// watch makes TestMain see what the server's own observers see.
func watch(s *Server) {
	debug := &slog.HandlerOptions{Level: slog.LevelDebug}
	log, own := server.LogObserver(slog.New(slog.NewTextHandler(secrettest.Seen, debug))), s.Config.Observer
	s.Config.Observer = server.ObserverFunc(func(e server.Event) {
		if log.Observe(e); own != nil {
			own.Observe(e)
		}
	})
}
