//go:build idle && unix

package main

import "testing"

// TestIdle holds 10,000 connections open on each Go server, in the clear and
// under implicit TLS, and reports the resident memory each costs the server:
// after EHLO, and after a message.
func TestIdle(t *testing.T) {
	if err := raiseFileLimit(idleConns + 1000); err != nil {
		t.Skip(err)
	}
	for _, p := range installed(peers()) {
		if p.name == sinkName {
			continue
		}
		for _, mode := range []struct {
			name string
			security
		}{{"plain", plaintext}, {"TLS", implicitTLS}} {
			t.Run(p.name+"/"+mode.name, func(t *testing.T) {
				greeted, used, err := idleMemory(p, mode.security)
				if err != nil {
					t.Fatal(err)
				}
				t.Logf("%d idle connections: %.1f KB each after EHLO, %.1f KB after a message", idleConns, greeted, used)
			})
		}
	}
}
