package queuetest_test

import (
	"fmt"
	"testing"

	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/mx/queue/queuetest"
)

// In a test function, queuetest.Run(t, h) runs all tests against the store.
func ExampleHarness() {
	h := queuetest.Harness{
		New: func(t testing.TB) queuetest.Place {
			var m queue.Memory // open a database in t.TempDir() here
			return queuetest.Place{Open: func(testing.TB) queue.Store { return m.Reopen() }}
		},
		Shared:   true,
		InMemory: true,
	}
	fmt.Println(h.NewSmall == nil)
	// Output: true
}

// A place is opened by several handles, which see the same.
func ExamplePlace() {
	var m queue.Memory
	place := queuetest.Place{Open: func(testing.TB) queue.Store { return m.Reopen() }}
	first, second := place.Open(nil), place.Open(nil)
	fmt.Println(first.Close(), first != second)
	// Output: <nil> true
}
