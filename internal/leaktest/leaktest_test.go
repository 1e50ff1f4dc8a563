package leaktest

import (
	"strings"
	"testing"
)

func TestOurs(t *testing.T) {
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		<-stop
	}()
	if left := ours(); !strings.Contains(left, "TestOurs.func1") {
		t.Errorf("a goroutine that waits is not seen in:\n%s", left)
	}
	close(stop)
	<-ended
}
