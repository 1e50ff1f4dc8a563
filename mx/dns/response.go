package dns

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	udpSize    = 1232 // what goes through everywhere without fragments (RFC 9715 §3.2)
	maxTTL     = 7 * 24 * time.Hour
	maxRecords = 1000 // in the answer section

	success   RCode = 0
	nameError RCode = 3
	badVers   RCode = 16 // RFC 6891 §9

	optionEDE = 15 // RFC 8914 §4
)

// response is a message that answers, up to its records.
type response struct {
	dnsmessage.Header
	rcode   RCode // with the bits that EDNS adds
	bogus   bool
	answers dnsmessage.Parser // at the first answer
	soa     soa               // of the authority section
}

type soa struct {
	found bool
	owner dnsmessage.Name
	ttl   time.Duration // of an answer without records (RFC 2308 §5)
}

var (
	errRecords = fmt.Errorf("more than %d records", maxRecords)
	errLength  = errors.New("record of a wrong length")
	errLame    = errors.New("the server is no recursive resolver")
)

// parseResponse reads everything but the answers.
func parseResponse(msg []byte) (r response, err error) {
	p := &r.answers
	if r.Header, err = p.Start(msg); err != nil {
		return r, err
	}
	r.rcode = RCode(r.Header.RCode)
	if err := p.SkipAllQuestions(); err != nil {
		return r, err
	}
	rest := *p
	for n := 0; ; n++ {
		if err := rest.SkipAnswer(); err == dnsmessage.ErrSectionDone {
			break
		} else if err != nil {
			return r, err
		}
		if n == maxRecords {
			return r, errRecords
		}
	}
	if err := r.authorities(&rest); err != nil {
		return r, err
	}
	return r, r.additionals(&rest)
}

func (r *response) authorities(p *dnsmessage.Parser) error {
	for {
		h, err := p.AuthorityHeader()
		if err == dnsmessage.ErrSectionDone {
			return nil
		} else if err != nil {
			return err
		}
		if h.Type != dnsmessage.TypeSOA || h.Class != dnsmessage.ClassINET || r.soa.found {
			if err := p.SkipAuthority(); err != nil {
				return err
			}
			continue
		}
		body, err := p.SOAResource()
		if err != nil {
			return err
		}
		r.soa = soa{true, h.Name, min(ttl(h.TTL), ttl(body.MinTTL))}
	}
}

func (r *response) additionals(p *dnsmessage.Parser) error {
	for {
		h, err := p.AdditionalHeader()
		if err == dnsmessage.ErrSectionDone {
			return nil
		} else if err != nil {
			return err
		}
		if h.Type != dnsmessage.TypeOPT {
			if err := p.SkipAdditional(); err != nil {
				return err
			}
			continue
		}
		body, err := p.OPTResource()
		if err != nil {
			return err
		}
		r.rcode = RCode(h.ExtendedRCode(r.Header.RCode))
		for _, o := range body.Options {
			r.bogus = r.bogus || o.Code == optionEDE && len(o.Data) >= 2 && saysBogus(binary.BigEndian.Uint16(o.Data))
		}
	}
}

// saysBogus reports whether an extended error means that DNSSEC validation has
// failed: RFC 8914 §4.7 to §4.13.
func saysBogus(code uint16) bool { return code >= 6 && code <= 12 }

// extend adds to an answer what a response says about the name at the end of its
// chain, and about those to which that leads.
func (r *response) extend(sofar Answer, t Type) (step, error) {
	next := step{Answer: sofar}
	a := &next.Answer
	a.Chain = append([]string(nil), sofar.Chain...)
	a.Secure = a.Secure && r.AuthenticData
	first := a.Canonical
	for {
		alias, found, err := r.at(a, t, first)
		switch {
		case err != nil:
			return step{}, err
		case found:
			next.complete = true
			return next, nil
		case alias == "":
			return next, r.end(&next, first)
		case len(a.Chain) == maxAliases:
			return step{}, errAliases
		}
		a.Chain = append(a.Chain, a.Canonical)
		a.Canonical = alias
	}
}

// at adds the records of the name that Canonical is now, or else returns what it
// is an alias of.
func (r *response) at(a *Answer, t Type, asked string) (alias string, found bool, err error) {
	owner, err := dnsmessage.NewName(a.Canonical)
	if err != nil {
		return "", false, err
	}
	aliasTTL := maxTTL
	for p := r.answers; ; {
		h, err := p.AnswerHeader()
		if err == dnsmessage.ErrSectionDone {
			break
		} else if err != nil {
			return "", false, err
		}
		ours := h.Class == dnsmessage.ClassINET && sameName(h.Name, owner)
		switch {
		case ours && Type(h.Type) == t:
			err = a.add(&p, h, asked)
			found, a.TTL = true, min(a.TTL, ttl(h.TTL))
		case ours && h.Type == dnsmessage.TypeCNAME && alias == "":
			var body dnsmessage.CNAMEResource
			body, err = p.CNAMEResource()
			alias, aliasTTL = restoreCase(body.CNAME, asked), ttl(h.TTL)
		default:
			err = p.SkipAnswer()
		}
		if err != nil {
			return "", false, err
		}
	}
	if !found {
		a.TTL = min(a.TTL, aliasTTL)
	}
	return alias, found, nil
}

// add adds one record.
func (a *Answer) add(p *dnsmessage.Parser, h dnsmessage.ResourceHeader, asked string) error {
	switch Type(h.Type) {
	case A:
		body, err := p.AResource()
		if h.Length != 4 {
			return errLength
		}
		a.Addrs = append(a.Addrs, netip.AddrFrom4(body.A))
		return err
	case AAAA:
		body, err := p.AAAAResource()
		if h.Length != 16 {
			return errLength
		}
		a.Addrs = append(a.Addrs, netip.AddrFrom16(body.AAAA))
		return err
	case CNAME:
		body, err := p.CNAMEResource()
		a.Names = append(a.Names, restoreCase(body.CNAME, asked))
		return err
	case NS:
		body, err := p.NSResource()
		a.Names = append(a.Names, restoreCase(body.NS, asked))
		return err
	case PTR:
		body, err := p.PTRResource()
		a.Names = append(a.Names, restoreCase(body.PTR, asked))
		return err
	case MX:
		body, err := p.MXResource()
		a.MX = append(a.MX, MXRecord{body.Pref, restoreCase(body.MX, asked)})
		return err
	case TXT:
		body, err := p.TXTResource()
		a.TXT = append(a.TXT, strings.Join(body.TXT, ""))
		return err
	}
	body, err := p.UnknownResource() // TLSA
	if err != nil {
		return err
	}
	if len(body.Data) < 3 {
		return errLength
	}
	a.TLSA = append(a.TLSA, TLSARecord{body.Data[0], body.Data[1], body.Data[2], body.Data[3:]})
	return nil
}

// end is for a name of which the response has neither records nor an alias.
func (r *response) end(next *step, asked string) error {
	cutOff := next.Canonical != asked && r.rcode == success && !r.soa.found
	if cutOff {
		return nil
	}
	if next.Canonical == asked && r.rcode == success && !r.soa.found && !r.RecursionAvailable && !r.Authoritative {
		return errLame
	}
	next.complete, next.NXDomain = true, r.rcode == nameError // RFC 6604 §2.1
	if r.soa.found && within(next.Canonical, r.soa.owner) {
		next.TTL = min(next.TTL, r.soa.ttl)
	} else {
		next.TTL = 0 // RFC 2308 §5
	}
	return nil
}

// ttl reads seconds: a value beyond 31 bits is none (RFC 2181 §8).
func ttl(seconds uint32) time.Duration {
	if seconds > 1<<31-1 {
		return 0
	}
	return min(time.Duration(seconds)*time.Second, maxTTL)
}

// within reports whether a zone has the name.
func within(name string, zone dnsmessage.Name) bool {
	apex := strings.ToLower(zone.String())
	name = strings.ToLower(name)
	return apex == "." || name == apex || strings.HasSuffix(name, "."+apex)
}

// restoreCase returns a name as it was received, but for the end that it has in
// common with the one asked for: servers compress names, and then the case is
// the one that was mixed into the question.
func restoreCase(name dnsmessage.Name, asked string) string {
	b := name.Data[:name.Length]
	for i, j := len(b)-1, len(asked)-1; i >= 0 && j >= 0 && lower(b[i]) == lower(asked[j]); i, j = i-1, j-1 {
		b[i] = asked[j]
	}
	return string(b)
}
