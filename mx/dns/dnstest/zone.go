// Package dnstest has a DNS for tests: a Zone holds records in memory, answers
// as a resolver, and can serve itself to other programs over loopback.
package dnstest

import (
	"context"
	"errors"
	"sync"

	"github.com/postrider/postrider/mx/dns"
)

// A Zone is the whole Domain Name System, in memory: names that it does not
// hold do not exist. The zero value is empty. It is a [dns.Resolver], and safe
// for concurrent use.
//
// Its text has a record a line, the name first; names are absolute, with or
// without a final dot, and their case does not matter:
//
//	example.org         MX     10 mx.example.org
//	example.org         TXT    "v=spf1 mx " "-all"     ; strings are joined
//	mx.example.org      A      192.0.2.1
//	mx.example.org      AAAA   2001:db8::1
//	www.example.org     CNAME  mx.example.org
//	1.2.0.192.in-addr.arpa PTR mx.example.org
//	_25._tcp.mx.example.org TLSA 3 1 1 0123456789abcdef...
//	*.any.example.org   A      192.0.2.2               ; RFC 4592
//	short.example.org   30 A   192.0.2.3               ; may be kept for 30 seconds
//
// In strings in quotes \" is a quotation mark, \\ a backslash and \ddd the octet
// with that decimal number. A string may be longer than 255 octets: it is
// several then. A semicolon begins a comment.
//
// What fails is said by a word in the place of the type, and concerns every
// type whether there are records or not, or behind a type:
//
//	bad.example         SERVFAIL         also FORMERR, NOTIMP, REFUSED
//	bad.example         TXT SERVFAIL     only for TXT
//	slow.example        TIMEOUT          nobody answers; Resolve does not wait to say so
//	stall.example       STALL            nobody answers, and Resolve waits until its context ends
//	bogus.example       BOGUS            DNSSEC validation fails
//	gone.example        NXDOMAIN         does not exist, as if it had no record
//	signed.example      SECURE           this name and all below are authenticated by DNSSEC,
//	plain.signed.example INSECURE        but for this one and all below
//
// A name that has others below it exists, without records (RFC 8020). Records
// without a number of seconds, and answers without a record, may be kept for 5
// minutes. A chain of more than 16 aliases, and a loop, is SERVFAIL.
type Zone struct {
	mu    sync.Mutex
	nodes map[string]*node // by name in lower case without the final dot; "" is the root
	asked []Query
}

// A Query is what a Zone was asked.
type Query struct {
	Name string // in lower case, without the final dot
	Type dns.Type
}

// String returns name and type: "example.org MX".
func (q Query) String() string { return q.Name + " " + q.Type.String() }

// Parse reads a zone's text. The error names the line.
func Parse(text string) (*Zone, error) {
	z := new(Zone)
	if err := z.Add(text); err != nil {
		return nil, err
	}
	return z, nil
}

// MustParse is Parse for texts that are known to be right: it panics if the text
// is not.
func MustParse(text string) *Zone {
	z, err := Parse(text)
	if err != nil {
		panic(err)
	}
	return z
}

// Queries returns what was asked so far, in order. Aliases that were followed
// are not among it.
func (z *Zone) Queries() []Query {
	z.mu.Lock()
	defer z.mu.Unlock()
	return append([]Query(nil), z.asked...)
}

// Resolve answers from the records at once, unless the name is marked STALL.
// Any other mark of failure gives a *dns.Error.
func (z *Zone) Resolve(ctx context.Context, name string, t dns.Type) (dns.Answer, error) {
	q := Query{key(name), t}
	z.mu.Lock()
	z.asked = append(z.asked, q)
	found := z.find(name, t, false)
	z.mu.Unlock()
	err := ctx.Err()
	if err == nil && found.failure == stall {
		<-ctx.Done()
		err = ctx.Err()
	}
	if err != nil {
		return dns.Answer{}, &dns.Error{Name: name, Type: t, Timeout: errors.Is(err, context.DeadlineExceeded), Err: err}
	}
	switch f := found.failure; f {
	case none:
		return found.Answer, nil
	case timeout:
		return dns.Answer{}, &dns.Error{Name: name, Type: t, Timeout: true}
	case bogus:
		return dns.Answer{}, &dns.Error{Name: name, Type: t, Bogus: true, RCode: dns.ServFail}
	default:
		return dns.Answer{}, &dns.Error{Name: name, Type: t, RCode: dns.RCode(f)}
	}
}
