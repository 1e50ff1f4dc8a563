package arc

import (
	"crypto"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/postrider/postrider/auth/authres"
	"github.com/postrider/postrider/auth/internal/message"
	"github.com/postrider/postrider/auth/internal/signing"
)

// A Sealing is the sealing of one message, which is written to it as it leaves.
// It is not safe for concurrent use. It holds nothing that must be given back.
type Sealing struct {
	s        *Sealer
	key      signing.Key
	domain   string
	selector string
	names    []string
	message  *message.Message
	body     *message.BodyHash
}

// Write takes the next octets of the message, which may end anywhere. It never
// fails.
func (b *Sealing) Write(p []byte) (int, error) { return b.message.Write(p) }

func (b *Sealing) begin(m *message.Message) {
	if m.Err() == nil {
		b.body = m.BodyHash(message.Relaxed, crypto.SHA256, -1)
	}
}

// Finish ends the message and returns the fields to put on top of it, each with
// its CRLF: ARC-Seal, ARC-Message-Signature, ARC-Authentication-Results. chain
// is what a Verifier found of the message as it came, and found is what else was
// found out about it then; its values are made harmless as in Authentication-
// Results.
//
// A chain that failed is sealed as such, and then only the new set is covered
// (RFC 8617 §5.1.2). If nobody may add a set any more, there are no fields, and
// no error: the message goes on as it is.
func (b *Sealing) Finish(chain Result, found authres.Field) ([]byte, error) {
	b.message.Close()
	if err := b.message.Err(); err != nil {
		return nil, fmt.Errorf("arc: not sealed: %w", err)
	}
	if b.message.Malformed() || beginsFolded(b.message) {
		return nil, ErrMalformed
	}
	if found.AuthServID == "" {
		return nil, errors.New("arc: not sealed: the results do not say who found them")
	}
	old := find(b.message)
	if err := chain.matches(&old); err != nil {
		return nil, err
	}
	if chain.Closed {
		return nil, nil // §5.1.2, §4.2.1
	}
	return b.set(&old, chain.status(), found)
}

// beginsFolded reports whether the first line begins with a blank: it would go
// on with what is put on top.
func beginsFolded(m *message.Message) bool {
	f := m.Fields()
	return len(f) > 0 && (f[0].Raw()[0] == ' ' || f[0].Raw()[0] == '\t')
}

// matches checks that the result can be one of this chain.
func (r *Result) matches(c *chain) error {
	switch {
	case r.Instances != c.highest, r.Closed != c.closed,
		(r.Verdict == authres.None) != (c.highest == 0 && c.fault == ""),
		r.Verdict == authres.Pass && c.fault != "":
		return ErrOtherChain
	}
	switch r.Verdict {
	case authres.None, authres.Pass, authres.Fail, authres.TempError:
		return nil
	}
	return fmt.Errorf("arc: not sealed: a chain cannot be %q", r.Verdict)
}

// set makes the fields of a new set, the last of them first.
func (b *Sealing) set(old *chain, status authres.Verdict, found authres.Field) ([]byte, error) {
	i := strconv.Itoa(old.highest + 1)
	t := strconv.FormatInt(b.now().Unix(), 10)
	results := found.AppendARC(nil, old.highest+1)

	names := b.names
	if names == nil {
		names = defaultNames(b.message.Fields())
	}
	h := message.NewFieldHash(message.Relaxed, crypto.SHA256)
	pick := b.message.Picker(-1)
	for _, name := range names {
		if f, ok := pick.Pick([]byte(name)); ok {
			h.Add(f)
		}
	}
	signature, err := b.sign(h, fieldText{signatureName, []tagText{
		{"a", b.key.Algorithm()}, {"b", ""}, {"bh", encode(b.body.Sum())}, {"c", "relaxed/relaxed"}, {"d", b.domain},
		{"h", strings.ToLower(strings.Join(names, ":"))}, {"i", i}, {"s", b.selector}, {"t", t},
	}})
	if err != nil {
		return nil, err
	}

	h = message.NewFieldHash(message.Relaxed, crypto.SHA256)
	if status != authres.Fail { // §5.1.2
		fields := b.message.Fields()
		for i := range old.sets {
			h.Add(fields[old.sets[i].results])
			h.Add(fields[old.sets[i].signature.field])
			h.Add(fields[old.sets[i].seal.field])
		}
	}
	h.Add(message.NewField(results))
	h.Add(message.NewField(signature))
	seal, err := b.sign(h, fieldText{sealName, []tagText{
		{"a", b.key.Algorithm()}, {"b", ""}, {"cv", string(status)}, {"d", b.domain}, {"i", i}, {"s", b.selector}, {"t", t},
	}})
	if err != nil {
		return nil, err
	}
	return append(append(seal, signature...), results...), nil
}

// sign signs what h was given and the field itself, and returns that.
func (b *Sealing) sign(h *message.FieldHash, text fieldText) ([]byte, error) {
	unsigned := message.NewField(text.appendTo(nil, ""))
	end := len(unsigned.Value())
	h.AddSigned(unsigned, end, end)
	data, err := b.key.Sign(h.Sum())
	if err != nil {
		return nil, fmt.Errorf("arc: not sealed: %w", err)
	}
	return text.appendTo(nil, encode(data)), nil
}

func (b *Sealing) now() time.Time {
	if b.s.Now != nil {
		return b.s.Now()
	}
	return time.Now()
}
