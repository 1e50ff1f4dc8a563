package dnstest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// ReadJSON reads a zone from an object of names, each an object of types, each
// an array of records or a single one:
//
//	{"example.org": {"MX": ["10 mx.example.org"], "TXT": ["v=spf1 mx -all"]},
//	 "bad.example": {"RCODE": ["SERVFAIL"]}}
//
// Records are written as in a Zone's text, but for TXT, where the value is the
// record itself without quotes or escapes. Under RCODE stands one of the marks.
func ReadJSON(r io.Reader) (*Zone, error) {
	var names map[string]map[string]oneOrMore
	d := json.NewDecoder(r)
	if err := d.Decode(&names); err != nil {
		return nil, fmt.Errorf("dnstest: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("dnstest: more than one object")
	}
	z := new(Zone)
	for name, types := range names {
		for typ, values := range types {
			for _, value := range values {
				if err := z.add(name, jsonWords(typ, value)); err != nil {
					return nil, fmt.Errorf("dnstest: %s %s %q: %w", name, typ, value, err)
				}
			}
		}
	}
	return z, nil
}

type oneOrMore []string

func (m *oneOrMore) UnmarshalJSON(text []byte) error {
	var one string
	if json.Unmarshal(text, &one) == nil {
		*m = oneOrMore{one}
		return nil
	}
	return json.Unmarshal(text, (*[]string)(m))
}

func jsonWords(typ, value string) []word {
	switch typ {
	case "TXT":
		return []word{{text: typ}, {value, true}}
	case "RCODE":
		return []word{{text: value}}
	}
	words := []word{{text: typ}}
	for field := range strings.FieldsSeq(value) {
		words = append(words, word{text: field})
	}
	return words
}
