package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/emersion/go-sasl"
	xdg "github.com/xdg-go/scram"

	"github.com/postrider/postrider/internal/scram"
)

// ScramAuth authenticates with the strongest SCRAM that the server offers (RFC
// 5802, RFC 7677): SCRAM-SHA-256-PLUS, SCRAM-SHA-1-PLUS, SCRAM-SHA-256,
// SCRAM-SHA-1. The server does not get to see the password and has to prove that
// it knows it too; if it cannot, the connection is closed. Without TLS to a
// verified server it is refused all the same, like every Auth: what comes after it
// would be protected by nothing.
//
// The first two are bound to the TLS connection and so fail if somebody stands
// in the middle, even with a valid certificate. They are chosen if TLS is 1.3, or
// 1.2 with an extended master secret.
//
// A server may ask for 4,096 to 1,000,000 iterations, the latter 150 ms of a
// core. The Auth keeps what it has computed: use one for all connections.
func ScramAuth(username, password string) Auth {
	return newScramAccount(username, password).auth
}

// maxIterations is what a server may make us hash for it.
const maxIterations = 1_000_000

// maxCached bounds the keys that are kept, one for each salt.
const maxCached = 8

// errImpostor ends a connection: somebody does not know the password who should.
var errImpostor = errors.New("the server has not proved that it knows the password")

// scramAccount is a user of whom the keys are kept.
type scramAccount struct {
	username, password string        // after SASLprep
	bad                error         // why there can be no SCRAM with them
	nonce              func() string // in tests

	mu   sync.Mutex
	keys map[string]*scramKeys // by hash
}

// scramKeys are those of one hash.
type scramKeys struct {
	*xdg.Client
	seen map[scram.ServerFirst]struct{} // what the Client has in its cache
}

func newScramAccount(username, password string) *scramAccount {
	a := &scramAccount{keys: make(map[string]*scramKeys)}
	var err error
	if a.username, err = scram.Prepare(username); err != nil {
		a.bad = localError{fmt.Errorf("user name: %w", err)}
	}
	if a.password, err = scram.Prepare(password); err != nil {
		a.bad = localError{fmt.Errorf("password: %w", err)}
	}
	return a
}

func (a *scramAccount) auth(_ context.Context, info AuthInfo) (sasl.Client, error) {
	if a.bad != nil {
		return nil, a.bad
	}
	if m, ok := a.choose(info); ok {
		return m, nil
	}
	return nil, fmt.Errorf("the server offers no SCRAM that this connection can use: %q", info.Mechanisms)
}

// choose returns the strongest mechanism that is offered and can be used.
func (a *scramAccount) choose(info AuthInfo) (sasl.Client, bool) {
	if a.bad != nil {
		return nil, false
	}
	bindings := scram.Bindings(info.TLS)
	for _, m := range scram.Mechanisms() {
		if !info.Offers(m.Name) || m.Plus && len(bindings) == 0 {
			continue
		}
		keys := a.client(m)
		c := &scramClient{account: a, mechanism: m}
		switch {
		case m.Plus:
			c.conv = keys.NewConversationWithChannelBinding(bindings[0]) // "p="
		case len(bindings) > 0 && !slices.ContainsFunc(info.Mechanisms, scram.IsPlus):
			c.conv = keys.NewConversationAdvertisingChannelBinding() // "y": refused if an offer was taken away (§6)
		default:
			c.conv = keys.NewConversation() // "n"
		}
		return c, true
	}
	return nil, false
}

// client returns what holds the keys for a mechanism's hash.
func (a *scramAccount) client(m scram.Mechanism) *xdg.Client {
	a.mu.Lock()
	defer a.mu.Unlock()
	hash := strings.TrimSuffix(m.Name, "-PLUS")
	k := a.keys[hash]
	if k == nil || len(k.seen) > maxCached {
		// It cannot fail: nothing is prepared.
		c, _ := m.Hash.NewClientUnprepped(a.username, a.password, "")
		if a.nonce != nil {
			c.WithNonceGenerator(a.nonce)
		}
		k = &scramKeys{c.WithMinIterations(scram.MinIterations), make(map[scram.ServerFirst]struct{})}
		a.keys[hash] = k
	}
	return k.Client
}

// note remembers that keys for this salt will be in the cache.
func (a *scramAccount) note(m scram.Mechanism, first scram.ServerFirst) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.keys[strings.TrimSuffix(m.Name, "-PLUS")].seen[first] = struct{}{}
}

// scramClient is the client's side of one exchange. What the server's messages
// may look like is checked here, the rest is xdg's.
type scramClient struct {
	account   *scramAccount
	mechanism scram.Mechanism
	conv      *xdg.ClientConversation
	step      int
}

func (c *scramClient) Start() (name string, first []byte, err error) {
	message, err := c.conv.Step("")
	return c.mechanism.Name, []byte(message), err
}

func (c *scramClient) Next(challenge []byte) ([]byte, error) {
	c.step++
	switch message := string(challenge); {
	case c.step == 1:
		return c.final(message)
	case c.step > 2:
		return nil, sasl.ErrUnexpectedServerChallenge
	case strings.HasPrefix(message, "e="):
		return nil, fmt.Errorf("the server says %.64q", message[2:])
	case scram.CheckServerFinal(message) != nil:
		return nil, errImpostor
	}
	if _, err := c.conv.Step(string(challenge)); err != nil {
		return nil, errImpostor
	}
	return []byte{}, nil // RFC 4954 §4
}

// final answers a server-first-message with the proof.
func (c *scramClient) final(message string) ([]byte, error) {
	if strings.HasPrefix(message, "e=") {
		return nil, fmt.Errorf("the server says %.64q", message[2:])
	}
	first, err := scram.ParseServerFirst(message)
	switch {
	case err != nil:
		return nil, err
	case first.Iterations > maxIterations:
		return nil, fmt.Errorf("the server asks for %d iterations, %d are allowed", first.Iterations, maxIterations)
	}
	c.account.note(c.mechanism, first)
	response, err := c.conv.Step(message)
	return []byte(response), err
}

// Complete is asked when the server says that authentication has succeeded.
func (c *scramClient) Complete() error {
	if !c.conv.Valid() {
		return errImpostor
	}
	return nil
}
