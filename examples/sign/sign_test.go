package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/postrider/postrider/auth/authres"
	"github.com/postrider/postrider/auth/dkim"
	"github.com/postrider/postrider/mx/dns/dnstest"
)

const message = "From: ann@example.org\r\nSubject: x\r\n\r\nHello.\r\n"

// sign runs the program.
func sign(stdin string, args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	code = run(args, strings.NewReader(stdin), &out, &err)
	return code, out.String(), err.String()
}

// zone reads the records that the program has written.
func zone(t *testing.T, records string) *dnstest.Zone {
	t.Helper()
	z := new(dnstest.Zone)
	for line := range strings.SplitSeq(strings.ReplaceAll(strings.TrimSpace(records), "\n\t", " "), "\n") {
		m := regexp.MustCompile(`^(\S+)\. IN (TXT) (?:\( )?(".*?")(?: \))?$`).FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("no record: %q", line)
		}
		if err := z.Add(strings.Join(m[1:], " ")); err != nil {
			t.Fatal(err)
		}
	}
	return z
}

// verified checks that the text is the message and that every signature is
// good.
func verified(t *testing.T, z *dnstest.Zone, text string, algorithms ...string) {
	t.Helper()
	results, err := (&dkim.Verifier{Resolver: z}).Verify(t.Context(), strings.NewReader(text))
	if err != nil || len(results) != len(algorithms) || !strings.HasSuffix(text, "\r\n"+message) {
		t.Fatalf("%v, %v\n%s", results, err, text)
	}
	for i, want := range algorithms {
		if r := results[i]; r.Verdict != authres.Pass || r.Domain != "example.org" || r.Algorithm != want {
			t.Errorf("%+v, want %s", r, want)
		}
	}
}

func TestSign(t *testing.T) {
	dir := t.TempDir()
	rsa, ed := filepath.Join(dir, "rsa.pem"), filepath.Join(dir, "ed25519.pem")
	keys := []string{"-domain", "example.org", "-rsa", "r=" + rsa, "-ed25519", "e=" + ed}
	code, signed, stderr := sign(message, keys...)
	if code != 0 {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	z := zone(t, stderr) // the keys are new
	verified(t, z, signed, "rsa-sha256", "ed25519-sha256")
	for _, file := range []string{rsa, ed} {
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 && runtime.GOOS != "windows" {
			t.Errorf("%v, %v", info, err)
		}
	}

	file := filepath.Join(dir, "message.eml")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(message, "\r\n", "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, signed, stderr = sign("", append(keys, "-file", file, "-crlf", "-lifetime", "24h", "-identity", "ann@example.org")...); code != 0 || stderr != "" {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	verified(t, z, signed, "rsa-sha256", "ed25519-sha256") // the same keys
	if !strings.Contains(signed, "i=ann@example.org;") || !strings.Contains(signed, " x=") {
		t.Errorf("%s", signed)
	}

	code, records, stderr := sign("", append(keys, "-record")...)
	if code != 0 || stderr != "" {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	verified(t, zone(t, records), signed, "rsa-sha256", "ed25519-sha256")
}

func TestFailures(t *testing.T) {
	dir := t.TempDir()
	garbage, key := filepath.Join(dir, "garbage"), filepath.Join(dir, "key")
	if err := os.WriteFile(garbage, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	good := []string{"-domain", "example.org", "-ed25519", "s=" + key}
	for _, test := range []struct {
		stdin string
		code  int
		args  []string
	}{
		{message, 64, nil},
		{message, 64, good[:2]},
		{message, 64, append(good, "file")},
		{message, 64, append(good, "-nothing")},
		{message, 64, []string{"-domain", "example.org", "-rsa", key}},
		{message, 64, []string{"-domain", "localhost", "-ed25519", "s=" + filepath.Join(dir, "never made")}},
		{message, 64, append(good, "-identity", "ann@example.net")},
		{message, 1, []string{"-domain", "example.org", "-ed25519", "s=" + garbage}},
		{message, 1, []string{"-domain", "example.org", "-ed25519", "s=" + filepath.Join(dir, "no folder", "key")}},
		{message, 1, append(good, "-file", filepath.Join(dir, "nothing"))},
		{message, 1, append(good, "-crlf", "-file", filepath.Join(dir, "nothing"))},
		{"Subject: x\r\n\r\n", 65, good},
		{strings.ReplaceAll(message, "\r\n", "\n"), 65, good},
		{message, 0, append(good, "-help")},
	} {
		code, stdout, stderr := sign(test.stdin, test.args...)
		if code != test.code || stdout != "" || stderr == "" {
			t.Errorf("%q: exit %d, want %d\n%s%s", test.args, code, test.code, stdout, stderr)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "never made")); err == nil {
		t.Error("a key was made for a domain that cannot be")
	}
}
