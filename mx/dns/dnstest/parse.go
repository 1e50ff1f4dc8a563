package dnstest

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/postrider/postrider/mx/dns"
)

// Add adds what one or more lines say. It may be called while the zone is asked.
// When it fails, the lines before the one that the error names have been added.
func (z *Zone) Add(text string) error {
	n := 0
	for line := range strings.Lines(text) {
		n++
		words, err := split(line)
		if err == nil && len(words) > 0 {
			err = z.add(words[0].text, words[1:])
		}
		if err != nil {
			return fmt.Errorf("dnstest: line %d: %q: %w", n, strings.TrimSpace(line), err)
		}
	}
	return nil
}

// Remove takes out what has been added for a name: of some types, or all of it,
// with what concerns every type and whether it is signed. It may be called while
// the zone is asked.
func (z *Zone) Remove(name string, only ...dns.Type) {
	z.mu.Lock()
	defer z.mu.Unlock()
	n := z.nodes[key(name)]
	switch {
	case n == nil:
	case len(only) == 0:
		clear(n.sets)
		clear(n.failures)
		n.security = inherited
	default:
		for _, t := range only {
			delete(n.sets, t)
			delete(n.failures, t)
		}
	}
	z.prune(key(name))
}

var types = map[string]dns.Type{
	"A": dns.A, "AAAA": dns.AAAA, "CNAME": dns.CNAME, "MX": dns.MX,
	"NS": dns.NS, "PTR": dns.PTR, "TLSA": dns.TLSA, "TXT": dns.TXT,
}

var failures = map[string]failure{
	"FORMERR": failure(dns.FormErr), "SERVFAIL": failure(dns.ServFail),
	"NOTIMP": failure(dns.NotImp), "REFUSED": failure(dns.Refused),
	"NXDOMAIN": nxdomain, "TIMEOUT": timeout, "STALL": stall, "BOGUS": bogus,
}

var securities = map[string]security{"SECURE": secure, "INSECURE": insecure}

var (
	errWords = errors.New("want a name, a type and a record, or a name and a mark")
	errAlias = errors.New("an alias has no other record (RFC 1034 §3.6.2)")
)

// A word is a part of a line. In quotes it is never a mark.
type word struct {
	text   string
	quoted bool
}

// add adds a record or a mark, or says what is wrong with it.
func (z *Zone) add(name string, words []word) error {
	ttl, timed := defaultTTL, false
	if len(words) > 0 {
		if seconds, err := strconv.ParseUint(words[0].text, 10, 31); err == nil {
			ttl, timed, words = time.Duration(seconds)*time.Second, true, words[1:]
		}
	}
	t := everyType
	if len(words) > 0 && types[words[0].text] != 0 {
		t, words = types[words[0].text], words[1:]
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	if len(words) == 1 && !words[0].quoted && !timed {
		mark := words[0].text
		if f := failures[mark]; f != none {
			z.make(key(name)).failures[t] = f
			return nil
		}
		if s := securities[mark]; s != inherited && t == everyType {
			z.make(key(name)).security = s
			return nil
		}
	}
	if t == everyType {
		return errWords
	}
	r, err := record(t, words)
	if err != nil {
		return err
	}
	if n := z.nodes[key(name)]; n != nil && (n.sets[dns.CNAME] != nil || t == dns.CNAME && len(n.sets) > 0) {
		return errAlias
	}
	z.make(key(name)).append(t, ttl, r)
	return nil
}

// record reads the data of one record.
func record(t dns.Type, data []word) (r set, err error) {
	words := make([]string, len(data))
	for i, w := range data {
		words[i] = w.text
	}
	want := max(1, map[dns.Type]int{dns.MX: 2, dns.TLSA: 4}[t])
	several := t == dns.TXT || t == dns.TLSA
	if len(words) < want || len(words) > want && !several {
		return r, fmt.Errorf("%d words of data, want %d", len(words), want)
	}
	switch t {
	case dns.TXT:
		r.TXT, r.strings = []string{strings.Join(words, "")}, [][]string{words}
	case dns.A, dns.AAAA:
		addr, err := netip.ParseAddr(words[0])
		if err != nil || addr.Is4() != (t == dns.A) || addr.Zone() != "" {
			return r, fmt.Errorf("%s is no address for %s", words[0], t)
		}
		r.Addrs = []netip.Addr{addr}
	case dns.MX:
		n, err := strconv.ParseUint(words[0], 10, 16)
		if err != nil {
			return r, fmt.Errorf("preference: %w", err)
		}
		r.MX = []dns.MXRecord{{Preference: uint16(n), Host: rooted(words[1])}}
	case dns.TLSA:
		var n [3]uint64
		for i := range n {
			if n[i], err = strconv.ParseUint(words[i], 10, 8); err != nil {
				return r, err
			}
		}
		data, err := hex.DecodeString(strings.Join(words[3:], ""))
		if err != nil {
			return r, err
		}
		r.TLSA = []dns.TLSARecord{{Usage: uint8(n[0]), Selector: uint8(n[1]), MatchingType: uint8(n[2]), Data: data}}
	default:
		r.Names = []string{rooted(words[0])}
	}
	return r, nil
}

// append adds a record to the set of its type. An answer that has been given
// stays as it is.
func (n *node) append(t dns.Type, ttl time.Duration, r set) {
	s := n.sets[t]
	if s == nil {
		s = &set{typ: t, Answer: dns.Answer{TTL: ttl}}
		n.sets[t] = s
	}
	s.TTL = min(s.TTL, ttl)
	s.Addrs = append(s.Addrs, r.Addrs...)
	s.Names = append(s.Names, r.Names...)
	s.MX = append(s.MX, r.MX...)
	s.TXT = append(s.TXT, r.TXT...)
	s.TLSA = append(s.TLSA, r.TLSA...)
	s.strings = append(s.strings, r.strings...)
}

// split returns the words of a line.
func split(line string) (words []word, err error) {
	for {
		line = strings.TrimLeft(line, blank)
		if line == "" || line[0] == ';' {
			return words, nil
		}
		var w word
		if w.quoted = line[0] == '"'; w.quoted {
			line = line[1:]
		}
		if w.text, line, err = next(line, w.quoted); err != nil {
			return nil, err
		}
		words = append(words, w)
	}
}

const blank = " \t\r\n"

// next returns the word at the beginning of a line, behind its quotation mark,
// and what follows it.
func next(line string, quoted bool) (text, rest string, err error) {
	var b []byte
	for line != "" && (quoted || strings.IndexByte(blank, line[0]) < 0) {
		c := line[0]
		line = line[1:]
		switch {
		case c == '"' && quoted:
			if line != "" && strings.IndexByte(blank+";", line[0]) < 0 {
				return "", "", errors.New("no space after a quotation mark")
			}
			return string(b), line, nil
		case !quoted && (c == '"' || c == ';'):
			return "", "", fmt.Errorf("%c outside of quotes", c)
		case c == '\\':
			if c, line, err = unescape(line); err != nil {
				return "", "", err
			}
		}
		b = append(b, c)
	}
	if quoted {
		return "", "", errors.New("quotation mark missing")
	}
	return string(b), line, nil
}

// unescape reads what follows a backslash (RFC 1035 §5.1).
func unescape(line string) (byte, string, error) {
	if line == "" {
		return 0, "", errors.New("backslash at the end")
	}
	if line[0] < '0' || line[0] > '9' {
		return line[0], line[1:], nil
	}
	if len(line) < 3 {
		return 0, "", errors.New("want three digits after a backslash")
	}
	n, err := strconv.ParseUint(line[:3], 10, 8)
	return byte(n), line[3:], err
}

// Quote returns text as a string of a Zone's text, in quotes.
func Quote(text string) string {
	b := append(make([]byte, 0, len(text)+2), '"')
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ' || c > '~':
			b = fmt.Appendf(b, "\\%03d", c)
		default:
			b = append(b, c)
		}
	}
	return string(append(b, '"'))
}
