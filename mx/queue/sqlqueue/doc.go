// Package sqlqueue stores a queue in an SQL database through database/sql: in
// SQLite for the relay that has its queue to itself, in PostgreSQL where several
// relays share one. The program brings the driver.
//
// Its tables begin with "queue_" and are made and brought up to date by Open. A
// message's content stands in one row with the message if it is small, and in
// pieces otherwise.
package sqlqueue
