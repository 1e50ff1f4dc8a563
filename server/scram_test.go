package server_test

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	xdg "github.com/xdg-go/scram"

	"github.com/postrider/postrider/server"
)

// The exchanges of RFC 7677 §3 and RFC 5802 §5.
const (
	rfcUser     = "user"
	rfcPassword = "pencil"

	first256  = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
	nonce256  = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
	server256 = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
	final256  = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
	proof256  = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="

	first1  = "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL"
	nonce1  = "3rfcNHYJY1ZVvWVs7j"
	server1 = "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096"
	final1  = "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts="
	proof1  = "v=rmF9pqV8S7suAoZWja4dJRkFsKQ="

	credential256 = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
	credential1   = "SCRAM-SHA-1$4096:QSXCR+Q6sek8bf92$6dlGYMOdZcOPutkcNY8U2g7vK9Y=:D+CSWLOshSulAsxiupA+qs2/fTE="
)

func parseCredential(t testing.TB, text string) (c server.Credential) {
	t.Helper()
	if err := c.UnmarshalText([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return c
}

// pencils is a database with users whose password is pencil: "user" with both
// keys, "new" and "old" with one, "none" with none, "down" that is not to be had.
func pencils(t testing.TB) *server.Credentials {
	users := map[string]server.Credential{
		rfcUser: parseCredential(t, credential256+" "+credential1),
		"new":   parseCredential(t, credential256),
		"old":   parseCredential(t, credential1),
		"none":  {},
	}
	return &server.Credentials{
		SHA1: true, Iterations: 4096,
		Lookup: func(_ context.Context, user string) (server.Credential, error) {
			c, ok := users[user]
			switch {
			case len(user) > 1024:
				return c, errors.New("such a name is no use")
			case user == "down":
				return c, errors.New("database is down")
			case !ok:
				return c, fmt.Errorf("looked for %s: %w", user, server.ErrCredentials)
			}
			return c, nil
		},
	}
}

// withPencils lets them in, with a nonce of the server that is always the same.
func withPencils(nonce string) func(*testServer) {
	return func(s *testServer) {
		a := pencils(s.t)
		if nonce != "" {
			a.FixNonce(nonce)
		}
		s.Auth, s.PlaintextAuthOnLoopback, s.Role = a, true, server.Submission
		s.Limits.MaxErrors = 100
	}
}

// say plays an exchange: mechanism, then messages of the client and, after "<",
// what the server answers: a message, or a reply.
func (p *peer) say(mechanism string, talk ...string) {
	p.t.Helper()
	line := "AUTH " + mechanism + " "
	for _, message := range talk {
		reply, isReply := strings.CutPrefix(message, "<")
		switch {
		case isReply && len(reply) > 3 && reply[0] >= '2' && reply[0] <= '5' && reply[3] == ' ':
			p.expect(reply)
		case isReply:
			p.expect("334 " + b64(reply))
		case message == "*":
			p.send("*\n")
		case line != "" && message == "":
			p.send(strings.TrimSpace(line) + "\n")
		default:
			p.send(line + b64(message) + "\n")
		}
		line = ""
	}
}

// The exchanges of the RFCs, with the client's first message at once and later,
// and of passwords against the same keys.
func TestCredentialsLetIn(t *testing.T) {
	plain := func(user, password string) string { return "\x00" + user + "\x00" + password }
	for _, tt := range []struct {
		name, nonce, mech string
		talk              []string
		identity          string
	}{
		{"RFC 7677", nonce256, "SCRAM-SHA-256", []string{first256, "<" + server256, final256, "<" + proof256, "", "<235 2.7.0"}, "user"},
		{"RFC 7677, then", nonce256, "SCRAM-SHA-256", []string{"", "<", first256, "<" + server256, final256, "<" + proof256, "", "<235 2.7.0"}, "user"},
		{"RFC 5802", nonce1, "SCRAM-SHA-1", []string{first1, "<" + server1, final1, "<" + proof1, "", "<235 2.7.0"}, "user"},
		{"PLAIN", "", "PLAIN", []string{plain("user", "pencil"), "<235 "}, "user"},
		{"PLAIN, SASLprep", "", "PLAIN", []string{plain("u\u00ads\u00ader", "p\u00adencil"), "<235 "}, "user"},
		{"PLAIN, SHA-1", "", "PLAIN", []string{plain("old", "pencil"), "<235 "}, "old"},
		{"LOGIN", "", "LOGIN", []string{"new", "<Password:", "pencil", "<235 "}, "new"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var c *server.Conn
			s := start(t, withPencils(tt.nonce))
			s.newSession = func(_ context.Context, conn *server.Conn) error { c = conn; return nil }
			p := s.hello()
			p.say(tt.mech, tt.talk...)
			p.do("MAIL FROM:<>", "250")
			want(t, "identity", c.Identity(), tt.identity)
			want(t, "mechanism", c.Info().Mechanism, tt.mech)
		})
	}
}

// badSCRAM are the exchanges that must fail, by the name of what is wrong with
// them.
var badSCRAM = []struct {
	name, mech string
	talk       []string
}{
	{"wrong proof", "SCRAM-SHA-256", []string{first256, "<" + server256, strings.Replace(final256, "p=d", "p=e", 1), "<535 5.7.8"}},
	{"another user's proof", "SCRAM-SHA-256", []string{strings.Replace(first256, "user", "new", 1), "<" + server256, final256, "<535 5.7.8"}},
	{"another mechanism's proof", "SCRAM-SHA-1", []string{first256, "<r=rOprNGfwEbeRWgbNEkqO" + nonce256 + ",s=QSXCR+Q6sek8bf92,i=4096", final256, "<535 5.7.8"}},
	{"short proof", "SCRAM-SHA-256", []string{first256, "<" + server256, strings.Replace(final256, "p=dHzb", "p=", 1), "<535 5.7.8"}},
	{"no proof", "SCRAM-SHA-256", []string{first256, "<" + server256, final256[:strings.Index(final256, ",p=")], "<501 5.5.2"}},
	{"empty proof", "SCRAM-SHA-256", []string{first256, "<" + server256, final256[:strings.Index(final256, ",p=")+3], "<501 5.5.2"}},
	{"client nonce alone", "SCRAM-SHA-256", []string{first256, "<" + server256, strings.Replace(final256, nonce256, "", 1), "<535 5.7.8"}},
	{"another nonce", "SCRAM-SHA-256", []string{first256, "<" + server256, strings.Replace(final256, "r=r", "r=s", 1), "<535 5.7.8"}},
	{"unknown user", "SCRAM-SHA-256", []string{"n,,n=nobody,r=x", "<334 ", "c=biws,r=x" + nonce256 + ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", "<535 5.7.8"}},
	{"a user without this key", "SCRAM-SHA-1", []string{strings.Replace(first1, "user", "new", 1), "<334 ", final1, "<535 5.7.8"}},
	{"a user without keys", "SCRAM-SHA-256", []string{strings.Replace(first256, "user", "none", 1), "<334 ", final256, "<535 5.7.8"}},
	{"the database is down", "SCRAM-SHA-256", []string{strings.Replace(first256, "user", "down", 1), "<454 4.7.0 temporary authentication failure"}},
	{"somebody else's identity", "SCRAM-SHA-256", []string{"n,a=admin" + first256[2:], "<535 5.7.8"}},
	{"an identity that cannot be", "SCRAM-SHA-256", []string{"n,a=\x01" + first256[2:], "<535 5.7.8"}},
	{"a user that cannot be", "SCRAM-SHA-256", []string{"n,,n=us\x01er,r=x", "<535 5.7.8"}},
	{"over-long user", "PLAIN", []string{"", "<", "\x00" + strings.Repeat("\ufdfa", 1000) + "\x00pencil", "<535 5.7.8"}},
	{"over-long user", "LOGIN", []string{"", "<Username:", strings.Repeat("u", 1025), "<Password:", "pencil", "<535 5.7.8"}},
	{"a user of nothing", "SCRAM-SHA-256", []string{"n,,n=\u00ad,r=x", "<535 5.7.8"}},
	{"mandatory extension", "SCRAM-SHA-256", []string{"n,,m=x," + first256[3:], "<501 5.5.2"}},
	{"mandatory extension behind the nonce", "SCRAM-SHA-256", []string{first256 + ",m=x", "<501 5.5.2"}},
	{"mandatory extension at last", "SCRAM-SHA-256", []string{first256, "<" + server256, strings.Replace(final256, ",p=", ",m=x,p=", 1), "<501 5.5.2"}},
	{"final first", "SCRAM-SHA-256", []string{final256, "<501 5.5.2"}},
	{"first twice", "SCRAM-SHA-256", []string{first256, "<" + server256, first256, "<501 5.5.2"}},
	{"empty first", "SCRAM-SHA-256", []string{"", "<", "", "<501 5.5.2"}},
	{"empty final", "SCRAM-SHA-256", []string{first256, "<" + server256, "", "<501 5.5.2"}},
	{"truncated first", "SCRAM-SHA-256", []string{first256[:12], "<501 5.5.2"}},
	{"no nonce", "SCRAM-SHA-256", []string{"n,,n=user,r=", "<501 5.5.2"}},
	{"over-long nonce", "SCRAM-SHA-256", []string{"", "<", first256 + strings.Repeat("x", 300), "<501 5.5.2"}},
	{"over-long user", "SCRAM-SHA-256", []string{"", "<", "n,,n=" + strings.Repeat("u", 2000) + ",r=x", "<501 5.5.2"}},
	{"over-long line", "SCRAM-SHA-256", []string{"", "<", strings.Repeat("n,,n=user,r=", 1000), "<500 5.5.6"}},
	{"not UTF-8", "SCRAM-SHA-256", []string{"n,,n=\xff,r=x", "<501 5.5.2"}},
	{"an escape that is none", "SCRAM-SHA-256", []string{"n,,n=us=2c,r=x", "<501 5.5.2"}},
	{"binding without TLS", "SCRAM-SHA-256", []string{"p=tls-exporter" + first256[1:], "<535 5.7.8"}},
	{"a flag that is none", "SCRAM-SHA-256", []string{"q" + first256[1:], "<501 5.5.2"}},
	{"flag changed afterwards", "SCRAM-SHA-256", []string{"y" + first256[1:], "<" + server256, final256, "<535 5.7.8"}},
	{"cancelled", "SCRAM-SHA-256", []string{first256, "<" + server256, "*", "<501 5.7.0"}},
	{"cancelled at the start", "SCRAM-SHA-256", []string{"", "<", "*", "<501 5.7.0"}},
	{"cancelled though it has succeeded", "SCRAM-SHA-256", []string{first256, "<" + server256, final256, "<" + proof256, "*", "<501 5.7.0"}},
	{"something to the server's proof", "SCRAM-SHA-256", []string{first256, "<" + server256, final256, "<" + proof256, "x", "<501 5.5.2"}},
	{"the PLUS that is not offered", "SCRAM-SHA-256-PLUS", []string{"p=tls-exporter" + first256[1:], "<504 5.5.4"}},
	{"PLAIN, wrong", "PLAIN", []string{"\x00user\x00pencils", "<535 5.7.8"}},
	{"PLAIN, unknown user", "PLAIN", []string{"\x00nobody\x00pencil", "<535 5.7.8"}},
	{"PLAIN, no keys", "PLAIN", []string{"\x00none\x00pencil", "<535 5.7.8"}},
	{"PLAIN, no password", "PLAIN", []string{"\x00user\x00", "<535 5.7.8"}},
	{"PLAIN, a password that cannot be", "PLAIN", []string{"\x00user\x00pen\x01cil", "<535 5.7.8"}},
	{"PLAIN, a user that cannot be", "PLAIN", []string{"\x00us\x01er\x00pencil", "<535 5.7.8"}},
	{"PLAIN, somebody else's identity", "PLAIN", []string{"admin\x00user\x00pencil", "<535 5.7.8"}},
	{"PLAIN, the database is down", "PLAIN", []string{"\x00down\x00pencil", "<454 4.7.0 temporary authentication failure"}},
	{"LOGIN, wrong", "LOGIN", []string{"user", "<Password:", "pencils", "<535 5.7.8"}},
}

// Whatever goes wrong changes nothing: MAIL needs AUTH as before, and a right
// exchange succeeds.
func TestSCRAMRefused(t *testing.T) {
	for _, tt := range badSCRAM {
		t.Run(tt.name, func(t *testing.T) {
			var c *server.Conn
			s := start(t, withPencils(nonce256))
			s.newSession = func(_ context.Context, conn *server.Conn) error { c = conn; return nil }
			p := s.hello()
			p.say(tt.mech, tt.talk...)
			p.do("MAIL FROM:<>", "530 5.7.0 authentication required")
			want(t, "identity", c.Identity()+c.Info().Mechanism, "")
			p.say("SCRAM-SHA-256", first256, "<"+server256, final256, "<"+proof256, "", "<235 2.7.0")
			p.do("MAIL FROM:<>", "250")
			if log := s.log.take(); (log != "") != strings.Contains(tt.name, "database") {
				t.Errorf("log: %s", log)
			}
		})
	}
}

// What was right once is not right again: the server's half of the nonce is new.
func TestSCRAMReplay(t *testing.T) {
	s := start(t, withPencils(""))
	p := s.hello()
	seen := map[string]bool{}
	for range 2 {
		p.send("AUTH SCRAM-SHA-256 " + b64(first256) + "\n")
		r, _ := p.reply()
		if seen[r] || !strings.HasPrefix(r, "334 ") {
			t.Errorf("%q", r)
		}
		seen[r] = true
		p.do(b64(final256), "535 5.7.8")
	}
	p.do("MAIL FROM:<>", "530")
}

func TestTooManySCRAMFailures(t *testing.T) {
	s := start(t, withPencils(nonce256))
	p := s.hello()
	p.say("SCRAM-SHA-256", final256, "<501 5.5.2")
	p.say("SCRAM-SHA-256", first256, "<"+server256, "*", "<501 5.7.0") // shows nothing, and is none
	p.say("SCRAM-SHA-256", "n,,n=nobody,r=x", "<334 ", final256, "<535 5.7.8")
	p.say("SCRAM-SHA-256", "n,,n=nobody,r=x", "<334 ", final256, "<421 4.7.0 too many failed authentications")
	p.closed()
}

// Nobody can tell users who do not exist from others: they have a salt as long
// as others' and as many iterations, the same each time and on each server with
// the same secret.
func TestUnknownUsersLookLikeOthers(t *testing.T) {
	ask := func(secret []byte, mech, user string) string {
		s := start(t, withPencils("nonce"), func(s *testServer) { s.Auth.(*server.Credentials).Secret = secret })
		p := s.hello()
		p.send("AUTH " + mech + " " + b64("n,,n="+user+",r=x") + "\n")
		r, _ := p.reply()
		message, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(strings.TrimSpace(r), "334 "))
		if err != nil {
			t.Fatalf("%q: %v", r, err)
		}
		return string(message)
	}
	secret := []byte("a secret of this test")
	known := ask(secret, "SCRAM-SHA-256", "user")
	first := ask(secret, "SCRAM-SHA-256", "nobody")
	if len(first) != len(known) || !strings.HasSuffix(first, ",i=4096") {
		t.Errorf("%s is unlike %s", first, known)
	}
	want(t, "again", ask(secret, "SCRAM-SHA-256", "nobody"), first)
	for _, other := range []string{
		ask(secret, "SCRAM-SHA-256", "nobody2"), ask(secret, "SCRAM-SHA-1", "nobody"), ask(nil, "SCRAM-SHA-256", "nobody"), ask([]byte("x"), "SCRAM-SHA-256", "nobody"),
	} {
		if other == first || len(other) != len(first) {
			t.Errorf("%s and %s", other, first)
		}
	}
}

// scram plays a client's side of an exchange, and returns the reply to it.
func (p *peer) scram(mech string, conv *xdg.ClientConversation) string {
	p.t.Helper()
	message, err := conv.Step("")
	line := "AUTH " + mech + " "
	for err == nil {
		p.send(line + b64(message) + "\n")
		line = ""
		r, _ := p.reply()
		challenge, isChallenge := strings.CutPrefix(strings.TrimSpace(r), "334 ")
		if !isChallenge {
			return r
		}
		decoded, _ := base64.StdEncoding.DecodeString(challenge)
		message, err = conv.Step(string(decoded))
	}
	p.t.Fatal(err)
	return ""
}

// Channel binding: which are taken over which TLS, and that nothing is taken
// that is not right (RFC 5802 §6).
func TestChannelBinding(t *testing.T) {
	for _, tt := range []struct {
		version    uint16
		mech, kind string // kind of binding: "n" and "y" are flags
		data       string // in place of the right one
		want       string
	}{
		{tls.VersionTLS13, "SCRAM-SHA-256-PLUS", "tls-exporter", "", "235"},
		{tls.VersionTLS13, "SCRAM-SHA-1-PLUS", "tls-exporter", "", "235"},
		{tls.VersionTLS12, "SCRAM-SHA-256-PLUS", "tls-unique", "", "235"},
		{tls.VersionTLS12, "SCRAM-SHA-1-PLUS", "tls-exporter", "", "235"},
		{tls.VersionTLS13, "SCRAM-SHA-256", "n", "", "235"},
		{tls.VersionTLS12, "SCRAM-SHA-1", "n", "", "235"},
		// The data is another connection's.
		{tls.VersionTLS13, "SCRAM-SHA-256-PLUS", "tls-exporter", strings.Repeat("x", 32), "535 5.7.8"},
		{tls.VersionTLS12, "SCRAM-SHA-256-PLUS", "tls-unique", strings.Repeat("x", 12), "535 5.7.8"},
		// A binding that this connection does not have.
		{tls.VersionTLS13, "SCRAM-SHA-256-PLUS", "tls-unique", strings.Repeat("x", 12), "535 5.7.8"},
		{tls.VersionTLS13, "SCRAM-SHA-256-PLUS", "tls-server-end-point", "x", "535 5.7.8"},
		// Flag and mechanism do not go together.
		{tls.VersionTLS13, "SCRAM-SHA-256-PLUS", "n", "", "535 5.7.8"},
		{tls.VersionTLS13, "SCRAM-SHA-256-PLUS", "y", "", "535 5.7.8"},
		{tls.VersionTLS13, "SCRAM-SHA-256", "tls-exporter", "", "535 5.7.8"},
		// Somebody has taken our offer away.
		{tls.VersionTLS13, "SCRAM-SHA-256", "y", "", "535 5.7.8"},
		{tls.VersionTLS12, "SCRAM-SHA-1", "y", "", "535 5.7.8"},
	} {
		t.Run(fmt.Sprintf("%s %s %s %.1s", tls.VersionName(tt.version), tt.mech, tt.kind, tt.data), func(t *testing.T) {
			s := start(t, withPencils(""), withTLS, func(s *testServer) {
				s.TLSConfig = serverTLS.Clone()
				s.TLSConfig.MaxVersion = tt.version
			})
			p := s.hello()
			p.startTLS()
			p.send("EHLO x.example\n")
			r, _ := p.reply()
			if !strings.Contains(r, "AUTH SCRAM-SHA-256-PLUS SCRAM-SHA-1-PLUS SCRAM-SHA-256 SCRAM-SHA-1 PLAIN LOGIN") {
				t.Errorf("offers %q", r)
			}
			state := p.Conn.(*tls.Conn).ConnectionState()
			hash := xdg.SHA256
			if strings.Contains(tt.mech, "SHA-1") {
				hash = xdg.SHA1
			}
			c, err := hash.NewClient(rfcUser, rfcPassword, "")
			if err != nil {
				t.Fatal(err)
			}
			binding := xdg.ChannelBinding{Type: xdg.ChannelBindingType(tt.kind), Data: []byte(tt.data)}
			if tt.data == "" && tt.kind == "tls-exporter" {
				binding, err = xdg.NewTLSExporterBinding(&state)
			} else if tt.data == "" {
				binding = xdg.NewTLSUniqueBinding(state.TLSUnique)
			}
			if err != nil {
				t.Fatal(err)
			}
			var conv *xdg.ClientConversation
			switch tt.kind {
			case "n":
				conv = c.NewConversation()
			case "y":
				conv = c.NewConversationAdvertisingChannelBinding()
			default:
				conv = c.NewConversationWithChannelBinding(binding)
			}
			if r := p.scram(tt.mech, conv); !strings.HasPrefix(r, tt.want) {
				t.Errorf("reply %q, want %q", r, tt.want)
			}
			if right := tt.want == "235"; conv.Valid() != right {
				t.Errorf("the server has proved itself: %t", conv.Valid())
			}
		})
	}
}

// Without an extended master secret there is no binding (RFC 7627).
func TestNoBindingNoPLUS(t *testing.T) {
	s := start(t, withPencils(""), withTLS, func(s *testServer) {
		s.TLSConfig = serverTLS.Clone()
		s.TLSConfig.Renegotiation = tls.RenegotiateOnceAsClient // the other reason for which crypto/tls exports nothing
	})
	p := s.hello()
	p.startTLS()
	p.send("EHLO x.example\n")
	if r, _ := p.reply(); !strings.Contains(r, "AUTH SCRAM-SHA-256 SCRAM-SHA-1 PLAIN LOGIN") {
		t.Errorf("offers %q", r)
	}
	p.say("SCRAM-SHA-256-PLUS", "p=tls-exporter,,n=user,r=x", "<504 5.5.4")
	c, _ := xdg.SHA256.NewClient(rfcUser, rfcPassword, "")
	if r := p.scram("SCRAM-SHA-256", c.NewConversationAdvertisingChannelBinding()); !strings.HasPrefix(r, "235") {
		t.Errorf("reply %q to a client that rightly says we do not offer it", r)
	}
}

// some offers only some mechanisms of an Authenticator.
type some struct {
	server.Authenticator
	names []string
}

func (s some) Mechanisms(*server.Conn) []string { return s.names }

// "y" is right where no binding was offered, whatever the connection could bind.
func TestNoPLUSOffered(t *testing.T) {
	for _, tt := range []struct{ offered, reply string }{
		{"SCRAM-SHA-256 PLAIN", "235"},
		{"SCRAM-SHA-256 X-PLUS", "235"},
		{"SCRAM-SHA-256 SCRAM-SHA-1-PLUS", "535 5.7.8"},
	} {
		s := start(t, withPencils(""), withTLS, func(s *testServer) { s.Auth = some{s.Auth, strings.Fields(tt.offered)} })
		p := s.hello()
		p.startTLS()
		p.do("EHLO x.example", "250")
		c, _ := xdg.SHA256.NewClient(rfcUser, rfcPassword, "")
		if r := p.scram("SCRAM-SHA-256", c.NewConversationAdvertisingChannelBinding()); !strings.HasPrefix(r, tt.reply) {
			t.Errorf("%s: %q, want %q", tt.offered, r, tt.reply)
		}
	}
}

// Nothing that a client says lets it in, but the proof.
func FuzzSCRAMServer(f *testing.F) {
	for _, bad := range badSCRAM {
		if messages := bad.talk; strings.HasPrefix(bad.mech, "SCRAM") {
			f.Add(bad.mech, messages[0], messages[min(2, len(messages)-1)], messages[min(4, len(messages)-1)])
		}
	}
	f.Add("SCRAM-SHA-256", first256, final256, "")
	f.Add("SCRAM-SHA-256-PLUS", "p=tls-unique"+first256[1:], final256, "")
	accounts := pencils(f)
	accounts.FixNonce(nonce256)
	f.Fuzz(func(t *testing.T, mech, first, final, last string) {
		x, err := accounts.Begin(t.Context(), new(server.Conn), mech)
		if err != nil || !strings.HasPrefix(mech, "SCRAM-") {
			return
		}
		failed := false
		for i, message := range []string{first, final, last, last} {
			challenge, done, err := x.Next([]byte(message))
			if done && (err != nil || failed || i != 2 || first != first256 || final != final256 || last != "") {
				t.Fatalf("%s lets in %q %q %q", mech, first, final, last)
			}
			if len(b64(string(challenge))) > 2000 {
				t.Fatalf("challenge of %d octets", len(challenge))
			}
			failed = failed || err != nil
		}
	})
}
