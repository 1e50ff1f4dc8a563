package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/leaktest"
	"github.com/postrider/postrider/mx"
	"github.com/postrider/postrider/mx/dns/dnstest"
	"github.com/postrider/postrider/mx/mtasts"
	"github.com/postrider/postrider/mx/mxtest"
	"github.com/postrider/postrider/smtp"
)

func TestMain(m *testing.M) { os.Exit(leaktest.Main(m)) }

var update = flag.Bool("update", false, "write testdata/*.txt anew")

// Each file in testdata is an answer: its name says for which domain and flags.
func TestRoute(t *testing.T) {
	zone := filepath.Join("testdata", "zone.json")
	for _, tt := range []struct {
		name string
		code int
		args []string
	}{
		{"plain", 0, []string{"Example.ORG."}},
		{"loop", 0, []string{"-hostname", "mx2.example.org", "example.org"}},
		{"own", 69, []string{"-hostname", "mx1.example.org", "example.org"}},
		{"dane", 0, []string{"dane.example"}},
		{"dane-optional", 0, []string{"-tls-optional", "dane.example"}},
		{"dane-requiretls", 0, []string{"-requiretls", "dane.example"}},
		{"requiretls", 69, []string{"-requiretls", "example.org"}},
		{"sts-offline", 0, []string{"sts.example"}},
		{"implicit", 0, []string{"implicit.example"}},
		{"null-mx", 69, []string{"null.example"}},
		{"nobody", 69, []string{"nobody.example"}},
		{"servfail", 75, []string{"bad.example"}},
		{"no-address", 75, []string{"broken.example"}},
		{"literal", 0, []string{"[192.0.2.1]"}},
		{"unicode", 0, []string{"bücher.example"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out, stderr bytes.Buffer
			if code := run(t.Context(), append([]string{"-zone", zone}, tt.args...), &out, &stderr); code != tt.code || stderr.Len() > 0 {
				t.Errorf("exit code %d, want %d\n%s", code, tt.code, &stderr)
			}
			golden(t, tt.name, out.String())
		})
	}
}

// golden compares with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	name = filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got != strings.ReplaceAll(string(want), "\r\n", "\n") {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// A domain whose MTA-STS policy names one of its two hosts.
func TestMTASTS(t *testing.T) {
	inet := mxtest.New(t)
	inet.Domain("sts.example",
		mxtest.MX(10, inet.Host("mx.sts.example", mxtest.Addrs("192.0.2.7"))),
		mxtest.MX(20, inet.Host("mx.elsewhere.example", mxtest.Addrs("192.0.2.8"))))
	inet.STS("sts.example", mtasts.Policy{Mode: mtasts.Enforce, MX: []string{"*.sts.example"}, MaxAge: time.Hour})
	c := inet.Client()
	for name, m := range map[string]*mx.Message{
		"sts":            {},
		"sts-requiretls": {Envelope: smtp.Envelope{MailParams: smtp.MailParams{RequireTLS: true}}},
	} {
		var out bytes.Buffer
		if code := show(t.Context(), &out, c.Router, c.Policies, "sts.example", m); code != 0 {
			t.Errorf("exit code %d", code)
		}
		golden(t, name, out.String())
	}
}

// The same from a resolver.
func TestServer(t *testing.T) {
	file, err := os.Open(filepath.Join("testdata", "zone.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	zone, err := dnstest.ReadJSON(file)
	if err != nil {
		t.Fatal(err)
	}
	server, err := zone.Serve("")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	var out, stderr bytes.Buffer
	if code := run(t.Context(), []string{"-server", server.Addr().String(), "dane.example"}, &out, &stderr); code != 0 {
		t.Errorf("exit code %d\n%s", code, &stderr)
	}
	golden(t, "dane", out.String())
}

func TestUsage(t *testing.T) {
	for want, args := range map[int][]string{
		0:  {"-help"},
		64: {"-server", "localhost", "example.org"},
		66: {"-zone", "nowhere.json", "example.org"},
	} {
		var out, stderr bytes.Buffer
		if code := run(t.Context(), args, &out, &stderr); code != want || stderr.Len() == 0 || out.Len() > 0 {
			t.Errorf("%q: exit code %d, %q", args, code, &stderr)
		}
	}
	for _, args := range [][]string{{}, {"example.org", "example.net"}, {"-no", "example.org"}} {
		var stderr bytes.Buffer
		if code := run(t.Context(), args, &stderr, &stderr); code != 64 {
			t.Errorf("%q: exit code %d, %q", args, code, &stderr)
		}
	}
}
