package mx

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/mx/dane"
	"github.com/postrider/postrider/mx/dns"
	"github.com/postrider/postrider/mx/tlsrpt"
	"github.com/postrider/postrider/smtp"
)

// reportTLS tells what an attempt has come to with each policy of the domain (RFC
// 8460 §3). Only connections made for it count, and hosts that a policy forbids.
func (d *delivery) reportTLS(a *Attempt) {
	t := d.c.Trace
	if t == nil || t.TLS == nil || a.Plaintext != nil || a.Addr != "" && !a.connected {
		return
	}
	for _, s := range a.Policy.reports {
		if a.connected && s.Result == "" {
			s.Result, s.Reason = d.tlsResult(a, s.Policy.Type)
		}
		if s.Result == notTried || !a.connected && s.Result == "" {
			continue
		}
		s.Time = a.Began
		if a.local != nil {
			s.SendingIP = ipOf(a.local.String())
		}
		s.ReceivingIP = ipOf(a.Addr)
		if a.Server != nil {
			s.Hello = greetingName(a.Server.Greeting)
		}
		t.TLS(d.ctx, s)
	}
}

// notTried is of connections that came to an end before TLS could begin.
const notTried tlsrpt.ResultType = "-"

// tlsResult says what a connection has come to with a policy of the domain.
func (d *delivery) tlsResult(a *Attempt, of tlsrpt.PolicyType) (tlsrpt.ResultType, string) {
	var refused *smtp.Error
	switch err := a.connErr; {
	case errors.Is(err, client.ErrNoStartTLS):
		return tlsrpt.StartTLSNotSupported, ""
	case errors.As(err, &refused) && refused.Verb == smtp.STARTTLS:
		return tlsrpt.StartTLSNotSupported, "the host refuses STARTTLS"
	case errors.Is(err, dane.ErrNoMatch):
		return tlsrpt.TLSAInvalid, "no TLSA record matches the certificate"
	case tlsFailed(err):
		return tlsrpt.ResultOf(err)
	case a.Server == nil || err != nil && a.Server.TLS == nil:
		return notTried, ""
	case a.Server.TLS == nil:
		return tlsrpt.StartTLSNotSupported, ""
	case of == tlsrpt.STS && a.Policy.Level < LevelVerify: // testing
		if err := verify(*a.Server.TLS, d.c.TLSConfig, []string{a.Host.Name}); err != nil {
			return tlsrpt.ResultOf(err)
		}
	}
	return "", ""
}

// tlsaStrings are TLSA records as reports have them (RFC 8460 §4.4).
func tlsaStrings(records []dns.TLSARecord) []string {
	all := make([]string, len(records))
	for i, r := range records {
		all[i] = fmt.Sprintf("%d %d %d %x", r.Usage, r.Selector, r.MatchingType, r.Data)
	}
	return all
}

func ipOf(addr string) netip.Addr {
	ap, _ := netip.ParseAddrPort(addr)
	return ap.Addr().Unmap()
}

// greetingName is what a host calls itself (RFC 5321 §4.2).
func greetingName(greeting smtp.Reply) string {
	name, _, _ := strings.Cut(greeting.Text, " ")
	if !dns.ValidName(name) {
		return ""
	}
	return name
}

// ready keeps what Ready tells of a connection that was made for an attempt.
func (a *Attempt) ready(info client.ConnInfo, s *client.ServerInfo, err error) {
	a.Server, a.local, a.connected, a.connErr = s, info.Local, true, err
}
