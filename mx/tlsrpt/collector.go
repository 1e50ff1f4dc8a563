package tlsrpt

import (
	"cmp"
	"crypto/rand"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/postrider/postrider/smtp"
)

// A Collector counts sessions for the reports of each domain and day, in memory.
// It is safe for concurrent use. The zero value is empty.
type Collector struct {
	// MaxBytes limits the memory that is used, as far as that can be told.
	// Sessions that would need more are not counted. If zero, 32 MiB.
	MaxBytes int

	// MaxFailures limits the kinds of failures of one policy that are told apart.
	// Others are counted by their result type alone. If zero, 100.
	MaxFailures int

	mu     sync.Mutex
	counts map[period]map[string]*count // by domain and day, and by policy
	bytes  int
}

const (
	defaultMaxBytes    = 32 << 20
	defaultMaxFailures = 100
	maxPolicies        = 16  // of a domain in a day: it may change them as it likes
	maxStrings         = 100 // of a policy
	maxString          = 512 // octets of a text
	maxURI             = 2048
)

// period is what there is one report about.
type period struct {
	domain string
	day    int64 // since 1970, in UTC (§4.1)
}

// count is a PolicyReport in the making.
type count struct {
	policy             Policy
	successful, failed uint64
	failures           map[Failure]uint64 // by everything but the count
}

const day = 24 * time.Hour

// Add counts a session. It reports whether it did: not when the domain is none, or
// when there is no room for another domain or policy.
//
// Sessions in which reports are delivered should not be counted (RFC 8460 §3).
func (c *Collector) Add(s Session) bool {
	at := s.Time
	if at.IsZero() {
		at = time.Now()
	}
	var failures []Failure
	if s.Result != "" {
		failures = []Failure{{
			Result: s.Result, SendingIP: s.SendingIP, Host: s.Host, Hello: s.Hello, ReceivingIP: s.ReceivingIP,
			AdditionalInfo: s.AdditionalInfo, Reason: s.Reason, Count: 1,
		}}
	}
	n := uint64(len(failures))
	return c.add(at, PolicyReport{Policy: s.Policy, Successful: 1 - n, Failed: n, Failures: failures})
}

// Restore counts what stands in a report that Reports or Snapshot has returned, of
// a program's earlier life perhaps. It reports whether all of it was counted.
func (c *Collector) Restore(r *Report) bool {
	all := true
	for _, p := range r.Policies {
		all = c.add(r.Start, p) && all
	}
	return all
}

func (c *Collector) add(at time.Time, p PolicyReport) bool {
	policy := p.Policy.clip()
	if policy.Domain == "" || at.Unix() < 0 {
		return false
	}
	key := period{policy.Domain, at.Unix() / int64(day/time.Second)}
	policyKey := strings.Join(slices.Concat([]string{string(policy.Type)}, policy.Strings, []string{"\x00"}, policy.MXHosts), "\x00")

	c.mu.Lock()
	defer c.mu.Unlock()
	counted := c.counts[key][policyKey]
	if counted == nil {
		n := policy.size() + len(policyKey)
		if len(c.counts[key]) >= maxPolicies || !c.room(n) {
			return false
		}
		counted = &count{policy: policy}
		if c.counts == nil {
			c.counts = map[period]map[string]*count{}
		}
		if c.counts[key] == nil {
			c.counts[key] = map[string]*count{}
		}
		c.counts[key][policyKey] = counted
		c.bytes += n
	}
	counted.successful += p.Successful
	counted.failed += p.Failed
	for _, f := range p.Failures {
		n := f.Count
		c.fail(counted, f.clip(), n)
	}
	return true
}

// fail counts failures as exactly as there is room for.
func (c *Collector) fail(counted *count, f Failure, n uint64) {
	if counted.failures == nil {
		counted.failures = map[Failure]uint64{}
	}
	_, known := counted.failures[f]
	if !known && (len(counted.failures) >= cmp.Or(c.MaxFailures, defaultMaxFailures) || !c.room(f.size())) {
		f = Failure{Result: f.Result}
		if !f.Result.known() {
			f.Result = ValidationFailure
		}
		_, known = counted.failures[f]
	}
	if !known && !c.room(f.size()) {
		return // it is in the total
	}
	if !known {
		c.bytes += f.size()
	}
	counted.failures[f] += n
}

func (c *Collector) room(n int) bool { return c.bytes+n <= cmp.Or(c.MaxBytes, defaultMaxBytes) }

// Reports returns a report for each domain and each day in UTC that has ended
// when now is, those of earlier days first, and removes them. Each is a copy of
// the template, which names the reporter, with an ID of its own.
//
// Call it some time after midnight: a session that began the day before and has
// not ended by then makes a second report for that day. Reporters wait for a time
// of their own choosing, lest all reports come at once (RFC 8460 §4.1).
func (c *Collector) Reports(now time.Time, template Report) []Report {
	return c.reports(template, now.Unix()/int64(day/time.Second), true)
}

// Snapshot returns reports of everything that was counted so far, the day that
// has not ended included, and removes nothing.
func (c *Collector) Snapshot(template Report) []Report {
	return c.reports(template, 1<<62, false)
}

func (c *Collector) reports(template Report, before int64, remove bool) []Report {
	var list []Report
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, policies := range c.counts {
		if key.day >= before {
			continue
		}
		r := template
		r.Start = time.Unix(key.day*int64(day/time.Second), 0).UTC()
		r.End = r.Start.Add(day - time.Second)
		r.Policies = nil
		for _, name := range slices.Sorted(maps.Keys(policies)) {
			counted := policies[name]
			r.Policies = append(r.Policies, counted.report())
			if remove {
				c.bytes -= counted.policy.size() + len(name)
				for f := range counted.failures {
					c.bytes -= f.size()
				}
			}
		}
		r.ID = rand.Text()
		if m, err := smtp.ParseMailbox(r.Contact); err == nil && asciiName(m.Domain) != "" {
			r.ID += "@" + asciiName(m.Domain)
		}
		list = append(list, r)
		if remove {
			delete(c.counts, key)
		}
	}
	slices.SortFunc(list, func(a, b Report) int {
		return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.Policies[0].Policy.Domain, b.Policies[0].Policy.Domain))
	})
	return list
}

// report copies the counts. The failures that were met the most come first.
func (c *count) report() PolicyReport {
	p := PolicyReport{Policy: c.policy, Successful: c.successful, Failed: c.failed}
	for f, n := range c.failures {
		f.Count = n
		p.Failures = append(p.Failures, f)
	}
	slices.SortFunc(p.Failures, func(a, b Failure) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Result, b.Result), cmp.Compare(a.Host, b.Host),
			a.ReceivingIP.Compare(b.ReceivingIP), a.SendingIP.Compare(b.SendingIP), cmp.Compare(a.Hello, b.Hello),
			cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.AdditionalInfo, b.AdditionalInfo))
	})
	return p
}

// clip bounds what others have chosen.
func (p Policy) clip() Policy {
	p.Domain = asciiName(p.Domain)
	p.Type = PolicyType(clip(cmp.Or(string(p.Type), string(NoPolicyFound)), maxString))
	p.Strings, p.MXHosts = clipList(p.Strings), clipList(p.MXHosts)
	return p
}

func (f Failure) clip() Failure {
	return Failure{
		Result:         ResultType(clip(string(f.Result), maxString)),
		SendingIP:      plain(f.SendingIP),
		Host:           clip(strings.ToLower(strings.TrimSuffix(f.Host, ".")), maxString),
		Hello:          clip(f.Hello, maxString),
		ReceivingIP:    plain(f.ReceivingIP),
		AdditionalInfo: clip(f.AdditionalInfo, maxURI),
		Reason:         clip(f.Reason, maxString),
	}
}

func clipList(list []string) []string {
	clipped := make([]string, 0, min(len(list), maxStrings))
	for _, s := range list[:min(len(list), maxStrings)] {
		clipped = append(clipped, clip(s, maxString))
	}
	return clipped
}

// clip cuts a text at the limit, between characters, and copies it: it may be a
// part of something large.
func clip(s string, limit int) string {
	if len(s) > limit {
		for limit > 0 && !utf8.RuneStart(s[limit]) {
			limit--
		}
		s = s[:limit]
	}
	return strings.Clone(strings.ToValidUTF8(s, "\ufffd"))
}

// size estimates how much memory a count takes, and so for a failure.
func (p *Policy) size() int {
	n := 500 + 2*len(p.Domain) + len(p.Type)
	for _, list := range [][]string{p.Strings, p.MXHosts} {
		for _, s := range list {
			n += 16 + len(s)
		}
	}
	return n
}

func (f *Failure) size() int {
	return 400 + len(f.Result) + len(f.Host) + len(f.Hello) + len(f.AdditionalInfo) + len(f.Reason)
}
