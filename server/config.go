package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/postrider/postrider/smtp"
)

// config is what a Server's fields come to once it serves.
type config struct {
	limits      Limits
	hostname    string
	logger      *slog.Logger
	implicitTLS *tls.Config
	startTLS    *tls.Config
	bodyLines   Policy
	chunkLines  Policy
	rows        []*smtp.Extension // of the application, for the parsers
	table       []command
	verbs       map[smtp.Verb]*command // the rows of table and those of the application's verbs
	often       [4]*command            // those of a message, see row
	handlers    map[smtp.Verb]VerbFunc // of the application's verbs
	extensions  []Extension            // Server.Extensions, each with its Keyword
	trusted     []netip.Prefix
	checks      []Extension // those that look at MAIL
	nothing     *offer      // before EHLO, and after HELO
	greeting    smtp.Reply
	connRate    *rates // nil: no limit
	messageRate *rates // nil: no limit
	dates       dateCache
	restAfter   time.Duration // the constant, but in tests
	restAnyhow  bool          // in tests: what is no socket rests too

	offerMu sync.Mutex
	offers  map[offerKey]*offer
}

func (s *Server) init() error {
	s.setup.Do(func() {
		s.leaving = make(chan struct{})
		s.base, s.cancel = context.WithCancel(context.Background())
		s.cfg, s.cfgErr = s.newConfig()
	})
	return s.cfgErr
}

func (s *Server) newConfig() (*config, error) {
	switch {
	case s.Handler == nil:
		return nil, errors.New("smtp server: Handler is nil")
	case s.Role > LMTP:
		return nil, fmt.Errorf("smtp server: unknown role %d", s.Role)
	case s.EarlyTalker > EarlyDelay:
		return nil, errors.New("smtp server: unknown EarlyTalker")
	case s.BodyPolicy > Pass || s.ChunkPolicy > Pass:
		return nil, errors.New("smtp server: unknown BodyPolicy or ChunkPolicy")
	case s.Role == Submission && s.Auth == nil:
		return nil, errors.New("smtp server: Submission needs Auth (RFC 6409 §4.3)")
	case s.RequireTLS && s.TLSConfig == nil:
		return nil, errors.New("smtp server: RequireTLS without TLSConfig")
	}
	cfg := &config{
		limits:     s.Limits.withDefaults(),
		hostname:   s.Hostname,
		logger:     s.Logger,
		bodyLines:  or8(s.BodyPolicy, Reject),
		chunkLines: or8(s.ChunkPolicy, Pass),
		restAfter:  restAfter,
	}
	cfg.connRate, cfg.messageRate = newRates(cfg.limits.MaxConnRate), newRates(cfg.limits.MaxMessageRate)
	var err error
	if cfg.trusted, err = newTrusted(s.Trusted); err != nil {
		return nil, err
	}
	if cfg.hostname == "" {
		cfg.hostname, _ = os.Hostname()
	}
	if err := smtp.ParseHello(cfg.hostname); err != nil {
		if s.Hostname != "" {
			return nil, fmt.Errorf("smtp server: Hostname: %w", err)
		}
		cfg.hostname = "localhost"
	}
	if cfg.logger == nil {
		cfg.logger = slog.Default()
	}
	if s.TLSConfig != nil {
		cfg.implicitTLS = s.TLSConfig.Clone()
		cfg.implicitTLS.MinVersion = max(cfg.implicitTLS.MinVersion, tls.VersionTLS12)
		if cfg.implicitTLS.NextProtos == nil {
			cfg.implicitTLS.NextProtos = []string{"smtp", "esmtp"}
		}
		cfg.startTLS = cfg.implicitTLS.Clone()
		if s.Role == MX {
			// Microsoft's senders give up when they get a ticket here
			// (golang/go#70232).
			cfg.startTLS.SessionTicketsDisabled = true
		}
	}
	word := " ESMTP"
	if s.Role == LMTP {
		word = " LMTP"
	}
	cfg.greeting = smtp.Reply{Code: 220, Text: cfg.hostname + word}
	if err := cfg.addExtensions(s.Extensions); err != nil {
		return nil, err
	}
	cfg.offers = make(map[offerKey]*offer)
	cfg.nothing = &offer{line: cfg.maxLine(nil, smtp.NOOP)}
	return cfg, nil
}

// row returns the row of a verb, nil if there is none. To compare with four verbs
// costs less than to look one up.
func (cfg *config) row(verb smtp.Verb) *command {
	for _, row := range &cfg.often {
		if row.verb == verb {
			return row
		}
	}
	return cfg.verbs[verb]
}

func or8(p, otherwise Policy) Policy {
	if p == DefaultPolicy {
		return otherwise
	}
	return p
}
