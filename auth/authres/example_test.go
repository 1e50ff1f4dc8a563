package authres_test

import (
	"fmt"
	"io"
	"net/netip"
	"strings"

	"github.com/postrider/postrider/auth/authres"
)

func ExampleVerdict() {
	var v authres.Verdict
	fmt.Println(v == "", authres.Pass, authres.TempError)
	// Output: true pass temperror
}

func ExampleField() {
	f := authres.Field{AuthServID: "mx.example.org", Results: []authres.Result{{Method: "iprev", Verdict: authres.Pass}}}
	fmt.Print(strings.ReplaceAll(f.String(), "\r\n", "\n"))
	// Output:
	// Authentication-Results: mx.example.org;
	// 	iprev=pass
}

func ExampleResult() {
	r := authres.Result{Method: "spf", Verdict: authres.Fail, Reason: "not listed"}
	fmt.Println(r.Method, r.Verdict, r.Reason)
	// Output: spf fail not listed
}

func ExampleProperty() {
	p := authres.Property{Type: "smtp", Name: "mailfrom", Value: "a@example.org"}
	fmt.Printf("%s.%s=%s\n", p.Type, p.Name, p.Value)
	// Output: smtp.mailfrom=a@example.org
}

func ExampleParse() {
	f, err := authres.Parse(` mx.example.org (ours) 1; spf=pass (good) smtp.mailfrom="a@example.org"`)
	fmt.Println(f.AuthServID, f.Results[0].Verdict, f.Results[0].Properties[0].Value, err)
	// Output: mx.example.org pass a@example.org <nil>
}

func ExampleStrip() {
	message := "Authentication-Results: \"MX.Example.org\" (us); dkim=pass\r\n" +
		"Authentication-Results: other.example; dkim=pass\r\n" +
		"\r\n" +
		"Hello.\r\n"
	s := &authres.Strip{AuthServID: "mx.example.org"}
	stripped, err := io.ReadAll(s.Reader(strings.NewReader(message)))
	fmt.Print(strings.ReplaceAll(string(stripped), "\r\n", "\n"), err)
	// Output:
	// Authentication-Results: other.example; dkim=pass
	//
	// Hello.
	// <nil>
}

func ExampleReceivedSPF() {
	fmt.Print(authres.ReceivedSPF{Verdict: authres.Pass, Receiver: "mx.example.org", ClientIP: netip.MustParseAddr("192.0.2.1"), Hello: "a\r\nb"})
	// Output: Received-SPF: pass receiver=mx.example.org; client-ip=192.0.2.1; helo=a??b
}
