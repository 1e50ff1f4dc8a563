package tlsrpt

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// maxDepth is how many lists and objects may be in one another where a member is
// not known.
const maxDepth = 100

// A parser goes through a report token by token: a list of empty objects takes
// much more memory than its text, and is counted before it does.
type parser struct {
	*json.Decoder
	left ReportLimits
}

func (p *parser) report(r *Report) error {
	found := false
	err := p.object(func(name string) error {
		switch name {
		case "organization-name":
			return p.text(&r.Organization)
		case "contact-info":
			return p.text(&r.Contact)
		case "report-id":
			return p.text(&r.ID)
		case "date-range":
			return p.object(func(name string) error {
				switch name {
				case "start-datetime":
					return p.time(&r.Start)
				case "end-datetime":
					return p.time(&r.End)
				}
				return p.skip()
			})
		case "policies":
			found = true
			return p.list(&p.left.MaxPolicies, func() error {
				r.Policies = append(r.Policies, PolicyReport{})
				return p.policyReport(&r.Policies[len(r.Policies)-1])
			})
		}
		return p.skip()
	})
	if err == nil && !found {
		err = errors.New("no policies")
	}
	return err
}

func (p *parser) policyReport(r *PolicyReport) error {
	return p.object(func(name string) error {
		switch name {
		case "policy":
			return p.policy(&r.Policy)
		case "summary":
			return p.object(func(name string) error {
				switch name {
				case "total-successful-session-count":
					return p.count(&r.Successful)
				case "total-failure-session-count":
					return p.count(&r.Failed)
				}
				return p.skip()
			})
		case "failure-details":
			return p.list(&p.left.MaxFailures, func() error {
				r.Failures = append(r.Failures, Failure{})
				return p.failure(&r.Failures[len(r.Failures)-1])
			})
		}
		return p.skip()
	})
}

func (p *parser) policy(policy *Policy) error {
	return p.object(func(name string) error {
		switch name {
		case "policy-type":
			return p.text((*string)(&policy.Type))
		case "policy-string":
			return p.texts(&policy.Strings)
		case "policy-domain":
			return p.text(&policy.Domain)
		case "mx-host":
			return p.texts(&policy.MXHosts)
		}
		return p.skip()
	})
}

func (p *parser) failure(f *Failure) error {
	return p.object(func(name string) error {
		switch name {
		case "result-type":
			return p.text((*string)(&f.Result))
		case "sending-mta-ip":
			return p.addr(&f.SendingIP)
		case "receiving-mx-hostname":
			return p.text(&f.Host)
		case "receiving-mx-helo":
			return p.text(&f.Hello)
		case "receiving-ip":
			return p.addr(&f.ReceivingIP)
		case "failed-session-count":
			return p.count(&f.Count)
		case "additional-information":
			return p.text(&f.AdditionalInfo)
		case "failure-reason-code":
			return p.text(&f.Reason)
		}
		return p.skip()
	})
}

// object calls member with the name of each member, whose value it is to read. A
// null has none.
func (p *parser) object(member func(name string) error) error {
	switch token, err := p.Token(); {
	case err != nil:
		return err
	case token == nil:
		return nil
	case token != json.Delim('{'):
		return misplaced(token, "an object")
	}
	for p.More() {
		token, err := p.Token()
		if err != nil {
			return err
		}
		if err := member(token.(string)); err != nil { // the decoder takes nothing else
			return err
		}
	}
	_, err := p.Token()
	return err
}

// list calls element for each element, which it is to read, left times at most. A
// null has none.
func (p *parser) list(left *int, element func() error) error {
	switch token, err := p.Token(); {
	case err != nil:
		return err
	case token == nil:
		return nil
	case token != json.Delim('['):
		return misplaced(token, "a list")
	}
	for p.More() {
		if *left--; *left < 0 {
			return ErrReportTooLarge
		}
		if err := element(); err != nil {
			return err
		}
	}
	_, err := p.Token()
	return err
}

// text reads a string. A null is an empty one.
func (p *parser) text(s *string) error {
	token, err := p.Token()
	if err != nil || token == nil {
		return err
	}
	text, ok := token.(string)
	if !ok {
		return misplaced(token, "a string")
	}
	*s = text
	return nil
}

// texts reads a list of strings, or a string.
func (p *parser) texts(list *[]string) error {
	token, err := p.Token()
	if err != nil || token == nil {
		return err
	}
	keep := func(text string) error {
		if p.left.MaxStrings--; p.left.MaxStrings < 0 {
			return ErrReportTooLarge
		}
		*list = append(*list, text)
		return nil
	}
	switch text, ok := token.(string); {
	case ok && text == "":
		return nil
	case ok:
		return keep(text)
	case token != json.Delim('['):
		return misplaced(token, "a list of strings")
	}
	for p.More() {
		var text string
		if err := p.text(&text); err != nil {
			return err
		}
		if err := keep(text); err != nil {
			return err
		}
	}
	_, err = p.Token()
	return err
}

// count reads a number that is whole and not negative.
func (p *parser) count(n *uint64) error {
	token, err := p.Token()
	if err != nil || token == nil {
		return err
	}
	text, ok := token.(string)
	if number, isNumber := token.(json.Number); isNumber {
		text, ok = string(number), true
		if f, err := number.Float64(); err == nil { // "1e3"
			text = strconv.FormatFloat(f, 'f', -1, 64)
		}
	}
	if !ok {
		return misplaced(token, "a number")
	}
	if *n, err = strconv.ParseUint(strings.TrimSpace(text), 10, 53); err != nil { // RFC 7493 §2.2
		*n = 0
		return misplaced(text, "a count")
	}
	return nil
}

func (p *parser) addr(addr *netip.Addr) error {
	var text string
	err := p.text(&text)
	*addr, _ = netip.ParseAddr(strings.Trim(text, "[] "))
	return err
}

// time reads a time of RFC 3339, or one without a zone.
func (p *parser) time(t *time.Time) error {
	var text string
	if err := p.text(&text); err != nil || text == "" {
		return err
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05", time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			*t = at.UTC()
			return nil
		}
	}
	return misplaced(text, "a time")
}

// misplaced is the error of a value that is another than it should be. Whoever wrote
// the report chose it.
func misplaced(value any, wanted string) error {
	return fmt.Errorf("%.40q where %s should be", fmt.Sprint(value), wanted)
}

// skip passes over a value of a member that is not known.
func (p *parser) skip() error {
	for depth := 0; ; {
		token, err := p.Token()
		if err != nil {
			return err
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		switch {
		case depth == 0:
			return nil
		case depth > maxDepth: // the decoder remembers each
			return ErrReportTooLarge
		}
	}
}
