// Package dkim verifies and makes the signatures by which domains vouch for
// messages: DomainKeys Identified Mail (RFC 6376, with RFC 8301, 8463 and 8616).
//
// A [Verifier] reads a message once, while it arrives, and gives a [Result] for
// each signature. Pass means that the domain has signed the message as it is.
// What that domain has to do with the author is DMARC's question: see package
// dmarc. A message without a valid signature is one without a signature, and
// no reason to refuse it (RFC 6376 §6.3).
//
// A [Signer] signs with one key: [Sign] a message that is about to be sent,
// [BeginSigning] one that passes by. [GenerateKey] makes a key, [Record] is what
// the DNS has to say of it, and [Signer.Check] looks whether it does.
//
// Messages are in the form in which SMTP carries them: lines end in CRLF. A CR
// or LF alone is data; a message that has one is not signed.
package dkim
