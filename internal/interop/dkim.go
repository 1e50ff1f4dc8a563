//go:build interop

package interop

import (
	"bytes"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"crypto"
	"crypto/ed25519"

	"github.com/postrider/postrider/auth/dkim"
	"github.com/postrider/postrider/mx/dns/dnstest"
)

//go:embed testdata/dkimpy.py
var dkimpyPy []byte

const keysPath = "/etc/keys" // of records, a name and a text on each line

// newAuthRoot is a root with OpenDKIM and dkimpy, who find the records of the
// keys in a file.
func newAuthRoot(t *testing.T, keys ...signingKey) *root {
	t.Helper()
	r := newRoot(t, "auth")
	var records strings.Builder
	for _, k := range keys {
		fmt.Fprintf(&records, "%s %s\n", k.name(t), k.record(t))
	}
	r.write(t, keysPath, []byte(records.String()), 0o644)
	return r
}

// signingKey is a key with a name, by which both sides sign.
type signingKey struct {
	crypto.Signer
	selector  string
	algorithm string
}

const signingDomain = "example.org"

func newSigningKeys(t *testing.T) (rsa, ed signingKey) {
	t.Helper()
	for _, k := range []struct {
		into *signingKey
		kind dkim.KeyType
	}{{&rsa, dkim.RSA}, {&ed, dkim.Ed25519}} {
		key, err := dkim.GenerateKey(k.kind, 0)
		if err != nil {
			t.Fatal(err)
		}
		*k.into = signingKey{key, string(k.kind), string(k.kind) + "-sha256"}
	}
	return rsa, ed
}

// signer is ours with that key.
func (k signingKey) signer() *dkim.Signer {
	return &dkim.Signer{Domain: signingDomain, Selector: k.selector, Key: k}
}

func (k signingKey) name(t *testing.T) string {
	t.Helper()
	name, err := k.signer().RecordName()
	if err != nil {
		t.Fatal(err)
	}
	return name
}

func (k signingKey) record(t *testing.T) string {
	t.Helper()
	text, err := dkim.Record(k)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// pem is the private key as OpenDKIM wants it.
func (k signingKey) pem(t *testing.T) []byte {
	t.Helper()
	text, err := dkim.MarshalPrivateKey(k.Signer)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// text is the private key as dkimpy wants it.
func (k signingKey) text(t *testing.T) string {
	t.Helper()
	if ed, ok := k.Signer.(ed25519.PrivateKey); ok {
		return base64.StdEncoding.EncodeToString(ed.Seed())
	}
	return string(k.pem(t))
}

// keyZone has the records of the keys.
func keyZone(t *testing.T, keys ...signingKey) *dnstest.Zone {
	t.Helper()
	zone := new(dnstest.Zone)
	for _, k := range keys {
		if err := zone.Add(k.name(t) + " TXT " + dnstest.Quote(k.record(t))); err != nil {
			t.Fatal(err)
		}
	}
	return zone
}

// pyTask is something for dkimpy to do (see testdata/dkimpy.py).
type pyTask struct {
	Do         string `json:"do"`
	Message    []byte `json:"message"`
	Signatures int    `json:"signatures,omitempty"`
	Selector   string `json:"selector,omitempty"`
	Domain     string `json:"domain,omitempty"`
	Key        string `json:"key,omitempty"`
	Algorithm  string `json:"algorithm,omitempty"`
	Header     string `json:"header,omitempty"`
	Body       string `json:"body,omitempty"`
	AuthServID string `json:"authserv_id,omitempty"`
}

// pyResult is what came of it.
type pyResult struct {
	Prefix   string   `json:"prefix"`
	Verdicts []string `json:"verdicts"`
	Comment  string   `json:"comment"`
}

// dkimpy does the tasks in one process, for Python takes long to start.
func dkimpy(t *testing.T, r *root, tasks []pyTask) []pyResult {
	t.Helper()
	r.write(t, "tmp/dkimpy.py", dkimpyPy, 0o644)
	var stdin bytes.Buffer
	for _, task := range tasks {
		if err := json.NewEncoder(&stdin).Encode(task); err != nil {
			t.Fatal(err)
		}
	}
	res := run(t, r, stdin.Bytes(), "/usr/bin/python3", "-IB", "/tmp/dkimpy.py", keysPath)
	var results []pyResult
	for d := json.NewDecoder(strings.NewReader(res.stdout)); d.More(); {
		var result pyResult
		if err := d.Decode(&result); err != nil {
			t.Fatal(err, res)
		}
		results = append(results, result)
	}
	if res.code != 0 || len(results) != len(tasks) {
		t.Fatalf("%d results for %d tasks: %v", len(results), len(tasks), res)
	}
	return results
}

const opendkimConfig = `
AuthservID opendkim.example
TestPublicKeys ` + keysPath + `
RequireSafeKeys no
SyslogFacility mail
`

// startOpenDKIM starts it as a filter with these further lines of configuration,
// and returns its socket.
func startOpenDKIM(t *testing.T, r *root, config string) (socket string) {
	t.Helper()
	r.write(t, "etc/opendkim.conf", []byte(opendkimConfig+config), 0o644)
	name := fmt.Sprintf("/run/opendkim-%d", freePort(t))
	p := start(t, r, "/usr/sbin/opendkim", "-f", "-x", "/etc/opendkim.conf", "-p", "local:"+name)
	// Asked to end, it would take libmilter up to five seconds to notice.
	t.Cleanup(func() { syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) })
	p.eventually(t, "socket open", func() bool {
		conn, err := net.Dial("unix", r.path(name))
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return r.path(name)
}

// opendkimVerify returns what OpenDKIM, at that socket, says about the signatures
// of a message: "pass", "fail" and so on.
func opendkimVerify(t *testing.T, socket string, message []byte) (verdicts []string) {
	t.Helper()
	for _, e := range askMilter(t, socket, message) {
		if e.name != "Authentication-Results" {
			continue
		}
		for _, m := range opendkimSaid.FindAllStringSubmatch(e.value, -1) {
			verdicts = append(verdicts, m[1])
		}
	}
	return verdicts
}

var opendkimSaid = regexp.MustCompile(`\bdkim=(\w+)`)
