package mxtest

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"fmt"

	"github.com/postrider/postrider/mx/dns"
)

// DANE publishes TLSA records for a host in the place of those that it had, and
// signs its name (RFC 7672). If none is given, 3 1 1 of its certificate. The domain
// of the mail must be signed too, or nobody can know that this is its host
// (RFC 7672 §2.2.1): see Sign.
func (n *Internet) DANE(h *Host, records ...dns.TLSARecord) {
	if len(records) == 0 {
		records = []dns.TLSARecord{h.TLSA(3, 1, 1)}
	}
	for _, port := range h.Ports {
		name := fmt.Sprintf("_%d._tcp.%s", port, h.Name)
		n.Zone.Remove(name, dns.TLSA)
		for _, r := range records {
			n.Records(fmt.Sprintf("%s TLSA %d %d %d %x", name, r.Usage, r.Selector, r.MatchingType, r.Data))
		}
	}
	n.Sign(h.Name)
}

// TLSA computes the TLSA record for the host's certificate, as it is now, or with
// usage 0 and 2 for that of its issuer (RFC 6698 §2.1). Published for another host
// it is a wrong one.
func (h *Host) TLSA(usage, selector, matchingType uint8) dns.TLSARecord {
	h.mu.Lock()
	chain := h.cert.Certificate
	h.mu.Unlock()
	der := chain[0]
	switch usage {
	case 0, 2:
		der = chain[len(chain)-1]
	case 1, 3:
	default:
		panic("mxtest: a TLSA record has usage 0, 1, 2 or 3")
	}
	switch selector {
	case 0:
	case 1:
		cert, err := x509.ParseCertificate(der)
		check(err)
		der = cert.RawSubjectPublicKeyInfo
	default:
		panic("mxtest: a TLSA record has selector 0 or 1")
	}
	switch matchingType {
	case 0:
	case 1:
		sum := sha256.Sum256(der)
		der = sum[:]
	case 2:
		sum := sha512.Sum512(der)
		der = sum[:]
	default:
		panic("mxtest: a TLSA record has matching type 0, 1 or 2")
	}
	return dns.TLSARecord{Usage: usage, Selector: selector, MatchingType: matchingType, Data: der}
}
