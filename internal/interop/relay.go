//go:build interop

package interop

import (
	"bytes"
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/postrider/postrider/mx/dns/dnstest"
)

// relayProgram builds examples/relay, for those tests that need it: its SQLite
// takes a while to compile the first time.
var relayProgram = sync.OnceValues(func() (string, error) {
	program := filepath.Join(programs, "relay")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Dir = filepath.Join("..", "..", "examples", "relay")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // it has to run in any root
	out, err := build.CombinedOutput()
	if err != nil {
		os.Stderr.Write(out)
	}
	return program, err
})

// relay is examples/relay with both its listeners.
type relay struct {
	*root // that it runs in
	*process
	uid            uint32 // whose it is
	mx, submission int    // ports
	db             string // as it is known in the root
	argv           []string
}

// relayOptions are what differs between relays.
type relayOptions struct {
	root     *root
	uid      uint32
	hostname string
	domains  string   // local ones, with commas
	users    []string // their addresses; each may submit
	resolver string
	mx       int         // its port, if it has to be known before
	key      *signingKey // signs what is submitted
	db       string      // if it is not to be a file
	more     []string    // arguments
}

// startRelay starts a relay.
func startRelay(t *testing.T, certs certificates, o relayOptions) *relay {
	t.Helper()
	built, err := relayProgram()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(built)
	if err != nil {
		t.Fatal(err)
	}
	home := "relay/" + o.hostname
	in := func(name string) string { return "/" + home + "/" + name }
	y := &relay{root: o.root, uid: o.uid, mx: cmp.Or(o.mx, freePort(t)), submission: freePort(t), db: cmp.Or(o.db, in("queue.db"))}
	y.mkdir(t, int(o.uid), 0o755, "relay", home)
	put := func(name string, data []byte, mode os.FileMode) {
		y.write(t, home+"/"+name, data, mode)
		y.chown(t, home+"/"+name, int(o.uid))
	}
	put("relay", program, 0o755)
	put("cert.pem", certs.cert, 0o644)
	put("key.pem", certs.key, 0o600)
	put("ca.pem", certs.ca, 0o644)
	var users []byte
	for _, user := range o.users {
		res := run(t, o.root, []byte(password+"\n"), in("relay"), "user", user)
		if res.code != 0 {
			t.Fatal(res)
		}
		users = append(users, res.stdout...)
	}
	put("users", users, 0o600)
	y.argv = append([]string{in("relay"), "-hostname", o.hostname, "-domains", o.domains, "-users", in("users"), "-db", y.db,
		"-listen", address(y.mx), "-submission", address(y.submission), "-cert", in("cert.pem"), "-key", in("key.pem"),
		"-resolver", o.resolver, "-poll", "1s"}, o.more...)
	if o.key != nil {
		put("dkim.pem", o.key.pem(t), 0o600)
		y.argv = append(y.argv, "-dkim-key", in("dkim.pem"), "-dkim-selector", o.key.selector)
	}
	y.run(t)
	return y
}

var readyLine = regexp.MustCompile(`(?m)^ready$`)

// run starts the relay, again if it was stopped.
func (y *relay) run(t *testing.T) {
	t.Helper()
	y.process = startAs(t, y.uid, y.root, y.argv...)
	y.eventually(t, "ready", func() bool { return readyLine.MatchString(y.out.String()) })
}

// queue runs an operator's command beside the relay and returns what it prints.
func (y *relay) queue(t *testing.T, command string, args ...string) string {
	t.Helper()
	res := run(t, y.root, nil, append([]string{y.argv[0], "queue", command, "-db", y.db}, args...)...)
	if res.code != 0 {
		t.Fatalf("relay queue %s: %v", command, res)
	}
	return res.stdout
}

// submit hands a message to the relay with swaks, after STARTTLS and AUTH.
func (y *relay) submit(t *testing.T, tools *root, from string, msg []byte, to ...string) {
	t.Helper()
	argv, stdin := swaks(t, tools, submission{port: y.submission, tls: "starttls", mech: "PLAIN", user: from, password: password,
		from: from, to: to, message: msg})
	if res := run(t, tools, stdin, argv...); res.code != 0 {
		t.Fatal(res)
	}
}

// empty waits until nothing is left in the queue.
func (y *relay) empty(t *testing.T) {
	t.Helper()
	y.eventually(t, "an empty queue", func() bool { return strings.TrimSpace(y.queue(t, "list", "-json")) == "" })
}

// arrives waits for a message with that subject in a user's mailbox.
func (d *dovecot) arrives(t *testing.T, user, subject string) []byte {
	t.Helper()
	return d.awaits(t, user, "\nSubject: "+subject+"\r\n")
}

// awaits waits for a message in a user's mailbox that holds text.
func (d *dovecot) awaits(t *testing.T, user, text string) (found []byte) {
	t.Helper()
	d.eventually(t, "a message for "+user+" with "+text, func() bool {
		for _, data := range imapInbox(t, d.imap, user, dovecotMailPass) {
			if bytes.Contains(data, []byte(text)) {
				found = data
			}
		}
		return found != nil
	})
	return found
}

// relayZone is what relays find in the DNS: example.org, which signs with the key
// and wants forgeries refused, and hosts that are all here.
func relayZone(t *testing.T, key signingKey) *dnstest.Zone {
	t.Helper()
	zone := keyZone(t, key)
	for _, line := range []string{
		`example.org MX 10 mx.example.org`,
		`example.org TXT "v=spf1 ip4:127.0.0.1 -all"`,
		`_dmarc.example.org TXT "v=DMARC1; p=reject; adkim=s; aspf=s"`,
		`example.net MX 10 mx.example.net`,
		`mx.example.org A 127.0.0.1`,
		`mx.example.net A 127.0.0.1`,
		`1.0.0.127.in-addr.arpa PTR mx.example.org`,
	} {
		if err := zone.Add(line); err != nil {
			t.Fatal(err)
		}
	}
	return zone
}

// serveZone answers for the zone until the test ends.
func serveZone(t *testing.T, zone *dnstest.Zone) string {
	t.Helper()
	srv, err := zone.Serve("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { srv.Close() })
	return srv.Addr().String()
}

// A headerField is one with its folding taken out.
type headerField struct{ name, value string }

// headerFields are those of a message, the topmost first.
func headerFields(message []byte) []headerField {
	header, _, _ := bytes.Cut(message, []byte("\r\n\r\n"))
	unfolded := regexp.MustCompile(`\r\n[ \t]+`).ReplaceAllString(string(header), " ")
	var fields []headerField
	for line := range strings.SplitSeq(unfolded, "\r\n") {
		name, value, _ := strings.Cut(line, ":")
		fields = append(fields, headerField{strings.TrimSpace(name), strings.TrimSpace(value)})
	}
	return fields
}

// values are those of the fields with that name.
func values(fields []headerField, name string) (all []string) {
	for _, f := range fields {
		if strings.EqualFold(f.name, name) {
			all = append(all, f.value)
		}
	}
	return all
}
