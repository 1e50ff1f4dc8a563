package server

import (
	"math"
	"time"

	"github.com/postrider/postrider/internal/wire"
	"github.com/postrider/postrider/smtp"
)

// Limits bound what a client can make the server do. Every zero field means
// the default its comment names. A negative number means no limit, except
// where the comment says otherwise.
type Limits struct {
	// MaxConns limits the connections open at one time; one more gets 421.
	// If zero, 10,000.
	MaxConns int
	// MaxConnsPerIP limits the connections of one IPv4 address or IPv6 /64;
	// one more gets 421. If zero, 50. It does not apply to unix sockets, nor
	// to clients in Server.Trusted until they say whom they speak for.
	MaxConnsPerIP int
	// MaxConnRate limits the connections that one IPv4 address or IPv6 /64
	// opens in a minute; one more gets 421 in place of the greeting, or on a
	// TLS listener is closed, since to say so would take a handshake. As
	// many may come at once, and then as many a minute, evenly. It is a brake
	// on clients that come back at once after each refusal, which
	// MaxConnsPerIP does not see; the same clients are exempt. If zero, there
	// is no limit: large senders and NATs look alike.
	MaxConnRate int
	// MaxTransactions limits the mail transactions under way in the whole
	// server; MAIL beyond gets 452 4.3.2, and the client tries again later. It
	// keeps what messages need while they come (memory, temporary files)
	// within bounds while idle connections stay cheap. If zero, there is no
	// limit but MaxConns. An application that is out of room for another
	// reason says so in Session.Mail: smtp.Reject(452, smtp.Enh(3, 1), …).
	MaxTransactions int
	// MaxMessageRate limits the mail transactions that one IPv4 address or
	// IPv6 /64 begins in a minute, over all its connections, counted and
	// exempt as with MaxConnRate. MAIL beyond gets 451 4.7.1: of the temporary
	// replies that RFC 5321 §4.3.2 gives MAIL it is the one that does not
	// speak of storage, and it leaves the connection open. If zero, there is
	// no limit.
	MaxMessageRate int
	// MaxMessages limits the mail transactions of one connection; MAIL beyond
	// gets 421. If zero, there is no limit.
	MaxMessages int
	// MaxRecipients limits the accepted recipients of one message; RCPT
	// beyond gets 452 4.5.3, and the client sends the rest in a transaction
	// of its own. If zero, 1,000 (RFC 5321 §4.5.3.1.8 asks for 100 at least).
	MaxRecipients int
	// MaxRecipientDomains limits the domains that the recipients of all
	// messages of one connection may be in; RCPT beyond gets 452 4.5.3 (RFC
	// 9422 §4.3). If zero, there is no limit.
	MaxRecipientDomains int
	// MaxMessageSize limits a message in octets, as it is after undoing
	// dot-stuffing; it is what SIZE announces (RFC 1870). If zero, 64 MiB.
	MaxMessageSize int64
	// MaxHeaderSize limits the header section of a message in octets, for
	// the good of whoever parses it. If zero, 1 MiB.
	MaxHeaderSize int64
	// MaxTextLine limits a line of message data in octets, its CRLF included
	// (RFC 5321 §4.5.3.1.6 asks for 1,000 at least); a longer one gets 554.
	// If zero, there is no limit: lines are never gathered here, and honest
	// software sends overlong ones.
	MaxTextLine int
	// MaxDiscard limits how many octets of a refused message are read and
	// dropped to stay in step; beyond, 421 and the connection is closed. If
	// zero, ten times MaxMessageSize, so that nearly every sender gets to see
	// the permanent reply instead of trying again for days.
	MaxDiscard int64
	// MaxErrors limits the commands of one connection that are refused for
	// their form or their place; one more gets 421. If zero, 20.
	MaxErrors int
	// MaxRejected limits the senders and recipients of one connection that the
	// handler, MaxTransactions or MaxMessageRate refuse since the last accepted
	// message; one more gets 421. It is a brake on guessing addresses. If zero,
	// 200.
	MaxRejected int
	// MaxIdleChat limits the commands that bring no message forward (NOOP,
	// RSET, VRFY, EXPN, HELP, XFORWARD, a repeated greeting, commands of
	// Server.Extensions) since the last accepted message; one more gets 421.
	// If zero, 100.
	MaxIdleChat int
	// MaxAuthFailures limits the failed AUTH exchanges of one connection; the
	// one that reaches it gets 421. One that the client cancels before it has
	// shown credentials counts for MaxErrors only. If zero, 3. No limit is not
	// offered.
	MaxAuthFailures int
	// Tarpit is how long each refusal (4xx and 5xx) is held back once a client
	// has had TarpitAfter of them since the last accepted message. It makes
	// guessing slow, and costs a goroutine meanwhile. The refusals of a
	// pipelined group are held back together, a minute at most. Shutdown, and
	// a client that leaves, end the wait. If zero, nothing is held back.
	Tarpit time.Duration
	// TarpitAfter is how many refusals come at once before Tarpit. If zero, 5;
	// if negative, none.
	TarpitAfter int
	// GreetingDelay is how long the greeting is held back to see who talks
	// before it, unless Server.EarlyTalker is EarlyTolerate. If zero, 2
	// seconds; at most a minute (RFC 5321 §4.5.3.2.1 has clients wait five).
	GreetingDelay time.Duration
	// MaxLine limits a command line in octets beyond the 512 of RFC 5321
	// §4.5.3.1.4 plus what the extensions on offer add. If zero, nothing is
	// added; at most 2,048 can be.
	MaxLine int

	// HandshakeTimeout bounds a TLS handshake. If zero, 1 minute.
	HandshakeTimeout time.Duration
	// ProxyTimeout is how long a connection of a ProxyListener may take for
	// its header. If zero, 5 seconds: a proxy sends it at once.
	ProxyTimeout time.Duration
	// CommandTimeout is how long the server waits for a command. If zero, 5
	// minutes, as RFC 5321 §4.5.3.2.7 asks.
	CommandTimeout time.Duration
	// DataTimeout is the length of the windows in which the progress of
	// message data is judged: a window in which fewer octets than
	// MinDataRate asks have come ends the connection with 421. A window may be
	// up to twice as long, with as much more to come in it. If zero, 3 minutes
	// (RFC 5321 §4.5.3.2.5, which is the client's, gives the measure).
	DataTimeout time.Duration
	// MinDataRate is in octets per second. If zero, 100: a modem is ten times
	// faster, a client that drips octets to hold a connection is not.
	// Negative: one octet in each window is enough.
	MinDataRate int
	// WriteTimeout bounds the sending of replies. If zero, 5 minutes.
	WriteTimeout time.Duration
	// HandlerTimeout is how long a method of a Session or an Authenticator may
	// take; in Data it begins anew after each wait for the client. Then its
	// context ends, and when it has returned and been answered the connection
	// is closed with 421. If zero, 5 minutes for a command and 10 for Data, since
	// clients wait that long (RFC 5321 §4.5.3.2).
	HandlerTimeout time.Duration
}

const (
	defaultHandlerTimeout     = 5 * time.Minute
	defaultDataHandlerTimeout = 10 * time.Minute
	maxGathered               = wire.SmallBuffer - 1024 // a line must fit into the buffer
	flushBeyond               = 32 << 10
	handshakeGrace            = 5 * time.Second // for handshakes that Shutdown finds under way
	forever                   = 100 * 365 * 24 * time.Hour
	closeGrace                = 10 * time.Second // how long a refused client may take to QUIT
)

func or[T int | int64 | time.Duration](v, otherwise T) T {
	if v == 0 {
		return otherwise
	}
	return v
}

// withDefaults returns l with every zero replaced.
func (l Limits) withDefaults() Limits {
	l.MaxConns = or(l.MaxConns, 10000)
	l.MaxConnsPerIP = or(l.MaxConnsPerIP, 50)
	l.MaxConnRate = max(l.MaxConnRate, 0)
	l.MaxTransactions = max(l.MaxTransactions, 0)
	l.MaxMessageRate = max(l.MaxMessageRate, 0)
	l.MaxMessages = or(l.MaxMessages, -1)
	l.MaxRecipients = or(l.MaxRecipients, 1000)
	l.MaxRecipientDomains = or(l.MaxRecipientDomains, -1)
	l.MaxMessageSize = or(l.MaxMessageSize, 64<<20)
	l.MaxHeaderSize = or(l.MaxHeaderSize, 1<<20)
	if l.MaxTextLine < 0 {
		l.MaxTextLine = 0
	}
	if l.MaxDiscard == 0 {
		l.MaxDiscard = 10 * min(l.MaxMessageSize, math.MaxInt64/10) // negative stays negative
	}
	l.MaxErrors = or(l.MaxErrors, 20)
	l.MaxRejected = or(l.MaxRejected, 200)
	l.MaxIdleChat = or(l.MaxIdleChat, 100)
	if l.MaxAuthFailures <= 0 {
		l.MaxAuthFailures = 3
	}
	l.Tarpit = min(max(l.Tarpit, 0), maxPause)
	l.TarpitAfter = max(or(l.TarpitAfter, 5), 0)
	if l.GreetingDelay = min(l.GreetingDelay, maxPause); l.GreetingDelay <= 0 {
		l.GreetingDelay = 2 * time.Second
	}
	l.MaxLine = min(max(l.MaxLine, 0), 2048)
	l.HandshakeTimeout = or(l.HandshakeTimeout, time.Minute)
	l.ProxyTimeout = or(l.ProxyTimeout, 5*time.Second)
	l.CommandTimeout = or(l.CommandTimeout, 5*time.Minute)
	l.DataTimeout = or(l.DataTimeout, 3*time.Minute)
	l.MinDataRate = or(l.MinDataRate, 100)
	l.WriteTimeout = or(l.WriteTimeout, 5*time.Minute)
	for _, d := range []*time.Duration{&l.HandshakeTimeout, &l.ProxyTimeout, &l.CommandTimeout, &l.DataTimeout, &l.WriteTimeout} {
		if *d < 0 || *d > forever { // sums of it must not overflow
			*d = forever
		}
	}
	return l
}

// offered is what LIMITS announces (RFC 9422).
func (l *Limits) offered() string {
	return smtp.OfferedLimits{
		MailMax: max(l.MaxMessages, 0), RcptMax: max(l.MaxRecipients, 0), RcptDomainMax: max(l.MaxRecipientDomains, 0),
	}.String()
}

// over reports whether n is beyond limit; a negative limit is none.
func over[N, L int32 | int | int64](n N, limit L) bool { return limit >= 0 && int64(n) > int64(limit) }
