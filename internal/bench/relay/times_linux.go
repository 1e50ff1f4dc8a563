package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// times are how long messages have been in the relay, in milliseconds, each.
type times struct {
	waited []float64 // from being queued to the delivery
	took   []float64 // the delivery
}

// writeTimes says what the relay's log, from offset on, and the rate at which it has
// accepted tell of a message's way. Little's law makes a time of the rate.
func (m *mta) writeTimes(w io.Writer, offset int64, l load, s sample) error {
	f, err := os.Open(m.log)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		return err
	}
	t := readTimes(f)
	if len(t.took) == 0 {
		return fmt.Errorf("%s has no deliveries", m.log)
	}
	fmt.Fprintf(w, "    a message takes %.1f ms from connecting or MAIL to its 250, %.1f ms until it is delivered, %.1f ms for that (mean)\n",
		1000*float64(l.sessions)/s.accepted, mean(t.waited), mean(t.took))
	return nil
}

// readTimes reads a log that package slog has written as text. Its times are whole
// milliseconds.
func readTimes(log io.Reader) (t times) {
	queued := map[string]time.Time{}
	for lines := bufio.NewScanner(log); lines.Scan(); {
		field := map[string]string{}
		for word := range strings.FieldsSeq(lines.Text()) {
			name, value, _ := strings.Cut(word, "=")
			field[name] = value
		}
		at, err := time.Parse(time.RFC3339Nano, field["time"])
		if err != nil {
			continue
		}
		switch field["msg"] {
		case "queued":
			queued[field["id"]] = at
		case "delivered", "relayed":
			took, err := time.ParseDuration(field["took"])
			began, known := queued[field["id"]]
			if err != nil || !known {
				continue
			}
			t.took = append(t.took, milliseconds(took))
			t.waited = append(t.waited, max(0, milliseconds(at.Sub(began)-took)))
		}
	}
	return t
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func mean(values []float64) (m float64) {
	for _, v := range values {
		m += v / float64(len(values))
	}
	return m
}
