package queue_test

import (
	"context"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider/postrider/mx"
	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/smtp"
)

// Somebody else's message with the null reverse-path and REQUIRETLS is not a notification
// of ours, of which it is known that it has nothing of the message but its header.
func TestForeignNotificationTLS(t *testing.T) {
	lacking := mx.Result{Status: mx.Failed, Scope: mx.ScopePolicy, Local: true, Err: errGone,
		Reply: smtp.Reply{Code: 550, Enhanced: smtp.Enh(7, 30), Text: "the message requires TLS"}}
	play(t, nil, func(s *stage) {
		s.does("example.org", always(lacking))
		s.sendWith(func(m *queue.NewMessage) { m.Envelope.MailParams.RequireTLS = true }, "", "a@example.org")
		s.sleep(time.Second)
		s.want("a@example.org failed")
		for _, try := range s.tried() {
			if !try.m.Envelope.MailParams.RequireTLS {
				t.Error("sent without")
			}
		}
	})
}

// What servers say at length is not kept at length.
func TestLongReplies(t *testing.T) {
	long := strings.Repeat("450-4.2.1 "+strings.Repeat("é", 250)+"\r\n", 120) + "450 4.2.1 end"
	reply, err := smtp.ParseReply(long)
	if err != nil {
		t.Fatal(err)
	}
	play(t, nil, func(s *stage) {
		res := refused(451)
		res.Reply = reply
		s.does("example.net", always(res))
		s.send("a@example.org", "b@example.net", "c@example.net")
		s.sleep(time.Second)
		it := s.items()[0]
		text, err := it.Recipients.MarshalText()
		if err != nil || len(text) > 16<<10 {
			t.Errorf("%d octets, %v", len(text), err)
		}
		if r := it.Recipients[0].Reply; r.Code != 450 || r.Enhanced != smtp.Enh(2, 1) || len(r.Text) < 500 {
			t.Errorf("%+v", r)
		}
		res.Status = mx.Failed
		s.does("example.net", always(res))
		s.sleep(time.Hour)
		for o, err := range s.store.Outcomes(s.ctx, 0) {
			if err != nil || len(o.Reply.Text)+len(o.Reply.Raw) > 8<<10 {
				t.Errorf("%d octets, %v", len(o.Reply.Text)+len(o.Reply.Raw), err)
			}
		}
	})
}

// What could not wait for its place since others had it on whose messages nothing came
// is begun when that is known.
func TestBrokenPromise(t *testing.T) {
	play(t, func(r *queue.Runner) { noPoll(r); r.SiteDeliveries, r.MaxSiteDeliveries = 1, 1 }, func(s *stage) {
		s.sleep(time.Second)
		in, err := s.r.Begin(s.ctx, 10)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(in, sample)
		committing, may := make(chan struct{}), make(chan struct{})
		var first atomic.Bool
		s.store.hook(func(method string) {
			if method == "Commit" && first.CompareAndSwap(false, true) {
				close(committing)
				<-may
			}
		})
		done := make(chan error)
		s.store.breaksAt("Commit", errDisk)
		go func() { done <- in.Commit(s.ctx, &queue.NewMessage{Envelope: envelope(t, "b@example.net")}) }()
		<-committing
		s.store.breaks(nil)
		s.send("", "c@example.net")
		s.sleep(time.Second)
		close(may)
		if err := <-done; err != errDisk {
			t.Error(err)
		}
		s.sleep(time.Second)
		s.want("c@example.net delivered")
		in.Abort()
	})
}

// What was extended while it was recorded is not lost.
func TestExtendedWhileSettled(t *testing.T) {
	play(t, func(r *queue.Runner) { r.LeaseTime = 30 * time.Second }, func(s *stage) {
		s.does("example.net", after(15*time.Second, well))
		s.send("", "b@example.net")
		store := &slowAnswer{Store: s.store.Store}
		s.store.mu.Lock()
		s.store.Store = store
		s.store.mu.Unlock()
		s.sleep(time.Hour)
		if s.log.has("lost") || len(s.done()) != 1 {
			t.Errorf("%d recorded, %s", len(s.done()), s.log.String())
		}
	})
}

type slowAnswer struct {
	queue.Store
}

func (s *slowAnswer) Settle(ctx context.Context, all []*queue.Settlement) error {
	err := s.Store.Settle(ctx, all)
	time.Sleep(10 * time.Second) // it is done, and nobody knows
	return err
}

// Failures whose senders cannot be told since the store is full leave places for the
// deliveries that make room.
func TestFullOfFailures(t *testing.T) {
	play(t, func(r *queue.Runner) { r.MaxDeliveries = 4 }, func(s *stage) {
		s.does("example.net", after(time.Second, refuses))
		for range 8 {
			s.send("a@example.org", "b@example.net")
		}
		s.store.breaksAt("Begin", queue.ErrFull)
		s.sleep(time.Minute)
		if n := len(s.tried()); n > 8 {
			t.Errorf("%d attempts", n)
		}
		s.store.breaks(nil)
		s.send("", "c@example.com")
		s.store.breaksAt("Begin", queue.ErrFull)
		s.sleep(30 * time.Minute)
		s.want("c@example.com delivered")
		s.store.breaks(nil)
		s.sleep(5 * time.Hour)
		if n := len(s.told()); n != 8 {
			t.Errorf("%d notifications", n)
		}
	})
}
