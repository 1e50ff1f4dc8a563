package client_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/server/smtptest"
)

// Mail to many servers, with limits over all of them.
func ExamplePool() {
	one, two := start(smtptest.NoTLS), start(smtptest.NoTLS)
	defer one.Close()
	defer two.Close()

	pool := &client.Pool{
		MaxConns: 100,
		MaxIdle:  20,
		New: func(k client.Key) (*client.Client, error) {
			return &client.Client{
				Addr: k.Addr, LocalName: k.LocalName,
				TLSMode:  client.Opportunistic,
				MaxConns: 2, // for each server
				MaxAge:   10 * time.Minute,
			}, nil
		},
	}
	defer pool.Close()
	for _, s := range []*smtptest.Server{one, two, one} {
		key := client.Key{Addr: s.Addr, LocalName: "mail.example.org"}
		if _, err := pool.Send(context.Background(), key, env, content); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(len(one.Messages()), len(two.Messages()))
	fmt.Printf("%+v\n", pool.Stats())
	// Output:
	// 2 1
	// {Keys:2 Open:2 Idle:2 Waiting:0}
}

// New makes of the words in a Key what they stand for.
func ExampleKey() {
	s := start(smtptest.Submission)
	defer s.Close()

	accounts := map[string]client.Auth{"alice": client.PasswordAuth("alice", "secret")}
	pool := &client.Pool{New: func(k client.Key) (*client.Client, error) {
		auth, ok := accounts[k.Credentials]
		if !ok {
			return nil, fmt.Errorf("no account %q", k.Credentials)
		}
		c := &client.Client{Addr: k.Addr, Auth: auth, TLSConfig: s.ClientTLSConfig()}
		switch k.TLS {
		case "verified":
			c.TLSMode = client.StartTLSRequired
		default:
			return nil, fmt.Errorf("no TLS policy %q", k.TLS)
		}
		return c, nil
	}}
	defer pool.Close()
	key := client.Key{Addr: s.Addr, Credentials: "alice", TLS: "verified"}
	_, err := pool.Send(context.Background(), key, env, content)
	fmt.Println(err, s.Messages()[0].Identity)

	key.Credentials = "bob"
	_, err = pool.Send(context.Background(), key, env, content)
	fmt.Println(err)
	// Output:
	// <nil> alice
	// client: no account "bob"
}

// A provider that takes 600 messages an hour.
func ExampleRate() {
	s := start(smtptest.Submission)
	defer s.Close()

	c := &client.Client{
		Addr: s.Addr, TLSConfig: s.ClientTLSConfig(), Auth: client.PasswordAuth("alice", "secret"),
		Rate: client.Rate{Messages: 600, Per: time.Hour}, // one in 6 seconds
	}
	defer c.Close()
	_, err := c.Send(context.Background(), env, content)
	fmt.Println(err)

	soon, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond) // less than the 6 seconds
	defer cancel()
	_, err = c.Send(soon, env, content)
	fmt.Println(err)
	// Output:
	// <nil>
	// client: waiting for a connection: context deadline exceeded
}

func ExampleStats() {
	s := start()
	defer s.Close()

	c := &client.Client{Addr: s.Addr, TLSConfig: s.ClientTLSConfig()}
	_, err := c.Send(context.Background(), env, content)
	fmt.Println(c.Stats().Open, c.Stats().Idle, err)
	c.Close()
	fmt.Println(c.Stats().Open, c.Stats().Idle)
	// Output:
	// 1 1 <nil>
	// 0 0
}
