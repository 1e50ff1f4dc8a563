package mx

import (
	"strconv"
	"strings"

	"github.com/postrider/postrider/smtp"
)

// An Error says why a message cannot go on where no server has said so: its
// domain has no route, its hosts cannot prove what TLS has to. errors.As finds an
// *smtp.Error in it, with the reply that stands for it.
type Error struct {
	Domain string // where the message goes
	Host   string // "" if no single host is at fault
	Scope  Scope
	Reply  smtp.Reply // ours: what a report to the sender can give
	Err    error      // the cause. May be nil
}

// Error returns where and what went wrong:
// "mx: example.org: 556 5.1.10 the domain takes no mail".
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("mx: ")
	for _, name := range []string{e.Domain, e.Host} {
		if name != "" {
			b.WriteString(printable(name) + ": ")
		}
	}
	b.WriteString(e.Reply.String())
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	return b.String()
}

// printable quotes a name that is none.
func printable(name string) string {
	if strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return strconv.QuoteToASCII(name)
	}
	return name
}

// Temporary reports whether it may be better later: the code says so.
func (e *Error) Temporary() bool { return e.Reply.Temporary() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// As makes errors.As find the reply as an *smtp.Error.
func (e *Error) As(target any) bool {
	t, ok := target.(**smtp.Error)
	if !ok {
		return false
	}
	scope := smtp.ScopeMessage
	switch e.Scope {
	case ScopeRecipient:
		scope = smtp.ScopeRecipient
	case ScopeHost, ScopeSite, ScopePolicy:
		scope = smtp.ScopeHost
	case ScopeLocal, ScopeNone:
		scope = smtp.ScopeUnknown
	}
	*t = &smtp.Error{Reply: e.Reply, Scope: scope}
	return true
}

// fault is an Error's reply and scope without where it happened.
type fault struct {
	code  int
	enh   smtp.Enhanced
	scope Scope
	text  string
}

func (f fault) reply() smtp.Reply { return smtp.Reply{Code: f.code, Enhanced: f.enh, Text: f.text} }

// at makes an Error of f.
func (f fault) at(domain, host string, err error) *Error {
	return &Error{Domain: domain, Host: host, Scope: f.scope, Reply: f.reply(), Err: err}
}

// What may go wrong without a server's reply.
var (
	badDomain   = fault{550, smtp.Enh(1, 2), ScopeSite, "not the name of a domain"}
	badLiteral  = fault{550, smtp.Enh(1, 2), ScopeSite, "not an address that mail can go to"}
	noDomain    = fault{550, smtp.Enh(1, 2), ScopeSite, "the domain does not exist"}                   // RFC 3463 §3.2
	nullMX      = fault{556, smtp.Enh(1, 10), ScopeSite, "the domain takes no mail"}                   // RFC 7505 §4.2
	noHost      = fault{550, smtp.Enh(4, 4), ScopeSite, "the domain has no host that could take mail"} // RFC 3463 §3.5
	loop        = fault{554, smtp.Enh(4, 6), ScopeSite, "mail for the domain would come back to this host"}
	dnsFailure  = fault{451, smtp.Enh(4, 3), ScopeSite, "the DNS does not answer for now"}
	hostFailure = fault{451, smtp.Enh(4, 3), ScopeHost, "the DNS does not answer for now"}
	noTLSA      = fault{451, smtp.Enh(4, 3), ScopeHost, "whether the host uses DANE is not known for now"} // RFC 7672 §2.1.2
	noAddress   = fault{550, smtp.Enh(4, 4), ScopeHost, "the host has no address that mail can go to"}
)

// What may go wrong with a message on its way, without a server's reply.
var (
	badMessage   = fault{554, smtp.Enh(6, 0), ScopeMessage, "the message cannot be sent as it is"}
	localFailure = fault{451, smtp.Enh(3, 0), ScopeLocal, "a failure on this side"}
	stopped      = fault{451, smtp.Enh(3, 2), ScopeLocal, "given up before the message could be delivered"}
	noConn       = fault{451, smtp.Enh(3, 2), ScopeLocal, "too many connections are in use here"}
	noNextHop    = fault{451, smtp.Enh(4, 4), ScopeLocal, "no next hop can be found"}
	busy         = fault{451, smtp.Enh(4, 5), ScopeSite, "too many messages are on their way to the site"}
	unreachable  = fault{451, smtp.Enh(4, 1), ScopeHost, "no connection to the host"}
	lost         = fault{451, smtp.Enh(4, 2), ScopeHost, "the connection was lost"}
	broken       = fault{451, smtp.Enh(5, 0), ScopeHost, "the host does not speak the protocol"}
	unknown      = fault{451, smtp.Enh(4, 2), ScopeHost, "the connection was lost before the host said what became of the message"}
	noAuth       = fault{454, smtp.Enh(7, 0), ScopeLocal, "no authentication with the host"}
	noTLS        = fault{451, smtp.Enh(7, 4), ScopePolicy, "TLS is required and the host does not offer it"}
	noDANE       = fault{451, smtp.Enh(7, 4), ScopePolicy, "DANE is required and the host has no TLSA records that can be used"}
	notInSTS     = fault{451, smtp.Enh(7, 5), ScopePolicy, "the MTA-STS policy of the domain does not name the host"}
	unnamed      = fault{451, smtp.Enh(7, 5), ScopePolicy, "the message requires TLS and nothing vouches for the host for now"}
	unprotected  = fault{550, smtp.Enh(7, 10), ScopePolicy, "the message requires TLS and nothing vouches for the host"} // RFC 8689 §4.2.1
	badTLS       = fault{451, smtp.Enh(7, 5), ScopePolicy, "TLS with the host has failed"}
	unsuitable   = fault{554, smtp.Enh(6, 3), ScopeMessage, "the host cannot take the message as it is"}
	tooMany      = fault{452, smtp.Enh(5, 3), ScopeMessage, "the host takes no more recipients at once"}
)
