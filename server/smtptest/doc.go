// Package smtptest helps to test programs that speak SMTP. A [Server] listens
// on loopback, keeps the messages it gets and fails on demand. A [Script] is a
// conversation in a text file, played as either side of a connection.
//
// # Scripts
//
// A script reads like the examples of RFC 5321 appendix D:
//
//	# What follows a number sign is a comment.
//	S: 220 ...
//	C: EHLO client.example
//	S: 250-*
//	S: 250 ...
//	C: MAIL FROM:<a@example.org>
//	C: RCPT TO:<b@example.com>
//	S: 250 2.1.0 OK
//	S: 250 2.1.5 *
//	C: QUIT
//	S: 221 ...
//	S: <close>
//
// A line "C: text" is what the client sends, "S: text" what the server sends;
// each ends with CRLF on the wire. The side that is played sends its own lines,
// those that follow each other in one write, and compares what comes with the
// other's. Comments and blank lines mean nothing; indentation is ignored.
//
// In a line that is awaited, "*" stands for anything within it, and " ..." at
// its end for anything or nothing. "S: 250-*" (or "250-...") alone stands for
// any number of lines that begin so, as far as the next S: line does not match.
// In a line that is sent these are literal.
//
// Octets, in both kinds of line:
//
//	\r \n \t \0 \xHH \\ \*     the octet; "\*" is never a wildcard
//	\ at the end of a line     no CRLF is added: exactly these octets
//	<repeat 600 "x">           600 times what stands in the quotes
//
// In place of a text:
//
//	C: <close>      that side closes the connection (a reset counts too)
//	C: <flush>      what follows leaves in a write of its own
//	C: <wait 30s>   that side lets time pass; meant for testing/synctest
//
// and the same with S:. A line with only <starttls> is where both sides make a
// TLS connection of it.
package smtptest
