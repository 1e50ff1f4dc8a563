package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// certificateInterval is how often the files of a Certificate are looked at.
const certificateInterval = 5 * time.Second

// A Certificate is a certificate chain and its key in two files that may be
// replaced while a server runs, as clients of ACME do. Its GetCertificate
// method is for the field of that name in a tls.Config whose Certificates are
// empty:
//
//	cert, err := server.LoadCertificate("fullchain.pem", "privkey.pem")
//	…
//	srv.TLSConfig = &tls.Config{GetCertificate: cert.GetCertificate}
//
// The handshakes look for new files themselves, once in five seconds at most;
// there is no goroutine. While the new files are not there, cannot be read or
// do not belong together the old pair is kept, and they are tried again.
// Connections that have shaken hands go on as they are.
//
// All methods are safe for concurrent use.
type Certificate struct {
	// Logger is told of every new pair, and of files that are no pair. It must
	// not be changed once GetCertificate is used. If nil, slog.Default.
	Logger *slog.Logger

	certFile, keyFile string
	began             time.Time
	due               atomic.Int64 // when to look again, after began
	pair              atomic.Pointer[tls.Certificate]

	mu   sync.Mutex // held while the files are read: one handshake at a time
	seen [2]fs.FileInfo
	err  error
}

// LoadCertificate reads a certificate chain and its key, both in PEM.
func LoadCertificate(certFile, keyFile string) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile, began: time.Now()}
	c.due.Store(int64(certificateInterval))
	if err := c.load(); err != nil {
		return nil, err
	}
	return c, nil
}

// GetCertificate returns the current pair, whatever the client asks for. Of many
// handshakes at one time the first reads new files, and the others go on with
// the old ones. The error is only for a Certificate that nobody has loaded.
func (c *Certificate) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if now := time.Since(c.began); c.certFile != "" && now >= time.Duration(c.due.Load()) && c.mu.TryLock() {
		c.due.Store(int64(now + certificateInterval))
		c.refresh()
		c.mu.Unlock()
	}
	if pair := c.pair.Load(); pair != nil {
		return pair, nil
	}
	return nil, errors.New("smtp server: no certificate was loaded")
}

// Reload reads the files now. When it returns an error the old pair is kept.
func (c *Certificate) Reload() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.load()
}

// Err returns why the last attempt to read the files failed; nil if it did not.
func (c *Certificate) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// refresh reads the files if they are not those that were read last. It is
// called with mu held.
func (c *Certificate) refresh() {
	files, err := c.stat()
	if err == nil && same(files[0], c.seen[0]) && same(files[1], c.seen[1]) {
		c.err = nil
		return
	}
	logger := c.Logger
	if logger == nil {
		logger = slog.Default()
	}
	before := c.err
	switch err = c.load(); {
	case err == nil:
		logger.Info("smtp server: new certificate", "file", c.certFile, "until", c.pair.Load().Leaf.NotAfter)
	case before == nil || before.Error() != err.Error():
		logger.Error("smtp server: the old certificate is kept", "err", err)
	}
}

// load reads the files. It is called with mu held.
func (c *Certificate) load() error {
	files, err := c.stat() // before they are read: what is written meanwhile is seen next time
	var pair tls.Certificate
	if err == nil {
		pair, err = tls.LoadX509KeyPair(c.certFile, c.keyFile)
	}
	if err != nil {
		c.err = fmt.Errorf("smtp server: certificate %q: %w", c.certFile, err)
		return c.err
	}
	c.seen, c.err = files, nil
	c.pair.Store(&pair)
	return nil
}

func (c *Certificate) stat() (files [2]fs.FileInfo, err error) {
	for i, name := range []string{c.certFile, c.keyFile} {
		if files[i], err = os.Stat(name); err != nil {
			return files, err
		}
	}
	return files, nil
}

func same(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}
