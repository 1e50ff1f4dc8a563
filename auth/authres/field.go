package authres

// A Field is what an Authentication-Results header field says (RFC 8601 §2.2).
// Without results it says "none": nothing was tried.
type Field struct {
	// AuthServID names whoever evaluated the message, in most cases by the
	// name of a host (§2.5). Others believe the field only if they trust it.
	// If empty, "localhost" is written.
	AuthServID string
	// Results are what came of the methods, in the order in which they stand.
	Results []Result
	// UTF8 tells that the message is an internationalized one, whose header
	// may hold UTF-8 (RFC 6532). If false, domain names are written in A-labels
	// and "?" for any other character that is not ASCII.
	UTF8 bool
}

// A Result is what came of one method, tried once: a message with two
// signatures has two for "dkim".
type Result struct {
	Method     string  // a word of §2.7, in lower case: "spf", "dkim", "dmarc", "arc", "iprev", "auth"
	Verdict    Verdict // what came of it. If empty, the result is not written
	Comment    string  // for people: stands in parentheses behind the verdict. May be empty
	Reason     string  // why, as text for programs and people (§2.2). May be empty
	Properties []Property
}

// A Property is one thing that a method looked at, with its value: where it was
// found, as what, and what it says, as in "smtp.mailfrom=a@example.org".
type Property struct {
	Type  string // "smtp", "header", "body" or "policy" (§2.3)
	Name  string // of a header field, a parameter or a tag: "mailfrom", "from", "d"
	Value string // as text: neither quoted nor escaped
}
