//go:build interop

package interop

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/mx"
	"github.com/postrider/postrider/mx/dns"
	"github.com/postrider/postrider/mx/mtasts"
	"github.com/postrider/postrider/mx/tlsrpt"
	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// tlsa is a TLSA record of a certificate: selector 0 is all of it, 1 its key;
// matching 0 is the whole, 1 a digest.
func tlsa(t *testing.T, port int, usage, selector, matching int, certPEM []byte) string {
	t.Helper()
	block, _ := pem.Decode(certPEM)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	data := cert.Raw
	if selector == 1 {
		data = cert.RawSubjectPublicKeyInfo
	}
	if matching == 1 {
		sum := sha256.Sum256(data)
		data = sum[:]
	}
	return fmt.Sprintf("_%d._tcp.mx IN TLSA %d %d %d %x\n", port, usage, selector, matching, data)
}

const onLoopback = "@ IN MX 10 mx\nmx IN A 127.0.0.1\n"

// Postfix and Exim get what DANE and MTA-STS let them have. The DNS is nsd's and
// unbound's, who sign and validate; the policies are on a web server here.
func TestTLSPolicies(t *testing.T) {
	for _, peer := range mailServers {
		if peer.name == "opensmtpd" {
			continue
		}
		t.Run(peer.name, func(t *testing.T) {
			certs := newCertificates(t, "mx.ta.example", "mx.key.example", "mx.sts.example", "mx.signed.example")
			chain := certs
			chain.cert = slices.Concat(certs.cert, certs.ca)
			other := newCertificates(t)
			s := peer.start(t, chain)
			record := func(usage, selector, matching int, cert []byte) string {
				return onLoopback + tlsa(t, s.plain, usage, selector, matching, cert)
			}
			sts := onLoopback + "_mta-sts IN TXT \"v=STSv1; id=1;\"\nmta-sts IN A 127.0.0.1\n"
			stub := startDNS(t, []signedZone{
				{"ee.example", record(3, 1, 1, certs.cert), ""},
				{"whole.example", record(3, 0, 0, certs.cert), ""},
				{"ta.example", record(2, 0, 1, certs.ca), ""},
				{"key.example", record(2, 1, 0, certs.ca), ""},
				{"name.example", record(2, 0, 1, certs.ca), ""},
				{"wrong.example", record(3, 1, 1, other.cert), ""},
				{"unusable.example", record(1, 1, 1, other.cert), ""},
				{"signed.example", onLoopback, ""},
				{"unsigned.example", record(3, 1, 1, other.cert), unsigned},
				{"alias.example", "@ IN MX 10 mx\nmx IN CNAME mx.unsigned.example.\n" + tlsa(t, s.plain, 3, 1, 1, certs.cert), ""},
				{"alias-wrong.example", "@ IN MX 10 mx\nmx IN CNAME mx.unsigned.example.\n" + tlsa(t, s.plain, 3, 1, 1, other.cert), ""},
				{"lame.example", onLoopback + "_tcp.mx IN NS ns.gone\nns.gone IN A 127.0.0.99\n", ""},
				{"expired.example", record(3, 1, 1, certs.cert), expired},
				{"sts.example", sts, unsigned},
				{"sts-name.example", sts, unsigned},
				{"sts-host.example", sts, unsigned},
				{"sts-testing.example", sts, unsigned},
				{"sts-dane.example", sts + tlsa(t, s.plain, 3, 1, 1, other.cert), ""},
			})
			stub.Timeout = 3 * time.Second // nobody answers for a part of lame.example
			web := policyServer(t, map[string]string{
				"sts.example":         "version: STSv1\r\nmode: enforce\r\nmx: mx.sts.example\r\nmax_age: 86400\r\n",
				"sts-name.example":    "version: STSv1\r\nmode: enforce\r\nmx: *.sts-name.example\r\nmax_age: 86400\r\n",
				"sts-host.example":    "version: STSv1\r\nmode: enforce\r\nmx: elsewhere.example\r\nmax_age: 86400\r\n",
				"sts-testing.example": "version: STSv1\r\nmode: testing\r\nmx: mx.sts-testing.example\r\nmax_age: 86400\r\n",
				"sts-dane.example":    "version: STSv1\r\nmode: enforce\r\nmx: mx.sts-dane.example\r\nmax_age: 86400\r\n",
			})
			c := &mx.Client{
				Router:    &mx.Router{Resolver: stub, Usable: func(netip.Addr) bool { return true }},
				Policies:  &mx.Policies{MTASTS: &mtasts.Cache{Resolver: stub, Fetcher: web(stub)}},
				TLSConfig: &tls.Config{RootCAs: certs.pool()},
				Port:      uint16(s.plain),
				Hello:     "relay.example",
				Timeouts:  client.EveryTimeout(30 * time.Second),
			}
			defer c.Close()
			for _, l := range []struct {
				rfc        string
				domain     string
				requireTLS bool
				policy     string
				want       string // the outcome, and what is reported
			}{
				{"7672 §3.1.1", "ee.example", false, "dane dane", "250 tlsa:"},
				{"7672 §3.1.1", "whole.example", false, "dane dane", "250 tlsa:"},
				{"7672 §3.1.2", "ta.example", false, "dane dane", "250 tlsa:"},
				{"7672 §3.1.2", "key.example", false, "dane dane", "250 tlsa:"},
				{"7672 §3.2.2", "name.example", false, "dane dane", "451 tlsa:certificate-host-mismatch"},
				{"7672 §2.2", "wrong.example", false, "dane dane", "451 tlsa:tlsa-invalid"},
				{"7672 §2.2", "unusable.example", false, "encrypt dane", "250 tlsa:tlsa-invalid"},
				{"7672 §2.2", "signed.example", false, "may default", "250 no-policy-found:"},
				{"7672 §2.2.1", "unsigned.example", false, "may default", "250 no-policy-found:"},
				{"7672 §2.2.2", "alias.example", false, "dane dane", "250 tlsa:"},
				{"7672 §2.2.2", "alias-wrong.example", false, "dane dane", "451 tlsa:tlsa-invalid"},
				{"7672 §2.1.2", "lame.example", false, "", "451 tlsa:dnssec-invalid"},
				{"7672 §2.1.1", "expired.example", false, "", "451"},
				{"8461 §4", "sts.example", false, "verify mta-sts", "250 sts:"},
				{"8461 §4.2", "sts-name.example", false, "verify mta-sts", "451 sts:certificate-host-mismatch"},
				{"8461 §4.1", "sts-host.example", false, "", "451 sts:validation-failure"},
				{"8461 §5", "sts-testing.example", false, "may mta-sts", "250 sts:certificate-host-mismatch"},
				{"8461 §2", "sts-dane.example", false, "dane dane", "451 tlsa:tlsa-invalid"},
				{"8689 §4.2.1", "ee.example", true, "dane requiretls", "550"}, // 5.7.30: neither offers REQUIRETLS
				{"8689 §4.2.1", "signed.example", true, "verify requiretls", "550"},
				{"8689 §4.2.1", "unsigned.example", true, "", "550"},
			} {
				var policy string
				var reported []string
				c.Trace = &mx.Trace{
					Attempted: func(_ context.Context, a *mx.Attempt) {
						if a.Addr != "" {
							policy = a.Policy.Level.String() + " " + a.Policy.Source.String()
						}
					},
					TLS: func(_ context.Context, s tlsrpt.Session) {
						reported = append(reported, string(s.Policy.Type)+":"+string(s.Result))
					},
				}
				subject := fmt.Sprintf("policy of %s %t", l.domain, l.requireTLS)
				env, err := smtp.NewEnvelope(two, one)
				if err != nil {
					t.Fatal(err)
				}
				env.MailParams.RequireTLS = l.requireTLS
				c.CloseIdle() // what is reported is a connection, not a message
				results, err := c.Deliver(t.Context(), l.domain, &mx.Message{Envelope: env, Content: smtp.BytesContent(plainMessage(subject))})
				got := strings.TrimSpace(fmt.Sprint(results[0].Reply.Code, " ", strings.Join(reported, " ")))
				if want := l.want; policy != l.policy || got != want && !l.requireTLS || !strings.HasPrefix(got, want) {
					t.Errorf("%s (RFC %s): %q by %q, want %q by %q: %v", l.domain, l.rfc, got, policy, want, l.policy, err)
				}
				if err == nil {
					s.delivered(t, "one", subject)
				}
			}
		})
	}
}

// Postfix believes our server by its TLSA record, and by no other. Both are in a
// network of this test alone, for Postfix asks DNS at port 53 and delivers to 25.
func TestPostfixDANE(t *testing.T) {
	ownNetwork(t)
	certs, other := newCertificates(t), newCertificates(t)
	const good, wrong = "good.example", "wrong.example"
	const elsewhere = "@ IN MX 10 mx\nmx IN A 127.0.0.25\n" // Postfix takes 127.0.0.1 for itself
	startDNSAt(t, 53, []signedZone{
		{good, elsewhere + tlsa(t, 25, 3, 1, 1, certs.cert), ""},
		{wrong, elsewhere + tlsa(t, 25, 3, 1, 1, other.cert), ""},
	})
	l, err := net.Listen("tcp", "127.0.0.25:25")
	if err != nil {
		t.Fatal(err)
	}
	k := keep(t, &keeper{Server: server.Server{TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair(t, certs.cert, certs.key)}}}}, l)
	s := startPostfixWith(t, certs, "relay_domains = "+good+" "+wrong+"\nrelay_transport = smtp\nsmtp_tls_security_level = dane\n"+
		"smtp_dns_support_level = dnssec\nsmtp_tls_loglevel = 1\nminimal_backoff_time = 1h\n", "")
	s.write(t, "etc/resolv.conf", []byte("nameserver 127.0.0.1\noptions trust-ad edns0\n"), 0o644)
	conn, err := client.Dial(t.Context(), "tcp", address(s.plain), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, domain := range []string{good, wrong} {
		env, err := smtp.NewEnvelope(two, "somebody@"+domain)
		if err != nil {
			t.Fatal(err)
		}
		if res, err := conn.Send(t.Context(), env, smtp.BytesContent(plainMessage("dane "+domain))); err != nil {
			t.Fatalf("%+v, %v", res, err)
		}
	}
	got := k.message(t, "dane "+good)
	if got.TLS == nil || got.TLS.ServerName != "mx."+good {
		t.Errorf("%+v", got.Info)
	}
	s.logged(t, "Verified TLS connection established to mx."+good)
	s.logged(t, "<somebody@"+wrong+">", "status=deferred", "Server certificate not")
	if n := len(k.about("dane " + wrong)); n > 0 {
		t.Errorf("%d messages in spite of a wrong record", n)
	}
}

// ownNetwork puts the rest of the test, and what it starts, into a network without
// anything but loopback. It is for tests without subtests: those run elsewhere.
func ownNetwork(t *testing.T) {
	t.Helper()
	runtime.LockOSThread() // for good: the thread ends with the test
	if err := syscall.Unshare(syscall.CLONE_NEWNET); err != nil {
		missing(t, "no network of its own: "+err.Error())
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	request := struct { // struct ifreq
		name  [syscall.IFNAMSIZ]byte
		flags uint16
		_     [22]byte
	}{flags: syscall.IFF_UP | syscall.IFF_RUNNING}
	copy(request.name[:], "lo")
	if _, _, err := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), syscall.SIOCSIFFLAGS, uintptr(unsafe.Pointer(&request))); err != 0 {
		t.Fatal(err)
	}
}

// policyServer serves MTA-STS policies by the name of their domain, and returns
// what makes fetchers of them.
func policyServer(t *testing.T, policies map[string]string) func(dns.Resolver) *mtasts.Fetcher {
	t.Helper()
	var names []string
	for domain := range policies {
		names = append(names, "mta-sts."+domain)
	}
	certs := newCertificates(t, names...)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		policy, ok := policies[strings.TrimPrefix(r.Host, "mta-sts.")]
		if !ok || r.URL.Path != "/.well-known/mta-sts.txt" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/plain")
		fmt.Fprint(w, policy)
	}))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair(t, certs.cert, certs.key)}}
	s.StartTLS()
	t.Cleanup(s.Close)
	at := s.Listener.Addr().String()
	return func(r dns.Resolver) *mtasts.Fetcher {
		return &mtasts.Fetcher{
			Resolver: r,
			Allow:    func(netip.Addr) bool { return true },
			RootCAs:  certs.pool(),
			Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
				var d net.Dialer
				return d.DialContext(ctx, network, at)
			},
		}
	}
}
