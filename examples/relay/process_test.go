package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/server/smtptest"
)

// child starts a relay as a process of its own.
func child(t *testing.T, args ...string) (*program, *exec.Cmd) {
	t.Helper()
	p := &program{addrs: map[string]string{}, log: new(lockedBuffer), db: filepath.Join(t.TempDir(), "relay.db")}
	cmd := exec.Command(os.Args[0], append(args, "-db", p.db)...)
	cmd.Env = append(os.Environ(), "RELAY_IS_CHILD=1")
	cmd.Stderr = p.log
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill() // does nothing if it has ended
		cmd.Wait()
	})
	p.readyFrom(t, stdout)
	return p, cmd
}

// One signal lets what is underway come to its end, another does not.
func TestSignals(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there are no signals")
	}
	for _, signals := range []int{1, 2} {
		smarthost := smtptest.NewServer(t)
		stuck := smarthost.Fault(smtptest.AfterData().Delay(map[int]time.Duration{1: 300 * time.Millisecond, 2: time.Hour}[signals]))
		p, cmd := child(t, "-listen", "127.0.0.1:0", "-insecure-local", "-smarthost", smarthost.Addr)
		if _, err := send(t, plain(t, p.addrs["mx"]), text, "alice@example.org", "b@example.net"); err != nil {
			t.Fatal(err)
		}
		for stuck() == 0 {
			runtime.Gosched()
		}
		cmd.Process.Signal(syscall.SIGTERM)
		if signals == 2 {
			for { // the first one is known by nobody listening any longer
				conn, err := net.Dial("tcp", p.addrs["mx"])
				if err != nil {
					break
				}
				conn.Close()
			}
			cmd.Process.Signal(syscall.SIGTERM)
		}
		err := cmd.Wait()
		if killed := err != nil && strings.Contains(err.Error(), "terminated"); signals == 1 && err != nil || signals == 2 && !killed {
			t.Errorf("%d signals: %v\n%s", signals, err, p.log)
		}
		if signals == 1 {
			if got := p.outcomes(t, 1); got[0].Status != queue.Relayed {
				t.Errorf("%+v", got)
			}
		}
	}
}
