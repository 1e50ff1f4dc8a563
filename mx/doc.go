// Package mx takes a message from a domain to the servers that take its mail:
// where they are (RFC 5321 §5.1, RFC 7505), how the way to them must be protected
// (RFC 7672, RFC 8461, RFC 8689), and what became of it for each recipient.
//
// A [Router] finds the hosts of a domain and their addresses, and needs nothing
// but a resolver. [Policies] find out what TLS has to prove before a message goes to
// a host. [Trace] shows every attempt.
package mx
