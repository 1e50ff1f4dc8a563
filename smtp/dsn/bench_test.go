package dsn

import (
	"bytes"
	"io"
	"testing"
)

func BenchmarkCompose(b *testing.B) {
	c, m, r := composer(), message(b, "alice@example.org", simple), recipient(b, "bob@example.net")
	b.ReportAllocs()
	for b.Loop() {
		n, err := c.Compose(m, r)
		if err != nil {
			b.Fatal(err)
		}
		body, err := n.Content.Open()
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, body); err != nil {
			b.Fatal(err)
		}
		body.Close()
	}
}

func BenchmarkParse(b *testing.B) {
	octets := read(b, compose(b, composer(), message(b, "alice@example.org", simple), recipient(b, "bob@example.net")).Content)
	b.SetBytes(int64(len(octets)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(bytes.NewReader(octets)); err != nil {
			b.Fatal(err)
		}
	}
}
