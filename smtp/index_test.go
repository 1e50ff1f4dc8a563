package smtp

import (
	"strings"
	"testing"
	"time"
)

// The bits of given are in the order of the table: what the index does with a
// bit is what its row says.
func TestGiven(t *testing.T) {
	mail := []MailParams{
		{Size: 1}, {Body: Body7Bit}, {Body: BodyBinaryMIME}, {UTF8: true}, {Auth: "<>"}, {Ret: RetFull}, {EnvID: "x"},
		{By: DeliverBy{time.Second, DeliverReturn, false}}, {RequireTLS: true}, {Priority: NewPriority(0)},
		{Hold: Hold{For: time.Second}}, {Hold: Hold{Until: utc(2030, 1, 1, 0, 0, 0)}}, {Solicit: "a"}, {PRDR: true},
	}
	if len(mail) != len(mailIndex.entries) {
		t.Fatalf("%d samples for %d parameters", len(mail), len(mailIndex.entries))
	}
	for i, p := range mail {
		if p.given() != 1<<i {
			t.Errorf("%+v: bits %b, want bit %d", p, p.given(), i)
		}
		for j, e := range mailIndex.entries {
			if got := string(e.add(nil, &p)); strings.HasPrefix(got, " "+e.name) != (i == j) {
				t.Errorf("%+v: %s appends %q", p, e.name, got)
			}
		}
	}
	rcpt := []RcptParams{{Notify: NotifyDelay}, {ORcpt: ORcpt{"rfc822", "a@b"}}, {RRVS: &RRVS{Since: utc(2014, 1, 1, 0, 0, 0)}}}
	if len(rcpt) != len(rcptIndex.entries) {
		t.Fatalf("%d samples for %d parameters", len(rcpt), len(rcptIndex.entries))
	}
	for i, p := range rcpt {
		if p.given() != 1<<i {
			t.Errorf("%+v: bits %b, want bit %d", p, p.given(), i)
		}
		for j, e := range rcptIndex.entries {
			if got := string(e.add(nil, &p)); strings.HasPrefix(got, " "+e.name) != (i == j) {
				t.Errorf("%+v: %s appends %q", p, e.name, got)
			}
		}
	}
}

// Every parameter is found by its name in any case, and nothing else is.
func TestIndexFinds(t *testing.T) {
	all := every()
	for row := range Extensions() {
		for _, p := range row.Mail {
			for _, value := range append([]string{"x"}, p.Values...) {
				e, _ := mailIndex.find(strings.ToLower(p.Name), value, all)
				if e == nil || e.name != p.Name {
					t.Errorf("%s of %s is not found", p.Name, row.Keyword)
				}
				if e, m := mailIndex.find(p.Name+"X", value, all); e != nil || m != matchNone {
					t.Errorf("%sX is found", p.Name)
				}
			}
		}
		for _, p := range row.Rcpt {
			if e, _ := rcptIndex.find(strings.ToLower(p.Name), "x", all); e == nil || e.name != p.Name {
				t.Errorf("%s of %s is not found", p.Name, row.Keyword)
			}
		}
	}
	if e, m := mailIndex.find("", "", all); e != nil || m != matchNone {
		t.Error("a name that is empty is found")
	}
	if e, _ := mailIndex.find("body", "binarymime", all); e.keyword != ExtBinaryMIME {
		t.Errorf("BODY=BINARYMIME belongs to %s", e.keyword)
	}
}
