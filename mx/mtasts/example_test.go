package mtasts_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/postrider/postrider/mx/dns/dnstest"
	"github.com/postrider/postrider/mx/internal/webtest"
	"github.com/postrider/postrider/mx/mtasts"
)

// exampleNet is a domain with a policy: its DNS, and a Fetcher that finds its web
// server and trusts it. Outside of tests both are the internet's.
func exampleNet() (*dnstest.Zone, *mtasts.Fetcher, *webtest.Server) {
	zone := dnstest.MustParse(`
		_mta-sts.example.net     TXT "v=STSv1; id=20240601;"
		mta-sts.example.net      A   192.0.2.80
		_mta-sts.redirected.example TXT "v=STSv1; id=1;"
		mta-sts.redirected.example  A   192.0.2.80
	`)
	ca := webtest.NewCA()
	srv := webtest.Serve(ca.Issue(nil, "mta-sts.example.net", "mta-sts.redirected.example"), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "mta-sts.example.net" {
			http.Redirect(w, r, "https://example.net/", http.StatusFound)
			return
		}
		w.Header().Set("Content-Type", "text/plain")
		io.WriteString(w, "version: STSv1\nmode: enforce\nmx: *.mail.example.net\nmax_age: 604800\n")
	}))
	return zone, &mtasts.Fetcher{RootCAs: ca.Pool(), Dial: srv.Dial}, srv
}

func ExampleCache() {
	zone, fetcher, srv := exampleNet()
	defer srv.Close()

	// In a program, Resolver and Store are enough: the Fetcher's zero value asks
	// the web.
	cache := &mtasts.Cache{Resolver: zone, Fetcher: fetcher}
	for _, domain := range []string{"example.net", "example.net", "example.org", "redirected.example"} {
		res, err := cache.Lookup(context.Background(), domain)
		if err != nil {
			fmt.Println("nobody waits any more:", err)
			return
		}
		if res.Policy == nil {
			fmt.Println(domain, res.Origin, res.Reason)
			continue
		}
		fmt.Println(domain, res.Origin, res.Policy.Mode, res.Policy.Matches("mx1.mail.example.net"))
	}
	// Output:
	// example.net fetched enforce true
	// example.net cached enforce true
	// example.org absent no-record
	// redirected.example absent sts-policy-fetch-error
}

func ExampleCache_Run() {
	zone, fetcher, srv := exampleNet()
	defer srv.Close()
	cache := &mtasts.Cache{Resolver: zone, Fetcher: fetcher}

	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- cache.Run(ctx) }() // for as long as the program sends mail
	cancel()
	fmt.Println(<-done)
	// Output: context canceled
}

func ExampleFetcher() {
	zone, fetcher, srv := exampleNet()
	defer srv.Close()
	fetcher.Resolver = zone
	policy, err := fetcher.Fetch(context.Background(), "example.net")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(policy.Mode, policy.MX, policy.MaxAge)
	// Output: enforce [*.mail.example.net] 168h0m0s
}

func ExampleError() {
	zone, fetcher, srv := exampleNet()
	defer srv.Close()
	fetcher.Resolver = zone
	_, err := fetcher.Fetch(context.Background(), "redirected.example")
	if e, ok := errors.AsType[*mtasts.Error](err); ok {
		fmt.Println(e.Domain, e.Reason)
		fmt.Println(e)
	}
	// Output:
	// redirected.example sts-policy-fetch-error
	// mtasts: redirected.example: sts-policy-fetch-error: the web server answers with status 302
}

func ExampleReason() {
	for _, reason := range []mtasts.Reason{mtasts.NoRecord, mtasts.WebPKIInvalid} {
		fmt.Println(reason, reason.Reported())
	}
	// Output:
	// no-record false
	// sts-webpki-invalid true
}

func ExampleResult() {
	res := mtasts.Result{Reason: mtasts.NoRecord}
	switch {
	case res.Policy == nil:
		fmt.Println("no policy:", res.Reason)
	case res.Policy.Mode == mtasts.Enforce:
		fmt.Println("deliver only with TLS, to a host that matches")
	case res.Policy.Mode == mtasts.Testing:
		fmt.Println("report what would have failed")
	}
	// Output: no policy: no-record
}

func ExampleOrigin() {
	fmt.Println(mtasts.Absent, mtasts.Fetched, mtasts.Cached, mtasts.Stale)
	// Output: absent fetched cached stale
}

func ExampleRecord() {
	r, err := mtasts.ParseRecord("v=STSv1; id=20240601;")
	fmt.Println(r.ID, err)
	fmt.Println(mtasts.Record{ID: "20240602"})
	// Output:
	// 20240601 <nil>
	// v=STSv1; id=20240602
}

func ExamplePolicy() {
	p, err := mtasts.ParsePolicy("version: STSv1\nmode: testing\nmx: mx.example.org\nmx: *.example.net\nmax_age: 86400\n")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, host := range []string{"mx.example.org.", "a.example.net", "example.net"} {
		fmt.Println(host, p.Matches(host))
	}
	// Output:
	// mx.example.org. true
	// a.example.net true
	// example.net false
}

func ExampleMode() {
	p := mtasts.Policy{Mode: mtasts.None, MaxAge: 24 * time.Hour} // for a domain that gives up MTA-STS
	fmt.Printf("%q\n", p.String())
	// Output: "version: STSv1\r\nmode: none\r\nmax_age: 86400\r\n"
}

func ExampleEntry() {
	e := mtasts.Entry{
		Domain:  "example.org",
		ID:      "20240601",
		Policy:  mtasts.Policy{Mode: mtasts.Enforce, MX: []string{"mx.example.org"}, MaxAge: 24 * time.Hour},
		Fetched: time.Date(2024, 6, 1, 12, 0, 0, 0, time.UTC),
	}
	fmt.Println(e.Expires())
	// Output: 2024-06-02 12:00:00 +0000 UTC
}

func ExampleStore() {
	var store mtasts.Store = new(mtasts.MemoryStore)
	ctx := context.Background()
	store.Save(ctx, mtasts.Entry{Domain: "example.org", ID: "1"})
	store.Save(ctx, mtasts.Entry{Domain: "example.org", ID: "2"})
	for e, err := range store.All(ctx) {
		fmt.Println(e.Domain, e.ID, err)
	}
	// Output: example.org 2 <nil>
}

func ExampleMemoryStore() {
	zone, fetcher, srv := exampleNet()
	defer srv.Close()
	store := new(mtasts.MemoryStore)
	for range 2 { // two caches, one after the other
		cache := &mtasts.Cache{Resolver: zone, Fetcher: fetcher, Store: store}
		res, err := cache.Lookup(context.Background(), "example.net")
		fmt.Println(res.Origin, err)
	}
	// Output:
	// fetched <nil>
	// cached <nil>
}

func ExampleFileStore() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	store := &mtasts.FileStore{Dir: dir}
	err = store.Save(context.Background(), mtasts.Entry{
		Domain:  "example.org",
		ID:      "20240601",
		Policy:  mtasts.Policy{Mode: mtasts.Enforce, MX: []string{"mx.example.org"}, MaxAge: 24 * time.Hour},
		Fetched: time.Date(2024, 6, 1, 12, 0, 0, 0, time.UTC),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	text, err := os.ReadFile(dir + "/sts-example.org.json")
	fmt.Print(string(text))
	// Output: {"domain":"example.org","id":"20240601","fetched":"2024-06-01T12:00:00Z","policy":"version: STSv1\r\nmode: enforce\r\nmx: mx.example.org\r\nmax_age: 86400\r\n"}
}
