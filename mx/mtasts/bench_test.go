package mtasts_test

import (
	"testing"

	"github.com/postrider/postrider/mx/mtasts"
)

// What a delivery pays to a domain whose policy is known, and to one without.
func BenchmarkLookup(b *testing.B) {
	zone, fetcher, srv := exampleNet()
	defer srv.Close()
	for name, domain := range map[string]string{"policy": "example.net", "none": "example.org"} {
		b.Run(name, func(b *testing.B) {
			c := &mtasts.Cache{Resolver: zone, Fetcher: fetcher}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Lookup(b.Context(), domain); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
