package dmarc

import (
	"strings"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"

	"github.com/postrider/postrider/mx/dns"
)

// asciiName returns a domain in lower case and A-labels without its final dot,
// or "" when the DNS cannot have it.
func asciiName(domain string) string {
	domain = strings.TrimSuffix(domain, ".")
	if len(domain) > 4*253 {
		return ""
	}
	for i := 0; i < len(domain); i++ {
		if domain[i] >= 0x80 {
			ascii, err := idna.Lookup.ToASCII(domain)
			if err != nil {
				return ""
			}
			domain = ascii
			break
		}
	}
	if strings.HasSuffix(domain, ".") || !dns.ValidName(domain) {
		return ""
	}
	return strings.ToLower(domain)
}

// parent takes the first label off. The parent of a single label is "".
func parent(domain string) string {
	_, rest, _ := strings.Cut(domain, ".")
	return rest
}

// top returns the last label.
func top(domain string) string { return domain[strings.LastIndexByte(domain, '.')+1:] }

// isBelow reports whether domain is a subdomain of top.
func isBelow(domain, top string) bool {
	i := len(domain) - len(top)
	return i > 0 && domain[i-1] == '.' && domain[i:] == top
}

// childOf returns the domain one label below top, on the way to domain.
func childOf(top, domain string) string {
	below := domain[:len(domain)-len(top)-1]
	return domain[strings.LastIndexByte(below, '.')+1:]
}

// shorten returns the last n labels of a domain.
func shorten(domain string, n int) string {
	i := len(domain)
	for ; n > 0 && i >= 0; n-- {
		i = strings.LastIndexByte(domain[:i], '.')
	}
	return domain[i+1:]
}

// registered returns the organizational domain by the public suffix list (RFC
// 7489 §3.2).
func registered(domain string) string {
	org, err := publicsuffix.EffectiveTLDPlusOne(domain)
	if err != nil {
		return domain // it is a suffix itself
	}
	return org
}
