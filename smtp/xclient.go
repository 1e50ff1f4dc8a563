package smtp

import (
	"net/netip"
	"slices"
)

// XClient is what an XCLIENT command says of a client for which the sender
// speaks (Postfix XCLIENT_README): the server goes on as if that client had
// connected. A field is "" when the attribute is not given; XUnavailable and
// XTempUnavailable stand as values. Values are comparable with ==.
type XClient struct {
	Name     string // host name of the client; XUnavailable or XTempUnavailable when its lookup failed
	Addr     string // IP address of the client, without a tag or brackets, or XUnavailable
	Port     string // TCP port of the client in decimal, or XUnavailable
	Proto    string // "SMTP" or "ESMTP"
	Helo     string // argument of HELO or EHLO, or XUnavailable
	Login    string // SASL login name, or XUnavailable
	DestAddr string // IP address of the server that the client connected to, or XUnavailable
	DestPort string // TCP port of that server in decimal, or XUnavailable
}

// The values of attributes that nobody knows. They are matched without regard
// to case and parsed into these.
const (
	XUnavailable     = "[UNAVAILABLE]" // not known
	XTempUnavailable = "[TEMPUNAVAIL]" // the lookup failed for now
)

// ParseXClient reads the argument of XCLIENT: attributes with values in xtext.
// The error is a *SyntaxError with the code 501: an attribute that is unknown or
// given twice, no attribute at all, a value that is not xtext, longer than
// MaxXValue, not what the attribute takes, or that could break out of a header
// field. Addresses and ports come out in their canonical form.
func ParseXClient(arg string) (XClient, error) {
	var x XClient
	if err := parseAttributes(arg, x.attributes()); err != nil {
		return XClient{}, err
	}
	return x, nil
}

// AppendXClient appends an XCLIENT command with its CRLF. A value that
// ParseXClient would refuse is left out, and when nothing is left dst comes
// back as it was; Validate tells why. Split keeps the command within
// MaxCommandLine.
func AppendXClient(dst []byte, x XClient) []byte {
	return appendAttributes(dst, XCLIENT, x.attributes())
}

// Validate reports the first reason why x cannot be sent, as a *SyntaxError.
func (x XClient) Validate() error { return checkAttributes(x.attributes()) }

// Kept returns x without the attributes that are not in offer, the parameter
// with which the server offers XCLIENT: "NAME ADDR PORT".
func (x XClient) Kept(offer string) XClient {
	keepAttributes(x.attributes(), offer)
	return x
}

// Split returns x as one or more commands, none longer than MaxCommandLine, in
// the order to send them: the name and the address of the client last, since a
// server that has them may not trust the sender any more, and the login with
// them if it fits, since a server may forget a login, a protocol and a HELO that
// an earlier command gave. The latter two come again with EHLO.
func (x XClient) Split() []XClient {
	var parts []XClient
	for from := x.backwards(); ; { // so that the last command is the full one
		var part XClient
		if !moveAttributes(XCLIENT, part.backwards(), from) {
			slices.Reverse(parts)
			return parts
		}
		parts = append(parts, part)
	}
}

func (x *XClient) backwards() []attribute {
	list := x.attributes()
	slices.Reverse(list)
	return list
}

// AddrPort returns the address and the port of the client, and whether there is
// an address. The port is 0 when it is not known.
func (x XClient) AddrPort() (netip.AddrPort, bool) { return addrPort(x.Addr, x.Port) }

// DestAddrPort is AddrPort for the server that the client connected to.
func (x XClient) DestAddrPort() (netip.AddrPort, bool) { return addrPort(x.DestAddr, x.DestPort) }

func (x *XClient) attributes() []attribute {
	return []attribute{
		{"PROTO", &x.Proto, kindSMTP},
		{"HELO", &x.Helo, kindHost},
		{"LOGIN", &x.Login, kindLogin},
		{"DESTADDR", &x.DestAddr, kindAddr},
		{"DESTPORT", &x.DestPort, kindPort},
		{"PORT", &x.Port, kindPort},
		{"NAME", &x.Name, kindHostname},
		{"ADDR", &x.Addr, kindAddr},
	}
}
