package authres_test

import (
	"fmt"

	"github.com/postrider/postrider/auth/authres"
)

func ExampleVerdict() {
	var v authres.Verdict
	fmt.Println(v == "", authres.Pass, authres.TempError)
	// Output: true pass temperror
}

func ExampleField() {
	f := authres.Field{AuthServID: "mx.example.org", Results: []authres.Result{{Method: "iprev", Verdict: authres.Pass}}}
	fmt.Println(f.AuthServID, len(f.Results))
	// Output: mx.example.org 1
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
