//go:build interop

package interop

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// swaks says XCLIENT (Postfix's XCLIENT_README) to our server, which goes on as
// if that client had connected; to a swaks that it does not trust it offers none.
func TestXClientFromSwaks(t *testing.T) {
	certs := newCertificates(t)
	k := &keeper{Server: server.Server{TLSConfig: certs.server(t), Trusted: loopback}}
	keep(t, k, listenTCP(t))
	r := newRoot(t, "tools")
	r.write(t, caPath, certs.ca, 0o644)
	for _, test := range []struct {
		name   string
		tls    string
		args   []string
		remote string
		check  func(keptMessage) bool
	}{
		{"address", "", []string{"--xclient-addr", "192.0.2.7", "--xclient-port", "12345", "--xclient-name", "client.example.com"},
			"192.0.2.7:12345", func(m keptMessage) bool { return m.ClientName == "client.example.com" }},
		{"ipv6", "", []string{"--xclient-addr", "IPV6:2001:db8::7", "--xclient-port", "12345", "--xclient-name", "[UNAVAILABLE]"},
			"[2001:db8::7]:12345", func(m keptMessage) bool { return m.ClientName == smtp.XUnavailable }},
		{"login", "", []string{"--xclient-addr", "192.0.2.7", "--xclient-port", "1", "--xclient-login", "al+ice=", "--xclient-proto", "ESMTP"},
			"192.0.2.7:1", func(m keptMessage) bool { return m.Identity == "al+ice=" && m.Mechanism == "XCLIENT" }},
		{"destination", "", []string{"--xclient-addr", "192.0.2.7", "--xclient-port", "1", "--xclient-destaddr", "198.51.100.25", "--xclient-destport", "25"},
			"192.0.2.7:1", func(m keptMessage) bool { return m.LocalAddr.String() == "198.51.100.25:25" }},
		{"two-commands", "", []string{"--xclient", "DESTADDR=198.51.100.25 DESTPORT=26", "--xclient", "NAME=other.example.com ADDR=192.0.2.8 PORT=8"},
			"192.0.2.8:8", func(m keptMessage) bool {
				return m.ClientName == "other.example.com" && m.LocalAddr.String() == "198.51.100.25:26"
			}},
		{"behind-tls", "starttls", []string{"--xclient-addr", "192.0.2.7", "--xclient-port", "1"},
			"192.0.2.7:1", func(m keptMessage) bool { return m.TLS != nil }},
		{"before-tls", "starttls", []string{"--xclient-addr", "192.0.2.7", "--xclient-port", "1", "--xclient-before-starttls"},
			"192.0.2.7:1", func(m keptMessage) bool { return m.TLS != nil }},
	} {
		t.Run(test.name, func(t *testing.T) {
			subject := "xclient " + test.name
			msg := message(subject)
			argv, stdin := swaks(t, r, submission{port: portOf(k.addr), tls: test.tls, from: author, to: []string{one}, message: msg})
			if res := run(t, r, stdin, append(argv, test.args...)...); res.code != 0 {
				t.Fatal(res)
			}
			got := k.message(t, subject)
			sameBytes(t, got.data, msg)
			if got.RemoteAddr.String() != test.remote || !test.check(got) {
				t.Errorf("from %v: %+v", got.RemoteAddr, got.Info)
			}
			if !strings.HasPrefix(got.ProxyAddr.String(), "127.0.0.1:") {
				t.Errorf("by way of %v", got.ProxyAddr)
			}
		})
	}
	t.Run("not-trusted", func(t *testing.T) {
		k := &keeper{Server: server.Server{Trusted: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}}
		keep(t, k, listenTCP(t))
		argv, stdin := swaks(t, r, submission{port: portOf(k.addr), from: author, to: []string{one}, message: message("xclient")})
		res := run(t, r, stdin, append(argv, "--xclient-addr", "192.0.2.7")...)
		if res.code == 0 || !strings.Contains(res.output(), "did not advertise XCLIENT") {
			t.Error(res)
		}
		if got := k.about("xclient"); len(got) != 0 {
			t.Errorf("accepted: %+v", got)
		}
	})
}

// swaks writes the PROXY header of either version itself, for addresses that
// HAProxy never has here.
func TestProxyFromSwaks(t *testing.T) {
	k := &keeper{Server: server.Server{Trusted: loopback}}
	keep(t, k, listenTCP(t))
	proxied := listenTCP(t)
	k.listen(t, k.ProxyListener(proxied), k.Serve)
	r := newRoot(t, "tools")
	for _, version := range []string{"1", "2"} {
		for _, test := range []struct {
			name, remote, local string
			args                []string
		}{
			{"ipv4", "192.0.2.7:1234", "198.51.100.25:25", []string{"--proxy-family", "TCP4", "--proxy-source", "192.0.2.7",
				"--proxy-source-port", "1234", "--proxy-dest", "198.51.100.25", "--proxy-dest-port", "25"}},
			{"ipv6", "[2001:db8::7]:1234", "[2001:db8::25]:25", []string{"--proxy-family", "TCP6", "--proxy-source", "2001:db8::7",
				"--proxy-source-port", "1234", "--proxy-dest", "2001:db8::25", "--proxy-dest-port", "25"}},
		} {
			t.Run("version-"+version+"/"+test.name, func(t *testing.T) {
				if version == "2" {
					test.args[1] = map[string]string{"TCP4": "AF_INET", "TCP6": "AF_INET6"}[test.args[1]]
					test.args = append(test.args, "--proxy-protocol", "STREAM", "--proxy-command", "PROXY")
				}
				subject := "proxy " + version + " " + test.name
				msg := message(subject)
				argv, stdin := swaks(t, r, submission{port: portOf(proxied.Addr().String()), from: author, to: []string{one}, message: msg})
				if res := run(t, r, stdin, append(append(argv, "--proxy-version", version), test.args...)...); res.code != 0 {
					t.Fatal(res)
				}
				got := k.message(t, subject)
				sameBytes(t, got.data, msg)
				if got.RemoteAddr.String() != test.remote || got.LocalAddr.String() != test.local {
					t.Errorf("from %v to %v", got.RemoteAddr, got.LocalAddr)
				}
			})
		}
	}
}

// Dovecot's submission server says XCLIENT to the server that it hands mail to:
// who has authenticated with it, from where.
func TestXClientFromDovecot(t *testing.T) {
	k := &keeper{Server: server.Server{Trusted: loopback, Extensions: []server.Extension{server.DSN}}}
	keep(t, k, listenTCP(t))
	certs := newCertificates(t)
	d := startDovecot(t, certs, dovecotOptions{relay: port(k.addr)})
	subject := "xclient from dovecot"
	msg := message(subject)
	send(t, msg, d.submission, append(envelope(one), "-tls", "starttls", "-ca", caFile(t, certs), "-user", user, "-pass", password)...).want(t, sent)
	got := k.message(t, subject)
	sameBytes(t, original(t, got.data), msg)
	if got.Identity != user || got.Mechanism != "XCLIENT" || got.ProxyAddr == nil || got.RemoteAddr.String() == got.ProxyAddr.String() {
		t.Errorf("%+v", got.Info)
	}
}

// Postfix hands mail on with XFORWARD (Postfix's XFORWARD_README): our server
// learns where Postfix has it from.
func TestXForwardFromPostfix(t *testing.T) {
	certs := newCertificates(t)
	for _, protocol := range []string{"smtp", "lmtp"} {
		t.Run(protocol, func(t *testing.T) {
			k := &keeper{Server: server.Server{Trusted: loopback}}
			if protocol == "lmtp" {
				k.Role = server.LMTP
			}
			keep(t, k, listenTCP(t))
			s := startPostfixWith(t, certs, "inet_protocols = all\n"+relayTo(relayDomain, protocol+":[127.0.0.1]:"+port(k.addr))+`
smtp_send_xforward_command = yes
lmtp_send_xforward_command = yes
smtpd_authorized_xclient_hosts = 127.0.0.0/8
local_header_rewrite_clients =
`, "")
			r := newRoot(t, "tools")
			for _, test := range []struct {
				name   string
				client []string // XCLIENT, so that Postfix has something to tell
				want   smtp.XForward
			}{
				{"ipv4", []string{"--xclient-addr", "192.0.2.7", "--xclient-name", "client.example.com", "--xclient-port", "4711"},
					smtp.XForward{Name: "client.example.com", Addr: "192.0.2.7", Port: "4711", Proto: "ESMTP", Helo: "swaks.example.org", Source: "REMOTE"}},
				{"ipv6", []string{"--xclient-addr", "IPV6:2001:db8::7", "--xclient-name", "[UNAVAILABLE]", "--xclient-port", "4712"},
					smtp.XForward{Name: smtp.XUnavailable, Addr: "2001:db8::7", Port: "4712", Proto: "ESMTP", Helo: "swaks.example.org", Source: "REMOTE"}},
			} {
				t.Run(test.name, func(t *testing.T) {
					subject := "xforward " + protocol + " " + test.name
					msg := message(subject)
					argv, stdin := swaks(t, r, submission{port: s.plain, from: author, to: []string{"anybody@" + relayDomain}, message: msg})
					if res := run(t, r, stdin, append(argv, test.client...)...); res.code != 0 {
						t.Fatal(res)
					}
					got := k.message(t, subject)
					sameBytes(t, original(t, got.data), msg)
					if got.Forwarded.Ident == "" || got.Forwarded.Ident == smtp.XUnavailable {
						t.Errorf("no queue id: %+v", got.Forwarded)
					}
					s.logged(t, got.Forwarded.Ident+": client=")
					test.want.Ident = got.Forwarded.Ident
					if got.Forwarded != test.want {
						t.Errorf("got  %+v\nwant %+v", got.Forwarded, test.want)
					}
					if got.ProxyAddr != nil || !strings.HasPrefix(got.RemoteAddr.String(), "127.0.0.1:") {
						t.Errorf("XFORWARD changed the addresses: %+v", got.Info)
					}
				})
			}
		})
	}
}
