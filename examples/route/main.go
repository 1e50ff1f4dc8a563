// Route shows where the mail of a domain would go, what TLS would have to prove
// there, and why. It connects to no mail server.
//
//	go run ./examples/route example.org
//
// It asks the resolvers of /etc/resolv.conf: for DANE one that validates DNSSEC and
// that the file trusts (on loopback, or with "options trust-ad"). Hosts of the same
// preference change places from run to run. The exit code is 0 if there is a host
// that mail may go to, 69 if there is none, and 75 if there may be one later.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/postrider/postrider/mx"
	"github.com/postrider/postrider/mx/dns"
	"github.com/postrider/postrider/mx/dns/dnstest"
	"github.com/postrider/postrider/mx/mtasts"
)

func main() { os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr)) }

// run is the program as a function that a test can call. The result is the exit
// code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var m mx.Message
	var stub dns.Stub
	router := mx.Router{Resolver: &dns.Cache{Resolver: &stub}}
	flags := flag.NewFlagSet("route", flag.ContinueOnError)
	flags.SetOutput(stderr)
	zone := flags.String("zone", "", "JSON `file` with all that is in the DNS; nobody is asked then, and no policy of MTA-STS is fetched")
	flags.Func("server", "`address:port` of a resolver, trusted to validate DNSSEC; may be given several times", func(s string) error {
		addr, err := netip.ParseAddrPort(s)
		stub.Servers = append(stub.Servers, dns.Server{Addr: addr, Trusted: true})
		return err
	})
	flags.BoolVar(&m.Envelope.MailParams.RequireTLS, "requiretls", false, "for a message with REQUIRETLS")
	flags.BoolVar(&m.TLSOptional, "tls-optional", false, `for a message with "TLS-Required: No"`)
	flags.Func("hostname", "`name` of the host that sends, lest mail comes back to it; may be given several times", func(s string) error { router.Hostnames = append(router.Hostnames, s); return nil })
	if err := flags.Parse(args); err == flag.ErrHelp {
		return 0
	} else if err != nil || flags.NArg() != 1 {
		fmt.Fprintln(stderr, "route: want one domain behind the flags; see -help")
		return 64 // EX_USAGE
	}
	var fetcher mtasts.Fetcher
	if *zone != "" {
		file, err := os.Open(*zone)
		if err == nil {
			defer file.Close()
			router.Resolver, err = dnstest.ReadJSON(file)
		}
		if err != nil {
			fmt.Fprintln(stderr, "route:", err)
			return 66 // EX_NOINPUT
		}
		fetcher.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("offline") }
	}
	fetcher.Resolver = router.Resolver
	policies := &mx.Policies{Resolver: router.Resolver, MTASTS: &mtasts.Cache{Resolver: router.Resolver, Fetcher: &fetcher}}
	return show(ctx, stdout, &router, policies, flags.Arg(0), &m)
}

// show writes what would happen to a message for a domain.
func show(ctx context.Context, w io.Writer, router *mx.Router, policies *mx.Policies, domain string, m *mx.Message) int {
	route, err := router.Route(ctx, domain)
	if err != nil {
		fmt.Fprintln(w, err)
		return code(err, 69)
	}
	kind := "MX records"
	if route.Literal {
		kind = "an address literal"
	} else if route.Implicit {
		kind = "no MX records, the domain is its own host"
	}
	fmt.Fprintf(w, "%s: %s%s\n", route.Domain, kind, signed(route.Secure))
	if sts, _ := policies.MTASTS.Lookup(ctx, route.Domain); sts.Policy != nil {
		fmt.Fprintf(w, "MTA-STS: %s for %s, id %s\n", sts.Policy.Mode, strings.Join(sts.Policy.MX, " "), sts.ID)
	} else if !route.Literal {
		fmt.Fprintf(w, "MTA-STS: none: %v\n", sts.Err)
	}
	result := 69
	for _, host := range route.Hosts {
		fmt.Fprintf(w, "%d %s\n", host.Preference, host.Name)
		var policy mx.Policy
		addrs, err := router.Addrs(ctx, host.Name)
		if err == nil {
			fmt.Fprintf(w, "   addresses: %v%s\n", addrs.Addrs, signed(addrs.Secure))
			policy, err = policies.Policy(ctx, route, host, addrs, m)
		}
		if err == nil {
			fmt.Fprintf(w, "   TLS: %s\n   asked for by: %s\n   if it fails: %s\n", policy.String(), policy.Source, failure(policy))
			result = 0
			continue
		}
		fmt.Fprintf(w, "   left out: %v\n", err)
		if result != 0 {
			result = code(err, result)
		}
	}
	return result
}

func signed(secure bool) string {
	if secure {
		return " (authenticated by DNSSEC)"
	}
	return ""
}

// failure says what comes of TLS that does not prove what p asks for.
func failure(p mx.Policy) string {
	switch {
	case p.Level == mx.LevelMay:
		return "plaintext"
	case p.Source == mx.SourceRequireTLS:
		return "the next host, and if there is none the message comes back"
	}
	return "the next host, and if there is none the message waits"
}

// code is the exit code for an error: permanent as long as all were.
func code(err error, before int) int {
	var e *mx.Error
	if errors.As(err, &e) && e.Temporary() {
		return 75 // EX_TEMPFAIL
	}
	return before
}
