// Relay measures examples/relay beside Postfix as relays on the loopback
// interface: smtp-source hands in, smtp-sink takes what comes out.
//
//	go -C internal/bench run ./relay
//
// ../README.md explains what it prints.
package main
