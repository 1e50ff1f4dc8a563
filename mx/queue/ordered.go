package queue

import (
	"iter"
	"slices"
	"sort"
)

// ordered are values in the order of cmp, in which no two are equal. They lie in
// blocks, so that what is put in or taken out moves few of the others.
type ordered[T any] struct {
	cmp    func(a, b T) int
	blocks [][]T // none is empty
	len    int
}

const orderedBlock = 512

// find returns the block that has v, or has to get it: the last if v is greater
// than all.
func (o *ordered[T]) find(v T) int {
	return sort.Search(len(o.blocks)-1, func(i int) bool {
		b := o.blocks[i]
		return o.cmp(v, b[len(b)-1]) <= 0
	})
}

func (o *ordered[T]) add(v T) {
	o.len++
	if len(o.blocks) == 0 {
		o.blocks = append(o.blocks, []T{v})
		return
	}
	i := o.find(v)
	at, _ := slices.BinarySearchFunc(o.blocks[i], v, o.cmp)
	b := slices.Insert(o.blocks[i], at, v)
	if len(b) <= orderedBlock {
		o.blocks[i] = b
		return
	}
	cut := orderedBlock / 2
	if at == orderedBlock {
		cut = orderedBlock // what grows at its end has full blocks
	}
	o.blocks[i] = slices.Clone(b[:cut])
	o.blocks = slices.Insert(o.blocks, i+1, slices.Clone(b[cut:]))
}

func (o *ordered[T]) remove(v T) {
	i := o.find(v)
	if i >= len(o.blocks) {
		return
	}
	at, ok := slices.BinarySearchFunc(o.blocks[i], v, o.cmp)
	if !ok {
		return
	}
	o.len--
	if o.blocks[i] = slices.Delete(o.blocks[i], at, at+1); len(o.blocks[i]) == 0 {
		o.blocks = slices.Delete(o.blocks, i, i+1)
	}
}

// first returns the first value. There must be one.
func (o *ordered[T]) first() T { return o.blocks[0][0] }

// from returns the values in their order from the first on of which behind says
// so; it says so of all that follow too.
func (o *ordered[T]) from(behind func(T) bool) iter.Seq[T] {
	return func(yield func(T) bool) {
		i := sort.Search(len(o.blocks), func(i int) bool { b := o.blocks[i]; return behind(b[len(b)-1]) })
		if i == len(o.blocks) {
			return
		}
		at := sort.Search(len(o.blocks[i]), func(j int) bool { return behind(o.blocks[i][j]) })
		for _, b := range o.blocks[i:] {
			for _, v := range b[at:] {
				if !yield(v) {
					return
				}
			}
			at = 0
		}
	}
}

func (o *ordered[T]) all() iter.Seq[T] { return o.from(func(T) bool { return true }) }
