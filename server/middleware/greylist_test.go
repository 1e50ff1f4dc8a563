package middleware_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/server/middleware"
	"github.com/postrider/postrider/smtp"
)

const (
	fromA = "C: MAIL FROM:<a@example.org>\nS: 250 ..."
	fromB = "C: MAIL FROM:<b@example.org>\nS: 250 ..."
	null  = "C: MAIL FROM:<>\nS: 250 ..."
	wait  = "C: RCPT TO:<b@example.com>\nS: 451 4.7.1 greylisted, please try again later"
	pass  = "C: RCPT TO:<b@example.com>\nS: 250 ..."
)

func TestGreylist(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, middleware.Greylist(middleware.GreylistOptions{EveryTriplet: true}))
		h.play(t, "192.0.2.1", fromA, wait)
		h.play(t, "192.0.2.1", fromA, wait, wait)
		time.Sleep(5*time.Minute - time.Second)
		h.play(t, "192.0.2.1", fromA, wait)
		time.Sleep(time.Second)
		h.play(t, "192.0.2.1", "C: MAIL FROM:<A@EXAMPLE.org>\nS: 250 ...", pass)
		h.play(t, "192.0.2.99", fromA, pass) // the same /24
		h.play(t, "192.0.3.1", fromA, wait)
		h.play(t, "192.0.2.1", fromB, wait)
		h.play(t, "192.0.2.1", fromA, "C: RCPT TO:<c@example.com>\nS: 451 ...", pass)
		h.play(t, "2001:db8::1", fromA, wait)
		time.Sleep(5 * time.Minute)
		h.play(t, "2001:db8::2", fromA, pass) // the same /64
		h.play(t, "2001:db8:0:1::1", fromA, wait)

		// Each message renews what is known, until none comes for too long.
		for range 3 {
			time.Sleep(34 * 24 * time.Hour)
			h.play(t, "192.0.2.1", fromA, pass)
		}
		time.Sleep(35 * 24 * time.Hour)
		h.play(t, "192.0.2.1", fromA, wait)
	})
}

// A retry that comes too late is a first attempt.
func TestGreylistWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, middleware.Greylist(middleware.GreylistOptions{}))
		h.play(t, "192.0.2.1", fromA, wait)
		time.Sleep(24 * time.Hour)
		h.play(t, "192.0.2.1", fromA, wait)
		time.Sleep(24*time.Hour - time.Second)
		h.play(t, "192.0.2.1", fromA, pass)
	})
}

// Where one has passed, nobody else has to wait (RFC 6647 §5).
func TestGreylistKnownClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, middleware.Greylist(middleware.GreylistOptions{Delay: time.Minute, Window: time.Hour, Lifetime: 7 * 24 * time.Hour}))
		h.play(t, "192.0.2.1", fromA, wait)
		time.Sleep(time.Minute)
		h.play(t, "192.0.2.1", fromA, pass)
		h.play(t, "192.0.2.1", fromB, pass, "C: RCPT TO:<c@example.com>\nS: 250 ...")
		h.play(t, "192.0.2.2", fromB, wait) // of the network only the triplet is known
		h.play(t, "192.0.2.2", fromA, pass)
		for range 3 {
			time.Sleep(6 * 24 * time.Hour)
			h.play(t, "192.0.2.1", fromB, pass)
		}
		time.Sleep(7 * 24 * time.Hour)
		h.play(t, "192.0.2.1", fromB, wait)
	})
}

// With the null reverse-path the reply to the message puts off: who only wants
// to know whether there is an address learns it.
func TestGreylistNullReversePath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, middleware.Greylist(middleware.GreylistOptions{}))
		deferred := "C: DATA\nS: 354 ...\nC: text\nC: .\nS: 451 4.7.1 greylisted, please try again later"
		h.play(t, "192.0.2.1", null, pass, "C: RSET\nS: 250 ...", null, pass, deferred, null,
			"C: RCPT TO:<nobody@example.com>\nS: 550 ...", "C: RCPT TO:<c@example.com>\nS: 250 ...", pass, deferred)
		h.play(t, "192.0.2.1", null, pass, `C: BDAT 4 LAST`, `C: text\`, "S: 451 4.7.1 greylisted, please try again later")
		h.play(t, "192.0.2.1", null, pass, `C: BDAT 2`, `C: te\`, "S: 451 4.7.1 greylisted, please try again later")
		want(t, "messages", len(h.messages()), 0)
		if calls := h.noted(); strings.Contains(calls, "data") {
			t.Error(calls)
		}
		time.Sleep(5 * time.Minute)
		h.play(t, "192.0.2.1", null, pass, "C: DATA\nS: 354 ...\nC: text\nC: .\nS: 250 ...",
			// A later transaction is judged by itself.
			null, pass, "C: DATA\nS: 354 ...\nC: .\nS: 250 ...")
		want(t, "messages", len(h.messages()), 2)
	})
}

func TestGreylistExempt(t *testing.T) {
	trusted := netip.MustParsePrefix("192.0.2.0/24")
	synctest.Test(t, func(t *testing.T) {
		h := start(t, middleware.Greylist(middleware.GreylistOptions{
			Exempt: func(_ context.Context, c *server.Conn, from smtp.ReversePath, to smtp.ForwardPath) (bool, error) {
				if to.Local == "trouble" {
					return false, errStore
				}
				return trusted.Contains(c.RemoteIP()) || from.Local == "b", nil
			},
		}))
		h.play(t, "192.0.2.1", fromA, pass)
		h.play(t, "198.51.100.1", fromA, wait)
		h.play(t, "198.51.100.1", fromB, pass)
		h.play(t, "127.0.0.1", fromA, pass)
		h.play(t, "::1", fromA, pass)
		h.play(t, "", fromA, pass)
		h.play(t, "198.51.100.1", fromA, "C: RCPT TO:<trouble@example.com>\nS: 451 4.3.0 local error in processing")
		if log := h.log(); !strings.Contains(log, errStore.Error()) {
			t.Errorf("log: %s", log)
		}
	})
}

// One that has authenticated does not wait, nor one whose certificate the
// server has verified; a certificate alone says nothing.
func TestGreylistExemptsTheAuthenticated(t *testing.T) {
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
	cert := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	pool := x509.NewCertPool()
	leaf, _ := x509.ParseCertificate(der)
	pool.AddCert(leaf)
	for _, tt := range []struct {
		auth tls.ClientAuthType
		want string
	}{{tls.NoClientCert, "451"}, {tls.RequireAnyClientCert, "451"}, {tls.RequireAndVerifyClientCert, "250"}} {
		h := start(t, middleware.Greylist(middleware.GreylistOptions{}), func(s *server.Server) {
			s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tt.auth, ClientCAs: pool}
		})
		p := &talker{t: t, Conn: h.dial(t, "192.0.2.1")}
		p.do("", "220")
		p.do("EHLO x.example", "250")
		p.do("STARTTLS", "220")
		p.Conn = tls.Client(p.Conn, &tls.Config{RootCAs: pool, ServerName: "mx.example", Certificates: []tls.Certificate{cert}})
		p.do("EHLO x.example", "250")
		p.do("MAIL FROM:<a@example.org>", "250")
		p.do("RCPT TO:<b@example.com>", tt.want)
		p.Close()
	}
	h := start(t, middleware.Greylist(middleware.GreylistOptions{}), func(s *server.Server) { s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}} })
	h.play(t, "192.0.2.1", "C: STARTTLS\nS: 220 ...\n<starttls>\nC: EHLO x.example\nS: 250-*\nS: 250 ...", login, fromA, pass)
}

// failingStore fails at the n-th call.
type failingStore struct {
	middleware.GreylistStore
	mu    sync.Mutex
	left  int
	calls []string
}

func (s *failingStore) fails(call string, t middleware.Triplet) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, call+" "+t.String())
	if s.left--; s.left == 0 {
		return errStore
	}
	return nil
}

func (s *failingStore) Get(ctx context.Context, t middleware.Triplet) (middleware.GreylistRecord, error) {
	if err := s.fails("get", t); err != nil {
		return middleware.GreylistRecord{}, err
	}
	return s.GreylistStore.Get(ctx, t)
}

func (s *failingStore) Put(ctx context.Context, t middleware.Triplet, r middleware.GreylistRecord) error {
	if err := s.fails("put", t); err != nil {
		return err
	}
	return s.GreylistStore.Put(ctx, t, r)
}

// Whichever call of a store fails, the client is put off with a fixed text, the
// error is in the log, and the Handler behind has not been asked.
func TestGreylistStoreFails(t *testing.T) {
	calls := []string{
		"get 192.0.2.1/32", "get 192.0.2.0/24 <a@example.org> <b@example.com>", "put 192.0.2.0/24 <a@example.org> <b@example.com>",
		"get 192.0.2.1/32", "get 192.0.2.0/24 <a@example.org> <b@example.com>", "put 192.0.2.0/24 <a@example.org> <b@example.com>", "put 192.0.2.1/32",
		"get 192.0.2.1/32",
		"get 192.0.2.1/32", "put 192.0.2.1/32",
	}
	for n := range len(calls) + 1 {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &failingStore{GreylistStore: middleware.MemoryGreylist(0), left: n}
				h := start(t, middleware.Greylist(middleware.GreylistOptions{Store: store}))
				for i, pause := range []time.Duration{0, 5 * time.Minute, 0, 20 * 24 * time.Hour} {
					time.Sleep(pause)
					before := len(store.calls)
					usual := pass
					if i == 0 {
						usual = wait
					}
					if n > before && n <= before+[]int{3, 4, 1, 2}[i] {
						usual = "C: RCPT TO:<b@example.com>\nS: 451 4.3.0 local error in processing"
					}
					h.noted()
					h.play(t, "192.0.2.1", fromA, usual)
					if asked := strings.Contains(h.noted(), "rcpt"); asked != (usual == pass) {
						t.Errorf("step %d: asked %t", i, asked)
					}
					if log := h.log(); strings.Contains(usual, "local error") != strings.Contains(log, errStore.Error()) {
						t.Errorf("step %d: log %q", i, log)
					}
					if n > 0 && len(store.calls) >= n {
						return // what follows differs
					}
				}
				want(t, "calls", strings.Join(store.calls, "\n"), strings.Join(calls, "\n"))
			})
		})
	}
}

// A flood of attempts leaves alone what has passed.
func TestMemoryGreylistIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := middleware.MemoryGreylist(100)
		ctx, now := context.Background(), time.Now()
		good := middleware.Triplet{Network: netip.MustParsePrefix("192.0.2.0/24"), From: "<a@example.org>", To: "<b@example.com>"}
		record := middleware.GreylistRecord{First: now, Passed: true, Expires: now.Add(35 * 24 * time.Hour)}
		if err := store.Put(ctx, good, record); err != nil {
			t.Fatal(err)
		}
		found := 0
		for i := range 10_000 {
			one := good
			one.From = fmt.Sprintf("<%d@example.org>", i)
			store.Put(ctx, one, middleware.GreylistRecord{First: now, Expires: now.Add(24 * time.Hour)})
		}
		for i := range 10_000 {
			one := good
			one.From = fmt.Sprintf("<%d@example.org>", i)
			if r, _ := store.Get(ctx, one); !r.First.IsZero() {
				found++
			}
		}
		if found > 99 || found < 50 {
			t.Errorf("%d are remembered", found)
		}
		if r, err := store.Get(ctx, good); err != nil || r != record {
			t.Errorf("%v, %v", r, err)
		}
		time.Sleep(35 * 24 * time.Hour)
		if r, _ := store.Get(ctx, good); r != (middleware.GreylistRecord{}) {
			t.Errorf("%v after its end", r)
		}
	})
}

// A Delay longer than the Window lets those pass all the same who try again
// after it.
func TestGreylistLongDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, middleware.Greylist(middleware.GreylistOptions{Delay: 30 * time.Hour}))
		try := func(reply string) {
			h.play(t, "192.0.2.1", "C: MAIL FROM:<a@example.org>\nS: 250 ...\nC: RCPT TO:<b@example.com>\nS: "+reply)
		}
		try("451 4.7.1 ...")
		time.Sleep(29 * time.Hour)
		try("451 4.7.1 ...")
		time.Sleep(2 * time.Hour)
		try("250 ...")
	})
}

// Who tries triplets without end drives out its own, and nobody else waits
// longer for it.
func TestMemoryGreylistFlood(t *testing.T) {
	for _, network := range []string{"192.0.2.0/24", "2001:db8::/48"} {
		store := middleware.MemoryGreylist(1000)
		ctx, now := context.Background(), time.Now()
		put := func(network netip.Prefix, i int) middleware.Triplet {
			one := middleware.Triplet{Network: network, From: fmt.Sprintf("<%d@example.org>", i), To: "<b@example.com>"}
			now = now.Add(time.Millisecond)
			store.Put(ctx, one, middleware.GreylistRecord{First: now, Expires: now.Add(24 * time.Hour)})
			return one
		}
		var others []middleware.Triplet
		for i := range 200 {
			others = append(others, put(netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, byte(i), 0}), 24), i))
		}
		from := netip.MustParsePrefix(network)
		for i := range 50_000 {
			if from.Addr().Is6() { // each from a /64 of its own
				a := from.Addr().As16()
				a[6], a[7] = byte(i>>8), byte(i)
				put(netip.PrefixFrom(netip.AddrFrom16(a), 64), i)
			} else {
				put(from, i)
			}
		}
		left := 0
		for _, one := range others {
			if r, _ := store.Get(ctx, one); !r.First.IsZero() {
				left++
			}
		}
		if left < 190 {
			t.Errorf("%s: %d of %d are left", network, left, len(others))
		}
	}
}

// Of a message without sender to several recipients each has to be known, those
// apart that the Handler refuses.
func TestGreylistNullReversePathMixed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, middleware.Greylist(middleware.GreylistOptions{EveryTriplet: true}))
		data := func(reply string) string { return "C: DATA\nS: 354 ...\nC: text\nC: .\nS: " + reply }
		other, nobody := "C: RCPT TO:<c@example.com>\nS: 250 ...", "C: RCPT TO:<nobody@example.com>\nS: 550 ..."
		h.play(t, "192.0.2.1", null, pass, data("451 4.7.1 ..."))
		time.Sleep(5 * time.Minute)
		h.play(t, "192.0.2.1",
			null, pass, other, data("451 4.7.1 ..."),
			null, other, pass, data("451 4.7.1 ..."),
			null, other, "C: RSET\nS: 250 ...", null, pass, data("250 ..."),
			null, nobody, pass, data("250 ..."),
			null, pass, nobody, data("250 ..."))
		want(t, "messages", len(h.messages()), 3)
	})
}

// hoard is a store that forgets nothing.
type hoard map[middleware.Triplet]middleware.GreylistRecord

func (h hoard) Get(_ context.Context, t middleware.Triplet) (middleware.GreylistRecord, error) {
	return h[t], nil
}

func (h hoard) Put(_ context.Context, t middleware.Triplet, r middleware.GreylistRecord) error {
	h[t] = r
	return nil
}

// A record that has expired counts for nothing, though the store has it still.
func TestGreylistExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, middleware.Greylist(middleware.GreylistOptions{Store: make(hoard)}))
		h.play(t, "192.0.2.1", fromA, wait)
		time.Sleep(24 * time.Hour)
		h.play(t, "192.0.2.1", fromA, wait)
		time.Sleep(5 * time.Minute)
		h.play(t, "192.0.2.1", fromA, pass)
		time.Sleep(35 * 24 * time.Hour)
		h.play(t, "192.0.2.1", fromA, wait)
		h.play(t, "192.0.2.1", fromB, wait)
	})
}
