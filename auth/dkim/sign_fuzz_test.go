package dkim

import (
	"bytes"
	"strings"
	"testing"
)

// Whatever the message, signing does not panic, and what is signed verifies.
func FuzzSign(f *testing.F) {
	f.Add([]byte(plain), []byte("List-Id"), uint8(0))
	f.Add([]byte("From:a@b\r\n\r\n"), []byte("to"), uint8(1))
	f.Add([]byte("From : a\r\n\tb \r\nSubject:\r\n x\r\n\r\n \r\n\t\r\nx  y \r\n\r\n"), []byte(""), uint8(2))
	f.Add([]byte("From: a\r\nTo: b\r\nFrom: c\r\n\r\nno end"), []byte("X-a"), uint8(3))
	f.Add([]byte("From: a\r\nTo: b\nc\r\n\r\na\nb\rc"), []byte("x\r\ny: z"), uint8(1))
	f.Add([]byte("From: \xff\xfe\r\n: x\r\nx\r\n\r\n\x00"), []byte("\x00"), uint8(0))
	f.Fuzz(func(t *testing.T, message, name []byte, canon uint8) {
		s := newSigner("s", edKey)
		s.Header, s.Body = Canonicalization(canon&1), Canonicalization(canon>>1&1)
		if len(name) > 0 {
			s.Oversign = []string{string(name), "From"}
		}
		fields, err := Signatures(bytes.NewReader(message), s)
		if err != nil {
			return
		}
		for line := range strings.SplitSeq(strings.TrimSuffix(string(fields), "\r\n"), "\r\n") {
			if line == "" || strings.ContainsAny(line, "\r\n\x00") || strings.Trim(line, " \t") == "" {
				t.Fatalf("a line that ends or breaks the field: %q", fields)
			}
		}
		accepted(t, append(fields, message...), s)
	})
}
