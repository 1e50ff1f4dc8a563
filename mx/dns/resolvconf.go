package dns

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"
)

// resolvConf is what a file in the form of resolv.conf(5) says.
type resolvConf struct {
	servers  []Server
	timeout  time.Duration // 0: not said
	attempts int           // 0: not said
	rotate   bool
	read     time.Time // when; zero: never
}

const (
	resolvConfPath    = "/etc/resolv.conf"
	resolvConfAge     = 5 * time.Second
	maxResolvConf     = 64 << 10
	maxNameservers    = 3                // as resolv.conf(5) has it
	maxServerTimeout  = 30 * time.Second // likewise
	maxServerAttempts = 5                // likewise
	dnsPort           = 53
)

// refresh reads the file, unless that was done a moment ago. A file that was
// readable once and is not any more leaves everything as it was.
func (c *resolvConf) refresh(path string) error {
	now := time.Now()
	if !c.read.IsZero() && now.Sub(c.read) < resolvConfAge {
		return nil
	}
	if path == "" {
		path = resolvConfPath
	}
	fresh, err := readResolvConf(path)
	if err != nil && c.read.IsZero() {
		return err
	}
	if err == nil {
		*c = fresh
	}
	c.read = now
	return nil
}

func readResolvConf(path string) (resolvConf, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return parseResolvConf(strings.NewReader(""))
	}
	if err != nil {
		return resolvConf{}, err
	}
	defer f.Close()
	return parseResolvConf(f)
}

// parseResolvConf passes over what it does not understand, as others do.
func parseResolvConf(r io.Reader) (c resolvConf, err error) {
	trusted := false
	lines := bufio.NewScanner(io.LimitReader(r, maxResolvConf))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 || strings.ContainsRune("#;", rune(fields[0][0])) {
			continue
		}
		switch fields[0] {
		case "nameserver":
			addr, err := netip.ParseAddr(fields[1])
			if err == nil && len(c.servers) < maxNameservers {
				c.servers = append(c.servers, Server{Addr: netip.AddrPortFrom(addr, dnsPort)})
			}
		case "options":
			for _, option := range fields[1:] {
				name, value, _ := strings.Cut(option, ":")
				n, _ := strconv.Atoi(value)
				switch name {
				case "timeout":
					c.timeout = min(time.Duration(max(n, 0))*time.Second, maxServerTimeout)
				case "attempts":
					c.attempts = min(max(n, 0), maxServerAttempts)
				case "rotate":
					c.rotate = true
				case "trust-ad":
					trusted = true
				}
			}
		}
	}
	if len(c.servers) == 0 {
		for _, addr := range []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()} {
			c.servers = append(c.servers, Server{Addr: netip.AddrPortFrom(addr, dnsPort)})
		}
	}
	for i := range c.servers {
		c.servers[i].Trusted = trusted
	}
	return c, lines.Err()
}
