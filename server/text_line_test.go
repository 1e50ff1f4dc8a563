package server_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/postrider/postrider/server"
)

// There is a longest line in text, however it comes. BODY=BINARYMIME is not made
// of lines (RFC 3030 §3), and has none.
func TestMaxTextLine(t *testing.T) {
	const limit = 1000
	for _, tt := range []struct {
		line   int // octets, CRLF included
		params string
		chunks bool
		want   string
	}{
		{limit, "", false, "250"},
		{limit + 1, "", false, "554 5.6.0 text line too long"},
		{limit, "", true, "250"},
		{limit + 1, "", true, "554 5.6.0 text line too long"},
		{limit + 1, " BODY=8BITMIME", true, "554 5.6.0 text line too long"},
		{limit, " BODY=BINARYMIME", true, "250"},
		{limit + 1, " BODY=BINARYMIME", true, "250"},
		{100 * limit, " BODY=BINARYMIME", true, "250"},
	} {
		s := start(t, limits(server.Limits{MaxTextLine: limit}), func(s *testServer) { s.Extensions = []server.Extension{server.BinaryMIME} })
		p := s.hello()
		message := "Subject: x\r\n\r\n" + strings.Repeat("x", tt.line-2) + "\r\n"
		p.send("MAIL FROM:<a@example.org>" + tt.params + "\nRCPT TO:<b@example.com>\n")
		p.expect("250", "250")
		if tt.chunks {
			cut := len(message) / 2 // within the line
			p.flood(fmt.Sprintf("BDAT %d\r\n%sBDAT %d LAST\r\n%s", cut, message[:cut], len(message)-cut, message[cut:]))
			p.expect("250")
		} else {
			p.do("DATA", "354")
			p.flood(message + ".\r\n")
		}
		p.expect(tt.want)
		want(t, "messages", len(s.messages()), map[byte]int{'2': 1, '5': 0}[tt.want[0]])
	}
}
