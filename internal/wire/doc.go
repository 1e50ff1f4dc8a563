// Package wire moves octets for client and server: command lines in, replies
// in and out, message data with its dot-stuffing undone or done. It knows
// framing and bounds, and nothing of what a command means.
package wire
