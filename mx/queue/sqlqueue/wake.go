package sqlqueue

import (
	"context"
	"time"
)

// wakeRetry is how long Wake waits after a failure.
const wakeRetry = 5 * time.Second

// Wake returns a channel for queue.Runner's Wake. Listen is to call news for each
// notification on WakeChannel, and once when it begins to listen: what happened
// before nobody has told it. When it fails it is called again after 5 seconds;
// meanwhile the Runner looks by itself. The goroutine in which it is called ends with
// ctx, and the channel is closed by nobody.
//
// With the driver pgx:
//
//	runner.Wake = sqlqueue.Wake(ctx, func(ctx context.Context, news func()) error {
//		conn, err := pgx.Connect(ctx, url)
//		if err != nil {
//			return err
//		}
//		defer conn.Close(ctx)
//		_, err = conn.Exec(ctx, "LISTEN "+sqlqueue.WakeChannel)
//		for ; err == nil; _, err = conn.WaitForNotification(ctx) {
//			news()
//		}
//		return err
//	})
func Wake(ctx context.Context, listen func(ctx context.Context, news func()) error) <-chan struct{} {
	wake := make(chan struct{}, 1)
	news := func() {
		select {
		case wake <- struct{}{}:
		default: // the Runner has not yet looked after the one before
		}
	}
	go func() {
		for ctx.Err() == nil {
			listen(ctx, news)
			t := time.NewTimer(wakeRetry)
			select {
			case <-t.C:
			case <-ctx.Done():
				t.Stop()
			}
		}
	}()
	return wake
}
