package smtptest

import (
	"context"
	"slices"

	"github.com/postrider/postrider/internal/scram"
	"github.com/postrider/postrider/server"
)

// AddAccount lets a user log in with a password: by SCRAM with SHA-256 or SHA-1,
// bound to the TLS connection or not, by PLAIN and by LOGIN. AUTH is offered
// from the first account or token on: over TLS, otherwise only if
// Config.PlaintextAuthOnLoopback says so.
//
// SCRAM hashes as seldom as it may, for the sake of speed. If SASLprep (RFC
// 4013) does not allow the name or the password, PLAIN and LOGIN remain.
func (s *Server) AddAccount(user, password string) {
	name, bad := scram.Prepare(user)
	cred, err := server.NewCredential(password, scram.MinIterations, "SCRAM-SHA-256", "SCRAM-SHA-1")
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.accounts == nil {
		s.accounts = make(map[string]string)
	}
	s.accounts[user] = password
	if s.credentials == nil {
		s.credentials = make(map[string]server.Credential)
	}
	delete(s.credentials, name)
	if bad == nil && err == nil {
		s.credentials[name] = cred
	}
}

// AddToken lets a user log in with a token, by OAUTHBEARER and XOAUTH2.
func (s *Server) AddToken(user, token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tokens == nil {
		s.tokens = make(map[string]string)
	}
	s.tokens[token] = user
}

func (s *Server) authenticator() server.Authenticator {
	scrams := &server.Credentials{Lookup: s.credential, SHA1: true, OnlySCRAM: true, Iterations: scram.MinIterations}
	return offered{s, server.Authenticators(scrams, server.Passwords(s.password), server.Tokens(s.token))}
}

func (s *Server) credential(_ context.Context, user string) (server.Credential, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	cred, ok := s.credentials[user]
	if !ok {
		return server.Credential{}, server.ErrCredentials
	}
	return cred, nil
}

func (s *Server) password(_ context.Context, user, password string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if want, ok := s.accounts[user]; !ok || want != password {
		return server.ErrCredentials
	}
	return nil
}

func (s *Server) token(_ context.Context, user, token string) (identity string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	owner, ok := s.tokens[token]
	if !ok || user != "" && user != owner {
		return "", server.ErrCredentials
	}
	return owner, nil
}

// offered leaves out the mechanisms that nobody could use.
type offered struct {
	srv *Server
	server.Authenticator
}

func (o offered) Mechanisms(c *server.Conn) []string {
	o.srv.mu.Lock()
	passwords, tokens := len(o.srv.accounts) > 0, len(o.srv.tokens) > 0
	o.srv.mu.Unlock()
	return slices.DeleteFunc(o.Authenticator.Mechanisms(c), func(mech string) bool {
		if mech == "OAUTHBEARER" || mech == "XOAUTH2" {
			return !tokens
		}
		return !passwords
	})
}
