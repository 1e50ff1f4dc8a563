package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
)

// A CredentialList is the credentials of users by name, for a few of them. Its
// Lookup is for Credentials.
type CredentialList map[string]Credential

// LoadCredentials reads the file of ReadCredentials.
func LoadCredentials(file string) (CredentialList, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	l, err := ReadCredentials(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return l, nil
}

// ReadCredentials reads a line for each user: the name and, behind a blank, the text
// of a Credential as MarshalText gives it. A name alone is a user who cannot log
// in. Empty lines, and those that begin with "#", mean nothing.
func ReadCredentials(r io.Reader) (CredentialList, error) {
	l := CredentialList{}
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		user, text, _ := strings.Cut(strings.TrimSpace(lines.Text()), " ")
		if user == "" || user[0] == '#' {
			continue
		}
		if _, ok := l[user]; ok {
			return nil, fmt.Errorf("line %d: a second one for this user", n)
		}
		var c Credential
		if err := c.UnmarshalText([]byte(text)); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		l[user] = c
	}
	return l, lines.Err()
}

// WriteCredential writes a line as ReadCredentials reads it: a user with what
// NewCredential makes of his password, for SCRAM-SHA-256.
func WriteCredential(w io.Writer, user, password string) error {
	if user == "" || user[0] == '#' || strings.ContainsFunc(user, unicode.IsSpace) {
		return errors.New("smtp server: such a name has no place in a list of credentials")
	}
	c, err := NewCredential(password, 0)
	if err != nil {
		return err
	}
	text, err := c.MarshalText()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s %s\n", user, text)
	return err
}

// Lookup returns the credential of a user, ErrCredentials if there is none.
func (l CredentialList) Lookup(_ context.Context, user string) (Credential, error) {
	if c, ok := l[user]; ok && len(c.String()) > 0 {
		return c, nil
	}
	return Credential{}, ErrCredentials
}
