package smtp

import (
	"bytes"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// checkLine fails when a command line has any control character but its CRLF.
func checkLine(t *testing.T, line []byte) {
	t.Helper()
	s, ok := strings.CutSuffix(string(line), "\r\n")
	if !ok || !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r >= 0x7f && r < 0xa0 }) {
		t.Errorf("line %q", line)
	}
}

func FuzzMailbox(f *testing.F) {
	for _, s := range []string{
		"a@b", "a.b+c@d-e.example", `""@b`, `"a b\"\\>"@b`, "a@[192.0.2.1]", "a@[IPv6:2001:db8::1]", "a@[x:y]",
		"ü@bücher.example", "a@xn--bcher-kva.example", "a@b.", "a..b@c", "a\r\n@b", strings.Repeat("x", 64) + "@y",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m, err := ParseMailbox(s)
		if err != nil {
			if e := err.(*SyntaxError); e.Offset < 0 || e.Offset > len(s) || e.Reason == "" {
				t.Errorf("%+v", e)
			}
			checkLine(t, err.(*SyntaxError).Reply().AppendTo(nil))
			// Whatever a caller puts into the fields stays in its line.
			local, domain, _ := strings.Cut(s, "@")
			m = Mailbox{local, domain}
			checkLine(t, append(m.AppendTo(nil), "\r\n"...))
			if m.Validate() == nil {
				if again, err := ParseMailbox(m.String()); err != nil || again != m {
					t.Errorf("%+v is valid but reads %+v, %v", m, again, err)
				}
			}
			return
		}
		if err := m.Validate(); err != nil {
			t.Errorf("%q: %v", s, err)
		}
		written := m.String()
		checkLine(t, []byte(written+"\r\n"))
		if again, err := ParseMailbox(written); err != nil || again != m {
			t.Errorf("%q is written %q, which reads %+v, %v", s, written, again, err)
		}
		if !m.Equal(m) {
			t.Errorf("%q is not equal to itself", s)
		}
		if a, err := m.ToASCII(); err == nil {
			if err := a.Validate(); !a.IsASCII() || err != nil && len(a.String()) <= maxMailbox {
				t.Errorf("%q in ASCII is %q: %v", s, a, err)
			}
			if !a.Equal(m) || !m.Equal(a) {
				t.Errorf("%q is not equal to %q", a, m)
			}
		} else if isASCII(m.Local) {
			t.Errorf("%q: %v", s, err)
		}
		if u, err := m.ToUnicode(); err == nil && u != m {
			if err := u.Validate(); err != nil && len(u.String()) <= maxMailbox {
				t.Errorf("%q in Unicode is %q: %v", s, u, err)
			}
			if !u.Equal(m) {
				t.Errorf("%q is not equal to %q", u, m)
			}
		}
	})
}

func FuzzPath(f *testing.F) {
	for _, s := range []string{
		"<>", "<a@b>", "<@x,@y:a@b>", "<postmaster>", "PostMaster", "a@b", `<"a>b"@c>`, "<a@[x:>]>", "<@x:>", "<a@b", "<a@b>x",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if p, err := ParseReversePath(s); err == nil {
			written := p.String()
			checkLine(t, append(p.AppendTo(nil), "\r\n"...))
			if again, err := ParseReversePath(written); err != nil || again != p || len(written) > MaxPath {
				t.Errorf("%q is written %q, which reads %v, %v", s, written, again, err)
			}
			if err := p.Validate(); err != nil {
				t.Errorf("%q: %v", s, err)
			}
		}
		if p, err := ParseForwardPath(s); err == nil {
			written := p.String()
			checkLine(t, append(p.AppendTo(nil), "\r\n"...))
			if again, err := ParseForwardPath(written); err != nil || again != p || len(written) > MaxPath {
				t.Errorf("%q is written %q, which reads %v, %v", s, written, again, err)
			}
			if err := p.Validate(); err != nil {
				t.Errorf("%q: %v", s, err)
			}
		}
		ParseDomain(s)
		if ParseHello(s) == nil {
			checkLine(t, []byte("EHLO "+s+"\r\n"))
		}
	})
}

func FuzzCommand(f *testing.F) {
	for _, v := range allVerbs {
		f.Add([]byte(strings.ToLower(string(v)) + " an argument "))
	}
	f.Add([]byte("BDAT 10 LAST"))
	f.Add([]byte("\x00NOOP"))
	f.Fuzz(func(t *testing.T, line []byte) {
		before := bytes.Clone(line)
		v, arg, ok := ParseVerb(line)
		word, arg2 := CutVerb(line)
		want := Verb("")
		if i := slices.IndexFunc(allVerbs, func(v Verb) bool { return equalFold(string(v), string(word)) }); i >= 0 {
			want = allVerbs[i]
		}
		if v != want || ok != (want != "") || !bytes.Equal(arg, arg2) || !bytes.HasPrefix(line, word) {
			t.Errorf("ParseVerb(%q) = %q, %q, %v, want %q, %q", line, v, arg, ok, want, arg2)
		}
		if !bytes.Equal(arg, bytes.Trim(arg, " \t")) || !bytes.Equal(line, before) {
			t.Errorf("ParseVerb(%q): argument %q", before, arg)
		}
		if size, last, err := ParseBdat(arg); err == nil {
			written := AppendBdat(nil, size, last)
			checkLine(t, written)
			_, arg, _ := ParseVerb(bytes.TrimSuffix(written, []byte("\r\n")))
			if size2, last2, err := ParseBdat(arg); size2 != size || last2 != last || err != nil {
				t.Errorf("%q is written %q", arg, written)
			}
		}
	})
}

func FuzzMailArg(f *testing.F) {
	for _, s := range []string{
		"FROM:<>", "FROM: <a@b>", "FROM:<a@b> SIZE=3 BODY=8BITMIME SMTPUTF8 AUTH=<> RET=HDRS ENVID=a+20b",
		"FROM:<a@b> BODY=BINARYMIME", "FROM:<ü@b> SMTPUTF8", "FROM:<a@b> OWN=ü", "FROM:<a@b> OWN", "FROM:<a@b>X", "FROM:<a@b> SIZE=1 SIZE=2",
		"FROM:<a@b> AUTH=e+3Dmc2@example.com",
		"FROM:<a@b> BY=-120;NT REQUIRETLS MT-PRIORITY=-3 HOLDFOR=999999999 SOLICIT=org.example:ADV,a PRDR", "FROM:<a@b> BY=+1;R",
		"FROM:<a@b> HOLDUNTIL=2030-02-28T23:59:59.5Z", "FROM:<> HOLDUNTIL=2016-12-31t23:59:60-00:00", "FROM:<> BY=5;N HOLDFOR=5",
	} {
		f.Add(s)
	}
	own := &Extension{Keyword: "OWN", Mail: []MailParam{{Name: "OWN"}}}
	offers := every()
	offers["OWN"] = ""
	f.Fuzz(func(t *testing.T, arg string) {
		var p MailParams
		from, err := ParseMail(arg, offers, &p, own)
		if err != nil {
			if e := err.(*SyntaxError); e.Offset < 0 || e.Offset > len(arg) || e.Reason == "" || e.Code != 501 && e.Code != 555 && e.Code != 550 {
				t.Errorf("%+v", e)
			}
			p = MailParams{Size: int64(len(arg)), Body: BodyType(arg), Auth: arg, Ret: Ret(arg), EnvID: arg, Solicit: arg, Other: []Param{{arg, "x"}, {"X", arg}}}
			p.By = DeliverBy{Within: time.Duration(len(arg)) * time.Second, Mode: DeliverMode((arg + "R")[0]), Trace: true}
			p.Hold.Until = time.Unix(int64(len(arg))<<40, 1)
			checkLine(t, AppendMail(nil, ReversePath{Mailbox{arg, arg}}, &p))
			return
		}
		// RFC 4865 §5.2 lets a server take what a client must not send.
		if err := p.Validate(); err != nil && (p.Hold.For != p.By.Within || p.Hold.For == 0) {
			t.Errorf("%q: %v", arg, err)
		}
		if err := offers.CheckMail(&p, own); err != nil {
			t.Errorf("%q: %v", arg, err)
		}
		line := AppendMail(nil, from, &p, own)
		checkLine(t, line)
		v, rest, ok := ParseVerb(bytes.TrimSuffix(line, []byte("\r\n")))
		var again MailParams
		if from2, err := ParseMail(string(rest), offers, &again, own); v != MAIL || !ok || err != nil || from2 != from || !reflect.DeepEqual(again, p) {
			t.Errorf("%q is written %q, which reads %v %+v, %v", arg, line, from2, again, err)
		}
		ParseMail(arg, nil, &p)
	})
}

func FuzzRcptArg(f *testing.F) {
	for _, s := range []string{
		"TO:<a@b>", "TO: <Postmaster>", "TO:<a@b> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a+2Bb@c", "TO:<a@b> NOTIFY=NEVER",
		`TO:<a@b> ORCPT=utf-8;ü\x{FC}+x`, "TO:<a@b> ORCPT=rfc822;", "TO:<ü@b> OWN=ü",
		"TO:<a@b> RRVS=2014-04-03T23:01:00Z", "TO:<a@b> RRVS=1990-12-31T15:59:60-08:00;c NOTIFY=NEVER", "TO:<a@b> RRVS=0000-01-01T00:00:00.1+23:59;R",
	} {
		f.Add(s)
	}
	own := &Extension{Keyword: "OWN", Rcpt: []RcptParam{{Name: "OWN"}}}
	offers := every()
	offers["OWN"] = ""
	f.Fuzz(func(t *testing.T, arg string) {
		var p RcptParams
		to, err := ParseRcpt(arg, offers, &p, own)
		if err != nil {
			if e := err.(*SyntaxError); e.Offset < 0 || e.Offset > len(arg) || e.Reason == "" || e.Code != 501 && e.Code != 555 {
				t.Errorf("%+v", e)
			}
			p = RcptParams{Notify: Notify(len(arg)), ORcpt: ORcpt{arg, arg}, Other: []Param{{arg, "x"}, {"X", arg}}}
			checkLine(t, AppendRcpt(nil, ForwardPath{Mailbox{arg, arg}}, &p))
			p.ORcpt.Type = "utf-8"
			p.RRVS = &RRVS{Since: time.Unix(int64(len(arg))<<40, 1), Action: RRVSAction(len(arg))}
			checkLine(t, AppendRcpt(nil, ForwardPath{Mailbox{arg, "[" + arg + "]"}}, &p))
			return
		}
		// Decoding a value that was encoded at length may leave it too long to encode.
		if err := p.Validate(); err != nil && err.(*SyntaxError).Reason != "ORCPT is longer than 500 octets" {
			t.Errorf("%q: %v", arg, err)
		}
		line := AppendRcpt(nil, to, &p, own)
		checkLine(t, line)
		if p.Validate() != nil {
			return
		}
		v, rest, ok := ParseVerb(bytes.TrimSuffix(line, []byte("\r\n")))
		var again RcptParams
		if to2, err := ParseRcpt(string(rest), offers, &again, own); v != RCPT || !ok || err != nil || to2 != to || !reflect.DeepEqual(again, p) {
			t.Errorf("%q is written %q, which reads %v %+v, %v", arg, line, to2, again, err)
		}
		ParseRcpt(arg, nil, &p)
	})
}

func FuzzEtrn(f *testing.F) {
	for _, s := range []string{"sigurd.innosoft.com", "@foo.com", "#uucp", "localname", "@", "#", "", "a.b\r\nRSET", "@ü.example", "#a b", strings.Repeat("a.", 127) + "a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, arg string) {
		e, err := ParseEtrn(arg)
		if err != nil {
			if e := err.(*SyntaxError); e.Offset < 0 || e.Offset > len(arg) || e.Reason == "" || e.Code != 501 {
				t.Errorf("%+v", e)
			}
			e = Etrn{Kind: EtrnKind(len(arg)), Name: arg}
			if line := AppendEtrn(nil, e); len(line) > 0 {
				checkLine(t, line)
			}
			return
		}
		line := AppendEtrn(nil, e)
		checkLine(t, line)
		if e.String() != arg || string(line) != "ETRN "+arg+"\r\n" || len(line) > MaxCommandLine || e.Validate() != nil {
			t.Errorf("%q is %+v, written %q", arg, e, line)
		}
	})
}

func FuzzXClient(f *testing.F) {
	for _, s := range []string{
		"NAME=spike.porcupine.org ADDR=168.100.189.2", "addr=ipv6:2001:DB8::1 port=00025 proto=smtp login=j+C3+BCrgen",
		"NAME=[TEMPUNAVAIL] ADDR=[UNAVAILABLE] DESTADDR=IPV6:::ffff:192.0.2.1 DESTPORT=65535", "HELO=[192.0.2.1]", "HELO=a+2", "PORT=1 PORT=1", "",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, arg string) {
		x, err := ParseXClient(arg)
		if err != nil {
			checkAttributeError(t, arg, err)
			x = XClient{arg, arg, arg, arg, arg, arg, arg, arg}
			if line := AppendXClient(nil, x); len(line) > 0 {
				checkLine(t, line)
			}
			x.AddrPort()
			return
		}
		if err := x.Validate(); err != nil && !strings.HasSuffix(err.Error(), "longer than 255 octets") {
			t.Errorf("%q: %v", arg, err)
		}
		if addr, ok := x.AddrPort(); ok != (x.Addr != "" && x.Addr != XUnavailable) || ok && addr.Addr().Zone() != "" {
			t.Errorf("%q: %v, %v", arg, addr, ok)
		}
		var again XClient
		for _, part := range x.Split() {
			line := AppendXClient(nil, part)
			checkLine(t, line)
			v, rest, ok := ParseVerb(bytes.TrimSuffix(line, []byte("\r\n")))
			got, err := ParseXClient(string(rest))
			if v != XCLIENT || !ok || err != nil || got != part || len(line) > MaxCommandLine {
				t.Errorf("%q is written %q, which reads %+v, %v", arg, line, got, err)
			}
			to := again.attributes()
			for i, a := range got.attributes() {
				*to[i].value += *a.value
			}
		}
		if again != x && x.Validate() == nil || x.Kept("") != (XClient{}) || x.Kept("NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT") != x {
			t.Errorf("%q is %+v, after a split %+v", arg, x, again)
		}
	})
}

func FuzzXForward(f *testing.F) {
	for _, s := range []string{
		"NAME=spike.porcupine.org ADDR=168.100.189.2 PROTO=ESMTP", "HELO=spike IDENT=3CF6B2AAE8 SOURCE=local", "source=[unavailable] addr=IPV6:::1",
		"NAME=a(b", "IDENT=a+0Ab", "PORT=65536", "COLOUR=blue",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, arg string) {
		x, err := ParseXForward(arg)
		if err != nil {
			checkAttributeError(t, arg, err)
			x = XForward{arg, arg, arg, arg, arg, arg, arg}
			if line := AppendXForward(nil, x); len(line) > 0 {
				checkLine(t, line)
			}
			return
		}
		if err := x.Validate(); err != nil && !strings.HasSuffix(err.Error(), "longer than 255 octets") {
			t.Errorf("%q: %v", arg, err)
		}
		var again XForward
		for _, part := range x.Split() {
			line := AppendXForward(nil, part)
			checkLine(t, line)
			v, rest, ok := ParseVerb(bytes.TrimSuffix(line, []byte("\r\n")))
			got, err := ParseXForward(string(rest))
			if v != XFORWARD || !ok || err != nil || got != part || len(line) > MaxCommandLine {
				t.Errorf("%q is written %q, which reads %+v, %v", arg, line, got, err)
			}
			again = again.Merge(got)
		}
		if again != x && x.Validate() == nil || x.Kept("NAME ADDR PORT PROTO HELO IDENT SOURCE") != x {
			t.Errorf("%q is %+v, after a split %+v", arg, x, again)
		}
	})
}

func checkAttributeError(t *testing.T, arg string, err error) {
	t.Helper()
	if e := err.(*SyntaxError); e.Offset < 0 || e.Offset > len(arg) || e.Reason == "" || e.Code != 501 || e.Enhanced != Enh(5, 4) {
		t.Errorf("%q: %+v", arg, e)
	}
	checkLine(t, err.(*SyntaxError).Reply().AppendTo(nil))
}

func FuzzReply(f *testing.F) {
	for _, s := range []string{
		"250 OK\r\n", "250", "250-a\r\n250-\r\n250 b\r\n", "550-5.1.1 a\r\n550 5.1.1 b", "550 4.2.1 x", "354 3.0.0 go",
		"550 " + strings.Repeat("long ", 200), "550 " + strings.Repeat("x", 506) + " ", "550 \x00\x7f\xff\u0085\t", "250 a\n250 b", "550 5.1.1",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		checkReply(t, Reply{Code: len(raw), Enhanced: Enh(len(raw)%8, 1), Text: raw})
		r, err := ParseReply(raw)
		if err != nil {
			if !r.IsZero() {
				t.Errorf("%q: %+v beside %v", raw, r, err)
			}
			return
		}
		first := checkReply(t, r)
		again, err := ParseReply(first)
		if err != nil || again.Code != r.Code || again.Enhanced != r.Enhanced {
			t.Fatalf("%q is written %q, which reads %+v, %v", raw, first, again, err)
		}
		folded := slices.ContainsFunc(strings.Split(r.Text, "\n"), func(line string) bool {
			return len(line) > MaxReplyLine-len("250 2.999.999 \r\n")
		})
		if safe := string(appendSafe(nil, strings.ReplaceAll(r.Text, "\n", "\v"))); !folded && strings.ReplaceAll(again.Text, "\n", "?") != safe {
			t.Errorf("%q is written %q: text %q, want %q", raw, first, again.Text, safe)
		}
		if second := string(again.AppendTo(nil)); !folded && second != first {
			t.Errorf("%q is written %q, then %q", raw, first, second)
		}
		if strings.ContainsFunc(r.String()+r.EnhancedString(), func(c rune) bool { return c != '\t' && c < 0x20 || c >= 0x7f && c < 0xa0 }) {
			t.Errorf("%q", r)
		}
		r.ClassMismatch()
	})
}

// checkReply returns what r is written as, after looking at each line of it.
func checkReply(t *testing.T, r Reply) string {
	t.Helper()
	written := string(r.AppendTo(nil))
	lines := strings.SplitAfter(written, "\r\n")
	for i, line := range lines[:len(lines)-1] {
		checkLine(t, []byte(strings.ReplaceAll(line, "\t", " ")))
		if len(line) > MaxReplyLine || line[:3] != lines[0][:3] || line[3] == '-' != (i < len(lines)-2) {
			t.Errorf("line %d of %q", i, written)
		}
	}
	if lines[len(lines)-1] != "" {
		t.Errorf("%q", written)
	}
	return written
}

func FuzzXtext(f *testing.F) {
	for _, s := range []string{"", "a+3Db", "+", "a=b", "\x00", "ü", `\x{FC}`, `\x{0}`, "a+b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		encoded := AppendXtext(nil, s)
		checkLine(t, append(slices.Clone(encoded), "\r\n"...))
		if got, err := DecodeXtext(string(encoded)); err != nil || got != s || len(encoded) != xtextLen(s) {
			t.Errorf("%q is encoded %q, decoded %q, %v", s, encoded, got, err)
		}
		if plain, err := DecodeXtext(s); err == nil {
			if got, err := DecodeXtext(string(AppendXtext(nil, plain))); err != nil || got != plain {
				t.Errorf("%q: %q, %v", plain, got, err)
			}
		}
		checkLine(t, append(AppendUnitext(nil, s), "\r\n"...))
		if plain, i, why := unitext(s); why == "" {
			encoded := string(AppendUnitext(nil, plain))
			if got, _, why := unitext(encoded); got != plain || why != "" {
				t.Errorf("%q is encoded %q, decoded %q: %s", plain, encoded, got, why)
			}
		} else if i < 0 || i >= len(s) {
			t.Errorf("%q: offset %d: %s", s, i, why)
		}
	})
}

func FuzzOffers(f *testing.F) {
	f.Add("PIPELINING\nSIZE 1000\n8BITMIME\nAUTH PLAIN\nAUTH=LOGIN")
	f.Add("size  1 \n SIZE\nX=Y\nAUTH=\nAUTH")
	f.Add("LIMITS MAILMAX=5 RCPTMAX=20 RCPTDOMAINMAX=999999 X=1\nDELIVERBY 240,x\nNO-SOLICITING a:b,c")
	f.Add("FUTURERELEASE 999999999 2030-01-01T00:00:00Z\nLIMITS MAILMAX=0 mailmax=9 RCPTMAX=1000000\nDELIVERBY 9999999999")
	f.Fuzz(func(t *testing.T, reply string) {
		o := ParseOffers(strings.Split(reply, "\n"))
		var lines []string
		for k, param := range o {
			line := strings.TrimRight(string(k)+" "+param, " ")
			checkLine(t, []byte(line+"\r\n"))
			lines = append(lines, line)
		}
		if again := ParseOffers(lines); !maps.Equal(again, o) {
			t.Errorf("%q reads %q, then %q", reply, o, again)
		}
		if size, ok := o.MaxSize(); size < 0 || ok != o.Has(ExtSize) {
			t.Errorf("%q: size %d, %v", reply, size, ok)
		}
		l := o.Limits()
		if again := (Offers{ExtLimits: l.String()}).Limits(); again != l || min(l.MailMax, l.RcptMax, l.RcptDomainMax) < 0 || max(l.MailMax, l.RcptMax, l.RcptDomainMax) > 999999 {
			t.Errorf("%q: limits %+v, then %+v", reply, l, again)
		}
		if min, ok := o.DeliverByMin(); min < 0 || min > maxDelta*time.Second || ok != o.Has(ExtDeliverBy) {
			t.Errorf("%q: DELIVERBY %v, %v", reply, min, ok)
		}
		interval, date, ok := o.FutureRelease()
		if interval < 0 || interval > maxDelta*time.Second || date.Nanosecond() != 0 || ok != o.Has(ExtFutureRelease) {
			t.Errorf("%q: FUTURERELEASE %v, %v, %v", reply, interval, date, ok)
		}
		classes, ok := o.NoSoliciting()
		if list := strings.Join(classes, ","); list != "" && list != o[ExtNoSoliciting] || ok != o.Has(ExtNoSoliciting) {
			t.Errorf("%q: NO-SOLICITING %q, %v", reply, classes, ok)
		}
		for _, name := range o.AuthMechanisms() {
			if name == "" || name != strings.ToUpper(name) {
				t.Errorf("%q: mechanism %q", reply, name)
			}
		}
	})
}

func FuzzExaminer(f *testing.F) {
	for _, test := range examinerTests {
		f.Add([]byte(test.text), 7)
	}
	f.Fuzz(func(t *testing.T, text []byte, seed int) {
		want := slowKind(string(text))
		var whole, pieces Examiner
		whole.Write(text)
		for rest, n := text, uint(seed); len(rest) > 0; n = n*1103515245 + 12345 {
			size := min(int(n>>16%97), len(rest))
			pieces.Write(rest[:size])
			rest = rest[size:]
			if size == 0 {
				pieces.Write(rest[:1])
				rest = rest[1:]
			}
		}
		if whole.Kind() != want || pieces.Kind() != want {
			t.Errorf("%q: whole %07b, in pieces %07b, want %07b", text, whole.Kind(), pieces.Kind(), want)
		}
	})
}

// What is an ordinary path is the same path by the productions of the grammar.
func FuzzOrdinaryPath(f *testing.F) {
	for _, s := range []string{
		"<a@b>", "<a.b@c.d>", "<.a@b>", "<a.@b>", "<a..b@c>", "<@b>", "<a@>", "<a@.b>", "<a@b.>", "<a@b..c>", "<a@-b>", "<a@b->", "<a@b-.c>",
		"<a@[192.0.2.1]>", "<a@b", "<a", "<", "a@b>", "<a@b_c>", "<a@b\x00>", "<a b@c>", "<\"a\"@b>", "<@a:b@c>", "<ü@b>", "<a@ü>", "<a@b>x",
		"<" + strings.Repeat("a", 64) + "@b>", "<" + strings.Repeat("a", 65) + "@b>",
		"<a@" + strings.Repeat("b", 63) + ">", "<a@" + strings.Repeat("b", 64) + ">",
		"<a@" + strings.Repeat("b.", 125) + "b>", "<a@" + strings.Repeat("b.", 126) + "b>", "<a@" + strings.Repeat("b.", 127) + "bb>",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m, end, ok := ordinaryPath(s, 0)
		want, wantEnd, why := anyPath(s, 0)
		if ok && (why != "" || m != want || end != wantEnd) {
			t.Fatalf("%q: %+v to %d, by the grammar %+v to %d: %s", s, m, end, want, wantEnd, why)
		}
		plain := why == "" && isASCII(s[:wantEnd]) && !strings.ContainsAny(s[:wantEnd], "\"[:")
		if plain && !ok {
			t.Fatalf("%q is ordinary", s)
		}
	})
}
