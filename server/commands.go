package server

import "github.com/postrider/postrider/smtp"

// states is a set of the states of a session (RFC 5321 §4.1.4).
type states uint8

const (
	connected states = 1 << iota // no HELO, EHLO or LHLO yet, or not since STARTTLS
	ready                        // no mail transaction
	mailed                       // MAIL accepted, no recipient yet
	rcpted                       // at least one recipient accepted
	chunking                     // BDAT chunks accepted, the last one still to come (RFC 3030)
	broken                       // a chunk was refused: nothing but RSET helps (RFC 3030 §2)
	refused                      // the connection was refused: only QUIT (RFC 5321 §3.1)

	anytime = connected | ready | mailed | rcpted | chunking | broken
)

// traits of a command, each checked in one place of the loop.
type traits uint16

const (
	beforeTLS  traits = 1 << iota // may come before TLS though TLS is required (RFC 3207 §4)
	needsAuth                     // needs AUTH first where the role asks for it (RFC 4954 §6)
	idleChat                      // brings no message forward: counted
	takesData                     // octets follow the line and are consumed even when it is refused
	noArgument                    // an argument is an error (RFC 5321 §4.1.1)
	abandons                      // ends a transaction whose chunks are still coming
	greets                        // the same unless its argument is refused
	notLMTP                       // unknown in LMTP (RFC 2033 §4.1)
	onlyLMTP                      // known in LMTP only
	hasGrammar                    // its parser refuses control characters by itself
)

// command is one row of the table: all that the loop must know of a verb.
type command struct {
	verb    smtp.Verb
	syntax  string // as HELP and a 501 show it
	in      states // where it may be given; elsewhere 503
	traits  traits
	keyword smtp.Keyword        // must be on offer in this session, otherwise 502
	codes   string              // replies of RFC 5321 §4.3.2: success; then failures
	run     func(*conn, []byte) // parses its argument, asks the session, answers
}

// commands is the protocol. A refused command never changes the state
// (RFC 5321 §4.1.4); what success leads to is set by the row's handler.
func commands() []command {
	return []command{
		{smtp.EHLO, "EHLO domain", anytime, beforeTLS | idleChat | abandons | greets | notLMTP, "", "250; 501 550", (*conn).hello},
		{smtp.HELO, "HELO domain", anytime, beforeTLS | idleChat | abandons | greets | notLMTP, "", "250; 501 550", (*conn).hello},
		{smtp.LHLO, "LHLO domain", anytime, beforeTLS | idleChat | abandons | greets | onlyLMTP, "", "250; 501 550", (*conn).hello},
		{smtp.STARTTLS, "STARTTLS", ready, beforeTLS | noArgument, "", "220; 454 501 502 503", (*conn).startTLS},
		{smtp.AUTH, "AUTH mechanism [initial-response]", ready, 0, "", "235 334; 454 500 501 503 504 535 538", (*conn).auth},
		{smtp.XCLIENT, "XCLIENT attribute=value [attribute=value ...]", connected | ready, idleChat, "", "220; 421 501 503 550", (*conn).xclient},
		{smtp.XFORWARD, "XFORWARD attribute=value [attribute=value ...]", ready, idleChat, "", "250; 501 503 550", (*conn).xforward},
		{smtp.MAIL, "MAIL FROM:<reverse-path> [parameters]", ready, needsAuth | hasGrammar, "", "250; 451 452 501 503 530 550 552 553 555", (*conn).mail},
		{smtp.RCPT, "RCPT TO:<forward-path> [parameters]", mailed | rcpted, needsAuth | hasGrammar, "", "250 251; 450 451 452 501 503 550 553 555", (*conn).rcpt},
		{smtp.DATA, "DATA", rcpted, needsAuth | noArgument, "", "354 250; 451 452 501 503 550 552 554", (*conn).data},
		{smtp.BDAT, "BDAT size [LAST]", rcpted | chunking, needsAuth | takesData, smtp.ExtChunking, "250; 451 452 501 503 550 552 554", (*conn).bdat},
		{smtp.RSET, "RSET", anytime, idleChat | noArgument | abandons, "", "250; 501", (*conn).rset},
		{smtp.NOOP, "NOOP [string]", anytime, beforeTLS | idleChat, "", "250", (*conn).noop},
		{smtp.VRFY, "VRFY string", anytime, idleChat | needsAuth, "", "250 251 252; 501 550 551 553", (*conn).vrfy},
		{smtp.EXPN, "EXPN string", anytime, idleChat | needsAuth, "", "250; 501 502 550", (*conn).expn},
		{smtp.HELP, "HELP [verb]", anytime, beforeTLS | idleChat, "", "214; 504", (*conn).help},
		{smtp.QUIT, "QUIT", anytime | refused, beforeTLS | noArgument | abandons, "", "221; 501", (*conn).quit},
	}
}

// misplaced is the reply to a command that the state does not allow.
func (c *conn) misplaced(row *command) *smtp.Reply {
	switch {
	case c.state == connected && c.srv.Role == LMTP:
		return &needLHLO
	case c.state == connected:
		return &needHello
	case c.state == broken && row.traits&takesData != 0 && c.txn.body.refusal.Code != 0:
		return &c.txn.body.refusal
	case c.state == broken:
		return &needReset
	case c.state == chunking:
		return &needLastChunk
	case row.verb == smtp.MAIL:
		return &nestedMail
	case row.in&ready != 0:
		return &inTransaction
	case c.state == ready:
		return &needMail
	}
	return &needRecipient
}
