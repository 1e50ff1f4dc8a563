package spf_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/postrider/postrider/auth/authres"
	"github.com/postrider/postrider/auth/spf"
	"github.com/postrider/postrider/mx/dns"
)

func FuzzParseRecord(f *testing.F) {
	for _, s := range []string{
		"v=spf1", "v=spf1 -all", "v=spf1 a/24//64 mx:%{d2r}/8 ip4:192.0.2.0/24 ip6:::1/0 ptr include:a.b. ~exists:%{ir}.%{v}._spf.%{d2} exp=%{L1r.-}.x redirect=%{o} x=y",
		"v=spf1 a:foo:bar/baz.example.com", "v=spf1 a:%%%_%-.ex", "v=spf1 ip4:1.2.3.4/032",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := spf.ParseRecord(text)
		if err != nil {
			var se *spf.SyntaxError
			if !errors.As(err, &se) || se.Offset < 0 || se.Offset > len(text) || !strings.Contains(text, se.Term) {
				t.Errorf("%q: %#v", text, err)
			}
			printable(t, err.Error(), 1000)
			return
		}
		printable(t, text, len(text))
		// Written again from what was read, it is the same record.
		again := []string{"v=spf1"}
		for _, d := range r.Directives {
			again = append(again, d.Text)
			if ip := d.Mechanism == spf.IP4 || d.Mechanism == spf.IP6; ip != d.Network.IsValid() || d.Bits4 < 0 || d.Bits4 > 32 || d.Bits6 < 0 || d.Bits6 > 128 {
				t.Errorf("%q: %+v", text, d)
			}
		}
		if r.Redirect != "" {
			again = append(again, "redirect="+r.Redirect)
		}
		if r.Exp != "" {
			again = append(again, "exp="+r.Exp)
		}
		for _, m := range r.Unknown {
			again = append(again, m.Name+"="+m.Value)
		}
		r2, err := spf.ParseRecord(strings.Join(again, " "))
		if err != nil || show(r) != show(r2) || r.Lookups() != r2.Lookups() {
			t.Errorf("%q, again %q: %v", text, again, err)
		}
	})
}

func FuzzMacros(f *testing.F) {
	f.Add("exists:%{ir}.%{v}._spf.%{d2}", "%{s} %{c}", "strong-bad", "example.org", "mx.example.org", []byte{192, 0, 2, 3})
	f.Add("a:a%%b:c/d%_%-e.%{H}", "http://x/?%{S}&%{T}%{r}", "é\r\n", "bücher.example", "[192.0.2.3]", make([]byte, 16))
	f.Add("exists:%{l2r+-}.%{p}.%{o1}", "%{L1r.-+,/_=}", "a+b-c", "a.example", strings.Repeat("%", 300), []byte{1, 2, 3, 4})
	f.Fuzz(func(t *testing.T, term, text, local, domain, hello string, ip []byte) {
		client, _ := netip.AddrFromSlice(ip)
		z := &fuzzZone{t: t, policies: []string{"v=spf1 " + term + " -all exp=why.example.org"}, text: text}
		z.verify(client, local, domain, hello)
	})
}

func FuzzVerify(f *testing.F) {
	f.Add("v=spf1 include:%{d} a mx ptr -all\nv=spf1 exists:%{l}.x redirect=b.example exp=e.example", "text", "a", "example.org", "h.example", uint64(0))
	f.Add("v=spf1 redirect=%{d}", "%{p}", "a.b", "a.example", "", uint64(1<<40))
	f.Add("v=spf1 a:%{p}.x mx:%{h} ptr:%{o} ?include:a.example\nv=spf1 -all", "%{p}", "a.b", "a.example", "", uint64(0x123456789abcdef0))
	f.Fuzz(func(t *testing.T, policies, text, local, domain, hello string, seed uint64) {
		z := &fuzzZone{t: t, policies: strings.Split(policies, "\n"), text: text, seed: seed}
		z.verify(netip.AddrFrom4([4]byte{192, 0, 2, 3}), local, domain, hello)
		z.verify(netip.MustParseAddr("2001:db8::3"), local, domain, hello)
	})
}

// A fuzzZone answers everything with something: policies that depend on the
// name, failures and names that depend on the seed.
type fuzzZone struct {
	t        *testing.T
	policies []string
	text     string
	seed     uint64
	asked    int
}

func (z *fuzzZone) verify(ip netip.Addr, local, domain, hello string) {
	z.asked = 0
	v := spf.Verifier{Resolver: z, Explain: true, Trace: true, Hostname: "mx.example.com"}
	r := v.Verify(z.t.Context(), spf.Request{IP: ip, Hello: hello, From: from(local, domain)})
	switch r.Verdict {
	case authres.None, authres.Neutral, authres.Pass, authres.Fail, authres.SoftFail, authres.TempError, authres.PermError:
	default:
		z.t.Errorf("verdict %q", r.Verdict)
	}
	// 11 policies and 10 terms, each with 10 hosts at most; 11 for the client's
	// names; the explanation.
	if z.asked > 11+10*11+11+1 || r.Lookups > 10 || r.VoidLookups > 3 || len(r.Trace) > 500 {
		z.t.Errorf("%d queries, %+v", z.asked, r)
	}
	if r.Explanation != "" && r.Verdict != authres.Fail {
		z.t.Errorf("explanation %q of %s", r.Explanation, r.Verdict)
	}
	printable(z.t, r.Domain, 253)
	printable(z.t, r.Mechanism, 255)
	printable(z.t, r.Problem, 255)
	printable(z.t, r.Explanation, 400)
	for _, s := range r.Trace {
		printable(z.t, s.Domain, 253)
		printable(z.t, s.Term, 255)
		printable(z.t, s.Target, 253)
	}
}

func (z *fuzzZone) Resolve(_ context.Context, name string, t dns.Type) (dns.Answer, error) {
	z.asked++
	z.valid(name)
	h := z.seed
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * 0x100000001b3
	}
	h ^= uint64(t) * 0x9e3779b97f4a7c15
	h ^= h >> 29
	if z.seed != 0 && h%16 == 1 {
		return dns.Answer{}, &dns.Error{Name: name, Type: t, Timeout: true}
	}
	if z.seed != 0 && h%16 == 2 {
		return dns.Answer{NXDomain: true}, nil
	}
	switch t {
	case dns.TXT:
		if strings.HasPrefix(name, "why.") || strings.HasPrefix(name, "e.") {
			return dns.Answer{TXT: []string{z.text}}, nil
		}
		return dns.Answer{TXT: []string{z.text, z.policies[h/16%uint64(len(z.policies))]}}, nil
	case dns.A:
		return dns.Answer{Addrs: []netip.Addr{netip.AddrFrom4([4]byte{198, 51, 100, byte(h)})}}, nil
	case dns.AAAA:
		return dns.Answer{Addrs: []netip.Addr{netip.AddrFrom16([16]byte{15: byte(h)})}}, nil
	case dns.MX:
		return dns.Answer{MX: []dns.MXRecord{{Host: z.text + "."}, {Host: "mx.example."}, {Host: "."}}}, nil
	case dns.PTR:
		return dns.Answer{Names: []string{z.text + ".", "h.example.", "www.example.org."}}, nil
	}
	z.t.Errorf("asked for %s %s", name, t)
	return dns.Answer{}, nil
}

// valid fails if the name may not be looked up. Only octets of policies and MX
// records may be other ones than in names of hosts.
func (z *fuzzZone) valid(name string) {
	written := strings.Join(z.policies, " ") + z.text
	host := strings.Map(func(c rune) rune {
		if strings.ContainsRune(":/% ", c) && (strings.ContainsRune(written, c) || strings.Contains(written, "%")) {
			return '-'
		}
		return c
	}, name)
	if !dns.ValidName(host) || strings.HasSuffix(name, ".") {
		z.t.Errorf("asked for %q", name)
	}
}

func printable(t *testing.T, s string, limit int) {
	t.Helper()
	if len(s) > limit {
		t.Errorf("%d octets, want %d at most", len(s), limit)
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			t.Errorf("not printable ASCII: %q", s)
			return
		}
	}
}
