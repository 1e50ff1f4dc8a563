package dns

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// ValidName reports whether name is made of labels of letters, digits, hyphens
// and underscores, 1 to 63 octets each, at most 253 octets without the final
// dot. Policies made from what strangers sent are looked up only if this
// holds. Underscores are where hosts have none (RFC 8552).
func ValidName(name string) bool {
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	return name != "." && fits(name)
}

// fits reports whether a message can hold the name (RFC 1035 §2.3.4). One that
// it cannot hold does not exist.
func fits(name string) bool {
	if name == "." {
		return true
	}
	name = strings.TrimSuffix(name, ".")
	if len(name) > 253 {
		return false
	}
	label := 0
	for i := 0; i < len(name); i++ {
		if name[i] != '.' {
			label++
			continue
		}
		if label == 0 || label > 63 {
			return false
		}
		label = 0
	}
	return label > 0 && label <= 63
}

// rooted returns the name with its final dot.
func rooted(name string) string {
	if strings.HasSuffix(name, ".") {
		return name
	}
	return name + "."
}

// ReverseName returns the name whose PTR records name the hosts of addr, in
// in-addr.arpa or ip6.arpa (RFC 1035 §3.5, RFC 3596 §2.5), or "" for the zero
// Addr. An IPv4 address mapped into IPv6 counts as IPv4.
func ReverseName(addr netip.Addr) string {
	labels := ReverseLabels(addr)
	switch {
	case labels == "":
		return ""
	case addr.Unmap().Is4():
		return labels + "in-addr.arpa."
	}
	return labels + "ip6.arpa."
}

// ReverseLabels returns the labels that stand for addr in a zone of addresses,
// in front of the zone's name: "1.2.0.192." for 192.0.2.1, and the 32 nibbles
// of an IPv6 address. So do in-addr.arpa and ip6.arpa, and lists of addresses
// (RFC 5782 §2.1, §2.4). It is empty for the zero Addr. An IPv4 address mapped
// into IPv6 counts as IPv4.
func ReverseLabels(addr netip.Addr) string {
	if !addr.IsValid() {
		return ""
	}
	addr = addr.Unmap()
	if addr.Is4() {
		b := addr.As4()
		return fmt.Sprintf("%d.%d.%d.%d.", b[3], b[2], b[1], b[0])
	}
	const hex = "0123456789abcdef"
	b := addr.As16()
	name := make([]byte, 0, 64)
	for i := 15; i >= 0; i-- {
		name = append(name, hex[b[i]&15], '.', hex[b[i]>>4], '.')
	}
	return string(name)
}

// reverseAddr is the opposite of ReverseName.
func reverseAddr(name string) (netip.Addr, bool) {
	var addr netip.Addr
	labels := strings.Split(strings.ToLower(strings.TrimSuffix(name, ".")), ".")
	switch {
	case len(labels) == 6 && labels[4] == "in-addr":
		addr, _ = netip.ParseAddr(labels[3] + "." + labels[2] + "." + labels[1] + "." + labels[0])
	case len(labels) == 34 && labels[32] == "ip6":
		var b [16]byte
		for i := range b {
			n, _ := strconv.ParseUint(labels[31-2*i]+labels[30-2*i], 16, 8)
			b[i] = byte(n)
		}
		addr = netip.AddrFrom16(b)
	}
	return addr, strings.EqualFold(ReverseName(addr), rooted(name)) // ReverseName writes it in one way only
}
