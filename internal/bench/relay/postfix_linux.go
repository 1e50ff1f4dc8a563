package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

const postfixAccount = 60001 // see internal/interop/run

// postfixSettings is what stands behind Debian's main.cf: what its installation
// asks for, a log in a file, as the relay has one, since there is no syslogd, and
// as many deliveries at a time as there may be processes: with the 20 that are the
// default it would be smtp-sink's answers that count.
const postfixSettings = `
myhostname = postfix.bench.example
mydestination = $myhostname, localhost
mynetworks = 127.0.0.0/8
relayhost = [127.0.0.1]:%s
inet_interfaces = loopback-only
inet_protocols = ipv4
alias_maps =
alias_database =
maillog_file = /var/log/mail.log
default_destination_concurrency_limit = 100
`

const postfixAbout = ", as Debian ships it but for default_destination_concurrency_limit = 100 and its log in a file; no daemon in a root of its own, no certificate"

var (
	chrooted    = regexp.MustCompile(`(?m)^(\S+ +\S+ +\S+ +\S+ +)y`)
	inetService = regexp.MustCompile(`(?m)^smtp( +inet)`)
)

// override returns main.cf without the settings that more has, then more.
func override(main, more string) string {
	ours := map[string]bool{}
	for line := range strings.Lines(more) {
		name, _, _ := strings.Cut(line, " =")
		ours[name] = true
	}
	var kept strings.Builder
	for line := range strings.Lines(main) {
		if name, _, _ := strings.Cut(line, " ="); !ours[name] {
			kept.WriteString(line)
		}
	}
	return kept.String() + more
}

// startPostfix starts Postfix with Debian's main.cf and master.cf.
func startPostfix(ctx context.Context, r *root, next string) (*mta, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	share := filepath.Join(r.dir, "usr/share/postfix")
	mainCF, err := os.ReadFile(filepath.Join(share, "main.cf.debian"))
	if err != nil {
		return nil, err
	}
	masterCF, err := os.ReadFile(filepath.Join(share, "master.cf.dist"))
	if err != nil {
		return nil, err
	}
	services := chrooted.ReplaceAllString(string(masterCF), "${1}n") // it is in a root of its own
	services = inetService.ReplaceAllString(services, addr+"${1}")
	for name, text := range map[string]string{
		"etc/postfix/main.cf":        override(string(mainCF), fmt.Sprintf(postfixSettings, port(next))),
		"etc/postfix/master.cf":      services,
		"etc/postfix/dynamicmaps.cf": "",
	} {
		if err := r.write(name, text); err != nil {
			return nil, err
		}
	}
	const spool = "var/spool/postfix/"
	for _, dir := range strings.Fields("active bounce corrupt defer deferred flush hold incoming private saved trace") {
		if err := r.own(postfixAccount, 0o700, spool+dir); err != nil {
			return nil, err
		}
	}
	if err := r.own(postfixAccount, 0o755, spool+"public", spool+"maildrop", "var/lib/postfix"); err != nil {
		return nil, err
	}
	if err := r.own(0, 0o755, spool, spool+"pid", "var/log"); err != nil {
		return nil, err
	}
	version, err := r.command("/usr/sbin/postconf", "-h", "mail_version").Output()
	if err != nil {
		return nil, err
	}
	cmd := r.command("/usr/lib/postfix/sbin/master", "-d", "-c", "/etc/postfix")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	m := &mta{name: "postfix", about: "Postfix " + strings.TrimSpace(string(version)) + postfixAbout, addr: addr, pids: []int{cmd.Process.Pid}, stop: func() { end(cmd) }}
	if err := listening(ctx, addr); err != nil {
		m.stop()
		return nil, err
	}
	return m, nil
}
