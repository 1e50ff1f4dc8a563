package client

import (
	"context"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/postrider/postrider/internal/wire"
	"github.com/postrider/postrider/smtp"
)

// Hello says EHLO name, or LHLO name with LMTP, and learns what the server
// offers. To a 5xx reply it says HELO, after which nothing is offered (§3.2).
// Name is a domain or an address literal; if it is "", DefaultHello.
func (c *Conn) Hello(ctx context.Context, name string) error {
	if err := c.enter(ctx, string(c.helloVerb())); err != nil {
		return err
	}
	defer c.leave()
	return c.hello(name, true)
}

func (c *Conn) hello(name string, fallBack bool) error {
	if name == "" {
		name = DefaultHello(c.raw.LocalAddr())
	}
	if err := smtp.ParseHello(name); err != nil {
		return localError{err}
	}
	err := c.sayHello(c.helloVerb(), name)
	if refused, ok := err.(*smtp.Error); ok && refused.Reply.Permanent() && fallBack && !c.cfg.LMTP {
		err = c.sayHello(smtp.HELO, name) // §3.2, §4.1.4
	}
	return err
}

func (c *Conn) sayHello(verb smtp.Verb, name string) error {
	if err := c.inStep(string(verb)); err != nil {
		return err
	}
	line := append(append(append(c.buf[:0], verb...), ' '), name...)
	if err := c.write(string(verb), append(line, "\r\n"...), c.cfg.Timeouts.Command); err != nil {
		return err
	}
	reply, err := c.expectLines(string(verb), verb, c.cfg.Timeouts.Command, wire.MaxHelloLines)
	if err != nil {
		return err
	}
	c.known = nil
	c.greeted, c.reset = true, false
	c.forget() // §4.1.4: clears all buffers
	_, keywords, some := strings.Cut(reply.Text, "\n")
	switch {
	case verb == smtp.HELO:
		c.setOffers(nil)
	case some:
		c.setOffers(smtp.ParseOffers(strings.Split(keywords, "\n")))
	default:
		c.setOffers(smtp.Offers{})
	}
	return nil
}

// may is what every message asks of the offers.
type may struct {
	pipelining, chunking bool
	size                 int64 // announced with SIZE; 0 is any; -1 if it is not offered
}

// setOffers takes over what the server offers from now on.
func (c *Conn) setOffers(o smtp.Offers) {
	c.offers, c.limits = o, o.Limits()
	c.may = may{pipelining: o.Has(smtp.ExtPipelining), chunking: o.Has(smtp.ExtChunking), size: -1}
	if size, offered := o.MaxSize(); offered {
		c.may.size = size
	}
}

func (c *Conn) helloVerb() smtp.Verb {
	if c.cfg.LMTP {
		return smtp.LHLO // RFC 2033 §4.1
	}
	return smtp.EHLO
}

// DefaultHello is the name to greet with from a local address: the host name if
// it has a dot, else the address as a literal (RFC 5321 §4.1.4).
func DefaultHello(local net.Addr) string {
	if name, err := os.Hostname(); err == nil && strings.Contains(name, ".") && smtp.ParseHello(name) == nil {
		return name
	}
	if ip := addrIP(local); ip.Is6() {
		return "[IPv6:" + ip.String() + "]"
	} else if ip.IsValid() {
		return "[" + ip.String() + "]"
	}
	return "localhost"
}

// addrIP returns the address in a without its zone; the zero Addr if it has none.
func addrIP(a net.Addr) netip.Addr {
	if t, ok := a.(*net.TCPAddr); ok {
		return t.AddrPort().Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}
