package smtp

import "strings"

// NoSoliciting returns the solicitation class keywords of which the server
// wants no message, and whether it offers NO-SOLICITING (RFC 3865 §2.1). A list
// that breaks the grammar is taken for an empty one.
func (o Offers) NoSoliciting() (classes []string, ok bool) {
	s, ok := o[ExtNoSoliciting]
	if s != "" && isSolicit(s) {
		classes = strings.Split(s, ",")
	}
	return classes, ok
}

// Solicitation-keywords = word *("," word), at most 1000 octets, RFC 3865 §2.2
func isSolicit(s string) bool {
	if len(s) > MaxSolicit {
		return false
	}
	begin := true
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case begin:
			if upper(c)-'A' >= 26 {
				return false
			}
			begin = false
		case c == ',':
			begin = true
		case class[c]&cLdh == 0 && c != '.' && c != '_' && c != ':':
			return false
		}
	}
	return !begin
}

func parseSolicit(p *MailParams, value string) error {
	if len(value) > MaxSolicit {
		return badValue(MaxSolicit, "SOLICIT is longer than 1000 octets")
	}
	if !isSolicit(value) {
		return badValue(0, "SOLICIT is not a list of solicitation class keywords")
	}
	p.Solicit = value
	return nil
}

func appendSolicit(dst []byte, p *MailParams) []byte {
	if p.Solicit == "" || !isSolicit(p.Solicit) {
		return dst
	}
	return append(append(dst, " SOLICIT="...), p.Solicit...)
}

// dropSolicit: the Solicitation field of the message says the same (§2.3), and
// the next server that knows the extension sets the parameter from it (§2.7).
func dropSolicit(p *MailParams) { p.Solicit = "" }
