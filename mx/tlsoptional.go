package mx

import "bytes"

// TLSOptional reports whether a header section has the field "TLS-Required: No":
// for Message.TLSOptional (RFC 8689 §5).
func TLSOptional(header []byte) bool {
	for line := range bytes.Lines(header) {
		name, value, found := bytes.Cut(line, []byte(":"))
		if found && bytes.EqualFold(bytes.TrimRight(name, " \t"), []byte("TLS-Required")) &&
			bytes.EqualFold(bytes.TrimSpace(value), []byte("No")) {
			return true
		}
	}
	return false
}
