// Package client sends mail: to a submission server, to the server of a domain,
// or by LMTP into a mailbox (RFC 5321, 6409, 2033).
//
// A [Client] is to SMTP what http.Client is to HTTP: made once, used from
// everywhere, with connections that it keeps and shares.
//
//	c := &client.Client{Addr: "smtp.example.com:587", Auth: client.PasswordAuth(user, password)}
//	env, err := smtp.NewEnvelope("me@example.com", "you@example.net")
//	…
//	res, err := c.Send(ctx, env, smtp.BytesContent(message))
//
// Every recipient has an outcome of his own in the [Result]; err is nil if there
// was one that the message was delivered to. An outcome can be unknown, which
// [ErrUnknown] stands for: the message was written and the reply never came.
//
// A [Pool] does for many servers what a Client does for one, with limits over all
// of them: a relay's connections are kept there by [Key].
//
// A [Conn] is one connection, one verb a method, for those who want to say what is
// said.
//
// # What a server cannot do
//
// Replies are bounded in lines, octets and time. Octets that answer nothing, that
// come between STARTTLS and the handshake, or that are no reply end the
// connection. Nothing that a caller passes can break out of its command line or,
// with a line end that is not CRLF, out of its message. Credentials leave over TLS
// to a verified server, or to this machine.
package client
