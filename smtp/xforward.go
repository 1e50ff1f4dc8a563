package smtp

import "net/netip"

// XForward is what XFORWARD commands say of where the message of the next mail
// transaction came from, for the log (Postfix XFORWARD_README). A field is ""
// when the attribute is not given; XUnavailable stands as a value. Values are
// comparable with ==.
type XForward struct {
	Name   string // host name of the upstream host, which need not be in the DNS, or XUnavailable
	Addr   string // IP address of the upstream host, without a tag or brackets, or XUnavailable
	Port   string // TCP port of the upstream host in decimal, or XUnavailable
	Proto  string // protocol by which the message came, at most 64 octets, or XUnavailable
	Helo   string // name that the upstream host gave, or XUnavailable
	Ident  string // identifier of the message on the sender's host, or XUnavailable
	Source string // "LOCAL" or "REMOTE", seen from the sender's host, or XUnavailable
}

// ParseXForward reads the argument of XFORWARD, as ParseXClient does that of
// XCLIENT.
func ParseXForward(arg string) (XForward, error) {
	var x XForward
	if err := parseAttributes(arg, x.attributes()); err != nil {
		return XForward{}, err
	}
	return x, nil
}

// AppendXForward appends an XFORWARD command with its CRLF, as AppendXClient
// does an XCLIENT command.
func AppendXForward(dst []byte, x XForward) []byte {
	return appendAttributes(dst, XFORWARD, x.attributes())
}

// Validate reports the first reason why x cannot be sent, as a *SyntaxError.
func (x XForward) Validate() error { return checkAttributes(x.attributes()) }

// Kept returns x without the attributes that are not in offer, the parameter
// with which the server offers XFORWARD: "NAME ADDR PROTO".
func (x XForward) Kept(offer string) XForward {
	keepAttributes(x.attributes(), offer)
	return x
}

// Split returns x as one or more commands, none longer than MaxCommandLine. A
// server puts them together until the end of the mail transaction.
func (x XForward) Split() []XForward {
	var parts []XForward
	for from := x.attributes(); ; {
		var part XForward
		if !moveAttributes(XFORWARD, part.attributes(), from) {
			return parts
		}
		parts = append(parts, part)
	}
}

// Merge returns x with what later says in the place of what x says: a server
// adds up the XFORWARD commands before a mail transaction.
func (x XForward) Merge(later XForward) XForward {
	to := x.attributes()
	for i, a := range later.attributes() {
		if *a.value != "" {
			*to[i].value = *a.value
		}
	}
	return x
}

// AddrPort returns the address and the port of the upstream host, and whether
// there is an address. The port is 0 when it is not known.
func (x XForward) AddrPort() (netip.AddrPort, bool) { return addrPort(x.Addr, x.Port) }

func (x *XForward) attributes() []attribute {
	return []attribute{
		{"NAME", &x.Name, kindHost},
		{"ADDR", &x.Addr, kindAddr},
		{"PORT", &x.Port, kindPort},
		{"PROTO", &x.Proto, kindProtocol},
		{"HELO", &x.Helo, kindHost},
		{"IDENT", &x.Ident, kindHost},
		{"SOURCE", &x.Source, kindSource},
	}
}
