// Sign signs a message with DKIM. The first time it makes the keys, and shows
// the records to be put into the DNS:
//
//	go run ./examples/sign -domain example.org -rsa 2026r=rsa.pem -ed25519 2026e=ed25519.pem \
//		-file message.eml >signed.eml
//
// A key is given as its selector and the file that keeps it. A file that is
// missing is made. Records are written in the form of a zone file: to standard
// error when a key is made, and to standard output with -record.
//
// The exit code is 0 if the message was signed, 64 if the command line was wrong,
// 65 if the message cannot be signed, and 1 if something else failed.
package main

import (
	"bytes"
	"crypto"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/postrider/postrider/auth/dkim"
	"github.com/postrider/postrider/smtp"
)

// Exit codes, as sysexits.h has them.
const (
	exitUsage   = 64
	exitMessage = 65 // EX_DATAERR
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// keyFile is where a key is kept.
type keyFile struct {
	selector, file string
	kind           dkim.KeyType // if it is to be made
}

// run is the program as a function that a test can call.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var keys []keyFile
	key := func(kind dkim.KeyType) func(string) error {
		return func(s string) error {
			selector, file, ok := strings.Cut(s, "=")
			if !ok {
				return errors.New("it is not selector=file")
			}
			keys = append(keys, keyFile{selector, file, kind})
			return nil
		}
	}
	flags := flag.NewFlagSet("sign", flag.ContinueOnError)
	flags.SetOutput(stderr)
	domain := flags.String("domain", "", "`domain` that signs")
	flags.Func("rsa", "`selector=file` of a key, which is an RSA key if it has to be made; may be given several times", key(dkim.RSA))
	flags.Func("ed25519", "`selector=file` of a key, which is an Ed25519 key if it has to be made; may be given several times", key(dkim.Ed25519))
	identity := flags.String("identity", "", "`address` on whose behalf the domain signs; without it nobody's")
	lifetime := flags.Duration("lifetime", 0, "`time` for which the signatures are valid; 0 means for ever")
	name := flags.String("file", "-", "`file` that holds the message, header and body; - is standard input")
	crlf := flags.Bool("crlf", false, "turn line ends that are LF into CRLF")
	record := flags.Bool("record", false, "show the records and sign nothing")
	if err := flags.Parse(args); err == flag.ErrHelp {
		return 0
	} else if err != nil {
		return exitUsage
	}
	fail := func(code int, err error) int {
		fmt.Fprintln(stderr, "sign:", err)
		return code
	}
	if *domain == "" || len(keys) == 0 || flags.NArg() > 0 {
		return fail(exitUsage, errors.New("-domain and -rsa or -ed25519 are needed, and there are flags only; see -help"))
	}

	var signers []*dkim.Signer
	for _, k := range keys {
		s := &dkim.Signer{Domain: *domain, Selector: k.selector, Identity: *identity, Lifetime: *lifetime}
		at, err := s.RecordName()
		if err != nil {
			return fail(exitUsage, err)
		}
		made := false
		if s.Key, made, err = k.get(); err != nil {
			return fail(1, err)
		}
		text, err := dkim.Record(s.Key)
		if err != nil {
			return fail(1, err)
		}
		if *record {
			fmt.Fprint(stdout, dkim.MasterFile(at, text))
		} else if made {
			fmt.Fprint(stderr, dkim.MasterFile(at, text))
		}
		signers = append(signers, s)
	}
	if *record {
		return 0
	}
	if _, err := dkim.BeginSigning(signers...); err != nil { // it says what is wrong with them
		return fail(exitUsage, err)
	}
	message, err := content(*name, *crlf, stdin)
	if err != nil {
		return fail(1, err)
	}
	signed, err := dkim.Sign(message, signers...)
	if err != nil {
		return fail(exitMessage, err)
	}
	r, err := signed.Open()
	if err == nil {
		defer r.Close()
		if _, err = io.Copy(stdout, r); err == nil {
			return 0
		}
	}
	return fail(1, err)
}

// get reads the key, or makes it if there is no such file.
func (k keyFile) get() (key crypto.Signer, made bool, err error) {
	text, err := os.ReadFile(k.file)
	if err == nil {
		key, err = dkim.ParsePrivateKey(text)
	} else if errors.Is(err, fs.ErrNotExist) {
		if key, err = dkim.GenerateKey(k.kind, 0); err == nil {
			text, err = dkim.MarshalPrivateKey(key)
		}
		if err == nil {
			made, err = true, os.WriteFile(k.file, text, 0o600)
		}
	}
	return key, made, err
}

// content returns the message. A file is read twice, and never held. Standard
// input is: the signature stands before what it signs.
func content(name string, crlf bool, stdin io.Reader) (smtp.Content, error) {
	if name != "-" && !crlf {
		return smtp.FileContent(name)
	}
	text, err := os.ReadFile(name)
	if name == "-" {
		text, err = io.ReadAll(stdin)
	}
	if crlf {
		text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
		text = bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n"))
	}
	return smtp.BytesContent(text), err
}
