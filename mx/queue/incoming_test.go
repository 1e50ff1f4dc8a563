package queue_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/smtp"
)

func envelope(t testing.TB, to ...string) smtp.Envelope {
	t.Helper()
	env, err := smtp.NewEnvelope("a@example.org", to...)
	if err != nil {
		t.Fatal(err)
	}
	return env
}

// Recipients are sorted by their destinations, in the order in which they came.
func TestItems(t *testing.T) {
	many := make([]string, 1000)
	for i := range many {
		many[i] = fmt.Sprintf("u%d@d%d.example", i, i%300)
	}
	for _, test := range []struct {
		name string
		set  func(*queue.Runner)
		to   []string
		want []string // "destination: local-parts"
	}{
		{"one", nil, []string{"b@example.net"}, []string{"example.net: b"}},
		{"case", nil, []string{"b@Example.NET", "c@example.net"}, []string{"example.net: b c"}},
		{"several", nil, []string{"b@x.example", "c@y.example", "d@x.example", "e@z.example", "f@y.example"}, []string{"x.example: b d", "y.example: c f", "z.example: e"}},
		{"U-labels", nil, []string{"b@bücher.example", "c@xn--bcher-kva.example"}, []string{"xn--bcher-kva.example: b c"}},
		{"SMTPUTF8", nil, []string{"bü@bücher.example"}, []string{"xn--bcher-kva.example: bü"}},
		{"literal", nil, []string{"b@[192.0.2.1]", "c@[IPv6:2001:DB8::1]"}, []string{"[192.0.2.1]: b", "[ipv6:2001:db8::1]: c"}},
		{"postmaster", nil, []string{"Postmaster"}, []string{"localhost: Postmaster"}},
		{"none of its own", func(r *queue.Runner) { r.Destination = func(smtp.ForwardPath) string { return "" } }, []string{"b@x.example", "c@y.example"}, []string{"x.example: b", "y.example: c"}},
		{"its own", func(r *queue.Runner) { r.Destination = func(smtp.ForwardPath) string { return "next" } }, []string{"b@x.example", "c@y.example"}, []string{"next: b c"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, test.set)
				s.send("a@example.org", test.to...)
				var got []string
				for i, it := range s.items() {
					var local []string
					for _, to := range it.Recipients {
						local = append(local, to.To.Local)
					}
					got = append(got, it.Destination+": "+strings.Join(local, " "))
					if it.N != i {
						t.Errorf("item %d is number %d", i, it.N)
					}
				}
				if !slices.Equal(got, test.want) {
					t.Errorf("got %q, want %q", got, test.want)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, nil)
		s.send("a@example.org", many...)
		items := s.items()
		if len(items) != 300 || items[299].Destination != "d299.example" || len(items[0].Recipients) != 4 || items[99].Recipients[3].To.Local != "u999" {
			t.Errorf("%d items", len(items))
		}
	})
}

func TestCommitRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, nil)
		for name, m := range map[string]*queue.NewMessage{
			"no recipients": {},
			"prefix":        {Envelope: envelope(t, "b@example.net"), Prefix: make([]byte, 64<<10+1)},
			"data":          {Envelope: envelope(t, "b@example.net"), Data: strings.Repeat("x", 4<<10+1)},
		} {
			in, err := s.r.Begin(s.ctx, -1)
			if err != nil {
				t.Fatal(err)
			}
			if err := in.Commit(s.ctx, m); err == nil {
				t.Errorf("%s: committed", name)
			}
			in.Abort()
		}
		if n := len(s.items()); n != 0 {
			t.Errorf("%d items", n)
		}
	})
}

func TestMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, nil)
		in, err := s.r.Begin(s.ctx, -1)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(in, sample)
		env := envelope(t, "b@example.net")
		env.MailParams.EnvID = "id"
		if err := in.Commit(s.ctx, &queue.NewMessage{Envelope: env, Prefix: []byte("X: y\r\n"), Data: "mine", TLSOptional: true}); err != nil {
			t.Fatal(err)
		}
		in.Abort()
		m, content, err := s.store.Open(s.ctx, in.ID())
		if err != nil {
			t.Fatal(err)
		}
		r, _ := content.Open()
		b, _ := io.ReadAll(r)
		if string(b) != "X: y\r\n"+sample || m.Data != "mine" || !m.TLSOptional || m.Envelope.MailParams.EnvID != "id" ||
			m.Envelope.Recipients != nil || !m.Arrived.Equal(time.Now()) || len(env.Recipients) != 1 {
			t.Errorf("%q, %+v", b, m)
		}
	})
}

// fixed is a store with these Stats.
type fixed struct {
	queue.Store
	stats queue.Stats
	err   error
	asked int
}

func (f *fixed) Stats(context.Context) (queue.Stats, error) {
	f.asked++
	return f.stats, f.err
}

func TestAdmission(t *testing.T) {
	const mb = 1 << 20
	for _, test := range []struct {
		name  string
		r     *queue.Runner
		stats queue.Stats
		size  int64
		full  bool
	}{
		{"no limits", &queue.Runner{}, queue.Stats{Messages: 1 << 40, Bytes: 1 << 50, Free: 100 * mb}, 30 * mb, false},
		{"free", &queue.Runner{}, queue.Stats{Free: 100 * mb}, 37 * mb, true},
		{"free, as it happens", &queue.Runner{}, queue.Stats{Free: 64*mb - 1}, -1, true},
		{"free, unknown", &queue.Runner{}, queue.Stats{Free: -1}, 500 * mb, false},
		{"free, not asked for", &queue.Runner{MinFree: -1}, queue.Stats{Free: 1}, 500 * mb, false},
		{"free, asked for", &queue.Runner{MinFree: 2 * mb}, queue.Stats{Free: 2*mb + 10}, 11, true},
		{"free, just", &queue.Runner{MinFree: 2 * mb}, queue.Stats{Free: 2*mb + 10}, 10, false},
		{"messages", &queue.Runner{MaxMessages: 10}, queue.Stats{Messages: 10, Free: -1}, 1, true},
		{"messages, just", &queue.Runner{MaxMessages: 10}, queue.Stats{Messages: 9, Free: -1}, 1, false},
		{"bytes", &queue.Runner{MaxBytes: 1000}, queue.Stats{Bytes: 900, Free: -1}, 101, true},
		{"bytes, just", &queue.Runner{MaxBytes: 1000}, queue.Stats{Bytes: 900, Free: -1}, 100, false},
		{"absurd", &queue.Runner{MaxBytes: 1000}, queue.Stats{Bytes: 900, Free: -1}, 1<<63 - 1, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			store := &fixed{Store: &queue.Memory{MaxBytes: -1}, stats: test.stats}
			test.r.Store = store
			err := test.r.Admit(t.Context(), test.size)
			in, beginErr := test.r.Begin(t.Context(), test.size)
			if (err == queue.ErrFull) != test.full || (beginErr == queue.ErrFull) != test.full || (err != nil) != test.full {
				t.Errorf("%v, %v", err, beginErr)
			}
			var reply *smtp.Error
			if test.full && (!errors.As(err, &reply) || reply.Reply.Code != 452) {
				t.Errorf("%v", err)
			}
			if in != nil {
				in.Abort()
			}
		})
	}
}

// What has come since the store was asked, and what is on its way, counts; the store is
// asked once a second.
func TestAdmissionCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &fixed{Store: &queue.Memory{MaxBytes: -1}, stats: queue.Stats{Free: -1}}
		r := &queue.Runner{Store: store, MaxMessages: 10, MaxBytes: 10 << 20}
		begin := func(size int64) *queue.Incoming {
			t.Helper()
			in, err := r.Begin(t.Context(), size)
			if err != nil {
				t.Fatal(err)
			}
			return in
		}
		commit := func(in *queue.Incoming) {
			t.Helper()
			if err := in.Commit(t.Context(), &queue.NewMessage{Envelope: envelope(t, "b@example.net")}); err != nil {
				t.Fatal(err)
			}
			in.Abort()
		}
		full := func(size int64) {
			t.Helper()
			if err := r.Admit(t.Context(), size); err != queue.ErrFull {
				t.Errorf("not full: %v", err)
			}
		}
		for range 5 {
			commit(begin(1))
		}
		var open []*queue.Incoming
		for range 5 {
			open = append(open, begin(1))
		}
		full(1)
		open[0].Abort()
		commit(begin(1))
		full(1)
		for _, in := range open[1:] {
			in.Abort()
		}
		if store.asked != 1 {
			t.Errorf("asked %d times", store.asked)
		}
		store.stats.Messages = 6
		time.Sleep(time.Second)
		big := begin(10<<20 - 1) // what was counted before is in the Stats
		if store.asked != 2 {
			t.Errorf("asked %d times", store.asked)
		}
		full(2)
		big.Abort()
		silent := begin(-1)
		for i := range 12 {
			_, err := silent.Write(make([]byte, 1<<20))
			if (err == queue.ErrFull) != (i >= 10) {
				t.Errorf("after %d MB: %v", i+1, err)
			}
		}
		full(2 << 20)
		silent.Abort()
		commit(begin(10 << 20))
		store.err = errDisk
		time.Sleep(time.Second)
		if err := r.Admit(t.Context(), 1); err != errDisk {
			t.Errorf("%v", err)
		}
		none := &queue.Runner{Store: store, MinFree: -1}
		in, err := none.Begin(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			if _, err := in.Write(make([]byte, 1<<20)); err != nil {
				t.Fatal(err)
			}
		}
		in.Abort()
	})
}
