package dkim

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"io"

	"github.com/postrider/postrider/auth/internal/message"
	"github.com/postrider/postrider/smtp"
)

// A Signing signs one message as it passes by: write the message to it, beside
// wherever else it goes, then call Finish. Nothing of it but the header section
// is held in memory. It has no goroutine, so one that is abandoned needs no end.
// A Signing is not safe for concurrent use.
type Signing struct {
	signers []prepared
	bodies  []*message.BodyHash // by signer
	message *message.Message
	seen    smtp.Examiner
	size    int64
	last    byte
	err     error // why the message is not signed, once the header section is over

	fields   []byte
	finished bool
}

// BeginSigning begins to sign a message with each of the signers. The error says
// that one of them is not complete, or has a key that cannot be used.
func BeginSigning(signers ...*Signer) (*Signing, error) {
	if len(signers) == 0 {
		return nil, errors.New("dkim: there is no signer")
	}
	s := &Signing{signers: make([]prepared, len(signers))}
	for i, signer := range signers {
		var err error
		if s.signers[i], err = signer.prepare(); err != nil {
			return nil, err
		}
	}
	s.message = message.New(message.Limits{}, s.header)
	return s, nil
}

// header judges the header section and asks for the hashes of the body.
func (s *Signing) header(m *message.Message) {
	if s.err = checkHeader(m); s.err != nil {
		return
	}
	s.bodies = make([]*message.BodyHash, len(s.signers))
	for i := range s.signers {
		s.bodies[i] = m.BodyHash(s.signers[i].Body.canon(), crypto.SHA256, -1)
	}
}

// Write takes the next octets of the message, header section first, lines ended
// by CRLF, without dot-stuffing. It fails only after Finish: what is wrong with
// a message, Finish tells.
func (s *Signing) Write(p []byte) (int, error) {
	if s.finished {
		return 0, errors.New("dkim: write after Finish")
	}
	if len(p) > 0 {
		s.last = p[len(p)-1]
		s.size += int64(len(p))
		s.seen.Write(p)
		s.message.Write(p)
	}
	return len(p), nil
}

// Finish ends the message and returns what belongs in front of it: a
// DKIM-Signature field for each signer, in their order, each with its final
// CRLF. To call it again gives the same.
//
// The error is [ErrNoFrom], [ErrBareLineEnd], [ErrHeader], one that says that
// the header section is too large for anybody to judge, or wraps that of the
// key. Then nothing is signed.
func (s *Signing) Finish() ([]byte, error) {
	if !s.finished {
		s.finished = true
		s.message.Close()
		s.fields, s.err = s.sign()
	}
	return s.fields, s.err
}

func (s *Signing) sign() ([]byte, error) {
	if s.err != nil {
		return nil, s.err
	}
	if s.bare() {
		return nil, ErrBareLineEnd
	}
	var all []byte
	for i := range s.signers {
		field, err := s.signers[i].field(s.message, s.bodies[i].Sum())
		if err != nil {
			return nil, err
		}
		all = append(all, field...)
	}
	return all, nil
}

// bare reports whether a CR or LF stood alone. That the last line has no end is
// no fault: canonicalization ends it, and so does whoever sends it with DATA.
func (s *Signing) bare() bool {
	all := s.seen
	if s.last != '\n' {
		all.Write([]byte("\r\n"))
	}
	return all.Kind().Has(smtp.KindBareLineEnd)
}

func checkHeader(m *message.Message) error {
	if err := m.Err(); err != nil {
		return fmt.Errorf("dkim: not signed: %w", err)
	}
	if m.Malformed() {
		for _, f := range m.Fields() {
			if bytes.IndexByte(f.Raw(), 0) >= 0 {
				return ErrHeader
			}
		}
		return ErrBareLineEnd
	}
	from := 0
	for _, f := range m.Fields() {
		switch {
		case len(f.Name()) == 0:
			return ErrHeader
		case f.Is("From"):
			from++
		}
	}
	if from != 1 {
		return ErrNoFrom
	}
	return nil
}

// Signatures reads a message to its end and returns the DKIM-Signature fields
// that belong in front of it, as [Signing.Finish] does. Its errors are those of
// [BeginSigning], of r and of Finish.
func Signatures(r io.Reader, signers ...*Signer) ([]byte, error) {
	s, err := BeginSigning(signers...)
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(s, r); err != nil {
		return nil, fmt.Errorf("dkim: not signed: %w", err)
	}
	return s.Finish()
}
