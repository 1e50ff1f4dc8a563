package smtp

import "testing"

// The hot path of a session allocates nothing.
func TestNoAllocations(t *testing.T) {
	offers := every()
	buf := make([]byte, 0, 4096)
	line := []byte("MAIL FROM:<jane.doe@example.com> SIZE=4096")
	reply := Reply{Code: 250, Enhanced: Enh(1, 0), Text: "Sender OK"}
	long := Reply{Code: 250, Text: "mx.example.com\nPIPELINING\nSIZE 1000"}
	var mail MailParams
	var rcpt RcptParams
	env, err := NewEnvelope("jane.doe@example.com", "john@example.net")
	if err != nil {
		t.Fatal(err)
	}
	env.MailParams = MailParams{Size: 4096, Body: Body8BitMIME}
	text := []byte(plainMessage)
	var full MailParams
	const fullArg = "FROM:<jane@example.com> BY=120;R REQUIRETLS MT-PRIORITY=-3 HOLDFOR=60 SOLICIT=org.example:ADV PRDR"
	if _, err := ParseMail(fullArg, offers, &full); err != nil {
		t.Fatal(err)
	}
	valid := RcptParams{RRVS: &RRVS{Since: utc(2014, 4, 3, 23, 1, 0)}}
	announced := Offers{ExtLimits: "MAILMAX=20 RCPTMAX=1000", ExtDeliverBy: "240,x", ExtFutureRelease: "86400 2030-01-01T00:00:00Z"}
	for name, f := range map[string]func(){
		"ParseMailbox":       func() { ParseMailbox("jane.doe@example.com") },
		"ParseMailbox v6":    func() { ParseMailbox(`"jane doe"@[IPv6:2001:db8::1]`) },
		"ParseReversePath":   func() { ParseReversePath("<jane.doe@example.com>") },
		"ParseForwardPath":   func() { ParseForwardPath("<@a.example:jane.doe@example.com>") },
		"ParseVerb":          func() { ParseVerb(line) },
		"ParseBdat":          func() { ParseBdat([]byte("4096 LAST")) },
		"ParseMail":          func() { ParseMail("FROM:<jane@example.com> SIZE=4096 BODY=8BITMIME RET=HDRS ENVID=x", offers, &mail) },
		"ParseRcpt":          func() { ParseRcpt("TO:<jane@example.com> NOTIFY=NEVER ORCPT=rfc822;x@y", offers, &rcpt) },
		"ParseHello":         func() { ParseHello("mail.example.com") },
		"ParseReply":         func() { ParseReply("250 2.1.0 Sender OK\r\n") },
		"Validate":           func() { env.Validate() },
		"CheckMail":          func() { offers.CheckMail(&env.MailParams) },
		"AppendMail":         func() { AppendMail(buf, env.From, &env.MailParams) },
		"AppendRcpt":         func() { AppendRcpt(buf, env.Recipients[0].To, &rcpt) },
		"ParseMail in full":  func() { ParseMail(fullArg, offers, &mail) },
		"ParseMail until":    func() { ParseMail("FROM:<> HOLDUNTIL=2030-12-31T23:59:59Z", offers, &mail) },
		"Validate in full":   func() { full.Validate(); valid.Validate() },
		"CheckMail in full":  func() { offers.CheckMail(&full); offers.CheckRcpt(&valid) },
		"AppendMail in full": func() { AppendMail(buf, env.From, &full) },
		"AppendRcpt RRVS":    func() { AppendRcpt(buf, env.Recipients[0].To, &valid) },
		"Limits":             func() { announced.Limits(); announced.DeliverByMin(); announced.FutureRelease() },
		"Etrn":               func() { e, _ := ParseEtrn("@example.org"); AppendEtrn(buf, e) },
		"AppendBdat":         func() { AppendBdat(buf, 4096, true) },
		"Reply":              func() { reply.AppendTo(buf) },
		"Reply of lines":     func() { long.AppendTo(buf) },
		"Examiner": func() {
			var e Examiner
			e.Write(text)
			e.Kind()
		},
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}
