package smtp

import (
	"bytes"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
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
			p = MailParams{Size: int64(len(arg)), Body: BodyType(arg), Auth: arg, Ret: Ret(arg), EnvID: arg, Other: []Param{{arg, "x"}, {"X", arg}}}
			checkLine(t, AppendMail(nil, ReversePath{Mailbox{arg, arg}}, &p))
			return
		}
		if err := p.Validate(); err != nil {
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
		checkLine(t, append(appendUnitext(nil, s), "\r\n"...))
		if plain, i, why := unitext(s); why == "" {
			encoded := string(appendUnitext(nil, plain))
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
