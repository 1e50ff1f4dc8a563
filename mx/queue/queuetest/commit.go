package queuetest

import (
	"bytes"
	"slices"
	"strings"
	"time"

	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/smtp"
	"github.com/postrider/postrider/smtp/dsn"
)

var commitRules = []rule{
	{name: "Commit/NothingBefore", test: nothingBeforeCommit},
	{name: "Commit/EverythingAfter", test: everythingAfterCommit},
	{name: "Commit/KeepsAll", test: commitKeepsAll},
	{name: "Commit/KeepsCopies", test: commitKeepsCopies},
	{name: "Commit/FillsIn", test: commitFillsIn},
	{name: "Commit/Leased", test: commitLeased},
	{name: "Commit/Once", test: commitOnce},
	{name: "Commit/Refused", test: commitRefused},
	{name: "Abort", test: abort},
	{name: "IDs", test: idsGrow},
	{name: "Begin/ManyAtOnce", test: manyTransactions},
	{name: "Begin/Size", test: declaredSize},
	{name: "OtherHandle", test: otherHandle, when: isShared},
}

func nothingBeforeCommit(e *env) {
	for _, size := range []int{0, 10, 600 << 10} {
		tx := e.begin()
		for range 10 {
			e.write(tx, strings.Repeat("x", size/10))
		}
		e.empty()
		e.gone(tx.ID())
		e.want(len(e.ready(1e6)) == 0, "Ready gives a destination before Commit")
		e.want(len(e.late(10, 1e6, 2e6)) == 0, "Lease gives an item before Commit")
		tx.Abort()
	}
}

func everythingAfterCommit(e *env) {
	id := e.put("Subject: x\r\n\r\nbody\r\n", item("a", 0), item("b", 5))
	e.counts(1, 20, 2, 0, 0)
	m, c, err := e.s.Open(e.ctx, id)
	e.must(err)
	e.want(m.ID == id && m.Size == 20 && c.Size == 20 && e.content(c) == "Subject: x\r\n\r\nbody\r\n", "Open gives %+v, %q", m, e.content(c))
	e.want(slices.Equal(e.ready(0), []string{"a"}), "Ready gives %q", e.ready(0))
	list := e.scan(queue.Filter{})
	e.want(len(list) == 2 && list[0].Message.ID == id && list[0].LeasedUntil.IsZero(), "Scan gives %d items", len(list))
	l := e.lease1("a", 0, 10)
	e.want(l.Item.Message == id && l.Message.ID == id && e.content(l.Content) == "Subject: x\r\n\r\nbody\r\n", "Lease gives %+v", l)
}

// allOfIt is a message with something in every field.
func allOfIt(e *env) *queue.Commit {
	c := commitOf(item("b.example", 1, "bob@b.example", "ü@b.example", `"a b"@b.example`), item("c.example", 2, "carol@c.example", "postmaster@c.example"))
	m := &c.Message
	m.Arrived = t0.Add(1500 * time.Millisecond)
	m.Envelope.From = smtp.ReversePath{Mailbox: mailbox("ünïc@bücher.example")}
	m.Envelope.MailParams = smtp.MailParams{
		Size: 1000, Body: smtp.Body8BitMIME, UTF8: true, RequireTLS: true, Priority: smtp.NewPriority(-3), Auth: "<>", Ret: smtp.RetHeaders, EnvID: "x+y=z",
		By:   smtp.DeliverBy{Within: time.Hour, Mode: smtp.DeliverNotify, Trace: true},
		Hold: smtp.Hold{Until: at(60)}, Solicit: "net.example:ADV",
		Other: []smtp.Param{{Name: "XQUEUE", Value: "slow"}, {Name: "XEMPTY"}},
	}
	m.ReceivedFrom = dsn.Typed{Type: "dns", Text: "mx.example.net (192.0.2.1)"}
	m.TLSOptional, m.Data = true, strings.Repeat("data ", 800)
	first := &c.Items[0].Item
	first.Warn, first.Attempts, first.Held = at(3600), 3, true
	r := first.Recipients
	r[0].RcptParams = smtp.RcptParams{
		Notify: smtp.NotifyFailure | smtp.NotifyDelay, ORcpt: smtp.ORcpt{Type: "utf-8", Address: "ü@x"},
		RRVS: &smtp.RRVS{Since: at(-100), Action: smtp.RRVSContinue}, Other: []smtp.Param{{Name: "X", Value: "1"}},
	}
	var err error
	r[1].Last, r[1].Host = t0.Add(123*time.Millisecond), "mx.b.example"
	r[1].Reply, err = smtp.ParseReply("450-4.2.1 busy\r\n450 4.2.1 later")
	e.must(err)
	r[2].Last, r[2].Local, r[2].Reply = t0, true, smtp.Reply{Code: 451, Enhanced: smtp.Enh(4, 1), Text: "one\ntwo"}
	return c
}

// asStored is what c is to be in the store.
func asStored(c *queue.Commit, id queue.ID, content string) (queue.Message, []queue.Item) {
	m := c.Message
	whole, _ := smtp.BytesContent(append(slices.Clone(c.Prefix), content...)).Examine()
	m.ID, m.Size, m.Kind = id, whole.Size, whole.Kind
	var items []queue.Item
	for i, n := range c.Items {
		n.Message, n.N = id, i
		items = append(items, n.Item)
	}
	return m, items
}

// sameAsStored compares what there is with what should be.
func (e *env) sameAsStored(m queue.Message, items []queue.Item) {
	e.Helper()
	list := e.scan(queue.Filter{Messages: []queue.ID{m.ID}})
	if len(list) != len(items) {
		e.Errorf("Scan gives %d items, want %d", len(list), len(items))
		return
	}
	for i, entry := range list {
		e.want(same(*entry.Message, m), "Scan gives the message\n%+v, want\n%+v", *entry.Message, m)
		e.want(same(entry.Item, items[i]), "Scan gives the item\n%+v, want\n%+v", entry.Item, items[i])
	}
	opened, c, err := e.s.Open(e.ctx, m.ID)
	e.must(err)
	e.want(same(*opened, m), "Open gives the message\n%+v, want\n%+v", *opened, m)
	e.want(c.Size == m.Size && c.Kind == m.Kind, "Open gives a content of %d octets, kind %b; want %d, %b", c.Size, c.Kind, m.Size, m.Kind)
}

func commitKeepsAll(e *env) {
	c := allOfIt(e)
	id, _ := e.commit(c, "x\r\n")
	m, items := asStored(c, id, "x\r\n")
	e.sameAsStored(m, items)
	e.change(queue.Filter{}, queue.Release, 0, 2)
	for i := range items {
		items[i].Held = false
		l := e.lease1(items[i].Destination, 10, 20)
		e.want(same(*l.Message, m), "Lease gives the message\n%+v, want\n%+v", *l.Message, m)
		e.want(same(l.Item, items[i]), "Lease gives the item\n%+v, want\n%+v", l.Item, items[i])
		e.want(l.Lease.Message == id && l.Lease.N == i && l.Lease.Until.Equal(at(20)), "Lease gives %+v", l.Lease)
		e.want(l.Content.Size == m.Size && l.Content.Kind == m.Kind && l.Content.Reusable(), "Lease gives the content %+v", l.Content)
	}
	e.reopen().sameAsStored(m, items)
}

func commitKeepsCopies(e *env) {
	c := allOfIt(e)
	want := allOfIt(e)
	c.Prefix, want.Prefix = []byte("X: prefix\r\n"), []byte("X: prefix\r\n")
	buf := []byte("content\r\n")
	tx := e.begin()
	_, err := tx.Write(buf)
	e.must(err)
	clear(buf)
	id := tx.ID()
	_, err = tx.Commit(e.ctx, c)
	e.must(err)
	clear(c.Prefix)
	clear(c.Items[0].Recipients)
	clear(c.Message.Envelope.MailParams.Other)
	m, items := asStored(want, id, "content\r\n")
	e.sameAsStored(m, items)
	_, content, err := e.s.Open(e.ctx, id)
	e.must(err)
	e.want(e.content(content) == "X: prefix\r\ncontent\r\n", "the content is %q", e.content(content))
	list := e.scan(queue.Filter{})
	clear(list[0].Item.Recipients)
	e.sameAsStored(m, items)
}

func commitFillsIn(e *env) {
	c := commitOf(item("a", 0), item("a", 0))
	c.Message.ID, c.Message.Size, c.Message.Kind = 5, 6, smtp.KindNUL
	c.Items[0].Message, c.Items[0].N, c.Items[1].N = 5, 7, 7
	id, _ := e.commit(c, "x\r\n")
	e.want(id != 5, "the ID is the caller's")
	m, items := asStored(c, id, "x\r\n")
	e.sameAsStored(m, items)
}

func commitLeased(e *env) {
	id, list := e.putLeased("x\r\n", leased(item("a", 0, "first@a", "second@a"), 60), item("a", 0), leased(item("b", 1000, "third@b"), 50))
	if len(list) != 2 || ids(list) != "first/0 third/2" {
		e.Fatalf("Commit leases %s", ids(list))
	}
	c := commitOf(item("a", 0, "first@a", "second@a"), item("a", 0), item("b", 1000, "third@b"))
	m, items := asStored(c, id, "x\r\n")
	e.sameAsStored(m, items)
	for i, l := range list {
		e.want(same(*l.Message, m) && same(l.Item, items[2*i]), "Commit leases\n%+v\n%+v", *l.Message, l.Item)
		e.want(l.Lease.Message == id && l.Lease.N == 2*i && l.Lease.Until.Equal(at(60-10*i)), "Commit gives the lease %+v", l.Lease)
		e.want(e.content(l.Content) == "x\r\n" && l.Content.Size == 3, "Commit gives the content %q", e.content(l.Content))
	}
	e.counts(1, 3, 3, 0, 2)
	e.want(e.scan(queue.Filter{})[0].LeasedUntil.Equal(at(60)), "Scan does not show the lease")
	if got := e.lease("a", 10, 59, 100); ids(got) != "bob/1" {
		e.Errorf("Lease gives %s while Commit's lease lasts", ids(got))
	}
	e.settled(done(list[0]))
	again := e.lease1("b", 1000, 1100) // its lease is over
	e.want(again.Lease.Token > list[1].Lease.Token, "tokens do not grow: %d, %d", list[1].Lease.Token, again.Lease.Token)
	e.lost(list[1].Lease)
}

func commitOnce(e *env) {
	tx := e.begin()
	e.write(tx, "x\r\n")
	_, err := tx.Commit(e.ctx, commitOf(item("a", 0)))
	e.must(err)
	if _, err := tx.Commit(e.ctx, commitOf(item("a", 0))); err == nil {
		e.Error("Commit succeeds twice")
	}
	tx.Abort()
	tx.Abort()
	e.counts(1, 3, 1, 0, 0)
}

// What is refused leaves nothing behind, half a message least of all.
func commitRefused(e *env) {
	for what, change := range map[string]func(c *queue.Commit){
		"a prefix of more than 64 KB": func(c *queue.Commit) { c.Prefix = bytes.Repeat([]byte("x"), 64<<10+1) },
		"Data of more than 4 KB":      func(c *queue.Commit) { c.Message.Data = strings.Repeat("x", 4<<10+1) },
		"a bad reverse-path":          func(c *queue.Commit) { c.Message.Envelope.From.Local = "a\r\nb" },
		"a bad forward-path":          func(c *queue.Commit) { c.Items[1].Recipients[0].To.Local = "a\r\nb" },
		"no items":                    func(c *queue.Commit) { c.Items = nil },
		"no recipients":               func(c *queue.Commit) { c.Items[1].Recipients = nil },
	} {
		tx := e.begin()
		e.write(tx, strings.Repeat("x", 300<<10))
		c := commitOf(item("a", 0), item("b", 0))
		change(c)
		if _, err := tx.Commit(e.ctx, c); err == nil {
			e.Errorf("%s: Commit succeeds", what)
		}
		tx.Abort()
		e.gone(tx.ID())
		e.empty()
	}
}

func abort(e *env) {
	tx := e.begin()
	e.write(tx, strings.Repeat("x", 300<<10))
	tx.Abort()
	tx.Abort()
	if _, err := tx.Commit(e.ctx, commitOf(item("a", 0))); err == nil {
		e.Error("Commit succeeds after Abort")
	}
	e.gone(tx.ID())
	e.empty()
}

func idsGrow(e *env) {
	var last queue.ID
	for range 3 {
		for range 100 {
			tx := e.begin()
			e.want(tx.ID() > last, "ID %v comes after %v", tx.ID(), last)
			last = tx.ID()
			tx.Abort()
		}
		e = e.reopen()
	}
}

func manyTransactions(e *env) {
	const n = 20
	var txs []queue.Tx
	for range n {
		txs = append(txs, e.begin())
	}
	for range 3 {
		for i, tx := range txs {
			e.write(tx, strings.Repeat(string(rune('a'+i)), 100<<10))
		}
	}
	for i, tx := range slices.Backward(txs) {
		if i%2 == 0 {
			tx.Abort()
			continue
		}
		_, err := tx.Commit(e.ctx, commitOf(item("a", i)))
		e.must(err)
	}
	e.counts(n/2, n/2*300<<10, n/2, 0, 0)
	for i, l := range e.lease("a", n, n, n+1) {
		want := strings.Repeat(string(rune('a'+2*i+1)), 300<<10)
		e.want(l.Message.ID == txs[2*i+1].ID() && e.content(l.Content) == want, "the content of transaction %d is another", 2*i+1)
	}
}

// declaredSize: what the sender says is only what he says.
func declaredSize(e *env) {
	for _, size := range []int64{-1, 0, 1, 3, 1 << 20} {
		tx, err := e.s.Begin(e.ctx, size)
		e.must(err)
		e.write(tx, "x\r\n")
		_, err = tx.Commit(e.ctx, commitOf(item("a", 0)))
		e.must(err)
		m, c, err := e.s.Open(e.ctx, tx.ID())
		e.must(err)
		e.want(m.Size == 3 && e.content(c) == "x\r\n", "Begin(%d) stores %d octets", size, m.Size)
	}
}

func otherHandle(e *env) {
	o := e.other()
	tx := e.begin()
	e.write(tx, "x\r\n")
	o.gone(tx.ID())
	o.empty()
	_, err := tx.Commit(e.ctx, commitOf(item("a", 0), leased(item("a", 0), 60)))
	e.must(err)
	o.counts(1, 3, 2, 0, 1)
	l := o.lease1("a", 0, 60)
	e.want(o.content(l.Content) == "x\r\n", "the other handle has another content")
	e.want(len(e.lease("a", 10, 59, 100)) == 0, "an item is leased twice")
	o.settled(done(l))
	e.lost(l.Lease)
	e.want(len(e.outcomes(0)) == 1, "the outcome is not there")
	seen := map[queue.ID]bool{}
	for range 200 {
		for _, o := range []*env{e, o} {
			tx := o.begin()
			e.want(!seen[tx.ID()], "two handles give the ID %v", tx.ID())
			seen[tx.ID()] = true
			tx.Abort()
		}
	}
}
