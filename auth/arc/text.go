package arc

import (
	"encoding/base64"
	"strings"
)

// A fieldText is the text of a field that holds tags.
type fieldText struct {
	name string
	tags []tagText
}

// A tagText is a tag and its value, which holds nothing that ends it.
type tagText struct{ name, value string }

// foldAt is how long a line gets where it can be folded.
const foldAt = 76

// appendTo appends the field, folded, with its CRLF. The tag b= gets the value
// of signature and a line of its own, so that nothing else depends on it. It is
// not folded: the blanks would be part of what the seal signs, and the test
// suite knows none there. With the longest key it has 684 octets.
func (f fieldText) appendTo(dst []byte, signature string) []byte {
	dst = append(append(dst, f.name...), ':')
	line := len(dst)
	end := ";"
	for i, t := range f.tags {
		if i == len(f.tags)-1 {
			end = ""
		}
		text := t.name + "=" + t.value + end
		alone := t.name == "b" || i > 0 && f.tags[i-1].name == "b"
		if !alone && line+len(" ")+len(text) <= foldAt {
			dst = append(append(dst, ' '), text...)
			line += len(" ") + len(text)
			continue
		}
		dst = append(dst, "\r\n "...) // no tab: there are verifiers that look for " i=1;"
		before := len(dst)
		switch t.name {
		case "b":
			dst = append(append(append(dst, "b="...), signature...), end...)
		case "h":
			dst = appendList(dst, text)
		default:
			dst = append(dst, text...)
		}
		line = len(dst) - before + len(" ")
	}
	return append(dst, "\r\n"...)
}

// appendList appends a list of names, folded behind its colons.
func appendList(dst []byte, text string) []byte {
	line := 0
	for word := range strings.SplitAfterSeq(text, ":") {
		if line > 0 && line+len(word) > foldAt {
			dst = append(dst, "\r\n "...)
			line = 0
		}
		dst = append(dst, word...)
		line += len(word)
	}
	return dst
}

func encode(data []byte) string { return base64.StdEncoding.EncodeToString(data) }
