package usagelake_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"usagelake"
	"usagelake/schemas"
	"usagelake/sink/disk"
	"usagelake/sink/disk/faults"
)

// stepConfig is the Config of a step, which is a process of its own: of the load's flags
// it has none.
func stepConfig(cfg usagelake.Config) usagelake.Config {
	return usagelake.Config{Lake: cfg.Lake, Jobs: cfg.Jobs, Memory: cfg.Memory, HashIDs: cfg.HashIDs, Now: cfg.Now, FS: cfg.FS}
}

// inSteps loads in steps, items and units in some order.
func inSteps(cfg usagelake.Config, id string, order func(n int) []int) (*usagelake.Report, error) {
	if _, err := usagelake.PlanRun(context.Background(), cfg, id); err != nil {
		return nil, fmt.Errorf("plan: %w", err)
	}
	return behindPlan(cfg, id, order)
}

// behindPlan does the steps of a run that was planned.
func behindPlan(cfg usagelake.Config, id string, order func(n int) []int) (*usagelake.Report, error) {
	ctx := context.Background()
	open := func() (*usagelake.Run, error) { return usagelake.OpenRun(ctx, stepConfig(cfg), id) }
	r, err := open()
	if err != nil {
		return nil, err
	}
	for _, i := range order(r.Maps()) {
		if r, err = open(); err != nil {
			return nil, err
		}
		if _, err := r.Map(ctx, i); err != nil {
			return nil, fmt.Errorf("map: %w", err)
		}
	}
	units, err := r.Units(ctx)
	if err != nil {
		return nil, fmt.Errorf("units: %w", err)
	}
	for _, i := range order(len(units)) {
		if r, err = open(); err != nil {
			return nil, err
		}
		if err := r.Reduce(ctx, units[i]); err != nil {
			return nil, fmt.Errorf("reduce: %w", err)
		}
	}
	report, err := r.Commit(ctx)
	if err != nil {
		return report, fmt.Errorf("commit: %w", err)
	}
	return report, nil
}

func inOrder(n int) []int {
	var out []int
	for i := range n {
		out = append(out, i)
	}
	return out
}

// record is the last record of a lake, without what is of the run and not of the load.
func record(t *testing.T, fsys disk.FS, lake string) string {
	t.Helper()
	entries, err := fsys.ReadDir(lake + "/state/ledger")
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) == 0 {
		return ""
	}
	data, err := disk.ReadFile(fsys, lake+"/state/ledger/"+entries[len(entries)-1].Name())
	if err != nil {
		t.Fatal(err)
	}
	var r map[string]any
	if err := json.Unmarshal(data, &r); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"run", "asked", "time", "prev"} {
		delete(r, name)
	}
	return indented(t, r)
}

func indented(t *testing.T, v any) string {
	t.Helper()
	text, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// likeALoad fails if a lake does not hold what another one does after a load.
func likeALoad(t *testing.T, whole, lake disk.FS) {
	t.Helper()
	if d := gocmp.Diff(table(t, whole), table(t, lake)); d != "" {
		t.Errorf("other bytes\n%s", d)
	}
	if d := gocmp.Diff(record(t, whole, faultyLake), record(t, lake, faultyLake)); d != "" {
		t.Errorf("other record\n%s", d)
	}
}

// Whatever is loaded into whatever lake, in whatever items and order: a load in steps
// leaves the bytes and the record of a load, and says the same.
func TestStepsLikeALoad(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	checks := 0
	rapid.Check(t, func(rt *rapid.T) {
		if checks++; checks > 12 && !*long { // each makes dozens of processes
			return
		}
		dir := filepath.Join(root, fmt.Sprint(checks))
		defer os.RemoveAll(dir)
		n := 0
		files := func(name string) (inputs []string) {
			for f := range rapid.IntRange(0, 4).Draw(rt, "files") {
				text := fmt.Sprintf(`{"file":"%s %d"}`+"\n", name, f) + joined(randomLines(rt, &n, 12))
				text += rapid.SampledFrom([]string{"", "", `{"unfinished`, `{"id":"tail","created":1755648000,"model":"m","usage":{"prompt_tokens":1,"completion_tokens":1}}`}).Draw(rt, "tail")
				suffix := rapid.SampledFrom([]string{"", "", "", ".gz"}).Draw(rt, "packed")
				inputs = append(inputs, write(t, filepath.Join(dir, name, fmt.Sprintf("f%d.jsonl%s", f, suffix)), packed(t, suffix, text)))
				if suffix == "" && rapid.IntRange(0, 3).Draw(rt, "a beginning, too") == 0 {
					inputs = append(inputs, write(t, filepath.Join(dir, name, fmt.Sprintf("g%d.jsonl", f)), text+`{"also`))
				}
			}
			return inputs
		}
		first := faults.NewMem()
		cfg := usagelake.Config{
			Lake: faultyLake, FS: first, Buckets: rapid.SampledFrom([]int{1, 1, 3}).Draw(rt, "buckets"),
			Now: func() time.Time { return fileTime }, StrictTime: rapid.IntRange(0, 3).Draw(rt, "strict") == 0,
		}
		before := files("before")
		if cfg.Inputs = before; len(before) > 0 {
			load(t, cfg)
		}
		second := first.Copy()
		cfg.Inputs = files("after")
		if len(before) > 0 && rapid.Bool().Draw(rt, "one goes on") {
			if data, err := os.ReadFile(before[0]); err == nil && !strings.HasSuffix(before[0], ".gz") {
				write(t, before[0], string(data)+"\n"+joined(randomLines(rt, &n, 6)))
			}
			cfg.Inputs = append(cfg.Inputs, before[0])
		}
		if len(cfg.Inputs) == 0 {
			return
		}
		want := load(t, cfg)

		cfg.FS = second
		cfg.Split = rapid.SampledFrom([]int64{0, 60, 200, 700}).Draw(rt, "split")
		cfg.Jobs = rapid.SampledFrom([]int{1, 2}).Draw(rt, "jobs")
		cfg.Memory = rapid.SampledFrom([]int64{0, 1, 60_000}).Draw(rt, "memory")
		got, err := inSteps(cfg, "run", func(n int) []int {
			return rapid.Permutation(inOrder(n)).Draw(rt, "order")
		})
		if err != nil {
			rt.Fatal(err)
		}
		if p := audit(t, second); len(p) > 0 {
			rt.Fatalf("verify: %q", p)
		}
		if d := gocmp.Diff(table(t, first), table(t, second)); d != "" {
			rt.Fatalf("other bytes\n%s", d)
		}
		if d := gocmp.Diff(record(t, first, faultyLake), record(t, second, faultyLake)); d != "" {
			rt.Fatalf("other record\n%s", d)
		}
		for _, r := range []*usagelake.Report{want, got} {
			r.Seconds, r.BytesRead = 0, 0
		}
		if d := gocmp.Diff(indented(t, want), indented(t, got)); d != "" {
			rt.Fatalf("-load +steps\n%s", d)
		}
	})
}

// Steps that are killed anywhere, or do not hear the answer to what they did, are done
// again: the lake is that of a load then, on a file system and in a store of objects.
func TestStepsKilled(t *testing.T) {
	t.Parallel()
	stride := 67
	switch {
	case *long:
		stride = 1
	case testing.Short():
		stride = 199
	}
	dir := t.TempDir()
	at := func(days int) int64 { return day.Unix() + int64(days)*86_400 + 60 }
	before := write(t, filepath.Join(dir, "before.jsonl"), line("moved", day.Add(-1e9), 5, 1)+call("kept", at(0), 1, 1)+bucket(at(0), result("g", 1, 1)))
	var text strings.Builder
	text.WriteString(line("moved", day.Add(1e9), 5, 6) + call("kept", at(0), 1, 2) + flat(at(0), result("g", 1, 2)) + "{\"broken\":\n")
	for i := range 8 {
		text.WriteString(call(fmt.Sprint("new", i), at(i%3), i, i))
	}
	after := []string{write(t, filepath.Join(dir, "after.jsonl"), text.String()), write(t, filepath.Join(dir, "more.jsonl"), call("kept", at(0), 1, 3))}
	config := func(fsys disk.FS, inputs ...string) usagelake.Config {
		return usagelake.Config{Lake: faultyLake, FS: fsys, Inputs: inputs, Jobs: 1, Split: 400, Now: func() time.Time { return fileTime }}
	}
	for name, base := range map[string]stepStore{"files": memStore{faults.NewMem()}, "objects": objectStore{faults.NewObjects()}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			load(t, config(base, before))
			whole := base.copied()
			load(t, config(whole, after...))
			want := table(t, whole)

			var ops int
			calm := base.copied()
			count := func(int, string) error { ops++; return nil }
			if _, err := inSteps(config(calm.disturbed(count, nil), after...), "run", inOrder); err != nil {
				t.Fatal(err)
			}
			if d := gocmp.Diff(want, table(t, calm)); d != "" {
				t.Fatalf("undisturbed: -load +steps\n%s", d)
			}
			states := 0
			for n := 0; n < ops; n += stride {
				for _, lost := range []bool{false, true} {
					states++
					left := base.copied()
					var dead atomic.Bool
					dies := func(at bool) func(int, string) error {
						return func(now int, _ string) error {
							if at && now >= n {
								dead.Store(true)
							}
							if dead.Load() {
								return faults.ErrKilled
							}
							return nil
						}
					}
					kill, answer := dies(!lost), dies(lost)
					_, _ = inSteps(config(left.disturbed(kill, answer), after...), "run", inOrder)
					left = left.copied()
					if now := table(t, left); !lost && n < ops/2 && !now.equal(table(t, base)) {
						t.Errorf("killed at operation %d of %d: the tables have changed", n, ops)
					}
					// only the plan is made again, and that if there is none
					_, err := behindPlan(config(left, after...), "run", inOrder)
					if errors.Is(err, usagelake.ErrMoved) {
						_, err = inSteps(config(left, after...), "run", inOrder)
					}
					if err != nil {
						t.Errorf("killed at operation %d of %d (done: %v), then again: %v", n, ops, lost, err)
						continue
					}
					if d := gocmp.Diff(want, table(t, left)); d != "" {
						t.Errorf("killed at operation %d of %d (done: %v), then again: -load +steps\n%s", n, ops, lost, d)
					}
					if p := audit(t, left); len(p) > 0 {
						t.Errorf("killed at operation %d of %d (done: %v), then again: %q", n, ops, lost, p)
					}
				}
			}
			t.Logf("%d operations, %d states", ops, states)
		})
	}
}

// Each file of the table is made by itself, and yet by the copies that a load sees:
// those of calls that go on from day to day, and of calls without a time of their own.
func TestStepsCopies(t *testing.T) {
	t.Parallel()
	chain := func(outputs ...int) string { // a copy a day
		var b strings.Builder
		for i, out := range outputs {
			b.WriteString(line("chain", day.AddDate(0, 0, i).Add(time.Hour), 1, out))
		}
		return b.String()
	}
	timeless := `{"request_id":"t","model":"m","prompt_tokens":1,"completion_tokens":7}` + "\n"
	late := line("t", day.AddDate(0, 0, 9), 1, 9) + line("u", day.AddDate(0, 0, 9), 1, 1)
	for name, tt := range map[string]struct {
		before, after map[string]string
		flags         usagelake.Config
	}{
		"a chain":              {nil, map[string]string{"a": chain(1, 2, 3, 4, 5, 6, 7)}, usagelake.Config{}},
		"a chain, falling":     {nil, map[string]string{"a": chain(7, 6, 5, 4, 3, 2, 1)}, usagelake.Config{}},
		"a chain, up and down": {nil, map[string]string{"a": chain(1, 3, 2, 5, 4, 6, 1, 2)}, usagelake.Config{}},
		"a chain in the table": {map[string]string{"b": chain(1, 3, 2, 5, 4, 6, 1)}, map[string]string{"a": line("chain", day.AddDate(0, 0, 3), 1, 9)}, usagelake.Config{}},
		"any day":              {nil, map[string]string{"a": timeless, "b": late}, usagelake.Config{EventTime: "2026-08-01T00:00:00Z"}},
		"any day in the table": {map[string]string{"a": timeless}, map[string]string{"b": late}, usagelake.Config{EventTime: "2026-08-01T00:00:00Z"}},
		"any day, old calls":   {map[string]string{"b": late}, map[string]string{"a": timeless}, usagelake.Config{EventTime: "2026-08-01T00:00:00Z"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			whole := faults.NewMem()
			cfg := tt.flags
			cfg.Lake, cfg.FS, cfg.Split, cfg.Now = faultyLake, whole, 200, func() time.Time { return fileTime }
			files := func(texts map[string]string) (inputs []string) {
				for name, text := range texts {
					inputs = append(inputs, write(t, filepath.Join(dir, name+".jsonl"), text))
				}
				return inputs
			}
			if cfg.Inputs = files(tt.before); len(cfg.Inputs) > 0 {
				load(t, cfg)
			}
			lake := whole.Copy()
			cfg.Inputs = files(tt.after)
			load(t, cfg)
			cfg.FS = lake
			if _, err := inSteps(cfg, "run", inOrder); err != nil {
				t.Fatal(err)
			}
			likeALoad(t, whole, lake)
		})
	}
}

// Two files of which the very same records were read are loaded once, and the others of
// their item all the same.
func TestStepsTwins(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	text := strings.Repeat(" ", 5000) + "\n" + call("a", day.Unix(), 1, 2)
	write(t, filepath.Join(dir, "a.jsonl"), text+`{"one`)
	write(t, filepath.Join(dir, "b.jsonl"), text+`{"another`)
	write(t, filepath.Join(dir, "c.jsonl"), call("c", day.Unix(), 3, 4)+"{\"broken\":\n")
	for _, split := range []int64{0, 1000} {
		whole, lake := faults.NewMem(), faults.NewMem()
		cfg := usagelake.Config{Inputs: []string{dir}, Lake: faultyLake, FS: whole, Split: split, Now: func() time.Time { return fileTime }}
		want := load(t, cfg)
		cfg.FS = lake
		got, err := inSteps(cfg, "run", inOrder)
		if err != nil {
			t.Fatal(err)
		}
		if want.Inputs[1].State != usagelake.Same || got.Inputs[1].State != usagelake.Same {
			t.Errorf("split %d: %+v, %+v", split, want.Inputs[1], got.Inputs[1])
		}
		if d := gocmp.Diff(table(t, whole), table(t, lake)); d != "" {
			t.Errorf("split %d: other bytes\n%s", split, d)
		}
		if d := gocmp.Diff(record(t, whole, faultyLake), record(t, lake, faultyLake)); d != "" {
			t.Errorf("split %d: other record\n%s", split, d)
		}
	}
}

// What was made from something else than the rest is made again, or left out.
func TestStepsThatDoNotFit(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	lines := func(in int) string {
		var b strings.Builder
		b.WriteString(strings.Repeat(" ", 5000) + "\n") // by its beginning a file is known
		for i := range 9 {
			b.WriteString(call(fmt.Sprint("c", i), day.Unix()+int64(i), in, i))
		}
		return b.String()
	}
	start := func(t *testing.T, split int64) (*faults.Mem, string, usagelake.Config, *usagelake.Run) {
		t.Helper()
		lake := faults.NewMem()
		in := write(t, filepath.Join(t.TempDir(), "in.jsonl"), lines(1))
		cfg := usagelake.Config{Inputs: []string{in}, Lake: faultyLake, FS: lake, Split: split, Now: func() time.Time { return fileTime }}
		r, err := usagelake.PlanRun(ctx, cfg, "r")
		if err != nil {
			t.Fatal(err)
		}
		return lake, in, cfg, r
	}
	const dir = faultyLake + "/state/staging/000000001-r/"
	must := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Run("another plan", func(t *testing.T) {
		lake, _, cfg, r := start(t, 0)
		_, err := r.Map(ctx, 0)
		must(t, err)
		plan, err := disk.ReadFile(lake, dir+"plan.json")
		must(t, err)
		must(t, disk.WriteFile(lake, dir+"plan.json", append(plan, '\n'), 0o600))
		r, err = usagelake.OpenRun(ctx, stepConfig(cfg), "r")
		must(t, err)
		if _, err := r.Units(ctx); !errors.Is(err, usagelake.ErrIncomplete) {
			t.Errorf("what was mapped by another plan counts: %v", err)
		}
	})
	t.Run("another load", func(t *testing.T) {
		_, in, cfg, r := start(t, 0)
		refused := func(change func(*usagelake.Config)) {
			t.Helper()
			other := cfg
			change(&other)
			if _, err := usagelake.PlanRun(ctx, other, "r"); !errors.Is(err, usagelake.ErrUsage) || !strings.Contains(err.Error(), "take another --run") {
				t.Errorf("planned: %v", err)
			}
		}
		all := func() {
			t.Helper()
			refused(func(c *usagelake.Config) { c.Inputs = []string{filepath.Dir(in)} })
			refused(func(c *usagelake.Config) { c.Set = []string{"project_id=x"} })
			again, err := usagelake.PlanRun(ctx, cfg, "r")
			must(t, err)
			if again.Done() != r.Done() {
				t.Errorf("record %d, want %d", again.Done(), r.Done())
			}
		}
		all()
		units, err := r.Map(ctx, 0)
		must(t, err)
		must(t, r.Reduce(ctx, units...))
		_, err = r.Commit(ctx)
		must(t, err)
		r, err = usagelake.OpenRun(ctx, stepConfig(cfg), "r")
		must(t, err)
		all()
	})
	t.Run("another map", func(t *testing.T) {
		lake, in, _, r := start(t, 0)
		units, err := r.Map(ctx, 0)
		must(t, err)
		must(t, r.Reduce(ctx, units...))
		must(t, lake.Remove(dir+"map/000000.json"))
		write(t, in, strings.Replace(lines(1), `"completion_tokens":8`, `"completion_tokens":7`, 1))
		_, err = r.Map(ctx, 0)
		must(t, err)
		if _, err := r.Commit(ctx); !errors.Is(err, usagelake.ErrIncomplete) {
			t.Errorf("what was reduced from other rows counts: %v", err)
		}
		must(t, r.Reduce(ctx, units...))
		report, err := r.Commit(ctx)
		if err != nil || report.Books.RowSums.Text(schemas.OutputTokens) != "35" {
			t.Errorf("%+v, %v", report, err)
		}
	})
	t.Run("another range", func(t *testing.T) {
		lake, in, cfg, r := start(t, 900)
		for i := range r.Maps() - 1 {
			_, err := r.Map(ctx, i)
			must(t, err)
		}
		write(t, in, strings.Replace(lines(1), `"completion_tokens":8`, `"completion_tokens":7`, 1))
		_, err := r.Map(ctx, r.Maps()-1) // which reads all of it
		must(t, err)
		units, err := r.Units(ctx)
		must(t, err)
		must(t, r.Reduce(ctx, units...))
		report, err := r.Commit(ctx)
		if err == nil || report.Seq != 0 || report.Inputs[0].State != usagelake.Failed || !strings.Contains(report.Inputs[0].Error, "changed since it was found") {
			t.Errorf("%+v, %v", report.Inputs, err)
		}
		load(t, cfg)
		if p := audit(t, lake); len(p) > 0 {
			t.Errorf("%q", p)
		}
	})
}

// session is a log whose lines recall each other.
func session(id string, turns int) string {
	var b strings.Builder
	fmt.Fprintf(&b, `{"timestamp":"2026-08-20T10:00:00Z","type":"session_meta","payload":{"id":%q,"timestamp":"2026-08-20T10:00:00Z","cwd":"/x","originator":"codex_cli_rs","cli_version":"0.40.0"}}`+"\n", id)
	fmt.Fprintln(&b, `{"timestamp":"2026-08-20T10:00:01Z","type":"turn_context","payload":{"cwd":"/x","model":"gpt-5-codex"}}`)
	for i := range turns {
		fmt.Fprintf(&b, `{"timestamp":"2026-08-20T10:%02d:02Z","type":"event_msg","payload":{"type":"token_count","info":{"total_token_usage":{"input_tokens":%d,"cached_input_tokens":0,"output_tokens":2,"reasoning_output_tokens":0,"total_tokens":%d},"last_token_usage":{"input_tokens":10,"cached_input_tokens":0,"output_tokens":2,"reasoning_output_tokens":0,"total_tokens":12},"model_context_window":272000},"rate_limits":null}}`+"\n", i, 10*i, 10*i+2)
	}
	return b.String()
}

// agentRun is what an agent prints of a run: lines, and their sums, which are more.
func agentRun(session string, messages int) string {
	var b strings.Builder
	for i := range messages {
		fmt.Fprintf(&b, `{"type":"assistant","session_id":%q,"uuid":"u%d","timestamp":"2026-08-20T10:%02[2]d:00Z","message":{"id":"%[1]s%[2]d","type":"message","role":"assistant","model":"claude-x","content":[],"usage":{"input_tokens":10,"cache_read_input_tokens":0,"output_tokens":2}}}`+"\n", session, i)
	}
	fmt.Fprintf(&b, `{"type":"result","session_id":%q,"uuid":"r","timestamp":"2026-08-20T10:59:59Z","num_turns":1,"total_cost_usd":0.5,"usage":{"input_tokens":10,"output_tokens":2},"modelUsage":{"claude-x":{"inputTokens":%d,"outputTokens":%[2]d,"costUSD":0.5}}}`+"\n", session, 10*messages)
	return b.String()
}

// A log whose lines recall each other is read whole, also where that shows only in one
// of its ranges.
func TestStepsLinked(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var text strings.Builder
	for i := range 2500 {
		text.WriteString(call(fmt.Sprint("c", i), day.Unix()+int64(i), i, i))
	}
	calls := text.String()
	for name, tt := range map[string]struct {
		text string
		more int // items of the map step than inputs of this size, at least
	}{
		"from the start": {session("a", 40) + calls, 0},
		"later":          {calls + session("b", 40) + calls[:20_000], 5},
		"sums of a run":  {agentRun("c", 40) + calls, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := write(t, filepath.Join(dir, name+".jsonl"), tt.text)
			whole, lake := faults.NewMem(), faults.NewMem()
			cfg := usagelake.Config{Inputs: []string{in}, Lake: faultyLake, FS: whole, Split: 5_000, Now: func() time.Time { return fileTime }}
			load(t, cfg)
			cfg.FS = lake
			maps := -1
			if _, err := inSteps(cfg, "run", func(n int) []int {
				if maps < 0 {
					maps = n
				}
				return inOrder(n)
			}); err != nil {
				t.Fatal(err)
			}
			if maps < 1+tt.more || tt.more == 0 && maps != 1 {
				t.Errorf("%d items", maps)
			}
			likeALoad(t, whole, lake)
		})
	}
}

// Where ids are hashed, a load in steps hashes as a load does, and what it keeps in the
// lake meanwhile has no id nor path in clear.
func TestStepsHashIDs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key := writeKey(t, filepath.Join(dir, "ids.key"), "k")
	in := filepath.Join(dir, "secretdir")
	var text strings.Builder
	for i := range 20 {
		fmt.Fprintf(&text, `{"id":"secretcall%d","created":%d,"model":"m","user":"secretuser","usage":{"prompt_tokens":%d,"completion_tokens":1}}`+"\n", i, day.Unix()+int64(i), i)
	}
	text.WriteString("{\"secretbroken\":\n")
	write(t, filepath.Join(in, "secretfile.jsonl"), text.String())
	write(t, filepath.Join(in, "secretdamage.jsonl.gz"), packed(t, ".gz", text.String())[:100])
	write(t, filepath.Join(in, "secretsession.jsonl"), session("secretid", 1))
	whole, lake := faults.NewMem(), faults.NewMem()
	cfg := usagelake.Config{Inputs: []string{in}, Lake: faultyLake, FS: whole, HashIDs: key, MaxQuarantine: "100%", Split: 300, Now: func() time.Time { return fileTime }}
	want := load(t, cfg)
	cfg.FS = lake
	looked := 0
	got, err := inSteps(cfg, "run", func(n int) []int { // before the maps, and before the reduces
		looked += clearly(t, lake, faultyLake, "secret")
		return inOrder(n)
	})
	if err != nil {
		t.Fatal(err)
	}
	if looked += clearly(t, lake, faultyLake, "secret"); looked < 10 {
		t.Errorf("%d files were looked at", looked)
	}
	likeALoad(t, whole, lake)
	for _, r := range []*usagelake.Report{want, got} {
		r.Seconds, r.BytesRead = 0, 0
	}
	if d := gocmp.Diff(indented(t, want), indented(t, got)); d != "" {
		t.Errorf("-load +steps\n%s", d)
	}
	if _, err := usagelake.PlanRun(t.Context(), cfg, "other"); err != nil {
		t.Fatal(err)
	}
	cfg.HashIDs = writeKey(t, filepath.Join(dir, "other.key"), "o")
	if _, err := usagelake.OpenRun(t.Context(), stepConfig(cfg), "other"); !errors.Is(err, usagelake.ErrUsage) {
		t.Errorf("with another key: %v", err)
	}
}

// clearly fails for every file below a directory that holds a text. It counts them.
func clearly(t *testing.T, fsys disk.FS, dir, text string) (files int) {
	t.Helper()
	entries, err := fsys.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		path := dir + "/" + e.Name()
		if e.IsDir() {
			files += clearly(t, fsys, path, text)
			continue
		}
		files++
		data, err := disk.ReadFile(fsys, path)
		if err != nil {
			t.Fatal(err)
		}
		if i := strings.Index(string(data), text); i >= 0 {
			t.Errorf("%s holds %q", path, data[max(i-40, 0):min(i+40, len(data))])
		}
	}
	return files
}

// A stepStore is a file system of a lake that can be copied and disturbed.
type stepStore interface {
	disk.FS
	copied() stepStore
	disturbed(fail, answer func(int, string) error) disk.FS
}

type memStore struct{ *faults.Mem }

func (m memStore) copied() stepStore { return memStore{m.Copy()} }

func (m memStore) disturbed(fail, answer func(int, string) error) disk.FS {
	return &faults.FS{FS: m.Mem, Fail: fail, Answer: answer}
}

type objectStore struct{ *faults.Objects }

func (o objectStore) copied() stepStore { return objectStore{o.Copy()} }

func (o objectStore) disturbed(fail, answer func(int, string) error) disk.FS {
	return faults.Share(o.Objects, fail, answer)
}

// The example logs in steps, every step done by three at once, have the bytes of a load.
func TestStepsOfExampleLogs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	inputs := []string{"testdata/logs"}
	if shared := os.Getenv("USAGELAKE_SHARED"); shared != "" {
		if _, err := os.Stat(filepath.Join(shared, "samples")); err == nil {
			inputs = append(inputs, filepath.Join(shared, "samples"))
		}
	}
	whole, lake := filepath.Join(dir, "whole"), filepath.Join(dir, "lake")
	cfg := usagelake.Config{Inputs: inputs, Lake: whole, MaxQuarantine: "100%", MaxPartitions: 4000}
	load(t, cfg)
	cfg.Lake, cfg.Split = lake, 20_000
	ctx := t.Context()
	twice := func(name string, f func(r *usagelake.Run) error) {
		t.Helper()
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				r, err := usagelake.OpenRun(ctx, usagelake.Config{Lake: lake}, "r")
				if err == nil {
					err = f(r)
				}
				if err != nil && !(name == "commit" && errors.Is(err, usagelake.ErrLocked)) {
					t.Errorf("%s: %v", name, err)
				}
			})
		}
		all.Wait()
	}
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			if _, err := usagelake.PlanRun(ctx, cfg, "r"); err != nil && !errors.Is(err, usagelake.ErrLocked) {
				t.Errorf("plan: %v", err)
			}
		})
	}
	all.Wait()
	twice("map", func(r *usagelake.Run) error {
		_, err := r.Map(ctx, inOrder(r.Maps())...)
		return err
	})
	twice("reduce", func(r *usagelake.Run) error {
		units, err := r.Units(ctx)
		if err != nil {
			return err
		}
		return r.Reduce(ctx, units...)
	})
	twice("commit", func(r *usagelake.Run) error {
		_, err := r.Commit(ctx)
		return err
	})
	if d := gocmp.Diff(hashes(t, whole), hashes(t, lake)); d != "" {
		t.Errorf("other bytes\n%s", d)
	}
	if d := gocmp.Diff(record(t, disk.OS{}, whole), record(t, disk.OS{}, lake)); d != "" {
		t.Errorf("other record\n%s", d)
	}
	if p := problems(t, lake); len(p) > 0 {
		t.Errorf("verify: %q", p)
	}
	if left, err := os.ReadDir(filepath.Join(lake, "state/staging")); err != nil && !errors.Is(err, fs.ErrNotExist) || len(left) > 0 {
		t.Errorf("left in staging: %v, %v", left, err)
	}
}
