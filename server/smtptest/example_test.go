package smtptest_test

import (
	"context"
	"fmt"
	"net"
	"net/smtp"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/server/smtptest"
)

// notify is the code under test: it sends a message, and tries once more when
// the server asks for that.
func notify(addr string) error {
	body := []byte("Subject: =?utf-8?q?Caf=C3=A9?=\r\n\r\nIt is open.\r\n")
	err := smtp.SendMail(addr, nil, "service@example.org", []string{"bob@example.com"}, body)
	if err != nil && strings.HasPrefix(err.Error(), "4") {
		err = smtp.SendMail(addr, nil, "service@example.org", []string{"bob@example.com"}, body)
	}
	return err
}

// What a test with a test server looks like.
func ExampleNewServer() {
	_ = func(t *testing.T) { // TestNotify
		s := smtptest.NewServer(t, smtptest.NoTLS)
		s.Fault(smtptest.On("RCPT").Reply(451, "4.3.0", "try later").Times(1))
		if err := notify(s.Addr); err != nil {
			t.Fatal(err)
		}
		if m := s.Messages(); len(m) != 1 || m[0].To()[0] != "bob@example.com" {
			t.Errorf("sent %v", m)
		}
	}
	// Output:
}

func ExampleServer() {
	s := smtptest.NewUnstartedServer()
	if err := s.Start(); err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()

	c, err := smtp.Dial(s.Addr)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	fmt.Println(c.StartTLS(s.ClientTLSConfig()), c.Mail("alice@example.org"), c.Rcpt("bob@example.com"))
	w, err := c.Data()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Fprint(w, "Subject: hello\r\n\r\n")
	fmt.Println(w.Close(), c.Quit())

	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	messages, err := s.Wait(ctx, 1)
	fmt.Println(len(messages), err, messages[0].TLS)
	// Output:
	// <nil> <nil> <nil>
	// <nil> <nil>
	// 1 <nil> true
}

func ExampleMessage() {
	s := smtptest.NewUnstartedServer()
	smtptest.NoTLS(s)
	if err := s.Start(); err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	if err := notify(s.Addr); err != nil {
		fmt.Println(err)
		return
	}
	m := s.Messages()[0]
	fmt.Println(m.From(), "to", m.To())
	fmt.Println(m.Header("Subject"))
	fmt.Printf("%q\n", m.Data)
	// Output:
	// service@example.org to [bob@example.com]
	// Café
	// "Subject: =?utf-8?q?Caf=C3=A9?=\r\n\r\nIt is open.\r\n"
}

func ExampleFault() {
	s := smtptest.NewUnstartedServer()
	smtptest.NoTLS(s)
	if err := s.Start(); err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	hits := s.Fault(smtptest.On("RCPT").Reply(451, "4.3.0", "try later").Times(1))
	s.Fault(smtptest.On("RCPT").For("nobody@example.com").Reply(550, "5.1.1", "no such user"))
	s.Fault(smtptest.InData(1 << 20).Drop())
	s.Fault(smtptest.AfterData().Delay(time.Millisecond).Reply(250, "2.0.0", "queued as 1"))

	fmt.Println(notify(s.Addr), "after", hits(), "refusal")
	fmt.Println(smtp.SendMail(s.Addr, nil, "", []string{"nobody@example.com"}, nil))
	// Output:
	// <nil> after 1 refusal
	// 550 "5.1.1 no such user"
}

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
			c.Mail("alice@example.com") // not whom the script awaits
		}
		near.Close()
	}()
	err = script.PlayServer(far)
	far.Close()
	fmt.Println(strings.Split(err.Error(), "\n")[1])
	// Output:
	// awaited "MAIL FROM:<alice@example.org>", got "MAIL FROM:<alice@example.com>"
}
