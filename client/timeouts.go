package client

import "time"

// Timeouts limits every wait for the server (RFC 5321 §4.5.3.2). Each is the
// time until the whole reply is there, or until one block of data is taken, and
// not the time between two octets. A context may end any wait earlier.
type Timeouts struct {
	Dial      time.Duration // until connected. If zero, 1 minute.
	TLS       time.Duration // for a TLS handshake. If zero, 1 minute.
	Greeting  time.Duration // for the greeting. If zero, 5 minutes (§4.5.3.2.1).
	Mail      time.Duration // for the reply to MAIL. If zero, 5 minutes (§4.5.3.2.2).
	Rcpt      time.Duration // for the reply to RCPT. If zero, 5 minutes (§4.5.3.2.3).
	DataInit  time.Duration // for the 354 reply to DATA. If zero, 2 minutes (§4.5.3.2.4).
	DataBlock time.Duration // for one write of message data. If zero, 3 minutes (§4.5.3.2.5).
	DataEnd   time.Duration // for the reply that decides on the message. If zero, 10 minutes (§4.5.3.2.6).
	Command   time.Duration // for the reply to any other command. If zero, 5 minutes.
	Quit      time.Duration // for the reply to QUIT, and so for closing idle connections. If zero, 2 seconds.
}

// EveryTimeout returns Timeouts that all are d.
func EveryTimeout(d time.Duration) Timeouts {
	return Timeouts{d, d, d, d, d, d, d, d, d, d}
}

// orDefaults returns t with the zero fields filled in.
func (t Timeouts) orDefaults() Timeouts {
	fill := func(d *time.Duration, def time.Duration) {
		if *d <= 0 {
			*d = def
		}
	}
	fill(&t.Dial, time.Minute)
	fill(&t.TLS, time.Minute)
	fill(&t.Greeting, 5*time.Minute)  // §4.5.3.2.1
	fill(&t.Mail, 5*time.Minute)      // §4.5.3.2.2
	fill(&t.Rcpt, 5*time.Minute)      // §4.5.3.2.3
	fill(&t.DataInit, 2*time.Minute)  // §4.5.3.2.4
	fill(&t.DataBlock, 3*time.Minute) // §4.5.3.2.5
	fill(&t.DataEnd, 10*time.Minute)  // §4.5.3.2.6
	fill(&t.Command, 5*time.Minute)
	fill(&t.Quit, 2*time.Second)
	return t
}
