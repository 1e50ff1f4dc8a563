// Package middleware holds ready middleware for package server: functions from
// Handler to Handler that stand in front of an application's own.
//
//	srv.Handler = middleware.Chain(handler,
//		middleware.Recipients(middleware.RecipientsOptions{Domains: []string{"example.org"}}),
//		middleware.Greylist(middleware.GreylistOptions{}),
//	)
//
// Each wraps the sessions of the Handler behind it, asks that one only what it
// has not refused itself, and keeps what is optional on a session reachable
// for server.As. All are safe for concurrent use, hold a bounded amount of
// memory and start no goroutine. When a function or a store of the application
// fails, the client gets 451 4.3.0 and the error goes to Server.Logger.
//
// Limits of the server itself, such as connections and messages per address,
// are server.Limits.
package middleware
