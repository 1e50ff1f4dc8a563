// Package dsn writes and reads delivery status notifications: the messages that
// tell a sender that his mail could not be delivered, is late, or has arrived
// (RFC 3461, 3464, 6522 and 6533).
//
// A [Composer] makes a [Notification] from what an MTA knows of a [Message] that it
// has accepted and of what became of it, one [Recipient] each: an envelope with the
// null reverse-path, and a content that is ready to be sent. It asks first whether
// the sender wants to hear of it. [Parse] reads the notifications of all common
// MTAs.
//
// A [Report] is the part of a notification that is for programs. What Parse gives
// for a notification is what the Composer says that it has written.
//
// Nothing that a remote server or a sender has said can break out of its place: in
// what is written and in what Parse returns there is no control character.
package dsn
