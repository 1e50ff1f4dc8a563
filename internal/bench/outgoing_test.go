package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// TestOutgoingCasesRun sends a few messages in every case from every sender, and
// CPU time is seen.
func TestOutgoingCasesRun(t *testing.T) {
	for _, c := range outgoingCases() {
		results, err := measureOutgoing(c, installed(outgoingPeers()), load{rounds: 1, conns: 2, messages: 2})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range results {
			if r.lacks != "" {
				if !c.bdat || r.server == oursName {
					t.Errorf("case %s: %s lacks %s", c.key, r.server, r.lacks)
				}
				continue
			}
			if got := r.samples[0]; got.messages != 4 || got.cpu <= 0 || got.wall <= 0 {
				t.Errorf("case %s: %s: %+v", c.key, r.server, got)
			}
		}
	}
}

// TestSendersSend proves that no sender looks fast by leaving something out: a real
// server gets as many messages as it says, whole, from and to whom they are.
func TestSendersSend(t *testing.T) {
	var mu sync.Mutex
	var got [][]byte
	s := &server.Server{
		Hostname: "bench.example",
		Handler: server.Deliver(func(_ context.Context, m *server.Message) (smtp.Reply, error) {
			b, err := io.ReadAll(m.Body)
			mu.Lock()
			defer mu.Unlock()
			if err == nil && m.Envelope.From.String() == "<"+outgoingFrom+">" && m.Envelope.Recipients[0].To.String() == "<"+outgoingTo+">" {
				got = append(got, b)
			}
			return smtp.Reply{}, err
		}),
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(ln) }()
	defer func() { s.Close(); <-done }()

	for _, c := range outgoingCases() {
		for _, p := range installed(outgoingPeers()) {
			if c.bdat && !p.bdat {
				continue
			}
			got = nil
			k, err := startChild(p.name, options{to: ln.Addr().String(), outgoing: c, conns: 2})
			if err != nil {
				t.Fatal(err)
			}
			sent, err := sendRound(k, load{messages: 3})
			k.close()
			if err != nil {
				t.Fatalf("case %s, %s: %v", c.key, p.name, err)
			}
			want := body(c.size)
			if p.name == goMailName {
				want = want[bytes.Index(want, []byte("\r\n\r\n")):] // its header is its own
			}
			mu.Lock()
			whole := 0
			for _, b := range got {
				if p.name == sourceName && len(b) >= c.size || bytes.HasSuffix(b, want) {
					whole++
				}
			}
			mu.Unlock()
			if sent.messages != 6 || whole != 6 {
				t.Errorf("case %s, %s: says that it has sent %d, %d came", c.key, p.name, sent.messages, whole)
			}
		}
	}
}

// TestOutgoingRefused proves that a sender says so when a server does not take its
// messages.
func TestOutgoingRefused(t *testing.T) {
	s := &server.Server{
		Hostname: "bench.example",
		Handler: server.Deliver(func(context.Context, *server.Message) (smtp.Reply, error) {
			return smtp.Reply{}, smtp.Reject(554, smtp.Enh(6, 0), "no")
		}),
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(ln) }()
	defer func() { s.Close(); <-done }()
	for _, p := range installed(outgoingPeers()) {
		if p.name == sourceName {
			continue // it goes on
		}
		k, err := startChild(p.name, options{to: ln.Addr().String(), outgoing: outgoingCases()[0], conns: 1})
		if err != nil {
			t.Fatal(err)
		}
		_, err = sendRound(k, load{messages: 1})
		k.close()
		if err == nil || !strings.Contains(err.Error(), "554") {
			t.Errorf("%s: %v", p.name, err)
		}
	}
}
