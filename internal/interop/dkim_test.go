//go:build interop

package interop

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/postrider/postrider/auth/authres"
	"github.com/postrider/postrider/auth/dkim"
)

// shapes are the messages that signatures have to survive.
var shapes = map[string]string{
	"plain":         header("dkim", "7bit") + "One line.\r\n",
	"empty-body":    header("dkim", "7bit"),
	"empty-lines":   header("dkim", "7bit") + "\r\n\r\nx\r\n\r\n\r\n",
	"no-line-end":   header("dkim", "7bit") + "the last line",
	"blanks":        header("dkim", "7bit") + "a \t b  \r\n\t\r\n  \r\nc\td\r\n \r\n",
	"eight-bits":    header("dkim Grüße", "8bit") + "Grüße, привет\r\n\xff\xfe\r\n",
	"long-lines":    header("dkim", "8bit") + strings.Repeat("y ", 20000) + "\r\n" + strings.Repeat("z", 20000) + "\r\n",
	"folded":        "From:\r\n Ann\r\n\t<ann@example.org>  \r\nSubject:\r\n\ta  b \r\n\r\nx\r\n",
	"list":          "List-Id: <a.example>\r\nList-Unsubscribe: <https://a.example/u>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" + header("dkim", "7bit") + "x\r\n",
	"several-lines": "Received: a\r\nReceived: b\r\nTo: a@example.net\r\nTo: b@example.net\r\nFrom: a@example.org\r\n\r\nx\r\n",
}

var canonicalizations = []dkim.Canonicalization{dkim.Relaxed, dkim.Simple}

// What we sign is verified by dkimpy and OpenDKIM.
func TestDKIMTheyVerify(t *testing.T) {
	rsa, ed := newSigningKeys(t)
	r := newAuthRoot(t, rsa, ed)
	var names []string
	var messages [][]byte
	var tasks []pyTask
	add := func(name, text string, signers ...*dkim.Signer) {
		fields, err := dkim.Signatures(strings.NewReader(text), signers...)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		message := append(fields, text...)
		names, messages = append(names, name), append(messages, message)
		tasks = append(tasks, pyTask{Do: "verify", Message: message, Signatures: len(signers)})
	}
	for name, text := range shapes {
		for _, key := range []signingKey{rsa, ed} {
			for _, header := range canonicalizations {
				for _, body := range canonicalizations {
					s := key.signer()
					s.Header, s.Body = header, body
					add(fmt.Sprintf("%s/%s/%v-%v", name, key.selector, header, body), text, s)
				}
			}
		}
		add(name+"/both", text, rsa.signer(), ed.signer())
	}
	all := rsa.signer()
	all.Identity, all.Lifetime, all.Oversign = "a=b@mail.example.org", 1<<40, []string{"From", "X-Nothing", "List-Id"}
	add("options", shapes["plain"], all)
	changed := len(messages)
	for i := range changed { // for each message one that is not what was signed
		names = append(names, names[i]+"/changed")
		message := bytes.Replace(messages[i], []byte("\r\nFrom:"), []byte("\r\nFrom: x"), 1)
		messages = append(messages, message)
		tasks = append(tasks, pyTask{Do: "verify", Message: message, Signatures: tasks[i].Signatures})
	}

	opendkim := startOpenDKIM(t, r, "Mode v\n")
	for i, result := range dkimpy(t, r, tasks) {
		want := slices.Repeat([]string{"pass"}, tasks[i].Signatures)
		if i >= changed {
			want = slices.Repeat([]string{"fail"}, tasks[i].Signatures)
		}
		if !slices.Equal(result.Verdicts, want) {
			t.Errorf("%s: dkimpy says %q, want %q\n%s", names[i], result.Verdicts, want, messages[i])
		}
		if !bytes.HasSuffix(messages[i], []byte("\r\n")) {
			messages[i] = append(messages[i], "\r\n"...) // as a mail server would have got it
		}
		if got := opendkimVerify(t, opendkim, messages[i]); !slices.Equal(got, want) {
			t.Errorf("%s: OpenDKIM says %q, want %q\n%s", names[i], got, want, messages[i])
		}
	}
}

// What dkimpy and OpenDKIM sign is verified by us.
func TestDKIMWeVerify(t *testing.T) {
	rsa, ed := newSigningKeys(t)
	r := newAuthRoot(t, rsa, ed)
	verifier := &dkim.Verifier{Resolver: keyZone(t, rsa, ed)}
	check := func(name, prefix, text string, key signingKey) {
		t.Helper()
		for changed, want := range map[string]authres.Verdict{text: authres.Pass, strings.Replace(text, "From:", "From: x", 1): authres.Fail} {
			message := prefix + changed
			results, err := verifier.Verify(t.Context(), strings.NewReader(message))
			if err != nil || len(results) != 1 || results[0].Verdict != want || results[0].Selector != key.selector || results[0].Algorithm != key.algorithm {
				t.Errorf("%s: %+v, %v; want %s\n%s", name, results, err, want, message)
			}
		}
	}
	var tasks []pyTask
	var done []func(pyResult)
	for _, key := range []signingKey{rsa, ed} {
		r.write(t, "etc/"+key.selector+".pem", key.pem(t), 0o600)
		for _, header := range canonicalizations {
			for _, body := range canonicalizations {
				opendkim := startOpenDKIM(t, r, fmt.Sprintf("Mode s\nDomain %s\nSelector %s\nKeyFile /etc/%[2]s.pem\nSignatureAlgorithm %s\n"+
					"Canonicalization %v/%v\nOversignHeaders From,To\n", signingDomain, key.selector, key.algorithm, header, body))
				for name, text := range shapes {
					name := fmt.Sprintf("%s/%s/%v-%v", name, key.selector, header, body)
					tasks = append(tasks, pyTask{Do: "sign", Message: []byte(text), Selector: key.selector, Domain: signingDomain, Key: key.text(t),
						Algorithm: key.algorithm, Header: header.String(), Body: body.String()})
					done = append(done, func(result pyResult) { check("dkimpy/"+name, result.Prefix, text, key) })
					if key.selector == ed.selector && header == dkim.Simple {
						continue // nobody verifies what OpenDKIM signs so, OpenDKIM neither
					}
					text := text
					if !strings.HasSuffix(text, "\r\n") {
						text += "\r\n"
					}
					var prefix string
					for _, e := range askMilter(t, opendkim, []byte(text)) {
						prefix += e.String()
					}
					check("opendkim/"+name, prefix, text, key)
				}
			}
		}
	}
	for i, result := range dkimpy(t, r, tasks) {
		done[i](result)
	}
}
