package smtp_test

import (
	"errors"
	"fmt"

	"github.com/postrider/postrider/smtp"
)

func ExampleReply() {
	r := smtp.Reply{Code: smtp.CodeNoMailbox, Enhanced: smtp.Enh(1, 1), Text: "no such user\nsee https://example.com/"}
	fmt.Println(r)
	fmt.Printf("%q\n", r.AppendTo(nil))

	r, err := smtp.ParseReply("452-4.5.3 too many recipients\r\n452 4.5.3 send them later\r\n")
	fmt.Println(r.Temporary(), r.EnhancedString(), err)
	for line := range r.Lines() {
		fmt.Println(line)
	}
	// Output:
	// 550 5.1.1 no such user / see https://example.com/
	// "550-5.1.1 no such user\r\n550 5.1.1 see https://example.com/\r\n"
	// true 4.5.3 <nil>
	// too many recipients
	// send them later
}

func ExampleEnhanced() {
	class, e, ok := smtp.ParseEnhanced("5.1.1")
	fmt.Println(class, e, ok, e == smtp.Enh(1, 1))
	var none smtp.Enhanced
	fmt.Println(none.IsZero(), smtp.Enh(0, 0).IsZero())
	// Output:
	// 5 x.1.1 true true
	// true false
}

func ExampleError() {
	deliver := func() error {
		return fmt.Errorf("storing: %w", smtp.Reject(smtp.CodeNoStorage, smtp.Enh(3, 1), "mailbox is full"))
	}
	var refused *smtp.Error
	if errors.As(deliver(), &refused) {
		fmt.Println(refused)
		fmt.Println(refused.Temporary())
	}
	// Output:
	// smtp: 452 4.3.1 mailbox is full
	// true
}

func ExampleScope() {
	err := &smtp.Error{
		Verb:  smtp.RCPT,
		Reply: smtp.Reply{Code: 550, Enhanced: smtp.Enh(1, 1), Text: "no such user"},
		Scope: smtp.ScopeRecipient,
	}
	fmt.Println(err.Scope, err)
	// Output: recipient smtp: RCPT: 550 5.1.1 no such user
}
