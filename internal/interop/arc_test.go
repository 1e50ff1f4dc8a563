//go:build interop

package interop

import (
	"fmt"
	"strings"
	"testing"

	"github.com/postrider/postrider/auth/arc"
	"github.com/postrider/postrider/auth/authres"
)

// A chain that dkimpy and we seal in turns is verified by both after each set,
// and refused by both when the message has changed.
func TestARCWithDkimpy(t *testing.T) {
	rsa, _ := newSigningKeys(t)
	r := newAuthRoot(t, rsa)
	verifier := &arc.Verifier{Resolver: keyZone(t, rsa)}
	sealer := &arc.Sealer{Domain: signingDomain, Selector: rsa.selector, Key: rsa}
	verify := func(message string) arc.Result {
		t.Helper()
		result, err := verifier.Verify(t.Context(), strings.NewReader(message))
		if err != nil {
			t.Fatal(err)
		}
		return result
	}
	type chain struct {
		name, message string
		turns         []string
	}
	var chains []*chain
	for _, turns := range []string{"we", "dkimpy", "we we we", "dkimpy dkimpy dkimpy", "we dkimpy we", "dkimpy we dkimpy"} {
		for _, name := range []string{"blanks", "folded", "eight-bits"} {
			chains = append(chains, &chain{name + "/" + turns, shapes[name], strings.Fields(turns)})
		}
	}
	for set := 1; len(chains) > 0; set++ {
		var theirs []*chain
		var tasks []pyTask
		for _, c := range chains {
			found := authres.Field{AuthServID: fmt.Sprintf("mx%d.example.org", set), Results: []authres.Result{{Method: "spf", Verdict: authres.Pass,
				Properties: []authres.Property{{Type: "smtp", Name: "mailfrom", Value: "sender@example.org"}}}}}
			if c.turns[0] == "we" {
				fields, err := sealer.Seal(strings.NewReader(c.message), verify(c.message), found)
				if err != nil {
					t.Fatal(err)
				}
				c.message = string(fields) + c.message
				continue
			}
			// dkimpy seals what it finds in such a field, the state of the chain too.
			if set > 1 {
				found.Results = append(found.Results, authres.Result{Method: "arc", Verdict: authres.Pass})
			}
			c.message = found.String() + c.message
			theirs = append(theirs, c)
			tasks = append(tasks, pyTask{Do: "seal", Message: []byte(c.message), Selector: rsa.selector, Domain: signingDomain,
				Key: rsa.text(t), AuthServID: found.AuthServID})
		}
		for i, result := range dkimpy(t, r, tasks) {
			theirs[i].message = result.Prefix + theirs[i].message
		}

		tasks = nil
		changed := func(c *chain) string { return strings.Replace(c.message, "\r\nFrom:", "\r\nFrom: x", 1) }
		for _, c := range chains {
			tasks = append(tasks, pyTask{Do: "verify-chain", Message: []byte(c.message)}, pyTask{Do: "verify-chain", Message: []byte(changed(c))})
		}
		said := dkimpy(t, r, tasks)
		var longer []*chain
		for i, c := range chains {
			if good := said[2*i]; good.Verdicts[0] != "pass" {
				t.Errorf("%s, set %d: dkimpy says %q, %s\n%s", c.name, set, good.Verdicts, good.Comment, c.message)
			}
			if bad := said[2*i+1]; bad.Verdicts[0] != "fail" {
				t.Errorf("%s, set %d, changed: dkimpy says %q, %s\n%s", c.name, set, bad.Verdicts, bad.Comment, changed(c))
			}
			if got := verify(c.message); got.Verdict != authres.Pass || got.Instances != set {
				t.Errorf("%s, set %d: %+v\n%s", c.name, set, got, c.message)
			}
			if got := verify(changed(c)); got.Verdict != authres.Fail {
				t.Errorf("%s, set %d, changed: %+v\n%s", c.name, set, got, changed(c))
			}
			if c.turns = c.turns[1:]; len(c.turns) > 0 {
				longer = append(longer, c)
			}
		}
		chains = longer
	}
}
