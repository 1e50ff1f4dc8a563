package smtptest_test

import (
	"fmt"
	"net"
	"net/smtp"
	"strings"

	"github.com/postrider/postrider/server/smtptest"
)

// A client is held against a conversation: what it must send, and what the
// server says to that.
func ExampleScript() {
	script, err := smtptest.ParseScript(strings.NewReader(`
		S: 220 mx.example.com
		C: EHLO *
		S: 250 mx.example.com
		C: MAIL FROM:<alice@example.org>
		S: 451 4.3.0 try later
	`))
	if err != nil {
		fmt.Println(err)
		return
	}
	near, far := net.Pipe()
	go func() {
		c, err := smtp.NewClient(near, "mx.example.com")
		if err == nil {
			fmt.Println("client:", c.Mail("alice@example.com"))
		}
		near.Close()
	}()
	err = script.PlayServer(far)
	fmt.Println("server:", strings.SplitN(err.Error(), "\n", 3)[1])
	far.Close()

	// Output:
	// server: awaited "MAIL FROM:<alice@example.org>", got "MAIL FROM:<alice@example.com>"
}
