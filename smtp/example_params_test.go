package smtp_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/postrider/postrider/smtp"
)

func ExampleDeliverBy() {
	from, _ := smtp.ParseReversePath("jane@example.com")
	p := &smtp.MailParams{By: smtp.DeliverBy{Within: 2 * time.Minute, Mode: smtp.DeliverReturn}}
	fmt.Printf("%q\n", smtp.AppendMail(nil, from, p))

	// A server may take nothing that is as urgent as this.
	offers := smtp.ParseOffers([]string{"DELIVERBY 240"})
	min, _ := offers.DeliverByMin()
	fmt.Println(min, offers.CheckMail(p))
	// Output:
	// "MAIL FROM:<jane@example.com> BY=120;R\r\n"
	// 4m0s smtp: BY: time of BY is less than the minimum offered
}

func ExampleDeliverMode() {
	var p smtp.MailParams
	_, err := smtp.ParseMail("FROM:<jane@example.com> BY=-5;NT", smtp.Offers{smtp.ExtDeliverBy: ""}, &p)
	fmt.Println(p.By.Mode == smtp.DeliverNotify, p.By.Within, p.By.Trace, err)
	// Output: true -5s true <nil>
}

func ExamplePriority() {
	var p smtp.MailParams
	fmt.Printf("%q\n", p.Priority)
	p.Priority = smtp.NewPriority(-4)
	level, given := p.Priority.Level()
	fmt.Println(p.Priority, level, given)
	// Output:
	// ""
	// -4 -4 true
}

func ExampleHold() {
	offers := smtp.ParseOffers([]string{"FUTURERELEASE 86400 2030-01-01T00:00:00Z"})
	var p smtp.MailParams
	if _, err := smtp.ParseMail("FROM:<jane@example.com> HOLDFOR=3600", offers, &p); err != nil {
		fmt.Println(err)
		return
	}
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	fmt.Println(p.Hold.For, p.Hold.At(now))
	// Output: 1h0m0s 2026-05-01 13:00:00 +0000 UTC
}

func ExampleRRVS() {
	to, _ := smtp.ParseForwardPath("john@example.net")
	p := &smtp.RcptParams{RRVS: &smtp.RRVS{Since: time.Date(2014, 4, 3, 23, 1, 0, 0, time.UTC)}}
	fmt.Printf("%q\n", smtp.AppendRcpt(nil, to, p))
	// Output: "RCPT TO:<john@example.net> RRVS=2014-04-03T23:01:00Z\r\n"
}

func ExampleRRVSAction() {
	since := time.Date(2014, 4, 3, 23, 1, 0, 0, time.UTC)
	var none smtp.Offers // the next server does not know RRVS

	p := &smtp.RcptParams{RRVS: &smtp.RRVS{Since: since, Action: smtp.RRVSContinue}}
	none.DropAdvisoryRcpt(p)
	fmt.Println(none.CheckRcpt(p))

	p = &smtp.RcptParams{RRVS: &smtp.RRVS{Since: since, Action: smtp.RRVSReject}}
	none.DropAdvisoryRcpt(p)
	fmt.Println(none.CheckRcpt(p))
	// Output:
	// <nil>
	// smtp: the server does not offer RRVS
}

func ExampleOfferedLimits() {
	offers := smtp.ParseOffers([]string{"LIMITS MAILMAX=20 RCPTMAX=100 X-OTHER=1"})
	limits := offers.Limits()
	fmt.Println(limits.MailMax, limits.RcptMax, limits.RcptDomainMax)
	fmt.Println(limits)
	// Output:
	// 20 100 0
	// MAILMAX=20 RCPTMAX=100
}

func ExampleEtrn() {
	e, err := smtp.ParseEtrn("@example.org")
	fmt.Println(e.Kind == smtp.EtrnDomain, e.Name, err)
	_, err = smtp.ParseEtrn("localname")
	fmt.Println(err)
	// Output:
	// true example.org <nil>
	// smtp: offset 0: domain is not fully qualified
}

func ExampleEtrnKind() {
	fmt.Printf("%q\n", smtp.AppendEtrn(nil, smtp.Etrn{Name: "mail.example.org"}))
	fmt.Printf("%q\n", smtp.AppendEtrn(nil, smtp.Etrn{Kind: smtp.EtrnQueue, Name: "uucp"}))
	// Output:
	// "ETRN mail.example.org\r\n"
	// "ETRN #uucp\r\n"
}

func ExampleXClient() {
	x := smtp.XClient{Name: "spike.example.org", Addr: "2001:db8::1", Port: "4321", Helo: "spike", Login: "jane"}
	offers := smtp.ParseOffers([]string{"XCLIENT NAME ADDR PROTO HELO"})
	offered, _ := offers.Param(smtp.ExtXClient)
	fmt.Printf("%q\n", smtp.AppendXClient(nil, x.Kept(offered)))

	got, err := smtp.ParseXClient("NAME=[unavailable] ADDR=192.0.2.1 PORT=25")
	addr, ok := got.AddrPort()
	fmt.Println(got.Name == smtp.XUnavailable, addr, ok, err)
	// Output:
	// "XCLIENT HELO=spike NAME=spike.example.org ADDR=IPV6:2001:db8::1\r\n"
	// true 192.0.2.1:25 true <nil>
}

func ExampleXForward() {
	x := smtp.XForward{Name: "spike.example.org", Addr: "192.0.2.1", Proto: "ESMTP", Source: "REMOTE"}
	fmt.Printf("%q\n", smtp.AppendXForward(nil, x))

	_, err := smtp.ParseXForward("NAME=a COLOUR=blue")
	var syntax *smtp.SyntaxError
	fmt.Println(errors.As(err, &syntax), syntax.Code, syntax.Reason)
	// Output:
	// "XFORWARD NAME=spike.example.org ADDR=192.0.2.1 PROTO=ESMTP SOURCE=REMOTE\r\n"
	// true 501 attribute not recognized
}
