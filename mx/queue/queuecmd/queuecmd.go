// Package queuecmd is the command with which an operator looks at a queue and
// changes it, for the program of whoever embeds one:
//
//	relay queue list -to @example.org
//	relay queue retry -destination example.org
//	relay queue delete -id 02h3k5m7p9rtv
//	relay queue outcomes -json
//
// What it needs is a queue.Store; with that of sqlqueue.Attach it runs beside the
// program that delivers. That program sees what was changed with its next look into
// the store, after Runner.Poll as a rule. A rest that its Runner has given to a
// destination which took no mail goes on whatever retry says, about half an hour at the
// most; Runner.TryNow, within that program, ends it.
package queuecmd

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/smtp"
)

// A Command is one call of the program. Open must be given.
type Command struct {
	// Open returns the store that -db names. It is closed at the end.
	Open func(ctx context.Context, db string) (queue.Store, error)
	// DB is -db if that is not given.
	DB string
	// Name stands in front of the verb in messages. If empty, "queue".
	Name string
	// Stdout and Stderr are where it writes. If nil, os.Stdout and os.Stderr.
	Stdout, Stderr io.Writer
}

// Verbs tells what Run's first argument may be.
const Verbs = "list, hold, release, retry, delete or outcomes"

// Run does what args say: one of Verbs, and flags, among them -help. It returns the
// exit code: 0, 1 if something failed, 64 if args mean nothing.
//
// A verb that changes something needs a filter or -all, and prints how many items it
// has changed.
func (c *Command) Run(ctx context.Context, args []string) int {
	if c.Stdout == nil {
		c.Stdout = os.Stdout
	}
	if c.Stderr == nil {
		c.Stderr = os.Stderr
	}
	if c.Name == "" {
		c.Name = "queue"
	}
	err := c.run(ctx, args)
	if err == nil || err == flag.ErrHelp {
		return 0
	}
	fmt.Fprintf(c.Stderr, "%s: %v\n", c.Name, err)
	if _, ok := errors.AsType[errUsage](err); ok {
		return 64 // EX_USAGE
	}
	return 1
}

type errUsage string

func (e errUsage) Error() string { return string(e) }

// what is what the flags say.
type what struct {
	queue.Filter
	db        string
	older     time.Duration
	all, json bool
}

func (c *Command) run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errUsage("the verb is missing: " + Verbs)
	}
	verb, show := args[0], shows[args[0]]
	action, changes := queue.ParseAction(verb)
	if show == nil && !changes {
		return errUsage("there is no " + verb + ", but " + Verbs)
	}
	w := what{db: c.DB}
	flags := w.flags(c.Name + " " + verb)
	flags.SetOutput(io.Discard) // what Parse says is said once, by Run
	switch err := flags.Parse(args[1:]); {
	case err == flag.ErrHelp:
		flags.SetOutput(c.Stderr)
		flags.Usage()
		return err
	case err != nil:
		return errUsage(err.Error())
	case flags.NArg() > 0:
		return errUsage("there are flags only, not " + flags.Arg(0))
	case verb == "outcomes" && (w.From != "" || w.Held || w.Waiting || w.older > 0):
		return errUsage("outcomes are found by -id, -destination and -to only")
	case changes && !w.all && !w.filtered():
		return errUsage("say with flags which messages, or -all")
	}
	if w.older > 0 {
		w.Before = time.Now().Add(-w.older)
	}
	store, err := c.Open(ctx, w.db)
	if err != nil {
		return err
	}
	defer store.Close()
	if show != nil {
		return c.show(ctx, store, &w, show)
	}
	n, err := store.Change(ctx, w.Filter, action, time.Now())
	if err == nil {
		fmt.Fprintln(c.Stdout, verb, n)
	}
	return err
}

func (w *what) flags(name string) *flag.FlagSet {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.StringVar(&w.db, "db", w.db, "`name` of the queue's database")
	flags.Func("id", "`ID` of a message; may be given several times", func(s string) error {
		id, err := queue.ParseID(s)
		w.Messages = append(w.Messages, id)
		return err
	})
	flags.StringVar(&w.Destination, "destination", "", "`word` that list shows")
	flags.Func("from", "`address` or @domain of the sender; <> is that of notifications", func(s string) (err error) {
		w.From, err = pattern(s, smtp.ParseReversePath, smtp.ReversePath.String)
		return err
	})
	flags.Func("to", "`address` or @domain of a recipient", func(s string) (err error) {
		w.To, err = pattern(s, smtp.ParseForwardPath, smtp.ForwardPath.String)
		return err
	})
	flags.BoolVar(&w.Held, "held", false, "what is held")
	flags.BoolVar(&w.Waiting, "waiting", false, "what is not held")
	flags.DurationVar(&w.older, "older", 0, "what arrived so long ago, such as 24h")
	flags.IntVar(&w.Limit, "limit", 0, "so many at most; 0 means all")
	flags.BoolVar(&w.all, "all", false, "whatever there is")
	flags.BoolVar(&w.json, "json", false, "print a line of JSON for each recipient")
	return flags
}

// pattern reads an address, in angle brackets or without, as queue.Filter has it: what
// is none would match nothing.
func pattern[T any](s string, parse func(string) (T, error), write func(T) string) (string, error) {
	if domain, ok := strings.CutPrefix(s, "@"); ok && domain != "" {
		return s, nil
	}
	path, err := parse(s)
	if s = write(path); s != "<>" {
		s = s[1 : len(s)-1]
	}
	return s, err
}

// filtered reports whether a flag says which messages are meant.
func (w *what) filtered() bool {
	return len(w.Messages) > 0 || w.Destination+w.From+w.To != "" || w.Held || w.Waiting || w.older > 0
}
