package server_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/server"
)

// pairFiles are a certificate and its key as they stand in files.
type pairFiles struct{ cert, key []byte }

func newPair(name string) pairFiles {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotAfter: time.Now().AddDate(50, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	return pairFiles{
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
	}
}

// place puts content where a file is, as a whole.
func place(name string, content []byte) {
	if err := os.WriteFile(name+".new", content, 0o600); err != nil {
		panic(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		panic(err)
	}
}

var first, second = newPair("first.example"), newPair("second.example")

// store is a Certificate in a directory of its own.
type store struct {
	*server.Certificate
	cert, key string
	log       bytes.Buffer
}

func newStore(t *testing.T) *store {
	dir := t.TempDir()
	s := &store{cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem")}
	s.put(first)
	var err error
	if s.Certificate, err = server.LoadCertificate(s.cert, s.key); err != nil {
		t.Fatal(err)
	}
	s.Logger = slog.New(slog.NewTextHandler(&s.log, nil))
	return s
}

func (s *store) put(p pairFiles) {
	place(s.cert, p.cert)
	place(s.key, p.key)
}

// name is the name in the certificate that a handshake gets now.
func (s *store) name(t *testing.T) string {
	t.Helper()
	pair, err := s.GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	return pair.Leaf.DNSNames[0]
}

// A running server uses the new files for the connections that come, and the
// others go on.
func TestCertificateIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		files := newStore(t)
		s := start(t, func(s *testServer) { s.TLSConfig = &tls.Config{GetCertificate: files.GetCertificate} })
		implicit := s.serveTLS()
		connect := func(how, name string) *peer {
			t.Helper()
			config := &tls.Config{InsecureSkipVerify: true}
			p := s.hello()
			if how == "STARTTLS" {
				p.do("STARTTLS", "220")
			} else {
				conn, err := implicit.Dial(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				p = newPeer(t, conn)
			}
			p.upgradeWith(config)
			want(t, "name over "+how, p.Conn.(*tls.Conn).ConnectionState().PeerCertificates[0].DNSNames[0], name)
			if how != "STARTTLS" {
				p.expect("220")
			}
			return p
		}
		var old []*peer
		for _, how := range []string{"STARTTLS", "TLS"} {
			old = append(old, connect(how, "first.example"))
		}
		files.put(second)
		time.Sleep(5 * time.Second)
		for _, how := range []string{"STARTTLS", "TLS"} {
			connect(how, "second.example").do("EHLO x.example", "250")
		}
		for _, p := range old {
			p.do("EHLO x.example", "250")
			p.do("QUIT", "221")
		}
		if text := files.log.String(); strings.Count(text, "new certificate") != 1 {
			t.Errorf("the log: %s", text)
		}
	})
}

// The files are looked at once in five seconds.
func TestCertificateIsNotReadAllTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		files := newStore(t)
		files.put(second)
		time.Sleep(5*time.Second - time.Nanosecond)
		want(t, "name", files.name(t), "first.example")
		time.Sleep(time.Nanosecond)
		want(t, "name", files.name(t), "second.example")
		files.put(first)
		want(t, "name", files.name(t), "second.example")
		time.Sleep(5 * time.Second)
		want(t, "name", files.name(t), "first.example")
	})
}

// Until the files are a pair again the old one is used, and nobody is bored with
// the same error twice.
func TestCertificateIsKept(t *testing.T) {
	for name, spoil := range map[string]func(*store){
		"half replaced": func(s *store) { place(s.cert, second.cert) },
		"other half":    func(s *store) { place(s.key, second.key) },
		"garbage":       func(s *store) { place(s.cert, []byte("garbage")) },
		"empty":         func(s *store) { place(s.key, nil) },
		"gone":          func(s *store) { os.Remove(s.cert) },
		"key gone":      func(s *store) { os.Remove(s.key) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				files := newStore(t)
				spoil(files)
				for range 3 {
					time.Sleep(5 * time.Second)
					want(t, "name", files.name(t), "first.example")
				}
				if err := files.Err(); err == nil || !strings.Contains(err.Error(), files.cert) {
					t.Errorf("Err: %v", err)
				}
				if err := files.Reload(); err == nil {
					t.Error("Reload succeeded")
				}
				want(t, "name", files.name(t), "first.example")
				files.put(second)
				time.Sleep(5 * time.Second)
				want(t, "name", files.name(t), "second.example")
				if err := files.Err(); err != nil {
					t.Errorf("Err: %v", err)
				}
				if text := files.log.String(); strings.Count(text, "level=ERROR") != 1 || strings.Count(text, "level=INFO") != 1 {
					t.Errorf("the log: %s", text)
				}
			})
		})
	}
}

// Files that are what they were before are no error any more.
func TestCertificateIsPutBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		files := newStore(t)
		if err := os.Rename(files.key, files.key+".away"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		files.name(t)
		if files.Err() == nil {
			t.Error("no error while the key is gone")
		}
		if err := os.Rename(files.key+".away", files.key); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		files.name(t)
		if err := files.Err(); err != nil {
			t.Errorf("Err: %v", err)
		}
	})
}

// Files may also be written in place.
func TestCertificateIsOverwritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		files := newStore(t)
		for name, content := range map[string][]byte{files.cert: second.cert, files.key: second.key} {
			if err := os.WriteFile(name, content, 0o600); err != nil {
				t.Fatal(err)
			}
			later := time.Now().AddDate(60, 0, 0) // bubbles live in the past
			if err := os.Chtimes(name, later, later); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(5 * time.Second)
		want(t, "name", files.name(t), "second.example")
	})
}

func TestCertificateReload(t *testing.T) {
	files := newStore(t)
	files.put(second)
	want(t, "name", files.name(t), "first.example")
	if err := files.Reload(); err != nil {
		t.Error(err)
	}
	want(t, "name", files.name(t), "second.example")
}

func TestCertificateErrors(t *testing.T) {
	if _, err := server.LoadCertificate("no-such-file", "nor-this"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	var log strings.Builder
	none := server.Certificate{Logger: slog.New(slog.NewTextHandler(&log, nil))}
	if pair, err := none.GetCertificate(nil); pair != nil || err == nil {
		t.Errorf("%v, %v", pair, err)
	}
	want(t, "the log", log.String(), "")
	if none.Reload() == nil {
		t.Error("a Certificate without files was read")
	}
}

// Handshakes, Reload and new files may come all at once.
func TestCertificateConcurrently(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		files := newStore(t)
		var group sync.WaitGroup
		for i := range 8 {
			group.Go(func() {
				for range 20 {
					if name := files.name(t); name != "first.example" && name != "second.example" {
						t.Errorf("name %q", name)
					}
					if i == 0 {
						files.Reload()
						files.Err()
					}
					time.Sleep(time.Second)
				}
			})
		}
		for i := range 20 {
			files.put([]pairFiles{first, second}[i%2])
			time.Sleep(time.Second)
		}
		group.Wait()
	})
}
