// Package smtp holds the words of the Simple Mail Transfer Protocol: addresses,
// commands, parameters, extensions, replies and limits. It opens no connection
// and starts no goroutine; packages client and server speak these words.
//
// The terms are those of RFC 5321 and RFC 5598. A [ReversePath] says where
// failures go, a [ForwardPath] where the message goes, an [Envelope] is both, a
// [Content] is what travels under it. A [Reply] is what a server answers and an
// [Error] is a negative reply as a Go error.
//
// Parsers never trust their input: every length is bounded, no octet below
// U+0020 and no C1 control gets through, and what does not parse comes back as
// a [SyntaxError] that knows the offset and the reply to give. The Append
// functions are the inverse of the parsers and never emit a line end or a
// control octet that the caller put into a field.
//
// Everything here is a value or a pure function and safe for concurrent use,
// except where a type says otherwise.
package smtp
