// Package server receives mail: an SMTP, submission or LMTP server to embed,
// as net/http's is for HTTP. Start with Server; Deliver is the shortest way
// to a Handler.
//
// The library keeps the protocol (RFC 5321 and the extensions it offers):
// what is asked out of turn, in the wrong form or beyond a limit never
// reaches a Handler. The Handler keeps the policy: who may send what to whom.
//
// What the library can keep by itself is offered to every client; a promise that
// only the application can keep stands in Server.Extensions. Who may log in says
// an Authenticator, such as Credentials. Limits bound what a client can make the
// server do; Trusted names the proxies and filters whose word about a client
// counts. Ready policies are in package middleware.
//
// Each connection is served by one goroutine at a time, in which the methods of
// its Session run; after a silence it goes on in another. A panic there costs that connection only.
package server
