package auth_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/postrider/postrider/auth"
	"github.com/postrider/postrider/auth/arc"
	"github.com/postrider/postrider/auth/authres"
	"github.com/postrider/postrider/smtp"
)

// A message that a list has changed fails DMARC, and is accepted if the list is
// trusted and has sealed that it was good when it came. The verdict stays.
func TestTrustedSealers(t *testing.T) {
	was := func(verdict authres.Verdict, from string) authres.Field {
		return authres.Field{AuthServID: "list.example.net", Results: []authres.Result{
			{Method: "spf", Verdict: authres.Fail},
			{Method: "dmarc", Verdict: verdict, Properties: []authres.Property{{Type: "header", Name: "from", Value: from}}}}}
	}
	v := &auth.Verifier{Resolver: zone(t, ""), AuthServID: "mx.example.net", HonorReject: true}
	stranger := auth.Peer{IP: netip.MustParseAddr("203.0.113.9"), Hello: "list.example.net"}
	for _, tt := range []struct {
		name    string
		trusted []string
		found   authres.Field
		change  string // in the sealed message
		want    string
	}{
		{"trusted", []string{"other.example", "Example.NET"}, was(authres.Pass, "example.org"), "", "arc pass, dmarc fail none"},
		{"nobody is trusted", nil, was(authres.Pass, "example.org"), "", "arc pass, dmarc fail reject"},
		{"another is trusted", []string{"example.org"}, was(authres.Pass, "example.org"), "", "arc pass, dmarc fail reject"},
		{"it failed there too", []string{"example.net"}, was(authres.Fail, "example.org"), "", "arc pass, dmarc fail reject"},
		{"it was another author", []string{"example.net"}, was(authres.Pass, "example.com"), "", "arc pass, dmarc fail reject"},
		{"nobody knows whose", []string{"example.net"}, authres.Field{AuthServID: "x", Results: []authres.Result{{Method: "dmarc", Verdict: authres.Pass,
			Properties: []authres.Property{{Type: "header", Name: "d", Value: "example.org"}, {Type: "smtp", Name: "from", Value: "example.org"}}}}}, "", "arc pass, dmarc fail reject"},
		{"it was not tried", []string{"example.net"}, authres.Field{AuthServID: "x"}, "", "arc pass, dmarc fail reject"},
		{"changed since", []string{"example.net"}, was(authres.Pass, "example.org"), "here", "arc fail, dmarc fail reject"},
	} {
		message := in(t, signed(t, plain, "example.org"), "Subject: ", "Subject: [list] ")
		sealer := &arc.Sealer{Domain: "example.net", Selector: "key", Key: key}
		set, err := sealer.Seal(strings.NewReader(message), arc.Result{Verdict: authres.None}, tt.found)
		if err != nil {
			t.Fatal(err)
		}
		message = string(set) + message
		if tt.change != "" {
			message = in(t, message, tt.change, "gone")
		}
		v.TrustedSealers = tt.trusted
		r, err := v.Verify(t.Context(), stranger, smtp.ReversePath{}, strings.NewReader(message))
		if err != nil {
			t.Fatal(err)
		}
		if got := verdicts(r); !strings.HasSuffix(got, tt.want) {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
		if refused := r.Refusal() != nil; refused != strings.HasSuffix(tt.want, "reject") || refused == (r.TrustedSealer != "") {
			t.Errorf("%s: %v, trusted %q", tt.name, r.Refusal(), r.TrustedSealer)
		}
		if !strings.Contains(r.Header(), "dmarc=fail") || !strings.Contains(r.Header(), "arc="+string(r.ARC.Verdict)) {
			t.Errorf("%s: %s", tt.name, r.Header())
		}
		checkField(t, r)
	}
}

// Where DMARC passes nobody has to be trusted.
func TestTrustIsNotNeeded(t *testing.T) {
	message := signed(t, plain, "example.org")
	sealer := &arc.Sealer{Domain: "example.net", Selector: "key", Key: key}
	set, err := sealer.Seal(strings.NewReader(message), arc.Result{Verdict: authres.None}, authres.Field{AuthServID: "x", Results: []authres.Result{
		{Method: "dmarc", Verdict: authres.Pass, Properties: []authres.Property{{Type: "header", Name: "from", Value: "example.org"}}}}})
	if err != nil {
		t.Fatal(err)
	}
	v := &auth.Verifier{Resolver: zone(t, ""), TrustedSealers: []string{"example.net"}}
	r, err := v.Verify(t.Context(), auth.Peer{}, smtp.ReversePath{}, strings.NewReader(string(set)+message))
	if err != nil || r.ARC.Verdict != authres.Pass || r.DMARC.Verdict != authres.Pass || r.TrustedSealer != "" {
		t.Errorf("%v: %s, trusted %q", err, verdicts(r), r.TrustedSealer)
	}
}

// Signatures do not use up the lookups that the chain needs, nor the reverse.
func TestLookupsAreApart(t *testing.T) {
	message := signed(t, plain, "example.org")
	sealer := &arc.Sealer{Domain: "example.net", Selector: "key", Key: key}
	set, err := sealer.Seal(strings.NewReader(message), arc.Result{Verdict: authres.None}, authres.Field{AuthServID: "x"})
	if err != nil {
		t.Fatal(err)
	}
	v := &auth.Verifier{Resolver: zone(t, "")}
	v.DKIM.MaxLookups, v.ARC.MaxLookups = 1, 1
	r, err := v.Verify(t.Context(), auth.Peer{}, smtp.ReversePath{}, strings.NewReader(string(set)+message))
	if err != nil || r.ARC.Verdict != authres.Pass || len(r.DKIM) != 1 || r.DKIM[0].Verdict != authres.Pass {
		t.Errorf("%v: %s", err, verdicts(r))
	}
}
