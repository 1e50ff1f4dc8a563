package smtp

import "strconv"

// The parameters of MAIL that have no file of their own: how the rows of the
// table read and write them.

// size-value ::= 1*20DIGIT, RFC 1870 §6
func parseSize(p *MailParams, value string) (err error) {
	n, ok := decimal(value)
	if !ok {
		return badValue(0, "SIZE is not a number of at most 20 digits")
	}
	p.Size = n
	return nil
}

func appendSize(dst []byte, p *MailParams) []byte {
	if p.Size <= 0 {
		return dst
	}
	return strconv.AppendInt(append(dst, " SIZE="...), p.Size, 10)
}

func dropSize(p *MailParams) { p.Size = 0 }

// body-value ::= "7BIT" / "8BITMIME", RFC 6152 §2
func parseBody(p *MailParams, value string) error {
	p.Body = Body7Bit
	if equalFold(value, string(Body8BitMIME)) {
		p.Body = Body8BitMIME
	}
	return nil
}

func appendBody(dst []byte, p *MailParams) []byte {
	if p.Body != Body7Bit && p.Body != Body8BitMIME {
		return dst
	}
	return append(append(dst, " BODY="...), p.Body...)
}

// dropBody clears what is the default anyway.
func dropBody(p *MailParams) {
	if p.Body == Body7Bit {
		p.Body = ""
	}
}

// body-value =/ "BINARYMIME", RFC 3030 §3
func parseBinary(p *MailParams, _ string) error {
	p.Body = BodyBinaryMIME
	return nil
}

func appendBinary(dst []byte, p *MailParams) []byte {
	if p.Body != BodyBinaryMIME {
		return dst
	}
	return append(dst, " BODY=BINARYMIME"...)
}

// The parameter has no value, RFC 6531 §3.4.
func parseUTF8(p *MailParams, value string) error {
	if value != "" {
		return badValue(0, "SMTPUTF8 takes no value")
	}
	p.UTF8 = true
	return nil
}

func appendUTF8(dst []byte, p *MailParams) []byte {
	if !p.UTF8 {
		return dst
	}
	return append(dst, " SMTPUTF8"...)
}

// requiretls-param = "REQUIRETLS", RFC 8689 §3
func parseRequireTLS(p *MailParams, value string) error {
	if value != "" {
		return badValue(0, "REQUIRETLS takes no value")
	}
	p.RequireTLS = true
	return nil
}

func appendRequireTLS(dst []byte, p *MailParams) []byte {
	if !p.RequireTLS {
		return dst
	}
	return append(dst, " REQUIRETLS"...)
}

// The parameter has no value, draft-hall-prdr §4.2.
func parsePRDR(p *MailParams, value string) error {
	if value != "" {
		return badValue(0, "PRDR takes no value")
	}
	p.PRDR = true
	return nil
}

func appendPRDR(dst []byte, p *MailParams) []byte {
	if !p.PRDR {
		return dst
	}
	return append(dst, " PRDR"...)
}

// dropPRDR: without it there is one reply for all.
func dropPRDR(p *MailParams) { p.PRDR = false }

// The value is a mailbox or "<>" as xtext, RFC 4954 §5.
func parseAuth(p *MailParams, value string) error {
	s, i, why := xtext(value)
	if why != "" {
		return badValue(i, why)
	}
	if !isAuthIdentity(s) {
		return badValue(0, "AUTH is not a mailbox")
	}
	p.Auth = s
	return nil
}

func appendAuth(dst []byte, p *MailParams) []byte {
	if p.Auth == "" {
		return dst
	}
	return AppendXtext(append(dst, " AUTH="...), p.Auth)
}

func dropAuth(p *MailParams) { p.Auth = "" }

func isAuthIdentity(s string) bool {
	if s == "<>" {
		return true
	}
	_, end, why := mailbox(s, 0)
	return why == "" && end == len(s) && end <= maxMailbox
}

func parseRet(p *MailParams, value string) error {
	p.Ret = RetFull
	if equalFold(value, string(RetHeaders)) {
		p.Ret = RetHeaders
	}
	return nil
}

func appendRet(dst []byte, p *MailParams) []byte {
	if p.Ret != RetFull && p.Ret != RetHeaders {
		return dst
	}
	return append(append(dst, " RET="...), p.Ret...)
}

// envid-parameter = "ENVID=" xtext, RFC 3461 §4.4
func parseEnvID(p *MailParams, value string) error {
	if value == "" {
		return badValue(0, "ENVID has no value")
	}
	if len(value) > MaxEnvID {
		return badValue(MaxEnvID, "ENVID is longer than 100 octets")
	}
	s, i, why := xtext(value)
	if why != "" {
		return badValue(i, why)
	}
	if !isPrintable(s) {
		return badValue(0, "ENVID is not printable ASCII")
	}
	p.EnvID = s
	return nil
}

func appendEnvID(dst []byte, p *MailParams) []byte {
	if p.EnvID == "" {
		return dst
	}
	return AppendXtext(append(dst, " ENVID="...), p.EnvID)
}

// xtextLen is the length that AppendXtext adds.
func xtextLen(s string) int {
	n := len(s)
	for i := 0; i < len(s); i++ {
		if class[s[i]]&cXchar == 0 {
			n += 2
		}
	}
	return n
}
