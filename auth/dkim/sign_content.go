package dkim

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/postrider/postrider/smtp"
)

// Sign returns a message with a DKIM-Signature field of each signer in front of
// it, to be sent with client.Client.Send:
//
//	signed, err := dkim.Sign(content, signer)
//	…
//	result, err := c.Send(ctx, envelope, signed)
//
// It reads the content once, now, and examines it on the way. Nothing but the
// header section is held: the content is read again when it is sent, and has to
// give the same octets then. One that can be read only once is held in memory
// if it has at most 64 KB; if it has more the error wraps [smtp.ErrContentUsed],
// and [BeginSigning] can do it.
//
// The other errors are those of [BeginSigning], of the content and of
// [Signing.Finish].
func Sign(content smtp.Content, signers ...*Signer) (smtp.Content, error) {
	s, err := BeginSigning(signers...)
	if err != nil {
		return smtp.Content{}, err
	}
	if content.Open == nil {
		return smtp.Content{}, errors.New("dkim: not signed: the content has no Open function")
	}
	if !content.Reusable() {
		if content, err = held(content); err != nil {
			return smtp.Content{}, fmt.Errorf("dkim: not signed: %w", err)
		}
	}
	r, err := content.Open()
	if err != nil {
		return smtp.Content{}, fmt.Errorf("dkim: not signed: %w", err)
	}
	defer r.Close()
	if _, err := io.Copy(s, r); err != nil {
		return smtp.Content{}, fmt.Errorf("dkim: not signed: %w", err)
	}
	fields, err := s.Finish()
	if err != nil {
		return smtp.Content{}, err
	}
	return smtp.Content{
		Open: func() (io.ReadCloser, error) {
			r, err := content.Open()
			if err != nil {
				return nil, err
			}
			return prefixed{io.MultiReader(bytes.NewReader(fields), r), r}, nil
		},
		Size: int64(len(fields)) + s.size,
		Kind: s.seen.Kind(), // the fields are lines of ASCII, and change nothing
	}, nil
}

// held returns a content that can be read only once as one in memory.
func held(once smtp.Content) (smtp.Content, error) {
	content, err := once.Examine()
	if err != nil || content.Reusable() {
		return content, err
	}
	if r, err := content.Open(); err == nil {
		r.Close()
	}
	return content, fmt.Errorf("it is too large to be held in memory: %w", smtp.ErrContentUsed)
}

// prefixed reads what stands in front of a content, then the content.
type prefixed struct {
	io.Reader
	content io.Closer
}

func (p prefixed) Close() error { return p.content.Close() }
