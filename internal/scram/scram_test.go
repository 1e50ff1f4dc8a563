package scram

import (
	"crypto/tls"
	"errors"
	"strings"
	"testing"
)

func TestParseClientFirst(t *testing.T) {
	for _, tt := range []struct {
		message string
		want    ClientFirst
		err     error
	}{
		{"n,,n=user,r=rOprNGfwEbeRWgbNEkqO", ClientFirst{Flag: 'n', User: "user"}, nil}, // RFC 7677 §3
		{"y,,n=u,r=x", ClientFirst{Flag: 'y', User: "u"}, nil},
		{"p=tls-exporter,a=z=2C=3D,n==3D2C,r=x", ClientFirst{Flag: 'p', Binding: "tls-exporter", AuthzID: "z,=", User: "=2C"}, nil},
		{"n,,n=ü,r=x,f=1,g=a=b", ClientFirst{Flag: 'n', User: "ü"}, nil},
		{"n,,m=x,n=u,r=x", ClientFirst{}, ErrExtension},
		{"n,,n=u,r=x,m=x", ClientFirst{}, ErrExtension},
		{"n,,n=u,r=x,a=b,m=x", ClientFirst{}, ErrExtension},
		{"", ClientFirst{}, ErrSyntax},
		{"n", ClientFirst{}, ErrSyntax},
		{"n,", ClientFirst{}, ErrSyntax},
		{"n,,", ClientFirst{}, ErrSyntax},
		{",,n=u,r=x", ClientFirst{}, ErrSyntax},
		{"x,,n=u,r=x", ClientFirst{}, ErrSyntax},
		{"nn,,n=u,r=x", ClientFirst{}, ErrSyntax},
		{"p,,n=u,r=x", ClientFirst{}, ErrSyntax},
		{"p=,,n=u,r=x", ClientFirst{}, ErrSyntax},
		{"p=tls_unique,,n=u,r=x", ClientFirst{}, ErrSyntax},
		{"p=tls\u0130,,n=u,r=x", ClientFirst{}, ErrSyntax},
		{"p=" + strings.Repeat("x", 65) + ",,n=u,r=x", ClientFirst{}, ErrSyntax},
		{"n,u,n=u,r=x", ClientFirst{}, ErrSyntax},
		{"n,a=,n=u,r=x", ClientFirst{}, ErrSyntax},
		{"n,a==,n=u,r=x", ClientFirst{}, ErrSyntax},
		{"n,a=\x00,n=u,r=x", ClientFirst{}, ErrSyntax},
		{"n,a=\xff,n=u,r=x", ClientFirst{}, ErrSyntax},
		{"n,,n=,r=x", ClientFirst{}, ErrSyntax},
		{"n,,n=u=2c,r=x", ClientFirst{}, ErrSyntax},
		{"n,,n=u=,r=x", ClientFirst{}, ErrSyntax},
		{"n,,n=u\x00,r=x", ClientFirst{}, ErrSyntax},
		{"n,,n=u\xff,r=x", ClientFirst{}, ErrSyntax},
		{"n,,n=" + strings.Repeat("u", 1025) + ",r=x", ClientFirst{}, ErrSyntax},
		{"n,,n=u,r=", ClientFirst{}, ErrSyntax},
		{"n,,n=u,r=a b", ClientFirst{}, ErrSyntax},
		{"n,,n=u,r=\x7f", ClientFirst{}, ErrSyntax},
		{"n,,n=u,r=" + strings.Repeat("x", 257), ClientFirst{}, ErrSyntax},
		{"n,,r=x,n=u", ClientFirst{}, ErrSyntax},
		{"n,,n=u", ClientFirst{}, ErrSyntax},
		{"n,,n=u,r=x,", ClientFirst{}, ErrSyntax},
		{"n,,n=u,r=x,1=2", ClientFirst{}, ErrSyntax},
		{"n,,n=u,r=x,a", ClientFirst{}, ErrSyntax},
	} {
		got, err := ParseClientFirst(tt.message)
		if err != tt.err || err == nil && got != tt.want {
			t.Errorf("%q: %+v, %v, want %+v, %v", tt.message, got, err, tt.want, tt.err)
		}
	}
}

func TestCheckClientFinal(t *testing.T) {
	for message, want := range map[string]error{
		"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=": nil, // RFC 7677 §3
		"c=biws,r=x,x=1,p=YQ==": nil,
		"c=biws,r=x,m=1,p=YQ==": ErrExtension,
		"m=1,c=biws,r=x,p=YQ==": ErrExtension,
		"":                      ErrSyntax,
		"p=YQ==":                ErrSyntax,
		"c=biws,p=YQ==":         ErrSyntax,
		"c=biws,r=x":            ErrSyntax,
		"c=biws,r=x,p=":         ErrSyntax,
		"c=biws,r=x,p=YQ=":      ErrSyntax,
		"c=biws,r=x,p=YR==":     ErrSyntax, // bits that mean nothing
		"c=biws,r=x,p=YQ\r\n==": ErrSyntax,
		"c=bi\nws,r=x,p=YQ==":   ErrSyntax,
		"r=x,c=biws,p=YQ==":     ErrSyntax,
		"c=biws,r=x,p=YQ==,x=1": ErrSyntax,
		"c=biws,r=" + strings.Repeat("x", 513) + ",p=YQ==": ErrSyntax,
	} {
		if err := CheckClientFinal(message); err != want {
			t.Errorf("%q: %v, want %v", message, err, want)
		}
	}
}

func TestParseServerFirst(t *testing.T) {
	for _, tt := range []struct {
		message string
		want    ServerFirst
		err     error
	}{
		{"r=x,s=QSXCR+Q6sek8bf92,i=4096", ServerFirst{"A%\xc2G\xe4:\xb1\xe9<m\xff\x76", 4096}, nil},
		{"r=x,s=YQ==,i=1,x=y", ServerFirst{"a", 1}, nil},
		{"m=z,r=x,s=YQ==,i=4096", ServerFirst{}, ErrExtension},
		{"r=x,s=YQ==,i=4096,m=z", ServerFirst{}, ErrExtension},
		{"", ServerFirst{}, ErrSyntax},
		{"r=x,s=YQ==", ServerFirst{}, ErrSyntax},
		{"s=YQ==,r=x,i=4096", ServerFirst{}, ErrSyntax},
		{"r=x,s=,i=4096", ServerFirst{}, ErrSyntax},
		{"r=x,s=a,i=4096", ServerFirst{}, ErrSyntax},
		{"r=x,s=" + strings.Repeat("YWFh", 400) + ",i=4096", ServerFirst{}, ErrSyntax},
		{"r=x,s=YQ==,i=0", ServerFirst{}, ErrSyntax},
		{"r=x,s=YQ==,i=04096", ServerFirst{}, ErrSyntax},
		{"r=x,s=YQ==,i=+4096", ServerFirst{}, ErrSyntax},
		{"r=x,s=YQ==,i=-4096", ServerFirst{}, ErrSyntax},
		{"r=x,s=YQ==,i=1e9", ServerFirst{}, ErrSyntax},
		{"r=x,s=YQ==,i=4294967296", ServerFirst{}, ErrSyntax},
		{"e=unknown-user", ServerFirst{}, ErrSyntax},
	} {
		got, err := ParseServerFirst(tt.message)
		if err != tt.err || err == nil && got != tt.want {
			t.Errorf("%q: %+v, %v, want %+v, %v", tt.message, got, err, tt.want, tt.err)
		}
	}
}

func TestCheckServerFinal(t *testing.T) {
	for message, want := range map[string]error{
		"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=": nil,
		"v=YQ==,x=y": nil,
		"v=YQ==,m=y": ErrExtension,
		"v=":         ErrSyntax,
		"v=YQ":       ErrSyntax,
		"e=x":        ErrSyntax,
		"":           ErrSyntax,
	} {
		if err := CheckServerFinal(message); err != want {
			t.Errorf("%q: %v, want %v", message, err, want)
		}
	}
}

// RFC 4013 §3, and no error shows what it is about.
func TestPrepare(t *testing.T) {
	for in, want := range map[string]string{
		"I\u00adX": "IX", "user": "user", "USER": "USER", "\u00aa": "a", "\u2168": "IX",
		"\u0007": "", "\u0627\u0031": "", "": "", "\u00ad": "", "\xff": "", "pass\U0001f511word": "",
	} {
		got, err := Prepare(in)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", in, got, err)
		}
		if err != nil && in != "" && strings.Contains(err.Error(), in) {
			t.Errorf("%q is shown in %v", in, err)
		}
	}
}

// A state that no handshake has made has no binding, and does no harm.
func TestNoBindings(t *testing.T) {
	for _, state := range []*tls.ConnectionState{nil, {}, {Version: tls.VersionTLS13, HandshakeComplete: true}, {TLSUnique: []byte("x"), HandshakeComplete: true}} {
		if b := Bindings(state); len(b) > 0 {
			t.Errorf("%+v: %v", state, b)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"n,,n=user,r=rOprNGfwEbeRWgbNEkqO", "p=tls-unique,a==2C,n=u=3D,r=x,m=y", "c=biws,r=x,p=YQ==", "r=x,s=YQ==,i=4096", "e=other-error", "",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, message string) {
		if m, err := ParseClientFirst(message); err == nil && (m.User == "" || (m.Flag == 'p') != (m.Binding != "")) {
			t.Errorf("%q: %+v", message, m)
		} else if err != nil && !errors.Is(err, ErrSyntax) && !errors.Is(err, ErrExtension) {
			t.Errorf("%q: %v", message, err)
		}
		if m, err := ParseServerFirst(message); err == nil && (m.Iterations < 1 || m.Salt == "" || len(m.Salt) > 2*maxSalt) {
			t.Errorf("%q: %+v", message, m)
		}
		if CheckClientFinal(message) == nil && !strings.Contains(message, ",p=") {
			t.Errorf("%q is taken", message)
		}
	})
}
