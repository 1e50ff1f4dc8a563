// Package auth finds out who vouches for a message while it arrives: SPF, DKIM,
// ARC, DMARC and the names of the client's address, in one pass and in time for
// the reply to the final dot.
//
//	v := &auth.Verifier{Resolver: &dns.Cache{Resolver: &dns.Stub{}}, AuthServID: "mx.example.org"}
//	client := v.Begin(ctx, auth.Peer{IP: ip, Hello: name}) // once a connection
//	check := client.Message(ctx, from)                     // once a mail transaction
//	io.Copy(spool, io.TeeReader(body, check))
//	result, err := check.Finish(ctx)
//
// The [Result] has each method's own result, the Authentication-Results field to
// put on top (RFC 8601) when authres.Strip has taken out those that others wrote
// in our name, and an opinion whether to refuse. A message that is malformed, or
// that asks for too much, has a Result like any other.
//
// What each method is about, and what can be asked of it alone, is in packages
// spf, dkim, dmarc, arc and authres. This package knows addresses, names and
// octets, and nothing of servers: examples/verify has the middleware that puts
// the two together.
package auth
