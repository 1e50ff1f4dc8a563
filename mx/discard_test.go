package mx_test

import (
	"context"
	"io"

	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// discard takes every message and keeps none.
var discard = server.Deliver(func(_ context.Context, m *server.Message) (smtp.Reply, error) {
	_, err := io.Copy(io.Discard, m.Body)
	return smtp.Reply{}, err
})
