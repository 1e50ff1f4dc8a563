// Package maildir delivers mail to folders on this machine, in the format Maildir,
// which IMAP servers such as Dovecot read.
package maildir

import (
	"context"
	"errors"
	"os"
	"path"
	"regexp"
	"strings"

	"golang.org/x/net/idna"

	"github.com/postrider/postrider/mx"
	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/smtp"
)

// A Dir is a directory with a Maildir for each address: DOMAIN/LOCAL-PART/new and
// so on, in lower case and A-labels. It is a queue.Deliverer. Nothing outside of
// the directory is touched, whatever an address or a symbolic link says. It is safe
// for concurrent use, of several processes too.
//
// A message is delivered when it is on disk: its octets, its name and the folders
// above. Its name is made of its queue.ID, so that one that comes again, because
// the first delivery could not be recorded, replaces itself in the folder new.
type Dir struct {
	root    *os.Root
	syncDir func(*os.File) error // a test looks on
}

// Open returns the Dir at a path, which must be there. Close it.
func Open(dir string) (*Dir, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &Dir{root, syncDir}, nil
}

// Close ends the use of d.
func (d *Dir) Close() error { return d.root.Close() }

var (
	localName  = regexp.MustCompile(`^[a-z0-9_][a-z0-9._+=-]{0,63}$`)
	domainName = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$`)
)

// Fits reports whether an address can have a folder: its local-part, in lower case,
// begins with a letter, a digit or "_" and goes on with these and ".+=-", and its
// domain is a name. Others are refused with 550 5.1.1.
func Fits(m smtp.Mailbox) bool { return folder(m) != "" }

// folder returns where the Maildir of an address is; "" if it can have none.
func folder(m smtp.Mailbox) string {
	domain, err := idna.Lookup.ToASCII(strings.ToLower(m.Domain))
	local := strings.ToLower(m.Local)
	if err != nil || !localName.MatchString(local) || !domainName.MatchString(domain) || strings.Contains(domain, "..") {
		return ""
	}
	return path.Join(domain, local)
}

var errNoFolder = errors.New("maildir: the address cannot have a folder")

// Deliver writes the message to the folder of each recipient, with the fields
// Return-Path and Delivered-To on top (RFC 5321 §4.4). It must be called by a
// queue.Runner. The destination does not matter. Parameters such as REQUIRETLS end
// here; a notification of success is left to the Runner.
func (d *Dir) Deliver(ctx context.Context, _ string, m *mx.Message) ([]mx.Result, error) {
	results := make([]mx.Result, len(m.Envelope.Recipients))
	var failed error
	delivered := false
	for i := range results {
		results[i] = d.deliver(ctx, m.Envelope.Recipients[i].To, m)
		delivered = delivered || results[i].Err == nil
		failed = errors.Join(failed, results[i].Err)
	}
	if delivered {
		failed = nil
	}
	return results, failed
}

func (d *Dir) deliver(ctx context.Context, to smtp.ForwardPath, m *mx.Message) mx.Result {
	r := mx.Result{Recipient: to, Status: mx.Delivered, Local: true,
		Reply: smtp.Reply{Code: smtp.CodeOK, Enhanced: smtp.Enh(1, 5), Text: "delivered to the mailbox"}}
	box := folder(to.Mailbox)
	if box == "" {
		r.Status, r.Scope, r.Err = mx.Failed, mx.ScopeRecipient, errNoFolder
		r.Reply = smtp.Reply{Code: smtp.CodeNoMailbox, Enhanced: smtp.Enh(1, 1), Text: "no such mailbox here"}
		return r
	}
	if err := d.write(ctx, box, to, m); err != nil {
		r.Status, r.Scope, r.Err = mx.Deferred, mx.ScopeRecipient, err
		r.Reply = smtp.Reply{Code: smtp.CodeLocalError, Enhanced: smtp.Enh(2, 0), Text: "the mailbox cannot be written to for now"}
	}
	return r
}

var errNoRunner = errors.New("maildir: not called by a queue.Runner")

// name returns what the message is called.
func name(ctx context.Context) (string, error) {
	l := queue.LeasedFrom(ctx)
	if l == nil {
		return "", errNoRunner
	}
	return fileName(l.Message), nil
}
