// Package queuetest has the tests that every queue.Store has to pass, and a
// benchmark to compare stores by.
//
//	func TestStore(t *testing.T) {
//		queuetest.Run(t, queuetest.Harness{New: func(t testing.TB) queuetest.Place { … }})
//	}
//
// Each rule of the Store's documentation is a subtest with a name. All times are
// made up, and years from now.
package queuetest

import (
	"testing"

	"github.com/postrider/postrider/mx/queue"
)

// A Harness is how the tests get at a store.
type Harness struct {
	// New returns a place for a store that is empty and nobody else's. What has to be
	// tidied up in the end is for t.Cleanup, handles that were not closed too. The
	// stores there have to keep all outcomes.
	New func(t testing.TB) Place

	// NewSmall returns a place that has room for 1 MB and not for 32. If nil, what
	// happens when a store is full is not tested.
	NewSmall func(t testing.TB) Place

	// Shared says that several handles may be used at the same time, as those of
	// several processes. If not, who opens one takes the place over: leases of others
	// may be void at once.
	Shared bool

	// InMemory says that the store holds contents in memory, so that nobody is
	// surprised by how much it takes.
	InMemory bool

	// InlineSize is up to how many octets a content is stored another way than larger
	// ones. If zero, it does not matter to the store.
	InlineSize int
}

// A Place is where a store keeps what it has: a file, a database.
type Place struct {
	// Open returns another handle, as another process would. An error is t.Fatal's.
	Open func(t testing.TB) queue.Store
	// Crash ends the use of a handle as the end of its process does: nothing is tidied
	// up. If nil, the handle is let alone.
	Crash func(s queue.Store)
}

// A rule is a subtest.
type rule struct {
	name string
	test func(e *env)
	when func(h *Harness) bool // if nil, always
}

func isShared(h *Harness) bool { return h.Shared }

// Run tests the store.
func Run(t *testing.T, h Harness) {
	for _, rules := range [][]rule{
		commitRules, contentRules, readyRules, leaseRules, settleRules, spawnRules, changeRules, scanRules,
		outcomeRules, hostileRules, contextRules, crashRules, fullRules, loadRules,
	} {
		for _, r := range rules {
			t.Run(r.name, func(t *testing.T) {
				if r.when != nil && !r.when(&h) {
					t.Skip("the store does not say that it has this")
				}
				r.test(newEnv(t, &h, h.New))
			})
		}
	}
}
