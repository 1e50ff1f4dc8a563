package mxtest_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/mx"
	"github.com/postrider/postrider/mx/dns"
	"github.com/postrider/postrider/mx/mxtest"
	"github.com/postrider/postrider/server/smtptest"
)

// everywhere runs a test in memory, within a bubble of testing/synctest, and on
// loopback.
func everywhere(t *testing.T, test func(t *testing.T, inet *mxtest.Internet)) {
	t.Run("memory", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { test(t, mxtest.New(t)) })
	})
	t.Run("loopback", func(t *testing.T) {
		needAddresses(t)
		test(t, mxtest.New(t, mxtest.Loopback))
	})
}

func TestDelivery(t *testing.T) {
	everywhere(t, func(t *testing.T, inet *mxtest.Internet) {
		mx1, mx2 := inet.Host("mx1.example.org"), inet.Host("MX2.example.org.")
		inet.Domain("example.org", mxtest.MX(10, mx1), mxtest.MX(20, mx2))
		mx1.Fault(smtptest.OnGreeting().Reply(421, "4.3.2", "restarting"))

		results, err := inet.Client().Deliver(t.Context(), "example.org", message(t, "a@example.org", "b@example.org"))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range results {
			if r.Host != "mx2.example.org" || r.TLS == nil || r.Status < mx.Delivered {
				t.Errorf("%+v", r)
			}
		}
		if got := mx2.Messages(); len(got) != 1 || len(got[0].To()) != 2 || got[0].Hello != "client.example" || !got[0].TLS {
			t.Errorf("%+v", got)
		}
		if got := mx1.Transcripts(); len(got) != 1 || !strings.Contains(got[0], "421 4.3.2") {
			t.Errorf("%q", got)
		}
		if want := fmt.Sprintf("%s:%d", mx2.Addrs[0], inet.Port); results[0].Addr != want || mx2.Addr != want {
			t.Errorf("%s, %s, want %s", results[0].Addr, mx2.Addr, want)
		}
	})
}

// A host sees who connects.
func TestAddresses(t *testing.T) {
	inet := mxtest.New(t)
	h := inet.Host("mx.example.org", mxtest.Addrs("192.0.2.77", "2001:db8::1"))
	inet.Domain("example.org", mxtest.MX(10, h))
	c := inet.Client()
	c.LocalAddrs = []netip.Addr{netip.MustParseAddr("198.51.100.9"), netip.MustParseAddr("2001:db8::9")}
	results, err := c.Deliver(t.Context(), "example.org", message(t, "a@example.org"))
	if err != nil || results[0].Addr != "[2001:db8::1]:25" {
		t.Errorf("%+v, %v", results, err)
	}
	if got := h.Messages()[0].RemoteAddr.(*net.TCPAddr).AddrPort().Addr(); got != c.LocalAddrs[1] {
		t.Errorf("from %v", got)
	}
	inet.Host("own.example.org", mxtest.Addrs("192.0.2.1"))
	if other := inet.Host("mx2.example.org"); other.Addrs[0] != netip.MustParseAddr("192.0.2.2") {
		t.Errorf("the second host at %v", other.Addrs)
	}
}

// There are enough addresses for many, and then an end to them.
func TestManyHosts(t *testing.T) {
	inet := mxtest.New(t)
	seen := map[netip.Addr]bool{}
	defer func() {
		if text := fmt.Sprint(recover()); !strings.Contains(text, "no address is left") || len(seen) < 700 {
			t.Errorf("%s after %d hosts", text, len(seen))
		}
	}()
	for i := range 1000 {
		h := inet.Host(fmt.Sprintf("mx%d.example.org", i))
		if seen[h.Addrs[0]] || !h.Addrs[0].Is4() {
			t.Fatalf("again %v", h.Addrs)
		}
		seen[h.Addrs[0]] = true
	}
}

// A client says QUIT, as it would outside.
func TestClosePolitely(t *testing.T) {
	inet := mxtest.New(nil)
	h := inet.Host("example.org")
	if _, err := inet.Client().Deliver(t.Context(), "example.org", message(t, "a@example.org")); err != nil {
		t.Fatal(err)
	}
	if err := inet.Close(); err != nil {
		t.Error(err)
	}
	if got := strings.Join(h.Transcripts(), ""); !strings.Contains(got, "C: QUIT") {
		t.Errorf("the client has left without a word:\n%s", got)
	}
}

func TestDial(t *testing.T) {
	everywhere(t, func(t *testing.T, inet *mxtest.Internet) {
		h := inet.Host("mx.example.org", mxtest.Web(http.NotFoundHandler()))
		bare := inet.Host("bare.example.org")
		closed := inet.Host("closed.example.org", mxtest.Web(http.NotFoundHandler()))
		open, err := inet.Dial(t.Context(), "tcp", "closed.example.org:443")
		if err != nil {
			t.Fatal(err)
		}
		closed.Close()
		open.SetDeadline(time.Now().Add(5 * time.Second))
		if _, err := open.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a connection to a host that was closed: %v", err)
		}
		open.Close()
		refused := inet.Host("refused.example.org")
		refused.SetLink(mxtest.Refused)
		inet.Records("bad.example.org SERVFAIL")
		var failed *dns.Error
		var missing *net.DNSError
		for _, tt := range []struct {
			address string
			ok      bool
			is      error
			as      any
		}{
			{address: "mx.example.org:mail", ok: true},
			{address: h.Addrs[0].String() + ":mail", ok: true},
			{address: "[::ffff:" + h.Addrs[0].String() + "]:mail", ok: true},
			{address: "mx.example.org:443", ok: true},
			{address: "bare.example.org:443", is: syscall.ECONNREFUSED},
			{address: "mx.example.org:1", is: syscall.ECONNREFUSED},
			{address: "closed.example.org:mail", is: syscall.ECONNREFUSED},
			{address: "closed.example.org:443", is: syscall.ECONNREFUSED},
			{address: "refused.example.org:mail", is: syscall.ECONNREFUSED},
			{address: "198.18.0.1:mail", is: syscall.EHOSTUNREACH},
			{address: "nobody.example.org:mail", as: &missing},
			{address: "bad.example.org:mail", as: &failed},
			{address: "mx.example.org"},
			{address: "mx.example.org:smtp"},
			{address: "mx.example.org:65536"},
		} {
			address := strings.Replace(tt.address, ":mail", fmt.Sprint(":", inet.Port), 1)
			conn, err := inet.Dial(t.Context(), "tcp", address)
			var op *net.OpError
			switch {
			case tt.ok && err != nil, !tt.ok && !errors.As(err, &op), tt.is != nil && !errors.Is(err, tt.is), tt.as != nil && !errors.As(err, tt.as):
				t.Errorf("%s: %v", tt.address, err)
			}
			if conn != nil {
				conn.Close()
			}
		}
		if inet.Port == 25 { // on loopback there may be no such address
			inet.Host("six.example.org", mxtest.Addrs("2001:db8::6"))
			conn, err := inet.Dial(t.Context(), "tcp", "six.example.org:25")
			if err != nil {
				t.Fatal(err)
			}
			conn.Close()
		}
		for _, h := range []*mxtest.Host{bare, h} {
			conn, err := h.Dial(t.Context(), "", "")
			if err != nil {
				t.Fatal(err)
			}
			conn.Close()
		}
	})
}

func TestLinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inet := mxtest.New(t)
		h := inet.Host("mx.example.org", mxtest.Addrs("192.0.2.1", "192.0.2.2"))
		one, two := h.Addrs[0], h.Addrs[1]
		dial := func(addr netip.Addr) (string, time.Duration) {
			began := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			conn, err := inet.Dial(ctx, "tcp", netip.AddrPortFrom(addr, 25).String())
			if err == nil {
				conn.Close()
				return mxtest.Up.String(), time.Since(began)
			}
			if n, ok := err.(net.Error); ok && n.Timeout() {
				return mxtest.Silent.String(), time.Since(began)
			}
			return mxtest.Refused.String(), time.Since(began)
		}
		for _, step := range []struct {
			link     mxtest.Link
			addrs    []netip.Addr
			one, two string
		}{
			{mxtest.Up, nil, "up", "up"},
			{mxtest.Silent, []netip.Addr{one}, "silent", "up"},
			{mxtest.Refused, []netip.Addr{two}, "silent", "refused"},
			{mxtest.Up, []netip.Addr{one}, "up", "refused"},
			{mxtest.Refused, nil, "refused", "refused"},
			{mxtest.Silent, nil, "silent", "silent"},
			{mxtest.Up, nil, "up", "up"},
		} {
			h.SetLink(step.link, step.addrs...)
			for addr, want := range map[netip.Addr]string{one: step.one, two: step.two} {
				got, took := dial(addr)
				if wait := map[bool]time.Duration{true: time.Hour}[got == "silent"]; got != want || took != wait {
					t.Errorf("%v %v: %v is %s after %v, want %s", step.link, step.addrs, addr, got, took, want)
				}
			}
		}
	})
}

// A host may be dialled while it is being made.
func TestHostAndDial(t *testing.T) {
	inet := mxtest.New(t)
	made := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-made:
				return
			default:
			}
			if conn, err := inet.Dial(t.Context(), "tcp", fmt.Sprintf("192.0.2.%d:25", i%10+1)); err == nil {
				conn.Close()
			}
		}
	})
	for i := range 10 {
		inet.Host(fmt.Sprintf("mx%d.example.org", i))
	}
	close(made)
	wg.Wait()
}

// A dial to a host that says nothing ends with the Internet.
func TestCloseEndsDials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inet := mxtest.New(nil)
		h := inet.Host("mx.example.org")
		h.SetLink(mxtest.Silent)
		failed := make(chan error)
		go func() {
			_, err := inet.Dial(context.Background(), "tcp", "mx.example.org:25")
			failed <- err
		}()
		synctest.Wait()
		if err := inet.Close(); err != nil {
			t.Error(err)
		}
		if err := <-failed; !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		if err := inet.Close(); err != nil {
			t.Error(err)
		}
	})
}
