package server

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	xdg "github.com/xdg-go/scram"

	"github.com/postrider/postrider/internal/scram"
	"github.com/postrider/postrider/smtp"
)

// Credentials is an Authenticator over a database of Credentials. It offers
// SCRAM-SHA-256-PLUS, SCRAM-SHA-256, PLAIN and LOGIN, in this order, the first
// only on connections to which it can be bound (RFC 5802 §6, RFC 9266), which
// after XCLIENT is another's. The identity is the user's name after SASLprep.
//
// Nobody learns from it who exists: a user that Lookup does not find goes
// through the same exchange, with a salt that stays the same, and fails at its
// end. How long Lookup takes is Lookup's affair. Its fields must not be changed
// once it is in use.
type Credentials struct {
	// Lookup returns what is kept of a user, ErrCredentials if there is no
	// such user, and any other error if it cannot tell. The name has gone
	// through SASLprep, and is matched as it is: in a database that ignores
	// case, who exists shows, since the salt is the same in every spelling,
	// and one user has many identities.
	Lookup func(ctx context.Context, user string) (Credential, error)

	// SHA1 offers SCRAM-SHA-1 and SCRAM-SHA-1-PLUS too. A user without a key
	// for it cannot log in by them, and a client that knows no better SCRAM
	// will not try PLAIN. If false, it does not.
	SHA1 bool

	// OnlySCRAM leaves out PLAIN and LOGIN, with which a server sees the
	// password. If false, they are offered.
	OnlySCRAM bool

	// Iterations is what users that do not exist seem to have. It should be
	// what most credentials have. If zero, DefaultIterations.
	Iterations int

	// Secret is what the salts of users that do not exist are made from. With
	// one of 32 random octets they outlive a restart, and are the same on
	// every machine. If empty, it is random.
	Secret []byte

	// MaxChecks limits how many passwords of PLAIN and LOGIN are hashed at one
	// time. Sixteen times as many may wait, and one more gets 454. If zero,
	// half of GOMAXPROCS, at least 1.
	MaxChecks int

	setup   sync.Once
	secret  []byte
	running chan struct{}
	waiting atomic.Int64
	nonce   func() string // in tests
}

// Mechanisms returns what is offered on a connection.
func (a *Credentials) Mechanisms(c *Conn) []string {
	bound := len(bindings(c)) > 0
	var names []string
	for _, m := range scram.Mechanisms() {
		if (bound || !m.Plus) && (a.SHA1 || !m.SHA1) {
			names = append(names, m.Name)
		}
	}
	if !a.OnlySCRAM {
		names = append(names, "PLAIN", "LOGIN")
	}
	return names
}

// Begin starts an exchange.
func (a *Credentials) Begin(ctx context.Context, c *Conn, mech string) (Exchange, error) {
	a.setup.Do(a.init)
	for _, m := range scram.Mechanisms() {
		if m.Name == mech {
			x := &scramExchange{ctx: ctx, accounts: a, mech: m}
			if slices.ContainsFunc(c.mechanisms(), scram.IsPlus) { // an Authenticator around a may leave them out
				x.bindings = bindings(c)
			}
			return x, nil
		}
	}
	return byPassword(a.verify).Begin(ctx, c, mech)
}

// bindings returns the channel bindings that the client can have with us.
func bindings(c *Conn) []xdg.ChannelBinding {
	i := c.Info()
	if i.standsIn {
		return nil
	}
	return scram.Bindings(i.TLS)
}

func (a *Credentials) init() {
	if a.secret = a.Secret; len(a.secret) == 0 {
		a.secret = make([]byte, 32)
		rand.Read(a.secret)
	}
	n := a.MaxChecks
	if n <= 0 {
		n = max(runtime.GOMAXPROCS(0)/2, 1)
	}
	a.running = make(chan struct{}, n)
}

// lookup returns the key of a user for a mechanism. One that nobody can use
// stands in where there is none.
func (a *Credentials) lookup(ctx context.Context, user string, sha1 bool) (k key, exists bool, err error) {
	c, err := a.Lookup(ctx, user)
	if err != nil && !errors.Is(err, ErrCredentials) {
		return key{}, false, err
	}
	k = c.keys().sha256
	if sha1 {
		k = c.keys().sha1
	}
	if err == nil && k.iterations > 0 {
		return k, true, nil
	}
	return a.standIn(user, sha1), false, nil
}

// standIn returns the key of a user that does not exist. Its keys are no hash
// of anything.
func (a *Credentials) standIn(user string, sha1 bool) key {
	size, name := 32, nameSHA256
	if sha1 {
		size, name = 20, nameSHA1
	}
	derive := func(what string, size int) string {
		h := hmac.New(sha256.New, a.secret)
		h.Write([]byte(name + "\x00" + what + "\x00" + user))
		return string(h.Sum(nil)[:size])
	}
	return key{
		iterations: or(a.Iterations, DefaultIterations),
		salt:       derive("salt", saltSize),
		stored:     derive("stored", size),
		server:     derive("server", size),
	}
}

// verify checks a password that came as it is, against a SCRAM key.
func (a *Credentials) verify(ctx context.Context, user, password string) (identity string, err error) {
	if len(user) > scram.MaxName {
		return "", ErrCredentials
	}
	if user, err = scram.Prepare(user); err != nil {
		return "", ErrCredentials
	}
	c, err := a.Lookup(ctx, user)
	if err != nil && !errors.Is(err, ErrCredentials) {
		return "", err
	}
	all := c.keys()
	k, hash, exists := all.sha256, xdg.SHA256, err == nil
	switch {
	case exists && k.iterations > 0:
	case exists && all.sha1.iterations > 0:
		k, hash = all.sha1, xdg.SHA1
	default:
		k, exists = a.standIn(user, false), false
	}
	if err = a.enter(ctx); err != nil {
		return "", err
	}
	defer a.leave()
	prepared, bad := scram.Prepare(password)
	given, err := newKey(hash, prepared, k.salt, k.iterations)
	switch {
	case err != nil:
		return "", err
	case subtle.ConstantTimeCompare([]byte(given.stored), []byte(k.stored)) == 0, bad != nil, !exists:
		return "", ErrCredentials
	}
	return user, nil
}

const waitingPerCheck = 16

var tooManyLogins = smtp.Reject(454, smtp.Enh(3, 2), "too many logins at this moment, try again later")

// enter waits for its turn to hash a password.
func (a *Credentials) enter(ctx context.Context) error {
	if a.waiting.Add(1) > int64((1+waitingPerCheck)*cap(a.running)) {
		a.waiting.Add(-1)
		return tooManyLogins
	}
	select {
	case a.running <- struct{}{}:
		return nil
	case <-ctx.Done():
		a.waiting.Add(-1)
		return ctx.Err()
	}
}

func (a *Credentials) leave() {
	<-a.running
	a.waiting.Add(-1)
}
