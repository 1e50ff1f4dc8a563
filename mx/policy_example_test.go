package mx_test

import (
	"context"
	"fmt"

	"github.com/postrider/postrider/mx"
	"github.com/postrider/postrider/mx/dns/dnstest"
	"github.com/postrider/postrider/mx/mtasts"
)

// What has to be proved to the hosts of some domains, and why.
func ExamplePolicies() {
	zone := dnstest.MustParse(`
		dane.example              MX    10 mx.dane.example
		mx.dane.example           A     192.0.2.1
		_25._tcp.mx.dane.example  TLSA  3 1 1 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
		dane.example              SECURE
		sts.example               MX    10 mx.sts.example
		mx.sts.example            A     192.0.2.2
		plain.example             A     192.0.2.3`)
	router := &mx.Router{Resolver: zone}
	policies := &mx.Policies{
		Resolver: zone,
		MTASTS:   sts{"sts.example": {Policy: &mtasts.Policy{Mode: mtasts.Enforce, MX: []string{"*.sts.example"}}, ID: "1"}},
	}
	ctx := context.Background()
	for _, domain := range []string{"dane.example", "sts.example", "plain.example"} {
		route, err := router.Route(ctx, domain)
		if err != nil {
			fmt.Println(err)
			continue
		}
		for _, host := range route.Hosts {
			addrs, err := router.Addrs(ctx, host.Name)
			if err != nil {
				fmt.Println(err)
				continue
			}
			policy, err := policies.Policy(ctx, route, host, addrs, nil)
			fmt.Println(policy.Source, "-", policy.String(), err)
		}
	}
	// Output:
	// dane - dane mx.dane.example dane.example: 1 TLSA record at mx.dane.example <nil>
	// mta-sts - verify mx.sts.example: the MTA-STS policy of sts.example in mode enforce, id 1 <nil>
	// default - may: nobody asks for TLS <nil>
}

// Mail to a partner goes to hosts with these names in their certificates.
func ExampleRule() {
	rule := &mx.Rule{Level: mx.LevelVerify, Names: []string{"mx.partner.example", ".partner.example"}}
	policies := &mx.Policies{Operator: func(domain string) *mx.Rule {
		if domain == "partner.example" {
			return rule
		}
		return nil
	}}
	route := &mx.Route{Domain: "partner.example", Hosts: []mx.Host{{Name: "mx.hosting.example"}}}
	policy, err := policies.Policy(context.Background(), route, route.Hosts[0], mx.Addrs{}, nil)
	fmt.Println(policy.String(), err)
	// Output: verify mx.partner.example .partner.example: a rule of the operator <nil>
}

// Everybody has to offer TLS, with exceptions.
func ExampleRules() {
	rules := mx.Rules{
		"*":            {Level: mx.LevelEncrypt, AtLeast: true},
		".old.example": {Level: mx.LevelMay},
		"bank.example": {Level: mx.LevelDANE},
		"lab.example":  nil,
	}
	policies := mx.Policies{Operator: rules.Find}
	for _, domain := range []string{"somewhere.example", "mail.old.example", "bank.example", "lab.example"} {
		if rule := policies.Operator(domain); rule != nil {
			fmt.Println(domain, rule.Level, rule.AtLeast)
		} else {
			fmt.Println(domain, "as it likes")
		}
	}
	// Output:
	// somewhere.example encrypt true
	// mail.old.example may false
	// bank.example dane false
	// lab.example as it likes
}
