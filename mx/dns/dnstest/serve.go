package dnstest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// A Server answers for a Zone over UDP and TCP, as a resolver that validates
// DNSSEC would. Other programs can ask it, and dns.Stub.
type Server struct {
	zone *Zone
	udp  *net.UDPConn
	tcp  *net.TCPListener
	wg   sync.WaitGroup

	mu     sync.Mutex
	closed bool
	conns  map[net.Conn]struct{}
}

// Serve answers at addr, an address of loopback and a port, until the Server is
// closed. If addr is empty, it is a free port of 127.0.0.1. The same port is
// used for UDP and TCP.
//
// AD is set for names marked SECURE when the query has AD or DO (RFC 6840
// §5.8). BOGUS is SERVFAIL with the extended error 6 (RFC 8914), and with CD in
// the query the records. TIMEOUT and STALL get no answer.
func (z *Zone) Serve(addr string) (*Server, error) {
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	at, err := netip.ParseAddrPort(addr)
	if err != nil || !at.Addr().IsLoopback() {
		return nil, fmt.Errorf("dnstest: %q is no address and port of loopback", addr)
	}
	for tries := 1; ; tries++ {
		s, err := listen(z, at)
		if err == nil {
			s.wg.Go(s.serveUDP)
			s.wg.Go(s.serveTCP)
			return s, nil
		}
		if at.Port() != 0 || tries == 10 { // a port that is free for TCP may not be for UDP
			return nil, fmt.Errorf("dnstest: %w", err)
		}
	}
}

// Addr returns the address and port that are served.
func (s *Server) Addr() netip.AddrPort { return s.tcp.Addr().(*net.TCPAddr).AddrPort() }

// Close stops answering, and waits until nothing of the Server runs any more.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	errs := []error{s.udp.Close(), s.tcp.Close()}
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
	return errors.Join(errs...)
}

func listen(z *Zone, at netip.AddrPort) (*Server, error) {
	tcp, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at))
	if err != nil {
		return nil, err
	}
	s := &Server{zone: z, tcp: tcp, conns: map[net.Conn]struct{}{}}
	if s.udp, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(s.Addr())); err != nil {
		tcp.Close()
		return nil, err
	}
	return s, nil
}

func (s *Server) serveUDP() {
	buf := make([]byte, 4096)
	for {
		n, from, err := s.udp.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // some systems report what became of an earlier answer
			continue
		}
		if answer := s.zone.answer(buf[:n], true); answer != nil {
			s.udp.WriteToUDPAddrPort(answer, from)
		}
	}
}

func (s *Server) serveTCP() {
	for {
		c, err := s.tcp.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(time.Millisecond) // out of file descriptors, perhaps
			continue
		}
		s.mu.Lock()
		if s.closed {
			c.Close()
		} else {
			s.conns[c] = struct{}{}
			s.wg.Go(func() { s.serveConn(c) })
		}
		s.mu.Unlock()
	}
}

// maxIdle is how long a connection is kept that asks nothing (RFC 7766 §6.2.3).
const maxIdle = 10 * time.Second

// serveConn answers one query after the other (RFC 1035 §4.2.2).
func (s *Server) serveConn(c net.Conn) {
	defer func() {
		c.Close()
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	}()
	var length [2]byte
	for {
		c.SetDeadline(time.Now().Add(maxIdle))
		if _, err := io.ReadFull(c, length[:]); err != nil {
			return
		}
		query := make([]byte, binary.BigEndian.Uint16(length[:]))
		if _, err := io.ReadFull(c, query); err != nil {
			return
		}
		answer := s.zone.answer(query, false)
		if answer == nil {
			continue
		}
		if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)); err != nil {
			return
		}
	}
}
