// Package interop holds the tests that exchange mail with other people's
// software. Swaks, msmtp, curl, Python's smtplib, smtp-source, Postfix, Exim,
// Sendmail and Dovecot send to examples/sink or to a server of the test's own
// (keeper), some through HAProxy; examples/send and the client package deliver
// to smtp-sink, Postfix, Exim, OpenSMTPD, Sendmail and Dovecot. Dkimpy and
// OpenDKIM verify what we sign and sign what we verify; nsd and unbound give the
// DNS with its signatures.
//
// The tests stand behind the build tag interop and need root: every program
// runs in a root directory of its own, unpacked from Debian's packages by the
// script run, which is also the way to start them. Without the programs a test
// is skipped, or fails where CI=true.
package interop
