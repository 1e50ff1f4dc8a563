package mxtest_test

import (
	"crypto/x509"
	"testing"

	"github.com/postrider/postrider/mx/mxtest"
)

// What is handed to other programs vouches for the hosts.
func TestCA(t *testing.T) {
	inet := mxtest.New(t)
	host := inet.Host("mx.example.org")
	roots := x509.NewCertPool()
	roots.AddCert(inet.CA())
	if _, err := host.Certificate().Verify(x509.VerifyOptions{DNSName: "mx.example.org", Roots: roots}); err != nil {
		t.Error(err)
	}
}
