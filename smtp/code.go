package smtp

// Reply codes: those of RFC 5321 §4.2.3 and of the extensions named here. The
// comment is the RFC's meaning in short.
const (
	CodeStatus       = 211 // system status, or system help reply
	CodeHelp         = 214 // help message for a human
	CodeReady        = 220 // service ready
	CodeClosing      = 221 // service closing the transmission channel
	CodeAuthOK       = 235 // authentication succeeded (RFC 4954 §6)
	CodeOK           = 250 // requested mail action okay, completed
	CodeWillForward  = 251 // user not local; will forward
	CodeCannotVerify = 252 // cannot VRFY, but will accept and attempt delivery

	CodeAuthContinue = 334 // server challenge, may be empty (RFC 4954 §4)
	CodeStartInput   = 354 // start mail input; end with <CRLF>.<CRLF>

	CodeUnavailable       = 421 // service not available, closing the channel
	CodeNeedTransition    = 432 // a password transition is needed (RFC 4954 §6)
	CodeMailboxBusy       = 450 // mailbox unavailable for now
	CodeLocalError        = 451 // action aborted: local error in processing
	CodeNoStorage         = 452 // action not taken: insufficient system storage
	CodeTempUnavailable   = 454 // TLS or authentication not available for now (RFC 3207 §4, RFC 4954 §6)
	CodeCannotAccommodate = 455 // server unable to accommodate parameters

	CodeSyntax            = 500 // syntax error, command unrecognized, line too long
	CodeArgSyntax         = 501 // syntax error in parameters or arguments
	CodeNotImplemented    = 502 // command not implemented
	CodeBadSequence       = 503 // bad sequence of commands
	CodeBadParameter      = 504 // command parameter not implemented
	CodeNoMail            = 521 // host does not accept mail (RFC 7504 §3)
	CodeAuthRequired      = 530 // authentication or STARTTLS required (RFC 4954 §6, RFC 3207 §4)
	CodeWeakMechanism     = 534 // authentication mechanism is too weak (RFC 4954 §6)
	CodeAuthFailed        = 535 // authentication credentials invalid (RFC 4954 §6)
	CodeNeedEncryption    = 538 // encryption required for this mechanism (RFC 4954 §6)
	CodeNoMailbox         = 550 // mailbox unavailable, or refused for policy
	CodeNotLocal          = 551 // user not local; please try the path given
	CodeTooBig            = 552 // action aborted: exceeded storage allocation
	CodeBadMailbox        = 553 // mailbox name not allowed
	CodeFailed            = 554 // transaction failed, or no SMTP service here
	CodeUnknownParameter  = 555 // MAIL or RCPT parameter not recognized or not implemented
	CodeDomainTakesNoMail = 556 // domain does not accept mail (RFC 7504 §4)
)
