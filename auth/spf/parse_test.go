package spf_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/postrider/postrider/auth/spf"
)

// show writes a record so that every difference is seen.
func show(r *spf.Record) string {
	var b strings.Builder
	for _, d := range r.Directives {
		fmt.Fprintf(&b, "%s/%s", d.Verdict, d.Mechanism)
		if d.Domain != "" {
			fmt.Fprintf(&b, ":%s", d.Domain)
		}
		if d.Network.IsValid() {
			fmt.Fprintf(&b, ":%s", d.Network)
		}
		if d.Bits4 != 32 || d.Bits6 != 128 {
			fmt.Fprintf(&b, " %d %d", d.Bits4, d.Bits6)
		}
		b.WriteString("; ")
	}
	if r.Redirect != "" {
		b.WriteString("redirect " + r.Redirect + "; ")
	}
	if r.Exp != "" {
		b.WriteString("exp " + r.Exp + "; ")
	}
	for _, m := range r.Unknown {
		fmt.Fprintf(&b, "%s %q; ", m.Name, m.Value)
	}
	return strings.TrimSuffix(b.String(), "; ")
}

func TestParseRecord(t *testing.T) {
	for _, tt := range []struct{ record, want string }{
		{"v=spf1", ""},
		{"V=SPF1   ", ""},
		{"v=spf1 -all", "fail/all"},
		{"v=spf1  +A  ~MX ?Ptr  ALL ", "pass/a; softfail/mx; neutral/ptr; pass/all"},
		{"v=spf1 a/0 a//0 a/32//128 mx/8//64", "pass/a 0 128; pass/a 32 0; pass/a; pass/mx 8 64"},
		{"v=spf1 a:b.example/24//48", "pass/a:b.example 24 48"},
		{"v=spf1 a:b/24.example", "pass/a:b/24.example"},
		{"v=spf1 a:b//24.example//7", "pass/a:b//24.example 32 7"},
		{"v=spf1 a:%{d}/24", "pass/a:%{d} 24 128"},
		{"v=spf1 a:%{d1/}/24", "pass/a:%{d1/} 24 128"},
		{"v=spf1 a:x.%%/1", "pass/a:x.%% 1 128"},
		{"v=spf1 ip4:192.0.2.0/24 ip4:0.0.0.0 ip6:::/0 ip6:2001:db8::1", "pass/ip4:192.0.2.0/24; pass/ip4:0.0.0.0/32; pass/ip6:::/0; pass/ip6:2001:db8::1/128"},
		{"v=spf1 ip6:::ffff:192.0.2.1/96", "pass/ip6:::ffff:192.0.2.1/96"},
		{"v=spf1 include:a.example. exists:%{ir}.%{v}._spf.%{d2}", "pass/include:a.example.; pass/exists:%{ir}.%{v}._spf.%{d2}"},
		{"v=spf1 exists:%{L99999999999999999999R.-+,/_=}.x1", "pass/exists:%{L99999999999999999999R.-+,/_=}.x1"},
		{"v=spf1 exists:%{i}%{d}", "pass/exists:%{i}%{d}"},
		{"v=spf1 exists:_.1-1", "pass/exists:_.1-1"},
		{"v=spf1 Redirect=a.example EXP=b.example", "redirect a.example; exp b.example"},
		{"v=spf1 all redirect=a.example", "pass/all; redirect a.example"},
		{"v=spf1 a.b-c_1=%{i}:/= x=", `a.b-c_1 "%{i}:/="; x ""`},
		{"v=spf1 all=x ip4=y", `all "x"; ip4 "y"`}, // modifiers that are called like mechanisms
	} {
		r, err := spf.ParseRecord(tt.record)
		if err != nil {
			t.Errorf("%s: %v", tt.record, err)
		} else if got := show(r); got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.record, got, tt.want)
		}
	}
}

func TestSyntaxErrors(t *testing.T) {
	for _, tt := range []struct {
		record string
		offset int
	}{
		{"", 0}, {"v=spf2", 0}, {"v=spf10", 0}, {"v=spf1\t-all", 0}, {" v=spf1", 0}, {"v=spf1-all", 0},
		{"v=spf1 moo", 7}, {"v=spf1 -all moo", 12}, {"v=spf1 -", 8}, {"v=spf1 --all", 8}, {"v=spf1 1a", 7},
		{"v=spf1 all.", 7}, {"v=spf1 all:x", 10}, {"v=spf1 all/8", 10},
		{"v=spf1 -all\t", 11}, {"v=spf1 a\x00", 8}, {"v=spf1 \xef\xbb\xbfall", 7}, {"v=spf1 a:b.ex\xe4mple", 13},
		{"v=spf1 =x", 7}, {"v=spf1 -x=y", 7}, {"v=spf1 x=%", 9}, {"v=spf1 x=a b=\x7f", 13},
		{"v=spf1 a:", 9}, {"v=spf1 a:.", 9}, {"v=spf1 a:example", 9}, {"v=spf1 a:example.", 9},
		{"v=spf1 a:b.12", 11}, {"v=spf1 a:b.-c", 11}, {"v=spf1 a:b.c-", 11}, {"v=spf1 a:b..", 11},
		{"v=spf1 a:%{d}.", 13}, {"v=spf1 a:%{d}com", 13}, {"v=spf1 a:b.c_d", 11}, {"v=spf1 a:b.example:25", 11},
		{"v=spf1 a/33", 8}, {"v=spf1 a/01", 8}, {"v=spf1 a/", 8}, {"v=spf1 a//", 8}, {"v=spf1 a///1", 8},
		{"v=spf1 a/1/1", 8}, {"v=spf1 a//129", 8}, {"v=spf1 a//1/1", 8}, {"v=spf1 a/1000", 8}, {"v=spf1 ab", 7}, {"v=spf1 a|", 8},
		{"v=spf1 include", 14}, {"v=spf1 include:", 15}, {"v=spf1 include:b.example/24", 17}, {"v=spf1 exists", 13}, {"v=spf1 exists/24", 13},
		{"v=spf1 ptr/24", 10}, {"v=spf1 ptr:", 11},
		{"v=spf1 ip4", 10}, {"v=spf1 ip4:", 11}, {"v=spf1 ip4:1.2.3", 11}, {"v=spf1 ip4:1.2.3.04", 11}, {"v=spf1 ip4:1.2.3.4/", 11},
		{"v=spf1 ip4:1.2.3.4/33", 11}, {"v=spf1 ip4:1.2.3.4/+1", 11}, {"v=spf1 ip4:1.2.3.4//32", 11}, {"v=spf1 ip4:::1", 11}, {"v=spf1 ip4/8", 10},
		{"v=spf1 ip6:1.2.3.4", 11}, {"v=spf1 ip6:::1/129", 11}, {"v=spf1 ip6:fe80::1%eth0", 11}, {"v=spf1 ip6:[::1]", 11},
		{"v=spf1 a:192.0.2.1", 9}, {"v=spf1 mx:2001:db8::1", 10},
		{"v=spf1 redirect=", 16}, {"v=spf1 redirect=a.b redirect=a.b", 29}, {"v=spf1 exp=a.b exp=a.b", 19}, {"v=spf1 redirect:a.b", 7},
		{"v=spf1 exp=%{c}.example", 11}, {"v=spf1 exists:%{R}", 14}, {"v=spf1 x=%{t}", 9},
		{"v=spf1 exists:%{}", 14}, {"v=spf1 exists:%{d", 14}, {"v=spf1 exists:%{", 14}, {"v=spf1 exists:%{d0}", 14}, {"v=spf1 exists:%{d00r}", 14},
		{"v=spf1 exists:%{dr2}", 14}, {"v=spf1 exists:%{drr}", 14}, {"v=spf1 exists:%{d;}", 14}, {"v=spf1 exists:%{x}", 14}, {"v=spf1 exists:%{1}", 14},
		{"v=spf1 exists:%(d)", 14}, {"v=spf1 exists:b.%d.example", 16}, {"v=spf1 exists:a%", 15}, {"v=spf1 exists:%{\x44\x80}", 14},
	} {
		r, err := spf.ParseRecord(tt.record)
		var se *spf.SyntaxError
		if !errors.As(err, &se) {
			t.Errorf("%q: no error, %s", tt.record, show(r))
			continue
		}
		if se.Offset != tt.offset {
			t.Errorf("%q: offset %d, want %d: %v", tt.record, se.Offset, tt.offset, err)
		}
		if se.Reason == "" || r != nil {
			t.Errorf("%q: %+v %v", tt.record, se, r)
		}
		if s := err.Error(); strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c > '~' }) {
			t.Errorf("%q: error not printable: %q", tt.record, s)
		}
	}
	_, err := spf.ParseRecord("v=spf1 " + strings.Repeat("x", 10000))
	if n := len(err.Error()); n > 200 {
		t.Errorf("an error of %d octets", n)
	}
}

func TestRecordLookups(t *testing.T) {
	for record, want := range map[string]int{
		"v=spf1 -all": 0,
		"v=spf1 ip4:192.0.2.1 ip6:::1 x=y exp=a.b": 0,
		"v=spf1 a mx ptr include:a.b exists:a.b":   5,
		"v=spf1 a redirect=a.b":                    2,
		"v=spf1 a redirect=a.b -all":               1,
	} {
		r, err := spf.ParseRecord(record)
		if err != nil || r.Lookups() != want {
			t.Errorf("%s: %d lookups, want %d %v", record, r.Lookups(), want, err)
		}
	}
}
