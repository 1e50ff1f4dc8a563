package main

import (
	"errors"
	"runtime"
	"time"
)

// A watch compares what the machine has worked with what this program has, its
// children included: the rest are others, who disturb what is measured.
type watch struct {
	began           time.Time
	machine, inside time.Duration
	err             error
}

func startWatch() watch {
	w := watch{began: time.Now()}
	machine, err1 := machineCPU()
	own, err2 := ownCPU()
	children, err3 := childrenCPU()
	w.machine, w.inside, w.err = machine, own+children, errors.Join(err1, err2, err3)
	return w
}

// others is the part of the machine's CPUs that others have had since the watch
// was started, 0 to 1; 0 too where that cannot be known. Children count once they
// have ended.
func (w watch) others() float64 {
	now := startWatch()
	if w.err != nil || now.err != nil {
		return 0
	}
	spent := (now.machine - w.machine) - (now.inside - w.inside)
	had := now.began.Sub(w.began) * time.Duration(runtime.NumCPU())
	return max(0, spent.Seconds()/had.Seconds())
}
