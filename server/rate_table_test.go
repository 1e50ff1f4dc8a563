package server

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"
)

// However many addresses come, the table stays within its bound, and who has
// been there within the minute is remembered unless half the table came later.
func TestRatesAreBounded(t *testing.T) {
	address := func(i int) netip.Prefix {
		var b [16]byte
		b[0] = 0x20
		binary.BigEndian.PutUint32(b[4:], uint32(i))
		return netip.PrefixFrom(netip.AddrFrom16(b), 64)
	}
	r, now := newRates(1), time.Now()
	for i := range 3 * maxRated {
		if !r.take(address(i), now) {
			t.Fatalf("address %d is refused", i)
		}
		if n := len(r.young) + len(r.old); n > maxRated {
			t.Fatalf("%d entries", n)
		}
		if i >= maxRated/2-1 && r.take(address(i-maxRated/2+1), now) {
			t.Fatalf("address %d is forgotten", i-maxRated/2+1)
		}
	}
	// A minute later the buckets are full, and the old ones are dropped as
	// others come.
	last := address(3*maxRated - 1)
	for range 2 {
		now = now.Add(time.Minute)
		if !r.take(last, now) || r.take(last, now) {
			t.Error("after a minute there is not one token")
		}
	}
	if n := len(r.young) + len(r.old); n != 2 {
		t.Errorf("%d entries are left", n)
	}
}

// Whatever the rate, a bucket holds as many tokens, and a minute fills it.
func TestRatesAreExact(t *testing.T) {
	key := netip.MustParsePrefix("192.0.2.1/32")
	for _, perMinute := range []int{1, 2, 7, 60, 97, 10000} {
		r, now := newRates(perMinute), time.Now()
		for range 3 {
			for i := range perMinute {
				if !r.take(key, now) {
					t.Fatalf("%d a minute: number %d is refused", perMinute, i+1)
				}
			}
			if r.take(key, now) {
				t.Fatalf("%d a minute: one more is let in", perMinute)
			}
			now = now.Add(time.Minute)
		}
	}
	if newRates(0) != nil {
		t.Error("a rate that is no limit has a table")
	}
}
