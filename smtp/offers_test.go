package smtp

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestOfferedLimits(t *testing.T) {
	tests := []struct {
		section string
		param   string
		want    OfferedLimits
		again   string // what String gives
	}{
		{"RFC 9422 4", "RCPTMAX=20 MAILMAX=5", OfferedLimits{5, 20, 0}, "MAILMAX=5 RCPTMAX=20"},
		{"RFC 9422 4", "mailmax=5  Rcptmax=20 rcptDomainMax=1", OfferedLimits{5, 20, 1}, "MAILMAX=5 RCPTMAX=20 RCPTDOMAINMAX=1"},
		{"RFC 9422 4", "MAILMAX=999999", OfferedLimits{MailMax: 999999}, "MAILMAX=999999"},
		{"RFC 9422 4 six digits", "MAILMAX=1000000 RCPTMAX=1", OfferedLimits{RcptMax: 1}, "RCPTMAX=1"},
		{"RFC 9422 4 not zero", "MAILMAX=0 RCPTMAX=1", OfferedLimits{RcptMax: 1}, "RCPTMAX=1"},
		{"RFC 9422 4", "MAILMAX=05 RCPTMAX=1", OfferedLimits{RcptMax: 1}, "RCPTMAX=1"},
		{"RFC 9422 3 broken", "MAILMAX MAILMAX= MAILMAX=x MAILMAX=-1 MAILMAX=+1 MAILMAX=1x MAILMAX==1 RCPTMAX=1", OfferedLimits{RcptMax: 1}, "RCPTMAX=1"},
		{"RFC 9422 3 unknown", "SOMETHING=1 FLAG X_Y=a=b =5 RCPTMAX=1", OfferedLimits{RcptMax: 1}, "RCPTMAX=1"},
		{"twice", "RCPTMAX=9 RCPTMAX=3 RCPTMAX=5", OfferedLimits{RcptMax: 3}, "RCPTMAX=3"},
		{"nothing", "", OfferedLimits{}, ""},
	}
	for _, test := range tests {
		got := Offers{ExtLimits: test.param}.Limits()
		if got != test.want || got.String() != test.again {
			t.Errorf("%s: %q is %+v, %q", test.section, test.param, got, got)
		}
	}
	if got := (Offers{}).Limits(); got != (OfferedLimits{}) {
		t.Errorf("without LIMITS: %+v", got)
	}
	if got := (OfferedLimits{-1, 1 << 40, 0}).String(); got != "RCPTMAX=999999" {
		t.Errorf("%q", got)
	}
}

func TestDeliverByMin(t *testing.T) {
	tests := []struct {
		offers Offers
		min    time.Duration
		ok     bool
	}{
		{nil, 0, false},
		{Offers{ExtDeliverBy: ""}, 0, true},
		{Offers{ExtDeliverBy: "240"}, 4 * time.Minute, true},
		{Offers{ExtDeliverBy: "240,future=1,x"}, 4 * time.Minute, true}, // RFC 2852 §2
		{Offers{ExtDeliverBy: ",future"}, 0, true},
		{Offers{ExtDeliverBy: "1000000000"}, 0, true},
		{Offers{ExtDeliverBy: "-5"}, 0, true},
	}
	for _, test := range tests {
		if min, ok := test.offers.DeliverByMin(); min != test.min || ok != test.ok {
			t.Errorf("%v: %v, %v", test.offers, min, ok)
		}
	}
}

func TestFutureRelease(t *testing.T) {
	date := utc(2030, 1, 1, 0, 0, 0)
	tests := []struct {
		offers   Offers
		interval time.Duration
		date     time.Time
		ok       bool
	}{
		{nil, 0, time.Time{}, false},
		{Offers{ExtFutureRelease: ""}, 0, time.Time{}, true},
		{Offers{ExtFutureRelease: "86400 2030-01-01T00:00:00Z"}, 24 * time.Hour, date, true},
		{Offers{ExtFutureRelease: "86400  2030-01-01T01:00:00+01:00 "}, 24 * time.Hour, date, true},
		{Offers{ExtFutureRelease: "86400"}, 24 * time.Hour, time.Time{}, true},
		{Offers{ExtFutureRelease: "x 2030-01-01T00:00:00Z"}, 0, date, true},
	}
	for _, test := range tests {
		interval, date, ok := test.offers.FutureRelease()
		if interval != test.interval || date != test.date || ok != test.ok {
			t.Errorf("%v: %v, %v, %v", test.offers, interval, date, ok)
		}
	}
}

func TestNoSoliciting(t *testing.T) {
	tests := []struct {
		offers  Offers
		classes []string
		ok      bool
	}{
		{nil, nil, false},
		{Offers{ExtNoSoliciting: ""}, nil, true}, // RFC 3865 §2.2
		{Offers{ExtNoSoliciting: "net.example:ADV,org.example:ADV:ADLT"}, []string{"net.example:ADV", "org.example:ADV:ADLT"}, true},
		{Offers{ExtNoSoliciting: "a b"}, nil, true},
	}
	for _, test := range tests {
		if classes, ok := test.offers.NoSoliciting(); !slices.Equal(classes, test.classes) || ok != test.ok {
			t.Errorf("%v: %q, %v", test.offers, classes, ok)
		}
	}
}

// A value past what the server announces is refused by the server and never
// leaves the client.
func TestFits(t *testing.T) {
	offers := Offers{ExtDeliverBy: "60", ExtFutureRelease: "3600 2030-01-01T00:00:00Z"}
	tests := []struct {
		section string
		param   string
		code    int // 0: fits
		reason  string
	}{
		{"RFC 2852 3", "BY=60;R", 0, ""},
		{"RFC 2852 3", "BY=59;R", 555, "time of BY is less than the minimum offered"},
		{"RFC 2852 3 only R", "BY=59;N", 0, ""},
		{"RFC 4865 4.2 7", "HOLDFOR=3600", 0, ""},
		{"RFC 4865 4.2 7", "HOLDFOR=3601", 501, "HOLDFOR is more than is offered"},
		{"RFC 4865 4.2 8", "HOLDUNTIL=2030-01-01T00:00:00Z", 0, ""},
		{"RFC 4865 4.2 8", "HOLDUNTIL=2030-01-01T00:00:01Z", 501, "HOLDUNTIL is later than is offered"},
		{"RFC 4865 4.2 8", "HOLDUNTIL=2030-01-01T00:00:00.1Z", 501, "HOLDUNTIL is later than is offered"},
	}
	for _, test := range tests {
		var p MailParams
		if _, err := ParseMail("FROM:<> "+test.param, every(), &p); err != nil {
			t.Fatal(err)
		}
		_, err := ParseMail("FROM:<> "+test.param, offers, nil)
		check := offers.CheckMail(&p)
		if test.code == 0 {
			if err != nil || check != nil {
				t.Errorf("%s: %s: %v, %v", test.section, test.param, err, check)
			}
			continue
		}
		var syntax *SyntaxError
		if !errors.As(err, &syntax) || syntax.Code != test.code || syntax.Enhanced != Enh(5, 4) || syntax.Reason != test.reason {
			t.Errorf("%s: %s: %v", test.section, test.param, err)
		}
		name, _, _ := strings.Cut(test.param, "=")
		var refused *NotOfferedError
		if !errors.As(check, &refused) || refused.Param != name || refused.Reason != test.reason {
			t.Errorf("%s: CheckMail of %s: %v", test.section, test.param, check)
		}
	}
}

func TestOwnFits(t *testing.T) {
	own := &Extension{Keyword: "OWN",
		Mail: []MailParam{{Name: "M", Fits: func(o Offers, p *MailParams) error { return errors.New("internal text") }}},
		Rcpt: []RcptParam{{Name: "R", Fits: func(o Offers, p *RcptParams) error { return badValue(1, "too much") }}},
	}
	offers := Offers{"OWN": ""}
	var syntax *SyntaxError
	if _, err := ParseMail("FROM:<> M=1", offers, nil, own); !errors.As(err, &syntax) || syntax.Reason != "parameter value is not valid" {
		t.Error(err)
	}
	if _, err := ParseRcpt("TO:<a@b> R=1", offers, nil, own); !errors.As(err, &syntax) || syntax.Offset != 12 || syntax.Reason != "too much" {
		t.Error(err)
	}
	var refused *NotOfferedError
	if err := offers.CheckMail(&MailParams{}, own); !errors.As(err, &refused) || *refused != (NotOfferedError{"OWN", "M", "internal text"}) {
		t.Error(err)
	}
	if err := offers.CheckRcpt(&RcptParams{}, own); !errors.As(err, &refused) || *refused != (NotOfferedError{"OWN", "R", "too much"}) {
		t.Error(err)
	}
}

// What may be left out for a server that does not know it, and what may not.
func TestDropAdvisoryExtensions(t *testing.T) {
	within := func(m DeliverMode) DeliverBy { return DeliverBy{time.Minute, m, false} }
	tests := []struct {
		section string
		p       MailParams
		drop    bool
	}{
		{"RFC 2852 4.1.4.2", MailParams{By: within(DeliverNotify)}, true},
		{"RFC 2852 4.1.4.1", MailParams{By: within(DeliverReturn)}, false},
		{"RFC 8689 4.2.1", MailParams{RequireTLS: true}, false},
		{"RFC 6710 4.3", MailParams{Priority: NewPriority(3)}, true},
		{"RFC 4865 4.1", MailParams{Hold: Hold{For: time.Second}}, false},
		{"RFC 4865 4.1", MailParams{Hold: Hold{Until: utc(2030, 1, 1, 0, 0, 0)}}, false},
		{"RFC 3865 2.7", MailParams{Solicit: "a"}, true},
		{"draft-hall-prdr 3", MailParams{PRDR: true}, true},
	}
	for _, test := range tests {
		p := test.p
		if every().DropAdvisory(&p); !reflect.DeepEqual(p, test.p) {
			t.Errorf("%s: %+v became %+v where everything is offered", test.section, test.p, p)
		}
		Offers(nil).DropAdvisory(&p)
		if got := reflect.DeepEqual(p, MailParams{}); got != test.drop {
			t.Errorf("%s: %+v: dropped %v", test.section, test.p, got)
		}
		if err := Offers(nil).CheckMail(&p); (err == nil) != test.drop {
			t.Errorf("%s: %+v: %v", test.section, test.p, err)
		}
	}
	since := utc(2014, 1, 1, 0, 0, 0)
	for action, drop := range map[RRVSAction]bool{0: false, RRVSReject: false, RRVSContinue: true} { // RFC 7293 §5.1.1
		full := RcptParams{Notify: NotifyDelay, RRVS: &RRVS{since, action}}
		p := full
		if every().DropAdvisoryRcpt(&p); !reflect.DeepEqual(p, full) {
			t.Errorf("%q was dropped where RRVS is offered", action)
		}
		without(ExtRRVS).DropAdvisoryRcpt(&p)
		if (p.RRVS == nil) != drop || p.Notify != NotifyDelay {
			t.Errorf("%q: %+v", action, p)
		}
		if err := without(ExtRRVS).CheckRcpt(&p); (err == nil) != drop {
			t.Errorf("%q: %v", action, err)
		}
	}
	dropped := 0
	own := &Extension{Keyword: "OWN", Mail: []MailParam{{Name: "M", Drop: func(*MailParams) { dropped++ }}}, Rcpt: []RcptParam{{Name: "R", Drop: func(*RcptParams) { dropped++ }}}}
	for _, offers := range []Offers{nil, {"OWN": ""}} {
		offers.DropAdvisory(&MailParams{}, own)
		offers.DropAdvisoryRcpt(&RcptParams{}, own)
	}
	if dropped != 2 {
		t.Errorf("own rows were asked %d times", dropped)
	}
}
