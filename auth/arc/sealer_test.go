package arc

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/postrider/postrider/auth/authres"
	"github.com/postrider/postrider/auth/internal/message"
)

func TestLongListOfFields(t *testing.T) {
	z, sealers := hops(1, false)
	s := *sealers[0]
	s.Fields = []string{"From"}
	for i := range 100 {
		s.Fields = append(s.Fields, fmt.Sprintf("X-Field-%d", i))
	}
	if r := verify(t, z, seal(t, &s, plain, verify(t, z, plain))); r.Verdict != authres.Pass {
		t.Errorf("%+v", r)
	}
}

func TestFailedChainIsSealedOnce(t *testing.T) {
	z, sealers := hops(4, false)
	text := strings.Replace(forward(t, z, sealers[:2], plain), "hello.", "bye.", 1)
	r := verify(t, z, text)
	if r.Verdict != authres.Fail || r.Closed {
		t.Fatalf("%+v", r)
	}
	text = seal(t, sealers[2], text, r)
	if !strings.Contains(text, "cv=fail") {
		t.Fatal(text)
	}
	r = verify(t, z, text)
	if r.Verdict != authres.Fail || r.Reason != failedBefore || !r.Closed || r.Instances != 3 {
		t.Errorf("%+v", r)
	}
	if set, err := sealers[3].Seal(strings.NewReader(text), r, authres.Field{AuthServID: "a"}); set != nil || err != nil {
		t.Errorf("%q %v", set, err)
	}
	// The seal of a failed chain covers its own set only: without the others and
	// with another word it would be a chain of one.
	alone := fields(text)[:3]
	for i, f := range alone {
		alone[i] = strings.ReplaceAll(f, "i=3", "i=1")
	}
	if r := verify(t, z, strings.Join(alone, "\r\n")+"\r\n"+plain); r.Reason != failedBefore {
		t.Errorf("%+v", r)
	}
	// So are chains that nobody can read.
	for _, broken := range []string{"ARC-Seal: i=7\r\n" + plain, "ARC-Seal: nothing\r\n" + plain} {
		r := verify(t, z, broken)
		if got := seal(t, sealers[3], broken, r); !strings.Contains(got, fmt.Sprintf("i=%d; hop4.example", r.Instances+1)) || !strings.Contains(got, "cv=fail") {
			t.Errorf("%q", got)
		}
	}
}

func TestNotSealed(t *testing.T) {
	z, sealers := hops(2, false)
	s := sealers[0]
	one := forward(t, z, sealers[:1], plain)
	none, pass := verify(t, z, plain), verify(t, z, one)
	two := seal(t, sealers[1], one, pass)
	found := authres.Field{AuthServID: "a"}
	for _, tt := range []struct {
		text  string
		chain Result
		found authres.Field
		want  string
	}{
		{plain, none, authres.Field{}, "the results do not say who found them"},
		{plain, pass, found, ErrOtherChain.Error()},
		{one, none, found, ErrOtherChain.Error()},
		{two, pass, found, ErrOtherChain.Error()},
		{plain, Result{}, found, ErrOtherChain.Error()},
		{one, Result{Verdict: authres.SoftFail, Instances: 1}, found, "a chain cannot be"},
		{strings.Replace(one, "cv=none", "cv=pass", 1), pass, found, ErrOtherChain.Error()},
		{"A: b\nc\r\n" + plain, none, found, ErrMalformed.Error()},
		{"A: \x00\r\n" + plain, none, found, ErrMalformed.Error()},
		{" ; arc=pass\r\n" + plain, none, found, ErrMalformed.Error()},
		{strings.Repeat("A: b\r\n", 1001) + plain, none, found, message.ErrFields.Error()},
		{"A: " + strings.Repeat("b", 1<<20) + "\r\n" + plain, none, found, message.ErrHeaderSize.Error()},
	} {
		set, err := s.Seal(strings.NewReader(tt.text), tt.chain, tt.found)
		if set != nil || err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.40q: %q %v, want %s", tt.text, set, err, tt.want)
		}
	}
	big, err := (&Verifier{Resolver: z, MaxHeaderSize: 10}).Verify(context.Background(), strings.NewReader(one))
	if err != nil || big.Verdict != authres.Fail || !big.Closed || big.Reason != message.ErrHeaderSize.Error() {
		t.Errorf("%+v %v", big, err)
	}
}

func TestSealerIsChecked(t *testing.T) {
	good := Sealer{Domain: "hop.example", Selector: "s", Key: edKey()}
	if _, err := good.Begin(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Sealer){
		"no domain":        func(s *Sealer) { s.Domain = "" },
		"one label":        func(s *Sealer) { s.Domain = "example" },
		"a breakout":       func(s *Sealer) { s.Domain = "a.example; cv=pass" },
		"a line":           func(s *Sealer) { s.Domain = "a.example\r\nX: y" },
		"no selector":      func(s *Sealer) { s.Selector = "" },
		"a tag":            func(s *Sealer) { s.Selector = "s; x=y" },
		"a long name":      func(s *Sealer) { s.Selector = strings.Repeat("a.", 120) + "a" },
		"no key":           func(s *Sealer) { s.Key = nil },
		"a short key":      func(s *Sealer) { s.Key = rsaKey() },
		"a field's colon":  func(s *Sealer) { s.Fields = []string{"from:to"} },
		"a field's end":    func(s *Sealer) { s.Fields = []string{"from;x=y"} },
		"a field's line":   func(s *Sealer) { s.Fields = []string{"from\r\n"} },
		"an empty field":   func(s *Sealer) { s.Fields = []string{"from", ""} },
		"a seal":           func(s *Sealer) { s.Fields = []string{"from", "arc-seal"} },
		"no author":        func(s *Sealer) { s.Fields = []string{"to", "x-from"} },
		"no field":         func(s *Sealer) { s.Fields = []string{} },
		"others' verdicts": func(s *Sealer) { s.Fields = []string{"from", "Authentication-Results"} },
	} {
		s := good
		spoil(&s)
		if _, err := s.Begin(); err == nil {
			t.Errorf("%s: no error", name)
		}
		if _, err := s.Seal(strings.NewReader(plain), Result{Verdict: authres.None}, authres.Field{AuthServID: "a"}); err == nil {
			t.Errorf("%s: sealed", name)
		}
	}
}

func TestResultsCannotBreakOut(t *testing.T) {
	z, sealers := hops(1, false)
	for _, bad := range []string{"x\r\nFrom: y", "x; arc=pass", "\"; i=9", "(", "\\", strings.Repeat("y", 1000)} {
		set, err := sealers[0].Seal(strings.NewReader(plain), verify(t, z, plain), authres.Field{AuthServID: bad, Results: []authres.Result{
			{Method: "spf", Verdict: authres.Pass, Reason: bad, Comment: bad, Properties: []authres.Property{{Type: "smtp", Name: "helo", Value: bad}}},
		}})
		if err != nil {
			t.Fatal(err)
		}
		r := verify(t, z, string(set)+plain)
		if len(fields(string(set))) != 3 || r.Verdict != authres.Pass || len(r.Chain[0].AuthRes.Results) != 1 {
			t.Errorf("%q: %q %+v", bad, set, r)
		}
	}
}
