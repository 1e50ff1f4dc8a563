package sqlqueue

// sqliteMigrations make the tables. Times are nanoseconds, see rows.go.
//
// Columns that are short stand in front, so that to read them does not take the
// pages that a content overflows to.
var sqliteMigrations = []migration{
	{
		`CREATE TABLE queue_schema (version INTEGER NOT NULL)`,
		`INSERT INTO queue_schema (version) VALUES (0)`,
		`CREATE TABLE queue_messages (
			id INTEGER PRIMARY KEY,
			arrived INTEGER NOT NULL,
			size INTEGER NOT NULL,
			kind INTEGER NOT NULL,
			message BLOB NOT NULL,
			body BLOB
		)`,
		// n is 0 for the prefix. No key of a table without row IDs: large rows are slow
		// there.
		`CREATE TABLE queue_pieces (message INTEGER NOT NULL, n INTEGER NOT NULL, data BLOB NOT NULL)`,
		`CREATE UNIQUE INDEX queue_pieces_key ON queue_pieces (message, n)`,
		`CREATE TABLE queue_items (
			message INTEGER NOT NULL,
			n INTEGER NOT NULL,
			destination TEXT NOT NULL,
			due INTEGER NOT NULL,
			expires INTEGER NOT NULL,
			warn INTEGER NOT NULL,
			attempts INTEGER NOT NULL,
			held INTEGER NOT NULL,
			token INTEGER NOT NULL,
			leased INTEGER NOT NULL,
			recipients BLOB NOT NULL,
			PRIMARY KEY (message, n)
		) WITHOUT ROWID`,
		// An item under a lease is ready when that is over.
		`CREATE INDEX queue_items_ready ON queue_items (destination, max(due, leased)) WHERE held = 0`,
		`CREATE INDEX queue_items_late ON queue_items (min(expires, warn)) WHERE held = 0`,
		`CREATE TABLE queue_outcomes (
			seq INTEGER PRIMARY KEY,
			message INTEGER NOT NULL,
			time INTEGER NOT NULL,
			destination TEXT NOT NULL,
			status INTEGER NOT NULL,
			recipient BLOB NOT NULL
		)`,
		`CREATE INDEX queue_outcomes_message ON queue_outcomes (message)`,
		// Counted by those who write, so that Stats need not count. run numbers the
		// processes that have delivered.
		`CREATE TABLE queue_totals (
			messages INTEGER NOT NULL,
			bytes INTEGER NOT NULL,
			items INTEGER NOT NULL,
			held INTEGER NOT NULL,
			leased INTEGER NOT NULL,
			run INTEGER NOT NULL
		)`,
		`INSERT INTO queue_totals VALUES (0, 0, 0, 0, 0, 0)`,
	},
}
