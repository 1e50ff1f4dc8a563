package smtp

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

func utc(year int, month time.Month, day, hour, minute, second int) time.Time {
	return time.Date(year, month, day, hour, minute, second, 0, time.UTC)
}

// What extensions beyond the foundation add to MAIL: what is read, and what is
// written again.
func TestMailExtensionParams(t *testing.T) {
	by := func(within time.Duration, mode DeliverMode, trace bool) MailParams {
		return MailParams{By: DeliverBy{within, mode, trace}}
	}
	until := func(t time.Time) MailParams { return MailParams{Hold: Hold{Until: t}} }
	classes := "a" + strings.Repeat(",org.example:ADV", 62) + ":" + strings.Repeat("x", 6)
	tests := []struct {
		section string
		params  string
		want    MailParams
		written string // "" when params is written again
	}{
		{"RFC 2852 4", "BY=120;R", by(2*time.Minute, DeliverReturn, false), ""},
		{"RFC 2852 4", "by=1;rt", by(time.Second, DeliverReturn, true), "BY=1;RT"},
		{"RFC 2852 4", "BY=+5;N", by(5*time.Second, DeliverNotify, false), "BY=5;N"},
		{"RFC 2852 4", "BY=0;N", by(0, DeliverNotify, false), ""},
		{"RFC 2852 4", "BY=-0;N", by(0, DeliverNotify, false), "BY=0;N"},
		{"RFC 2852 4", "BY=-999999999;NT", by(-999999999*time.Second, DeliverNotify, true), ""},
		{"RFC 2852 4", "BY=999999999;R", by(999999999*time.Second, DeliverReturn, false), ""},
		{"RFC 8689 4", "REQUIRETLS", MailParams{RequireTLS: true}, ""},
		{"RFC 8689 4", "requiretls", MailParams{RequireTLS: true}, "REQUIRETLS"},
		{"RFC 6710 7", "MT-PRIORITY=9", MailParams{Priority: NewPriority(9)}, ""},
		{"RFC 6710 7", "MT-PRIORITY=-9", MailParams{Priority: NewPriority(-9)}, ""},
		{"RFC 6710 7", "mt-priority=0", MailParams{Priority: NewPriority(0)}, "MT-PRIORITY=0"},
		{"RFC 4865 3", "HOLDFOR=1", MailParams{Hold: Hold{For: time.Second}}, ""},
		{"RFC 4865 3", "HOLDFOR=999999999", MailParams{Hold: Hold{For: 999999999 * time.Second}}, ""},
		{"RFC 4865 3", "HOLDUNTIL=2030-12-31T23:59:59Z", until(utc(2030, 12, 31, 23, 59, 59)), ""},
		{"RFC 3339 5.6", "HOLDUNTIL=2030-12-31t23:59:59z", until(utc(2030, 12, 31, 23, 59, 59)), "HOLDUNTIL=2030-12-31T23:59:59Z"},
		{"RFC 3339 4.3", "HOLDUNTIL=2030-12-31T23:59:59-00:00", until(utc(2030, 12, 31, 23, 59, 59)), "HOLDUNTIL=2030-12-31T23:59:59Z"},
		{"RFC 3339 5.6 never early", "HOLDUNTIL=2030-12-31T23:59:59.000000000001Z", until(utc(2031, 1, 1, 0, 0, 0)), "HOLDUNTIL=2031-01-01T00:00:00Z"},
		{"RFC 3339 5.6", "HOLDUNTIL=2030-12-31T23:59:59.000Z", until(utc(2030, 12, 31, 23, 59, 59)), "HOLDUNTIL=2030-12-31T23:59:59Z"},
		{"RFC 3339 5.7 leap second", "HOLDUNTIL=2016-12-31T23:59:60Z", until(utc(2017, 1, 1, 0, 0, 0)), "HOLDUNTIL=2017-01-01T00:00:00Z"},
		{"RFC 3339 5.7 leap year", "HOLDUNTIL=2028-02-29T00:00:00Z", until(utc(2028, 2, 29, 0, 0, 0)), ""},
		{"RFC 3865 2.3", "SOLICIT=net.example:ADV,org.example:ADV:ADLT", MailParams{Solicit: "net.example:ADV,org.example:ADV:ADLT"}, ""},
		{"RFC 3865 2.2", "SOLICIT=a", MailParams{Solicit: "a"}, ""},
		{"RFC 3865 2.2", "SOLICIT=" + classes, MailParams{Solicit: classes}, ""},
		{"draft-hall-prdr 4.2", "prdr", MailParams{PRDR: true}, "PRDR"},
		{"RFC 4865 5.2", "BY=10;R HOLDFOR=9", MailParams{By: DeliverBy{10 * time.Second, DeliverReturn, false}, Hold: Hold{For: 9 * time.Second}}, ""},
		{"the table's order", "PRDR SOLICIT=a HOLDFOR=1 MT-PRIORITY=1 REQUIRETLS BY=9;N SIZE=1",
			MailParams{Size: 1, By: DeliverBy{9 * time.Second, DeliverNotify, false}, RequireTLS: true, Priority: NewPriority(1), Hold: Hold{For: time.Second}, Solicit: "a", PRDR: true},
			"SIZE=1 BY=9;N REQUIRETLS MT-PRIORITY=1 HOLDFOR=1 SOLICIT=a PRDR"},
	}
	for _, test := range tests {
		var p MailParams
		from, err := ParseMail("FROM:<a@b> "+test.params, every(), &p)
		if err != nil || !reflect.DeepEqual(p, test.want) {
			t.Errorf("%s: %s reads %+v, %v", test.section, test.params, p, err)
			continue
		}
		if err := p.Validate(); err != nil {
			t.Errorf("%s: %s: Validate() = %v", test.section, test.params, err)
		}
		want := test.written
		if want == "" {
			want = test.params
		}
		if s := p.By.String(); p.By.IsZero() != (s == "") || !strings.Contains(want, s) {
			t.Errorf("%s: %s: By is %q", test.section, test.params, s)
		}
		if got := string(AppendMail(nil, from, &p)); got != "MAIL FROM:<a@b> "+want+"\r\n" {
			t.Errorf("%s: %s is written %q", test.section, test.params, got)
		}
	}
}

func TestMailExtensionParamErrors(t *testing.T) {
	const (
		number = "BY is not a number of at most 9 digits"
		mode   = "mode of BY is neither N nor R"
		second = "BY with the mode R is not a second or more"
		prio   = "MT-PRIORITY is not from -9 to 9"
		hold   = "HOLDFOR is not from 1 to 999999999 seconds"
		date   = "HOLDUNTIL is not a date and time"
		both   = "HOLDFOR and HOLDUNTIL exclude each other"
		words  = "SOLICIT is not a list of solicitation class keywords"
	)
	tests := []struct {
		section string
		params  string
		offset  int // from the first parameter on
		reason  string
	}{
		{"RFC 2852 4", "BY", 2, "BY has no mode"},
		{"RFC 2852 4", "BY=120", 6, "BY has no mode"},
		{"RFC 2852 4", "BY=;R", 3, number},
		{"RFC 2852 4", "BY=+;R", 3, number},
		{"RFC 2852 4", "BY=--1;N", 3, number},
		{"RFC 2852 4", "BY=1.5;N", 3, number},
		{"RFC 2852 4", "BY=1000000000;R", 3, number},
		{"RFC 2852 4", "BY=-1000000000;N", 3, number},
		{"RFC 2852 4", "BY=0000000001;R", 3, number},
		{"RFC 2852 4", "BY=1;", 5, mode},
		{"RFC 2852 4", "BY=1;X", 5, mode},
		{"RFC 2852 4", "BY=1;T", 5, mode},
		{"RFC 2852 4", "BY=1;RTT", 5, mode},
		{"RFC 2852 4", "BY=1;RN", 6, "only T may follow the mode of BY"},
		{"RFC 2852 4", "BY=0;R", 3, second},
		{"RFC 2852 4", "BY=-5;R", 3, second},
		{"RFC 8689 4", "REQUIRETLS=1", 11, "REQUIRETLS takes no value"},
		{"RFC 6710 7", "MT-PRIORITY", 11, prio},
		{"RFC 6710 7", "MT-PRIORITY=10", 12, prio},
		{"RFC 6710 7", "MT-PRIORITY=-10", 12, prio},
		{"RFC 6710 7", "MT-PRIORITY=-0", 12, prio},
		{"RFC 6710 7", "MT-PRIORITY=+1", 12, prio},
		{"RFC 6710 7", "MT-PRIORITY=01", 12, prio},
		{"RFC 6710 7", "MT-PRIORITY=-", 12, prio},
		{"RFC 6710 7", "MT-PRIORITY=x", 12, prio},
		{"RFC 6710 7", "MT-PRIORITY=1.5", 12, prio},
		{"RFC 4865 3", "HOLDFOR", 7, hold},
		{"RFC 4865 3", "HOLDFOR=0", 8, hold},
		{"RFC 4865 3", "HOLDFOR=01", 8, hold},
		{"RFC 4865 3", "HOLDFOR=-1", 8, hold},
		{"RFC 4865 3", "HOLDFOR=1000000000", 8, hold},
		{"RFC 4865 3", "HOLDFOR=1h", 8, hold},
		{"RFC 4865 4.2 9", "HOLDFOR=1 HOLDFOR=1", 10, "parameter given twice"},
		{"RFC 4865 4.2 9", "HOLDFOR=1 HOLDUNTIL=2030-01-01T00:00:00Z", 20, both},
		{"RFC 4865 4.2 9", "HOLDUNTIL=2030-01-01T00:00:00Z HOLDFOR=1", 39, both},
		{"RFC 4865 3", "HOLDUNTIL", 9, date},
		{"RFC 4865 3 in UTC", "HOLDUNTIL=2030-01-01T00:00:00+01:00", 29, "HOLDUNTIL is not in UTC"},
		{"RFC 3339 5.6", "HOLDUNTIL=2030-01-01T00:00:00", 10, date},
		{"RFC 3339 5.6", "HOLDUNTIL=2030-01-01_00:00:00Z", 10, date},
		{"RFC 3339 5.6", "HOLDUNTIL=2030-1-1T00:00:00Z", 10, date},
		{"RFC 3339 5.6", "HOLDUNTIL=2030/01-01T00:00:00Z", 10, date},
		{"RFC 3339 5.6", "HOLDUNTIL=2030-01/01T00:00:00Z", 10, date},
		{"RFC 3339 5.6", "HOLDUNTIL=2030-01-01T00.00:00Z", 10, date},
		{"RFC 3339 5.6", "HOLDUNTIL=2030-01-01T00:00.00Z", 10, date},
		{"RFC 3339 5.6", "HOLDUNTIL=2030-01-01T00:00:00.Z", 10, date},
		{"RFC 3339 5.6", "HOLDUNTIL=2030-01-01T00:00:00.5", 10, date},
		{"RFC 3339 5.6", "HOLDUNTIL=2030-01-01T00:00:00Zx", 10, date},
		{"RFC 3339 5.6", "HOLDUNTIL=2030-01-01T00:00:00+0000", 10, date},
		{"RFC 3339 5.6", "HOLDUNTIL=2030-01-01T00:00:00*00:00", 10, date},
		{"RFC 3339 5.6", "HOLDUNTIL=2030-01-01T00:00:00+24:00", 10, date},
		{"RFC 3339 5.6", "HOLDUNTIL=2030-01-01T00:00:00+00:60", 10, date},
		{"RFC 3339 5.6", "HOLDUNTIL=+030-01-01T00:00:00Z", 10, date},
		{"RFC 3339 5.6", "HOLDUNTIL=20x0-01-01T00:00:00Z", 10, date},
		{"RFC 3339 5.6", "HOLDUNTIL=2030-x1-01T00:00:00Z", 10, date},
		{"RFC 3339 5.6", "HOLDUNTIL=2030-01-x1T00:00:00Z", 10, date},
		{"RFC 3339 5.6", "HOLDUNTIL=2030-01-01Tx0:00:00Z", 10, date},
		{"RFC 3339 5.6", "HOLDUNTIL=2030-01-01T00:x0:00Z", 10, date},
		{"RFC 3339 5.6", "HOLDUNTIL=2030-01-01T00:00:x0Z", 10, date},
		{"RFC 3339 5.6", "HOLDUNTIL=2030-01-01T00:00:00+x0:00", 10, date},
		{"RFC 3339 5.6", "HOLDUNTIL=2030-01-01T00:00:00+00:x0", 10, date},
		{"RFC 3339 5.7", "HOLDUNTIL=2030-00-01T00:00:00Z", 10, date},
		{"RFC 3339 5.7", "HOLDUNTIL=2030-13-01T00:00:00Z", 10, date},
		{"RFC 3339 5.7", "HOLDUNTIL=2030-01-00T00:00:00Z", 10, date},
		{"RFC 3339 5.7", "HOLDUNTIL=2030-02-29T00:00:00Z", 10, date},
		{"RFC 3339 5.7", "HOLDUNTIL=2030-04-31T00:00:00Z", 10, date},
		{"RFC 3339 5.7", "HOLDUNTIL=2030-01-01T24:00:00Z", 10, date},
		{"RFC 3339 5.7", "HOLDUNTIL=2030-01-01T00:60:00Z", 10, date},
		{"RFC 3339 5.7", "HOLDUNTIL=2030-01-01T00:00:61Z", 10, date},
		{"RFC 3339 5.7 no leap second", "HOLDUNTIL=2016-12-30T23:59:60Z", 10, date},
		{"RFC 3339 5.7 no leap second", "HOLDUNTIL=2016-12-31T23:58:60Z", 10, date},
		{"RFC 3339 5.7 no leap second", "HOLDUNTIL=2017-01-01T00:00:60Z", 10, date},
		{"not to be told from none", "HOLDUNTIL=0001-01-01T00:00:00Z", 10, date},
		{"a fifth digit", "HOLDUNTIL=9999-12-31T23:59:59.5Z", 10, date},
		{"RFC 3865 2.2", "SOLICIT", 7, words},
		{"RFC 3865 2.2", "SOLICIT=,a", 8, words},
		{"RFC 3865 2.2", "SOLICIT=a,", 8, words},
		{"RFC 3865 2.2", "SOLICIT=a,,b", 8, words},
		{"RFC 3865 2.2", "SOLICIT=1a", 8, words},
		{"RFC 3865 2.2", "SOLICIT=a,:b", 8, words},
		{"RFC 3865 2.2", "SOLICIT=a;b", 8, words},
		{"RFC 3865 2.2", "SOLICIT=" + strings.Repeat("x", 1001), 1008, "SOLICIT is longer than 1000 octets"},
		{"draft-hall-prdr 4.2", "PRDR=1", 5, "PRDR takes no value"},
		{"RFC 4865 5.2.2", "HOLDFOR=11 BY=10;R", 0, "HOLDFOR ends after BY"},
		{"RFC 4865 5.2.2", "BY=-1;N HOLDFOR=1", 0, "HOLDFOR ends after BY"},
	}
	const path = "FROM:<a@b> "
	for _, test := range tests {
		p := MailParams{}
		_, err := ParseMail(path+test.params, every(), &p)
		var syntax *SyntaxError
		if !errors.As(err, &syntax) {
			t.Errorf("%s: %s reads %+v, %v", test.section, test.params, p, err)
			continue
		}
		want := SyntaxError{501, Enh(5, 4), len(path) + test.offset, test.reason}
		if test.reason == prio {
			want.Enhanced = Enh(5, 2) // RFC 6710 §4.1
		}
		if *syntax != want {
			t.Errorf("%s: %s: %+v, want %+v", test.section, test.params, *syntax, want)
		}
	}
}

func TestRRVS(t *testing.T) {
	since := utc(2014, 4, 3, 23, 1, 0)
	tests := []struct {
		section string
		value   string
		want    RRVS
		written string // "" when value is written again
	}{
		{"RFC 7293 3.1", "2014-04-03T23:01:00Z", RRVS{Since: since}, ""},
		{"RFC 7293 3.1", "2014-04-03T23:01:00Z;R", RRVS{since, RRVSReject}, ""},
		{"RFC 7293 3.1", "2014-04-03t23:01:00z;c", RRVS{since, RRVSContinue}, "2014-04-03T23:01:00Z;C"},
		{"RFC 3339 5.6", "2014-04-04T01:31:00+02:30", RRVS{Since: since}, "2014-04-03T23:01:00Z"},
		{"RFC 3339 5.6", "2014-04-03T15:01:00-08:00;C", RRVS{since, RRVSContinue}, "2014-04-03T23:01:00Z;C"},
		{"RFC 3339 5.6", "0000-02-29T00:00:00Z", RRVS{Since: utc(0, 2, 29, 0, 0, 0)}, ""},
		{"RFC 3339 5.6", "9999-12-31T23:59:59Z", RRVS{Since: utc(9999, 12, 31, 23, 59, 59)}, ""},
		{"RFC 3339 5.6", "2014-04-04T23:00:00+23:59", RRVS{Since: utc(2014, 4, 3, 23, 1, 0)}, "2014-04-03T23:01:00Z"},
		{"RFC 3339 5.7", "1990-12-31T15:59:60-08:00", RRVS{Since: utc(1991, 1, 1, 0, 0, 0)}, "1991-01-01T00:00:00Z"},
	}
	for _, test := range tests {
		var p RcptParams
		to, err := ParseRcpt("TO:<a@b> rrvs="+test.value, every(), &p)
		if err != nil || p.RRVS == nil || *p.RRVS != test.want || p.Validate() != nil {
			t.Errorf("%s: %s reads %+v, %v, %v", test.section, test.value, p, err, p.Validate())
			continue
		}
		want := test.written
		if want == "" {
			want = test.value
		}
		if got := string(AppendRcpt(nil, to, &p)); got != "RCPT TO:<a@b> RRVS="+want+"\r\n" || p.RRVS.String() != want {
			t.Errorf("%s: %s is written %q, %s", test.section, test.value, got, p.RRVS)
		}
	}
	errs := []struct {
		section string
		value   string
		offset  int
		reason  string
	}{
		{"RFC 7293 3.1", "", 0, "RRVS is not a date and time"},
		{"RFC 7293 3.1", "=;C", 1, "RRVS is not a date and time"},
		{"RFC 7293 3.1", "=2014-04-03", 1, "RRVS is not a date and time"},
		{"RFC 7293 3.1", "=2014-04-03T23:01:00", 1, "RRVS is not a date and time"},
		{"RFC 7293 3.1 time-secfrac", "=2014-04-03T23:01:00.5Z", 20, "RRVS has a fraction of a second"},
		{"RFC 7293 3.1 time-secfrac", "=2014-04-03T23:01:00.0Z;C", 20, "RRVS has a fraction of a second"},
		{"RFC 7293 3.1", "=2014-04-03T23:01:00Z;", 22, "action of RRVS is neither C nor R"},
		{"RFC 7293 3.1", "=2014-04-03T23:01:00Z;X", 22, "action of RRVS is neither C nor R"},
		{"RFC 7293 3.1", "=2014-04-03T23:01:00Z;CR", 22, "action of RRVS is neither C nor R"},
		{"RFC 7293 3.1", "=2014-04-03T23:01:00Z;C;R", 22, "action of RRVS is neither C nor R"},
		{"before the year 0", "=0000-01-01T00:00:00+01:00", 1, "RRVS is not a date and time"},
		{"after the year 9999", "=9999-12-31T23:59:59-00:01", 1, "RRVS is not a date and time"},
	}
	for _, test := range errs {
		const head = "TO:<a@b> RRVS"
		_, err := ParseRcpt(head+test.value, every(), nil)
		want := SyntaxError{501, Enh(5, 4), len(head) + test.offset, test.reason}
		var syntax *SyntaxError
		if !errors.As(err, &syntax) || *syntax != want {
			t.Errorf("%s: RRVS%s: %v, want %+v", test.section, test.value, err, want)
		}
	}
}

// A parameter that is not offered, and one that belongs to the other verb, is
// one that the server does not know (RFC 5321 §4.1.1.11).
func TestUnofferedParams(t *testing.T) {
	mail := map[string]Keyword{
		"BY=9;R": ExtDeliverBy, "REQUIRETLS": ExtRequireTLS, "MT-PRIORITY=1": ExtMTPriority, "HOLDFOR=1": ExtFutureRelease,
		"HOLDUNTIL=2030-01-01T00:00:00Z": ExtFutureRelease, "SOLICIT=a": ExtNoSoliciting, "PRDR": ExtPRDR,
	}
	rcpt := map[string]Keyword{"RRVS=2014-04-03T23:01:00Z": ExtRRVS, "RRVS=2014-04-03T23:01:00Z;C": ExtRRVS}
	parseMail := func(param string, o Offers) error { _, err := ParseMail("FROM:<> "+param, o, nil); return err }
	parseRcpt := func(param string, o Offers) error { _, err := ParseRcpt("TO:<a@b> "+param, o, nil); return err }
	check := func(what string, err error, reason string) {
		t.Helper()
		var syntax *SyntaxError
		if !errors.As(err, &syntax) || syntax.Code != 555 || syntax.Enhanced != Enh(5, 4) || syntax.Reason != reason {
			t.Errorf("%s: %v, want 555 5.5.4", what, err)
		}
	}
	for param, k := range mail {
		if err := parseMail(param, Offers{k: ""}); err != nil {
			t.Errorf("%s with %s: %v", param, k, err)
		}
		check(param+" not offered", parseMail(param, without(k)), "parameter not offered here")
		check(param+" on RCPT", parseRcpt(param, every()), "parameter not recognized")
	}
	for param, k := range rcpt {
		if err := parseRcpt(param, Offers{k: ""}); err != nil {
			t.Errorf("%s with %s: %v", param, k, err)
		}
		check(param+" not offered", parseRcpt(param, without(k)), "parameter not offered here")
		check(param+" on MAIL", parseMail(param, every()), "parameter not recognized")
	}
}

func TestExtensionParamsValidate(t *testing.T) {
	const by9 = 9 * time.Second
	mail := []struct {
		p      MailParams
		reason string
	}{
		{MailParams{By: DeliverBy{Within: by9}}, "BY has an unknown mode"},
		{MailParams{By: DeliverBy{Trace: true}}, "BY has an unknown mode"},
		{MailParams{By: DeliverBy{by9, '\r', true}}, "BY has an unknown mode"},
		{MailParams{By: DeliverBy{1e9 * time.Second, DeliverNotify, true}}, "BY is longer than 999999999 seconds"},
		{MailParams{By: DeliverBy{-999999999*time.Second - 1, DeliverNotify, true}}, "BY is longer than 999999999 seconds"},
		{MailParams{By: DeliverBy{time.Second - 1, DeliverReturn, true}}, "BY with the mode R is not a second or more"},
		{MailParams{By: DeliverBy{-1, DeliverReturn, true}}, "BY with the mode R is not a second or more"},
		{MailParams{Priority: NewPriority(10)}, "MT-PRIORITY is not from -9 to 9"},
		{MailParams{Priority: NewPriority(-266)}, "MT-PRIORITY is not from -9 to 9"},
		{MailParams{Hold: Hold{For: -1}}, "HOLDFOR is not from 1 to 999999999 seconds"},
		{MailParams{Hold: Hold{For: 999999999*time.Second + 1}}, "HOLDFOR is not from 1 to 999999999 seconds"},
		{MailParams{Hold: Hold{For: 1, Until: utc(2030, 1, 1, 0, 0, 0)}}, "HOLDFOR and HOLDUNTIL exclude each other"},
		{MailParams{Hold: Hold{Until: utc(10000, 1, 1, 0, 0, 0)}}, "HOLDUNTIL is out of range"},
		{MailParams{Hold: Hold{Until: utc(-1, 1, 1, 0, 0, 0)}}, "HOLDUNTIL is out of range"},
		{MailParams{Solicit: "a\r\nRSET"}, "SOLICIT is not a list of solicitation class keywords"},
		{MailParams{Solicit: "a b"}, "SOLICIT is not a list of solicitation class keywords"},
		{MailParams{Solicit: strings.Repeat("x", 1001)}, "SOLICIT is not a list of solicitation class keywords"},
		{MailParams{By: DeliverBy{by9, DeliverNotify, false}, Hold: Hold{For: by9}}, "HOLDFOR is not before the end of BY"},
		{MailParams{Other: []Param{{"by", "1;N"}}}, "parameter in Other has a field of its own"},
		{MailParams{Other: []Param{{"MT-Priority", "1"}}}, "parameter in Other has a field of its own"},
		{MailParams{By: DeliverBy{by9, DeliverNotify, false}, Hold: Hold{For: 8 * time.Second}}, ""},
		{MailParams{Hold: Hold{Until: time.Date(2030, 1, 1, 0, 0, 0, 1, time.FixedZone("", 3600))}}, ""},
	}
	for _, test := range mail {
		reason := ""
		if err := test.p.Validate(); err != nil {
			reason = err.(*SyntaxError).Reason
		}
		if reason != test.reason {
			t.Errorf("%+v: %q, want %q", test.p, reason, test.reason)
		}
		checkLine(t, AppendMail(nil, ReversePath{}, &test.p))
	}
	rcpt := []struct {
		p      RRVS
		reason string
	}{
		{RRVS{Action: RRVSContinue}, "RRVS is out of range"},
		{RRVS{Since: utc(10000, 1, 1, 0, 0, 0)}, "RRVS is out of range"},
		{RRVS{Since: utc(2014, 1, 1, 0, 0, 0), Action: '\n'}, "RRVS has an unknown action"},
	}
	for _, test := range rcpt {
		p := RcptParams{RRVS: &test.p}
		if err := p.Validate(); err == nil || err.(*SyntaxError).Reason != test.reason {
			t.Errorf("%+v: %v, want %q", test.p, err, test.reason)
		}
		if got := string(AppendRcpt(nil, ForwardPath{}, &p)); got != "RCPT TO:<>\r\n" || p.RRVS.String() != "" {
			t.Errorf("%+v is written %q, %q", test.p, got, p.RRVS)
		}
	}
}

// Fractions of a second go the way that does no harm: less time for delivery,
// more time held back.
func TestFractionsOfSeconds(t *testing.T) {
	second := func(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }
	for within, want := range map[float64]string{1.999: "1;N", 0.5: "0;N", -0.5: "-1;N", -1: "-1;N", -1.001: "-2;N"} {
		if got := (DeliverBy{Within: second(within), Mode: DeliverNotify}).String(); got != want {
			t.Errorf("%v s left: %s, want %s", within, got, want)
		}
	}
	for hold, want := range map[float64]string{0.001: "1", 1: "1", 1.001: "2"} {
		got := string(AppendMail(nil, ReversePath{}, &MailParams{Hold: Hold{For: second(hold)}}))
		if got != "MAIL FROM:<> HOLDFOR="+want+"\r\n" {
			t.Errorf("%v s: %q", hold, got)
		}
	}
	until := time.Date(2030, 1, 1, 0, 59, 59, 1, time.FixedZone("", 3600))
	if got := string(AppendMail(nil, ReversePath{}, &MailParams{Hold: Hold{Until: until}})); got != "MAIL FROM:<> HOLDUNTIL=2030-01-01T00:00:00Z\r\n" {
		t.Errorf("%q", got)
	}
}

func TestPriority(t *testing.T) {
	for level := -9; level <= 9; level++ {
		p := NewPriority(level)
		if got, given := p.Level(); got != level || !given || p == (Priority{}) {
			t.Errorf("%d: %d, %v", level, got, given)
		}
	}
	for _, p := range []Priority{{}, NewPriority(10), NewPriority(-10), NewPriority(1 << 40)} {
		if level, given := p.Level(); level != 0 || given || p.String() != "" {
			t.Errorf("%v: %d, %v", p, level, given)
		}
	}
	if three := NewPriority(3); NewPriority(0) == (Priority{}) || NewPriority(len("abc")) != three {
		t.Error("comparison")
	}
}

// A server takes a message whose times end together, though a client must not
// ask for it (RFC 4865 §5.2).
func TestHoldUntilTheEndOfBy(t *testing.T) {
	var p MailParams
	if _, err := ParseMail("FROM:<> HOLDFOR=10 BY=10;R", every(), &p); err != nil {
		t.Error(err)
	}
	if err := p.Validate(); err == nil {
		t.Error("Validate() = nil")
	}
}

func TestHoldOutlastsBy(t *testing.T) {
	now := utc(2026, 5, 1, 12, 0, 0)
	by := DeliverBy{Within: time.Minute, Mode: DeliverNotify}
	tests := []struct {
		p    MailParams
		want bool
	}{
		{MailParams{}, false},
		{MailParams{By: by}, false},
		{MailParams{By: DeliverBy{-time.Minute, DeliverNotify, false}}, false},
		{MailParams{Hold: Hold{For: time.Hour}}, false},
		{MailParams{By: by, Hold: Hold{For: time.Minute}}, false},
		{MailParams{By: by, Hold: Hold{For: time.Minute + 1}}, true},
		{MailParams{By: by, Hold: Hold{Until: now.Add(time.Minute)}}, false},
		{MailParams{By: by, Hold: Hold{Until: now.Add(time.Minute + 1)}}, true},
		{MailParams{By: by, Hold: Hold{Until: now.Add(-time.Hour)}}, false},
	}
	for _, test := range tests {
		if got := test.p.HoldOutlastsBy(now); got != test.want {
			t.Errorf("%+v: %v", test.p, got)
		}
	}
	if got := (Hold{}).At(now); got != now {
		t.Error(got)
	}
}
