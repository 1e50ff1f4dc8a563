package dane_test

import (
	"context"
	"crypto/tls"
	"fmt"

	"github.com/postrider/postrider/mx/dane"
	"github.com/postrider/postrider/mx/dns"
	"github.com/postrider/postrider/mx/dns/dnstest"
)

// An alias in a zone that is signed, of a host in one that is not.
func ExampleHost() {
	zone := dnstest.MustParse(`
		example.org              SECURE
		mx.example.org           CNAME  mx.hosting.example
		mx.hosting.example       A      192.0.2.1
		_25._tcp.mx.example.org  TLSA   3 1 1 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855`)
	host := dane.Host{Name: "mx.example.org", Canonical: "mx.hosting.example", Secure: false}
	records, err := dane.Lookup(context.Background(), zone, host)
	fmt.Println(records.Base, len(records.Usable), err)

	host = dane.Host{Name: "mx.hosting.example"}
	records, err = dane.Lookup(context.Background(), zone, host)
	fmt.Println(records, err)
	// Output:
	// mx.example.org 1 <nil>
	// <nil> <nil>
}

// Records that nothing can be held against still oblige to TLS.
func ExampleRecords() {
	zone := dnstest.MustParse(`
		example.org              SECURE
		mx.example.org           A     192.0.2.1
		_25._tcp.mx.example.org  TLSA  1 1 1 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
		_25._tcp.mx.example.org  TLSA  3 1 1 e3b0c44298fc1c14`)
	records, err := dane.Lookup(context.Background(), zone, dane.Host{Name: "mx.example.org", Secure: true})
	fmt.Println(records.Base, records.Usable, records.Unusable, err)
	// Output: mx.example.org [] 2 <nil>
}

func ExampleVerifier() {
	mx := issue(nil, server("other.example"))
	v := &dane.Verifier{Records: dane.Usable([]dns.TLSARecord{record(3, 1, 1, mx)})}
	cfg := &tls.Config{
		ServerName:         "mx.example.org",
		InsecureSkipVerify: true, // for VerifyConnection to do it
		VerifyConnection:   v.VerifyConnection,
	}
	fmt.Println(cfg.VerifyConnection(presented(mx)))
	fmt.Println(cfg.VerifyConnection(presented(issue(nil, server("mx.example.org")))))
	// Output:
	// <nil>
	// dane: no TLSA record matches the certificate
}
