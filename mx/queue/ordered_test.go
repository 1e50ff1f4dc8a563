package queue

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestOrdered(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	o := ordered[int]{cmp: cmp.Compare[int]}
	o.remove(1)
	var want []int
	check := func() {
		t.Helper()
		if got := slices.Collect(o.all()); !slices.Equal(got, want) || o.len != len(want) || len(want) > 0 && o.first() != want[0] {
			t.Fatalf("there are %d values, want %d", len(got), len(want))
		}
		for _, b := range o.blocks {
			if len(b) == 0 || len(b) > orderedBlock {
				t.Fatalf("a block has %d values", len(b))
			}
		}
		at := r.IntN(5000)
		i, _ := slices.BinarySearch(want, at)
		if got := slices.Collect(o.from(func(v int) bool { return v >= at })); !slices.Equal(got, want[i:]) {
			t.Fatalf("from %d there are %d values, want %d", at, len(got), len(want[i:]))
		}
	}
	for _, v := range r.Perm(4000) {
		o.add(v)
		i, _ := slices.BinarySearch(want, v)
		want = slices.Insert(want, i, v)
		if v%100 == 0 {
			check()
		}
	}
	for v := 4000; v < 5000; v++ { // at the end
		o.add(v)
		want = append(want, v)
	}
	check()
	for _, v := range r.Perm(6000) {
		o.remove(v)
		if i, ok := slices.BinarySearch(want, v); ok {
			want = slices.Delete(want, i, i+1)
		}
		if v%100 == 0 {
			check()
		}
	}
	check()
	for range o.from(func(int) bool { return true }) {
		t.Error("something is left")
	}
}
