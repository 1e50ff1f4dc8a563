package server

import (
	"context"
	"fmt"

	xdg "github.com/xdg-go/scram"

	"github.com/postrider/postrider/internal/scram"
)

// scramExchange is the server's side of SCRAM (RFC 5802). What the messages may
// look like is checked here, the keys are xdg's.
type scramExchange struct {
	ctx      context.Context
	accounts *Credentials
	mech     scram.Mechanism
	bindings []xdg.ChannelBinding // of the connection
	step     func([]byte) ([]byte, bool, error)
	conv     *xdg.ServerConversation
	user     string
	exists   bool
}

func (x *scramExchange) Identity() string { return x.user }

func (x *scramExchange) Next(response []byte) ([]byte, bool, error) {
	switch {
	case response == nil && x.step == nil:
		return []byte{}, false, nil // the client speaks first (§5)
	case x.step == nil:
		return x.first(response)
	}
	return x.step(response)
}

// first answers a client-first-message with salt and iterations.
func (x *scramExchange) first(response []byte) ([]byte, bool, error) {
	x.step = finished
	m, err := scram.ParseClientFirst(string(response))
	if err != nil {
		return nil, false, malformed(err)
	}
	if x.user, err = scram.Prepare(m.User); err != nil {
		return nil, false, ErrCredentials
	}
	if authzid, err := scram.Prepare(m.AuthzID); m.AuthzID != "" && (err != nil || authzid != x.user) {
		return nil, false, ErrCredentials
	}
	binding, ok := x.binding(m)
	if !ok {
		return nil, false, ErrCredentials
	}
	k, exists, err := x.accounts.lookup(x.ctx, x.user, x.mech.SHA1)
	if err != nil {
		return nil, false, err
	}
	x.exists = exists
	srv, err := x.mech.Hash.NewServer(func(string) (xdg.StoredCredentials, error) {
		return xdg.StoredCredentials{
			KeyFactors: xdg.KeyFactors{Salt: k.salt, Iters: k.iterations},
			StoredKey:  []byte(k.stored),
			ServerKey:  []byte(k.server),
		}, nil
	})
	if err != nil {
		return nil, false, err
	}
	if x.accounts.nonce != nil {
		srv.WithNonceGenerator(x.accounts.nonce)
	}
	if x.conv = srv.NewConversation(); x.mech.Plus {
		x.conv = srv.NewConversationWithChannelBindingRequired(binding)
	}
	challenge, err := x.conv.Step(string(response))
	if err != nil {
		return nil, false, malformed(err)
	}
	x.step = x.final
	return []byte(challenge), false, nil
}

// binding returns the channel binding that the client has chosen, of those that
// the connection has. It reports whether the client's flag is right (§6).
func (x *scramExchange) binding(m scram.ClientFirst) (b xdg.ChannelBinding, ok bool) {
	if !x.mech.Plus {
		// "y": the client could bind, and has not seen that we can. Who took
		// our offer away?
		return b, m.Flag == 'n' || m.Flag == 'y' && len(x.bindings) == 0
	}
	for _, b := range x.bindings {
		if m.Binding == string(b.Type) { // with no other flag than "p"
			return b, true
		}
	}
	return b, false
}

// final checks the proof in a client-final-message, and answers with ours.
func (x *scramExchange) final(response []byte) ([]byte, bool, error) {
	x.step = finished
	if err := scram.CheckClientFinal(string(response)); err != nil {
		return nil, false, malformed(err)
	}
	challenge, err := x.conv.Step(string(response))
	if err != nil || !x.conv.Valid() || !x.exists {
		return nil, false, ErrCredentials
	}
	x.step = x.acknowledged
	return []byte(challenge), false, nil
}

// acknowledged takes the empty response to the server's proof: in SMTP no data
// can go with the success (RFC 4954 §4).
func (x *scramExchange) acknowledged(response []byte) ([]byte, bool, error) {
	x.step = finished
	if len(response) > 0 {
		return nil, false, errMalformed
	}
	return nil, true, nil
}

func finished([]byte) ([]byte, bool, error) { return nil, false, errMalformed }

func malformed(err error) error { return fmt.Errorf("%w: %v", errMalformed, err) }
