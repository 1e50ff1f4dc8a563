package server

import (
	"context"
	"errors"
	"strings"
)

// Tokens returns an Authenticator that offers OAUTHBEARER (RFC 7628) and
// XOAUTH2. User is what the client claims, and may be empty with OAUTHBEARER.
// Verify returns the identity that the token stands for, or ErrCredentials,
// or any other error if it cannot tell.
func Tokens(verify func(ctx context.Context, user, token string) (identity string, err error)) Authenticator {
	with := func(parse func([]byte) (user, token string, ok bool), invalid, refused string) func(context.Context) Exchange {
		return func(ctx context.Context) Exchange {
			return &oauth{exchange: exchange{ctx: ctx, verify: verify}, parse: parse, invalid: invalid, refused: refused}
		}
	}
	return mechanisms{
		{"OAUTHBEARER", with(parseBearer, `{"status":"invalid_request"}`, `{"status":"invalid_token"}`)}, // RFC 7628 §3.2.2
		{"XOAUTH2", with(parseXOAuth2, "", `{"status":"401","schemes":"bearer"}`)},
	}
}

// oauth is one response with a token. A failure is told in a JSON challenge,
// which the client acknowledges: only then comes the negative reply.
type oauth struct {
	exchange
	parse            func([]byte) (user, token string, ok bool)
	invalid, refused string // challenges; invalid may be none
	failure          error
}

func (x *oauth) Next(response []byte) ([]byte, bool, error) {
	switch {
	case x.failure != nil:
		// RFC 7628 §3.2.3 has the client answer with ^A, XOAUTH2 with nothing.
		// Whatever it is, this is the end.
		return nil, false, x.failure
	case response == nil:
		return []byte{}, false, nil
	}
	user, token, ok := x.parse(response)
	switch {
	case !ok && x.invalid == "":
		return nil, false, errMalformed
	case !ok:
		x.failure = errMalformed
		return []byte(x.invalid), false, nil
	}
	err := x.check(user, token)
	if errors.Is(err, ErrCredentials) {
		x.failure = err
		return []byte(x.refused), false, nil
	}
	// Another failure says nothing against the token: no challenge that would
	// have the client throw it away.
	return nil, err == nil, err
}

// parseBearer parses the client's response of OAUTHBEARER (RFC 7628 §3.1).
func parseBearer(b []byte) (user, token string, ok bool) {
	header, pairs, ok := strings.Cut(string(b), "\x01")
	flag, authzid, ok2 := strings.Cut(strings.TrimSuffix(header, ","), ",")
	if !ok || !ok2 || !strings.HasSuffix(header, ",") || flag != "n" && flag != "y" { // there is no channel binding
		return "", "", false
	}
	if authzid != "" {
		if user, ok = strings.CutPrefix(authzid, "a="); !ok || user == "" || strings.Contains(user, ",") {
			return "", "", false
		}
		user = saslName.Replace(user) // RFC 5801 §4
	}
	if pairs, ok = strings.CutSuffix(pairs, "\x01\x01"); !ok {
		return "", "", false
	}
	for pair := range strings.SplitSeq(pairs, "\x01") {
		name, value, ok := strings.Cut(pair, "=")
		switch {
		case !ok:
			return "", "", false
		case name != "auth": // host, port and what may come later are of no use here
		case token != "":
			return "", "", false
		default:
			if token, ok = bearerToken(value); !ok {
				return "", "", false
			}
		}
	}
	return user, token, token != ""
}

// parseXOAuth2 parses the client's response of XOAUTH2, which has no RFC:
// "user=" user ^A "auth=Bearer " token ^A ^A.
func parseXOAuth2(b []byte) (user, token string, ok bool) {
	body, ok := strings.CutSuffix(string(b), "\x01\x01")
	claim, auth, ok2 := strings.Cut(body, "\x01")
	user, ok3 := strings.CutPrefix(claim, "user=")
	auth, ok4 := strings.CutPrefix(auth, "auth=")
	token, ok5 := bearerToken(auth)
	return user, token, ok && ok2 && ok3 && ok4 && ok5
}

// bearerToken takes the token out of the value of an Authorization field
// (RFC 6750 §2.1).
func bearerToken(s string) (string, bool) {
	scheme, token, _ := strings.Cut(s, " ")
	return token, strings.EqualFold(scheme, "Bearer") && token != ""
}

// saslName decodes a name of GS2.
var saslName = strings.NewReplacer("=2C", ",", "=3D", "=")
