package server

import "github.com/postrider/postrider/smtp"

func reply(code, subject, detail int, text string) smtp.Reply {
	return smtp.Reply{Code: code, Enhanced: smtp.Enh(subject, detail), Text: text}
}

// A prepared reply has its octets made beforehand, since it is given for each message
// or recipient.
type prepared struct {
	smtp.Reply
	octets string
}

func prepare(r smtp.Reply) *prepared { return &prepared{r, string(r.AppendTo(nil))} }

// Replies, named for the situation they are for.
var (
	replyOK            = prepare(reply(250, 0, 0, "OK"))
	replySenderOK      = prepare(reply(250, 1, 0, "OK"))
	replyRecipientOK   = prepare(reply(250, 1, 5, "OK"))
	replyMessageOK     = prepare(reply(250, 0, 0, "message accepted"))
	replyChunkOK       = prepare(reply(250, 0, 0, "chunk received"))
	replyReset         = reply(250, 0, 0, "reset")
	replyBye           = reply(221, 0, 0, "bye")
	replyStartInput    = prepare(smtp.Reply{Code: 354, Text: "end data with <CRLF>.<CRLF>"})
	replyReadyForTLS   = reply(220, 0, 0, "ready to start TLS")
	replyAuthenticated = reply(235, 7, 0, "authenticated")
	replyQueueStarted  = reply(250, 0, 0, "queuing for node started")
	replyPerRecipient  = smtp.Reply{Code: 353, Text: "one reply for each recipient follows"}
	replyCannotVerify  = prepare(reply(252, 5, 0, "cannot verify, but will try to deliver"))

	// Form.
	unknownCommand  = reply(500, 5, 1, "command not recognized")
	lineTooLong     = reply(500, 5, 2, "line too long")
	lineEndsBadly   = reply(500, 5, 2, "lines end with CRLF")
	badCharacters   = reply(500, 5, 2, "control character in command")
	noArgumentTaken = reply(501, 5, 4, "no argument allowed")
	notImplemented  = reply(502, 5, 1, "command not implemented")
	notOffered      = reply(502, 5, 1, "not offered in this session")
	badBase64       = reply(501, 5, 2, "cannot decode base64")

	// Place.
	needHello     = reply(503, 5, 1, "say EHLO first")
	needLHLO      = reply(503, 5, 1, "say LHLO first")
	needMail      = reply(503, 5, 1, "MAIL first")
	needRecipient = reply(503, 5, 1, "no valid recipients")
	nestedMail    = reply(503, 5, 1, "a mail transaction is under way already")
	inTransaction = reply(503, 5, 1, "not during a mail transaction")
	needLastChunk = reply(503, 5, 1, "BDAT or RSET expected")
	needReset     = reply(503, 5, 1, "a chunk was refused, send RSET")
	binaryNeeds   = reply(503, 5, 1, "BODY=BINARYMIME needs BDAT")
	onlyQuit      = reply(503, 5, 1, "this connection was refused, send QUIT")
	authTwice     = reply(503, 5, 1, "already authenticated")
	tlsTwice      = reply(503, 5, 1, "TLS is active already")
	needTLS       = reply(530, 7, 0, "must issue a STARTTLS command first")
	needAuth      = reply(530, 7, 0, "authentication required")
	talkedEarly   = reply(554, 5, 1, "you spoke before the greeting")

	// Clients that speak for others.
	notTrusted = reply(550, 7, 0, "insufficient authorization")

	// Limits.
	replyTooManyConns   = reply(421, 3, 2, "too many connections, try again later")
	replyTooManyFromYou = reply(421, 7, 0, "too many connections from your address")
	tooManyConnsRate    = reply(421, 7, 0, "too many connections from your address in one minute")
	tooManyPerMinute    = reply(451, 7, 1, "too many messages from your address in one minute, try again later")
	replyOverloaded     = reply(452, 3, 2, "too many messages at one time, try again later")
	tooManyErrors       = reply(421, 7, 0, "too many errors")
	tooMuchChat         = reply(421, 7, 0, "too many commands without a message")
	tooManyRejected     = reply(421, 7, 0, "too many refused senders and recipients")
	tooManyMessages     = reply(421, 7, 0, "too many messages in one connection")
	tooManyAuthFailures = reply(421, 7, 0, "too many failed authentications")
	tooManyDomains      = reply(452, 5, 3, "too many recipient domains in one connection")
	tooManyRecipients   = reply(452, 5, 3, "too many recipients, send the rest separately")
	tooBig              = reply(552, 3, 4, "message exceeds the size limit")
	headerTooBig        = reply(552, 3, 4, "header section exceeds the size limit")
	textLineTooLong     = reply(554, 6, 0, "text line too long")
	tooMuchToDiscard    = reply(421, 3, 4, "too much refused data")

	// Content. 5.6.11 is "invalid content" of the IANA registry's X.6.*.
	bareLF   = reply(550, 6, 11, "message has a bare LF")
	bareCR   = reply(550, 6, 11, "message has a bare CR")
	nulOctet = reply(550, 6, 11, "message has a NUL octet")

	// AUTH.
	authCancelled   = reply(501, 7, 0, "authentication cancelled")
	authFailed      = reply(535, 7, 8, "authentication credentials invalid")
	authTemporary   = reply(454, 7, 0, "temporary authentication failure")
	authTooLong     = reply(500, 5, 6, "authentication exchange line is too long")
	authNeedsTLS    = reply(538, 7, 11, "encryption required for authentication")
	unknownAuthMech = reply(504, 5, 4, "authentication mechanism not offered")

	// Extensions.
	heldTooLong      = reply(501, 5, 4, "the message would be held for longer than it may take")
	notSolicited     = reply(550, 7, 1, "solicitations of this class are not accepted")
	refusedByAll     = reply(550, 7, 1, "no recipient accepted the message")
	refusedByAllSoon = reply(450, 7, 1, "no recipient accepted the message for now")

	// Addresses.
	recipientNeedsUTF8 = reply(553, 6, 7, "address needs SMTPUTF8")

	// The server's own trouble.
	replyShutdown = reply(421, 3, 2, "shutting down")
	replyTimeout  = reply(421, 4, 2, "timeout")
	replyTooSlow  = reply(421, 4, 2, "data came too slowly")
	handlerFailed = reply(451, 3, 0, "local error in processing")
	handlerLate   = reply(421, 3, 0, "local processing took too long, closing the connection")
	handlerPanic  = reply(421, 3, 0, "local error, closing the connection")
	sessionFailed = reply(421, 3, 0, "local error, try again later")
	chunkUnclear  = reply(421, 5, 4, "cannot tell where this chunk ends")
)
