package middleware

import (
	"net/netip"
	"strings"

	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// network returns the part of the client's address that has so many bits. It is
// not valid if the client has no address, as on a unix socket.
func network(c *server.Conn, bits4, bits6 int) netip.Prefix {
	ip := c.RemoteIP()
	bits := bits6
	if ip.Is4() {
		bits = bits4
	}
	p, err := ip.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// folded is an address by which it is filed. Local-parts are folded too: no
// site that is known of gives two people addresses that differ in case only.
func folded(m smtp.Mailbox) string {
	return strings.ToLower(m.Local) + "@" + smtp.CanonicalDomain(m.Domain)
}

func isPostmaster(local string) bool {
	return len(local) == len("postmaster") && strings.EqualFold(local, "postmaster") // other letters that fold to these are longer
}

// isQualified reports whether a domain is fully qualified: of more than one
// label, or an address.
func isQualified(domain string) bool {
	return strings.HasPrefix(domain, "[") || strings.Contains(strings.Trim(domain, "."), ".")
}
