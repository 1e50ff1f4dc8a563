//go:build linux

package pgtest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Kill kills every process of the server with SIGKILL, at the same time as far
// as anybody can tell: nobody gets to write anything down.
func (s *Server) Kill() error {
	if s.cmd == nil {
		return nil
	}
	pid := s.cmd.Process.Pid
	// Each child has a session of its own, so that a signal to the group reaches
	// the first process only, which must make no more of them.
	s.cmd.Process.Signal(syscall.SIGSTOP)
	err := await(pid, "T", "Z", "")
	segment, _ := strconv.Atoi(field(s.pidFile(), 6, 1))
	children := childrenOf(pid)
	for _, child := range children {
		syscall.Kill(child, syscall.SIGKILL)
	}
	s.cmd.Process.Kill()
	<-s.gone
	s.cmd = nil
	for _, child := range children {
		err = errors.Join(err, await(child, "Z", "X", "")) // whoever has inherited it may not wait for it
	}
	if segment > 0 { // it outlives who made it
		syscall.Syscall(syscall.SYS_SHMCTL, uintptr(segment), 0 /* IPC_RMID */, 0)
	}
	return err
}

// field returns a word of a line of a text; both are counted from 0.
func field(text string, line, word int) string {
	lines := strings.Split(text, "\n")
	if line >= len(lines) {
		return ""
	}
	words := strings.Fields(lines[line])
	if word >= len(words) {
		return ""
	}
	return words[word]
}

// childrenOf returns the processes that pid has made and that are not gone.
func childrenOf(pid int) (children []int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, stat := range stats {
		child, _ := strconv.Atoi(filepath.Base(filepath.Dir(stat)))
		if _, parent := process(child); parent == pid {
			children = append(children, child)
		}
	}
	return children
}

// process returns the state of a process and who has made it. The state of one
// that is gone is "".
func process(pid int) (state string, parent int) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", 0
	}
	_, after, _ := strings.Cut(string(stat), ") ") // the name may have anything in it
	if words := strings.Fields(after); len(words) > 1 {
		parent, _ = strconv.Atoi(words[1])
		return words[0], parent
	}
	return "", 0
}

// await waits until a process is in one of the states.
func await(pid int, states ...string) error {
	every := time.NewTicker(tick)
	defer every.Stop()
	late := time.After(stopTime)
	for {
		state, _ := process(pid)
		if slices.Contains(states, state) {
			return nil
		}
		select {
		case <-every.C:
		case <-late:
			return fmt.Errorf("process %d is still %s after %v", pid, state, stopTime)
		}
	}
}
