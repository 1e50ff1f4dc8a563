package server

import (
	"context"
	"net"
	"strconv"
	"testing"

	"github.com/postrider/postrider/smtp"
)

// Offers that differ from connection to connection are not kept without end.
func TestOffersAreBounded(t *testing.T) {
	n := 0
	s := &Server{
		Hostname: "mx.example",
		Handler:  HandlerFunc(func(context.Context, *Conn) (Session, error) { return nil, ErrAbort }),
		Extensions: []Extension{{
			Row:   &smtp.Extension{Keyword: "XCOUNT"},
			Offer: func(*Conn) (string, bool) { n++; return strconv.Itoa(n), true },
		}},
	}
	if err := s.init(); err != nil {
		t.Fatal(err)
	}
	defer s.cancel()
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	c := newConn(s, near)
	for i := range 10 * maxOffers {
		if param, _ := c.offer().offers.Param("XCOUNT"); param != strconv.Itoa(i+1) {
			t.Fatalf("offer %d: %q", i+1, param)
		}
		if kept := len(s.cfg.offers); kept > maxOffers {
			t.Fatalf("%d offers are kept", kept)
		}
	}
}
