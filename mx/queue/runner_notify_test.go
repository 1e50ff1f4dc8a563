package queue_test

import (
	"bytes"
	"context"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/mx"
	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/smtp"
	"github.com/postrider/postrider/smtp/dsn"
)

// Who hears of what.
func TestNotifications(t *testing.T) {
	success := func(m *queue.NewMessage) {
		m.Envelope.Recipients[0].RcptParams.Notify = smtp.NotifySuccess
	}
	trace := func(m *queue.NewMessage) {
		m.Envelope.MailParams.By = smtp.DeliverBy{Within: time.Hour, Mode: smtp.DeliverNotify, Trace: true}
	}
	delivered := always(mx.Result{Status: mx.Delivered, Reply: smtp.Reply{Code: 250}, Host: "mx.example.net"})
	for _, test := range []struct {
		name string
		from string
		act  act
		set  func(*queue.NewMessage)
		want dsn.Action // 0: nobody hears of it
	}{
		{"failed", "a@example.org", refuses, nil, dsn.Failed},
		{"failed, null reverse-path", "", refuses, nil, 0},
		{"failed, never", "a@example.org", refuses, func(m *queue.NewMessage) { m.Envelope.Recipients[0].RcptParams.Notify = smtp.NotifyNever }, 0},
		{"failed, success only", "a@example.org", refuses, success, 0},
		{"delivered", "a@example.org", delivered, nil, 0},
		{"delivered, success", "a@example.org", delivered, success, dsn.Delivered},
		{"delivered, success, the next server tells", "a@example.org", well, success, 0},
		{"relayed", "a@example.org", relayed, nil, 0},
		{"relayed, success", "a@example.org", relayed, success, dsn.Relayed},
		{"relayed, null reverse-path", "", relayed, success, 0},
		{"BY with trace, the next server tells", "a@example.org", well, trace, dsn.Relayed},
		{"BY with trace, relayed", "a@example.org", relayed, trace, dsn.Relayed},
		{"deferred", "a@example.org", later, success, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			play(t, nil, func(s *stage) {
				s.does("example.net", test.act)
				id := s.sendWith(test.set, test.from, "b@example.net")
				s.sleep(time.Second)
				if test.want == 0 {
					if len(s.told()) != 0 || len(s.times("example.org")) != 0 {
						t.Errorf("%+v", s.told())
					}
					s.store.Change(s.ctx, queue.Filter{}, queue.Delete, time.Now())
					return
				}
				if len(s.told()) != 1 || len(s.times("example.org")) != 1 {
					t.Fatalf("%d notifications, %d on the way", len(s.told()), len(s.times("example.org")))
				}
				m := s.tried()[len(s.tried())-1].m
				if !m.Envelope.From.IsNull() || m.Envelope.Recipients[0].To.String() != "<a@example.org>" {
					t.Errorf("%+v", m.Envelope)
				}
				r := s.told()[0].Report.Recipients[0]
				if r.Action != test.want || r.LogID != id.String() || r.RemoteMTA.Text != "mx.example.net" ||
					r.LastAttempt.Sub(s.began) != 0 || r.Diagnostic.IsZero() {
					t.Errorf("%+v", r)
				}
			})
		})
	}
}

// What the sender reads is what dsn.Parse reads, with all recipients of the delivery in
// one notification.
func TestNotificationContent(t *testing.T) {
	play(t, nil, func(s *stage) {
		s.does("example.net", refuses)
		var got []byte
		s.does("example.org", func(ctx context.Context, m *mx.Message) []mx.Result {
			r, err := m.Content.Open()
			if err != nil {
				t.Error(err)
				return nil
			}
			defer r.Close()
			got, _ = io.ReadAll(r)
			return well(ctx, m)
		})
		s.sendWith(func(m *queue.NewMessage) {
			m.ReceivedFrom = dsn.DNS("client.example")
			m.Envelope.MailParams.EnvID = "env"
		}, "a@example.org", "b@example.net", "c@example.net", "d@example.com")
		synctest.Wait()
		report, err := dsn.Parse(bytes.NewReader(got))
		if err != nil {
			t.Fatal(err)
		}
		if len(report.Recipients) != 2 || report.EnvelopeID != "env" || report.ReceivedFrom.Text != "client.example" ||
			!report.Arrival.Equal(s.began) || report.Returned != smtp.RetFull || report.Get("Subject") != "hello" {
			t.Errorf("%+v", report)
		}
		for _, r := range report.Recipients {
			if r.Action != dsn.Failed || r.Status.String() != "5.1.1" || r.Diagnostic.Text != "550 5.1.1 not you" {
				t.Errorf("%+v", r)
			}
		}
		s.want("b@example.net failed", "c@example.net failed", "d@example.com delivered", "a@example.org delivered")
	})
}

// A notification that cannot be delivered is no reason for another.
func TestDoubleBounce(t *testing.T) {
	play(t, nil, func(s *stage) {
		s.does("example.net", refuses)
		s.does("example.org", refuses)
		s.send("a@example.org", "b@example.net")
		s.sleep(time.Hour)
		s.want("b@example.net failed", "a@example.org failed")
	})
}

// A failure at an attempt that was made late says both: it failed, and the rest waits.
func TestWarningWithAttempt(t *testing.T) {
	play(t, func(r *queue.Runner) { r.WarnAfter = 5 * time.Second; r.Poll = time.Hour }, func(s *stage) {
		s.does("example.net", after(10*time.Second, func(_ context.Context, m *mx.Message) []mx.Result {
			results := each(m, refused(451))
			results[0] = refused(550)
			return results
		}))
		s.send("a@example.org", "b@example.net", "c@example.net")
		s.sleep(11 * time.Second)
		if len(s.told()) != 1 || len(s.told()[0].Report.Recipients) != 2 {
			t.Fatalf("%+v", s.told())
		}
		if r := s.told()[0].Report.Recipients; r[0].Action != dsn.Failed || r[1].Action != dsn.Delayed {
			t.Errorf("%+v", r)
		}
		s.sleep(time.Minute)
		if len(s.told()) != 1 {
			t.Errorf("%d notifications", len(s.told()))
		}
	})
}

// REQUIRETLS: the notification has it too, but is not lost where it cannot be had, and
// TLS-Required: No is passed on (RFC 8689 §5).
func TestNotificationTLS(t *testing.T) {
	lacking := mx.Result{Status: mx.Failed, Scope: mx.ScopePolicy, Local: true, Err: errGone,
		Reply: smtp.Reply{Code: 550, Enhanced: smtp.Enh(7, 30), Text: "the message requires TLS"}}
	play(t, nil, func(s *stage) {
		s.does("example.net", refuses)
		s.does("example.org", func(ctx context.Context, m *mx.Message) []mx.Result {
			if m.Envelope.MailParams.RequireTLS {
				return each(m, lacking)
			}
			return well(ctx, m)
		})
		s.sendWith(func(m *queue.NewMessage) { m.Envelope.MailParams.RequireTLS = true; m.TLSOptional = true }, "a@example.org", "b@example.net")
		s.sleep(time.Second)
		s.want("b@example.net failed", "a@example.org delivered")
		if n := len(s.times("example.org")); n != 2 || s.tried()[1].m.TLSOptional || s.told()[0].Report.Returned != smtp.RetHeaders {
			t.Errorf("%d attempts, %+v", n, s.told()[0].Report)
		}
		// another message keeps it whatever happens
		s.sendWith(func(m *queue.NewMessage) { m.Envelope.MailParams.RequireTLS = true }, "b@example.com", "c@example.org")
		s.sleep(time.Second)
		s.want("b@example.net failed", "a@example.org delivered", "c@example.org failed", "b@example.com delivered")
	})
	play(t, nil, func(s *stage) {
		s.does("example.net", refuses)
		s.sendWith(func(m *queue.NewMessage) { m.TLSOptional = true }, "a@example.org", "b@example.net")
		s.sleep(time.Second)
		if !s.tried()[0].m.TLSOptional || !s.tried()[1].m.TLSOptional {
			t.Error("TLS-Required: No was not passed on")
		}
	})
}

// Nothing is recorded without its notification: the store's failures are waited for, and
// when the Runner ends first, the recipient stays.
func TestNotificationStoreFails(t *testing.T) {
	for _, method := range []string{"Begin", "Write"} {
		play(t, nil, func(s *stage) {
			s.does("example.net", refuses)
			s.does("example.com", after(time.Second, refuses))
			s.send("a@example.org", "b@example.net")
			synctest.Wait()
			s.send("a@example.org", "b@example.com")
			s.store.breaksAt(method, errDisk)
			s.sleep(10 * time.Minute)
			s.want("b@example.net failed", "a@example.org delivered")
			if !s.log.has("a notification could not be written") {
				t.Error("nothing was logged")
			}
			if n := len(s.times("example.com")); n != 1 {
				t.Errorf("%d attempts", n)
			}
			s.store.breaks(nil)
			s.sleep(time.Minute)
			s.want("b@example.net failed", "a@example.org delivered", "b@example.com failed", "a@example.org delivered")
			if r := s.told()[1].Report; r.Returned != "" {
				t.Errorf("returned %q", r.Returned) // since what was at fault was not known
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, nil)
		s.run()
		s.does("example.net", func(ctx context.Context, m *mx.Message) []mx.Result {
			results := each(m, refused(550))
			results[0] = mx.Result{Status: mx.Delivered, DSN: true, Reply: smtp.Reply{Code: 250}}
			return results
		})
		s.store.breaksAt("Begin", nil)
		s.send("a@example.org", "b@example.net", "c@example.net")
		s.sleep(time.Second)
		s.want("b@example.net delivered", "c@example.net failed", "a@example.org delivered")
		env := envelope(t, "d@example.net", "e@example.net")
		in, err := s.r.Begin(s.ctx, -1)
		if err != nil {
			t.Fatal(err)
		}
		s.store.breaksAt("Begin", errDisk)
		if err := in.Commit(s.ctx, &queue.NewMessage{Envelope: env}); err != nil {
			t.Fatal(err)
		}
		s.sleep(time.Minute)
		ctx, cancel := context.WithTimeout(s.ctx, time.Second)
		defer cancel()
		s.r.Shutdown(ctx)
		if err := <-s.ran; err != nil {
			t.Error(err)
		}
		s.want("b@example.net delivered", "c@example.net failed", "a@example.org delivered", "d@example.net delivered")
		it := s.items()
		if len(it) != 1 || len(it[0].Recipients) != 1 || it[0].Recipients[0].To.Local != "e" || it[0].Due.After(time.Now()) {
			t.Errorf("%+v", it)
		}
	})
}

// A content that cannot be read goes back neither whole nor in part, but the sender
// hears of the failure.
func TestNotificationUnreadableContent(t *testing.T) {
	play(t, func(r *queue.Runner) { r.Store = &unreadable{Store: r.Store} }, func(s *stage) {
		s.does("example.net", refuses)
		s.send("a@example.org", "b@example.net")
		s.sleep(time.Minute)
		s.want("b@example.net failed", "a@example.org delivered")
		if s.told()[0].Report.Returned != "" {
			t.Errorf("%+v", s.told()[0].Report)
		}
	})
}

// unreadable has contents that cannot be opened.
type unreadable struct{ queue.Store }

func (u *unreadable) Begin(ctx context.Context, size int64) (queue.Tx, error) {
	tx, err := u.Store.Begin(ctx, size)
	return unreadableTx{tx}, err
}

func (u *unreadable) Settle(ctx context.Context, all []*queue.Settlement) error {
	for _, s := range all {
		for i := range s.Spawn {
			s.Spawn[i].Tx = s.Spawn[i].Tx.(unreadableTx).Tx
		}
	}
	return u.Store.Settle(ctx, all)
}

type unreadableTx struct{ queue.Tx }

func (tx unreadableTx) Commit(ctx context.Context, c *queue.Commit) ([]*queue.Leased, error) {
	leased, err := tx.Tx.Commit(ctx, c)
	for _, l := range leased {
		l.Content.Open = func() (io.ReadCloser, error) { return nil, errDisk }
	}
	return leased, err
}

// A message of 25 MB goes back whole, if that is allowed, without being in memory.
func TestLargeNotification(t *testing.T) {
	const size = 25 << 20
	disk := &queue.Memory{MaxBytes: -1}
	var written, most int64
	play(t, func(r *queue.Runner) {
		r.Notifications = &dsn.Composer{MaxReturn: -1}
		r.Store = &largeStore{Store: disk, size: size, written: &written}
	}, func(s *stage) {
		s.does("example.net", func(ctx context.Context, m *mx.Message) []mx.Result {
			var stats runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&stats)
			most = int64(stats.TotalAlloc)
			return refuses(ctx, m)
		})
		s.sendWith(func(m *queue.NewMessage) { m.Envelope.MailParams.Ret = smtp.RetFull }, "a@example.org", "b@example.net")
		s.sleep(time.Second)
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		if got := int64(stats.TotalAlloc) - most; got > 1<<20 {
			t.Errorf("%d octets were allocated", got)
		}
		if written < size {
			t.Errorf("%d octets were written", written)
		}
	})
}

// largeStore makes contents large, and does not keep what is written.
type largeStore struct {
	queue.Store
	size    int64
	written *int64
}

type largeTx struct {
	queue.Tx
	s *largeStore
}

func (s *largeStore) Begin(ctx context.Context, size int64) (queue.Tx, error) {
	tx, err := s.Store.Begin(ctx, -1)
	return &largeTx{tx, s}, err
}

func (tx *largeTx) Write(p []byte) (int, error) {
	*tx.s.written += int64(len(p))
	return len(p), nil
}

func (s *largeStore) Settle(ctx context.Context, all []*queue.Settlement) error {
	for _, one := range all {
		for i := range one.Spawn {
			one.Spawn[i].Tx = one.Spawn[i].Tx.(*largeTx).Tx
		}
	}
	return s.Store.Settle(ctx, all)
}

func (tx *largeTx) Commit(ctx context.Context, c *queue.Commit) ([]*queue.Leased, error) {
	leased, err := tx.Tx.Commit(ctx, c)
	for _, l := range leased {
		l.Content = smtp.Content{Size: tx.s.size, Kind: smtp.KindExamined, Open: func() (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(strings.NewReader("Subject: x\r\n\r\n"), io.LimitReader(lines{}, tx.s.size-14))), nil
		}}
	}
	return leased, err
}

// lines never end.
type lines struct{}

func (lines) Read(p []byte) (int, error) {
	n := len(p) / 64 * 64
	for i := range p[:n] {
		p[i] = 'x'
		switch i % 64 {
		case 62:
			p[i] = '\r'
		case 63:
			p[i] = '\n'
		}
	}
	if n == 0 {
		for i := range p {
			p[i] = 'x'
		}
		n = len(p)
	}
	return n, nil
}
