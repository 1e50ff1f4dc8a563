// Package interop holds the tests that exchange mail with other people's
// software: examples/sink receives from swaks, msmtp, curl, Python's smtplib
// and smtp-source, and examples/send delivers to smtp-sink, Postfix, Exim and
// OpenSMTPD.
//
// The tests stand behind the build tag interop and need root: every program
// runs in a root directory of its own, unpacked from Debian's packages by the
// script run, which is also the way to start them. Without the programs a test
// is skipped, or fails where CI=true.
package interop
