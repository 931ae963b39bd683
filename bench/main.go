// Command bench measures usagelake against DuckDB and ClickHouse, and against
// itself, and says which of its floors hold. README.md says what and how:
//
//	go run . -workloads slim,chat,image -rounds 3
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"usagelake/bench/logs"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		slog.Error("bench", "error", err)
		os.Exit(1)
	}
}

// run prints the table to out. A floor that does not hold is an error.
func run(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	var names []string
	for _, w := range workloads(1) {
		names = append(names, w.name)
	}
	wanted := flags.String("workloads", "slim,chat,image", "all, or some of "+strings.Join(names, ","))
	rounds := flags.Int("rounds", 3, "how often each trial is measured")
	scale := flags.Float64("scale", 1, "factor of the lines and files of the large workloads")
	work := flags.String("work", ".work", "directory for programs, logs and tables; logs are kept")
	root := flags.String("root", "..", "directory of usagelake's module")
	peers := flags.String("peers", strings.Join(peerNames, ","), "engines to measure beside usagelake")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 || *rounds < 1 || *scale <= 0 {
		return fmt.Errorf("want no arguments, 1 round or more, and a scale over 0")
	}

	chosen := workloads(*scale)
	if *wanted != "all" {
		list := strings.Split(*wanted, ",")
		for _, name := range list {
			if !slices.Contains(names, name) {
				return fmt.Errorf("workload %q: want all, or some of %s", name, strings.Join(names, ","))
			}
		}
		chosen = slices.DeleteFunc(chosen, func(w workload) bool { return !slices.Contains(list, w.name) })
	}
	dir, err := filepath.Abs(*work)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	asked := strings.FieldsFunc(*peers, func(r rune) bool { return r == ',' })
	for _, peer := range asked {
		if !slices.Contains(peerNames, peer) {
			return fmt.Errorf("peer %q: want %s", peer, strings.Join(peerNames, " or "))
		}
	}
	e, err := prepare(*root, dir, asked)
	if err != nil {
		return err
	}

	var all []results
	for i := range chosen {
		r, err := e.measure(&chosen[i], *rounds)
		if err != nil {
			return fmt.Errorf("workload %s: %w", chosen[i].name, err)
		}
		all = append(all, r)
	}
	fmt.Fprintf(out, "%s, %d rounds, scale %g\n", e.about(), *rounds, *scale)
	for _, name := range peerNames {
		if err := e.missing[name]; err != nil {
			fmt.Fprintf(out, "%s is missing: %v\n", name, err)
		}
	}
	return report(out, chosen, all)
}

// measure runs a workload's trials in turn. What goes wrong with a trial is
// told in its outcome and ends no run. A round before the first does not count: the
// machine's memory is slow when nobody has touched it for a while.
func (e *engines) measure(w *workload, rounds int) (results, error) {
	all := filepath.Join(e.work, "out")
	if err := os.RemoveAll(all); err != nil {
		return nil, err
	}
	r, runs, starts := make(results), make(map[string][]usage), make(map[string][]usage)
	for _, t := range w.trials {
		r[t.name] = &outcome{}
		if e.missing[t.engine] != nil {
			r[t.name].err = errMissing
		}
	}
	for round := range 1 + rounds*max(1, w.times) {
		var held []logs.Written // by the table that trials write to
		var table, like string
		for i := range w.trials {
			t := &w.trials[i]
			o := r[t.name]
			if o.err != nil {
				continue
			}
			slog.Info("measure", "workload", w.name, "round", round, "trial", t.name)
			in, written := "", logs.Written{}
			if t.data.Lines > 0 {
				var err error
				if in, written, err = e.data(t.data); err != nil {
					return nil, err
				}
				if err := warm(in); err != nil {
					return nil, err
				}
			}
			if !t.onto {
				// What was there before goes only at the end: a file system is slow
				// to make files where it has just removed some.
				out := filepath.Join(all, fmt.Sprintf("%d-%d", round, i))
				if err := os.MkdirAll(out, 0o755); err != nil {
					return nil, err
				}
				table, held = filepath.Join(out, t.engine), nil
			}
			cmd, err := e.command(t, in, like, table)
			if err != nil {
				return nil, err
			}
			var u usage
			if u, _, o.err = measure(cmd); o.err != nil {
				continue
			}
			if round > 0 {
				runs[t.name] = append(runs[t.name], u)
			}
			o.read = written.Bytes
			if t.engine == bare {
				continue
			}
			like = table
			if t.engine != "usagelake" {
				if u, _, o.err = measure(e.sql(t.engine, "SELECT 1")); o.err != nil {
					continue
				}
				if round > 0 {
					starts[t.name] = append(starts[t.name], u)
				}
			}
			if t.data.Lines == 0 {
				continue
			}
			if !slices.ContainsFunc(held, func(h logs.Written) bool { return h.Spec == written.Spec }) {
				held = append(held, written)
			}
			o.err = e.check(t, o, table, held)
		}
	}
	for name, o := range r {
		o.settle(runs[name], starts[name])
	}
	return r, os.RemoveAll(all)
}

// settle makes what a trial took out of its runs and its engine's bare starts.
func (o *outcome) settle(runs, starts []usage) {
	o.usage, o.start = middle(runs), middle(starts)
	o.wall -= o.start.wall
	o.cpu -= o.start.cpu
	for _, u := range runs {
		o.rounds = append(o.rounds, u.wall-o.start.wall)
	}
	if o.err == nil && o.wall <= 0 {
		o.err = errors.New("took no longer than its bare start; a larger -scale would tell")
	}
}

// check holds a table against the logs that were loaded into it.
func (e *engines) check(t *trial, o *outcome, table string, held []logs.Written) error {
	o.bytes = 0
	err := walk(table, func(path string, size int64) error {
		if filepath.Ext(path) == ".parquet" {
			o.bytes += size
		}
		return nil
	})
	if err != nil || e.version["duckdb"] == "" {
		return err
	}
	var want logs.Sums
	var wantRows int64
	for _, h := range held {
		wantRows += h.Calls
		want.Add(h.Table)
	}
	rows, sums, err := e.sums(t, table)
	if err != nil {
		return err
	}
	if rows != wantRows || sums != want {
		return fmt.Errorf("the table has %d rows with %+v, the logs have %d with %+v", rows, sums, wantRows, want)
	}
	o.rows, o.checked = rows, true
	return nil
}

// about says what was measured, on what.
func (e *engines) about() string {
	engines := []string{"usagelake"}
	git := exec.Command("git", "describe", "--always", "--dirty", "--exclude=*")
	git.Dir = e.root
	if _, commit, err := measure(git); err == nil {
		engines[0] += " " + strings.TrimSpace(commit)
	}
	for _, name := range peerNames {
		if v := e.version[name]; v != "" {
			engines = append(engines, name+" "+v)
		}
	}
	return fmt.Sprintf("%s, %d threads each", strings.Join(engines, ", "), threads)
}
