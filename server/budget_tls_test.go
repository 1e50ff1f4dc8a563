package server_test

import (
	"crypto/tls"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/server"
)

// over are the ways to a session under TLS that has said EHLO.
var over = map[string]func(*testServer) *peer{
	"STARTTLS": func(s *testServer) *peer {
		p := s.hello()
		p.startTLS()
		p.do("EHLO x.example", "250")
		return p
	},
	"TLS": func(s *testServer) *peer {
		s.listener = s.serveTLS()
		p := s.dial()
		p.upgrade()
		p.expect("220")
		p.do("EHLO x.example", "250")
		return p
	},
}

// Under TLS data must come as fast as without, by DATA and by BDAT.
func TestDataDripsOverTLS(t *testing.T) {
	for name, begin := range over {
		for _, how := range append(datas, "BDAT 1\nxBDAT 1000000\n") {
			for _, tt := range []struct {
				pause time.Duration
				lives bool
			}{
				{time.Second / 8, false},
				{time.Second / 12, true},
				{time.Hour, false},
			} {
				t.Run(fmt.Sprintf("%s/%.12s/%v", name, how, tt.pause), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						s := start(t, withTLS, limits(server.Limits{MinDataRate: 10, DataTimeout: time.Minute}))
						p := begin(s)
						p.begin(how)
						if strings.HasPrefix(how, "BDAT 1\n") {
							p.expect("250")
						}
						const watch = 4 * time.Minute
						go p.drip(strings.Repeat("x", int(watch/tt.pause)+1), tt.pause)
						p.SetReadDeadline(time.Now().Add(watch - time.Second))
						text, after := p.silence()
						if lives := after >= watch-time.Second; lives != tt.lives || !lives && !strings.HasPrefix(text, "421 4.4.2 ") {
							t.Errorf("after %v: %q", after, text)
						}
						want(t, "messages", len(s.messages()), 0)
						p.end()
					})
				})
			}
		}
	}
}

// A record that never comes to its end is no data, however fast its octets come.
func TestRecordDrips(t *testing.T) {
	for _, begin := range over {
		for _, how := range datas {
			synctest.Test(t, func(t *testing.T) {
				s := start(t, withTLS)
				p := begin(s)
				p.begin(how)
				below := newPeer(t, p.Conn.(*tls.Conn).NetConn())
				go below.drip("\x17\x03\x03\x40\x00"+strings.Repeat("x", 10000), time.Second/50)
				text, after := p.silence()
				want(t, "reply", text, "421 4.4.2 timeout\r\n")
				between(t, after, 3*time.Minute, 11*time.Minute)
				p.end()
			})
		}
	}
}

// Errors, and what the handler refuses, are counted over the whole connection:
// STARTTLS brings nobody new ones.
func TestErrorBudgetOverTLS(t *testing.T) {
	for name, begin := range over {
		for _, line := range []string{"NONSENSE\n", "MAIL FROM\n", "BDAT 3 LAST\nxyz", "GET\rx\n"} {
			s := start(t, withTLS)
			p := begin(s)
			for range 20 {
				p.send(line)
				p.expect("50")
			}
			p.send(line)
			p.expect("421 4.7.0 too many errors")
			p.closed()
			if events := s.events.take(); !strings.Contains(events, ": 421 4.7.0 too many errors") {
				t.Errorf("%s: events: %s", name, events)
			}
		}
	}
	s := start(t, withTLS)
	p := s.hello()
	for range 15 {
		p.do("NONSENSE", "500")
	}
	p.startTLS()
	for range 5 {
		p.do("NONSENSE", "500")
	}
	p.do("NONSENSE", "421 4.7.0 too many errors")
	p.closed()
}
