package message

import (
	"crypto"
	"crypto/sha256"
	"fmt"
	"io"
	"strings"
	"testing"
)

// bodies1M are bodies of about 1 MB: the lines of text as people write it (70
// columns), with the space that format=flowed ends lines in, indented with
// tabs, and base64 (76 columns).
func bodies1M() map[string]string {
	many := func(line string) string { return strings.Repeat(line, 1<<20/len(line)) }
	return map[string]string{
		"text":   many("It was a bright cold day in April, and the clocks were striking ten;\r\n"),
		"flowed": many("It was a bright cold day in April, and the clocks were striking ten; \r\n"),
		"tabs":   many("\tif err := run(ctx, name); err != nil {\r\n\t\treturn\tfmt.Errorf(name)\r\n\t}\r\n"),
		"base64": many(strings.Repeat("VGhlIHF1aWNrIGJy", 5)[:76] + "\r\n"),
	}
}

func BenchmarkBody(b *testing.B) {
	for name, body := range bodies1M() {
		b.Run(name+"/floor", func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				h := sha256.New()
				io.WriteString(h, body)
				h.Sum(nil)
			}
		})
		for _, canon := range []Canon{Simple, Relaxed} {
			b.Run(fmt.Sprintf("%s/%d", name, canon), func(b *testing.B) {
				b.SetBytes(int64(len(body)))
				b.ReportAllocs()
				p := []byte(body)
				for b.Loop() {
					m := New(Limits{}, func(m *Message) { m.BodyHash(canon, crypto.SHA256, -1) })
					io.WriteString(m, "From: x\r\n\r\n")
					for rest := p; len(rest) > 0; {
						n := min(len(rest), 32<<10)
						m.Write(rest[:n])
						rest = rest[n:]
					}
					m.Close()
				}
			})
		}
	}
}
