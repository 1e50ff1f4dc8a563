// Package costtest lets a test fail when work costs far more than it should, on
// machines fast and slow, busy and not, and under the race detector.
package costtest

import (
	"testing"
	"time"
)

// AtMost runs work and fails the test if that takes longer than it takes here to
// go through so many megabytes octet by octet, about a millisecond each on a
// machine of today. Something else may have run in the work's place: what has
// taken too long is measured twice more, and the least counts.
func AtMost(t testing.TB, megabytes int, what string, work func()) {
	t.Helper()
	octets := make([]byte, 1<<20)
	pass(octets) // the first one finds no memory in place
	unit := pass(octets)
	var least, limit time.Duration
	for try := range 3 {
		began := time.Now()
		work()
		took := time.Since(began)
		unit = max(unit, pass(octets))
		if least = min(least, took); try == 0 {
			least = took
		}
		if limit = time.Duration(megabytes) * unit; least <= limit {
			return
		}
	}
	t.Errorf("%s took %v, may take %v", what, least, limit)
}

// pass returns how long it takes to go through the octets.
func pass(octets []byte) time.Duration {
	began := time.Now()
	sum := byte(0)
	for i, b := range octets {
		octets[i] = b*31 + sum
		sum += b
	}
	return time.Since(began)
}
