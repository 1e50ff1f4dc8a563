package queue

import (
	"testing"

	"github.com/postrider/postrider/smtp"
)

func TestMatchesAddress(t *testing.T) {
	for _, test := range []struct {
		pattern, local, domain string
		want                   bool
	}{
		{"a@b.example", "a", "b.example", true},
		{"a@B.Example", "a", "b.eXample", true},
		{"A@b.example", "a", "b.example", false},
		{"a@b.example", "xa", "b.example", false},
		{"xa@b.example", "a", "b.example", false},
		{"@b.example", "a", "B.example", true},
		{"@b.example", "a", "x.b.example", false},
		{"b.example", "a", "b.example", false},
		{"a@x.b.example", "a", "b.example", false},
		{`"a b"@c`, "a b", "c", true},
		{`a b@c`, "a b", "c", false},
		{`""@c`, "", "c", true},
		{"<>", "", "", true},
		{"<>", "a", "b", false},
		{"a@b", "", "", false},
		{"postmaster", "postmaster", "", true},
		{"postmaster", "postmaster", "b", false},
		{"postmaster", "PostMaster", "", true},
		{"POSTMASTER", "postmaster", "", true},
		{"Postmaster@B.example", "postmaster", "b.example", true},
		{"postmaster@b.example", "POSTMASTER", "b.example", true},
		{"postmasterb", "Postmaster", "b", false},
		{"po\u017ftmaster", "postmaster", "", false},
		{"postmaster", "po\u017ftmaster", "", false},
		{"xpostmaster@b", "postmaster", "b", false},
		{"postmaster@a", "Postmaster", "b", false},
		{"a@[x:@y]", "a", "[x:@y]", true},
		{"@ü.example", "a", "ü.example", true},
		{"@", "a", "b", false},
	} {
		if got := matchesAddress(test.pattern, smtp.Mailbox{Local: test.local, Domain: test.domain}); got != test.want {
			t.Errorf("%q matches %q at %q: %v", test.pattern, test.local, test.domain, got)
		}
	}
}
