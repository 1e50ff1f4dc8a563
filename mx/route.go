package mx

import "net/netip"

// A Route says which hosts take mail for a domain, in the order in which they are
// to be tried. It must not be changed.
type Route struct {
	// Domain is what was asked for: in A-labels and lower case, without a final
	// dot, or an address literal with its brackets.
	Domain string
	// Canonical is the name that has the MX records, Domain itself unless that is
	// an alias (RFC 5321 §5.1). DANE knows the domain by it too (RFC 7672 §2.2.1).
	Canonical string
	// Hosts are to be tried in this order. There is always one.
	Hosts []Host
	// Implicit says that the domain has no MX records and is its own host
	// (RFC 5321 §5.1).
	Implicit bool
	// Literal says that Domain is an address literal (RFC 5321 §2.3.5).
	Literal bool
	// Explicit says that the hosts are those of a NextHop, and not of the DNS.
	Explicit bool
	// Secure says that DNSSEC has authenticated which hosts these are: the MX
	// records, or that there are none. The hosts that a NextHop names in brackets
	// are as trustworthy as whoever wrote them down.
	Secure bool
}

// Host is one host of a Route.
type Host struct {
	// Name is in A-labels and lower case, without a final dot; an address literal
	// with its brackets; or the path of a unix socket.
	Name string
	// Preference is that of the MX record; lower is tried first.
	Preference uint16
	// Port is the port to connect to. If zero, the one of the Client.
	Port uint16

	hop    string // the domain of a NextHop whose MX records, or their absence, lead to the host
	forged bool   // anybody may have made them: there is no DNSSEC
}

// Addrs are the addresses of a host.
type Addrs struct {
	// Addrs are in the order in which they are to be tried: IPv6 and IPv4 in turns.
	// There is always one.
	Addrs []netip.Addr
	// Canonical is the name that has the addresses, without a final dot: the
	// host's own unless that is an alias. "" for an address literal.
	Canonical string
	// Secure says that DNSSEC has authenticated the addresses, each alias on the
	// way included.
	Secure bool
}
