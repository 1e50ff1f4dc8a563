package queuecmd_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/postrider/postrider/internal/leaktest"
	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/mx/queue/queuecmd"
	"github.com/postrider/postrider/smtp"
)

func TestMain(m *testing.M) { os.Exit(leaktest.Main(m)) }

var arrived = time.Date(2026, 2, 3, 4, 5, 6, 7, time.UTC)

// put commits a message with an item for each destination.
func put(t *testing.T, s queue.Store, from string, destinations map[string][]string) queue.ID {
	t.Helper()
	tx, err := s.Begin(t.Context(), -1)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(tx, "Subject: x\r\n\r\n")
	env, err := smtp.NewEnvelope(from)
	if err != nil {
		t.Fatal(err)
	}
	c := &queue.Commit{Message: queue.Message{Envelope: env, Arrived: arrived}}
	for destination, to := range destinations {
		env, err := smtp.NewEnvelope("", to...)
		if err != nil {
			t.Fatal(err)
		}
		item := queue.Item{Destination: destination, Due: arrived.Add(time.Hour), Expires: arrived.Add(1e6 * time.Hour), Attempts: 3}
		for _, r := range env.Recipients {
			item.Recipients = append(item.Recipients, queue.Recipient{Recipient: r, Last: arrived, Host: "mx.example",
				Reply: smtp.Reply{Code: 451, Enhanced: smtp.Enh(7, 1), Text: "not\nnow"}})
		}
		c.Items = append(c.Items, queue.NewItem{Item: item})
	}
	if _, err := tx.Commit(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	return tx.ID()
}

// keep is a store that a Command cannot close.
type keep struct{ queue.Store }

func (keep) Close() error { return nil }

// run returns what a Command prints, with IDs by their names.
func run(t *testing.T, s queue.Store, code int, args ...string) string {
	t.Helper()
	var out, failed bytes.Buffer
	c := queuecmd.Command{Open: func(context.Context, string) (queue.Store, error) { return keep{s}, nil }, DB: "x", Stdout: &out, Stderr: &failed}
	if got := c.Run(t.Context(), args); got != code || (code == 0) != (failed.Len() == 0) {
		t.Errorf("%q: exit code %d, want %d; %s", args, got, code, &failed)
	}
	return out.String() + failed.String()
}

func TestShow(t *testing.T) {
	s := new(queue.Memory)
	a := put(t, s, "me@example.com", map[string][]string{"example.org": {"a@example.org", "b@example.org"}}).String()
	b := put(t, s, "", map[string][]string{"example.net": {"\u00fc\u202e@example.net"}}).String()
	name := strings.NewReplacer(a, "A", b, "B")
	want := `ID STATE DUE ATTEMPTS SIZE FROM TO DESTINATION HOST REPLY
A waiting 2026-02-03T05:05:06Z 3 14 <me@example.com> <a@example.org> example.org mx.example 451 4.7.1 not now
A waiting 2026-02-03T05:05:06Z 3 14 <me@example.com> <b@example.org> example.org mx.example 451 4.7.1 not now
B waiting 2026-02-03T05:05:06Z 3 14 <> <` + "\u00fc" + ` @example.net> example.net mx.example 451 4.7.1 not now
`
	blanks := func(s string) string {
		var lines []string
		for line := range strings.Lines(name.Replace(s)) {
			lines = append(lines, strings.Join(strings.Fields(line), " ")+"\n")
		}
		return strings.ReplaceAll(strings.Join(lines, ""), " / ", " ")
	}
	if got := blanks(run(t, s, 0, "list")); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := blanks(run(t, s, 0, "list", "-from", "<>")); strings.Count(got, "\n") != 2 || !strings.Contains(got, "\nB ") {
		t.Error(got)
	}
	if got := run(t, s, 0, "list", "-json", "-limit", "1"); !strings.HasPrefix(got, `{"id":"`+a+`","state":"waiting","due":"2026-02-03T05:05:06Z","attempts":3,"size":14,"from":"<me@example.com>","to":"<a@example.org>","destination":"example.org","host":"mx.example","reply":"451 4.7.1 not`) {
		t.Error(got)
	}
	if got := run(t, s, 0, "delete", "-all"); got != "delete 2\n" {
		t.Error(got)
	}
	if got := run(t, s, 0, "list"); strings.Count(got, "\n") != 1 {
		t.Error(got)
	}
	for _, tt := range []struct {
		lines int
		args  string
	}{
		{3, "outcomes"}, {2, "outcomes -id " + a}, {3, "outcomes -id " + b + " -id " + a}, {0, "outcomes -to B@example.org"},
		{1, "outcomes -to b@EXAMPLE.org"}, {2, "outcomes -to @example.org"}, {1, "outcomes -to <a@example.org>"}, {1, "outcomes -destination example.net"}, {2, "outcomes -limit 2"},
	} {
		got := run(t, s, 0, strings.Fields(tt.args)...)
		if n := strings.Count(got, " deleted "); n != tt.lines {
			t.Errorf("%s: %d lines, want %d\n%s", tt.args, n, tt.lines, got)
		}
	}
}

// What a terminal would obey stands there as an escape that says the same.
func TestJSONControls(t *testing.T) {
	s := new(queue.Memory)
	const destination = "\u009b\u202e\U000e0041\u00fc\x7f"
	put(t, s, "", map[string][]string{destination: {"a@example.net"}})
	got := run(t, s, 0, "list", "-json")
	for _, r := range strings.TrimSuffix(got, "\n") {
		if !unicode.IsGraphic(r) {
			t.Errorf("%q in %s", r, got)
		}
	}
	var row struct{ Destination string }
	if err := json.Unmarshal([]byte(got), &row); err != nil || row.Destination != destination {
		t.Errorf("%q, %v", row.Destination, err)
	}
}

func TestChange(t *testing.T) {
	s := new(queue.Memory)
	id := put(t, s, "me@example.com", map[string][]string{"example.org": {"a@example.org"}, "example.net": {"a@example.net"}}).String()
	for _, tt := range []struct{ args, out string }{
		{"hold -destination example.org", "hold 1\n"},
		{"list -held -json", `"state":"held"`},
		{"list -waiting -json", `"to":"<a@example.net>"`},
		{"release -id " + id, "release 2\n"},
		{"hold -older 24h", "hold 2\n"},
		{"release -held -limit 1", "release 1\n"},
		{"retry -to @example.net", "retry 1\n"},
		{"hold -to <a@EXAMPLE.net>", "hold 1\n"},
		{"hold -to postmaster", "hold 0\n"},
		{"release -from <me@example.com>", "release 2\n"},
		{"hold -from <ME@example.com>", "hold 0\n"},
		{"delete -from @example.com", "delete 2\n"},
	} {
		if got := run(t, s, 0, strings.Fields(tt.args)...); !strings.Contains(got, tt.out) {
			t.Errorf("%s: %s", tt.args, got)
		}
	}
}

// What could be a mistake changes nothing.
func TestUsage(t *testing.T) {
	s := new(queue.Memory)
	put(t, s, "me@example.com", map[string][]string{"example.org": {"a@example.org"}})
	for args, want := range map[string]string{
		"":                       "the verb is missing",
		"lost":                   "there is no lost",
		"delete":                 "or -all",
		"delete -limit 1":        "or -all",
		"hold x":                 "flags only",
		"delete -all -id x":      "invalid value",
		"delete -all -no":        "not defined",
		"outcomes -from @a.org":  "-id, -destination and -to",
		"hold -from example.org": "invalid value",
		"hold -from <a@b":        "invalid value",
		"hold -from @":           "invalid value",
		"hold -to <>":            "invalid value",
		"outcomes -held":         "-id, -destination and -to",
	} {
		if got := run(t, s, 64, strings.Fields(args)...); !strings.HasPrefix(got, "queue: ") || !strings.Contains(got, want) || strings.Count(got, "\n") != 1 {
			t.Errorf("%q: %s", args, got)
		}
	}
	if got := run(t, s, 0, "list", "-json"); !strings.Contains(got, `"waiting"`) {
		t.Error(got)
	}
	var out bytes.Buffer
	c := queuecmd.Command{Name: "relay queue", Stdout: &out, Stderr: &out, DB: "/no", Open: func(_ context.Context, db string) (queue.Store, error) { return nil, errors.New("cannot open " + db) }}
	if code := c.Run(t.Context(), []string{"list"}); code != 1 || out.String() != "relay queue: cannot open /no\n" {
		t.Errorf("%d, %s", code, &out)
	}
	out.Reset()
	if code := c.Run(t.Context(), []string{"hold", "-help"}); code != 0 || !strings.Contains(out.String(), "-destination word") {
		t.Errorf("%d, %s", code, &out)
	}
}

// A store that fails in the middle of a listing is not a short listing.

func TestBroken(t *testing.T) {
	s := new(queue.Memory)
	put(t, s, "me@example.com", map[string][]string{"example.org": {"a@example.org"}})
	s.Close()
	for _, args := range []string{"list", "outcomes", "hold -all"} {
		run(t, s, 1, strings.Fields(args)...)
	}
}
