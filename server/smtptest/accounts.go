package smtptest

import (
	"context"
	"slices"

	"github.com/postrider/postrider/server"
)

// AddAccount lets a user log in with a password, by PLAIN and LOGIN. AUTH is
// offered from the first account or token on: over TLS, otherwise only if
// Config.PlaintextAuthOnLoopback says so.
func (s *Server) AddAccount(user, password string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.accounts == nil {
		s.accounts = make(map[string]string)
	}
	s.accounts[user] = password
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
	return offered{s, server.Authenticators(server.Passwords(s.password), server.Tokens(s.token))}
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
		if mech == "PLAIN" || mech == "LOGIN" {
			return !passwords
		}
		return !tokens
	})
}
