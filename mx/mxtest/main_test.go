package mxtest_test

import (
	"os"
	"testing"

	"github.com/postrider/postrider/internal/leaktest"
	"github.com/postrider/postrider/mx"
	"github.com/postrider/postrider/smtp"
)

func TestMain(m *testing.M) { os.Exit(leaktest.Main(m)) }

// message returns one to these recipients.
func message(t testing.TB, to ...string) *mx.Message {
	t.Helper()
	env, err := smtp.NewEnvelope("from@example.com", to...)
	if err != nil {
		t.Fatal(err)
	}
	return &mx.Message{Envelope: env, Content: smtp.BytesContent([]byte("Subject: test\r\n\r\nHello.\r\n"))}
}
