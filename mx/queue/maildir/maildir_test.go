package maildir_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/postrider/postrider/internal/leaktest"
	"github.com/postrider/postrider/mx"
	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/mx/queue/maildir"
	"github.com/postrider/postrider/smtp"
)

func TestMain(m *testing.M) { os.Exit(leaktest.Main(m)) }

const text = "Subject: x\r\n\r\nfirst\rstill first\r\nlast\r\n"

func message(t *testing.T, to ...string) *mx.Message {
	t.Helper()
	env, err := smtp.NewEnvelope("me@example.com", to...)
	if err != nil {
		t.Fatal(err)
	}
	return &mx.Message{Envelope: env, Content: smtp.BytesContent([]byte(text))}
}

// leased is the context of the delivery of a message.
func leased(t *testing.T, id queue.ID) context.Context {
	return queue.WithLeased(t.Context(), &queue.Leased{Message: &queue.Message{ID: id, Arrived: time.Unix(1700000000, 5)}})
}

func open(t *testing.T) (*maildir.Dir, string) {
	dir := t.TempDir()
	d, err := maildir.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d, dir
}

// files returns what is below dir, by name.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(name)
		name, _ = filepath.Rel(dir, name)
		found[filepath.ToSlash(name)] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestDeliver(t *testing.T) {
	d, dir := open(t)
	m := message(t, "Alice@Example.org", "bob+tag@b\u00fccher.example")
	for range 2 { // a delivery that comes again replaces what it left
		results, err := d.Deliver(leased(t, 7), "local", m)
		if err != nil || len(results) != 2 || results[0].Status != mx.Delivered || results[1].Reply.Code != 250 {
			t.Fatalf("%+v, %v", results, err)
		}
	}
	d.Deliver(leased(t, 8), "local", message(t, "alice@example.org"))
	const rest = "Subject: x\n\nfirst\rstill first\nlast\n"
	want := map[string]string{
		"example.org/alice/new/1700000000.0000000000007.postrider":             "Return-Path: <me@example.com>\nDelivered-To: Alice@Example.org\n" + rest,
		"example.org/alice/new/1700000000.0000000000008.postrider":             "Return-Path: <me@example.com>\nDelivered-To: alice@example.org\n" + rest,
		"xn--bcher-kva.example/bob+tag/new/1700000000.0000000000007.postrider": "Return-Path: <me@example.com>\nDelivered-To: bob+tag@b\u00fccher.example\n" + rest,
	}
	got := files(t, dir)
	for name, text := range want {
		if got[name] != text {
			t.Errorf("%s: %q, want %q", name, got[name], text)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d files: %v", len(got), got)
	}
	for _, sub := range []string{"cur", "tmp"} {
		if info, err := os.Stat(filepath.Join(dir, "example.org/alice", sub)); err != nil || !info.IsDir() {
			t.Errorf("%s: %v", sub, err)
		}
	}
}

// However its octets are cut, a CRLF becomes LF and no other CR is touched.
func TestLineEnds(t *testing.T) {
	const in, want = "\ra\r\r\nb\n\r\n\r", "\ra\r\nb\n\n\r"
	d, dir := open(t)
	for i, read := range []func(io.Reader) io.Reader{iotest.OneByteReader, iotest.HalfReader, iotest.DataErrReader} {
		m := message(t, "a@example.org")
		m.Content = smtp.Content{Open: func() (io.ReadCloser, error) { return io.NopCloser(read(strings.NewReader(in))), nil }}
		if _, err := d.Deliver(leased(t, queue.ID(i)), "", m); err != nil {
			t.Fatal(err)
		}
	}
	for name, got := range files(t, dir) {
		if _, got, _ := strings.Cut(got, "Delivered-To: a@example.org\n"); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// No address leads out of the directory, nor into a folder that is not its own.
func TestNoFolder(t *testing.T) {
	d, dir := open(t)
	for _, to := range []smtp.Mailbox{
		{Local: "..", Domain: "example.org"}, {Local: "../a", Domain: "example.org"}, {Local: "/etc", Domain: "example.org"},
		{Local: "a/../../b", Domain: "example.org"}, {Local: ".a", Domain: "example.org"}, {Local: "", Domain: "example.org"},
		{Local: "a\x00b", Domain: "example.org"}, {Local: "a:b", Domain: "example.org"}, {Local: `a\b`, Domain: "example.org"},
		{Local: "-a", Domain: "example.org"}, {Local: "a b", Domain: "example.org"}, {Local: "\u00fc", Domain: "example.org"},
		{Local: strings.Repeat("a", 65), Domain: "example.org"},
		{Local: "a", Domain: ".."}, {Local: "a", Domain: ""}, {Local: "a", Domain: "[192.0.2.1]"}, {Local: "a", Domain: "a/b"},
		{Local: "a", Domain: "a..b"}, {Local: "a", Domain: ".a"}, {Local: "a", Domain: "-"},
	} {
		m := message(t, "a@example.org")
		m.Envelope.Recipients[0].To.Mailbox = to
		results, err := d.Deliver(leased(t, 7), "", m)
		if err == nil || maildir.Fits(to) || results[0].Status != mx.Failed || results[0].Reply.String() != "550 5.1.1 no such mailbox here" {
			t.Errorf("%q: %+v, %v", to, results, err)
		}
	}
	if got := files(t, dir); len(got) > 0 {
		t.Errorf("written: %v", got)
	}
	// A link that leads out is not followed.
	outside := t.TempDir()
	if err := os.Symlink(outside, filepath.Join(dir, "example.org")); err != nil {
		t.Skip(err)
	}
	results, err := d.Deliver(leased(t, 7), "", message(t, "a@example.org"))
	if err == nil || results[0].Status != mx.Deferred {
		t.Errorf("%+v, %v", results, err)
	}
	if got := files(t, outside); len(got) > 0 {
		t.Errorf("written outside: %v", got)
	}
}

// What cannot be written whole leaves nothing, and is tried again; others have it.
func TestFailure(t *testing.T) {
	d, dir := open(t)
	broken := message(t, "a@example.org")
	broken.Content.Open = func() (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(bytes.NewReader(make([]byte, 100000)), iotest.ErrReader(errors.New("broken")))), nil
	}
	results, err := d.Deliver(leased(t, 7), "", broken)
	if err == nil || results[0].Status != mx.Deferred || results[0].Reply.String() != "451 4.2.0 the mailbox cannot be written to for now" {
		t.Errorf("%+v, %v", results, err)
	}
	if got := files(t, dir); len(got) > 0 {
		t.Errorf("left behind: %v", got)
	}
	if err := os.WriteFile(filepath.Join(dir, "file.example"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	results, err = d.Deliver(leased(t, 7), "", message(t, "a@file.example", "a@example.org"))
	if err != nil || results[0].Status != mx.Deferred || results[1].Status != mx.Delivered {
		t.Errorf("%+v, %v", results, err)
	}
	ctx, cancel := context.WithCancel(leased(t, 9))
	cancel()
	if results, err := d.Deliver(ctx, "", message(t, "a@example.org")); err == nil || results[0].Status != mx.Deferred {
		t.Errorf("cancelled: %+v, %v", results, err)
	}
	if _, err := d.Deliver(t.Context(), "", message(t, "a@example.org")); err == nil {
		t.Error("delivered what has no name")
	}
	if _, err := maildir.Open(filepath.Join(dir, "nowhere")); err == nil {
		t.Error("opened what is not there")
	}
	if got := files(t, dir); len(got) != 2 { // file.example and the one that was delivered
		t.Errorf("%v", got)
	}
}
