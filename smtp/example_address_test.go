package smtp_test

import (
	"errors"
	"fmt"

	"github.com/postrider/postrider/smtp"
)

func ExampleMailbox() {
	m, err := smtp.ParseMailbox(`"jane doe"@bücher.example`)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(m.Local)
	fmt.Println(m)
	a, err := m.ToASCII()
	fmt.Println(a, err)
	fmt.Println(m.Equal(a))
	// Output:
	// jane doe
	// "jane doe"@bücher.example
	// "jane doe"@xn--bcher-kva.example <nil>
	// true
}

func ExampleMailbox_Literal() {
	m, _ := smtp.ParseMailbox("postmaster@[IPv6:2001:db8::1]")
	fmt.Println(m.Literal())
	// Output: 2001:db8::1 true
}

func ExampleReversePath() {
	var null smtp.ReversePath
	fmt.Println(null, null.IsNull())
	p, err := smtp.ParseReversePath("<@relay.example,@hub.example:jane@example.com>")
	fmt.Println(p, err)
	// Output:
	// <> true
	// <jane@example.com> <nil>
}

func ExampleForwardPath() {
	p, err := smtp.ParseForwardPath("<Postmaster>")
	fmt.Println(p, p.IsPostmaster(), err)
	_, err = smtp.ParseForwardPath("<jane@example..com>")
	fmt.Println(err)
	// Output:
	// <Postmaster> true <nil>
	// smtp: offset 14: domain label is empty
}

func ExampleEnvelope() {
	e, err := smtp.NewEnvelope("jane@example.com", "john@example.net", "<postmaster>")
	if err != nil {
		fmt.Println(err)
		return
	}
	e.MailParams.Size = 2048
	fmt.Printf("%q\n", smtp.AppendMail(nil, e.From, &e.MailParams))
	for _, r := range e.Recipients {
		fmt.Printf("%q\n", smtp.AppendRcpt(nil, r.To, &r.RcptParams))
	}
	e.MailParams.EnvID = "x\r\nRSET"
	fmt.Println(e.Validate())
	// Output:
	// "MAIL FROM:<jane@example.com> SIZE=2048\r\n"
	// "RCPT TO:<john@example.net>\r\n"
	// "RCPT TO:<postmaster>\r\n"
	// smtp: ENVID is not printable ASCII
}

func ExampleRecipient() {
	to, err := smtp.ParseForwardPath("jane@example.com")
	r := smtp.Recipient{To: to, RcptParams: smtp.RcptParams{Notify: smtp.NotifyNever}}
	fmt.Println(r.To, r.RcptParams.Notify, err)
	// Output: <jane@example.com> NEVER <nil>
}

func ExampleSyntaxError() {
	_, err := smtp.ParseMail("FROM:<jane@-example.com>", nil, nil)
	var syntax *smtp.SyntaxError
	if errors.As(err, &syntax) {
		fmt.Println(syntax)
		fmt.Println(syntax.Reply())
	}
	// Output:
	// smtp: offset 11: domain label begins with a hyphen
	// 501 5.1.7 domain label begins with a hyphen (offset 11)
}
