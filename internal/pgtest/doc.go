// Package pgtest runs a PostgreSQL for tests: a real one, with fsync, that
// belongs to the test alone and can be killed like one that has lost its machine.
//
// It takes the PostgreSQL that is installed, or the one that internal/interop/run
// has unpacked, and runs on Linux only. No driver is needed to start it.
package pgtest
