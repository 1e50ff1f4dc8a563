package queue

import "testing"

func TestLeasedFrom(t *testing.T) {
	l := new(Leased)
	if got := LeasedFrom(WithLeased(t.Context(), l)); got != l {
		t.Errorf("got %p, want %p", got, l)
	}
	if got := LeasedFrom(t.Context()); got != nil {
		t.Errorf("got %p, want nil", got)
	}
}
