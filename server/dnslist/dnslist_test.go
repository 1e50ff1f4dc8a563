package dnslist_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/mx/dns"
	"github.com/postrider/postrider/mx/dns/dnstest"
	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/server/dnslist"
	"github.com/postrider/postrider/server/smtptest"
	"github.com/postrider/postrider/smtp"
)

// play plays a conversation from MAIL on.
func (h *host) play(t *testing.T, ip string, lines ...string) {
	t.Helper()
	script, err := smtptest.ParseScript(strings.NewReader("S: 220 ...\nC: EHLO client.example\nS: 250-*\nS: 250 ...\n" + strings.Join(lines, "\n") + "\nC: QUIT\nS: 221 ...\nS: <close>\n"))
	if err != nil {
		t.Fatal(err)
	}
	script.Timeout, script.TLSConfig = 1000*time.Hour, h.tls
	c := h.dial(t, ip)
	defer c.Close()
	if err := script.PlayClient(c); err != nil {
		t.Errorf("%s: %v", strings.Join(lines, " | "), err)
	}
}

const (
	mail     = "C: MAIL FROM:<a@example.org>\nS: 250 ..."
	accepted = "C: RCPT TO:<b@example.com>\nS: 250 2.1.5 OK"
	refused  = "C: RCPT TO:<b@example.com>\nS: 550 5.7.1 ..."
	deferred = "C: RCPT TO:<b@example.com>\nS: 451 4.7.1 ..."
)

// Lists that answer in ways in which no list does are not believed.
func TestListsThatAreNone(t *testing.T) {
	for _, tt := range []struct {
		zone, ip string
		want     error
	}{
		{"everything.example", "192.0.2.10", dnslist.ErrEverything},
		{"everything6.example", "2001:db8::10", dnslist.ErrEverything},
		{"parked.example", "192.0.2.10", dnslist.ErrNoList},
		{"mixed.example", "192.0.2.10", dnslist.ErrNoList},
		{"refuses.example", "192.0.2.10", dnslist.ErrRefused},
		{"says-no.example", "192.0.2.10", dnslist.ErrRefused},
		{"no-test.example", "192.0.2.10", nil}, // a *dns.Error
	} {
		for _, deferring := range []bool{false, true} {
			h := start(t, dnslist.Options{Lists: []dnslist.List{{Zone: tt.zone}}, DeferOnFailure: deferring})
			reply := accepted
			if deferring {
				reply = deferred
			}
			h.play(t, tt.ip, mail, reply)
			for _, r := range h.reported() {
				var failed *dns.Error
				if len(r.Outcomes) != 1 || r.Outcomes[0].Listed || r.Score != 0 || tt.want != nil && r.Outcomes[0].Err != tt.want || tt.want == nil && !errors.As(r.Outcomes[0].Err, &failed) {
					t.Errorf("%s: %+v", tt.zone, r)
				}
			}
		}
	}
	// A list of names that has everything.
	h := start(t, dnslist.Options{Lists: []dnslist.List{{Zone: "everything.example", Of: dnslist.Hello}, {Zone: "everything.example", Of: dnslist.Sender, Allow: true}}})
	h.play(t, "192.0.2.1", mail, accepted)
	if r := h.reported(); len(r) != 1 || len(r[0].Outcomes) != 2 || r[0].Outcomes[0].Err != dnslist.ErrEverything || r[0].Outcomes[1].Err != dnslist.ErrEverything {
		t.Errorf("%+v", r)
	}
}

// What is asked, and that it is asked once a transaction.
func TestQueries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, dnslist.Options{Lists: []dnslist.List{{Zone: "bl.example", Reason: true}}})
		for range 2 {
			h.play(t, "192.0.2.10", mail, refused, refused, "C: RSET\nS: 250 ...", mail, refused)
			synctest.Wait() // for the session to be over
		}
		entry := "10.2.0.192.bl.example A 1.0.0.127.bl.example A 10.2.0.192.bl.example TXT"
		want := strings.TrimSpace(strings.Repeat(entry+" ", 4))
		if got := strings.Trim(fmt.Sprint(h.zone.Queries()), "[]"); got != want {
			t.Errorf("asked:\n%s\nwant:\n%s", got, want)
		}
		if r := h.reported(); len(r) != 4 || r[0].Action != dnslist.Refuse || r[0].Score != 1 || r[0].Outcomes[0].Addrs[0] != netip.MustParseAddr("127.0.0.2") {
			t.Errorf("reported: %+v", r)
		}
		h.stop()
		if got := h.noted(); got != "new mail<a@example.org> reset/RSET mail<a@example.org> reset/closed close new mail<a@example.org> reset/RSET mail<a@example.org> reset/closed close" {
			t.Errorf("the Handler was asked: %s", got)
		}
	})
}

// Who is not checked, and that nobody is asked about them.
func TestExemptions(t *testing.T) {
	h := start(t, dnslist.Options{Lists: []dnslist.List{{Zone: "everything.example"}}, DeferOnFailure: true})
	for _, ip := range []string{"", "127.0.0.1", "127.9.9.9", "::1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.1.1", "100.64.0.1", "0.1.2.3", "255.255.255.255", "240.0.0.1", "224.0.0.1", "fe80::1", "fc00::1", "ff02::1", "::", "::ffff:10.0.0.1"} {
		h.play(t, ip, mail, accepted)
	}
	h.play(t, "127.0.0.1", "C: AUTH PLAIN AGFsaWNlAHBlbmNpbA==\nS: 235 ...", mail, accepted)
	if asked := h.zone.Queries(); len(asked) != 0 {
		t.Errorf("asked: %v", asked)
	}
	for _, ip := range []string{"100.63.255.255", "100.128.0.1", "11.0.0.1", "239.1.2.3", "1.2.3.4", "2001:db8::1", "::ffff:192.0.2.1"} {
		if strings.HasPrefix(ip, "239.") {
			h.play(t, ip, mail, accepted) // multicast
		} else {
			h.play(t, ip, mail, deferred)
		}
	}
}

// Those who have authenticated are not checked, from wherever they come, nor
// those whose certificate the server has verified; a certificate alone says
// nothing.
func TestAuthenticated(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"mx.example"}, NotAfter: time.Now().AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	certificates := []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}
	for _, tt := range []struct {
		auth        tls.ClientAuthType
		login, want string
	}{
		{tls.NoClientCert, "C: NOOP\nS: 250 ...", refused},
		{tls.RequireAnyClientCert, "C: NOOP\nS: 250 ...", refused},
		{tls.RequireAndVerifyClientCert, "C: NOOP\nS: 250 ...", accepted},
		{tls.NoClientCert, "C: AUTH PLAIN AGFsaWNlAHBlbmNpbA==\nS: 235 ...", accepted},
	} {
		h := start(t, dnslist.Options{Lists: []dnslist.List{{Zone: "bl.example"}}})
		h.Server.TLSConfig = &tls.Config{Certificates: certificates, ClientAuth: tt.auth, ClientCAs: pool}
		h.tls = &tls.Config{RootCAs: pool, ServerName: "mx.example", Certificates: certificates}
		h.play(t, "192.0.2.10", "C: STARTTLS\nS: 220 ...\n<starttls>\nC: EHLO client.example\nS: 250-*\nS: 250 ...", tt.login, mail, tt.want)
	}
}

// All lists together have one deadline; what the others say counts.
func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct {
			o    dnslist.Options
			want string
			wait time.Duration
		}{
			{dnslist.Options{Lists: []dnslist.List{{Zone: "stalls.example"}}}, accepted, 5 * time.Second},
			{dnslist.Options{Lists: []dnslist.List{{Zone: "stalls.example"}}, DeferOnFailure: true, Timeout: time.Second}, deferred, time.Second},
			{dnslist.Options{Lists: []dnslist.List{{Zone: "stalls.example"}, {Zone: "bl.example"}, {Zone: "stalls.example", Weight: 9}}}, refused, 5 * time.Second},
			{dnslist.Options{Lists: []dnslist.List{{Zone: "stalls.example"}, {Zone: "bl.example", Allow: true}}}, accepted, 0},
		} {
			h := start(t, tt.o)
			begin := time.Now()
			h.play(t, "192.0.2.10", mail, tt.want, tt.want)
			if took := time.Since(begin); took != tt.wait {
				t.Errorf("%+v: %v", tt.o, took)
			}
			r := h.reported()[0]
			for _, out := range r.Outcomes {
				var failed *dns.Error
				if stalled := out.List.Zone == "stalls.example"; stalled != (out.Err != nil) || stalled && (!errors.As(out.Err, &failed) || !failed.Timeout) {
					t.Errorf("%s: %v", out.Name, out.Err)
				}
			}
			h.stop()
		}
	})
}

// A list that has died costs three clients the time, and then one in a minute.
func TestRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, dnslist.Options{Lists: []dnslist.List{{Zone: "stalls.example"}, {Zone: "wl.example"}}})
		defer h.stop()
		check := func(ip string, want time.Duration, resting bool) {
			t.Helper()
			begin := time.Now()
			h.play(t, ip, mail, accepted)
			if took := time.Since(begin); took != want {
				t.Errorf("%s: it took %v, want %v", ip, took, want)
			}
			r := h.reported()
			if out := r[len(r)-1].Outcomes; errors.Is(out[0].Err, dnslist.ErrResting) != resting || errors.Is(out[1].Err, dnslist.ErrResting) {
				t.Errorf("%s: %v", ip, out)
			}
		}
		// Only 192.0.2.10 stalls there.
		check("192.0.2.20", 0, false)
		for range 2 {
			check("192.0.2.10", 5*time.Second, false)
		}
		check("192.0.2.20", 0, false) // it lives
		for range 3 {
			check("192.0.2.10", 5*time.Second, false)
		}
		for range 4 {
			check("192.0.2.11", 0, true)
		}
		time.Sleep(time.Minute)
		check("192.0.2.10", 5*time.Second, false)
		check("192.0.2.11", 0, true)
		time.Sleep(time.Minute)
		check("192.0.2.20", 0, false)
		check("192.0.2.10", 5*time.Second, false)
		check("192.0.2.11", 0, false)
	})
}

// delayed answers after a second.
type delayed struct{ dns.Resolver }

func (d delayed) Resolve(ctx context.Context, name string, t dns.Type) (dns.Answer, error) {
	select {
	case <-time.After(time.Second):
		return d.Resolver.Resolve(ctx, name, t)
	case <-ctx.Done():
		return dns.Answer{}, ctx.Err()
	}
}

func TestListsAreAskedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := dnslist.Options{Threshold: 30, Resolver: delayed{dnstest.MustParse("*.bl.example A 127.0.0.2\n1.0.0.127.bl.example TXT x")}}
		for range 30 {
			o.Lists = append(o.Lists, dnslist.List{Zone: "bl.example"})
		}
		h := start(t, o)
		begin := time.Now()
		h.play(t, "192.0.2.10", mail, refused)
		if took := time.Since(begin); took != 2*time.Second { // the entry, and whether the list is one
			t.Errorf("%v", took)
		}
		if r := h.reported(); len(r) != 1 || r[0].Score != 30 || len(r[0].Outcomes) != 30 {
			t.Errorf("%+v", r)
		}
		h.stop()
	})
}

// A server that closes ends the lookups.
func TestServerCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, dnslist.Options{Lists: []dnslist.List{{Zone: "stalls.example"}, {Zone: "stalls.example"}}, Timeout: time.Hour})
		c := h.dial(t, "192.0.2.10")
		defer c.Close()
		c.Write([]byte("EHLO client.example\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.com>\r\n"))
		synctest.Wait()
		if n := len(h.zone.Queries()); n != 2 {
			t.Errorf("%d queries are under way", n)
		}
		begin := time.Now()
		h.stop()
		synctest.Wait()
		if r := h.reported(); len(r) != 1 || len(r[0].Outcomes) != 2 || !errors.Is(r[0].Outcomes[0].Err, context.Canceled) || time.Since(begin) != 0 {
			t.Errorf("after %v: %+v", time.Since(begin), r)
		}
	})
}

type panics struct{}

func (panics) Resolve(context.Context, string, dns.Type) (dns.Answer, error) { panic("x") }

func TestResolverPanics(t *testing.T) {
	h := start(t, dnslist.Options{Lists: []dnslist.List{{Zone: "bl.example"}}, Resolver: panics{}})
	h.play(t, "192.0.2.10", mail, accepted)
	if r := h.reported(); len(r) != 1 || r[0].Outcomes[0].Err == nil {
		t.Errorf("%+v", r)
	}
}

func TestExemptFails(t *testing.T) {
	h := start(t, dnslist.Options{
		Lists: []dnslist.List{{Zone: "bl.example"}},
		Exempt: func(context.Context, *server.Conn, smtp.ReversePath, smtp.ForwardPath) (bool, error) {
			return false, errors.New("dial tcp 10.0.0.7:6379: connection refused")
		},
	})
	h.play(t, "192.0.2.1", mail, "C: RCPT TO:<b@example.com>\nS: 451 4.3.0 ...")
	if text := h.log(); !strings.Contains(text, "dnslist: dial tcp") {
		t.Errorf("log: %s", text)
	}
}

func TestPanicsOfMiddleware(t *testing.T) {
	for what, o := range map[string]dnslist.Options{
		"no zone":          {Lists: []dnslist.List{{}}},
		"malformed zone":   {Lists: []dnslist.List{{Zone: "a b"}}},
		"names at connect": {Lists: []dnslist.List{{Zone: "names.example", Of: dnslist.Hello}}, At: dnslist.AtConnect},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", what)
				}
			}()
			dnslist.Middleware(o)
		}()
	}
}

// complete is a session with every option, and one of the application's own.
type complete struct{ server.Session }

func (complete) Hello(_ context.Context, _ smtp.Verb, name string) error {
	if name == "bad.example" {
		return smtp.Reject(550, smtp.Enh(7, 1), "not you")
	}
	return nil
}

func (complete) Verify(context.Context, string) (smtp.Reply, error) {
	return smtp.Reply{Code: 250, Text: "verified"}, nil
}

func (complete) Expand(context.Context, string) (smtp.Reply, error) {
	return smtp.Reply{Code: 250, Text: "expanded"}, nil
}

// What is optional on a session works behind the middleware, at each stage, and
// what is for everybody arrives once.
func TestEverythingWrapped(t *testing.T) {
	for at := dnslist.AtRcpt; at <= dnslist.AtConnect; at++ {
		h := start(t, dnslist.Options{Lists: []dnslist.List{{Zone: "bl.example"}}, At: at}, func(next server.Handler) server.Handler {
			return server.HandlerFunc(func(ctx context.Context, c *server.Conn) (server.Session, error) {
				s, err := next.NewSession(ctx, c)
				return complete{s}, err
			})
		})
		h.play(t, "192.0.2.1", "C: EHLO bad.example\nS: 550 not you", "C: VRFY x\nS: 250 2.0.0 verified", "C: EXPN x\nS: 250 2.0.0 expanded",
			mail, accepted, "C: DATA\nS: 354 ...\nC: \nC: text\nC: .\nS: 250 ...")
		h.stop()
		if got := h.noted(); got != "new mail<a@example.org> rcpt<b@example.com> data reset/done close" {
			t.Errorf("stage %d: %s", at, got)
		}
	}
}

// A Handler that refuses a connection is left to do so.
func TestRefusedConnection(t *testing.T) {
	for at := dnslist.AtRcpt; at <= dnslist.AtConnect; at++ {
		h := start(t, dnslist.Options{Lists: []dnslist.List{{Zone: "bl.example"}}, At: at}, func(server.Handler) server.Handler {
			return server.HandlerFunc(func(context.Context, *server.Conn) (server.Session, error) {
				return nil, smtp.Reject(554, smtp.Enh(7, 1), "no")
			})
		})
		c := h.dial(t, "192.0.2.1")
		buf := make([]byte, 100)
		if n, err := c.Read(buf); string(buf[:n]) != "554 no\r\n" {
			t.Errorf("stage %d: %q, %v", at, buf[:n], err)
		}
		c.Close()
	}
}
