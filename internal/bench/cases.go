package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// A benchCase is one way to hand messages to a server. A new case is a new row
// in cases: its exchanges say everything that the load generator does.
type benchCase struct {
	key, name string
	goal      float64 // × floor, what we mean to reach
	needs     string  // the EHLO keyword without which it makes no sense
	security  security
	reconnect bool // a new connection for every message
	before    []exchange
	message   []exchange // repeated; one message each time
	after     []exchange // puts the session back where QUIT is in order
}

var (
	ehlo = []byte("EHLO client.example\r\n")
	quit = []exchange{{[]byte("QUIT\r\n"), []int{221}}}

	mail = []byte("MAIL FROM:<sender@client.example>\r\n")
	rcpt = []byte("RCPT TO:<recipient@bench.example>\r\n")
	data = []byte("DATA\r\n")

	envelope = join(mail, rcpt, data)
	begun    = []int{250, 250, 354}
	ok       = []int{250}
)

// pipelined is a message of about size octets in two writes.
func pipelined(size int) []exchange { return []exchange{{envelope, begun}, {dotted(size), ok}} }

// dotted is such a message with the dot behind it.
func dotted(size int) []byte { return join(body(size), []byte(".\r\n")) } // no line of it begins with a dot

// cases lists what is measured. The letters have gaps for the cases that belong to
// the client.
func cases() []benchCase {
	var (
		small, large = pipelined(4 << 10), pipelined(1 << 20)
		text         = body(4 << 10)
		chunked      = join(mail, rcpt, fmt.Appendf(nil, "BDAT %d LAST\r\n", len(text)), text)
		chunks       = join(mail, rcpt, bdat(body(1<<20), 64<<10))
		many         = join(mail, rcpts(100), data)
		begunMany    = append(slices.Repeat(ok, 101), 354)
	)
	return []benchCase{
		{key: "a", name: "lockstep", goal: 1.10,
			message: []exchange{{mail, ok}, {rcpt, ok}, {data, []int{354}}, {dotted(4 << 10), ok}}},
		{key: "b", name: "pipelined", goal: 1.10, message: small},
		{key: "b2", name: "next envelope behind the body", goal: 1.15,
			before:  []exchange{{envelope, begun}},
			message: []exchange{{join(dotted(4<<10), envelope), []int{250, 250, 250, 354}}},
			after:   []exchange{{dotted(4 << 10), ok}}},
		{key: "b3", name: "BDAT in one write", goal: 1.20, needs: "CHUNKING",
			message: []exchange{{chunked, []int{250, 250, 250}}}},
		{key: "c", name: "1 MB DATA", goal: 1.35, message: large},
		{key: "c2", name: "1 MB BDAT in chunks of 64 KB", goal: 1.25, needs: "CHUNKING",
			message: []exchange{{chunks, slices.Repeat(ok, 2+bytes.Count(chunks, []byte("BDAT ")))}}},
		{key: "d", name: "100 recipients", goal: 1.55,
			message: []exchange{{many, begunMany}, {dotted(4 << 10), ok}}},
		{key: "e", name: "a connection per message", goal: 1.20, reconnect: true, message: small},
		{key: "f", name: "a connection with STARTTLS per message", goal: 1.05, needs: "STARTTLS", security: startTLS, reconnect: true,
			message: small},
		{key: "i", name: "1 MB DATA over TLS", goal: 1.15, needs: "TLS", security: implicitTLS, message: large},
	}
}

// security says how a connection is protected.
type security int

const (
	plaintext security = iota
	startTLS
	implicitTLS
)

// join makes one slice, and so one write, of its parts.
func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func rcpts(n int) []byte {
	var b []byte
	for i := range n {
		b = fmt.Appendf(b, "RCPT TO:<recipient%03d@bench.example>\r\n", i)
	}
	return b
}

// bdat cuts a message into chunks. The last is empty.
func bdat(message []byte, size int) []byte {
	var b []byte
	for chunk := range slices.Chunk(message, size) {
		b = append(fmt.Appendf(b, "BDAT %d\r\n", len(chunk)), chunk...)
	}
	return append(b, "BDAT 0 LAST\r\n"...)
}

// body is a message of about size octets: a short header, then lines of 75
// octets of text, their words and full stops at varying places.
func body(size int) []byte {
	const width = 75
	const text = "The quick brown fox jumps over the lazy dog. Pack my box with five dozen liquor jugs, " +
		"and let nobody say that an old postman cannot sort letters by hand before noon; "
	b := []byte("From: <sender@client.example>\r\nTo: <recipient@bench.example>\r\nSubject: bench\r\n\r\n")
	prose := strings.Repeat(text, 2)
	for i := 0; len(b) < size; i = (i + width) % len(text) {
		line := prose[i : i+width]
		if line[0] == '.' {
			line = "x" + line[1:] // a dot here would need stuffing
		}
		b = append(append(b, line...), '\r', '\n')
	}
	return b
}
