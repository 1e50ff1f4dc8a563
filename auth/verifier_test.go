package auth_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/postrider/postrider/auth"
	"github.com/postrider/postrider/auth/authres"
	"github.com/postrider/postrider/auth/dmarc"
	"github.com/postrider/postrider/smtp"
)

// Nobody's mail is refused for a policy alone unless the operator has said so (RFC
// 9989 §7.4): the report says what was done in its place.
func TestRejectIsNotHonored(t *testing.T) {
	for honor, want := range map[bool]string{false: "quarantine quarantine local_policy <nil>", true: "reject   smtp: 550 5.7.26"} {
		v := &auth.Verifier{Resolver: zone(t, `_dmarc.example.com TXT "v=DMARC1; p=reject"`), HonorReject: honor}
		r, err := v.Verify(t.Context(), auth.Peer{}, mailbox(t, "ann@example.org"), strings.NewReader(in(t, plain, "ann@example.org", "ann@example.com")))
		if err != nil {
			t.Fatal(err)
		}
		o, reason := r.Observation(), ""
		if len(o.Reasons) > 0 {
			reason = o.Reasons[0].Type
		}
		if got := fmt.Sprintln(r.Disposition(), o.Disposition, reason, r.Refusal()); !strings.HasPrefix(got, want) || r.DMARC.Disposition != dmarc.Reject {
			t.Errorf("honor %t: %s", honor, got)
		}
	}
}

// verdicts are those of a result in one line.
func verdicts(r *auth.Result) string {
	s := fmt.Sprintf("iprev %s, helo %s, spf %s,", r.IPRev.Verdict, r.HelloSPF.Verdict, r.SPF.Verdict)
	for _, d := range r.DKIM {
		s += fmt.Sprintf(" dkim %s %s,", d.Verdict, d.Domain)
	}
	return s + fmt.Sprintf(" arc %s, dmarc %s %s", r.ARC.Verdict, r.DMARC.Verdict, r.Disposition())
}

func TestVerdicts(t *testing.T) {
	other := auth.Peer{IP: netip.MustParseAddr("203.0.113.9"), Hello: "mail.example.org"}
	for _, tt := range []struct {
		name    string
		zone    string
		peer    auth.Peer
		from    string
		message string
		want    string
		refusal string
	}{
		{"all is well", "", peer, "ann@example.org", signed(t, plain, "example.org"),
			"iprev pass, helo pass, spf pass, dkim pass example.org, arc none, dmarc pass none", ""},
		{"no signature, SPF suffices", "", peer, "ann@example.org", plain,
			"iprev pass, helo pass, spf pass, arc none, dmarc pass none", ""},
		{"forwarded, the signature suffices", "", other, "list@example.net", signed(t, plain, "example.org"),
			"iprev permerror, helo fail, spf none, dkim pass example.org, arc none, dmarc pass none", ""},
		{"somebody else", "", other, "ann@example.org", plain,
			"iprev permerror, helo fail, spf fail, arc none, dmarc fail reject",
			"550 5.7.26 message refused as example.org asks: neither SPF nor DKIM is aligned with the author domain"},
		{"signed by somebody else", "", other, "", signed(t, plain, "example.net"),
			"iprev permerror, helo fail, spf fail, dkim pass example.net, arc none, dmarc fail reject", "550 5.7.26"},
		{"changed", "", other, "x@example.net", in(t, signed(t, plain, "example.org"), "here", "gone"),
			"iprev permerror, helo fail, spf none, dkim fail example.org, arc none, dmarc fail reject", "550 5.7.26"},
		{"null reverse-path: HELO counts", "", peer, "", plain,
			"iprev pass, helo pass, spf pass, arc none, dmarc pass none", ""},
		{"two From fields", "", peer, "ann@example.org", "From: eve@example.net\r\n" + plain,
			"iprev pass, helo pass, spf pass, arc none, dmarc none none", "550 5.7.1 message refused: several From fields"},
		{"a name that some trim", "", peer, "ann@example.org", "From\v: eve@example.net\r\n" + plain,
			"iprev pass, helo pass, spf pass, arc none, dmarc none none", "550 5.7.1 message refused: From does not parse"},
		{"a field that begins with a blank", "", peer, "ann@example.org", " From: eve@example.net\r\n" + plain,
			"iprev pass, helo pass, spf pass, arc none, dmarc none none", "550 5.7.1 message refused: From does not parse"},
		{"names that are none", "", peer, "ann@example.org", "junk\r\n: junk\r\nFrom ann Sun Nov 22 10:00:00 2026\r\nX From: eve@example.net\r\n" + plain,
			"iprev pass, helo pass, spf pass, arc none, dmarc pass none", ""},
		{"a hidden field", "", peer, "ann@example.org", "X: y\nFrom: eve@example.net\r\n" + plain,
			"iprev pass, helo pass, spf pass, arc none, dmarc none none", "550 5.7.1 message refused: "},
		{"a NUL in the header", "", peer, "ann@example.org", "X: y\x00\r\n" + plain,
			"iprev pass, helo pass, spf pass, arc none, dmarc none none", "550 5.7.1 message refused: "},
		{"a bare LF in the body", "", peer, "ann@example.org", plain + "a\nb\r\n",
			"iprev pass, helo pass, spf pass, arc none, dmarc pass none", ""},
		{"nothing at all", "", peer, "ann@example.org", "",
			"iprev pass, helo pass, spf pass, arc none, dmarc none none", "550 5.7.1 message refused: no From field"},
		{"header too large", "", peer, "ann@example.org", "X: " + strings.Repeat("x", 1<<20) + "\r\n" + plain,
			"iprev pass, helo pass, spf pass, dkim permerror , arc fail, dmarc none none", "550 5.7.1 message refused: header section too large"},
		{"no address known", "", auth.Peer{Hello: "mail.example.org"}, "ann@example.org", signed(t, plain, "example.org"),
			"iprev , helo none, spf none, dkim pass example.org, arc none, dmarc pass none", ""},
		{"no key for now", "key._domainkey.example.org TXT SERVFAIL", other, "x@example.net", signed(t, plain, "example.org"),
			"iprev permerror, helo fail, spf none, dkim temperror example.org, arc none, dmarc temperror none", ""},
		{"no policy for now", "_dmarc.example.org TXT TIMEOUT", other, "x@example.net", signed(t, plain, "example.net"),
			"iprev permerror, helo fail, spf none, dkim pass example.net, arc none, dmarc temperror none", ""},
		{"nothing published for now", "example.org BOGUS", peer, "ann@example.org", plain,
			"iprev pass, helo pass, spf temperror, arc none, dmarc temperror none", ""},
		{"quarantine", "_dmarc.example.com TXT \"v=DMARC1; p=quarantine\"", peer, "ann@example.org", in(t, plain, "ann@example.org", "ann@example.com"),
			"iprev pass, helo pass, spf pass, arc none, dmarc fail quarantine", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := &auth.Verifier{Resolver: zone(t, tt.zone), AuthServID: "mx.example.net", HonorReject: true}
			for _, split := range []func(io.Reader) io.Reader{func(r io.Reader) io.Reader { return r }, iotest.HalfReader, iotest.OneByteReader} {
				if len(tt.message) > 1<<20 && split(nil) != nil {
					continue // one octet at a time takes too long
				}
				r, err := v.Verify(t.Context(), tt.peer, mailbox(t, tt.from), split(strings.NewReader(tt.message)))
				if err != nil {
					t.Fatal(err)
				}
				if got := verdicts(r); got != tt.want {
					t.Errorf("got  %s\nwant %s", got, tt.want)
				}
				var refusal *smtp.Error
				if errors.As(r.Refusal(), &refusal); (refusal != nil) != (tt.refusal != "") || refusal != nil && !strings.HasPrefix(refusal.Reply.String(), tt.refusal) {
					t.Errorf("refusal %v, want %q", r.Refusal(), tt.refusal)
				}
				if f, err := authres.Parse(strings.TrimPrefix(r.Header(), "Authentication-Results:")); err != nil || f.AuthServID != "mx.example.net" {
					t.Errorf("%v: %s", err, r.Header())
				}
			}
		})
	}
}

func TestHeader(t *testing.T) {
	v := &auth.Verifier{Resolver: zone(t, ""), AuthServID: "mx.example.net"}
	r, err := v.Verify(t.Context(), peer, mailbox(t, "ann@example.org"), strings.NewReader(signed(t, plain, "example.org")))
	if err != nil {
		t.Fatal(err)
	}
	const want = "Authentication-Results: mx.example.net;\r\n" +
		"\tiprev=pass policy.iprev=192.0.2.1;\r\n" +
		"\tspf=pass smtp.helo=mail.example.org;\r\n" +
		"\tspf=pass smtp.mailfrom=ann@example.org;\r\n" +
		"\tdkim=pass header.d=example.org header.i=@example.org header.s=key\r\n" +
		"\theader.a=ed25519-sha256 header.b=XXXXXXXX;\r\n" +
		"\tdmarc=pass header.from=example.org policy.dmarc=reject\r\n"
	if got := regexp.MustCompile(`header\.b=\S{8,10};`).ReplaceAllString(r.Header(), "header.b=XXXXXXXX;"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	bounce, err := v.Verify(t.Context(), peer, smtp.ReversePath{}, strings.NewReader(plain))
	if err != nil {
		t.Fatal(err)
	}
	if h := bounce.Header(); strings.Count(h, "spf=") != 1 || !strings.Contains(h, "spf=pass smtp.helo=mail.example.org;") || !strings.Contains(h, "dkim=none;") {
		t.Errorf("SPF of HELO has to stand there once, and dkim=none:\n%s", h)
	}
	r.From, r.SPF.Sender = mailbox(t, "zoë@bücher.example"), mailbox(t, "zoë@bücher.example").Mailbox
	if h := r.Header(); strings.Contains(h, "zoë") {
		t.Errorf("UTF-8 without SMTPUTF8:\n%s", h)
	}
	if r.UTF8 = true; !strings.Contains(r.Header(), "smtp.mailfrom=zoë@bücher.example") {
		t.Errorf("no UTF-8 with SMTPUTF8:\n%s", r.Header())
	}
	r.UTF8 = false
	v.AuthServID = ""
	if nameless, _ := v.Verify(t.Context(), peer, smtp.ReversePath{}, strings.NewReader(plain)); nameless.Header() != "" {
		t.Errorf("a field without a name: %s", nameless.Header())
	}

	var short struct {
		SPF, HelloSPF, IPRev, ARC, Header string
		DKIM                              []struct{ Result, Domain, Selector, Algorithm, Reason string }
		DMARC                             struct {
			Result, Policy, Domain string
			AlignedSPF             bool `json:"aligned_spf"`
			AlignedDKIM            bool `json:"aligned_dkim"`
		}
	}
	text, err := json.Marshal(*r)
	if err == nil {
		err = json.Unmarshal(text, &short)
	}
	if err != nil || short.SPF != "pass" || short.IPRev != "pass" || short.ARC != "none" || short.Header+"\r\n" != r.Header() ||
		len(short.DKIM) != 1 || short.DKIM[0].Selector != "key" || short.DKIM[0].Algorithm != "ed25519-sha256" ||
		short.DMARC.Result != "pass" || short.DMARC.Policy != "reject" || !short.DMARC.AlignedSPF || !short.DMARC.AlignedDKIM {
		t.Errorf("%v: %s", err, text)
	}
}

// What is known of a client is asked for once, however many messages it sends.
func TestSeveralMessages(t *testing.T) {
	z := zone(t, "")
	v := &auth.Verifier{Resolver: z}
	c := v.Begin(t.Context(), peer)
	defer c.Close()
	for range 3 {
		k := c.Message(t.Context(), mailbox(t, "ann@example.org"))
		if spf, err := k.SPF(t.Context()); err != nil || spf.Verdict != authres.Pass {
			t.Errorf("before the message: %+v, %v", spf, err)
		}
		io.WriteString(k, plain)
		r, err := k.Finish(t.Context())
		if err != nil || r.DMARC.Verdict != authres.Pass {
			t.Errorf("%v: %s", err, verdicts(r))
		}
		if _, err := k.Finish(t.Context()); err != auth.ErrAborted {
			t.Errorf("the second Finish: %v", err)
		}
		k.Abort()
		k.Write([]byte("late"))
	}
	if r, err := c.IPRev(t.Context()); err != nil || r.Verdict != authres.Pass || r.Name != "mail.example.org" {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err := c.HelloSPF(t.Context()); err != nil || r.Verdict != authres.Pass {
		t.Errorf("%+v, %v", r, err)
	}
	bounce := c.Message(t.Context(), smtp.ReversePath{}) // judged by the HELO name, which is known
	io.WriteString(bounce, plain)
	if r, err := bounce.Finish(t.Context()); err != nil || r.SPF.Verdict != authres.Pass {
		t.Errorf("%v: %s", err, verdicts(r))
	}
	asked := map[string]int{}
	for _, q := range z.Queries() {
		asked[q.Name+" "+q.Type.String()]++
	}
	if asked["1.2.0.192.in-addr.arpa PTR"] != 1 || asked["mail.example.org TXT"] != 1 || asked["example.org TXT"] != 3 {
		t.Errorf("asked: %v", asked)
	}
}

func TestVerifyReturnPath(t *testing.T) {
	for message, want := range map[string]string{
		"Return-Path: <ann@example.org>\r\nReturn-Path: <eve@example.net>\r\n" + plain: "ann@example.org",
		"Return-Path:\r\n <ann@example.org>\r\n" + plain:                               "ann@example.org",
		"Return-Path: <>\r\n" + plain:                                                  "",
		"Return-Path: nonsense\r\n" + plain:                                            "",
		plain:                                                                          "",
	} {
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // the real DNS is not asked
		r, err := auth.Verify(ctx, peer, strings.NewReader(message))
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%q: %v", message, err)
		}
		if want == "" {
			want = "mail.example.org"
		}
		if got := r.SPF.Sender.String(); !strings.HasSuffix(got, want) {
			t.Errorf("%.40q: SPF of %s, want %s", message, got, want)
		}
	}
}

// An error of the reader is the caller's.
func TestVerifyReadError(t *testing.T) {
	v := &auth.Verifier{Resolver: zone(t, "")}
	broken := errors.New("broken")
	r, err := v.Verify(t.Context(), peer, smtp.ReversePath{}, io.MultiReader(strings.NewReader(plain), iotest.ErrReader(broken)))
	if err != broken || r != nil {
		t.Errorf("%v, %v", r, err)
	}
}

func TestIPRev(t *testing.T) {
	many := strings.Repeat("2.2.0.192.in-addr.arpa PTR nobody.example.org\n", 1)
	for i := range 20 {
		many += fmt.Sprintf("2.2.0.192.in-addr.arpa PTR n%d.example.org\nn%d.example.org A 198.51.100.7\n", i, i)
	}
	for _, tt := range []struct{ zone, ip, want, name string }{
		{"", "192.0.2.1", "pass", "mail.example.org"},
		{"", "::ffff:192.0.2.1", "pass", "mail.example.org"},
		{"", "192.0.2.2", "permerror", ""},
		{"2.2.0.192.in-addr.arpa PTR mail.example.org", "192.0.2.2", "fail", ""},
		{"2.2.0.192.in-addr.arpa PTR \"bad name.example.org\"", "192.0.2.2", "permerror", ""},
		{"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa PTR six.example.org\nsix.example.org AAAA 2001:db8::1", "2001:db8::1%eth0", "pass", "six.example.org"},
		{"2.2.0.192.in-addr.arpa SERVFAIL", "192.0.2.2", "temperror", ""},
		{"2.2.0.192.in-addr.arpa BOGUS", "192.0.2.2", "temperror", ""},
		{"2.2.0.192.in-addr.arpa PTR a.example.org\na.example.org TIMEOUT", "192.0.2.2", "temperror", ""},
		{"2.2.0.192.in-addr.arpa PTR a.example.org\na.example.org TIMEOUT\n2.2.0.192.in-addr.arpa PTR b.example.org\nb.example.org A 192.0.2.2", "192.0.2.2", "pass", "b.example.org"},
		{many, "192.0.2.2", "fail", ""},
		{"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa PTR six.example.org\nsix.example.org AAAA 2001:db8::1", "2001:db8::1", "pass", "six.example.org"},
	} {
		z := zone(t, tt.zone)
		v := &auth.Verifier{Resolver: z}
		c := v.Begin(t.Context(), auth.Peer{IP: netip.MustParseAddr(tt.ip)})
		r, err := c.IPRev(t.Context())
		c.Close()
		if err != nil || string(r.Verdict) != tt.want || r.Name != tt.name || (r.Problem == "") != (tt.want == "pass") {
			t.Errorf("%s with %.60q: %+v, %v; want %s", tt.ip, tt.zone, r, err, tt.want)
		}
		if n := len(z.Queries()); n > 11 {
			t.Errorf("%s: %d queries", tt.ip, n)
		}
	}
}

func TestNewPeer(t *testing.T) {
	for addr, want := range map[net.Addr]string{
		&net.TCPAddr{IP: net.ParseIP("192.0.2.1"), Port: 25}:   "192.0.2.1",
		&net.TCPAddr{IP: net.ParseIP("fe80::1"), Zone: "eth0"}: "fe80::1",
		&net.TCPAddr{}:            "invalid IP",
		&net.UnixAddr{Name: "/x"}: "invalid IP",
		nil:                       "invalid IP",
	} {
		if p := auth.NewPeer(addr, "h"); p.IP.String() != want || p.Hello != "h" {
			t.Errorf("%v: %+v, want %s", addr, p, want)
		}
	}
}
