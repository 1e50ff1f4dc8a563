package sqlqueue

import (
	"context"
	"database/sql"
	"errors"

	"github.com/postrider/postrider/mx/queue"
)

func openPostgres(ctx context.Context, db *sql.DB, opts *Options, attach bool) (engine, *queue.IDs, error) {
	return nil, nil, errors.ErrUnsupported
}
