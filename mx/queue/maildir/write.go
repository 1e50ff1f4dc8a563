package maildir

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"

	"github.com/postrider/postrider/mx"
	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/smtp"
)

// fileName begins with the time, by which readers sort. It has no colon: what stands
// behind one are a reader's flags.
func fileName(m *queue.Message) string {
	return fmt.Sprintf("%d.%v.postrider", m.Arrived.Unix(), m.ID)
}

// write puts a message into the folder new of a mailbox, all of it or nothing.
func (d *Dir) write(ctx context.Context, box string, to smtp.ForwardPath, m *mx.Message) error {
	name, err := name(ctx)
	if err != nil {
		return err
	}
	if err := d.create(box); err != nil {
		return err
	}
	// Random, because another process may think that it is its turn. What a crash
	// leaves in tmp, readers remove after 36 hours.
	temporary := path.Join(box, "tmp", name+"."+rand.Text())
	file, err := d.root.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = errors.Join(copyTo(ctx, file, to, m), file.Sync(), file.Close())
	if err == nil {
		err = d.root.Rename(temporary, path.Join(box, "new", name))
	}
	if err != nil {
		d.root.Remove(temporary)
		return err
	}
	return d.sync(path.Join(box, "new"))
}

func copyTo(ctx context.Context, w io.Writer, to smtp.ForwardPath, m *mx.Message) error {
	content, err := m.Content.Open()
	if err != nil {
		return err
	}
	defer content.Close()
	buffered := bufio.NewWriterSize(w, 32<<10)
	fmt.Fprintf(buffered, "Return-Path: %v\nDelivered-To: %v\n", m.Envelope.From, to.Mailbox) // §4.4
	lines := &lineEnds{w: buffered, ctx: ctx}
	if _, err := io.Copy(lines, content); err != nil {
		return err
	}
	return errors.Join(lines.flush(), buffered.Flush())
}

// lineEnds makes LF of each CRLF: a Maildir has the line ends of its machine. A CR
// alone stays.
type lineEnds struct {
	w   *bufio.Writer
	ctx context.Context
	cr  bool // the last octet was a CR, which is still to be written or not
}

func (l *lineEnds) Write(p []byte) (int, error) {
	if err := l.ctx.Err(); err != nil {
		return 0, err
	}
	n := len(p)
	for len(p) > 0 {
		if l.cr && p[0] != '\n' {
			l.w.WriteByte('\r')
		}
		at := bytes.IndexByte(p, '\r')
		if l.cr = at >= 0; !l.cr {
			at = len(p)
		}
		if _, err := l.w.Write(p[:at]); err != nil {
			return 0, err
		}
		p = p[min(at+1, len(p)):]
	}
	return n, nil
}

func (l *lineEnds) flush() error {
	if l.cr {
		return l.w.WriteByte('\r')
	}
	return nil
}

// create makes the folders that a mailbox lacks. The last is cur: if that is there, the
// names of the others and of all folders above are on disk, even if whoever made them
// was ended in the middle.
func (d *Dir) create(box string) error {
	missing := func(sub string) bool {
		_, err := d.root.Stat(path.Join(box, sub))
		return err != nil
	}
	if !slices.ContainsFunc([]string{"cur", "new", "tmp"}, missing) {
		return nil
	}
	for _, sub := range []string{"tmp", "new"} {
		if err := d.root.MkdirAll(path.Join(box, sub), 0o700); err != nil {
			return err
		}
	}
	if err := errors.Join(d.sync(box), d.sync(path.Dir(box)), d.sync(".")); err != nil {
		return err
	}
	return d.root.MkdirAll(path.Join(box, "cur"), 0o700)
}

// sync makes the names in a folder durable.
func (d *Dir) sync(dir string) error {
	file, err := d.root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.syncDir(file), file.Close())
}
