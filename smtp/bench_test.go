package smtp

import (
	"strings"
	"testing"
)

func BenchmarkParseMailbox(b *testing.B) {
	for name, s := range map[string]string{
		"ordinary": "jane.doe@mail.example.com",
		"quoted":   `"jane doe"@mail.example.com`,
		"escaped":  `"jane \"doe\""@mail.example.com`,
		"ipv4":     "jane.doe@[192.0.2.1]",
		"utf8":     "jürgen@bücher.example",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ParseMailbox(s); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParseForwardPath(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseForwardPath("<jane.doe@mail.example.com>"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseMail(b *testing.B) {
	offers := every()
	for name, arg := range map[string]string{
		"plain":  "FROM:<jane.doe@mail.example.com>",
		"size":   "FROM:<jane.doe@mail.example.com> SIZE=4096 BODY=8BITMIME",
		"dsn":    "FROM:<jane.doe@mail.example.com> SIZE=4096 RET=HDRS ENVID=QQ314159",
		"by":     "FROM:<jane.doe@mail.example.com> BY=120;R MT-PRIORITY=3",
		"params": "FROM:<jane.doe@mail.example.com> SIZE=4096 BODY=8BITMIME SMTPUTF8 AUTH=<> RET=HDRS ENVID=QQ314159",
	} {
		b.Run(name, func(b *testing.B) {
			var p MailParams
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ParseMail(arg, offers, &p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParseRcpt(b *testing.B) {
	offers := every()
	for name, arg := range map[string]string{
		"plain": "TO:<jane.doe@mail.example.com>",
		"dsn":   "TO:<jane.doe@mail.example.com> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;jane.doe@mail.example.com",
	} {
		b.Run(name, func(b *testing.B) {
			var p RcptParams
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ParseRcpt(arg, offers, &p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppendMail(b *testing.B) {
	from := ReversePath{Mailbox{"jane.doe", "mail.example.com"}}
	p := &MailParams{Size: 4096, Body: Body8BitMIME}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendMail(buf[:0], from, p)
	}
}

func BenchmarkAppendRcpt(b *testing.B) {
	to := ForwardPath{Mailbox{"jane.doe", "mail.example.com"}}
	var p RcptParams
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendRcpt(buf[:0], to, &p)
	}
}

func BenchmarkValidate(b *testing.B) {
	e, err := NewEnvelope("jane.doe@mail.example.com", "john.doe@mail.example.net")
	if err != nil {
		b.Fatal(err)
	}
	e.MailParams = MailParams{Size: 4096, Body: Body8BitMIME}
	offers := every()
	b.ReportAllocs()
	for b.Loop() {
		if e.Validate() != nil || offers.CheckMail(&e.MailParams) != nil {
			b.Fatal()
		}
	}
}

func BenchmarkParseXClient(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseXClient("NAME=mail.example.com ADDR=192.0.2.1 PORT=4321 PROTO=ESMTP HELO=mail.example.com"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseVerb(b *testing.B) {
	lines := [][]byte{[]byte("MAIL FROM:<jane.doe@mail.example.com>"), []byte("RCPT TO:<a@b>"), []byte("data"), []byte("STARTTLS")}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, _, ok := ParseVerb(lines[i&3]); !ok {
			b.Fatal()
		}
	}
}

// BenchmarkParseOffers measures an EHLO reply. What it allocates is the map that it returns.
func BenchmarkParseOffers(b *testing.B) {
	lines := strings.Split("PIPELINING\nSIZE 10485760\n8BITMIME\nENHANCEDSTATUSCODES\nCHUNKING\nAUTH SCRAM-SHA-256 PLAIN\nSTARTTLS", "\n")
	b.Run("line", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if _, _, ok := ehloLine(lines[i%len(lines)]); !ok {
				b.Fatal()
			}
		}
	})
	b.Run("reply", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if len(ParseOffers(lines)) != len(lines) {
				b.Fatal()
			}
		}
	})
}

func BenchmarkReplyAppendTo(b *testing.B) {
	for name, r := range map[string]Reply{
		"plain": {Code: 250, Enhanced: Enh(1, 0), Text: "Sender OK"},
		"bare":  {Code: 354, Text: "Start mail input; end with <CRLF>.<CRLF>"},
		"ehlo":  {Code: 250, Text: "mx.example.com\nPIPELINING\nSIZE 10485760\n8BITMIME\nENHANCEDSTATUSCODES\nCHUNKING\nSMTPUTF8"},
	} {
		b.Run(name, func(b *testing.B) {
			var buf []byte
			b.ReportAllocs()
			for b.Loop() {
				buf = r.AppendTo(buf[:0])
			}
		})
	}
}

func BenchmarkParseReply(b *testing.B) {
	for name, raw := range map[string]string{
		"single": "250 2.1.0 Sender OK\r\n",
		"ehlo":   "250-mx.example.com\r\n250-PIPELINING\r\n250-SIZE 10485760\r\n250-8BITMIME\r\n250 CHUNKING\r\n",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ParseReply(raw); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkExaminer(b *testing.B) {
	for name, line := range map[string]string{
		"75":   strings.Repeat("x", 73) + "\r\n",
		"8bit": strings.Repeat("ü", 36) + "x\r\n",
		"20":   strings.Repeat("x", 18) + "\r\n",
	} {
		text := []byte("Subject: x\r\n\r\n" + strings.Repeat(line, 1<<20/len(line)))
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				var e Examiner
				e.Write(text)
				if e.Kind()&KindExamined == 0 {
					b.Fatal()
				}
			}
		})
	}
}
