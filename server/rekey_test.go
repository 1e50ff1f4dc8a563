package server_test

import (
	"bufio"
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/memnet"
	"github.com/postrider/postrider/server"
)

// A rekeyConn is to the server a TLS connection on which a key update comes with all
// that is read: it is answered at once, and what the answer fails for every later Write
// fails for too.
type rekeyConn struct {
	net.Conn
	err error
}

func (c *rekeyConn) ConnectionState() tls.ConnectionState {
	return tls.ConnectionState{HandshakeComplete: true}
}

func (c *rekeyConn) Handshake() error { return nil }

func (c *rekeyConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && c.err == nil {
		_, c.err = c.Conn.Write(nil) // it is after the deadline or not
	}
	return n, err
}

func (c *rekeyConn) Write(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	return c.Conn.Write(p)
}

type rekeyListener struct{ *memnet.Listener }

func (l rekeyListener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &rekeyConn{Conn: nc}, nil
}

// A key update that comes as late as anything may come is answered, and the session
// goes on.
func TestLateKeyUpdate(t *testing.T) {
	for _, tt := range []struct {
		name, said, wants string
		pause             time.Duration
	}{
		{"between commands", "NOOP\n|NOOP\n|RSET\n", "250|250|250", 299 * time.Second},
		{"in a command", "NO|OP|\nNO|OP\n", "||250|250", 99 * time.Second},
		{"in a transaction", "MAIL FROM:<>\n|RCPT TO:<b@example.com>\n|DATA\n|x\n.\n", "250|250|354|250 2.0.0", 179 * time.Second},
		{"in the data", transaction + "DATA\n|x|x|x|x|x|\n.\n", "250 250 354||||||250 2.0.0", 179 * time.Second},
		{"between chunks", transaction + "BDAT 1\nx|BDAT 1\nx|BDAT 1 LAST\nx", "250 250 250|250|250 2.0.0", 179 * time.Second},
		{"in a chunk", transaction + "BDAT 5\nx|x|x|x|x|BDAT 0 LAST\n", "250 250||||250|250 2.0.0", 179 * time.Second},
		{"in AUTH", "AUTH PLAIN\n|" + b64("\x00"+user+"\x00"+password) + "\n", "334|235", 299 * time.Second},
	} {
		for _, timeout := range []time.Duration{0, time.Second} {
			for _, socket := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s, %v, %v", tt.name, timeout, socket), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						s := &testServer{
							Server:  &server.Server{Hostname: "mx.example", Limits: server.Limits{WriteTimeout: timeout, MinDataRate: -1}},
							backend: new(backend), t: t, listener: memnet.Listen(), log: new(notes),
						}
						withAuth(s)
						s.Handler = s.backend
						if socket {
							s.RestAnyhow()
						}
						s.serveWith(s.Server.Serve, rekeyListener{s.listener})
						p := s.hello()
						answers := strings.Split(tt.wants, "|")
						for i, said := range strings.Split(tt.said, "|") {
							time.Sleep(tt.pause)
							p.send(said)
							for _, want := range strings.Split(strings.ReplaceAll(answers[i], "250 2.0.0", "250_2.0.0"), " ") {
								if want != "" {
									p.expect(strings.ReplaceAll(want, "_", " "))
								}
							}
						}
						p.do("QUIT", "221")
						p.closed()
					})
				})
			}
		}
	}
}

// records are those of TLS 1.3 as a client writes them that changes its keys (RFC 8446
// §5.2, §7.2), which crypto/tls never does by itself.
type records struct {
	secret []byte
	number uint64
}

// expand is HKDF-Expand-Label (RFC 8446 §7.1) with an empty context.
func (r *records) expand(t *testing.T, label string, length int) []byte {
	t.Helper()
	label = "tls13 " + label
	info := string(binary.BigEndian.AppendUint16(nil, uint16(length))) + string(rune(len(label))) + label + "\x00"
	out, err := hkdf.Expand[hash.Hash](sha256.New, r.secret, info, length)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// seal returns the next record.
func (r *records) seal(t *testing.T, content string, kind byte) []byte {
	t.Helper()
	block, err := aes.NewCipher(r.expand(t, "key", 16))
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	nonce := r.expand(t, "iv", 12)
	tail := binary.BigEndian.Uint64(nonce[4:]) ^ r.number
	binary.BigEndian.PutUint64(nonce[4:], tail)
	r.number++
	inner := append([]byte(content), kind)
	header := binary.BigEndian.AppendUint16([]byte("\x17\x03\x03"), uint16(len(inner)+aead.Overhead()))
	return aead.Seal(header, nonce, inner, header)
}

// A client that asks for new keys on both sides (RFC 8446 §4.6.3) long after the last
// reply gets them, and all replies to come.
func TestKeyUpdate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, withTLS, limits(server.Limits{WriteTimeout: time.Minute}))
		p := s.hello()
		p.do("STARTTLS", "220")
		var log bytes.Buffer
		config := clientTLS.Clone()
		config.KeyLogWriter = &log
		under := p.Conn
		p.upgradeWith(config)
		conn := p.Conn.(*tls.Conn)
		if state := conn.ConnectionState(); state.CipherSuite != tls.TLS_AES_128_GCM_SHA256 {
			t.Skip(tls.CipherSuiteName(state.CipherSuite))
		}
		r := new(records)
		for line := range strings.Lines(log.String()) {
			if word, rest, _ := strings.Cut(line, " "); word == "CLIENT_TRAFFIC_SECRET_0" {
				_, secret, _ := strings.Cut(strings.TrimSpace(rest), " ")
				r.secret, _ = hex.DecodeString(secret)
			}
		}
		p.r = bufio.NewReader(conn)
		send := func(record []byte) {
			if _, err := under.Write(record); err != nil {
				t.Fatal(err)
			}
		}
		for range 3 {
			send(r.seal(t, "EHLO client.example\r\n", 23))
			p.expect("250")
			time.Sleep(4 * time.Minute)
			send(r.seal(t, "\x18\x00\x00\x01\x01", 22)) // KeyUpdate, update_requested
			r.secret, r.number = r.expand(t, "traffic upd", sha256.Size), 0
			send(r.seal(t, "NOOP\r\n", 23))
			p.expect("250")
		}
		under.Close()
	})
}
