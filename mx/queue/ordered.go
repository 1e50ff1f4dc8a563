package queue

import "slices"

// ordered are values in the order of cmp, in which no two are equal. To look costs
// next to nothing, so does taking from the front or putting at the end; elsewhere
// what comes after is moved.
type ordered[T any] struct {
	cmp  func(a, b T) int
	list []T
}

func (o *ordered[T]) add(v T) {
	i, _ := slices.BinarySearchFunc(o.list, v, o.cmp)
	o.list = slices.Insert(o.list, i, v)
}

func (o *ordered[T]) remove(v T) {
	i, ok := slices.BinarySearchFunc(o.list, v, o.cmp)
	switch {
	case !ok:
	case i == 0:
		clear(o.list[:1])
		o.list = o.list[1:]
	default:
		o.list = slices.Delete(o.list, i, i+1)
	}
}
