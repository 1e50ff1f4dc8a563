// Package queue keeps messages until each recipient has an outcome: it is what
// stands between a server that says 250 and an mx.Client that delivers.
//
// A Store makes messages durable. A Runner takes them in, hands them to a
// Deliverer such as *mx.Client, tries again on a schedule, gives up in the end,
// and tells senders what they are owed to hear. Package queue/sqlqueue stores in
// SQLite or PostgreSQL, Memory in memory; queue/queuetest has the tests that
// every Store has to pass.
//
// What can be relied on: a message whose Commit has returned nil survives
// whatever happens to the process and, as far as disks keep what they have
// confirmed, to the machine. Each of its recipients gets exactly one final
// outcome. Where a process ends between a delivery and the record of it, the
// delivery is made again: at most what was underway, or is over and waits for the
// store, is doubled. Runner.MaxSiteDeliveries limits both.
package queue
