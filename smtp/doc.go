// Package smtp holds the words of the Simple Mail Transfer Protocol: addresses,
// commands, parameters, extensions, replies and limits. It opens no connection
// and starts no goroutine; packages client and server speak these words.
//
// The terms are those of RFC 5321 and RFC 5598. A [ReversePath] says where
// failures go, a [ForwardPath] where the message goes, an [Envelope] is both, a
// [Content] is what travels under it. A [Reply] is what a server answers and an
// [Error] is a negative reply as a Go error.
//
// Every extension is one row of the table that [Extensions] yields: its keyword,
// its verbs, what it adds to MAIL and RCPT, and how much longer their lines may
// be. [MailParams] and [RcptParams] hold the parameters, read and written by
// functions that stand beside each other in the row. [Offers] is what a server
// says with EHLO; it tells which parameters may be sent, which may be left out,
// and, with [Offers.Limits] and the like, what the server announced.
//
// Parsers never trust their input: every length is bounded, no octet below
// U+0020 and no C1 control gets through, and what does not parse comes back as
// a [SyntaxError] that knows the offset and the reply to give. The Append
// functions are the inverse of the parsers and never emit a line end or a
// control octet that the caller put into a field.
//
// # Extensions
//
// The rows of the table that [Extensions] yields, and what each adds. README.md
// says what the two sides make of them.
//
//	PIPELINING           RFC 2920                 commands in groups
//	SIZE                 RFC 1870                 MAIL SIZE=
//	8BITMIME             RFC 6152                 MAIL BODY=
//	BINARYMIME           RFC 3030                 MAIL BODY=BINARYMIME
//	CHUNKING             RFC 3030                 BDAT
//	SMTPUTF8             RFC 6531                 MAIL SMTPUTF8
//	ENHANCEDSTATUSCODES  RFC 2034                 5.1.1 in replies
//	STARTTLS             RFC 3207                 STARTTLS
//	AUTH                 RFC 4954                 AUTH, MAIL AUTH=
//	DSN                  RFC 3461                 MAIL RET= ENVID=, RCPT NOTIFY= ORCPT=
//	DELIVERBY            RFC 2852                 MAIL BY=
//	REQUIRETLS           RFC 8689                 MAIL REQUIRETLS
//	LIMITS               RFC 9422                 numbers in the EHLO reply
//	MT-PRIORITY          RFC 6710                 MAIL MT-PRIORITY=
//	RRVS                 RFC 7293                 RCPT RRVS=
//	FUTURERELEASE        RFC 4865                 MAIL HOLDFOR= HOLDUNTIL=
//	NO-SOLICITING        RFC 3865                 MAIL SOLICIT=
//	PRDR                 draft-hall-prdr          MAIL PRDR, 353 after the data
//	ETRN                 RFC 1985                 ETRN
//	XCLIENT              Postfix XCLIENT_README   XCLIENT
//	XFORWARD             Postfix XFORWARD_README  XFORWARD
//
// Everything here is a value or a pure function and safe for concurrent use,
// except where a type says otherwise.
package smtp
