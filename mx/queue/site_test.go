package queue

import (
	"math"
	"testing"
	"time"
)

// The window of a destination, as it is told of deliveries: "+" one that does well, "-"
// one that fails, "." a minute.
func TestSite(t *testing.T) {
	now := time.Now()
	for _, test := range []struct {
		name   string
		told   string
		window float64
		class  class
		rested int
	}{
		{"unknown", "", 5, unproven, 0},
		{"one success", "+", 5.2, wellKnown, 0},
		{"a round of successes", "+++++", 5.9307, wellKnown, 0},
		{"no more than it has use for", "++++++++++++++++++++++++++++++++++++++++++", 10.0851, wellKnown, 0}, // 4 are underway
		{"nearly a cohort", "----", 4.1453, unproven, 0},
		{"a cohort", "-----", 3.9040, dead, 1},
		{"nearly a cohort, twice", "----+----", 4.3826, wellKnown, 0},
		{"nearly a cohort of one that is well known", "+----", 4.3826, wellKnown, 0},
		{"and one more", "+-----", 4.1544, dead, 1},
		{"failures while it rests", "----------", 3.9040, dead, 1},
		{"a probe that fails", "-----..-", 3.6479, dead, 2},
		{"a probe that does well", "-----..-...+", 5.2, wellKnown, 0},
		{"half an hour at the most", "-----..-....-.......-...............-.................................-.......................................-", 1, dead, 7},
	} {
		s := &site{class: unproven, window: 5, running: 4}
		at := now
		for _, what := range test.told {
			switch what {
			case '+':
				s.succeeded(5, 20, time.Second)
				s.class = wellKnown
			case '-':
				if s.failed(at, false, heard{}) {
					s.class = dead
				}
			case '.':
				at = at.Add(time.Minute)
			}
		}
		if math.Abs(s.window-test.window) > 0.001 && test.window != 1 || s.class != test.class || s.rested != test.rested {
			t.Errorf("%s: window %.4f, class %d, rested %d", test.name, s.window, s.class, s.rested)
		}
		if rest := s.restEnds.Sub(at); rest > 36*time.Minute || test.rested == 7 && rest < 24*time.Minute {
			t.Errorf("%s: %v", test.name, rest)
		}
	}
}
