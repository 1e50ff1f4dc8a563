// Package arc verifies and makes the seals by which those who forward a message
// say what it looked like when it came to them: the Authenticated Received
// Chain (RFC 8617).
//
// Each of them adds a set of three fields: what it found out about the message
// (ARC-Authentication-Results), a signature of the message as it leaves
// (ARC-Message-Signature), and a signature of all sets (ARC-Seal). A chain that
// passes proves who said what, and not that it is true: whoever acts upon it
// must trust every domain in it. This package only reports.
package arc
