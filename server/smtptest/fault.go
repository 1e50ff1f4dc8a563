package smtptest

import (
	"fmt"
	"strings"
	"time"

	"github.com/postrider/postrider/smtp"
)

// A Fault is something that goes wrong: where (On, OnGreeting, InData,
// AfterData), what (Reply, Raw, Delay, Slow, Drop, in any combination), for
// whom (For) and how often (Skip, Times; otherwise always). It is a value: each
// method returns a changed copy. Server.Fault puts it to work.
//
// The functions and methods panic when an argument makes no sense, such as a
// reply code of 42: a mistake in the test must not look like a passing one.
type Fault struct {
	at     place
	verb   string
	octets int64
	who    *smtp.Mailbox // nil: everybody

	raw   string
	reply smtp.Reply
	delay time.Duration
	rate  int
	drop  bool

	skip  int
	times int
}

// place is where a Fault happens.
type place uint8

const (
	atCommand place = iota
	atGreeting
	inData
	afterData
)

// On returns a Fault that happens when the command comes, in place of what the
// server would have done; "*" is any command. A reply to BDAT is given when the
// octets of its chunk have been read, and refuses the message.
func On(verb string) Fault {
	if verb == "" {
		panic("smtptest: On without a verb")
	}
	return Fault{at: atCommand, verb: strings.ToUpper(verb)}
}

// OnGreeting returns a Fault that happens when a connection is opened, or a
// session by XCLIENT. After a
// negative Reply the client may only QUIT; after 421 the server closes.
func OnGreeting() Fault { return Fault{at: atGreeting} }

// InData returns a Fault that happens when so many octets of a message have
// come, by DATA or BDAT, however many more are on their way. A Reply, which
// must be negative, is given in its place, which is after the end of the data.
func InData(octets int64) Fault {
	if octets < 0 {
		panic("smtptest: InData with a negative number")
	}
	return Fault{at: inData, octets: octets}
}

// AfterData returns a Fault that happens when a message has come to its end,
// before it is answered. What gets a negative Reply is not recorded. With Drop
// the message is recorded and the client never told.
func AfterData() Fault { return Fault{at: afterData} }

// Reply makes the server answer so, with an enhanced status code such as
// "4.3.0" or none, and lines separated by "\n". After code 421 it closes the
// connection.
func (f Fault) Reply(code int, enhanced, text string) Fault {
	f.reply = smtp.Reply{Code: code, Text: text}
	if code < 200 || code > 599 {
		panic(fmt.Sprintf("smtptest: Reply with code %d", code))
	}
	if enhanced != "" {
		class, e, ok := smtp.ParseEnhanced(enhanced)
		if !ok || class != code/100 {
			panic(fmt.Sprintf("smtptest: Reply with code %d and enhanced status code %q; Raw sends anything", code, enhanced))
		}
		f.reply.Enhanced = e
	}
	f.raw = string(f.reply.AppendTo(nil))
	return f
}

// Raw makes the server answer with these octets, to which nothing is added. It
// is for On and OnGreeting. At BDAT it also closes the connection, since the
// octets of the chunk could not be told from commands.
func (f Fault) Raw(octets string) Fault {
	f.raw, f.reply = octets, smtp.Reply{}
	return f
}

// Delay makes the server wait before it does anything else. Closing the server
// ends it.
func (f Fault) Delay(d time.Duration) Fault {
	f.delay = d
	return f
}

// Slow, with InData, makes the server read the rest of the message at so many
// octets a second. What the network buffers is out of its hands: a client is
// held up by a message of some hundred kilobytes.
func (f Fault) Slow(octetsPerSecond int) Fault {
	if f.at != inData || octetsPerSecond <= 0 {
		panic("smtptest: Slow takes InData and a positive rate")
	}
	f.rate = octetsPerSecond
	return f
}

// Drop makes the server close the connection, on InData and AfterData without
// an answer, otherwise after Reply or Raw if there is one.
func (f Fault) Drop() Fault {
	f.drop = true
	return f
}

// For limits the Fault to an address: the sender on MAIL, the recipient on
// RCPT, messages with that recipient on InData and AfterData. In LMTP a Reply
// of AfterData is then the one for that recipient alone. The null reverse-path
// is "<>".
func (f Fault) For(address string) Fault {
	p, err := smtp.ParseForwardPath(address)
	onMail := f.at == atCommand && f.verb == "MAIL"
	switch {
	case onMail && address == "<>":
	case err != nil:
		panic(fmt.Sprintf("smtptest: For(%q): %v", address, err))
	case f.at == atGreeting || f.at == atCommand && f.verb != "RCPT" && !onMail:
		panic("smtptest: For on what has no address")
	}
	f.who = &p.Mailbox
	return f
}

// Skip lets the first n occurrences pass.
func (f Fault) Skip(n int) Fault {
	f.skip = n
	return f
}

// Times limits how often the Fault happens. If n is not positive, always.
func (f Fault) Times(n int) Fault {
	f.times = max(n, 0)
	return f
}

func (f Fault) check() {
	switch onData, onBDAT := f.at == inData || f.at == afterData, f.at == atCommand && f.verb == "BDAT"; {
	case f.raw == "" && f.delay <= 0 && f.rate == 0 && !f.drop:
		panic("smtptest: a Fault that does nothing")
	case onData && f.raw != "" && f.reply.IsZero():
		panic("smtptest: Raw is for On and OnGreeting")
	case f.reply.Intermediate() && (onData || onBDAT), f.reply.Positive() && (f.at == inData || onBDAT && !f.drop):
		panic("smtptest: " + f.reply.String() + " cannot be the reply there")
	}
}
