package smtp

// The octet limits of RFC 5321 §4.5.3.1. Parsers refuse what is longer.
const (
	MaxLocalPart   = 64    // a local-part as written, quotes included (§4.5.3.1.1)
	MaxDomain      = 255   // a domain name or address literal (§4.5.3.1.2)
	MaxLabel       = 63    // one label of a domain (§2.3.5, RFC 1035 §2.3.4)
	MaxPath        = 256   // a path with its angle brackets and source route (§4.5.3.1.3)
	MaxCommandLine = 512   // a command line with its CRLF, before extensions (§4.5.3.1.4)
	MaxReplyLine   = 512   // a reply line with its code and CRLF (§4.5.3.1.5)
	MaxTextLine    = 1000  // a line of the message with its CRLF (§4.5.3.1.6)
	MinRecipients  = 100   // recipients that every server must take (§4.5.3.1.8)
	MaxAuthLine    = 12288 // a line of an AUTH exchange with its CRLF (RFC 4954 §4)
	MaxEnvID       = 100   // the value of ENVID as it is sent (RFC 3461 §4.4)
	MaxORcpt       = 500   // the value of ORCPT as it is sent (RFC 3461 §4.2)
	MaxSolicit     = 1000  // the value of SOLICIT (RFC 3865 §2.2)
	MaxXValue      = 255   // an attribute value of XCLIENT or XFORWARD as it is sent (Postfix XFORWARD_README)
	MaxParams      = 32    // parameters of one MAIL or RCPT command; ours
)
