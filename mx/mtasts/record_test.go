package mtasts_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/postrider/postrider/mx/dns/dnstest"
	"github.com/postrider/postrider/mx/mtasts"
)

func TestParseRecord(t *testing.T) {
	const bad, not = "bad", "not" // in place of an id
	for _, tt := range []struct {
		section, text, id string
	}{
		{"§3.1 example", "v=STSv1; id=20160831085700Z;", "20160831085700Z"},
		{"§3.1 no delimiter at the end", "v=STSv1; id=a", "a"},
		{"§3.1 *WSP around the delimiter", "v=STSv1 \t;\t id=a \t;\t", "a"},
		{"§3.1 no blanks", "v=STSv1;id=a;", "a"},
		{"§3.1 32 octets", "v=STSv1;id=" + strings.Repeat("a", 32), strings.Repeat("a", 32)},
		{"§3.1 order of other fields", "v=STSv1;x=y;id=a", "a"},
		{"§3.1 extension", "v=STSv1;id=a;a-b_c.d=!~:<>", "a"},
		{"§3.1 ID= is an extension", "v=STSv1;ID=b;id=a", "a"},
		{"§3.2 the first of two counts", "v=STSv1;id=a;id=b", "a"},
		{"§3.2 the others are ignored", "v=STSv1;id=a;id=b-c", "a"},

		{"§3.1 no id", "v=STSv1;", bad},
		{"§3.1 nothing", "v=STSv1", bad},
		{"§3.1 no id but an extension", "v=STSv1; x=y", bad},
		{"§3.1 33 octets", "v=STSv1;id=" + strings.Repeat("a", 33), bad},
		{"§3.1 empty id", "v=STSv1;id=;", bad},
		{"§3.1 id with a hyphen", "v=STSv1;id=2016-08-31", bad},
		{"§3.1 two delimiters", "v=STSv1;;id=a", bad},
		{"§3.1 two delimiters at the end", "v=STSv1;id=a;;", bad},
		{"§3.1 field without =", "v=STSv1;id=a;foo", bad},
		{"§3.1 blanks around =", "v=STSv1;id = a", bad},
		{"§3.1 = in a value", "v=STSv1;id=a;x=y=z", bad},
		{"§3.1 empty value", "v=STSv1;id=a;x=", bad},
		{"§3.1 blank in a value", "v=STSv1;id=a;x=y z", bad},
		{"§3.1 long name", "v=STSv1;id=a;" + strings.Repeat("x", 33) + "=y", bad},
		{"§3.1 name with a hyphen first", "v=STSv1;id=a;-x=y", bad},
		{"§3.1 not ASCII", "v=STSv1;id=a;x=\u00fc", bad},

		{"§3.1 version first", "id=a; v=STSv1;", not},
		{"§3.1 %s\"v=STSv1\"", "V=STSv1; id=a", not},
		{"§3.1 %s\"v=STSv1\"", "v=stsv1; id=a", not},
		{"§3.1 another version", "v=STSv11; id=a", not},
		{"§3.1 another version", "v=STSv2; id=a", not},
		{"§3.1 blank before", " v=STSv1; id=a", not},
		{"§3.1 something else", "v=spf1 -all", not},
		{"§3.1 empty", "", not},
	} {
		r, err := mtasts.ParseRecord(tt.text)
		got := r.ID
		switch {
		case err == mtasts.ErrNotSTS:
			got = not
		case err != nil:
			got = bad
		}
		if got != tt.id {
			t.Errorf("%s: %q: %q, %v, want %q", tt.section, tt.text, got, err, tt.id)
		}
		if again, err2 := mtasts.ParseRecord(r.String()); err == nil && (err2 != nil || again != r) {
			t.Errorf("%q is read back as %+v, %v", r, again, err2)
		}
	}
}

func TestLookupRecord(t *testing.T) {
	zone := dnstest.MustParse(`
		_mta-sts.one.example      TXT "v=STSv1; id=a"
		_mta-sts.parts.example    TXT "v=STS" "v1; i" "d=a"
		_mta-sts.others.example   TXT "v=spf1 -all"
		_mta-sts.others.example   TXT "v=STSv1; id=a"
		_mta-sts.others.example   TXT "v=STSv2; id=b"
		_mta-sts.two.example      TXT "v=STSv1; id=a"
		_mta-sts.two.example      TXT "v=STSv1; id=b"
		_mta-sts.half.example     TXT "v=STSv1; id=a"
		_mta-sts.half.example     TXT "v=STSv1; foo"
		_mta-sts.bad.example      TXT "v=STSv1; id=?"
		_mta-sts.alias.example    CNAME _mta-sts.one.example
		_mta-sts.other.example    TXT "hello"
		_mta-sts.fail.example     SERVFAIL
		_mta-sts.bogus.example    BOGUS
		above.example             TXT "v=STSv1; id=a"
	`)
	for _, tt := range []struct {
		section, domain, id string
		reason              mtasts.Reason
	}{
		{"§3.1", "one.example", "a", ""},
		{"§3.1", "ONE.example.", "a", ""},
		{"§3.1 strings are joined", "parts.example", "a", ""},
		{"§3.1 others are discarded", "others.example", "a", ""},
		{"§8.2 delegation", "alias.example", "a", ""},
		{"§3.1 not one", "two.example", "", mtasts.RecordInvalid},
		{"§3.1 not one", "half.example", "", mtasts.RecordInvalid},
		{"§3.1 invalid", "bad.example", "", mtasts.RecordInvalid},
		{"§3.1 none", "other.example", "", mtasts.NoRecord},
		{"§3.1 none", "above.example", "", mtasts.NoRecord},
		{"§3.4 not of the parent", "sub.one.example", "", mtasts.NoRecord},
		{"§3.1 not known", "fail.example", "", mtasts.DNSFailed},
		{"§3.1 not known", "bogus.example", "", mtasts.DNSFailed},
		{"a literal", "[192.0.2.1]", "", mtasts.NoRecord},
		{"no name", "", "", mtasts.NoRecord},
		{"no name", ".", "", mtasts.NoRecord},
		{"no name", "one.example..", "", mtasts.NoRecord},
		{"no name", "one..example", "", mtasts.NoRecord},
		{"too long", strings.Repeat("a.", 130) + "example", "", mtasts.NoRecord},
		{"U-labels", "b\u00fccher.example", "", mtasts.NoRecord},
	} {
		r, err := mtasts.LookupRecord(t.Context(), zone, tt.domain)
		var e *mtasts.Error
		if errors.As(err, &e) != (tt.reason != "") || e != nil && e.Reason != tt.reason || r.ID != tt.id {
			t.Errorf("%s: %s: %+v, %v, want %q %s", tt.section, tt.domain, r, err, tt.id, tt.reason)
		}
	}
	if queries := len(zone.Queries()); queries != 13 {
		t.Errorf("%d queries: some were for names that cannot be", queries)
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := mtasts.LookupRecord(ctx, dnstest.MustParse("_mta-sts.stall.example STALL"), "stall.example"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
