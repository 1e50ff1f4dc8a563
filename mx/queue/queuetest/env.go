package queuetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/smtp"
)

// t0 is when a test begins. It is late, so that a store that asks a clock stands
// out.
var t0 = time.Date(2041, 3, 1, 10, 0, 0, 0, time.UTC)

func at(seconds int) time.Time { return t0.Add(time.Duration(seconds) * time.Second) }

const day = 24 * time.Hour

// env is a test with a store.
type env struct {
	testing.TB
	h     *Harness
	place Place
	ctx   context.Context
	s     queue.Store
}

func newEnv(t testing.TB, h *Harness, place func(testing.TB) Place) *env {
	e := &env{TB: t, h: h, place: place(t), ctx: t.Context()}
	e.s = e.place.Open(t)
	return e
}

// other is the same test with another handle.
func (e *env) other() *env {
	o := *e
	o.s = e.place.Open(e)
	return &o
}

// crash is the same test after the process with the handle has died.
func (e *env) crash() *env {
	if e.place.Crash != nil {
		e.place.Crash(e.s)
	}
	return e.other()
}

// close closes the handle and returns the test with another.
func (e *env) reopen() *env {
	e.Helper()
	e.must(e.s.Close())
	return e.other()
}

func (e *env) must(err error) {
	e.Helper()
	if err != nil {
		e.Fatal(err)
	}
}

// want fails the test if what is not so.
func (e *env) want(ok bool, format string, args ...any) {
	e.Helper()
	if !ok {
		e.Errorf(format, args...)
	}
}

func (e *env) begin() queue.Tx {
	e.Helper()
	tx, err := e.s.Begin(e.ctx, -1)
	e.must(err)
	return tx
}

func (e *env) write(tx queue.Tx, content string) {
	e.Helper()
	if n, err := io.WriteString(tx, content); err != nil || n != len(content) {
		e.Fatalf("Write of %d octets: %d, %v", len(content), n, err)
	}
}

// put commits a message and returns its ID.
func (e *env) put(content string, items ...queue.NewItem) queue.ID {
	e.Helper()
	id, _ := e.putLeased(content, items...)
	return id
}

func (e *env) putLeased(content string, items ...queue.NewItem) (queue.ID, []*queue.Leased) {
	e.Helper()
	return e.commit(commitOf(items...), content)
}

func (e *env) commit(c *queue.Commit, content string) (queue.ID, []*queue.Leased) {
	e.Helper()
	tx := e.begin()
	e.write(tx, content)
	id := tx.ID()
	leased, err := tx.Commit(e.ctx, c)
	e.must(err)
	return id, leased
}

func commitOf(items ...queue.NewItem) *queue.Commit {
	c := &queue.Commit{Message: queue.Message{Arrived: t0}, Items: items}
	c.Message.Envelope.From = smtp.ReversePath{Mailbox: mailbox("ann@example.org")}
	return c
}

// item is for recipients of a destination, due after so many seconds.
func item(destination string, due int, to ...string) queue.NewItem {
	if to == nil {
		to = []string{"bob@example.com"}
	}
	it := queue.Item{Destination: destination, Due: at(due), Expires: t0.Add(5 * day)}
	for _, s := range to {
		it.Recipients = append(it.Recipients, queue.Recipient{Recipient: smtp.Recipient{To: smtp.ForwardPath{Mailbox: mailbox(s)}}})
	}
	return queue.NewItem{Item: it}
}

func leased(it queue.NewItem, until int) queue.NewItem {
	it.LeaseUntil = at(until)
	return it
}

func mailbox(s string) smtp.Mailbox {
	m, err := smtp.ParseMailbox(s)
	if err != nil {
		panic(err)
	}
	return m
}

func (e *env) lease(destination string, max, now, until int) []*queue.Leased {
	e.Helper()
	return e.leaseAs(queue.LeaseRequest{Destination: destination, Max: max, Now: at(now), Until: at(until)})
}

func (e *env) late(max, now, until int) []*queue.Leased {
	e.Helper()
	return e.leaseAs(queue.LeaseRequest{Late: true, Max: max, Now: at(now), Until: at(until)})
}

func (e *env) leaseAs(req queue.LeaseRequest) []*queue.Leased {
	e.Helper()
	l, err := e.s.Lease(e.ctx, req)
	e.must(err)
	return l
}

func (e *env) lease1(destination string, now, until int) *queue.Leased {
	e.Helper()
	l := e.lease(destination, 1, now, until)
	if len(l) != 1 {
		e.Fatalf("Lease of %q gives %d items", destination, len(l))
	}
	return l[0]
}

func (e *env) ready(now int) []string {
	e.Helper()
	names, _, err := e.s.Ready(e.ctx, at(now), "", 1000)
	e.must(err)
	return names
}

func (e *env) stats() queue.Stats {
	e.Helper()
	s, err := e.s.Stats(e.ctx)
	e.must(err)
	return s
}

// counts are those of Stats.
func (e *env) counts(messages, bytes, items, held, leased int64) {
	e.Helper()
	s := e.stats()
	got := [...]int64{s.Messages, s.Bytes, s.Items, s.Held, s.Leased}
	want := [...]int64{messages, bytes, items, held, leased}
	e.want(got == want, "Stats has messages, bytes, items, held, leased %v, want %v", got, want)
	e.want(s.Oldest.IsZero() == (messages == 0), "Stats has %d messages and Oldest %v", s.Messages, s.Oldest)
}

func (e *env) empty() {
	e.Helper()
	e.counts(0, 0, 0, 0, 0)
	if list := e.scan(queue.Filter{}); len(list) > 0 {
		e.Errorf("Scan gives %d items", len(list))
	}
}

func (e *env) scan(f queue.Filter) []*queue.Entry {
	e.Helper()
	var list []*queue.Entry
	for entry, err := range e.s.Scan(e.ctx, f) {
		e.must(err)
		list = append(list, entry)
	}
	return list
}

func (e *env) scan1(f queue.Filter) *queue.Entry {
	e.Helper()
	list := e.scan(f)
	if len(list) != 1 {
		e.Fatalf("Scan of %+v gives %d items", f, len(list))
	}
	return list[0]
}

func (e *env) change(f queue.Filter, do queue.Action, now, want int) {
	e.Helper()
	n, err := e.s.Change(e.ctx, f, do, at(now))
	e.must(err)
	e.want(n == want, "Change %d of %+v did it to %d items, want %d", do, f, n, want)
}

func (e *env) outcomes(id queue.ID) []queue.Outcome {
	e.Helper()
	var list []queue.Outcome
	for o, err := range e.s.Outcomes(e.ctx, id) {
		e.must(err)
		list = append(list, o)
	}
	return list
}

func (e *env) settle(settlements ...*queue.Settlement) {
	e.Helper()
	e.must(e.s.Settle(e.ctx, settlements))
}

// settled settles, and fails if the lease was lost.
func (e *env) settled(settlements ...*queue.Settlement) {
	e.Helper()
	e.settle(settlements...)
	for _, s := range settlements {
		e.must(s.Err)
	}
}

// lost fails unless the lease is.
func (e *env) lost(l queue.Lease) {
	e.Helper()
	s := &queue.Settlement{Lease: l}
	e.settle(s)
	e.want(errors.Is(s.Err, queue.ErrLost), "Settle of a lost lease: %v", s.Err)
	lost, err := e.s.Extend(e.ctx, at(1000), []queue.Lease{l})
	e.must(err)
	e.want(len(lost) == 1 && lost[0].Token == l.Token, "Extend of a lost lease says that these are lost: %v", lost)
}

// done is the settlement of an item that was delivered.
func done(l *queue.Leased) *queue.Settlement {
	s := &queue.Settlement{Lease: l.Lease, Attempts: l.Item.Attempts + 1}
	for _, r := range l.Item.Recipients {
		s.Done = append(s.Done, outcome(l, r, queue.Relayed))
	}
	return s
}

// left is the settlement of an item whose recipients all stay, due again after so
// many seconds.
func left(l *queue.Leased, due int) *queue.Settlement {
	return &queue.Settlement{Lease: l.Lease, Left: l.Item.Recipients, Due: at(due), Warn: l.Item.Warn, Attempts: l.Item.Attempts + 1}
}

func outcome(l *queue.Leased, r queue.Recipient, status queue.Status) queue.Outcome {
	return queue.Outcome{
		Message: l.Item.Message, Destination: l.Item.Destination, Recipient: r.To, Status: status,
		Reply: smtp.Reply{Code: 250, Enhanced: smtp.Enh(0, 0), Text: "ok"}, Host: "mx.example.com", Time: t0,
	}
}

func (e *env) content(c smtp.Content) string {
	e.Helper()
	r, err := c.Open()
	e.must(err)
	defer r.Close()
	b, err := io.ReadAll(r)
	e.must(err)
	return string(b)
}

// gone fails unless the message is.
func (e *env) gone(id queue.ID) {
	e.Helper()
	_, _, err := e.s.Open(e.ctx, id)
	e.want(errors.Is(err, queue.ErrNotFound), "Open of a message that is not there: %v", err)
}

func ids(list []*queue.Leased) string {
	var names []string
	for _, l := range list {
		names = append(names, itemName(l.Item))
	}
	return strings.Join(names, " ")
}

func entryNames(list []*queue.Entry) string {
	var names []string
	for _, entry := range list {
		names = append(names, itemName(entry.Item))
	}
	return strings.Join(names, " ")
}

func itemName(it queue.Item) string {
	return fmt.Sprintf("%s/%d", it.Recipients[0].To.Local, it.N)
}

// same compares what may differ in the place of times.
func same[T any](a, b T) bool {
	return reflect.DeepEqual(inUTC(reflect.ValueOf(a)), inUTC(reflect.ValueOf(b)))
}

// inUTC is a deep copy, with times in UTC and empty slices nil.
func inUTC(v reflect.Value) any {
	if t, ok := v.Interface().(time.Time); ok {
		return t.UTC().Round(0).String()
	}
	var parts []any
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return inUTC(v.Elem())
	case reflect.Slice:
		if v.Len() == 0 {
			return nil
		}
		for i := range v.Len() {
			parts = append(parts, inUTC(v.Index(i)))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				parts = append(parts, inUTC(v.Field(i)))
			}
		}
	}
	if parts == nil { // a string, a number, an opaque value, nothing
		return fmt.Sprint(v.Interface())
	}
	return parts
}
