package server

import (
	"bytes"
	"context"
	"log/slog"
	"strings"

	"github.com/postrider/postrider/smtp"
)

// EventKind says what an Event tells of.
type EventKind uint8

const (
	ConnOpened      EventKind = iota + 1 // a connection was accepted
	ConnClosed                           // a connection has ended; Err says why, nil after QUIT
	TLSStarted                           // a TLS handshake succeeded
	TLSFailed                            // a TLS handshake failed with Err
	CommandReceived                      // Line came; Verb is its verb
	ReplySent                            // Reply answers Verb (empty for the greeting and a sudden 421)
	MessageAccepted                      // Size octets for Recipients, answered with Reply
	MessageRefused                       // the same, but not accepted; Err if it was cut short
	LimitHit                             // a limit made the server send Reply
	ProxyFailed                          // a connection was closed for want of a good PROXY header, because of Err
	Tarpitted                            // Reply, to Verb, and refusals after it are held back (Limits.Tarpit)
	EarlyTalk                            // the client did not wait for the greeting (Server.EarlyTalker)
	ForeignProtocol                      // the client speaks another protocol, which Err names; the connection is closed
)

// String returns the kind as a log message.
func (k EventKind) String() string {
	switch k {
	case ConnOpened:
		return "connection opened"
	case ConnClosed:
		return "connection closed"
	case TLSStarted:
		return "TLS started"
	case TLSFailed:
		return "TLS failed"
	case CommandReceived:
		return "command"
	case ReplySent:
		return "reply"
	case MessageAccepted:
		return "message accepted"
	case MessageRefused:
		return "message refused"
	case LimitHit:
		return "limit hit"
	case ProxyFailed:
		return "PROXY failed"
	case Tarpitted:
		return "tarpitted"
	case EarlyTalk:
		return "early talk"
	case ForeignProtocol:
		return "foreign protocol"
	}
	return "unknown"
}

// An Event is something that happened on a connection. Fields that its kind
// does not name are zero.
type Event struct {
	Kind EventKind
	Conn *Conn
	Verb smtp.Verb
	// Line is a command as it came, without its CRLF. Credentials are
	// replaced by "***" before an Observer sees it.
	Line string
	// Reply is a reply as it was sent, but for the challenges of AUTH: their
	// text is "***", since passwords can be guessed with those of SCRAM.
	Reply      smtp.Reply
	Err        error
	Size       int64
	Recipients int
}

// An Observer is told what happens, for logs, metrics and transcripts.
// Observe is called by the connections' goroutines, many at once, and holds
// up the one that calls it.
type Observer interface {
	Observe(Event)
}

// ObserverFunc makes a function an Observer.
type ObserverFunc func(Event)

// Observe calls f.
func (f ObserverFunc) Observe(e Event) { f(e) }

// Observers joins several Observers into one, which tells each in turn.
func Observers(list ...Observer) Observer {
	return ObserverFunc(func(e Event) {
		for _, o := range list {
			o.Observe(e)
		}
	})
}

// LogObserver returns an Observer that logs connections, messages, TLS
// and PROXY failures and limits at level Info, commands and replies at level Debug. If
// l is nil, slog.Default is used.
func LogObserver(l *slog.Logger) Observer {
	if l == nil {
		l = slog.Default()
	}
	return ObserverFunc(func(e Event) {
		level := slog.LevelInfo
		if e.Kind == CommandReceived || e.Kind == ReplySent {
			level = slog.LevelDebug
		}
		ctx := context.Background()
		if !l.Enabled(ctx, level) {
			return
		}
		attrs := make([]slog.Attr, 0, 8)
		attrs = append(attrs, slog.Any("conn", e.Conn))
		if e.Verb != "" {
			attrs = append(attrs, slog.String("verb", string(e.Verb)))
		}
		if e.Line != "" {
			attrs = append(attrs, slog.String("line", e.Line))
		}
		if !e.Reply.IsZero() {
			attrs = append(attrs, slog.String("reply", e.Reply.String()))
		}
		if e.Kind == MessageAccepted || e.Kind == MessageRefused {
			attrs = append(attrs, slog.Int64("size", e.Size), slog.Int("recipients", e.Recipients))
		}
		if e.Err != nil {
			attrs = append(attrs, slog.Any("err", e.Err))
		}
		l.LogAttrs(ctx, level, e.Kind.String(), attrs...)
	})
}

func (c *conn) observe(e Event) {
	if o := c.srv.Observer; o != nil {
		e.Conn = &c.Conn
		o.Observe(e)
	}
}

// heard tells the observer of a command line.
func (c *conn) heard(line []byte, known bool) {
	text := "***"
	if known || !c.secretDue {
		var secret bool
		text, secret = redact(line, known)
		c.secretDue = secret
	}
	c.observe(Event{Kind: CommandReceived, Verb: c.verb, Line: text})
}

// hideChallenge hides a challenge of AUTH. An empty one is shown.
func hideChallenge(r smtp.Reply) smtp.Reply {
	if r.Code == smtp.CodeAuthContinue && r.Text != "" {
		r.Text = "***"
	}
	return r
}

// redact hides what could be a credential: all behind the mechanism of AUTH, of
// a word that only begins like AUTH all behind these letters, and what follows
// an unknown verb and a mechanism; and what clients of POP3 and IMAP say that are
// at the wrong port. Due says that lines with credentials may follow.
func redact(line []byte, known bool) (text string, due bool) {
	verb, arg := smtp.CutVerb(bytes.TrimLeft(line, " \t"))
	mech, secret := smtp.CutVerb(arg)
	isAuth := len(verb) >= 4 && bytes.EqualFold(verb[:4], []byte("AUTH"))
	switch {
	case !known && bytes.EqualFold(verb, []byte("PASS")):
		return string(verb) + " ***", true
	case !isAuth && (known || !carriesSecret(mech)):
		return string(line), false
	case isAuth && (len(verb) > 4 || !isMechanism(mech)):
		return string(verb[:4]) + " ***", true
	case len(secret) > 0:
		return string(verb) + " " + string(mech) + " ***", true
	}
	return string(line), true
}

// carriesSecret reports whether mech is the name of a mechanism with which a
// credential is sent as it is, or something to guess it with, or IMAP's word
// before one.
func carriesSecret(mech []byte) bool {
	for _, name := range []string{"PLAIN", "LOGIN", "OAUTHBEARER", "XOAUTH2", "CRAM-MD5", "AUTHENTICATE"} {
		if strings.EqualFold(name, string(mech)) {
			return true
		}
	}
	return len(mech) > 6 && strings.EqualFold("SCRAM-", string(mech[:6]))
}

// isMechanism reports whether b can name a mechanism (RFC 4422 §3.1), and is
// not rather a response in the wrong place: that would have letters of both
// cases.
func isMechanism(b []byte) bool {
	if len(b) > 20 || !bytes.Equal(b, bytes.ToUpper(b)) && !bytes.Equal(b, bytes.ToLower(b)) {
		return false
	}
	for _, c := range bytes.ToUpper(b) {
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}
