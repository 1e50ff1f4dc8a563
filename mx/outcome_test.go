package mx_test

import (
	"strings"
	"testing"

	"github.com/postrider/postrider/mx"
	"github.com/postrider/postrider/mx/dns/dnstest"
	"github.com/postrider/postrider/server/smtptest"
)

// A server that stands in the way of a message: what its sender is told if there is
// no other host, and whether another host gets the message if there is one.
var faults = []struct {
	name    string
	section string
	script  string // of the first connection; those after it are played by again
	again   string // if "", as script
	policy  mx.Policy
	want    string // alone
	next    bool   // the next host has it
}{
	// Until the greeting.
	{"refused greeting for now", "RFC 5321 §3.1", "S: 421 4.3.2 closing\nS: <close>\n", "", mx.Policy{}, "deferred host 421 4.3.2", true},
	{"busy greeting", "RFC 5321 §4.2.1", "S: 450 busy\nC: QUIT\nS: <close>\n", "", mx.Policy{}, "deferred host 450", true},
	{"refused greeting", "RFC 5321 §3.1", "S: 554 no\nC: QUIT\nS: <close>\n", "", mx.Policy{}, "failed host 554", true},
	{"host takes no mail", "RFC 7504 §3", "S: 521 5.3.2 no mail here\nC: QUIT\nS: <close>\n", "", mx.Policy{}, "failed host 521 5.3.2", true},
	{"hangs up at once", "RFC 5321 §5.1", "S: <close>\n", "", mx.Policy{}, "deferred host 451 4.4.2 ours", true},
	{"greets with garbage", "RFC 5321 §4.2", "S: HTTP/1.1 400 Bad Request\nS: <close>\n", "", mx.Policy{}, "deferred host 451 4.5.0 ours", true},
	{"hangs up in the greeting", "RFC 5321 §5.1", "S: 220-mx\nS: <close>\n", "", mx.Policy{}, "deferred host 451 4.4.2 ours", true},

	// EHLO.
	{"hangs up at EHLO", "RFC 5321 §5.1", "S: 220 mx\nC: EHLO relay.example\nS: <close>\n", "", mx.Policy{}, "deferred host 451 4.4.2 ours", true},
	{"421 to EHLO", "RFC 5321 §3.8", "S: 220 mx\nC: EHLO relay.example\nS: 421 bye\nS: <close>\n", "", mx.Policy{}, "deferred host 421", true},
	{"refuses EHLO and HELO", "RFC 5321 §4.1.1.1", "S: 220 mx\nC: EHLO relay.example\nS: 550 5.7.1 who are you\nC: HELO relay.example\nS: 550 5.7.1 no\n", "", mx.Policy{}, "failed host 550 5.7.1", true},
	{"refuses EHLO for now", "RFC 5321 §4.1.1.1", "S: 220 mx\nC: EHLO relay.example\nS: 450 4.7.1 later\n", "", mx.Policy{}, "deferred host 450 4.7.1", true},

	// STARTTLS, where nobody asks for TLS.
	{"refuses STARTTLS", "RFC 7435 §3", `
		S: 220 mx
		C: EHLO relay.example
		S: 250-mx
		S: 250 STARTTLS
		C: STARTTLS
		S: 454 4.7.0 not now
		C: MAIL FROM:<from@example.com>
		S: 550 5.7.1 no
		`, "", mx.Policy{}, "failed message 550 5.7.1", false},
	{"hangs up at STARTTLS, which it offers again", "RFC 7435 §3", startTLS("S: <close>"), "S: 220 mx\nC: EHLO relay.example\nS: 250-mx\nS: 250 STARTTLS\nC: MAIL FROM:<from@example.com>\nS: 550 5.7.1 no\n", mx.Policy{}, "failed message 550 5.7.1", false},
	{"hangs up at STARTTLS, takes plaintext", "RFC 7435 §3", startTLS("S: <close>"), plain("S: 550 5.7.1 no"), mx.Policy{}, "failed message 550 5.7.1", false},
	{"hangs up in the handshake, takes plaintext", "RFC 7435 §3", startTLS("S: 220 go\nS: <close>"), plain("S: 550 5.7.1 no"), mx.Policy{}, "failed message 550 5.7.1", false},
	{"no TLS behind STARTTLS, takes plaintext", "RFC 7435 §3", startTLS("S: 220 go\nS: <flush>\nS: 500 what is this"), plain("S: 550 5.7.1 no"), mx.Policy{}, "failed message 550 5.7.1", false},
	{"421 to STARTTLS, takes plaintext", "RFC 7435 §3", startTLS("S: 421 bye\nS: <close>"), plain("S: 550 5.7.1 no"), mx.Policy{}, "failed message 550 5.7.1", false},
	{"hangs up after the handshake, takes plaintext", "RFC 7435 §3", startTLS("S: 220 go\n<starttls>\nC: EHLO relay.example\nS: <close>"), plain("S: 550 5.7.1 no"), mx.Policy{}, "failed message 550 5.7.1", false},
	{"421 after the handshake", "RFC 5321 §3.8", startTLS("S: 220 go\n<starttls>\nC: EHLO relay.example\nS: 421 bye\nS: <close>"), plain("S: 550 5.7.1 no"), mx.Policy{}, "deferred host 421", true},
	{"hangs up at STARTTLS and in plaintext", "RFC 5321 §5.1", startTLS("S: <close>"), "S: <close>\n", mx.Policy{}, "deferred host 451 4.4.2 ours", true},

	// STARTTLS, where somebody does.
	{"offers no TLS", "RFC 8461 §5", "S: 220 mx\nC: EHLO relay.example\nS: 250 mx\nC: QUIT\n", "", encrypt, "deferred policy 451 4.7.4 ours", true},
	{"refuses EHLO", "RFC 3207 §4", "S: 220 mx\nC: EHLO relay.example\nS: 502 no\nC: QUIT\n", "", encrypt, "deferred policy 451 4.7.4 ours", true},
	{"refuses STARTTLS", "RFC 3207 §4.1", startTLS("S: 454 4.7.0 not now\nC: QUIT"), "", encrypt, "deferred policy 451 4.7.5 ours", true},
	{"refuses STARTTLS for good", "RFC 7672 §2.2", startTLS("S: 554 5.7.1 never\nC: QUIT"), "", encrypt, "deferred policy 451 4.7.5 ours", true},
	{"hangs up in the handshake", "RFC 7672 §2.2", startTLS("S: 220 go\nS: <close>"), "", encrypt, "deferred policy 451 4.7.5 ours", true},
	{"another's certificate", "RFC 8461 §4.2", startTLS("S: 220 go\n<starttls>"), "", verify, "deferred policy 451 4.7.5 ours", true},
	{"octets before the handshake", "RFC 3207 §6", startTLS("S: 220 go\nS: 250 injected"), "", encrypt, "deferred policy 451 4.7.5 ours", true},
	{"hangs up after the handshake", "RFC 5321 §5.1", startTLS("S: 220 go\n<starttls>\nC: EHLO relay.example\nS: <close>"), "", encrypt, "deferred host 451 4.4.2 ours", true},

	// REQUIRETLS: final where the host was reached and cannot.
	{"REQUIRETLS and no STARTTLS", "RFC 8689 §4.2.1", "S: 220 mx\nC: EHLO relay.example\nS: 250 mx\nC: QUIT\n", "", required, "failed policy 550 5.7.10 ours", true},
	{"REQUIRETLS and STARTTLS refused", "RFC 8689 §4.2.1", startTLS("S: 554 5.7.1 never\nC: QUIT"), "", required, "failed policy 550 5.7.10 ours", true},
	{"REQUIRETLS and STARTTLS refused for now", "RFC 8689 §4.2.1", startTLS("S: 454 4.7.0 not now\nC: QUIT"), "", required, "deferred policy 451 4.7.5 ours", true},
	{"REQUIRETLS and another's certificate", "RFC 8689 §4.2.1", startTLS("S: 220 go\n<starttls>"), "", required, "failed policy 550 5.7.10 ours", true},
	{"REQUIRETLS and hangs up in the handshake", "RFC 8689 §4.2.1", startTLS("S: 220 go\nS: <close>"), "", required, "deferred policy 451 4.7.5 ours", true},
	{"REQUIRETLS and not offered", "RFC 8689 §4.2.1", startTLS("S: 220 go\n<starttls>\nC: EHLO relay.example\nS: 250 mx\nC: QUIT"), "", requiredAny, "failed policy 550 5.7.30 ours", true},

	// MAIL.
	{"hangs up at MAIL", "RFC 5321 §5.1", plain("S: <close>"), "", mx.Policy{}, "deferred host 451 4.4.2 ours", true},
	{"421 to MAIL", "RFC 5321 §3.8", plain("S: 421 4.3.2 bye\nS: <close>"), "", mx.Policy{}, "deferred host 421 4.3.2", true},
	{"refuses the sender", "RFC 5321 §3.3", plain("S: 550 5.1.8 bad sender"), "", mx.Policy{}, "failed message 550 5.1.8", false},
	{"refuses the sender for now", "RFC 5321 §4.2.1", plain("S: 450 4.1.8 sender unknown for now"), "", mx.Policy{}, "deferred message 450 4.1.8", false},
	{"has no room", "RFC 3463 §3.4", plain("S: 452 4.3.1 disk full"), "", mx.Policy{}, "deferred host 452 4.3.1", true},
	{"has no room, without a word more", "RFC 5321 §4.2.3", plain("S: 452 disk full"), "", mx.Policy{}, "deferred host 452", true},
	{"has no room for such a message", "RFC 3463 §3.4", plain("S: 452 4.3.4 too big for now"), "", mx.Policy{}, "deferred message 452 4.3.4", false},
	{"answers MAIL with 354", "RFC 5321 §4.3.2", plain("S: 354 go"), "", mx.Policy{}, "deferred host 451 4.5.0 ours", true},

	// RCPT.
	{"hangs up at RCPT", "RFC 5321 §5.1", plain("S: 250 ok\nC: RCPT TO:<to@example.org>\nS: <close>"), "", mx.Policy{}, "deferred host 451 4.4.2 ours", true},
	{"421 to RCPT", "RFC 5321 §3.8", plain("S: 250 ok\nC: RCPT TO:<to@example.org>\nS: 421 bye\nS: <close>"), "", mx.Policy{}, "deferred host 421", true},
	{"refuses the recipient", "RFC 5321 §3.3", plain("S: 250 ok\nC: RCPT TO:<to@example.org>\nS: 550 5.1.1 unknown"), "", mx.Policy{}, "failed recipient 550 5.1.1", false},
	{"greylists the recipient", "RFC 6647 §2", plain("S: 250 ok\nC: RCPT TO:<to@example.org>\nS: 450 4.7.1 later"), "", mx.Policy{}, "deferred recipient 450 4.7.1", false},

	// DATA.
	{"hangs up at DATA", "RFC 5321 §5.1", data("S: <close>"), "", mx.Policy{}, "deferred host 451 4.4.2 ours", true},
	{"421 to DATA", "RFC 5321 §3.8", data("S: 421 bye\nS: <close>"), "", mx.Policy{}, "deferred host 421", true},
	{"refuses DATA", "RFC 5321 §4.2.1", data("S: 554 5.7.1 no"), "", mx.Policy{}, "failed message 554 5.7.1", false},
	{"refuses DATA for now", "RFC 5321 §4.2.1", data("S: 451 4.3.0 later"), "", mx.Policy{}, "deferred message 451 4.3.0", false},

	// The end of the data.
	{"hangs up after the final dot", "RFC 1047 §2", end("S: <close>"), "", mx.Policy{}, "deferred unknown host 451 4.4.2 ours", false},
	{"garbage after the final dot", "RFC 1047 §2", end("S: what?"), "", mx.Policy{}, "deferred unknown host 451 4.4.2 ours", false},
	{"refuses the message", "RFC 5321 §4.2.1", end("S: 554 5.6.0 spam"), "", mx.Policy{}, "failed message 554 5.6.0", false},
	{"refuses the message for now", "RFC 5321 §4.2.1", end("S: 451 4.7.1 later"), "", mx.Policy{}, "deferred message 451 4.7.1", false},
	{"421 to the message", "RFC 5321 §3.8", end("S: 421 4.3.2 bye\nS: <close>"), "", mx.Policy{}, "deferred host 421 4.3.2", false},
}

var (
	encrypt     = mx.Policy{Level: mx.LevelEncrypt, Source: mx.SourceOperator}
	verify      = mx.Policy{Level: mx.LevelVerify, Source: mx.SourceMTASTS, Names: []string{"mx1.elsewhere.example"}}
	required    = mx.Policy{Level: mx.LevelVerify, Source: mx.SourceRequireTLS, Names: []string{"mx1.elsewhere.example"}}
	requiredAny = mx.Policy{Level: mx.LevelVerify, Source: mx.SourceRequireTLS, Names: []string{"mx1.example.org"}}
)

// Conversations up to a point, as a server without extensions has them.
func startTLS(then string) string {
	return "S: 220 mx\nC: EHLO relay.example\nS: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\n" + then + "\n"
}

func plain(then string) string {
	return "S: 220 mx\nC: EHLO relay.example\nS: 250 mx\nC: MAIL FROM:<from@example.com>\n" + then + "\n"
}

func data(then string) string {
	return plain("S: 250 ok\nC: RCPT TO:<to@example.org>\nS: 250 ok\nC: DATA\n" + then)
}

func end(then string) string {
	return data("S: 354 go\nC: Subject: test\nC:\nC: Hello.\nC: .\n" + then)
}

func TestFaults(t *testing.T) {
	for _, tt := range faults {
		t.Run(strings.ReplaceAll(tt.name, " ", "-"), func(t *testing.T) {
			for _, hosts := range []string{"alone", "two"} {
				zone := dnstest.MustParse("example.org MX 10 mx1.example.org\nmx1.example.org A 192.0.2.1\nmx2.example.org A 192.0.2.2\n")
				if hosts == "two" {
					if err := zone.Add("example.org MX 20 mx2.example.org"); err != nil {
						t.Fatal(err)
					}
				}
				n := newNetwork(t)
				scripts := []string{tt.script}
				if tt.again != "" {
					scripts = append(scripts, tt.again)
				}
				n.script("192.0.2.1", scripts...)
				second := n.server("192.0.2.2", smtptest.NoTLS)
				if tt.policy.Level > mx.LevelMay {
					second = n.server("192.0.2.2", requireTLSServer(t))
				}
				c := n.client(zone)
				c.TLSConfig = trusting(t)
				m := message(t, "to@example.org")
				if tt.policy.Source == mx.SourceRequireTLS {
					m.Envelope.MailParams.RequireTLS = true
				}
				mx.SetPolicy(c, func(host string) (mx.Policy, error) {
					if p := tt.policy; host == "mx1.example.org" || p.Level == mx.LevelMay {
						return p, nil
					}
					return mx.Policy{Level: tt.policy.Level, Source: tt.policy.Source, Names: []string{host}}, nil
				})
				results, err := c.Deliver(t.Context(), "example.org", m)
				got := sentence(results[0])
				want := tt.want
				if hosts == "two" && tt.next {
					want = "relayed 250 2.0.0"
				}
				if got != want {
					t.Errorf("%s: %s, want %s: %v (%s)", hosts, got, want, results[0].Err, tt.section)
				}
				if (err == nil) != (results[0].Status >= mx.Delivered) {
					t.Errorf("%s: %v with %s", hosts, err, got)
				}
				if sent := len(second.Messages()); sent > 0 != (hosts == "two" && tt.next) {
					t.Errorf("%s: the second host has %d messages", hosts, sent)
				}
			}
		})
	}
}
