package smtp

import "time"

const dateTimeLen = len("2006-01-02T15:04:05Z")

// dateTime = full-date "T" partial-time time-offset (RFC 3339 §5.6); fraction
// tells whether a time-secfrac stood there. It is rounded up: what must not
// happen before the time does not. The result is in UTC, in whole seconds.
func dateTime(s string) (t time.Time, offset string, fraction, ok bool) {
	if len(s) < dateTimeLen || s[4] != '-' || s[7] != '-' || upper(s[10]) != 'T' || s[13] != ':' || s[16] != ':' {
		return
	}
	year := digits(s[:4])
	month, day := digits(s[5:7]), digits(s[8:10])
	hour, minute, second := digits(s[11:13]), digits(s[14:16]), digits(s[17:19])
	if year < 0 || month < 1 || month > 12 || day < 1 || hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60 {
		return
	}
	i, up := 19, 0
	if s[i] == '.' {
		for i++; i < len(s) && isDigit(s[i]); i++ {
			if s[i] != '0' {
				up = 1
			}
		}
		if fraction = i > 20; !fraction {
			return
		}
	}
	east, ok := timeOffset(s[i:])
	if !ok {
		return
	}
	t = time.Date(year, time.Month(month), day, hour, minute, min(second, 59), 0, time.UTC)
	if t.Day() != day {
		return t, "", fraction, false // §5.7
	}
	t = t.Add(-east)
	if second == 60 { // §5.7: leap seconds are inserted at the end of a month, in UTC
		if t = t.Add(time.Second); t.Day() != 1 || t.Hour() != 0 || t.Minute() != 0 {
			return t, "", fraction, false
		}
	}
	t = t.Add(time.Duration(up) * time.Second)
	return t, s[i:], fraction, isDate(t)
}

// isDate reports whether t can be written in four digits and is not the zero
// time, which stands for none.
func isDate(t time.Time) bool {
	t = t.UTC()
	return !t.IsZero() && t.Year() >= 0 && t.Year() <= 9999
}

// timeOffset = "Z" / ("+" / "-") time-hour ":" time-minute
func timeOffset(s string) (east time.Duration, ok bool) {
	if len(s) == 1 {
		return 0, upper(s[0]) == 'Z'
	}
	if len(s) != len("+00:00") || s[3] != ':' || s[0] != '+' && s[0] != '-' {
		return 0, false
	}
	hour, minute := digits(s[1:3]), digits(s[4:6])
	if hour < 0 || hour > 23 || minute < 0 || minute > 59 {
		return 0, false
	}
	east = time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute
	if s[0] == '-' {
		east = -east
	}
	return east, true
}

// digits returns the number that s is, -1 when s has anything but digits.
func digits(s string) int {
	n := 0
	for i := 0; i < len(s); i++ {
		if !isDigit(s[i]) {
			return -1
		}
		n = n*10 + int(s[i]-'0')
	}
	return n
}

// appendDateTime appends t in UTC, in whole seconds, rounded up.
func appendDateTime(dst []byte, t time.Time) []byte {
	return wholeSeconds(t).AppendFormat(dst, "2006-01-02T15:04:05Z")
}

func wholeSeconds(t time.Time) time.Time {
	t = t.UTC()
	if ns := t.Nanosecond(); ns > 0 {
		t = t.Add(time.Second - time.Duration(ns))
	}
	return t
}
