package tlsrpt_test

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"github.com/postrider/postrider/mx/tlsrpt"
)

func FuzzRecord(f *testing.F) {
	for _, text := range []string{
		"v=TLSRPTv1;rua=mailto:reports@example.com", "v=TLSRPTv1 ; x=y; rua=https://example.com/?a=b , mailto:a%21b@c.example;",
		"v=TLSRPTv1", "v=TLSRPTv1;;", "v=STSv1; id=a", "v=TLSRPTv1;rua=https://[::1]:443/,mailto:%22a b%22@c",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := tlsrpt.ParseRecord(text)
		if err != nil {
			return
		}
		for _, u := range r.RUA {
			if _, ok := u.Mailbox(); ok == u.HTTPS() {
				t.Errorf("%q is neither or both", u)
			}
		}
		if again, err := tlsrpt.ParseRecord(r.String()); err != nil || !reflect.DeepEqual(again, r) {
			t.Errorf("%q is read back as %+v, %v", r, again, err)
		}
	})
}

func FuzzReport(f *testing.F) {
	var packed bytes.Buffer
	full().WriteGzip(&packed)
	f.Add([]byte(fullJSON))
	f.Add(packed.Bytes())
	f.Add([]byte(`{"policies":[{"policy":{"policy-string":"x","mx-host":["y"]},"summary":{"total-failure-session-count":"7"},"failure-details":[{"receiving-ip":"::1"}]}]}`))
	f.Add([]byte(`{"date-range":{"start-datetime":"2016-04-01"},"x":[{}],"policies":null}`))
	limits := tlsrpt.ReportLimits{MaxSize: 1 << 16, MaxPolicies: 100, MaxFailures: 100, MaxStrings: 100}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := tlsrpt.ParseReport(bytes.NewReader(data), limits)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "tlsrpt: ") {
				t.Error(err)
			}
			return
		}
		// What can be read can be written, and read again.
		var first, second bytes.Buffer
		if err := r.WriteJSON(&first); err != nil {
			return // a year beyond RFC 3339
		}
		again, err := tlsrpt.ParseReport(bytes.NewReader(first.Bytes()), tlsrpt.ReportLimits{})
		if err != nil {
			t.Fatalf("%v: %s", err, first.Bytes())
		}
		if again.WriteJSON(&second); !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Errorf("%s is read back as %s", first.Bytes(), second.Bytes())
		}
		// Whatever it says, a file name and a message are what they should be.
		if name, err := r.FileName(); err == nil && strings.ContainsAny(name, "/\\\r\n\x00\" ") {
			t.Errorf("file name %q", name)
		}
		if subject, err := r.Subject(); err == nil && strings.ContainsAny(subject, "\r\n\x00") {
			t.Errorf("subject %q", subject)
		}
		var c tlsrpt.Collector
		c.Restore(r)
		c.Snapshot(tlsrpt.Report{})
	})
}
