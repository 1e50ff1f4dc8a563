package dkim_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/postrider/postrider/auth/authres"
	"github.com/postrider/postrider/auth/dkim"
)

func verify(t testing.TB, v *dkim.Verifier, message string) []dkim.Result {
	t.Helper()
	got, err := v.Verify(t.Context(), strings.NewReader(message))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// verdicts tells what came of each signature in a few words.
func verdicts(results []dkim.Result) string {
	var b strings.Builder
	for _, r := range results {
		fmt.Fprintf(&b, "%s/%s:%s;", r.Domain, r.Selector, r.Verdict)
	}
	return b.String()
}

func TestAllowed(t *testing.T) {
	appended := craft(with("; l=9"), craftHeader, craftedBody) + "more"
	whole := craft(with("; l=18"), craftHeader, craftedBody)
	beyond := craft(with("; l=19"), craftHeader, craftedBody)
	none := craft(with("; l=0"), craftHeader, craftedBody)
	old := craft(with("", "a=ed25519-sha256", "a=rsa-sha1", "s=june", "s=rsa"), craftHeader, craftedBody)
	oldKey := craft(with("", "a=ed25519-sha256", "a=rsa-sha1", "s=june", "s=sha1"), craftHeader, craftedBody)
	v := &dkim.Verifier{Resolver: craftZone(), AllowLength: true, AllowSHA1: true}
	for _, tt := range []struct {
		message string
		want    authres.Verdict
	}{
		{appended, authres.Pass}, {whole, authres.Pass}, {none, authres.Pass}, {beyond, authres.PermError},
		{strings.Replace(appended, "one", "two", 1), authres.Fail}, {strings.Replace(whole, "three", "3", 1), authres.PermError},
		{old, authres.Pass}, {oldKey, authres.Pass}, {strings.Replace(old, "one", "two", 1), authres.Fail},
	} {
		if got := verify(t, v, tt.message)[0]; got.Verdict != tt.want {
			t.Errorf("%.60q: %s %s, want %s", tt.message, got.Verdict, got.Reason, tt.want)
		}
	}
	// One signature takes a part of the body, one nothing, one all of it.
	field := func(m string) string { return m[:strings.Index(m, "Received:")] }
	several := field(appended) + field(none) + craft(craftTags, craftHeader, craftedBody+"more")
	if got, want := verdicts(verify(t, v, several)), strings.Repeat("example.org/june:pass;", 3); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// What a result tells beside the verdict.
func TestResult(t *testing.T) {
	v := &dkim.Verifier{Resolver: craftZone(), Now: func() time.Time { return time.Unix(1000, 0) }}
	got := verify(t, v, craft(with("; i=alice@sub.example.org; t=900; x=2000", "s=june", "s=testing"), craftHeader, craftedBody))[0]
	want := dkim.Result{
		Verdict: authres.Pass, Domain: "example.org", Selector: "testing", Identity: "alice@sub.example.org",
		Algorithm: "ed25519-sha256", KeyBits: 256, Testing: true, Signature: got.Signature,
		Signed: time.Unix(900, 0).UTC(), Expires: time.Unix(2000, 0).UTC(),
	}
	if got != want || len(got.Signature) != 8 {
		t.Errorf("%+v, want %+v", got, want)
	}
	field := authres.Field{AuthServID: "mx.example.net", Results: []authres.Result{got.AuthRes()}}
	if text := field.String(); !strings.Contains(text, "dkim=pass") || !strings.Contains(text, "header.i=alice@sub.example.org") ||
		!strings.Contains(text, "header.b=") || !strings.Contains(text, "test mode") {
		t.Error(text)
	}
	// A body that was changed, a key in test mode.
	changed := strings.Replace(craft(with("", "s=june", "s=testing"), craftHeader, craftedBody), "one", "two", 1)
	if r := verify(t, v, changed)[0]; r.Verdict != authres.Fail || !r.Testing {
		t.Errorf("%+v", r)
	}
	// What is not known is not told.
	if r := verify(t, v, "DKIM-Signature: \x01\r\n\r\n")[0]; r != (dkim.Result{Verdict: authres.PermError, Reason: "malformed signature"}) {
		t.Errorf("%+v", r)
	}
	if a := (dkim.Result{Verdict: authres.PermError, Reason: "malformed signature"}).AuthRes(); len(a.Properties) != 0 {
		t.Errorf("%+v", a)
	}
}

// RFC 6008 §4: enough of b= to tell one signature from another.
func TestSignaturesAreToldApart(t *testing.T) {
	v := &dkim.Verifier{Resolver: craftZone()}
	field := func(b string) string {
		return "DKIM-Signature: " + with("", "SIG", b, "bh=BH", "bh="+strings.Repeat("A", 43)) + "\r\n"
	}
	got := verify(t, v, field("AAAABBBBCCCCDDDD")+field("AAAA\r\n BBBBCCCCEEEE")+field("AAAABBBBFFFFGGGG")+field("AAAABBBBFFFFGGGG")+field("QQQQ")+"\r\n")
	var b strings.Builder
	for _, r := range got {
		b.WriteString(r.Signature + " ")
	}
	if want := "AAAABBBBCCCCD AAAABBBBCCCCE AAAABBBBF AAAABBBBF QQQQ "; b.String() != want {
		t.Errorf("%s, want %s", b.String(), want)
	}
}

// Signatures are independent of each other, and told from top to bottom. One
// may sign another, but not itself.
func TestSeveralSignatures(t *testing.T) {
	v := &dkim.Verifier{Resolver: craftZone()}
	inner := craft(craftTags, craftHeader, craftedBody)
	field, header := inner[:strings.Index(inner, "Received:")], strings.TrimSuffix(inner, "\r\n"+craftedBody)
	wrong := strings.Replace(field, "b=", "b=AAAA", 1)
	once := with("", "a=ed25519-sha256", "a=rsa-sha256", "s=june", "s=rsa", "h=from", "h=from:dkim-signature")
	twice := strings.Replace(once, "h=from", "h=from:DKIM-Signature", 1)
	for _, tt := range []struct{ message, want string }{
		{craft(once, header, craftedBody), "example.org/rsa:pass;example.org/june:pass;"},
		{craft(twice, header, craftedBody), "example.org/rsa:pass;example.org/june:pass;"},
		{wrong + craft(once, header, craftedBody), "example.org/june:fail;example.org/rsa:pass;example.org/june:pass;"},
		{wrong + craft(twice, header, craftedBody), "example.org/june:fail;example.org/rsa:fail;example.org/june:pass;"},
		{"DKIM-Signature: x\r\n" + craft(once, "A: b\r\n"+header, craftedBody), "/:permerror;example.org/rsa:pass;example.org/june:pass;"},
	} {
		if got := verdicts(verify(t, v, tt.message)); got != tt.want {
			t.Errorf("%s, want %s", got, tt.want)
		}
	}
}

func TestNothingToVerify(t *testing.T) {
	v := &dkim.Verifier{}
	for _, m := range []string{"", "\r\n", "From: a@example.org\r\n\r\nbody\r\n", "From: a\r\n\r\nDKIM-Signature: v=1\r\n"} {
		if got := verify(t, v, m); len(got) != 0 {
			t.Errorf("%q: %v", m, got)
		}
	}
	if got := verify(t, v, craft(craftTags, craftHeader, craftedBody)); got[0].Verdict != authres.TempError {
		t.Error("without a resolver:", got)
	}
	broken := errors.New("broken")
	if got, err := v.Verify(t.Context(), io.MultiReader(strings.NewReader("From: a\r\n\r\nb"), iotest.ErrReader(broken))); err != broken || got != nil {
		t.Error(got, err)
	}
}

func TestHeaderBeyondLimits(t *testing.T) {
	m := craft(craftTags, craftHeader, craftedBody)
	for _, v := range []*dkim.Verifier{{MaxHeaderSize: 100}, {MaxFields: 3}} {
		zone := craftZone()
		v.Resolver = zone
		got := verify(t, v, m)
		if len(got) != 1 || got[0].Verdict != authres.PermError || got[0].Reason == "" || len(zone.Queries()) != 0 {
			t.Errorf("%+v after %v", got, zone.Queries())
		}
	}
}

// The end comes once, whatever is called after it.
func TestCheckIsOver(t *testing.T) {
	v := &dkim.Verifier{Resolver: craftZone()}
	c := v.Begin(t.Context())
	io.WriteString(c, craft(craftTags, craftHeader, craftedBody))
	got := c.Finish(t.Context())
	c.Abort()
	io.WriteString(c, "more")
	if again := c.Finish(t.Context()); verdicts(got) != "example.org/june:pass;" || verdicts(again) != verdicts(got) {
		t.Error(got, again)
	}
	c = v.Begin(t.Context())
	io.WriteString(c, craft(craftTags, craftHeader, craftedBody))
	c.Abort()
	if got := c.Finish(t.Context()); got != nil {
		t.Error("after Abort:", got)
	}
	v.Begin(t.Context()).Abort()
	if got := v.Begin(t.Context()).Finish(t.Context()); len(got) != 0 {
		t.Error("of nothing:", got)
	}
}
