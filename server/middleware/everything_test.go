package middleware_test

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/server/middleware"
	"github.com/postrider/postrider/smtp"
)

// ready is all the middleware there is, with options that let through what the
// test below says. Chain joins the others.
func ready() map[string]func(server.Handler) server.Handler {
	return map[string]func(server.Handler) server.Handler{
		"Greylist":  middleware.Greylist(middleware.GreylistOptions{}),
		"RateLimit": middleware.RateLimit(middleware.RateLimitOptions{}),
		"Recipients": middleware.Recipients(middleware.RecipientsOptions{
			Domains: []string{"example.com"},
		}),
		"MaxHops":    middleware.MaxHops(0),
		"Submission": middleware.Submission(middleware.SubmissionOptions{AddDate: true, AddMessageID: true, Owns: owns}),
	}
}

// options is all that is optional on a session: how to see that it works.
var options = map[string]string{
	"HelloSession":  "C: EHLO bad.example\nS: 550 not you, EHLO\nC: EHLO good.example\nS: 250-*\nS: 250 ...",
	"VerifySession": "C: VRFY smith\nS: 250 2.1.5 smith it is",
	"ExpandSession": "C: EXPN staff\nS: 250-2.1.5 staff\nS: 250 2.1.5 and more",
}

// complete is a session with every option, and one of the application's own.
type complete struct{ server.Session }

func (complete) Hello(_ context.Context, verb smtp.Verb, name string) error {
	if name == "bad.example" {
		return smtp.Reject(550, smtp.Enh(7, 1), "not you, "+string(verb))
	}
	return nil
}

func (complete) Verify(_ context.Context, query string) (smtp.Reply, error) {
	return smtp.Reply{Code: 250, Enhanced: smtp.Enh(1, 5), Text: query + " it is"}, nil
}

func (complete) Expand(_ context.Context, list string) (smtp.Reply, error) {
	return smtp.Reply{Code: 250, Enhanced: smtp.Enh(1, 5), Text: list + "\nand more"}, nil
}

func (complete) Greet() string { return "hello from within" }

// Every ready middleware, by itself and all together, twice, around a session
// with every option: all of it works, and the calls that are for everybody
// arrive once each.
func TestEverythingWrapped(t *testing.T) {
	var all []func(server.Handler) server.Handler
	cases := map[string]func(server.Handler) server.Handler{}
	for name, m := range ready() {
		cases[name] = m
		all = append(all, m, m)
	}
	cases["all"] = func(h server.Handler) server.Handler { return middleware.Chain(h, all...) }
	for name, m := range cases {
		t.Run(name, func(t *testing.T) {
			around := func(next server.Handler) server.Handler {
				return m(server.HandlerFunc(func(ctx context.Context, c *server.Conn) (server.Session, error) {
					s, err := next.NewSession(ctx, c)
					return complete{s}, err
				}))
			}
			h := start(t, around, func(s *server.Server) {
				s.Extensions = []server.Extension{{Keyword: "X-GREET", Verbs: map[smtp.Verb]server.VerbFunc{
					"X-GREET": func(_ context.Context, _ *server.Conn, s server.Session, _ string) (smtp.Reply, error) {
						g, ok := server.As[interface{ Greet() string }](s)
						if !ok {
							return smtp.Reply{}, errStore
						}
						return smtp.Reply{Code: 250, Text: g.Greet()}, nil
					},
				}}}
			})
			lines := []string{login, "C: X-GREET\nS: 250 2.0.0 hello from within"}
			for _, o := range slices.Sorted(maps.Keys(options)) {
				lines = append(lines, options[o])
			}
			lines = append(lines,
				"C: MAIL FROM:<alice@example.org>\nS: 250 2.1.0 OK",
				"C: RCPT TO:<nobody@example.com>\nS: 550 5.1.1 nobody is not here",
				"C: RCPT TO:<b@example.com>\nS: 250 2.1.5 OK",
				"C: DATA\nS: 354 ...\nC: From: alice@example.org\nC: Date: x\nC: Message-ID: y\nC: \nC: text\nC: .\nS: "+accepted,
				"C: MAIL FROM:<alice@example.org>\nS: 250 2.1.0 OK\nC: RSET\nS: 250 ...\nC: QUIT\nS: 221 ...\nS: <close>")
			h.play(t, "127.0.0.1", lines...)
			h.stop()
			want(t, "calls", h.noted(), "new\nreset hello\nmail <alice@example.org>\nrcpt <nobody@example.com>\nrcpt <b@example.com>\ndata\nreset done\nmail <alice@example.org>\nreset RSET\nclose")
			want(t, "messages", strings.Join(h.messages(), "|"), "From: alice@example.org\r\nDate: x\r\nMessage-ID: y\r\n\r\ntext\r\n")
		})
	}
}

// The tables above have a row for each middleware, and for each thing that is
// optional on a session.
func TestEverythingIsListed(t *testing.T) {
	var functions, interfaces []string
	for _, f := range files(t, ".") {
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.IsExported() && returnsMiddleware(fn.Type) {
				functions = append(functions, fn.Name.Name)
			}
		}
	}
	for _, f := range files(t, "..") {
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.TypeSpec:
				if i, ok := n.Type.(*ast.InterfaceType); ok && embedsSession(i) {
					interfaces = append(interfaces, n.Name.Name)
				}
			case *ast.IndexExpr: // As[T], wherever the server asks
				if name, ok := n.X.(*ast.Ident); ok && name.Name == "As" {
					if asked, ok := n.Index.(*ast.Ident); ok {
						interfaces = append(interfaces, asked.Name)
					} else {
						t.Errorf("As of something without a name")
					}
				}
			}
			return true
		})
	}
	same := func(what string, found, listed []string) {
		slices.Sort(found)
		if found = slices.Compact(found); !slices.Equal(found, listed) {
			t.Errorf("%s: there are %v, and listed %v", what, found, listed)
		}
	}
	same("middleware", functions, slices.Sorted(maps.Keys(ready())))
	same("options", interfaces, slices.Sorted(maps.Keys(options)))
}

// files parses the Go files of a folder but for its tests.
func files(t *testing.T, dir string) (list []*ast.File) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(names) == 0 {
		t.Fatalf("%v, %v", names, err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, f)
	}
	return list
}

// returnsMiddleware reports whether one of the results is a function with a
// Handler for a parameter.
func returnsMiddleware(f *ast.FuncType) bool {
	if f.Results == nil {
		return false
	}
	return slices.ContainsFunc(f.Results.List, func(result *ast.Field) bool {
		fn, ok := result.Type.(*ast.FuncType)
		return ok && slices.ContainsFunc(fn.Params.List, func(p *ast.Field) bool {
			sel, ok := p.Type.(*ast.SelectorExpr)
			return ok && sel.Sel.Name == "Handler"
		})
	})
}

func embedsSession(i *ast.InterfaceType) bool {
	return slices.ContainsFunc(i.Methods.List, func(m *ast.Field) bool {
		name, ok := m.Type.(*ast.Ident)
		return ok && name.Name == "Session" && len(m.Names) == 0
	})
}

// A Handler that refuses a connection is left to do so.
func TestRefusedConnection(t *testing.T) {
	for name, m := range ready() {
		for _, err := range []error{smtp.Reject(554, smtp.Enh(7, 1), "no"), errStore, nil} {
			h := start(t, func(server.Handler) server.Handler {
				return m(server.HandlerFunc(func(context.Context, *server.Conn) (server.Session, error) { return nil, err }))
			})
			p := &talker{t: t, Conn: h.dial(t, "192.0.2.1")}
			if err == nil || err == errStore {
				p.do("", "421 ")
				if h.log() == "" {
					t.Errorf("%s: nothing in the log", name)
				}
			} else {
				p.do("", "554 no")
			}
			p.Close()
		}
	}
}

// The first middleware is the outermost.
func TestChain(t *testing.T) {
	var order []string
	named := func(name string) func(server.Handler) server.Handler {
		return func(next server.Handler) server.Handler {
			return server.HandlerFunc(func(ctx context.Context, c *server.Conn) (server.Session, error) {
				order = append(order, name)
				return next.NewSession(ctx, c)
			})
		}
	}
	h := start(t, func(next server.Handler) server.Handler {
		return middleware.Chain(next, named("first"), named("second"))
	})
	h.play(t, "192.0.2.1", "C: QUIT\nS: 221 ...")
	want(t, "order", strings.Join(order, " "), "first second")
	want(t, "empty chain", middleware.Chain(h.backend), server.Handler(h.backend))
}
