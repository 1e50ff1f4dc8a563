package sqlqueue

import (
	"context"
	"database/sql"
	"fmt"
	"io"

	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/smtp"
)

const (
	queryMessage = `SELECT ` + messageColumns + ` FROM queue_messages m WHERE m.id = ?`
	queryBody    = `SELECT m.body FROM queue_messages m WHERE m.id = ?`
	queryPart    = `SELECT p.n, length(p.data), substr(p.data, ?, ?) FROM queue_pieces p WHERE p.message = ? AND p.n >= ? ORDER BY p.n LIMIT 1`
)

// partSize is how much of a piece is read at a time. Drivers make a new slice for
// each, and as much again may be garbage: with whole pieces many deliveries at a
// time would take more than a megabyte each.
const partSize = 64 << 10

// Open implements queue.Store.
func (s *Store) Open(ctx context.Context, id queue.ID) (*queue.Message, smtp.Content, error) {
	var row messageRow
	found, err := s.read(ctx, queryMessage, []any{int64(id)}, row.fields()...)
	if err != nil {
		return nil, smtp.Content{}, wrap("open", err)
	}
	if !found {
		return nil, smtp.Content{}, queue.ErrNotFound
	}
	m, err := row.message()
	if err != nil {
		return nil, smtp.Content{}, wrap("open", err)
	}
	return m, s.content(m, nil), nil
}

// read reads the only row of the result of a query, if there is one.
func (s *Store) read(ctx context.Context, query string, args []any, fields ...any) (found bool, err error) {
	q, done, err := s.engine.reader(ctx)
	if err != nil {
		return false, err
	}
	defer done()
	rows, err := q.query(ctx, query, args...)
	err = each(rows, err, func() error { found = true; return nil }, fields...)
	return found, err
}

// content returns the content of a message. If inline is not nil, it is all of it.
func (s *Store) content(m *queue.Message, inline []byte) smtp.Content {
	if inline != nil {
		c := smtp.BytesContent(inline)
		c.Kind = m.Kind
		return c
	}
	id, size := m.ID, m.Size
	return smtp.Content{
		Open: func() (io.ReadCloser, error) { return s.openContent(id, size) },
		Size: size,
		Kind: m.Kind,
	}
}

func (s *Store) openContent(id queue.ID, size int64) (io.ReadCloser, error) {
	var body []byte
	found, err := s.read(context.Background(), queryBody, []any{int64(id)}, &body)
	switch {
	case err != nil:
		return nil, unreadable(err)
	case !found:
		return nil, queue.ErrNotFound
	case body != nil || size == 0:
		return smtp.BytesContent(body).Open()
	}
	return &contentReader{s: s, id: id, left: size}, nil
}

func unreadable(err error) error {
	return fmt.Errorf("%w: %w", wrap("content", err), queue.ErrUnreadable)
}

// A contentReader reads a content part by part. It has no connection in between.
type contentReader struct {
	s    *Store
	id   queue.ID
	left int64  // what is not in part
	n    int64  // the piece that comes next, or goes on,
	from int64  // after so many octets
	part []byte // of buf
	buf  []byte
	err  error
}

func (r *contentReader) Read(p []byte) (int, error) {
	if len(r.part) == 0 {
		r.next()
	}
	if len(r.part) == 0 {
		return 0, r.err
	}
	n := copy(p, r.part)
	r.part = r.part[n:]
	return n, nil
}

// WriteTo hands whole parts to the writer.
func (r *contentReader) WriteTo(w io.Writer) (n int64, err error) {
	for {
		if len(r.part) == 0 {
			r.next()
		}
		if len(r.part) == 0 {
			if r.err == io.EOF {
				return n, nil
			}
			return n, r.err
		}
		k, err := w.Write(r.part)
		n += int64(k)
		r.part = r.part[k:]
		if err != nil {
			return n, err
		}
	}
}

// next reads the next part, or sets err.
func (r *contentReader) next() {
	switch {
	case r.err != nil:
		return
	case r.left == 0:
		r.err = io.EOF
		return
	}
	found, err := r.readPart(context.Background())
	switch {
	case err != nil:
		r.err = unreadable(err)
	case !found:
		r.err = queue.ErrNotFound
	default:
		r.part = r.buf
		r.left = max(0, r.left-int64(len(r.buf)))
	}
}

func (r *contentReader) readPart(ctx context.Context) (found bool, err error) {
	q, done, err := r.s.engine.reader(ctx)
	if err != nil {
		return false, err
	}
	defer done()
	var n, size int64
	rows, err := q.query(ctx, queryPart, r.from+1, partSize, int64(r.id), r.n)
	var data sql.RawBytes // is the driver's until the next row
	err = each(rows, err, func() error {
		found = n == r.n || r.from == 0
		r.buf = append(r.buf[:0], data...)
		return nil
	}, &n, &size, &data)
	r.n, r.from = n, r.from+int64(len(r.buf))
	if r.from >= size {
		r.n, r.from = n+1, 0
	}
	return found, err
}

func (r *contentReader) Close() error {
	r.part, r.buf, r.err = nil, nil, io.ErrClosedPipe
	return nil
}
