//go:build interop

package interop

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"testing"
	"time"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/smtp"
)

// Messages by BDAT (RFC 3030), with the envelope answered first and in one
// write with it, to the servers that offer CHUNKING.
func TestChunking(t *testing.T) {
	for _, server := range mailServers {
		if server.name == "opensmtpd" { // has no CHUNKING
			continue
		}
		t.Run(server.name, func(t *testing.T) {
			certs := newCertificates(t)
			s := server.start(t, certs)
			roots := x509.NewCertPool()
			roots.AppendCertsFromPEM(certs.ca)
			for _, optimistic := range []bool{false, true} {
				var bdat bool
				c := &client.Client{
					Addr:       address(s.plain),
					TLSConfig:  &tls.Config{RootCAs: roots},
					Chunking:   true,
					Optimistic: optimistic,
					Timeouts:   client.EveryTimeout(30 * time.Second),
					Trace: &client.Trace{Wrote: func(_ client.ConnInfo, line string) {
						verb, _, ok := smtp.ParseVerb([]byte(line))
						bdat = bdat || ok && verb == smtp.BDAT
					}},
				}
				env, err := smtp.NewEnvelope("sender@example.org", one, two)
				if err != nil {
					t.Fatal(err)
				}
				for n := range 3 {
					subject := fmt.Sprintf("chunking %s %t %d", server.name, optimistic, n)
					msg := message(subject)
					res, err := c.Send(t.Context(), env, smtp.BytesContent(msg))
					if err != nil || res.Delivered() != 2 {
						t.Fatalf("%+v, %v", res, err)
					}
					sameBytes(t, withCRLF(t, original(t, s.delivered(t, "two", subject))), msg)
				}
				if err := c.Close(); err != nil {
					t.Error(err)
				}
				if !bdat {
					t.Error("nothing went by BDAT")
				}
			}
		})
	}
}
