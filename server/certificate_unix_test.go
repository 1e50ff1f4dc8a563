//go:build unix && !aix && !solaris

package server_test

import (
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// One handshake waits for a disk that does not answer, no other does.
func TestCertificateOnASlowDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		files := newStore(t)
		if err := os.Remove(files.cert); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mkfifo(files.cert, 0o600); err != nil {
			t.Skip(err)
		}
		place(files.key, second.key)
		time.Sleep(5 * time.Second)
		unlucky := make(chan error)
		go func() { unlucky <- files.Reload() }()
		pipe, err := os.OpenFile(files.cert, os.O_WRONLY, 0) // waits for the reader
		if err != nil {
			t.Fatal(err)
		}
		for range 3 { // it is time to look, but somebody does
			want(t, "name", files.name(t), "first.example")
		}
		if _, err := pipe.Write(second.cert); err != nil {
			t.Error(err)
		}
		pipe.Close()
		if err := <-unlucky; err != nil {
			t.Error(err)
		}
		place(files.cert, second.cert) // a file again, or the next look would wait
		want(t, "name after all", files.name(t), "second.example")
	})
}
