package smtp_test

import (
	"errors"
	"fmt"

	"github.com/postrider/postrider/smtp"
)

func ExampleVerb() {
	verb, arg, ok := smtp.ParseVerb([]byte("rcpt TO:<jane@example.com> "))
	fmt.Println(verb == smtp.RCPT, string(arg), ok)
	// Output: true TO:<jane@example.com> true
}

func ExampleMailParams() {
	offers := smtp.Offers{smtp.ExtSize: "", smtp.Ext8BitMIME: ""}
	var p smtp.MailParams
	from, err := smtp.ParseMail("FROM:<jane@example.com> SIZE=2048 body=8bitmime", offers, &p)
	fmt.Println(from, p.Size, p.Body, err)
	_, err = smtp.ParseMail("FROM:<jane@example.com> RET=HDRS", offers, &p)
	fmt.Println(err)
	// Output:
	// <jane@example.com> 2048 8BITMIME <nil>
	// smtp: offset 24: parameter not offered here
}

func ExampleRcptParams() {
	offers := smtp.Offers{smtp.ExtDSN: ""}
	var p smtp.RcptParams
	to, err := smtp.ParseRcpt("TO:<jane@example.com> NOTIFY=DELAY,FAILURE ORCPT=rfc822;jane+2Bnews@example.org", offers, &p)
	fmt.Println(to, p.Notify, p.ORcpt, err)
	fmt.Println(p.Notify&smtp.NotifyFailure != 0)
	// Output:
	// <jane@example.com> FAILURE,DELAY rfc822;jane+news@example.org <nil>
	// true
}

func ExampleBodyType() {
	p := smtp.MailParams{Body: smtp.Body8BitMIME}
	fmt.Printf("%q\n", smtp.AppendMail(nil, smtp.ReversePath{}, &p))
	// Output: "MAIL FROM:<> BODY=8BITMIME\r\n"
}

func ExampleRet() {
	p := smtp.MailParams{Ret: smtp.RetHeaders, EnvID: "order 7"}
	fmt.Printf("%q\n", smtp.AppendMail(nil, smtp.ReversePath{}, &p))
	// Output: "MAIL FROM:<> RET=HDRS ENVID=order+207\r\n"
}

func ExampleNotify() {
	n := smtp.NotifySuccess | smtp.NotifyDelay
	fmt.Println(n)
	p := smtp.RcptParams{Notify: n | smtp.NotifyNever}
	fmt.Println(p.Validate())
	// Output:
	// SUCCESS,DELAY
	// smtp: NOTIFY=NEVER does not stand alone
}

func ExampleORcpt() {
	to, _ := smtp.ParseForwardPath("list@example.com")
	p := smtp.RcptParams{ORcpt: smtp.ORcpt{Type: "utf-8", Address: "jürgen@example.com"}}
	fmt.Printf("%s", smtp.AppendRcpt(nil, to, &p))
	// Output: RCPT TO:<list@example.com> ORCPT=utf-8;j\x{FC}rgen@example.com
}

func ExampleParam() {
	colour := &smtp.Extension{
		Keyword:    "XCOLOUR",
		Mail:       []smtp.MailParam{{Name: "XCOLOUR"}},
		MailGrowth: 20,
	}
	var p smtp.MailParams
	_, err := smtp.ParseMail("FROM:<> xcolour=red", smtp.Offers{"XCOLOUR": ""}, &p, colour)
	fmt.Println(p.Other, err)
	// Output: [{XCOLOUR red}] <nil>
}

func ExampleOffers() {
	offers := smtp.ParseOffers([]string{"PIPELINING", "SIZE 10485760", "AUTH PLAIN LOGIN", "AUTH=LOGIN"})
	fmt.Println(offers.Has(smtp.ExtPipelining), offers.Has(smtp.ExtDSN))
	fmt.Println(offers.MaxSize())
	fmt.Println(offers.AuthMechanisms())
	fmt.Println(offers.MaxLine(smtp.MAIL))
	// Output:
	// true false
	// 10485760 true
	// [PLAIN LOGIN]
	// 1038
}

func ExampleKeyword() {
	size, ok := smtp.Offers{smtp.ExtSize: "1000"}.Param(smtp.ExtSize)
	fmt.Println(smtp.ExtSize, size, ok)
	// Output: SIZE 1000 true
}

func ExampleNotOfferedError() {
	var offers smtp.Offers
	err := offers.CheckMail(&smtp.MailParams{Body: smtp.BodyBinaryMIME})
	var missing *smtp.NotOfferedError
	if errors.As(err, &missing) {
		fmt.Println(missing.Keyword)
		fmt.Println(missing)
	}
	// Output:
	// BINARYMIME
	// smtp: BODY needs BINARYMIME, which the server does not offer
}

func ExampleExtension() {
	row := smtp.LookupExtension(smtp.ExtDSN)
	fmt.Println(row.Keyword, row.RFC)
	for _, p := range row.Mail {
		fmt.Println("MAIL", p.Name)
	}
	for _, p := range row.Rcpt {
		fmt.Println("RCPT", p.Name)
	}
	// Output:
	// DSN RFC 3461
	// MAIL RET
	// MAIL ENVID
	// RCPT NOTIFY
	// RCPT ORCPT
}

func ExampleMailParam() {
	tenant := ""
	own := &smtp.Extension{
		Keyword: "XTENANT",
		Mail: []smtp.MailParam{{
			Name: "XTENANT",
			Parse: func(p *smtp.MailParams, value string) error {
				if value == "" {
					return &smtp.SyntaxError{Code: 501, Enhanced: smtp.Enh(5, 4), Reason: "XTENANT has no value"}
				}
				tenant = value
				return nil
			},
		}},
	}
	offers := smtp.Offers{"XTENANT": ""}
	_, err := smtp.ParseMail("FROM:<> XTENANT=blue", offers, nil, own)
	fmt.Println(tenant, err)
	_, err = smtp.ParseMail("FROM:<> XTENANT", offers, nil, own)
	fmt.Println(err)
	// Output:
	// blue <nil>
	// smtp: offset 15: XTENANT has no value
}

func ExampleRcptParam() {
	own := &smtp.Extension{Keyword: "XFOLDER", Rcpt: []smtp.RcptParam{{Name: "XFOLDER"}}}
	to, _ := smtp.ParseForwardPath("jane@example.com")
	p := smtp.RcptParams{Other: []smtp.Param{{Name: "XFOLDER", Value: "news"}}}
	fmt.Printf("%q\n", smtp.AppendRcpt(nil, to, &p))
	fmt.Println(smtp.Offers{}.CheckRcpt(&p, own))
	// Output:
	// "RCPT TO:<jane@example.com> XFOLDER=news\r\n"
	// smtp: the server does not offer XFOLDER
}
