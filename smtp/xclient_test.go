package smtp

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func TestParseXClient(t *testing.T) {
	long := strings.Repeat(strings.Repeat("x", 63)+".", 3) + strings.Repeat("x", 63)
	tests := []struct {
		name    string
		arg     string
		want    XClient
		written string // "" when arg is written again
	}{
		{"the README's example", "NAME=spike.porcupine.org ADDR=168.100.189.2", XClient{Name: "spike.porcupine.org", Addr: "168.100.189.2"}, ""},
		{"everything", "PROTO=ESMTP HELO=[192.0.2.1] LOGIN=jane@example.org DESTADDR=IPV6:2001:db8::25 DESTPORT=25 PORT=4321 NAME=a_b.example ADDR=IPV6:2001:db8::1",
			XClient{"a_b.example", "2001:db8::1", "4321", "ESMTP", "[192.0.2.1]", "jane@example.org", "2001:db8::25", "25"}, ""},
		{"any case and order", "addr=ipv6:2001:DB8::1 \tproto=smtp  name=[unavailable]", XClient{Name: XUnavailable, Addr: "2001:db8::1", Proto: "SMTP"},
			"PROTO=SMTP NAME=[UNAVAILABLE] ADDR=IPV6:2001:db8::1"},
		{"blanks around", " NAME=a\t", XClient{Name: "a"}, "NAME=a"},
		{"nothing known", "NAME=[TempUnavail] ADDR=[unavailable] PORT=[UNAVAILABLE] HELO=[unavailable] LOGIN=[unavailable] DESTADDR=[unavailable] DESTPORT=[unavailable]",
			XClient{Name: XTempUnavailable, Addr: XUnavailable, Port: XUnavailable, Helo: XUnavailable, Login: XUnavailable, DestAddr: XUnavailable, DestPort: XUnavailable},
			"HELO=[UNAVAILABLE] LOGIN=[UNAVAILABLE] DESTADDR=[UNAVAILABLE] DESTPORT=[UNAVAILABLE] PORT=[UNAVAILABLE] NAME=[TEMPUNAVAIL] ADDR=[UNAVAILABLE]"},
		{"xtext", "HELO=a+2Bb LOGIN=j+C3+BCrgen+20m+3D+2B", XClient{Helo: "a+b", Login: "jürgen m=+"}, ""},
		{"an address in xtext", "ADDR=192.0.2.+31", XClient{Addr: "192.0.2.1"}, "ADDR=192.0.2.1"},
		{"ports", "PORT=00025 DESTPORT=65535", XClient{Port: "25", DestPort: "65535"}, "DESTPORT=65535 PORT=25"},
		{"longest", "HELO=" + strings.Repeat("x", 255) + " NAME=" + long[:251], XClient{Helo: strings.Repeat("x", 255), Name: long[:251]}, ""},
	}
	for _, test := range tests {
		got, err := ParseXClient(test.arg)
		if err != nil || got != test.want {
			t.Errorf("%s: ParseXClient(%q) = %+v, %v", test.name, test.arg, got, err)
			continue
		}
		if err := got.Validate(); err != nil {
			t.Errorf("%s: Validate() = %v", test.name, err)
		}
		want := test.written
		if want == "" {
			want = test.arg
		}
		if line := string(AppendXClient(nil, got)); line != "XCLIENT "+want+"\r\n" {
			t.Errorf("%s: %q is written %q", test.name, test.arg, line)
		}
	}
}

func TestParseXForward(t *testing.T) {
	tests := []struct {
		name    string
		arg     string
		want    XForward
		written string // "" when arg is written again
	}{
		{"the README's example", "NAME=spike.porcupine.org ADDR=168.100.189.2 PROTO=ESMTP", XForward{Name: "spike.porcupine.org", Addr: "168.100.189.2", Proto: "ESMTP"}, ""},
		{"everything", "NAME=not/a/dns/name ADDR=IPV6:::1 PORT=1 PROTO=UUCP HELO=[IPv6:::1] IDENT=3CF6B2AAE8 SOURCE=LOCAL",
			XForward{"not/a/dns/name", "::1", "1", "UUCP", "[IPv6:::1]", "3CF6B2AAE8", "LOCAL"}, ""},
		{"any case", "source=remote ident=[unavailable] proto=[Unavailable]", XForward{Proto: XUnavailable, Ident: XUnavailable, Source: "REMOTE"},
			"PROTO=[UNAVAILABLE] IDENT=[UNAVAILABLE] SOURCE=REMOTE"},
		{"longest", "PROTO=" + strings.Repeat("x", 64), XForward{Proto: strings.Repeat("x", 64)}, ""},
	}
	for _, test := range tests {
		got, err := ParseXForward(test.arg)
		if err != nil || got != test.want {
			t.Errorf("%s: ParseXForward(%q) = %+v, %v", test.name, test.arg, got, err)
			continue
		}
		if err := got.Validate(); err != nil {
			t.Errorf("%s: Validate() = %v", test.name, err)
		}
		want := test.written
		if want == "" {
			want = test.arg
		}
		if line := string(AppendXForward(nil, got)); line != "XFORWARD "+want+"\r\n" {
			t.Errorf("%s: %q is written %q", test.name, test.arg, line)
		}
	}
}

func TestParseAttributesErrors(t *testing.T) {
	const (
		unknown = "attribute not recognized"
		twice   = "attribute given twice"
		empty   = "attribute has no value"
		long    = "attribute value is longer than 255 octets"
		address = "not an IP address"
		family  = "address is neither IPv4 nor IPv6 after IPV6:"
		port    = "not a port"
		special = "character not allowed in the attribute"
	)
	client := func(arg string) error { x, err := ParseXClient(arg); return zeroOr(err, x == XClient{}) }
	forward := func(arg string) error { x, err := ParseXForward(arg); return zeroOr(err, x == XForward{}) }
	tests := []struct {
		parse  func(string) error
		arg    string
		offset int
		reason string
	}{
		{client, "", 0, "attributes are missing"},
		{client, " \t", 2, "attributes are missing"},
		{forward, "", 0, "attributes are missing"},
		{client, "COLOUR=blue", 0, unknown},
		{client, "NAME=a IDENT=x", 7, unknown},
		{client, "SOURCE=LOCAL", 0, unknown},
		{client, "=x", 0, unknown},
		{client, "NAM=x", 0, unknown},
		{client, "NAME =x", 4, empty},
		{forward, "LOGIN=x", 0, unknown},
		{forward, "DESTADDR=192.0.2.1", 0, unknown},
		{client, "NAME", 4, empty},
		{client, "NAME=", 5, empty},
		{client, "NAME= ADDR=192.0.2.1", 5, empty},
		{client, "PORT=1 port=1", 7, twice},
		{forward, "NAME=[UNAVAILABLE] NAME=a", 19, twice},
		{client, "HELO=a+2", 6, "plus sign without two hexadecimal digits"},
		{client, "HELO=a+GG", 6, "plus sign without two hexadecimal digits"},
		{client, "HELO=a=b", 6, "character not allowed in xtext"},
		{client, "HELO=a\x01b", 6, "character not allowed in xtext"},
		{client, "HELO=a\r\nb", 6, "character not allowed in xtext"},
		{client, "HELO=ü", 5, "character not allowed in xtext"},
		{client, "HELO=" + strings.Repeat("x", 256), 260, long},
		{client, "LOGIN=" + strings.Repeat("+41", 86), 261, long},
		{client, "HELO=a+0D+0Ab", 5, special},
		{client, "HELO=a+00", 5, special},
		{client, "HELO=a+20b", 5, special},
		{client, "HELO=a+7F", 5, special},
		{client, "HELO=a+C3+BC", 5, special},
		{client, "HELO=a(b", 5, special},
		{forward, "NAME=a;b", 5, special},
		{forward, "NAME=<a>", 5, special},
		{forward, `IDENT="a"`, 6, special},
		{forward, `HELO=a\b`, 5, special},
		{forward, "HELO=a@b", 5, special},
		{forward, "IDENT=a+0Ab", 6, special},
		{forward, "PROTO=a+0Ab", 6, special},
		{forward, "PROTO=" + strings.Repeat("x", 65), 6, "protocol is longer than 64 octets"},
		{client, "LOGIN=a+0Db", 6, "character not allowed in a login name"},
		{client, "LOGIN=+0Ab", 6, "character not allowed in a login name"},
		{client, "HELO=+0Ab", 5, special},
		{client, "LOGIN=a+7F", 6, "character not allowed in a login name"},
		{client, "LOGIN=a+C2+85", 6, "character not allowed in a login name"},
		{client, "LOGIN=a+FF", 6, "character not allowed in a login name"},
		{client, "NAME=192.0.2.1", 5, "host name is an address"},
		{client, "NAME=a..b", 5, "domain label is empty"},
		{client, "NAME=a.b.", 5, "domain ends with a dot"},
		{client, "NAME=a:b", 5, "character not allowed in a host name"},
		{client, "NAME=a+20b", 5, "character not allowed in a host name"},
		{client, "NAME=b+C3+BCcher.example", 5, "character not allowed in a host name"},
		{client, "NAME=" + strings.Repeat("x", 64), 5, "domain label is longer than 63 octets"},
		{forward, "NAME=[TEMPUNAVAIL] PORT=[TEMPUNAVAIL]", 24, port},
		{client, "ADDR=[TEMPUNAVAIL]", 5, address},
		{client, "ADDR=host.example", 5, address},
		{client, "ADDR=192.0.2", 5, address},
		{client, "ADDR=192.0.2.256", 5, address},
		{client, "ADDR=192.0.2.01", 5, address},
		{client, "ADDR=[192.0.2.1]", 5, address},
		{client, "ADDR=2001:db8::1", 5, family},
		{client, "ADDR=IPV6:192.0.2.1", 5, family},
		{client, "ADDR=IPV6:", 5, family},
		{client, "ADDR=IPV6:2001:db8::1::2", 5, address},
		{client, "ADDR=IPV6:fe80::1%25eth0", 5, address},
		{client, "DESTADDR=192.0.2.1:25", 9, family},
		{client, "PORT=65536", 5, port},
		{client, "PORT=000025", 5, port},
		{client, "PORT=-1", 5, port},
		{client, "PORT=+2B1", 5, port},
		{client, "PORT=25x", 5, port},
		{client, "DESTPORT=99999999999999999999", 9, port},
		{forward, "PORT=65536", 5, port},
		{client, "PROTO=LMTP", 6, "neither SMTP nor ESMTP"},
		{client, "PROTO=ESMTPS", 6, "neither SMTP nor ESMTP"},
		{client, "PROTO=[UNAVAILABLE]", 6, "neither SMTP nor ESMTP"},
		{forward, "SOURCE=ELSEWHERE", 7, "neither LOCAL nor REMOTE"},
	}
	for _, test := range tests {
		var syntax *SyntaxError
		want := SyntaxError{501, Enh(5, 4), test.offset, test.reason}
		if err := test.parse(test.arg); !errors.As(err, &syntax) || *syntax != want {
			t.Errorf("%q: %v, want %+v", test.arg, err, want)
		}
	}
}

// zeroOr says so when there is a value beside an error.
func zeroOr(err error, zero bool) error {
	if err != nil && !zero {
		return errors.New("a value comes with the error")
	}
	return err
}

func TestAttributesValidate(t *testing.T) {
	for reason, x := range map[string]XClient{
		"attributes are missing":                          {},
		"ADDR: not an IP address":                         {Name: "a", Addr: "IPV6:::1"},
		"PORT: not a port":                                {Port: "70000"},
		"HELO: character not allowed in the attribute":    {Helo: "a\r\nRSET"},
		"HELO: attribute value is longer than 255 octets": {Helo: strings.Repeat("=", 86)},
		"PROTO: neither SMTP nor ESMTP":                   {Proto: "LMTP"},
	} {
		if err := x.Validate(); err == nil || err.(*SyntaxError).Reason != reason {
			t.Errorf("%+v: %v, want %q", x, err, reason)
		}
	}
	if err := (XForward{Source: "local", Ident: "a b"}).Validate(); err == nil || err.(*SyntaxError).Offset != -1 || err.(*SyntaxError).Reason != "IDENT: character not allowed in the attribute" {
		t.Error(err)
	}
	// What cannot be sent is left out, and nothing at all is no command.
	if got := string(AppendXClient(nil, XClient{Name: "a", Addr: "bad", Login: "x\n"})); got != "XCLIENT NAME=a\r\n" {
		t.Errorf("%q", got)
	}
	if got := string(AppendXForward([]byte("x"), XForward{Port: "bad"})); got != "x" {
		t.Errorf("%q", got)
	}
}

func TestKept(t *testing.T) {
	x := XClient{Name: "a", Addr: "192.0.2.1", Port: "1", Proto: "SMTP", Helo: "h", Login: "l", DestAddr: "192.0.2.2", DestPort: "2"}
	if got, want := x.Kept("name  ADDR Destport UNKNOWN"), (XClient{Name: "a", Addr: "192.0.2.1", DestPort: "2"}); got != want {
		t.Errorf("%+v", got)
	}
	if got := x.Kept(""); got != (XClient{}) {
		t.Errorf("%+v", got)
	}
	f := XForward{Name: "a", Addr: "192.0.2.1", Port: "1", Proto: "SMTP", Helo: "h", Ident: "i", Source: "LOCAL"}
	if got, want := f.Kept("IDENT SOURCE"), (XForward{Ident: "i", Source: "LOCAL"}); got != want {
		t.Errorf("%+v", got)
	}
	if x.Port == "" || f.Port == "" {
		t.Error("Kept changed its receiver")
	}
}

// No command is longer than 512 octets, as the README asks, nothing is lost,
// and the client's name and address come last.
func TestSplit(t *testing.T) {
	long := strings.Repeat("x", 255)
	x := XClient{Name: strings.Repeat("n.", 125) + "n", Addr: "2001:db8::1", Port: "1", Proto: "ESMTP", Helo: long, Login: long, DestAddr: "192.0.2.2", DestPort: "2"}
	whole := x
	var together XClient
	parts := x.Split()
	for i, part := range parts {
		line := AppendXClient(nil, part)
		checkLine(t, line)
		if len(line) > MaxCommandLine || part.Validate() != nil {
			t.Errorf("part %d has %d octets: %q", i, len(line), line)
		}
		for j, a := range part.attributes() {
			if *a.value != "" {
				*together.attributes()[j].value = *a.value
			}
		}
	}
	if last := parts[len(parts)-1]; len(parts) != 3 || last.Name == "" || last.Addr == "" || together != whole || x != whole {
		t.Errorf("%d parts: %+v", len(parts), parts)
	}
	if one := (XClient{Name: "a", Addr: "192.0.2.1"}).Split(); len(one) != 1 || one[0].Addr != "192.0.2.1" {
		t.Errorf("%+v", one)
	}
	// Postfix forgets a login that an earlier command gave.
	login := XClient{Name: x.Name, Addr: "192.0.2.1", Proto: "ESMTP", Helo: long, Login: "alice"}.Split()
	if last := login[len(login)-1]; len(login) != 2 || last.Login != "alice" || last.Name != x.Name || last.Addr == "" || login[0].Helo != long {
		t.Errorf("%+v", login)
	}
	if none := (XClient{Addr: "bad"}).Split(); len(none) != 0 {
		t.Errorf("%+v", none)
	}

	// "XCLIENT HELO=… LOGIN=…" and CRLF, to the octet.
	most := MaxCommandLine - len("XCLIENT HELO= LOGIN=\r\n") - 255
	for n, want := range map[int]int{most: 1, most + 1: 2} {
		if got := len((XClient{Helo: long, Login: long[:n]}).Split()); got != want {
			t.Errorf("a command of %d octets is split in %d", MaxCommandLine+n-most, got)
		}
	}

	f := XForward{Name: long, Addr: "192.0.2.1", Helo: long, Ident: long, Source: "LOCAL"}
	var merged XForward
	for i, part := range f.Split() {
		if line := AppendXForward(nil, part); len(line) > MaxCommandLine {
			t.Errorf("part %d has %d octets", i, len(line))
		}
		merged = merged.Merge(part)
	}
	if merged != f {
		t.Errorf("%+v", merged)
	}
	if got := f.Merge(XForward{Ident: "later"}); got.Ident != "later" || got.Name != long || f.Ident != long {
		t.Errorf("%+v", got)
	}
}

func TestAddrPort(t *testing.T) {
	tests := []struct {
		addr, port string
		want       string // "" when there is no address
	}{
		{"192.0.2.1", "25", "192.0.2.1:25"},
		{"2001:db8::1", XUnavailable, "[2001:db8::1]:0"},
		{"::ffff:192.0.2.1", "", "192.0.2.1:0"}, // a list of networks must match it as IPv4
		{"192.0.2.1", "65535", "192.0.2.1:65535"},
		{"192.0.2.1", "70000", "192.0.2.1:0"},
		{"192.0.2.1", "000025", "192.0.2.1:0"},
		{XUnavailable, "25", ""},
		{"", "25", ""},
		{"fe80::1%eth0", "25", ""},
	}
	for _, test := range tests {
		want, _ := netip.ParseAddrPort(test.want)
		c := XClient{Addr: test.addr, Port: test.port, DestAddr: test.addr, DestPort: test.port}
		client, ok1 := c.AddrPort()
		dest, ok2 := c.DestAddrPort()
		forward, ok3 := XForward{Addr: test.addr, Port: test.port}.AddrPort()
		ok := test.want != ""
		if client != want || dest != want || forward != want || ok1 != ok || ok2 != ok || ok3 != ok {
			t.Errorf("%q %q: %v %v, %v %v, %v %v", test.addr, test.port, client, ok1, dest, ok2, forward, ok3)
		}
	}
}
