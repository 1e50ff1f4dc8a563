package mtasts_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/postrider/postrider/mx/mtasts"
)

func FuzzRecord(f *testing.F) {
	for _, text := range []string{"v=STSv1; id=20160831085700Z;", "v=STSv1 ;x=y;id=a", "v=STSv1", "v=STSv1;;id=a", "v=spf1 -all"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := mtasts.ParseRecord(text)
		if err != nil {
			return
		}
		if again, err := mtasts.ParseRecord(r.String()); err != nil || again != r {
			t.Errorf("%q is read back as %+v, %v", r, again, err)
		}
	})
}

func FuzzPolicy(f *testing.F) {
	f.Add(policyText, "mx.example.org")
	f.Add(strings.ReplaceAll(policyText, "\r\n", "\n"), "a.example.net")
	f.Add("version: STSv1\nmode: none\nmax_age: 9999999999\nmode: enforce\nx: y", "")
	f.Add("version:STSv1\nmode:testing\nmax_age:1\nmx:*.a.\n\n", ".a")
	f.Fuzz(func(t *testing.T, text, host string) {
		p, err := mtasts.ParsePolicy(text)
		if err != nil {
			return
		}
		if p.MaxAge < 0 || p.Mode == "" || p.Mode != mtasts.None && len(p.MX) == 0 {
			t.Errorf("%q: %+v", text, p)
		}
		if p.Matches(host) && (host == "" || host[0] == '.') {
			t.Errorf("%q matches %+v", host, p)
		}
		again, err := mtasts.ParsePolicy(p.String())
		if len(p.String()) <= 64<<10 && (err != nil || again.Mode != p.Mode || again.MaxAge != p.MaxAge || !slices.Equal(again.MX, p.MX)) {
			t.Errorf("%q is read back as %+v, %v", p, again, err)
		}
	})
}
