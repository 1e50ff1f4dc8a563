package arc

import (
	"github.com/postrider/postrider/auth/authres"
	"github.com/postrider/postrider/auth/internal/message"
)

// A set is one set of a chain as it stands in the header.
type set struct {
	results   int // the place of ARC-Authentication-Results in the message's Fields
	authRes   authres.Field
	signature signature
	seal      signature
}

// A chain is all that a header holds of ARC, found and checked without a key
// (RFC 8617 §5.2, steps 1 to 3).
type chain struct {
	sets    []set  // by instance, less 1. Nil if there is a fault
	highest int    // instance of any field
	closed  bool   // nobody may add to it
	fault   string // what makes it fail
}

// What can be wrong with a chain before any signature is looked at.
const (
	tooManySets   = "more than 50 sets"
	incompleteSet = "incomplete set"
	repeatedSet   = "set with a repeated field"
	badResults    = "malformed ARC-Authentication-Results"
	badStatus     = "wrong chain validation status"
	failedBefore  = "chain failed before"
)

// find takes the sets out of a header. A chain without sets is none.
func find(m *message.Message) (c chain) {
	var places [3][]int // by name
	for i, f := range m.Fields() {
		switch {
		case f.Is(resultsName):
			places[0] = append(places[0], i)
		case f.Is(signatureName):
			places[1] = append(places[1], i)
		case f.Is(sealName):
			places[2] = append(places[2], i)
		}
	}
	for _, p := range places {
		if len(p) > MaxSets {
			return chain{fault: tooManySets, highest: MaxSets, closed: true} // §5.2 step 1
		}
	}
	n := max(len(places[0]), len(places[1]), len(places[2]))
	c.sets = make([]set, n)
	var seen [3][MaxSets + 1]bool
	for which, at := range places {
		for _, i := range at {
			instance, fault := c.add(m.Fields()[i], i, which)
			c.highest = max(c.highest, instance)
			switch {
			case fault != "":
				c.fail(fault)
			case instance > n:
				c.fail(incompleteSet) // numbers are left out
			case seen[which][instance]:
				c.fail(repeatedSet)
			}
			seen[which][instance] = true
		}
		if len(at) < n {
			c.fail(incompleteSet)
		}
	}
	c.checkStatus()
	if c.fault != "" {
		c.sets = nil
	}
	c.closed = c.closed || c.highest == MaxSets
	return c
}

// fail keeps the first fault.
func (c *chain) fail(fault string) {
	if c.fault == "" {
		c.fault = fault
	}
}

// add reads a field, which of the three it is, and puts it where it belongs, if
// there is such a place.
func (c *chain) add(f message.Field, at, which int) (instance int, fault string) {
	switch which {
	case 0:
		i, payload, err := authres.ParseARC(string(f.Value()))
		if i == 0 {
			return 0, badResults
		}
		if i <= len(c.sets) {
			s := &c.sets[i-1]
			if s.results = at; err == nil {
				s.authRes = payload
			}
		}
		return i, ""
	case 1:
		var s signature
		if fault = s.parse(f, at, ofMessage); s.instance > 0 && s.instance <= len(c.sets) {
			c.sets[s.instance-1].signature = s
		}
		return s.instance, fault
	}
	var s signature
	if fault = s.parse(f, at, ofChain); s.instance > 0 && s.instance <= len(c.sets) {
		c.sets[s.instance-1].seal = s
	}
	c.closed = c.closed || s.status == authres.Fail
	return s.instance, fault
}

// checkStatus looks at what each said of the chain before it (§5.2 steps 2, 3).
func (c *chain) checkStatus() {
	if c.fault != "" {
		return
	}
	for i := range c.sets {
		switch status := c.sets[i].seal.status; {
		case status == authres.Fail:
			c.fail(failedBefore)
		case (status == authres.None) != (i == 0):
			c.fail(badStatus)
		}
	}
}

// result returns what is known of the chain without a key.
func (c *chain) result() Result {
	r := Result{Verdict: authres.Fail, Reason: c.fault, Instances: c.highest, Closed: c.closed}
	if c.fault == "" && len(c.sets) == 0 {
		r.Verdict = authres.None
	}
	for i := range c.sets {
		s := &c.sets[i]
		r.Chain = append(r.Chain, Set{AuthRes: s.authRes, Status: s.seal.status, Seal: s.seal.Signature, Message: s.signature.Signature, FromSigned: s.signature.from})
	}
	return r
}
