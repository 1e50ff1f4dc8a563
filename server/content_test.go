package server_test

import (
	"context"
	"io"
	"testing"

	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// A message that somebody has begun to read gets no Received field in its middle.
func TestNoReceivedInTheMiddle(t *testing.T) {
	text := ""
	deliver := server.Deliver(func(_ context.Context, m *server.Message) (smtp.Reply, error) {
		octets, err := io.ReadAll(m)
		text = string(octets)
		return smtp.Reply{}, err
	})
	s := start(t, func(s *testServer) {
		s.Handler = server.HandlerFunc(func(ctx context.Context, c *server.Conn) (server.Session, error) {
			inner, err := deliver.NewSession(ctx, c)
			return &taster{inner}, err
		})
	})
	p := s.hello()
	p.send(transaction + "BDAT 12 LAST\nA: b\n\ntext")
	p.expect("250", "250", "250")
	want(t, "behind what was read", text, "b\r\n\r\ntext")
}

// A taster reads the beginning of each message.
type taster struct{ server.Session }

func (s *taster) Data(ctx context.Context, b *server.Body) (smtp.Reply, error) {
	if _, err := io.ReadFull(b, make([]byte, 3)); err != nil {
		return smtp.Reply{}, err
	}
	return s.Session.Data(ctx, b)
}
