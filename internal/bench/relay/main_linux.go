package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A load says what smtp-source does in one round.
type load struct {
	messages, size int
	sessions       int
	kept           bool // connections from message to message
}

func (l load) String() string {
	if l.kept {
		return fmt.Sprintf("%d sessions, connections kept", l.sessions)
	}
	return fmt.Sprintf("%d sessions, a connection for each message", l.sessions)
}

// An mta is a relay under measurement.
type mta struct {
	name, about string
	addr        string
	pids        []int // its processes are these and all below them
	sink        *sink
	program     string // with the profiler; "" if it has none
	log         string // file
	stop        func()
}

// A sample is what one round on one MTA gave.
type sample struct {
	accepted, delivered float64 // messages a second
	cpu                 float64 // ms a message
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := bench(ctx, os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "relay:", err)
		os.Exit(1)
	}
}

type options struct {
	load     // but for sessions and kept
	rounds   int
	sessions []int
	kept     []bool
	mtas     []string
	profile  bool
	profiles string
}

func bench(ctx context.Context, args []string) error {
	o := options{load: load{messages: 2000, size: 4096}, sessions: []int{10, 50}, kept: []bool{false, true}, mtas: []string{"postfix", "sqlite"}}
	flags := flag.NewFlagSet("relay", flag.ContinueOnError)
	flags.IntVar(&o.rounds, "rounds", 5, "interleaved rounds for each number of sessions")
	flags.IntVar(&o.messages, "messages", o.messages, "messages a round")
	flags.IntVar(&o.size, "size", o.size, "octets of a message")
	flags.Func("connections", "`which` smtp-source makes, with commas: \"each\" message has one, or they are \"kept\" (each,kept)", func(s string) error {
		o.kept = nil
		for word := range strings.SplitSeq(s, ",") {
			if word != "each" && word != "kept" {
				return errors.New("neither each nor kept")
			}
			o.kept = append(o.kept, word == "kept")
		}
		return nil
	})
	flags.Func("sessions", "`numbers` of sessions, with commas (10,50)", func(s string) (err error) {
		o.sessions = nil
		for n := range strings.SplitSeq(s, ",") {
			at, err := strconv.Atoi(n)
			if err != nil {
				return err
			}
			o.sessions = append(o.sessions, at)
		}
		return nil
	})
	flags.Func("mta", "`names` of what is measured, with commas: postfix, sqlite, postgres; sqlite=PROGRAM for another build of the relay (postfix,sqlite)", func(s string) error {
		o.mtas = strings.Split(s, ",")
		return nil
	})
	flags.BoolVar(&o.profile, "profile", true, "say where the time goes, from one more run with a CPU profile")
	flags.StringVar(&o.profiles, "profiles", "", "`folder` to keep these profiles in")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if err := needs(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(unpackedBase(), "bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	r, err := newRoot(dir)
	if err != nil {
		return err
	}
	var program string
	if slices.ContainsFunc(o.mtas, isOurs) {
		if program, err = buildRelay(ctx, dir); err != nil {
			return err
		}
	}
	var all []*mta
	for i, name := range o.mtas {
		m, err := start(ctx, r, name, program, filepath.Join(dir, strconv.Itoa(i)))
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		defer m.stop()
		defer m.sink.stop()
		all = append(all, m)
	}
	header(os.Stdout, o, all)
	for _, l := range o.loads() {
		samples, err := rounds(ctx, r, all, l, o.rounds)
		if err != nil {
			return err
		}
		report(os.Stdout, l, all, samples)
		for _, m := range all {
			if m.program == "" || !o.profile {
				continue
			}
			if err := m.profile(ctx, os.Stdout, r, l, o.profiles); err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
		}
	}
	if program == "" {
		return nil
	}
	return proveSync(ctx, os.Stdout, r, o, program, dir)
}

// loads are what is measured, one after the other.
func (o *options) loads() (all []load) {
	for _, kept := range o.kept {
		for _, sessions := range o.sessions {
			l := o.load
			l.sessions, l.kept = sessions, kept
			all = append(all, l)
		}
	}
	return all
}

func isOurs(name string) bool { return name != "postfix" }

// start starts an MTA that relays to a sink of its own.
func start(ctx context.Context, r *root, name, program, dir string) (m *mta, err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	s, err := startSink(ctx, r)
	if err != nil {
		return nil, err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	name, other, _ := strings.Cut(name, "=")
	switch name {
	case "postfix":
		m, err = startPostfix(ctx, r, s.addr)
	case "sqlite":
		m, err = startRelay(ctx, cmp.Or(other, program), filepath.Join(dir, "relay.db"), s.addr, filepath.Join(dir, "log"))
	case "postgres":
		m, err = startWithPostgres(ctx, cmp.Or(other, program), s.addr, filepath.Join(dir, "log"))
	default:
		err = errors.New("no MTA of that name")
	}
	if err != nil {
		s.stop()
		return nil, err
	}
	m.name, m.sink = name, s
	if other == "" && isOurs(name) {
		m.program = program
	}
	if other != "" {
		m.name = filepath.Base(other)
	}
	return m, nil
}

// rounds measures all MTAs in turn, n times. The order shifts by one from round to
// round, and one round before the first is thrown away.
func rounds(ctx context.Context, r *root, all []*mta, l load, n int) ([][]sample, error) {
	samples := make([][]sample, len(all))
	for round := -1; round < n; round++ {
		for i := range all {
			at := (i + round + len(all)) % len(all)
			s, err := all[at].round(ctx, r, l)
			if err != nil {
				return nil, fmt.Errorf("%s, %v: %w", all[at].name, l, err)
			}
			if round >= 0 {
				samples[at] = append(samples[at], s)
			}
		}
	}
	return samples, nil
}

// settled is how long an MTA has to clean up behind the last message before its
// CPU time is read.
const settled = 500 * time.Millisecond

func (m *mta) round(ctx context.Context, r *root, l load) (sample, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	before, err := cpuOf(m.pids)
	if err != nil {
		return sample{}, err
	}
	all := m.sink.got.count() + l.messages
	m.sink.got.mark(all)
	in, err := source(ctx, r, m.addr, l)
	if err != nil {
		return sample{}, err
	}
	end, err := m.sink.got.reached(ctx, all)
	if err != nil {
		return sample{}, fmt.Errorf("delivered: %w", err)
	}
	time.Sleep(settled)
	after, err := cpuOf(m.pids)
	if err != nil {
		return sample{}, err
	}
	if n := m.sink.got.count(); n != all {
		return sample{}, fmt.Errorf("%d messages too many were delivered", n-all)
	}
	n := float64(l.messages)
	return sample{
		accepted:  n / in.last.Sub(in.began).Seconds(),
		delivered: n / end.Sub(in.first).Seconds(),
		cpu:       milliseconds(after-before) / n,
	}, nil
}
