package tlsrpt_test

import (
	"testing"

	"github.com/postrider/postrider/mx/tlsrpt"
)

// What a connection pays for being reported.
func BenchmarkAdd(b *testing.B) {
	for name, s := range map[string]tlsrpt.Session{"success": {Time: noon, Policy: sts}, "failure": failed(tlsa, tlsrpt.TLSAInvalid, "mx.example.org")} {
		b.Run(name, func(b *testing.B) {
			var c tlsrpt.Collector
			b.ReportAllocs()
			for b.Loop() {
				c.Add(s)
			}
		})
	}
}
