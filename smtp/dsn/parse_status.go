package dsn

import "strings"

// recipientCost is what a recipient costs besides its fields, in octets.
const recipientCost = 512

// read reads the fields of message/delivery-status. Where the groups begin is told
// by the fields as much as by the empty lines, which are missing or too many in some
// reports.
func (r *Report) read(l *lines) {
	g := groups{report: r}
	for {
		fields, more := l.fields()
		for i, f := range fields {
			g.apart = i == 0 || g.apart
			g.add(l, f)
		}
		if !more {
			break
		}
	}
	kept := r.Recipients[:0]
	for _, to := range r.Recipients {
		if to.complete() {
			kept = append(kept, to)
		}
	}
	if r.Recipients = kept; len(kept) == 0 {
		r.Recipients = nil
	}
}

// groups sorts fields into those of the message and those of each recipient.
type groups struct {
	report *Report
	to     *Recipient // nil before the first
	seen   uint       // the bits of recipientFields that it has
	apart  bool       // an empty line stood before this field or one since the last standard one
}

func (g *groups) add(l *lines, f Field) {
	for _, row := range messageFields {
		if strings.EqualFold(row.name, f.Name) {
			if v := row.value(g.report); v.isZero() {
				v.parse(f.Value)
			}
			g.apart = false
			return
		}
	}
	for i, row := range recipientFields {
		if !strings.EqualFold(row.name, f.Name) {
			continue
		}
		bit := uint(1) << i
		if g.begins(bit) {
			if !l.take(recipientCost) {
				return
			}
			g.report.Recipients = append(g.report.Recipients, Recipient{})
			g.to = &g.report.Recipients[len(g.report.Recipients)-1]
			g.seen = 0
		}
		if g.seen&bit == 0 {
			row.value(g.to).parse(f.Value)
		}
		g.seen |= bit
		g.apart = false
		return
	}
	further := &g.report.Fields
	if g.to != nil {
		further = &g.to.Fields
	}
	*further = append(*further, Field{f.Name, plain(unfold(f.Value))})
}

const (
	bitOriginal = 1 << iota // in the order of recipientFields
	bitFinal
)

// begins reports whether the field with the bit belongs to another recipient than
// the one before.
func (g *groups) begins(bit uint) bool {
	switch {
	case g.to == nil:
		return true
	case bit == bitOriginal && g.apart:
		return g.seen&bitFinal != 0 || g.seen&bit != 0
	case bit == bitFinal && g.apart:
		return g.seen&bit != 0 || g.seen&bitOriginal != 0 && g.seen != bitOriginal
	case bit == bitOriginal, bit == bitFinal:
		return g.seen&bit != 0
	}
	return g.apart && g.seen&bit != 0
}

// complete fills in what follows from the rest, and reports whether there is a
// recipient at all.
func (r *Recipient) complete() bool {
	if r.Final.IsZero() {
		r.Final = r.Original
	}
	if r.Final.IsZero() {
		return false
	}
	if r.Status.IsZero() {
		if reply, ok := r.Diagnostic.Reply(); ok {
			r.Status = StatusOf(reply)
		}
	}
	if r.Action == 0 {
		switch r.Status.Class {
		case 2:
			r.Action = Delivered
		case 4:
			r.Action = Delayed
		case 5:
			r.Action = Failed
		}
	}
	return true
}
