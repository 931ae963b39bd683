package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"usagelake/bench/logs"
)

// TestMain turns the test's program into a child whose usage is known.
func TestMain(m *testing.M) {
	if os.Getenv("BENCH_CHILD") == "1" {
		memory := bytes.Repeat([]byte{1}, 200*mib)
		end := time.Now().Add(100 * time.Millisecond)
		for n := 0; time.Now().Before(end); n++ {
			memory[n%len(memory)]++
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestMeasure(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "BENCH_CHILD=1")
	u, _, err := measure(cmd)
	if err != nil {
		t.Fatal(err)
	}
	if u.wall < 100*time.Millisecond || u.cpu < 10*time.Millisecond || u.rss < 200*mib || u.rss > 600*mib {
		t.Errorf("%v wall, %v CPU, %d MiB; want over 100 ms, over 10 ms, over 200 MiB", u.wall, u.cpu, u.rss/mib)
	}
	u, out, err := measure(exec.Command("sh", "-c", "echo here; echo there >&2"))
	if err != nil || out != "here\n" || u.rss > 200*mib {
		t.Errorf("%q, %v, %d MiB; want what was written and a small process", out, err, u.rss/mib)
	}
	if _, _, err = measure(exec.Command("sh", "-c", "echo the reason >&2; exit 3")); err == nil || !strings.Contains(err.Error(), "the reason") {
		t.Errorf("error %v, want the reason", err)
	}
}

func TestMiddle(t *testing.T) {
	of := func(wall ...int) (all []usage) {
		for _, w := range wall {
			all = append(all, usage{wall: time.Duration(w), cpu: time.Duration(-w), rss: int64(w)})
		}
		return all
	}
	for _, test := range []struct {
		all  []usage
		want usage
	}{
		{nil, usage{}},
		{of(7), usage{7, -7, 7}},
		{of(9, 1, 2), usage{2, -2, 9}},
		{of(8, 2, 4, 100), usage{6, -6, 100}},
	} {
		if got := middle(test.all); got != test.want {
			t.Errorf("middle(%v) = %v, want %v", test.all, got, test.want)
		}
	}
}

func TestSettle(t *testing.T) {
	runs, starts := []usage{{90, 80, 7}, {100, 70, 6}, {120, 90, 5}}, []usage{{30, 20, 9}, {40, 10, 9}, {10, 20, 9}}
	var peer, own, nothing outcome
	peer.settle(runs, starts)
	if want := (usage{70, 60, 7}); peer.usage != want || peer.err != nil {
		t.Errorf("%+v, want %+v without the start", peer, want)
	}
	own.settle(runs, nil)
	if want := (usage{100, 80, 7}); own.usage != want || own.err != nil {
		t.Errorf("%+v, want %+v", own, want)
	}
	nothing.settle(starts, runs)
	if nothing.good() {
		t.Errorf("%+v is no failure", nothing)
	}
}

func TestFloors(t *testing.T) {
	took := func(rounds ...int) *outcome {
		o := &outcome{}
		for _, ms := range rounds {
			o.rounds = append(o.rounds, time.Duration(ms)*time.Millisecond)
		}
		o.wall = median(slices.Clone(o.rounds))
		return o
	}
	failed := &outcome{usage: usage{wall: time.Millisecond}, err: errors.New("no")}
	sized := func(o *outcome, rss, read int64) *outcome {
		o.rss, o.read = rss, read
		return o
	}
	for _, test := range []struct {
		name     string
		floor    floor
		of       results
		measured float64
		ok       bool
		holds    bool
	}{
		{"the faster peer counts", faster(1.5), results{"usagelake": took(100), "duckdb": took(300), "clickhouse": took(160)}, 1.6, true, true},
		{"too slow", faster(1.5), results{"usagelake": took(100), "duckdb": took(140), "clickhouse": took(900)}, 1.4, true, false},
		{"a peer failed", faster(1.5), results{"usagelake": took(100), "duckdb": failed, "clickhouse": took(150)}, 1.5, true, true},
		{"a slow round for both", faster(1.5), results{"usagelake": took(100, 900, 110), "duckdb": took(160, 1440, 165), "clickhouse": took(400, 400, 400)}, 1.6, true, true},
		{"no peer", faster(1.5), results{"usagelake": took(100), "duckdb": failed}, 0, false, false},
		{"own failure", faster(1.5), results{"usagelake": failed, "duckdb": took(100)}, 0, false, false},
		{"memory", memory("a", 10), results{"a": sized(took(1), 10*mib, 0)}, 10, true, true},
		{"too much memory", memory("a", 10), results{"a": sized(took(1), 11*mib, 0)}, 11, true, false},
		{"memory of a failure", memory("a", 10), results{"a": failed}, 0, false, false},
		{"within", within("a", "b", 2), results{"a": took(200), "b": took(100)}, 2, true, true},
		{"not within", within("a", "b", 2), results{"a": took(210), "b": took(100)}, 2.1, true, false},
		{"nothing to be within", within("a", "b", 2), results{"a": took(210), "b": failed}, 0, false, false},
		{"per byte", perByte("a", "b", 1.2), results{"a": sized(took(1100), 0, 1000), "b": sized(took(100), 0, 100)}, 1.1, true, true},
		{"not per byte", perByte("a", "b", 1.2), results{"a": sized(took(1300), 0, 1000), "b": sized(took(100), 0, 100)}, 1.3, true, false},
		{"below", below("a", 150), results{"a": took(150)}, 150, true, true},
		{"not below", below("a", 150), results{"a": took(151)}, 151, true, false},
	} {
		v, ok := test.floor.value(test.of)
		if ok != test.ok || v < test.measured-1e-9 || v > test.measured+1e-9 || ok && test.floor.holds(v) != test.holds {
			t.Errorf("%s: %v, %v, holds %v", test.name, v, ok, test.floor.holds(v))
		}
	}
}

// TestWorkloads checks what no type does: logs that can be written, floors
// that name trials, statements that are there.
func TestWorkloads(t *testing.T) {
	for _, scale := range []float64{1, 0.1, 1e-9} {
		for _, w := range workloads(scale) {
			r := make(results)
			for i, trial := range w.trials {
				r[trial.name] = &outcome{usage: usage{time.Second, time.Second, mib}, read: 1}
				if trial.onto && i == 0 {
					t.Errorf("%s, %s: onto nothing", w.name, trial.name)
				}
				if trial.data.Lines == 0 {
					continue
				}
				if err := trial.data.Check(); err != nil {
					t.Errorf("%s, %s: %v", w.name, trial.name, err)
				}
				e := &engines{work: t.TempDir()}
				cmd, err := e.command(&trial, "/in's", "", filepath.Join(e.work, "out"))
				if err != nil {
					t.Fatalf("%s, %s: %v", w.name, trial.name, err)
				}
				if reader, ok := cmd.Stdin.(*strings.Reader); ok {
					var text strings.Builder
					_, _ = reader.WriteTo(&text)
					for _, name := range []string{"{IN}", "{OUT}", "{THREADS}"} {
						if strings.Contains(text.String(), name) {
							t.Errorf("%s, %s: %s is left", w.name, trial.name, name)
						}
					}
					if !strings.Contains(text.String(), "'/in''s/*'") || !strings.Contains(text.String(), quote(filepath.Join(e.work, "out"))[1:10]) {
						t.Errorf("%s, %s: no paths in %s", w.name, trial.name, text.String())
					}
				}
			}
			for _, f := range w.floors {
				if _, ok := f.value(r); !ok {
					t.Errorf("%s: %q names no trial", w.name, f.text)
				}
			}
		}
	}
}

// TestRun measures small logs without peers, all the way from the build.
func TestRun(t *testing.T) {
	work := t.TempDir()
	args := []string{"-work", work, "-peers", "", "-scale", "0.0001", "-rounds", "1", "-workloads", "image,late,start"}
	var out bytes.Buffer
	err := run(args, &out)
	if err == nil || !strings.Contains(err.Error(), "floors") { // no peer, so the first was not measured
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, want := range []string{
		"| image    | usagelake  |", "| image    | bare       |", "| image    | duckdb     | missing |", "clickhouse is missing: not asked for",
		"| late     | late file  |", "| start    | --version  |", "| not measured |",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "usagelake: ") || strings.Contains(out.String(), "bare: ") {
		t.Errorf("a trial failed:\n%s", out.String())
	}

	if err := run([]string{"-workloads", "slimm"}, &out); err == nil || !strings.Contains(err.Error(), "slimm") {
		t.Errorf("unknown workload: %v", err)
	}
	if err := run([]string{"-peers", "polars"}, &out); err == nil || !strings.Contains(err.Error(), "polars") {
		t.Errorf("unknown peer: %v", err)
	}

	e := &engines{root: "..", work: work, generator: "another"}
	for kind, lines := range map[string]int{"slim": 20_000, "chat": 5_000, "image": 10, "mixed": 40_000} {
		addsUp(t, e, kind, lines)
	}

	// Logs are kept while neither their spec nor the generator changes.
	spec := workloads(1)[len(workloads(1))-1].trials[1].data
	mark := filepath.Join(work, "data", "slim-10-lines-1-files-1-days-none-seed-1", "stamp.json")
	before, err := os.Stat(mark)
	if err != nil {
		t.Fatal(err)
	}
	for i, generator := range []string{"another", "another", "third"} {
		e.generator = generator
		if _, w, err := e.data(spec); err != nil || w.Calls != 10 {
			t.Fatalf("%+v, %v", w, err)
		}
		now, err := os.Stat(mark)
		if err != nil {
			t.Fatal(err)
		}
		if made := !os.SameFile(before, now) || !before.ModTime().Equal(now.ModTime()); made != (i != 1) {
			t.Errorf("time %d: made anew %v", i, made)
		}
		before = now
	}
}

// addsUp loads a log: rows and sums are those that its generator counted.
func addsUp(t *testing.T, e *engines, kind string, lines int) {
	in, want, err := e.data(logs.Spec{Workload: kind, Lines: lines, Files: 3, Days: 8, Seed: 7, Compress: "none", Start: time.Date(2026, 8, 1, 0, 0, 0, 0, time.UTC)})
	if err != nil {
		t.Fatal(err)
	}
	lake := filepath.Join(t.TempDir(), "lake")
	if _, _, err := measure(exec.Command(e.bin("usagelake"), "load", in, "--lake", lake)); err != nil {
		t.Fatal(err)
	}
	_, out, err := measure(exec.Command(e.bin("usagelake"), "status", "--lake", lake, "--json"))
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Rows, Quarantined int64
		Sums              map[string]json.Number
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	number := func(name string, unit int64) int64 {
		v, ok := new(big.Rat).SetString(cmp.Or(got.Sums[name].String(), "0"))
		if v.Mul(v, big.NewRat(unit, 1)); !ok || !v.IsInt() {
			t.Fatalf("%s: %s is %q", kind, name, got.Sums[name])
		}
		return v.Num().Int64()
	}
	sums := logs.Sums{Input: number("input_tokens", 1), Output: number("output_tokens", 1), Total: number("total_tokens", 1), Cost: number("reported_cost_usd", 1e9)}
	if got.Rows != want.Calls || got.Quarantined != 0 || sums != want.Table {
		t.Errorf("%s: %d rows, %d quarantined, %+v; want %d rows, %+v", kind, got.Rows, got.Quarantined, sums, want.Calls, want.Table)
	}
}

// TestCheck: rows that are missing are an error.
func TestCheck(t *testing.T) {
	// A duckdb that always counts three rows.
	work := t.TempDir()
	e := &engines{work: work, version: map[string]string{"duckdb": "v1"}}
	if err := os.MkdirAll(filepath.Join(work, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(e.bin("duckdb"), []byte("#!/bin/sh\nprintf '3\\t10\\t20\\t30\\t4\\n'\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	table := filepath.Join(work, "table")
	if err := os.MkdirAll(table, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, size := range map[string]int{"a.parquet": 7, "b.json": 100} {
		if err := os.WriteFile(filepath.Join(table, name), make([]byte, size), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	sums := logs.Sums{Input: 10, Output: 20, Total: 30, Cost: 4}
	for _, test := range []struct {
		held []logs.Written
		good bool
	}{
		{[]logs.Written{{Calls: 3, Table: sums}}, true},
		{[]logs.Written{{Calls: 2, Table: sums}, {Calls: 1}}, true},
		{[]logs.Written{{Calls: 4, Table: sums}}, false},
		{[]logs.Written{{Calls: 3, Table: logs.Sums{Input: 10, Output: 20, Total: 30, Cost: 5}}}, false},
	} {
		var o outcome
		err := e.check(&trial{engine: "duckdb"}, &o, table, test.held)
		if (err == nil) != test.good || o.checked != test.good || o.bytes != 7 {
			t.Errorf("%+v: %v, %+v", test.held, err, o)
		}
	}
}

func TestReport(t *testing.T) {
	w := workload{name: "w", trials: []trial{{name: "a", data: logs.Spec{Lines: 1}}, {name: "b"}}, floors: []floor{below("a", 2000)}}
	for _, test := range []struct {
		wall time.Duration
		want string
		bad  bool
	}{
		{1500 * time.Millisecond, "| 1500 ms  | pass |", false},
		{2500 * time.Millisecond, "| 2500 ms  | FAIL |", true},
	} {
		r := results{"a": {usage: usage{wall: test.wall, cpu: time.Second, rss: 3 * mib}, bytes: 1e6}, "b": {err: fmt.Errorf("broke")}}
		var out bytes.Buffer
		err := report(&out, []workload{w}, []results{r})
		if (err != nil) != test.bad || !strings.Contains(out.String(), test.want) ||
			!strings.Contains(out.String(), "| not checked |") || !strings.Contains(out.String(), "w, b: broke") {
			t.Errorf("%v\n%s", err, out.String())
		}
	}
}

// What a floor would come to by bare is of the same rounds as what was measured.
func TestByBare(t *testing.T) {
	at := func(rounds ...int) *outcome {
		o := &outcome{}
		for _, ms := range rounds {
			o.rounds = append(o.rounds, time.Duration(ms)*time.Millisecond)
		}
		o.wall = o.rounds[0]
		return o
	}
	f := within("many", "one", 2).aboveBare("many", "one")
	r := results{"one": at(100, 200, 100), "many": at(300, 600, 310), "bare, one": at(30, 60, 30), "bare, many": at(80, 160, 90)}
	if v, ok := f.value(r); !ok || v != 3 {
		t.Errorf("measured %v %v", v, ok)
	}
	if v, ok := f.bare(r); !ok || v != 1.5 {
		t.Errorf("by bare %v %v", v, ok)
	}
	delete(r, "bare, one")
	if _, ok := f.bare(r); ok {
		t.Error("by bare without bare")
	}
	r = results{"usagelake": at(100, 110), "bare": at(50, 50), "duckdb": at(150, 150), "clickhouse": at(300, 300)}
	if v, ok := faster(2).bare(r); !ok || v != 3 {
		t.Errorf("a race by bare %v %v", v, ok)
	}
}
