package middleware

import (
	"bytes"
	"fmt"
	"net/mail"
	"slices"
	"strings"
	"testing"
)

// FuzzFields: what parseFields lets through, the standard library's parser sees
// the same way.
func FuzzFields(f *testing.F) {
	for _, seed := range []string{
		"", "\r\n", "From: a@b.example\r\n\r\n", "From:\r\n a@b.example\r\n", "From : x\r\nFROM: y\r\n\r\n", "a: b\nFrom: c\r\n", " From: x\r\n",
		"Date: x\r\n\t\r\n y\r\n\r\n", "From", "From:", ":", "To: a\r\n\r\nb", "Cc: a,\r\n b\r\nBcc: \r\n", "x\x00: y\r\n", "From: a\r", "a: b\r\n \r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, header []byte) {
		got, ok := parseFields(header)
		if !ok {
			return
		}
		if bytes.Contains(bytes.ReplaceAll(header, []byte("\r\n"), nil), []byte("\n")) || bytes.IndexByte(header, 0) >= 0 {
			t.Fatalf("%q: let through", header)
		}
		section := bytes.TrimSuffix(bytes.TrimSuffix(header, []byte("\r\n")), []byte("\r\n"))
		want, err := mail.ReadMessage(strings.NewReader(string(section) + "\r\n\r\n"))
		if err != nil {
			return // it is more particular
		}
		theirs := map[string][]string{}
		for name, values := range want.Header {
			name = strings.TrimRight(strings.ToLower(name), " \t")
			if _, known := matters[name]; known {
				theirs[name] = append(theirs[name], values...)
			}
		}
		ours := map[string][]string{}
		for name, values := range got {
			for _, v := range values {
				ours[name] = append(ours[name], string(v))
			}
		}
		if sorted(ours) != sorted(theirs) {
			t.Fatalf("%q: %s, want %s", header, sorted(ours), sorted(theirs))
		}
		got.qualified()
		got.mailboxes("from")
	})
}

// sorted returns the fields in an order of their own, with one blank for any
// number.
func sorted(fields map[string][]string) string {
	for name, values := range fields {
		for i, v := range values {
			values[i] = strings.Join(strings.Fields(v), " ")
		}
		slices.Sort(fields[name])
	}
	return fmt.Sprintf("%q", fields)
}
