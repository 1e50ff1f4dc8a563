package mxtest_test

import (
	"crypto/ecdsa"
	"crypto/tls"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/mx/dane"
	"github.com/postrider/postrider/mx/dns"
	"github.com/postrider/postrider/mx/mxtest"
)

// handshake is one with a host's web server, where nothing comes before it. It
// returns what the host has shown.
func handshake(t *testing.T, inet *mxtest.Internet, h *mxtest.Host, config *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	raw, err := inet.Dial(t.Context(), "tcp", h.Name+":443")
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	conn := tls.Client(raw, config)
	err = conn.HandshakeContext(t.Context())
	return conn.ConnectionState(), err
}

var web = mxtest.Web(http.NotFoundHandler())

func TestCertificates(t *testing.T) {
	for _, tt := range []struct {
		name    string
		options []func(*mxtest.Host)
		want    string // a part of the error
	}{
		{"plain", nil, ""},
		{"two names", []func(*mxtest.Host){mxtest.Names("a.example", "mx.example.org")}, ""},
		{"a wildcard", []func(*mxtest.Host){mxtest.Names("*.example.org")}, ""},
		{"a wrong name", []func(*mxtest.Host){mxtest.Names("a.example")}, "valid for a.example, not mx.example.org"},
		{"no name", []func(*mxtest.Host){mxtest.Names()}, "not valid for any names"},
		{"expired", []func(*mxtest.Host){mxtest.Expired}, "expired"},
		{"self-signed", []func(*mxtest.Host){mxtest.SelfSigned}, "unknown authority"},
		{"untrusted", []func(*mxtest.Host){mxtest.Untrusted}, "unknown authority"},
		{"expired, and a wrong name", []func(*mxtest.Host){mxtest.Names("a.example"), mxtest.Expired}, "expired"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // where it is the year 2000
				inet := mxtest.New(t)
				judge := func(h *mxtest.Host) {
					t.Helper()
					config := h.ClientTLSConfig()
					config.ServerName = "mx.example.org"
					_, err := handshake(t, inet, h, config)
					if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
						t.Errorf("%v, want %q", err, tt.want)
					}
				}
				judge(inet.Host("mx.example.org", append(tt.options, web)...))
				judge(inet.Host("other.example.org", append([]func(*mxtest.Host){web, mxtest.Names("mx.example.org")}, tt.options...)...))

				renewed := inet.Host("new.example.org", web, mxtest.Names("mx.example.org"))
				old := renewed.Certificate()
				renewed.Renew(tt.options...)
				judge(renewed)
				if renewed.Certificate().PublicKey.(*ecdsa.PublicKey).Equal(old.PublicKey) {
					t.Error("the key is the old one")
				}
			})
		})
	}
	t.Run("today", func(t *testing.T) {
		inet := mxtest.New(t)
		h, late := inet.Host("mx.example.org", web), inet.Host("late.example.org", web, mxtest.Expired)
		for _, year := range []int{1990, time.Now().Year(), 2090} {
			config := h.ClientTLSConfig()
			config.Time = func() time.Time { return time.Date(year, 6, 1, 0, 0, 0, 0, time.UTC) }
			if _, err := handshake(t, inet, h, config); err != nil {
				t.Errorf("in %d: %v", year, err)
			}
		}
		if _, err := handshake(t, inet, late, late.ClientTLSConfig()); err == nil {
			t.Error("an expired certificate is good")
		}
	})
}

func TestOwnCertificate(t *testing.T) {
	inet := mxtest.New(t)
	theirs := mxtest.New(t).Host("mx.example.org")
	cert, err := theirs.Config.TLSConfig.GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	h := inet.Host("mx.example.org", web, mxtest.Certificate(*cert))
	if _, err := handshake(t, inet, h, theirs.ClientTLSConfig()); err != nil || !h.Certificate().Equal(theirs.Certificate()) {
		t.Error(err)
	}
	if _, err := handshake(t, inet, h, h.ClientTLSConfig()); err == nil {
		t.Error("two Internets trust each other's certificates")
	}
}

// What TLSA computes is what package dane wants to see, and nothing else.
func TestTLSA(t *testing.T) {
	inet := mxtest.New(t)
	for _, tt := range []struct {
		option func(*mxtest.Host)
		usages []uint8
	}{
		{func(*mxtest.Host) {}, []uint8{2, 3}},
		{mxtest.SelfSigned, []uint8{3}}, // for 2 it would have to be an authority
		{mxtest.Untrusted, []uint8{2, 3}},
	} {
		for _, usage := range tt.usages {
			for selector := range uint8(2) {
				for matching := range uint8(3) {
					name := fmt.Sprintf("mx%d-%d-%d-%d.example.org", usage, selector, matching, len(inet.Zone.Queries()))
					h, other := inet.Host(name, web, tt.option), inet.Host("other."+name, web, mxtest.SelfSigned, mxtest.Names(name))
					record := h.TLSA(usage, selector, matching)
					if record.Usage != usage || record.Selector != selector || record.MatchingType != matching {
						t.Errorf("%+v", record)
					}
					v := dane.Verifier{Records: []dns.TLSARecord{record}, Names: []string{name}}
					config := &tls.Config{InsecureSkipVerify: true, ServerName: name, VerifyConnection: v.VerifyConnection}
					if _, err := handshake(t, inet, h, config); err != nil {
						t.Errorf("%s: %v", name, err)
					}
					if _, err := handshake(t, inet, other, config); err == nil {
						t.Errorf("%s: another certificate is good", name)
					}
				}
			}
		}
	}
}

func TestDANE(t *testing.T) {
	inet := mxtest.New(t)
	h := inet.Host("mx.example.org", web, mxtest.Ports(25, 26))
	lookup := func(port uint16) *dane.Records {
		t.Helper()
		answer, err := inet.Zone.Resolve(t.Context(), h.Name, dns.A)
		if err != nil {
			t.Fatal(err)
		}
		records, err := dane.Lookup(t.Context(), inet.Zone, dane.Host{Name: h.Name, Secure: answer.Secure, Port: port})
		if err != nil {
			t.Fatal(err)
		}
		return records
	}
	if got := lookup(25); got != nil {
		t.Errorf("before: %+v", got)
	}
	inet.DANE(h)
	for _, port := range h.Ports {
		if got := lookup(port); got == nil || fmt.Sprint(got.Usable) != fmt.Sprint([]dns.TLSARecord{h.TLSA(3, 1, 1)}) {
			t.Errorf("port %d: %+v", port, got)
		}
	}
	old := h.TLSA(3, 1, 1)
	h.Renew()
	inet.DANE(h, old, h.TLSA(2, 0, 1), h.TLSA(0, 0, 1))
	if got := lookup(25); len(got.Usable) != 2 || got.Unusable != 1 {
		t.Errorf("a new key: %+v", got)
	}
	inet.DANE(h)
	if got := lookup(25); fmt.Sprint(got.Usable) != fmt.Sprint([]dns.TLSARecord{h.TLSA(3, 1, 1)}) || got.Unusable > 0 {
		t.Errorf("the old records are still there: %+v", got)
	}
}

func TestMistakes(t *testing.T) {
	inet := mxtest.New(t)
	h := inet.Host("mx.example.org", mxtest.Addrs("192.0.2.200"))
	for name, mistake := range map[string]func(){
		"no name":           func() { inet.Host("") },
		"not a name":        func() { inet.Host("mx example") },
		"an address twice":  func() { inet.Host("mx2.example.org", mxtest.Addrs("192.0.2.200")) },
		"not an address":    func() { inet.Host("mx2.example.org", mxtest.Addrs("mx")) },
		"a foreign address": func() { h.SetLink(mxtest.Silent, inet.Host("mx3.example.org").Addrs...) },
		"not a record":      func() { inet.Records("mx.example.org A b") },
		"usage":             func() { h.TLSA(4, 1, 1) },
		"selector":          func() { h.TLSA(3, 2, 1) },
		"matching type":     func() { h.TLSA(3, 1, 3) },
		"DNS in memory":     func() { inet.DNS() },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if text := fmt.Sprint(recover()); !strings.HasPrefix(text, "mxtest: ") {
					t.Errorf("panic with %q", text)
				}
			}()
			mistake()
		})
	}
}
