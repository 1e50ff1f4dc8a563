package mtasts_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
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
	"github.com/postrider/postrider/mx/internal/webtest"
	"github.com/postrider/postrider/mx/mtasts"
)

func TestFetch(t *testing.T) {
	ca := webtest.NewCA()
	cert := ca.Issue(nil, "mta-sts.example.org")
	var got []string
	srv := webtest.Serve(cert, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Method+" https://"+r.Host+r.URL.String()+" "+r.TLS.ServerName)
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		io.WriteString(w, policyText)
	}))
	defer srv.Close()
	f := &mtasts.Fetcher{Resolver: everywhere{}, RootCAs: ca.Pool(), Dial: srv.Dial}
	for _, domain := range []string{"example.org", "EXAMPLE.org."} {
		p, err := f.Fetch(t.Context(), domain)
		if err != nil || p.String() != policyText {
			t.Errorf("%s: %v, %v", domain, p, err)
		}
	}
	const want = "GET https://mta-sts.example.org/.well-known/mta-sts.txt mta-sts.example.org" // §3.2
	if !slices.Equal(got, []string{want, want}) {
		t.Errorf("the server saw %q, want %q", got, want)
	}
	if want := []string{"192.0.2.1:443", "192.0.2.1:443"}; !slices.Equal(srv.Dialed(), want) {
		t.Errorf("dialled %q, want %q", srv.Dialed(), want)
	}
}

// What a web server may do instead of giving a policy.
func TestFetchFails(t *testing.T) {
	ca := webtest.NewCA()
	const name = "mta-sts.example.org"
	good := ca.Issue(nil, name)
	response := func(status, kind, body string) string {
		return fmt.Sprintf("HTTP/1.1 %s\r\nContent-Type: %s\r\nLocation: https://%s/other\r\nContent-Length: %d\r\n\r\n%s", status, kind, name, len(body), body)
	}
	ok := response("200 OK", "text/plain", policyText)
	long := policyText + "x: " + strings.Repeat("y", 64<<10-len(policyText)-3)
	for _, tt := range []struct {
		section  string
		cert     tls.Certificate
		response string
		reason   mtasts.Reason
	}{
		{"§3.3", good, ok, ""},
		{"§3.3 64 KiB", good, response("200 OK", "text/plain", long), ""},
		{"§3.2 parameters are ignored", good, response("200 OK", "TEXT/Plain;charset=us-ascii; x=y", policyText), ""},
		{"§3.2 malformed parameters too", good, response("200 OK", "text/plain; charset", policyText), ""},
		{"§3.3 over 64 KiB", good, response("200 OK", "text/plain", long+"y"), mtasts.FetchFailed},
		{"§3.3 endless", good, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 99999999999\r\n\r\n" + strings.Repeat("y", 300<<10), mtasts.FetchFailed},
		{"§3.3 301 is not followed", good, response("301 Moved Permanently", "text/plain", policyText), mtasts.FetchFailed},
		{"§3.3 302 is not followed", good, response("302 Found", "text/plain", policyText), mtasts.FetchFailed},
		{"§3.3 307 is not followed", good, response("307 Temporary Redirect", "text/plain", policyText), mtasts.FetchFailed},
		{"§3.3 308 is not followed", good, response("308 Permanent Redirect", "text/plain", policyText), mtasts.FetchFailed},
		{"§3.3 only 200", good, response("203 Non-Authoritative Information", "text/plain", policyText), mtasts.FetchFailed},
		{"§3.3 only 200", good, "HTTP/1.1 204 No Content\r\n\r\n", mtasts.FetchFailed},
		{"§3.3 only 200", good, response("206 Partial Content", "text/plain", policyText), mtasts.FetchFailed},
		{"§3.3 no caching", good, "HTTP/1.1 304 Not Modified\r\n\r\n", mtasts.FetchFailed},
		{"§3.3 only 200", good, response("404 Not Found", "text/plain", policyText), mtasts.FetchFailed},
		{"§3.3 only 200", good, response("503 Service Unavailable", "text/plain", policyText), mtasts.FetchFailed},
		{"§3.2 text/plain", good, response("200 OK", "text/html", policyText), mtasts.FetchFailed},
		{"§3.2 text/plain", good, response("200 OK", "application/octet-stream", policyText), mtasts.FetchFailed},
		{"§3.2 text/plain", good, response("200 OK", "text/plainer", policyText), mtasts.FetchFailed},
		{"§3.2 text/plain", good, response("200 OK", "", policyText), mtasts.FetchFailed},
		{"§3.3 cut short", good, ok[:len(ok)-1], mtasts.FetchFailed},
		{"§3.3 not HTTP", good, "220 mx.example.org ESMTP\r\n", mtasts.FetchFailed},
		{"§3.2 empty", good, response("200 OK", "text/plain", ""), mtasts.PolicyInvalid},
		{"§3.2 no policy", good, response("200 OK", "text/plain", "hello\r\n"), mtasts.PolicyInvalid},
		{"§3.2 compressed unasked", good, response("200 OK", "text/plain\r\nContent-Encoding: gzip", "\x1f\x8b\x08\x00"), mtasts.PolicyInvalid},
		{"§3.3 another name", ca.Issue(nil, "example.org"), ok, mtasts.WebPKIInvalid},
		{"§3.3 wildcard", ca.Issue(nil, "*.example.org"), ok, ""},
		{"§3.3 only DNS-ID", ca.Issue(func(c *x509.Certificate) { c.Subject.CommonName = name }), ok, mtasts.WebPKIInvalid},
		{"§3.3 another CA", webtest.NewCA().Issue(nil, name), ok, mtasts.WebPKIInvalid},
		{"§3.3 expired", ca.Issue(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }, name), ok, mtasts.WebPKIInvalid},
	} {
		t.Run(tt.section, func(t *testing.T) {
			p, err := octets(t, ca, tt.cert, tt.response).Fetch(t.Context(), "example.org")
			var e *mtasts.Error
			switch {
			case tt.reason == "" && err != nil:
				t.Error(err)
			case tt.reason != "" && (!errors.As(err, &e) || e.Reason != tt.reason || p != nil):
				t.Errorf("%v, %v, want %s", p, err, tt.reason)
			case tt.reason != "" && (e.Domain != "example.org" || !e.Reason.Reported() || e.Unwrap() == nil):
				t.Errorf("%+v", e)
			}
		})
	}
}

// Whoever owns a domain must not make us knock at our own doors.
func TestFetchOnlyFromThePublicInternet(t *testing.T) {
	zone := dnstest.MustParse(`
		mta-sts.inside.example A    127.0.0.1
		mta-sts.inside.example A    10.0.0.1
		mta-sts.inside.example A    169.254.169.254
		mta-sts.inside.example AAAA ::1
		mta-sts.inside.example AAAA fd00::1
	`)
	var dialed []string
	refuse := func(_ context.Context, _, address string) (net.Conn, error) {
		dialed = append(dialed, address)
		return nil, errors.New("refused")
	}
	f := &mtasts.Fetcher{Resolver: zone, Dial: refuse}
	var e *mtasts.Error
	if _, err := f.Fetch(t.Context(), "inside.example"); !errors.As(err, &e) || e.Reason != mtasts.FetchFailed || dialed != nil {
		t.Errorf("%v, dialled %q", err, dialed)
	}
	f.Allow = netip.Addr.IsPrivate
	if _, err := f.Fetch(t.Context(), "inside.example"); err == nil || strings.Join(dialed, " ") != "[fd00::1]:443 10.0.0.1:443" {
		t.Errorf("%v, dialled %q", err, dialed)
	}
}

func TestFetchNames(t *testing.T) {
	f := &mtasts.Fetcher{Resolver: everywhere{}, Dial: func(context.Context, string, string) (net.Conn, error) {
		t.Error("dialled")
		return nil, io.EOF
	}}
	for _, domain := range []string{"", ".", "a..b", "[192.0.2.1]", "a/b", "a@b", "a:443", "b\u00fccher.example", "a b", strings.Repeat("a.", 130)} {
		if p, err := f.Fetch(t.Context(), domain); err == nil {
			t.Errorf("%q: %v", domain, p)
		}
	}
}

func TestFetchIsBoundedInTime(t *testing.T) {
	for timeout, want := range map[time.Duration]time.Duration{0: time.Minute, 5 * time.Second: 5 * time.Second} { // §3.3
		synctest.Test(t, func(t *testing.T) {
			srv := webtest.ServeConns(func(conn net.Conn) { io.Copy(io.Discard, conn) })
			defer srv.Close()
			f := &mtasts.Fetcher{Resolver: everywhere{}, Dial: srv.Dial, Timeout: timeout}
			began := time.Now()
			_, err := f.Fetch(t.Context(), "example.org")
			var e *mtasts.Error
			if took := time.Since(began); !errors.As(err, &e) || e.Reason != mtasts.FetchFailed || took != want {
				t.Errorf("%v after %v", err, took)
			}
		})
	}
}

// That the caller does not wait says nothing about the server.
func TestFetchIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := webtest.ServeConns(func(conn net.Conn) { io.Copy(io.Discard, conn) })
		defer srv.Close()
		f := &mtasts.Fetcher{Resolver: everywhere{}, Dial: srv.Dial}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := f.Fetch(ctx, "example.org")
		var e *mtasts.Error
		if errors.As(err, &e) || !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}
