package dkim

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	msgauth "github.com/emersion/go-msgauth/dkim"
)

// BenchmarkSign signs text beside the floor, which is SHA-256 of all octets and
// one RSA-2048 signature, and beside go-msgauth.
func BenchmarkSign(b *testing.B) {
	rsa, ed := newSigner("rsa", rsaKey()), newSigner("ed", edKey)
	for _, size := range []int{1 << 10, 10 << 10, 1 << 20} {
		message := []byte(everything() + "\r\n" + strings.Repeat("The quick brown fox jumps over the lazy dog, and then some more words.\r\n", size/72))
		run := func(name string, sign func() error) {
			b.Run(fmt.Sprintf("%s/%d", name, size), func(b *testing.B) {
				b.SetBytes(int64(len(message)))
				b.ReportAllocs()
				for b.Loop() {
					if err := sign(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		run("floor", func() error {
			sum := sha256.Sum256(message)
			_, err := rsa.Key.Sign(rand.Reader, sum[:], crypto.SHA256)
			return err
		})
		run("rsa", func() error { _, err := Signatures(bytes.NewReader(message), rsa); return err })
		run("rsa+ed25519", func() error { _, err := Signatures(bytes.NewReader(message), rsa, ed); return err })
		run("go-msgauth", func() error {
			s, err := msgauth.NewSigner(&msgauth.SignOptions{Domain: "example.org", Selector: "rsa", Signer: rsa.Key,
				HeaderCanonicalization: msgauth.CanonicalizationRelaxed, BodyCanonicalization: msgauth.CanonicalizationRelaxed, HeaderKeys: defaultNames})
			if err == nil {
				s.Write(message)
				err = s.Close()
			}
			return err
		})
	}
}
