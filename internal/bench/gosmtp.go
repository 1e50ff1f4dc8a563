package main

import (
	"io"
	"log"
	"net"

	"github.com/emersion/go-smtp"
)

// startGoSMTP serves with emersion/go-smtp as NewServer sets it up.
func startGoSMTP(opt options) (*instance, error) {
	s := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) {
		return discard{}, nil
	}))
	s.Domain = "bench.example"
	s.ErrorLog = log.New(io.Discard, "", 0)
	if opt.security == startTLS {
		cfg, err := serverTLS()
		if err != nil {
			return nil, err
		}
		s.TLSConfig = cfg
	}
	return serveInProcess(opt, func(l net.Listener) error { return s.Serve(l) }, func() { s.Close() })
}

// discard is a session that accepts everything and keeps nothing.
type discard struct{}

func (discard) Mail(string, *smtp.MailOptions) error { return nil }
func (discard) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (discard) Reset()                               {}
func (discard) Logout() error                        { return nil }

func (discard) Data(r io.Reader) error {
	_, err := io.Copy(io.Discard, r)
	return err
}
