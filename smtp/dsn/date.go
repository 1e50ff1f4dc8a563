package dsn

import (
	"strings"
	"time"
)

// dateLayout is a date-time of RFC 5322 §3.3 with a numeric zone, as RFC 3464 §2.2.5
// wants it.
const dateLayout = "Mon, 2 Jan 2006 15:04:05 -0700"

// dateLayouts are those that are read, without the day of the week.
var dateLayouts = [...]string{
	"2 Jan 2006 15:04:05 -0700",
	"2 Jan 2006 15:04 -0700",
	"2 Jan 06 15:04:05 -0700",
	"2 Jan 06 15:04 -0700",
	"2 Jan 2006 15:04:05",
	"Jan 2 15:04:05 2006", // asctime
	time.RFC3339,
}

// zones are those of RFC 5322 §4.3 that mean something.
var zones = [...][2]string{
	{" UTC", " +0000"}, {" GMT", " +0000"}, {" UT", " +0000"}, {" Z", " +0000"},
	{" EST", " -0500"}, {" EDT", " -0400"}, {" CST", " -0600"}, {" CDT", " -0500"},
	{" MST", " -0700"}, {" MDT", " -0600"}, {" PST", " -0800"}, {" PDT", " -0700"},
}

// parseDate returns the zero time for what is no date. A comment at the end, mostly
// the name of the zone, is left out.
func parseDate(s string) (t time.Time) {
	s, _, _ = strings.Cut(s, "(")
	s = strings.Join(strings.Fields(s), " ")
	if i := strings.IndexByte(s, ','); i >= 0 {
		s = strings.TrimSpace(s[i+1:])
	} else if len(s) > 4 && s[3] == ' ' && s[4] > '9' { // "Mon Jan 2 …"
		s = s[4:]
	}
	if len(s) > len("2 Jan 2006 15:04:05 -0700 ")+10 {
		return t
	}
	for _, zone := range zones {
		if head, ok := strings.CutSuffix(s, zone[0]); ok {
			s = head + zone[1]
			break
		}
	}
	for _, layout := range dateLayouts {
		if parsed, err := time.Parse(layout, s); err == nil {
			t = parsed
			date{&t}.tidy()
			return t
		}
	}
	return t
}
