package sqlqueue

import (
	"encoding/hex"
	"strconv"
)

// A pgArray is an array as PostgreSQL writes it, so that any number of rows goes
// into one statement with any driver.
type pgArray struct{ b []byte }

func (a *pgArray) next() {
	if len(a.b) == 0 {
		a.b = append(a.b, '{')
	} else {
		a.b = append(a.b, ',')
	}
}

func (a *pgArray) int(n int64) {
	a.next()
	a.b = strconv.AppendInt(a.b, n, 10)
}

func (a *pgArray) bytes(v []byte) {
	a.next()
	a.b = append(a.b, `"\\x`...)
	a.b = append(hex.AppendEncode(a.b, v), '"')
}

func (a *pgArray) flag(v bool) {
	a.next()
	if v {
		a.b = append(a.b, '1')
	} else {
		a.b = append(a.b, '0')
	}
}

// arg returns the array as an argument.
func (a *pgArray) arg() any {
	if len(a.b) == 0 {
		return "{}"
	}
	return string(append(a.b, '}'))
}

// pgArrays are columns.
type pgArrays []pgArray

// args appends them to arguments.
func (a pgArrays) args(to ...any) []any {
	for i := range a {
		to = append(to, a[i].arg())
	}
	return to
}
