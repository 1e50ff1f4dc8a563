package server_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/postrider/postrider/server"
)

func TestCredentialText(t *testing.T) {
	for _, text := range []string{"", credential256, credential1, credential256 + " " + credential1} {
		c := parseCredential(t, text)
		if got, err := c.MarshalText(); string(got) != text || err != nil {
			t.Errorf("%s, %v, want %s", got, err, text)
		}
		if (c == server.Credential{}) != (text == "") {
			t.Errorf("%q is %v", text, c)
		}
	}
	if parseCredential(t, credential1+"\n "+credential256) != parseCredential(t, credential256+" "+credential1) {
		t.Error("the order matters")
	}
	for _, text := range []string{
		"pencil", "SCRAM-SHA-256", "SCRAM-SHA-512" + credential256[13:], "scram-sha-256" + credential256[13:],
		credential256 + " " + credential256, credential256 + credential256, credential256 + ":", credential256[:60],
		strings.Replace(credential256, "$4096", "$4095", 1), strings.Replace(credential256, "$4096", "$04096", 1), strings.Replace(credential256, "$4096", "$", 1),
		strings.Replace(credential256, "$4096", "$10000001", 1), strings.Replace(credential256, "$4096", "$-4096", 1), strings.Replace(credential256, "$4096", "$99999999999", 1),
		strings.Replace(credential256, "W22ZaJ0SNY7soEsUEjb6gQ==", "", 1), strings.Replace(credential256, "W22", "\r", 1),
		strings.Replace(credential256, "W22ZaJ0SNY7soEsUEjb6gQ==", strings.Repeat("AAAA", 400), 1), strings.Replace(credential256, "WG5d8", "", 1),
		"SCRAM-SHA-256$4096:YQ==$YQ==:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=", "SCRAM-SHA-1$4096:YQ==$6dlGYMOdZcOPutkcNY8U2g7vK9Y=:YQ==",
		strings.Replace(credential256, "SHA-256", "SHA-1", 1), strings.Replace(credential1, "SHA-1", "SHA-256", 1),
		strings.Repeat(" ", 10000),
	} {
		c := parseCredential(t, credential1)
		err := c.UnmarshalText([]byte(text))
		if err == nil || c != parseCredential(t, credential1) {
			t.Errorf("%.80q: %v, %v", text, c, err)
		} else if strings.Contains(err.Error(), "pencil") || strings.Contains(err.Error(), "W22") {
			t.Errorf("%v shows what is kept", err)
		}
	}
}

func TestNewCredential(t *testing.T) {
	a, err := server.NewCredential("pencil", 4096)
	b, err2 := server.NewCredential("pencil", 4096)
	if err != nil || err2 != nil || a == b {
		t.Errorf("%v, %v: %v, %v", a, b, err, err2)
	}
	c, err := server.NewCredential("pencil", 0, "SCRAM-SHA-1", "SCRAM-SHA-256")
	if err != nil {
		t.Fatal(err)
	}
	text, _ := c.MarshalText()
	want(t, "shown", c.String(), "SCRAM-SHA-256$100000:*** SCRAM-SHA-1$100000:***")
	if parts := strings.Fields(string(text)); len(parts) != 2 || strings.Split(parts[0], "$")[1] == strings.Split(parts[1], "$")[1] {
		t.Errorf("%s: two salts are wanted", text)
	}
	for _, tt := range []struct {
		password   string
		iterations int
		mechanism  string
	}{
		{"pen\x01cil", 4096, "SCRAM-SHA-256"}, {"", 4096, "SCRAM-SHA-256"}, {"pencil", 4095, "SCRAM-SHA-256"}, {"pencil", -1, "SCRAM-SHA-256"},
		{"pencil", 10_000_001, "SCRAM-SHA-256"}, {"pencil", 4096, "SCRAM-SHA-512"}, {"pencil", 4096, "PLAIN"},
	} {
		c, err := server.NewCredential(tt.password, tt.iterations, "SCRAM-SHA-1", tt.mechanism)
		if err == nil || c != (server.Credential{}) || strings.Contains(err.Error(), "cil") {
			t.Errorf("%+v: %v, %v", tt, c, err)
		}
	}
}

// Neither formatting nor a log shows keys.
func TestCredentialIsNotShown(t *testing.T) {
	c := parseCredential(t, credential256+" "+credential1)
	var b bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&b, nil), slog.NewJSONHandler(&b, nil)} {
		slog.New(h).Info("a user", "credential", c)
	}
	row := struct {
		name string
		keys server.Credential // fmt calls no methods of it
	}{"alice", c}
	fmt.Fprintf(&b, "%v %s %+v %#v %v %v %+v %#v", c, c, c, c, &c, row, row, &row)
	if !strings.Contains(b.String(), "SCRAM-SHA-256$4096:***") {
		t.Errorf("nothing is shown in %s", b.String())
	}
	for _, part := range strings.FieldsFunc(credential256+credential1, func(r rune) bool { return r == '$' || r == ':' }) {
		raw, _ := base64.StdEncoding.DecodeString(part)
		quoted := strconv.Quote(string(raw))
		for _, shown := range []string{part, string(raw), quoted[1 : len(quoted)-1]} {
			if len(part) > 14 && strings.Contains(b.String(), shown) {
				t.Errorf("%s is shown in %s", part, b.String())
			}
		}
	}
}

// Passwords are hashed only so many at a time, and only so many wait.
func TestHashingIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := pencils(t)
		a.MaxChecks = 2
		first, second := a.Hashing(), a.Hashing()
		check := func(ctx context.Context) error {
			x, err := a.Begin(ctx, new(server.Conn), "PLAIN")
			if err == nil {
				_, _, err = x.Next([]byte("\x00user\x00pencil"))
			}
			return err
		}
		var all sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		errs := make(chan error, 32)
		for range 32 {
			all.Go(func() { errs <- check(ctx) })
		}
		synctest.Wait()
		if err := check(ctx); err == nil || !strings.Contains(err.Error(), "454 4.3.2") {
			t.Errorf("one more: %v", err)
		}
		first()
		for range 32 {
			if err := <-errs; err != nil {
				t.Errorf("one that waited: %v", err)
			}
		}
		want(t, "hashing", a.Waiting(), 1)
		third := a.Hashing()
		all.Go(func() { errs <- check(ctx) })
		synctest.Wait()
		cancel()
		if err := <-errs; !errors.Is(err, context.Canceled) {
			t.Errorf("a session that is over: %v", err)
		}
		second()
		third()
		all.Wait()
		want(t, "hashing", a.Waiting(), 0)
	})
}

// A server with too much to hash answers at once.
func TestTooManyLogins(t *testing.T) {
	var a *server.Credentials
	s := start(t, withPencils(""), func(s *testServer) { a = s.Auth.(*server.Credentials) })
	a.MaxChecks = 1
	a.Queue(17)
	p := s.hello()
	p.say("PLAIN", "\x00user\x00pencil", "<454 4.3.2 too many logins at this moment")
	a.Queue(-1)
	p.say("PLAIN", "\x00user\x00pencil", "<235 ")
}

// What comes from a column of a database: it is taken as a whole or not at all,
// and written again it is the same.
func FuzzCredentialText(f *testing.F) {
	for _, seed := range []string{"", credential256, credential1, credential256 + " " + credential1, "SCRAM-SHA-256$4096:$:", "SCRAM-SHA-1$99999999999999999999:a$b:c"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var c, again server.Credential
		if err := c.UnmarshalText(text); err != nil {
			if c != again {
				t.Errorf("%v and %v", c, err)
			}
			return
		}
		written, err := c.MarshalText()
		if err != nil || again.UnmarshalText(written) != nil || again != c {
			t.Errorf("%q, %v", written, err)
		}
	})
}
