package tlsrpt_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/mx/dns/dnstest"
	"github.com/postrider/postrider/mx/internal/webtest"
	"github.com/postrider/postrider/mx/tlsrpt"
)

var places = dnstest.MustParse(`
	reports.example.org A 192.0.2.80
	inside.example.org  A 10.0.0.1
`)

func TestPost(t *testing.T) {
	ca := webtest.NewCA()
	status := http.StatusCreated
	srv := webtest.Serve(ca.Issue(nil, "reports.example.org"), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, err := tlsrpt.ParseReport(r.Body, tlsrpt.ReportLimits{})
		if err != nil || got.ID != full().ID || r.Method != http.MethodPost || r.URL.String() != "/v1/tlsrpt?a=b" || r.Header.Get("Content-Type") != "application/tlsrpt+gzip" { // §5.4
			t.Errorf("%+v, %v, %s %s %v", got, err, r.Method, r.URL, r.Header)
		}
		w.Header().Set("Location", "https://reports.example.org/")
		w.WriteHeader(status)
		w.Write(make([]byte, 1<<20)) // does not matter
	}))
	defer srv.Close()
	p := &tlsrpt.Poster{Resolver: places, RootCAs: ca.Pool(), Dial: srv.Dial}
	const to = "https://reports.example.org/v1/tlsrpt?a=b"
	for _, tt := range []struct {
		section string
		status  int
		ok      bool
	}{
		{"§5.4", 200, true}, {"§5.4", 201, true}, {"§5.4", 202, true}, {"§5.4", 204, true},
		{"§5.4 not followed", 301, false}, {"§5.4 not followed", 307, false},
		{"§5.4", 400, false}, {"§5.4", 404, false}, {"§5.4", 413, false}, {"§5.4", 500, false}, {"§5.4", 503, false},
	} {
		status = tt.status
		if err := p.Post(t.Context(), to, full()); (err == nil) != tt.ok {
			t.Errorf("%s: %d: %v", tt.section, tt.status, err)
		}
	}
	if n := len(srv.Dialed()); n != 11 {
		t.Errorf("%d connections", n)
	}
	p.RootCAs = webtest.NewCA().Pool()
	if err := p.Post(t.Context(), to, full()); err == nil {
		t.Error("posted to anybody")
	}
}

func TestPostOnlyToThePublicInternet(t *testing.T) {
	p := &tlsrpt.Poster{Resolver: places, Dial: func(context.Context, string, string) (net.Conn, error) {
		t.Error("dialled")
		return nil, io.EOF
	}}
	for _, to := range []tlsrpt.URI{"https://inside.example.org/", "https://127.0.0.1/", "https://[::1]:25/", "http://reports.example.org/", "mailto:a@example.org", "https://gone.example.org/", "https://reports.example.org:%31/"} {
		if err := p.Post(t.Context(), to, full()); err == nil {
			t.Errorf("%s was posted to", to)
		}
	}
}

func TestPostIsBoundedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := webtest.ServeConns(func(conn net.Conn) { io.Copy(io.Discard, conn) })
		defer srv.Close()
		p := &tlsrpt.Poster{Resolver: places, Dial: srv.Dial}
		began := time.Now()
		err := p.Post(t.Context(), "https://reports.example.org/", full())
		if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took != time.Minute || !strings.Contains(err.Error(), "reports.example.org") {
			t.Errorf("%v after %v", err, took)
		}
	})
}
