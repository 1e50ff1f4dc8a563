package server

import (
	"net"
	"time"
)

// RestAfter lets connections rest after d, and makes the configuration.
func (s *Server) RestAfter(d time.Duration) {
	s.init()
	s.cfg.restAfter = d
}

// RestAnyhow lets connections rest that are no sockets, and makes the configuration.
func (s *Server) RestAnyhow() {
	if s.init() == nil {
		s.cfg.restAnyhow = true
	}
}

// OverSocket reports whether nc may rest.
func OverSocket(nc net.Conn) bool { return overSocket(nc) }

// FixNonce makes a every exchange of SCRAM use the same nonce of the server.
func (a *Credentials) FixNonce(nonce string) { a.nonce = func() string { return nonce } }

// Hashing takes a place among the passwords that are hashed.
func (a *Credentials) Hashing() (done func()) {
	a.setup.Do(a.init)
	a.waiting.Add(1)
	a.running <- struct{}{}
	return a.leave
}

// Queue has n more passwords wait.
func (a *Credentials) Queue(n int64) {
	a.setup.Do(a.init)
	a.waiting.Add(n)
}

// Waiting counts the passwords that are hashed or will be.
func (a *Credentials) Waiting() int64 { return a.waiting.Load() }

// CRAMDigest is what a client of CRAM-MD5 answers, behind its name.
func CRAMDigest(password, challenge string) string { return string(cramDigest(password, challenge)) }
