package queue_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/mx"
	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/smtp"
	"github.com/postrider/postrider/smtp/dsn"
)

func TestLogTrace(t *testing.T) {
	env, err := smtp.NewEnvelope("me@example.com", "a@example.org", "b@example.org")
	if err != nil {
		t.Fatal(err)
	}
	to := queue.Recipients{{Recipient: env.Recipients[0]}, {Recipient: env.Recipients[1]}}
	m := &queue.Message{ID: 7, Envelope: smtp.Envelope{From: env.From}, Size: 99}
	play := func(level slog.Level) string {
		var b bytes.Buffer
		trace := queue.LogTrace(slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{Level: level})))
		ctx := t.Context()
		trace.Accepted(ctx, m, []queue.NewItem{{Item: queue.Item{Recipients: to}}})
		trace.Attempted(ctx, &queue.Attempt{Leased: &queue.Leased{Message: m}, Results: []mx.Result{
			{Recipient: env.Recipients[0].To, Status: mx.Delivered, Reply: smtp.Reply{Code: 250}},
			{Recipient: env.Recipients[1].To, Status: mx.Deferred, Reply: smtp.Reply{Code: 451, Text: "later"}},
		}})
		trace.Settled(ctx, m, nil, []queue.Outcome{{Status: queue.Delivered}, {Recipient: env.Recipients[1].To, Status: queue.Expired}})
		trace.Notified(ctx, m, &dsn.Notification{Report: dsn.Report{Recipients: []dsn.Recipient{{Final: dsn.Address(env.Recipients[1].To.Mailbox), Action: dsn.Failed}}}})
		trace.Site(ctx, "example.org", time.Unix(1, 0), errors.New("dead"))
		trace.Site(ctx, "example.org", time.Time{}, nil)
		return b.String()
	}
	got := play(slog.LevelInfo)
	for _, want := range []string{
		"level=INFO msg=queued id=0000000000007 from=<me@example.com> size=99 recipients=2",
		"level=INFO msg=delivered id=0000000000007",
		"level=WARN msg=deferred id=0000000000007",
		"level=WARN msg=expired id=0000000000007 to=<b@example.org>",
		"level=INFO msg=notified id=0000000000007 sender=<me@example.com> about=b@example.org action=failed",
		"level=WARN msg=resting destination=example.org",
		"level=INFO msg=recovered destination=example.org",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no line %q in\n%s", want, got)
		}
	}
	if n := strings.Count(got, "\n"); n != 7 {
		t.Errorf("%d lines, want 7", n)
	}
	if n := strings.Count(play(slog.LevelWarn), "\n"); n != 3 {
		t.Errorf("%d lines at level Warn, want 3", n)
	}
}

func TestWords(t *testing.T) {
	for a := queue.Hold; a <= queue.Delete; a++ {
		if got, ok := queue.ParseAction(a.String()); !ok || got != a {
			t.Errorf("%v: parsed as %v, %t", a, got, ok)
		}
	}
	for _, s := range []string{"", "Hold", "Action(0)"} {
		if a, ok := queue.ParseAction(s); ok {
			t.Errorf("%q: parsed as %v", s, a)
		}
	}
	if got := queue.Expired.String() + queue.Status(0).String() + queue.Status(9).String() + queue.Action(9).String(); got != "expiredStatus(0)Status(9)Action(9)" {
		t.Errorf("got %s", got)
	}
}
