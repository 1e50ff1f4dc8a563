package smtp

import (
	"iter"
	"slices"
)

// Extensions yields the rows of the built-in table. Each is a copy: changing it
// changes nothing else.
func Extensions() iter.Seq[*Extension] {
	return func(yield func(*Extension) bool) {
		for i := range table {
			if !yield(table[i].clone()) {
				return
			}
		}
	}
}

// LookupExtension returns a copy of the row with the keyword k, which may be of
// any case, or nil.
func LookupExtension(k Keyword) *Extension {
	for i := range table {
		if equalFold(string(table[i].Keyword), string(k)) {
			return table[i].clone()
		}
	}
	return nil
}

// table declares every extension once. Parameters are sent in this order.
var table = [...]Extension{
	{Keyword: ExtPipelining, RFC: "RFC 2920"},
	{
		Keyword:    ExtSize,
		RFC:        "RFC 1870",
		Mail:       []MailParam{{Name: "SIZE", Parse: parseSize, Append: appendSize, Drop: dropSize}},
		MailGrowth: 26, // §3
	},
	{
		Keyword: Ext8BitMIME,
		RFC:     "RFC 6152",
		Mail: []MailParam{{
			Name: "BODY", Values: []string{string(Body7Bit), string(Body8BitMIME)},
			Parse: parseBody, Append: appendBody, Drop: dropBody,
		}},
		MailGrowth: 17, // §2
	},
	{
		Keyword: ExtBinaryMIME,
		RFC:     "RFC 3030",
		Mail: []MailParam{{
			Name: "BODY", Values: []string{string(BodyBinaryMIME)},
			Parse: parseBinary, Append: appendBinary,
		}},
		MailGrowth: 16, // §3
	},
	{Keyword: ExtChunking, RFC: "RFC 3030", Verbs: []Verb{BDAT}},
	{
		Keyword:    ExtSMTPUTF8,
		RFC:        "RFC 6531",
		Mail:       []MailParam{{Name: "SMTPUTF8", Parse: parseUTF8, Append: appendUTF8}},
		MailGrowth: 10, // §3.1
	},
	{Keyword: ExtEnhancedStatusCodes, RFC: "RFC 2034"},
	{Keyword: ExtStartTLS, RFC: "RFC 3207", Verbs: []Verb{STARTTLS}},
	{
		Keyword:    ExtAuth,
		RFC:        "RFC 4954",
		Verbs:      []Verb{AUTH},
		Mail:       []MailParam{{Name: "AUTH", Parse: parseAuth, Append: appendAuth, Drop: dropAuth}},
		MailGrowth: 500, // §3
	},
	{
		Keyword: ExtDSN,
		RFC:     "RFC 3461",
		Mail: []MailParam{
			{Name: "RET", Values: []string{string(RetFull), string(RetHeaders)}, Parse: parseRet, Append: appendRet},
			{Name: "ENVID", Parse: parseEnvID, Append: appendEnvID},
		},
		Rcpt: []RcptParam{
			{Name: "NOTIFY", Parse: parseNotify, Append: appendNotify},
			{Name: "ORCPT", Parse: parseORcpt, Append: appendORcpt},
		},
		// The RFC bounds the parameters and leaves the sum to us.
		MailGrowth: len(" RET=FULL ENVID=") + MaxEnvID,
		RcptGrowth: len(" NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=") + MaxORcpt,
	},
	{
		Keyword:    ExtDeliverBy,
		RFC:        "RFC 2852",
		Mail:       []MailParam{{Name: "BY", Parse: parseBy, Append: appendBy, Drop: dropBy, Fits: fitsBy}},
		MailGrowth: 17, // §2
	},
	{
		Keyword:    ExtRequireTLS,
		RFC:        "RFC 8689",
		Mail:       []MailParam{{Name: "REQUIRETLS", Parse: parseRequireTLS, Append: appendRequireTLS}},
		MailGrowth: 11, // §3
	},
	{Keyword: ExtLimits, RFC: "RFC 9422"},
	{
		Keyword:    ExtMTPriority,
		RFC:        "RFC 6710",
		Mail:       []MailParam{{Name: "MT-PRIORITY", Parse: parsePriority, Append: appendPriority, Drop: dropPriority}},
		MailGrowth: 15, // §3
	},
	{
		Keyword:    ExtRRVS,
		RFC:        "RFC 7293",
		Rcpt:       []RcptParam{{Name: "RRVS", Parse: parseRRVS, Append: appendRRVS, Drop: dropRRVS}},
		RcptGrowth: 33, // §3.1
	},
	{
		Keyword: ExtFutureRelease,
		RFC:     "RFC 4865",
		Mail: []MailParam{
			{Name: "HOLDFOR", Parse: parseHoldFor, Append: appendHoldFor, Fits: fitsHold},
			{Name: "HOLDUNTIL", Parse: parseHoldUntil, Append: appendHoldUntil, Fits: fitsHold},
		},
		MailGrowth: 34, // §3
	},
	{
		Keyword:    ExtNoSoliciting,
		RFC:        "RFC 3865",
		Mail:       []MailParam{{Name: "SOLICIT", Parse: parseSolicit, Append: appendSolicit, Drop: dropSolicit}},
		MailGrowth: 1007, // §4.1
	},
	{
		Keyword:    ExtPRDR,
		RFC:        "draft-hall-prdr",
		Mail:       []MailParam{{Name: "PRDR", Parse: parsePRDR, Append: appendPRDR, Drop: dropPRDR}},
		MailGrowth: len(" PRDR"),
	},
	{Keyword: ExtEtrn, RFC: "RFC 1985", Verbs: []Verb{ETRN}},
	{Keyword: ExtXClient, RFC: "Postfix XCLIENT_README", Verbs: []Verb{XCLIENT}},
	{Keyword: ExtXForward, RFC: "Postfix XFORWARD_README", Verbs: []Verb{XFORWARD}},
}

// rowAt returns the row i of the table with own behind it.
func rowAt(i int, own []*Extension) *Extension {
	if i < len(table) {
		return &table[i]
	}
	return own[i-len(table)]
}

func (e *Extension) clone() *Extension {
	c := *e
	c.Verbs = slices.Clone(e.Verbs)
	c.Mail = slices.Clone(e.Mail)
	for i := range c.Mail {
		c.Mail[i].Values = slices.Clone(c.Mail[i].Values)
	}
	c.Rcpt = slices.Clone(e.Rcpt)
	for i := range c.Rcpt {
		c.Rcpt[i].Values = slices.Clone(c.Rcpt[i].Values)
	}
	return &c
}
