package dkim

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/postrider/postrider/auth/internal/message"
)

// How a field is kept from being added: the list of signed fields names it once
// more than it is there, and a second one then breaks the signature (RFC 6376
// §8.15).
type oversign uint8

const (
	never     oversign = iota
	ifPresent          // of those that may stand once, where lists and relays add missing ones
	always             // what people are shown, and where their answers go
)

// signedFields are the fields that a Signer signs unless it is told which: those
// that §5.4.1 names, and what came into use since.
var signedFields = []struct {
	name string
	over oversign
}{
	{"From", always},
	{"Sender", ifPresent},
	{"Reply-To", always},
	{"Subject", always},
	{"Date", always},
	{"Message-ID", ifPresent},
	{"To", always},
	{"Cc", always},
	{"MIME-Version", ifPresent},
	{"Content-Type", ifPresent},
	{"Content-Transfer-Encoding", ifPresent},
	{"Content-ID", never},
	{"Content-Description", never},
	{"Content-Disposition", never},
	{"In-Reply-To", ifPresent},
	{"References", ifPresent},
	{"Resent-Date", never},
	{"Resent-From", never},
	{"Resent-Sender", never},
	{"Resent-To", never},
	{"Resent-Cc", never},
	{"Resent-Message-ID", never},
	{"List-Id", never},
	{"List-Help", never},
	{"List-Unsubscribe", ifPresent},
	{"List-Unsubscribe-Post", ifPresent}, // RFC 8058 §4: has to be signed, with the field above
	{"List-Subscribe", never},
	{"List-Post", never},
	{"List-Owner", never},
	{"List-Archive", never},
	{"Auto-Submitted", never}, // RFC 3834
	{"Feedback-ID", never},    // feedback loops of large receivers go by it
	{"Autocrypt", never},      // the key to answer with
	{"TLS-Required", never},   // RFC 8689
}

// maxSigned is how many fields one signature names at most: far more than a
// message needs.
const maxSigned = 100

// checkNames checks the names of fields that the application has chosen.
func (s *Signer) checkNames() error {
	for _, list := range [][]string{s.Fields, s.Oversign} {
		for _, name := range list {
			if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || r == ':' || r == ';' }) {
				return fmt.Errorf("%q is not the name of a field", name) // §3.2 leaves no room for ";"
			}
		}
	}
	if containsFold(s.Oversign, "DKIM-Signature") { // each signature would break the one before
		return errors.New("DKIM-Signature cannot be oversigned: other signatures have to stand beside this one")
	}
	if s.Fields != nil && !slices.ContainsFunc(s.Fields, func(name string) bool { return strings.EqualFold(name, "From") }) {
		return errors.New("the From field must be signed") // §5.4
	}
	return nil
}

// fieldNames returns the names for the tag h=, each as often as it counts
// (§5.4.2).
func (s *Signer) fieldNames(fields []message.Field) ([]string, error) {
	var names []string
	for _, name := range s.chosen() {
		n := 0
		for i := range fields {
			if fields[i].Is(name) {
				n++
			}
		}
		if over := s.over(name); over == always || over == ifPresent && n > 0 {
			n++
		}
		if len(names)+n > maxSigned {
			return nil, fmt.Errorf("there are more than %d fields to sign", maxSigned)
		}
		for range n {
			names = append(names, name)
		}
	}
	return names, nil
}

// chosen returns the names of the fields to sign if they are present, each once.
func (s *Signer) chosen() []string {
	if s.Fields == nil && s.Oversign == nil {
		return defaultNames
	}
	all := s.Fields
	if all == nil {
		all = defaultNames
	}
	var names []string
	for _, name := range slices.Concat(all, s.Oversign) {
		if !containsFold(names, name) {
			names = append(names, name)
		}
	}
	return names
}

func (s *Signer) over(name string) oversign {
	if s.Oversign != nil {
		if containsFold(s.Oversign, name) {
			return always
		}
		return never
	}
	for i := range signedFields {
		if strings.EqualFold(signedFields[i].name, name) {
			return signedFields[i].over
		}
	}
	return never
}

var defaultNames = func() []string {
	var names []string
	for i := range signedFields {
		names = append(names, signedFields[i].name)
	}
	return names
}()

func containsFold(list []string, name string) bool {
	return slices.ContainsFunc(list, func(s string) bool { return strings.EqualFold(s, name) })
}
