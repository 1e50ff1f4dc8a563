// Package guarantee tests what the relay promises: it runs the program, kills
// it and takes away what it stands on, under load, and compares what was said to
// those who sent with what has arrived and with what is recorded.
//
//  1. A message that was answered 250 is never lost, whatever is killed: each of
//     its recipients has one recorded outcome, and what is delivered twice was
//     underway when something was killed.
//  2. So with PostgreSQL killed in the place of the relay, and with two relays on
//     one PostgreSQL of which one does not come back.
//  3. While the disk is full, the file read-only or the database gone, mail is
//     refused for now; nothing of what was refused is delivered, and when the
//     trouble is over mail flows again without anybody's help.
//  4. Destinations that are dead do not delay those that are not.
//  5. Large messages pass without being held in memory.
//
// The tests are short by default. In full they kill two hundred times and take
// some minutes:
//
//	go -C examples/relay test ./guarantee -v -full
//
// Those with PostgreSQL, and the one that watches the system calls, are under the
// build tag interop; internal/interop/run runs them.
package guarantee
