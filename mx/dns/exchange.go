package dns

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"time"
)

// maxStrays is how many datagrams may come that do not answer the query.
// Somebody is guessing then, and the query goes over TCP.
const maxStrays = 64

// try asks one server once, and once more without EDNS if it does not know that.
func (l *lookup) try(ctx context.Context, server Server, sofar Answer) (step, error) {
	for edns := true; ; edns = false {
		q, err := newQuery(sofar.Canonical, l.typ, edns)
		if err != nil {
			return step{}, err
		}
		msg, err := l.exchange(ctx, server, q)
		if err != nil {
			return step{}, l.failed(sofar, err)
		}
		r, err := parseResponse(msg)
		if err != nil {
			return step{}, l.failed(sofar, err)
		}
		noEDNS := r.rcode == FormErr || r.rcode == NotImp || r.rcode == badVers // RFC 6891 §7
		switch {
		case edns && noEDNS:
			continue
		case r.rcode != success && r.rcode != nameError:
			return step{}, &Error{Name: sofar.Canonical, Type: l.typ, RCode: r.rcode, Bogus: r.bogus && r.rcode == ServFail}
		}
		next, err := r.extend(sofar, l.typ)
		if err != nil {
			return step{}, l.failed(sofar, err)
		}
		next.Secure = next.Secure && (server.Trusted || server.Addr.Addr().IsLoopback())
		return next, nil
	}
}

// failed wraps what went wrong between the server and us.
func (l *lookup) failed(sofar Answer, err error) error {
	return &Error{Name: sofar.Canonical, Type: l.typ, Timeout: errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded), Err: err}
}

// exchange sends a query over UDP, or over TCP if the answer is too long for a
// datagram or cannot be trusted to be the server's.
func (l *lookup) exchange(ctx context.Context, server Server, q query) ([]byte, error) {
	msg, err := l.over(ctx, "udp", server, func(c net.Conn) ([]byte, error) { return q.overUDP(c) })
	if err != nil || msg != nil {
		return msg, err
	}
	return l.over(ctx, "tcp", server, func(c net.Conn) ([]byte, error) { return q.overTCP(c) })
}

// over connects, and lets talk speak until the server's time is up.
func (l *lookup) over(ctx context.Context, network string, server Server, talk func(net.Conn) ([]byte, error)) ([]byte, error) {
	limited, cancel := context.WithTimeout(ctx, l.config.timeout)
	defer cancel()
	dial := l.stub.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	c, err := dial(limited, network, server.Addr.String())
	if err != nil {
		return nil, err
	}
	defer c.Close()
	deadline, _ := limited.Deadline()
	c.SetDeadline(deadline)
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	return talk(c)
}

// overUDP returns nil if TCP has to be used.
func (q query) overUDP(c net.Conn) ([]byte, error) {
	if _, err := c.Write(q.msg); err != nil {
		return nil, err
	}
	buf := make([]byte, udpSize+1)
	for range maxStrays {
		n, err := c.Read(buf)
		if err != nil {
			return nil, err
		}
		h, ok, exact := q.answeredBy(buf[:n])
		switch {
		case !ok:
			continue
		case h.Truncated, !exact, n > udpSize:
			return nil, nil
		}
		return buf[:n], nil
	}
	return nil, nil
}

var errOtherAnswer = errors.New("the answer belongs to another query")

func (q query) overTCP(c net.Conn) ([]byte, error) {
	framed := binary.BigEndian.AppendUint16(nil, uint16(len(q.msg))) // RFC 1035 §4.2.2
	if _, err := c.Write(append(framed, q.msg...)); err != nil {     // in one segment (RFC 7766 §8)
		return nil, err
	}
	var length [2]byte
	if _, err := io.ReadFull(c, length[:]); err != nil {
		return nil, err
	}
	msg := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(c, msg); err != nil {
		return nil, err
	}
	if h, ok, _ := q.answeredBy(msg); !ok || h.Truncated {
		return nil, errOtherAnswer
	}
	return msg, nil
}
