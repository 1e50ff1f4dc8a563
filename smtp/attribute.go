package smtp

import (
	"net/netip"
	"strconv"
	"strings"
)

// attribute is one attribute-name "=" attribute-value of XCLIENT or XFORWARD.
type attribute struct {
	name  string
	value *string
	kind  attributeKind
}

type attributeKind uint8

const (
	kindHost     attributeKind = iota // a name without what is special in header fields
	kindHostname                      // a host name of the DNS
	kindAddr                          // an IP address, on the wire with a tag when it is IPv6
	kindPort
	kindSMTP     // SMTP or ESMTP
	kindProtocol // the name of any protocol
	kindLogin
	kindSource // LOCAL or REMOTE
)

const (
	ipv6Tag     = "IPV6:"
	maxProtocol = 64
	maxPort     = 65535
)

// parseAttributes = 1*( attribute-name "=" attribute-value ) with blanks between
func parseAttributes(arg string, attributes []attribute) error {
	i := skipBlanks(arg, 0)
	if i == len(arg) {
		return badValue(i, "attributes are missing")
	}
	for i < len(arg) {
		end := i
		for end < len(arg) && !isBlank(arg[end]) {
			end++
		}
		if err := parseAttribute(arg[i:end], i, attributes); err != nil {
			return err
		}
		i = skipBlanks(arg, end)
	}
	return nil
}

func parseAttribute(word string, offset int, attributes []attribute) error {
	name, encoded, ok := strings.Cut(word, "=")
	a := findAttribute(name, attributes)
	if a == nil {
		return badValue(offset, "attribute not recognized")
	}
	valueAt := offset + len(name) + 1
	switch {
	case !ok || encoded == "":
		return badValue(offset+len(word), "attribute has no value")
	case *a.value != "":
		return badValue(offset, "attribute given twice")
	case len(encoded) > MaxXValue:
		return badValue(valueAt+MaxXValue, "attribute value is longer than 255 octets")
	}
	value, at, why := xtext(encoded)
	if why != "" {
		return badValue(valueAt+at, why)
	}
	if a.kind == kindAddr && !isUnknown(value) {
		tagged := hasPrefixFold(value, ipv6Tag)
		if tagged {
			value = value[len(ipv6Tag):]
		}
		if tagged != strings.Contains(value, ":") {
			return badValue(valueAt, "address is neither IPv4 nor IPv6 after IPV6:")
		}
	}
	if *a.value, why = a.kind.canonical(value); why != "" {
		return badValue(valueAt, why)
	}
	return nil
}

func findAttribute(name string, attributes []attribute) *attribute {
	for i := range attributes {
		if equalFold(attributes[i].name, name) {
			return &attributes[i]
		}
	}
	return nil
}

func appendAttributes(dst []byte, verb Verb, attributes []attribute) []byte {
	start := len(dst)
	dst = append(dst, verb...)
	bare := len(dst)
	for i := range attributes {
		dst, _ = attributes[i].appendTo(dst)
	}
	if len(dst) == bare {
		return dst[:start]
	}
	return append(dst, "\r\n"...)
}

func checkAttributes(attributes []attribute) error {
	given := false
	for i := range attributes {
		if _, why := attributes[i].appendTo(nil); why != "" {
			return badValue(-1, attributes[i].name+": "+why)
		}
		given = given || *attributes[i].value != ""
	}
	if !given {
		return badValue(-1, "attributes are missing")
	}
	return nil
}

func keepAttributes(attributes []attribute, offer string) {
	for _, a := range attributes {
		keep := false
		for word := range strings.FieldsSeq(offer) {
			keep = keep || equalFold(word, a.name)
		}
		if !keep {
			*a.value = ""
		}
	}
}

// moveAttributes moves the attributes that fit into one command, and reports
// whether there was any. Those that cannot be sent vanish.
func moveAttributes(verb Verb, to, from []attribute) (moved bool) {
	line := len(verb) + len("\r\n")
	for i := range from {
		part, why := from[i].appendTo(nil)
		switch {
		case why != "" || len(part) == 0:
		case line+len(part) > MaxCommandLine:
			return moved
		default:
			*to[i].value = *from[i].value
			line += len(part)
			moved = true
		}
		*from[i].value = ""
	}
	return moved
}

// appendTo appends " NAME=value", or nothing when there is no value or it
// cannot be sent.
func (a *attribute) appendTo(dst []byte) (_ []byte, why string) {
	if *a.value == "" {
		return dst, ""
	}
	value, why := a.kind.canonical(*a.value)
	if why != "" {
		return dst, why
	}
	if a.kind == kindAddr && strings.Contains(value, ":") {
		value = ipv6Tag + value
	}
	if xtextLen(value) > MaxXValue {
		return dst, "attribute value is longer than 255 octets"
	}
	dst = append(append(append(dst, ' '), a.name...), '=')
	return AppendXtext(dst, value), ""
}

// canonical returns the value as the fields hold it, and why it is not one.
func (k attributeKind) canonical(value string) (_, why string) {
	switch {
	case value == "":
		return "", "attribute has no value"
	case k != kindSMTP && equalFold(value, XUnavailable):
		return XUnavailable, ""
	case k == kindHostname && equalFold(value, XTempUnavailable):
		return XTempUnavailable, ""
	}
	switch k {
	case kindHostname:
		return value, hostname(value)
	case kindAddr:
		addr, ok := ipv4Literal(value)
		if !ok {
			addr, ok = ipv6Literal(value)
		}
		if !ok {
			return "", "not an IP address"
		}
		return addr.String(), ""
	case kindPort:
		n := digits(value)
		if n < 0 || n > maxPort || len(value) > len("65535") {
			return "", "not a port"
		}
		return strconv.Itoa(n), ""
	case kindSMTP:
		return oneOf(value, "SMTP", "ESMTP")
	case kindSource:
		return oneOf(value, "LOCAL", "REMOTE")
	case kindLogin:
		for i := 0; i < len(value); {
			n := nonASCII(value, i)
			if n == 0 && !isPrintable(value[i:i+1]) {
				return "", "character not allowed in a login name"
			}
			i += max(n, 1)
		}
		return value, ""
	case kindProtocol:
		if len(value) > maxProtocol {
			return "", "protocol is longer than 64 octets"
		}
	}
	for i := 0; i < len(value); i++ {
		if value[i]-0x21 > 0x7e-0x21 || strings.IndexByte(`<>()\";@`, value[i]) >= 0 {
			return "", "character not allowed in the attribute"
		}
	}
	return value, ""
}

func isUnknown(value string) bool { return equalFold(value, XUnavailable) }

func oneOf(value, a, b string) (_, why string) {
	switch {
	case equalFold(value, a):
		return a, ""
	case equalFold(value, b):
		return b, ""
	}
	return "", "neither " + a + " nor " + b
}

func hostname(s string) (why string) {
	if _, isAddr := ipv4Literal(s); isAddr {
		return "host name is an address"
	}
	end, why := domain(s, 0, cHello)
	if why == "" && (end < len(s) || !isASCII(s)) {
		why = "character not allowed in a host name"
	}
	return why
}

func addrPort(addr, port string) (netip.AddrPort, bool) {
	ip, err := netip.ParseAddr(addr)
	if err != nil || ip.Zone() != "" {
		return netip.AddrPort{}, false
	}
	n := digits(port)
	if n < 0 || n > maxPort || len(port) > len("65535") {
		n = 0
	}
	return netip.AddrPortFrom(ip.Unmap(), uint16(n)), true
}
