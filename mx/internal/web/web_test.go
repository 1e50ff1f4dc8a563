package web_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/mx/dns/dnstest"
	"github.com/postrider/postrider/mx/internal/web"
	"github.com/postrider/postrider/mx/internal/webtest"
)

var zone = dnstest.MustParse(`
	www.example.org  A     192.0.2.1
	www.example.org  A     192.0.2.2
	www.example.org  AAAA  2001:db8::1
	four.example.org A     192.0.2.1
	four.example.org AAAA  SERVFAIL
	down.example.org SERVFAIL
	none.example.org MX    10 www.example.org
	home.example.org A     127.0.0.1
	home.example.org AAAA  fd00::1
	both.example.org A     10.0.0.1
	both.example.org A     192.0.2.1
	many.example.org A     192.0.2.1
	many.example.org A     192.0.2.2
	many.example.org A     192.0.2.3
	many.example.org A     192.0.2.4
	many.example.org A     192.0.2.5
	many.example.org AAAA  2001:db8::1
`)

const page = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

func get(t *testing.T, ctx context.Context, client *web.Client, url string) (*web.Response, error) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return client.Do(ctx, req)
}

func TestResponses(t *testing.T) {
	ca := webtest.NewCA()
	cert := ca.Issue(nil, "www.example.org")
	for _, tt := range []struct {
		name     string
		response string
		want     string // the body, or a part of the error
		fails    bool
	}{
		{"a length", page, "hello", false},
		{"chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", "hello", false},
		{"a response before: RFC 9110 §15.2", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + page, "hello", false},
		{"as large as may be", "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n" + strings.Repeat("x", 20), strings.Repeat("x", 20), false},
		{"another status", "HTTP/1.1 302 Found\r\nLocation: https://www.example.org/\r\nContent-Length: 2\r\n\r\nno", "no", false},

		{"too large", "HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n" + strings.Repeat("x", 21), "too large", true},
		{"too large, in chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n15\r\n" + strings.Repeat("x", 21) + "\r\n0\r\n\r\n", "too large", true},
		{"endless fields", "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: y\r\n", 30_000) + "\r\n", "", true},
		{"an endless field", "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("y", 200_000), "too large", true},
		{"an endless status line", "HTTP/1.1 200 " + strings.Repeat("y", 200_000), "too large", true},
		{"endless responses before", strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 9) + page, "status 100", true},
		{"another protocol", "HTTP/1.1 101 Switching Protocols\r\n\r\n" + page, "status 101", true},
		{"cut short", page[:len(page)-1], "unexpected EOF", true},
		{"cut short in chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", "unexpected EOF", true},
		{"cut short, nobody knows: RFC 9112 §9.8", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhel", "unexpected EOF", true},
		{"nothing", "", "EOF", true},
		{"not HTTP", "220 www.example.org ESMTP\r\n", "malformed HTTP", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := webtest.ServeOctets(cert, tt.response)
			defer srv.Close()
			client := &web.Client{Resolver: zone, RootCAs: ca.Pool(), Dial: srv.Dial, MaxBody: 20}
			resp, err := get(t, t.Context(), client, "https://www.example.org/")
			switch {
			case tt.fails && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("%+v, %v, want an error with %q", resp, err, tt.want)
			case !tt.fails && (err != nil || string(resp.Body) != tt.want):
				t.Errorf("%+v, %v, want %q", resp, err, tt.want)
			}
		})
	}
}

// A body that ends with the connection is whole if the server said that it is.
func TestClosedProperly(t *testing.T) {
	ca := webtest.NewCA()
	cert := ca.Issue(nil, "www.example.org")
	srv := webtest.ServeConns(func(conn net.Conn) {
		c := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{cert}})
		c.Read(make([]byte, 4096))
		io.WriteString(c, "HTTP/1.0 200 OK\r\n\r\nhello")
		c.Close()
	})
	defer srv.Close()
	client := &web.Client{Resolver: zone, RootCAs: ca.Pool(), Dial: srv.Dial}
	resp, err := get(t, t.Context(), client, "https://www.example.org/")
	if err != nil || string(resp.Body) != "hello" {
		t.Errorf("%+v, %v", resp, err)
	}
}

func TestRequest(t *testing.T) {
	ca := webtest.NewCA()
	var seen []string
	srv := webtest.Serve(ca.Issue(nil, "www.example.org"), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		seen = []string{r.Proto, r.Method, r.Host, r.URL.String(), r.TLS.ServerName, r.TLS.NegotiatedProtocol, string(body), r.Header.Get("Authorization")}
		w.WriteHeader(http.StatusCreated)
	}))
	defer srv.Close()
	// A proxy that the environment names would see where we go.
	t.Setenv("HTTPS_PROXY", "http://192.0.2.99:3128")
	client := &web.Client{Resolver: zone, RootCAs: ca.Pool(), Dial: srv.Dial}
	req, err := http.NewRequest(http.MethodPost, "https://joe:secret@www.example.org:8443/a?b=c", strings.NewReader("hello"))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(t.Context(), req)
	if err != nil || resp.Status != http.StatusCreated {
		t.Fatalf("%+v, %v", resp, err)
	}
	if want := []string{"HTTP/1.1", "POST", "www.example.org:8443", "/a?b=c", "www.example.org", "http/1.1", "hello", ""}; !slices.Equal(seen, want) {
		t.Errorf("the server saw %q, want %q", seen, want)
	}
	if want := []string{"[2001:db8::1]:8443"}; !slices.Equal(srv.Dialed(), want) {
		t.Errorf("dialled %q, want %q", srv.Dialed(), want)
	}
}

func TestURLs(t *testing.T) {
	for _, url := range []string{"http://www.example.org/", "https:///path", "ftp://www.example.org/", "www.example.org"} {
		if resp, err := get(t, t.Context(), &web.Client{Resolver: zone}, url); err == nil {
			t.Errorf("%s: %+v", url, resp)
		}
	}
}

func TestCertificates(t *testing.T) {
	ca := webtest.NewCA()
	const name = "www.example.org"
	for _, tt := range []struct {
		name string
		cert tls.Certificate
		ok   bool
	}{
		{"its name", ca.Issue(nil, name), true},
		{"a wildcard", ca.Issue(nil, "*.example.org"), true},
		{"another name", ca.Issue(nil, "example.org"), false},
		{"a name further up", ca.Issue(nil, "*.org"), false},
		{"only the common name", ca.Issue(func(c *x509.Certificate) { c.Subject.CommonName = name }), false},
		{"expired", ca.Issue(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }, name), false},
		{"not yet valid", ca.Issue(func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) }, name), false},
		{"for clients", ca.Issue(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }, name), false},
		{"another CA", webtest.NewCA().Issue(nil, name), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := webtest.ServeOctets(tt.cert, page)
			defer srv.Close()
			client := &web.Client{Resolver: zone, RootCAs: ca.Pool(), Dial: srv.Dial}
			_, err := get(t, t.Context(), client, "https://"+name+"/")
			var untrusted *tls.CertificateVerificationError
			if tt.ok != (err == nil) || !tt.ok && !errors.As(err, &untrusted) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestOldTLS(t *testing.T) {
	ca := webtest.NewCA()
	cert := ca.Issue(nil, "www.example.org")
	srv := webtest.ServeConns(func(conn net.Conn) {
		tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}).Handshake()
	})
	defer srv.Close()
	client := &web.Client{Resolver: zone, RootCAs: ca.Pool(), Dial: srv.Dial}
	if _, err := get(t, t.Context(), client, "https://www.example.org/"); err == nil || !strings.Contains(err.Error(), "version") {
		t.Errorf("TLS 1.1: %v", err)
	}
}

func TestAddresses(t *testing.T) {
	refused := errors.New("connection refused")
	for _, tt := range []struct {
		url    string
		dialed string
		err    string
	}{
		{"https://www.example.org/", "[2001:db8::1]:443 192.0.2.1:443 192.0.2.2:443", "connection refused"},
		{"https://four.example.org/", "192.0.2.1:443", "connection refused"},
		{"https://many.example.org:444/", "[2001:db8::1]:444 192.0.2.1:444 192.0.2.2:444 192.0.2.3:444", "connection refused"},
		{"https://both.example.org/", "192.0.2.1:443", "connection refused"},
		{"https://down.example.org/", "", "response code 2"},
		{"https://none.example.org/", "", "has no address"},
		{"https://gone.example.org/", "", "has no address"},
		{"https://home.example.org/", "", "may be asked"},
		{"https://127.0.0.1/", "", "may be asked"},
		{"https://[::1]/", "", "may be asked"},
		{"https://[::ffff:127.0.0.1]/", "", "may be asked"},
		{"https://[::ffff:192.0.2.1]/", "192.0.2.1:443", "connection refused"},
		{"https://192.0.2.1/", "192.0.2.1:443", "connection refused"},
		{"https://2130706433/", "", "has no address"}, // 127.0.0.1 to some
	} {
		var dialed []string
		client := &web.Client{Resolver: zone, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			dialed = append(dialed, address)
			return nil, refused
		}}
		_, err := get(t, t.Context(), client, tt.url)
		if got := strings.Join(dialed, " "); got != tt.dialed {
			t.Errorf("%s: dialled %q, want %q", tt.url, got, tt.dialed)
		}
		if err == nil || !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: %v, want %q", tt.url, err, tt.err)
		}
	}
}

// Whoever tests may allow what he likes.
func TestAllow(t *testing.T) {
	ca := webtest.NewCA()
	srv := webtest.ServeOctets(ca.Issue(nil, "home.example.org"), page)
	defer srv.Close()
	client := &web.Client{Resolver: zone, RootCAs: ca.Pool(), Dial: srv.Dial, Allow: netip.Addr.IsLoopback}
	if _, err := get(t, t.Context(), client, "https://home.example.org/"); err != nil {
		t.Error(err)
	}
	if want := []string{"127.0.0.1:443"}; !slices.Equal(srv.Dialed(), want) {
		t.Errorf("dialled %q, want %q", srv.Dialed(), want)
	}
}

func TestPublic(t *testing.T) {
	for _, tt := range []struct {
		addr string
		want bool
	}{
		{"192.0.2.1", true}, {"8.8.8.8", true}, {"100.63.255.255", true}, {"172.32.0.1", true}, {"223.255.255.255", true}, {"11.0.0.0", true},
		{"2a00:1450::1", true}, {"2001:db8::1", true}, {"2001:4860::1", true}, {"::ffff:8.8.8.8", true}, {"64:ff9b::808:808", true},
		{"127.0.0.1", false}, {"127.255.255.255", false}, {"0.0.0.0", false}, {"0.1.2.3", false}, {"10.255.0.1", false},
		{"172.16.0.1", false}, {"172.31.255.255", false}, {"192.168.1.1", false}, {"169.254.169.254", false}, {"100.64.0.1", false},
		{"192.0.0.8", false}, {"198.19.0.1", false}, {"224.0.0.1", false}, {"240.0.0.1", false}, {"255.255.255.255", false},
		{"::", false}, {"::1", false}, {"fe80::1", false}, {"fe80::1%eth0", false}, {"fec0::1", false}, {"fd00::1", false}, {"ff02::1", false},
		{"::ffff:127.0.0.1", false}, {"::127.0.0.1", false}, {"64:ff9b::7f00:1", false}, {"64:ff9b::a00:1", false}, {"64:ff9b:1::1", false},
		{"2002:7f00:1::1", false}, {"2001::1", false}, {"2001:0:1:2:3:4:5:6", false}, {"2a00:1450::1%eth0", false},
	} {
		if got := web.Public(netip.MustParseAddr(tt.addr)); got != tt.want {
			t.Errorf("%s: %t, want %t", tt.addr, got, tt.want)
		}
	}
	if web.Public(netip.Addr{}) {
		t.Error("the zero Addr is public")
	}
}

// However a server is slow, the context ends the wait.
func TestSlow(t *testing.T) {
	for _, tt := range []struct {
		name  string
		serve func(conn net.Conn, cert tls.Certificate)
	}{
		{"no handshake", func(conn net.Conn, _ tls.Certificate) { io.Copy(io.Discard, conn) }},
		{"half a handshake", func(conn net.Conn, _ tls.Certificate) {
			conn.Write([]byte{22, 3, 3, 0, 100, 2})
			io.Copy(io.Discard, conn)
		}},
		{"no response", func(conn net.Conn, cert tls.Certificate) {
			io.Copy(io.Discard, tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{cert}}))
		}},
		{"a dripping response", func(conn net.Conn, cert tls.Certificate) {
			c := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{cert}})
			c.Read(make([]byte, 4096))
			io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
			for {
				if _, err := io.WriteString(c, "x"); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ca := webtest.NewCA()
				cert := ca.Issue(nil, "four.example.org")
				srv := webtest.ServeConns(func(conn net.Conn) { tt.serve(conn, cert) })
				defer srv.Close()
				client := &web.Client{Resolver: zone, RootCAs: ca.Pool(), Dial: srv.Dial}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				began := time.Now()
				_, err := get(t, ctx, client, "https://four.example.org/")
				if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took != time.Minute {
					t.Errorf("%v after %v", err, took)
				}
			})
		})
	}
}

// An address that does not answer leaves time for the others.
func TestAddressesShareTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := webtest.NewCA()
		srv := webtest.ServeOctets(ca.Issue(nil, "www.example.org"), page)
		defer srv.Close()
		client := &web.Client{Resolver: zone, RootCAs: ca.Pool(), Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			if address != "192.0.2.2:443" {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return srv.Dial(ctx, network, address)
		}}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		if _, err := get(t, ctx, client, "https://www.example.org/"); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took != 40*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

func TestCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		stalled := dnstest.MustParse("www.example.org STALL")
		go func() { time.Sleep(time.Second); cancel() }()
		client := &web.Client{Resolver: stalled, Dial: nil}
		if _, err := get(t, ctx, client, "https://www.example.org/"); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}
