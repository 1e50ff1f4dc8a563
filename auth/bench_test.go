package auth_test

import (
	"io"
	"strings"
	"testing"

	"github.com/postrider/postrider/auth"
)

// BenchmarkVerifier is a message from MAIL to the verdict on a connection that
// is known, with a DNS that answers at once.
func BenchmarkVerifier(b *testing.B) {
	message := []byte(signed(b, plain+strings.Repeat("A line of text that is of a usual length, more or less, in a mail.\r\n", 60), "example.org"))
	v := &auth.Verifier{Resolver: zone(b, ""), AuthServID: "mx.example.net"}
	c := v.Begin(b.Context(), peer)
	defer c.Close()
	from := mailbox(b, "ann@example.org")
	b.SetBytes(int64(len(message)))
	b.ReportAllocs()
	for b.Loop() {
		k := c.Message(b.Context(), from)
		k.Write(message)
		r, err := k.Finish(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		io.WriteString(io.Discard, r.Header())
	}
}
