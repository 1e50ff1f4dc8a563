//go:build interop

package interop

import (
	"strconv"
	"strings"
	"testing"
)

// Each way through the proxy has a frontend and a backend of its own.
const haproxyConfig = `
global
    maxconn 100
defaults
    mode tcp
    log stdout format raw local0
    option log-health-checks
    timeout connect 10s
    timeout client 60s
    timeout server 60s
`

const haproxyService = `
frontend in-{NAME}
    bind 127.0.0.1:{PORT}{BIND}
    default_backend out-{NAME}
backend out-{NAME}
    server keeper 127.0.0.1:{SERVER} {OPTIONS}
`

// haproxyWay is one way through HAProxy.
type haproxyWay struct {
	name    string
	bind    string // options of the listener
	server  string // port behind
	options string // of the server
	port    int    // set by startHAProxy
}

func startHAProxy(t *testing.T, certs certificates, ways []haproxyWay) *process {
	t.Helper()
	r := newRoot(t, "tools")
	config := haproxyConfig
	var ports []int
	for i := range ways {
		w := &ways[i]
		w.port = freePort(t)
		ports = append(ports, w.port)
		bind := w.bind
		if bind != "" {
			bind = " " + bind
		}
		config += strings.NewReplacer("{NAME}", w.name, "{PORT}", strconv.Itoa(w.port), "{BIND}", bind,
			"{SERVER}", w.server, "{OPTIONS}", w.options).Replace(haproxyService)
	}
	r.write(t, "etc/haproxy.cfg", []byte(config), 0o644)
	r.write(t, "etc/tls/both.pem", append(append([]byte(nil), certs.cert...), certs.key...), 0o600)
	r.write(t, "etc/tls/ca.pem", certs.ca, 0o644)
	p := start(t, r, "/usr/sbin/haproxy", "-db", "-f", "/etc/haproxy.cfg")
	p.listening(t, ports...)
	return p
}
