package queue

import (
	"time"

	"github.com/postrider/postrider/smtp"
	"github.com/postrider/postrider/smtp/dsn"
)

// A Message is a message in a queue, without its recipients, who are in its
// Items, and without its content. It must not be changed.
type Message struct {
	ID ID
	// Envelope has the reverse-path and the parameters of MAIL, as they came. Its
	// Recipients are nil.
	Envelope smtp.Envelope
	// Arrived is when the message was committed.
	Arrived time.Time
	// Size is that of the content in octets, with what was put on top of it.
	Size int64
	// Kind is what is known of the content's octets.
	Kind smtp.Kind
	// ReceivedFrom is whom it came from, for notifications; see dsn.Peer.
	ReceivedFrom dsn.Typed
	// TLSOptional says that the message has the header field "TLS-Required: No" (RFC
	// 8689 §5).
	TLSOptional bool
	// Notification says that a Runner has made the message to tell a sender something.
	Notification bool
	// Data is the application's own; nobody here reads it. At most 4 KB.
	Data string
}

// An Item is the recipients of a message that have a destination in common and
// no outcome yet: they are delivered to together, retried together and leased
// together. An item that has no recipient left is gone, and with the last item
// its message.
type Item struct {
	Message ID
	N       int // numbers the items of a message from 0
	// Destination is what deliveries are grouped and counted by: a domain, or any
	// other word that the Deliverer understands.
	Destination string
	Recipients  Recipients
	// Due is when the item is to be tried next.
	Due time.Time
	// Expires is when it is given up.
	Expires time.Time
	// Warn is when the sender is told that it is late. If zero, he is not, or has
	// been.
	Warn time.Time
	// Attempts counts those made.
	Attempts int
	// Held says that nobody may lease it until it is released. It does not expire.
	Held bool
}

// Recipients are those of an Item.
type Recipients []Recipient

// A Recipient is one whose outcome is open, with what was heard of it last.
type Recipient struct {
	smtp.Recipient
	// Last is when delivery was tried last. If zero, it was not, and the fields
	// below are zero too.
	Last time.Time
	// Reply says why it has not been delivered to, as far as it is not too long; Local that it is our own word, as
	// in mx.Result.
	Reply smtp.Reply
	Local bool
	// Host is who has said so, or was tried last. If "", nobody was reached.
	Host string
}

// A Lease is the right to deliver an item and to say what came of it: until it
// is settled, is lost to another who leases the item after Until, or to an
// operator who deletes it.
type Lease struct {
	Message ID
	N       int
	// Token grows with each lease of the item. Whoever has an older one has lost it.
	Token int64
	Until time.Time
}

// Leased is an item under a lease, with what is needed to deliver it.
type Leased struct {
	Lease   Lease
	Message *Message
	Item    Item
	// Content is the message as it is to be sent. It reads from the store, and may be
	// read again and again as long as the message is in it.
	Content smtp.Content
}

// A Status is what has become of a recipient in the end.
type Status uint8

// The statuses.
const (
	Delivered Status = iota + 1 // it has the message, as mx.Delivered
	Relayed                     // the next host has it, as mx.Relayed
	Failed                      // it was refused for good
	Expired                     // it was given up
	Deleted                     // an operator has deleted it
)

// An Outcome is the end of a recipient's story, recorded in the same transaction
// that takes the recipient out of the queue.
type Outcome struct {
	Message     ID
	Destination string
	Recipient   smtp.ForwardPath
	Status      Status
	Reply       smtp.Reply // that decided, as in mx.Result
	Host        string     // who has said so; "" if nobody was reached
	Time        time.Time
}
