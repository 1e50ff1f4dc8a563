package sqlqueue

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestWake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		begun, calls := time.Now(), 0
		wake := Wake(ctx, func(ctx context.Context, news func()) error {
			if calls++; calls == 1 {
				return errors.New("the database is not there")
			}
			news()
			time.Sleep(time.Second)
			news()
			news() // nobody waits for the Runner
			<-ctx.Done()
			return ctx.Err()
		})
		<-wake
		if took := time.Since(begun); took != wakeRetry || calls != 2 {
			t.Errorf("woken after %v, %d calls", took, calls)
		}
		time.Sleep(time.Minute)
		<-wake
		select {
		case <-wake:
			t.Error("news are counted")
		default:
		}
		cancel()
		synctest.Wait()
	})
}

func TestNoDriver(t *testing.T) {
	for dsn, want := range map[string]string{
		"relay.db":                 "sqlqueue: open: no driver for SQLite is imported",
		"postgres://localhost/x":   "sqlqueue: open: no driver for PostgreSQL is imported",
		"postgresql://localhost/x": "sqlqueue: open: no driver for PostgreSQL is imported",
	} {
		for _, open := range []func(context.Context, string, *Options) (*Store, error){OpenDSN, AttachDSN} {
			if s, err := open(t.Context(), dsn, nil); err == nil || s != nil || err.Error() != want {
				t.Errorf("%s: %v, %v", dsn, s, err)
			}
		}
	}
}
