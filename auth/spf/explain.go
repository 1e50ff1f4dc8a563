package spf

import (
	"strings"

	"github.com/postrider/postrider/mx/dns"
)

// explain returns what a domain says of a fail (§6.2), or nothing if there is
// anything wrong with it. The lookup counts against no limit but time (§4.6.4).
func (e *evaluation) explain(spec, domain string) string {
	name := e.target(spec, domain)
	if name == "" {
		return ""
	}
	answer, err := e.resolve(name, dns.TXT)
	if err != nil || len(answer.TXT) != 1 || len(answer.TXT[0]) > orDefault(e.v.MaxRecord, defaultMaxRecord) {
		return ""
	}
	text := answer.TXT[0]
	for word := range strings.SplitSeq(text, " ") { // explain-string = *( macro-string / SP )
		if _, _, why := macroString(word, inExplanation); why != "" {
			return ""
		}
	}
	limit := orDefault(e.v.MaxExplanation, defaultMaxExplanation)
	e.buf = e.expandText(e.buf[:0], text, domain, limit)
	return strings.TrimSpace(string(e.buf))
}
