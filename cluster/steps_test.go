package cluster

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// A work is one load cut into steps, and what goes wrong with them.
type work struct {
	program program
	lake    lake
	id      string
	maps    int
	reduces int
	twins   bool          // every shard is started twice at once
	kills   int           // shards of map, and of reduce, that are killed
	within  time.Duration // the time after the start in which they are
	split   string        // of plan, "" for its default

	mu  sync.Mutex
	hit int // that were running when they were killed
}

// step is the arguments of a step, without those of plan.
func (w *work) step(name string, args ...string) []string {
	return append([]string{"step", name, "--lake", w.lake.url, "--run", w.id}, args...)
}

func (w *work) plan(t *testing.T, inputs ...string) result {
	t.Helper()
	args := w.step("plan", inputs...)
	if w.split != "" {
		args = append(args, "--split", w.split)
	}
	return w.program.must(t, args)
}

// shards runs all shards of a step, as a scheduler would: what was killed, or
// ended with 75, is started again.
func (w *work) shards(t *testing.T, name string, n int) {
	t.Helper()
	rnd := rand.New(rand.NewPCG(*seed, uint64(n)))
	doomed := map[int]time.Duration{}
	for len(doomed) < min(w.kills, n) {
		doomed[rnd.IntN(n)] = time.Duration(rnd.Int64N(int64(w.within) + 1))
	}
	var all []func()
	for i := range n {
		for twin := range 2 {
			if twin == 1 && !w.twins {
				continue
			}
			all = append(all, func() {
				args := w.step(name, "--shard", fmt.Sprintf("%d/%d", i, n))
				for attempt := range 20 {
					r := w.program.start(t, args...)
					if after, ok := doomed[i]; ok && attempt == 0 {
						time.AfterFunc(after, r.kill)
					}
					switch ended := r.wait(); ended.code {
					case ok:
						return
					case again:
						time.Sleep(100 * time.Millisecond)
					case killed:
						w.mu.Lock()
						w.hit++
						w.mu.Unlock()
					default:
						t.Errorf("usagelake %q: %v", args, ended)
						return
					}
				}
				t.Errorf("usagelake %q: again and again", args)
			})
		}
	}
	together(all...)
	if t.Failed() {
		t.FailNow()
	}
}

// run goes from the plan to the commit.
func (w *work) run(t *testing.T, inputs ...string) {
	t.Helper()
	w.plan(t, inputs...)
	w.shards(t, "map", w.maps)
	w.shards(t, "reduce", w.reduces)
	w.program.must(t, w.step("commit"), ok, look)
}

// kinds of lakes that steps work on.
var kinds = []string{"folder", "store"}

// settle makes a lake of the kind that holds a/, and says where b/ is for it.
func settle(t *testing.T, kind, a, b string) (lake, string) {
	t.Helper()
	at := localLake(t)
	if kind == "store" {
		bucket := shared.bucket(t)
		at = bucket.lake("lake")
		bucket.put(t, "in/b", b)
		b = bucket.url("in/b")
	}
	shared.at(t, shared.addr).must(t, load(at.url, a))
	return at, b
}

// Four processes, each twice, two of which are killed and started again, come to
// the bytes of one load, on a lake that holds copies of what they bring.
func TestSteps(t *testing.T) {
	t.Parallel()
	calls := 3000
	if *long {
		calls = 30_000
	}
	a, b := history(t, t.TempDir(), calls)
	program := shared.at(t, shared.addr)
	reference := localLake(t)
	program.must(t, load(reference.url, a))
	program.must(t, load(reference.url, b), ok, look)
	want := reference.table(t)
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			at, b := settle(t, kind, a, b)
			before := at.table(t)
			w := &work{program: program, lake: at, id: "night-1", maps: 4, reduces: 3, twins: true, kills: 2, within: 300 * time.Millisecond, split: "64KiB"}
			w.plan(t, b)
			w.plan(t, b) // adopts the plan that is there
			program.must(t, w.step("reduce", "--shard", "0/3"), again)
			program.must(t, w.step("commit"), again)
			w.shards(t, "map", w.maps)
			program.must(t, w.step("commit"), again)
			w.shards(t, "reduce", w.reduces)
			w.kills = 0
			w.shards(t, "map", 3) // all is done, whatever the number
			w.shards(t, "reduce", 5)
			at.same(t, before)
			program.must(t, w.step("commit"), ok, look)
			at.same(t, want)
			program.verified(t, at.url)
			r := program.must(t, w.step("commit", "-v"))
			t.Logf("commit again: %s%s", r.out, r.err)
			if r.out+r.err == "" {
				t.Error("commit again does not say so")
			}
			at.same(t, want)
			r = program.must(t, load(at.url, b))
			if !strings.HasPrefix(r.out, "nothing new") {
				t.Errorf("loaded again: %v", r)
			}
			at.tidy(t)
			t.Logf("%d processes were killed while they ran", w.hit)
		})
	}
}

// A run into an empty lake, without a shard that has nothing to do being in the way.
func TestStepsFirst(t *testing.T) {
	t.Parallel()
	logs := t.TempDir()
	write(t, filepath.Join(logs, "a.jsonl"), call("c", day, 1, 1)+message("m", day, 2, 2))
	program := shared.at(t, shared.addr)
	reference := localLake(t)
	program.must(t, load(reference.url, logs))
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			at := localLake(t)
			if kind == "store" {
				at = shared.bucket(t).lake("lake")
			}
			w := &work{program: program, lake: at, id: "first", maps: 5, reduces: 5}
			w.run(t, logs)
			at.same(t, reference.table(t))
			program.verified(t, at.url)
			w.id = "second" // nothing new
			w.run(t, logs)
			at.same(t, reference.table(t))
		})
	}
}

// Another load publishes between plan and commit: 75, and a new plan goes through.
func TestStepsMoved(t *testing.T) {
	t.Parallel()
	a, b := history(t, t.TempDir(), 300)
	other := t.TempDir()
	write(t, filepath.Join(other, "o.jsonl"), call("other", day, 1, 1))
	program := shared.at(t, shared.addr)
	reference := localLake(t)
	for _, in := range []string{a, other, b} {
		program.must(t, load(reference.url, in), ok, look)
	}
	want := reference.table(t)
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			at, b := settle(t, kind, a, b)
			w := &work{program: program, lake: at, id: "early", maps: 2, reduces: 2}
			w.plan(t, b)
			w.shards(t, "map", 2)
			w.shards(t, "reduce", 2)
			program.must(t, load(at.url, other))
			before := at.table(t)
			for _, step := range [][]string{{"commit"}, {"commit"}, {"map", "--shard", "0/1"}, {"reduce", "--shard", "0/1"}} {
				r := program.must(t, w.step(step[0], step[1:]...), again)
				if !strings.Contains(r.err, "plan") {
					t.Errorf("step %s does not say that it must be planned again: %s", step[0], r.err)
				}
			}
			at.same(t, before)
			r := program.run(t, w.step("plan", b)...)
			t.Logf("plan under the same id: %v", r)
			w.id = "late"
			w.run(t, b)
			at.same(t, want)
			program.verified(t, at.url)
			program.must(t, load(at.url, b))
			at.tidy(t)
		})
	}
}

// Two runs are planned over one state: one commits, the other plans again.
func TestStepsRivals(t *testing.T) {
	t.Parallel()
	a, b := history(t, t.TempDir(), 300)
	program := shared.at(t, shared.addr)
	reference := localLake(t)
	for _, in := range []string{a, filepath.Join(b, "app"), filepath.Join(b, "packed")} {
		program.must(t, load(reference.url, in), ok, look)
	}
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			at, b := settle(t, kind, a, b)
			inputs := []string{b + "/app", b + "/packed"}
			runs := make([]*work, 2)
			for i, in := range inputs {
				runs[i] = &work{program: program, lake: at, id: fmt.Sprint("run", i), maps: 2, reduces: 2}
				runs[i].plan(t, in)
			}
			together(func() { runs[0].shards(t, "map", 2) }, func() { runs[1].shards(t, "map", 2) })
			together(func() { runs[0].shards(t, "reduce", 2) }, func() { runs[1].shards(t, "reduce", 2) })
			codes := make([]int, 2)
			commit := func(i int) func() {
				return func() { codes[i] = program.run(t, runs[i].step("commit")...).code }
			}
			together(commit(0), commit(1))
			t.Logf("exit codes %v", codes)
			done := 0
			for i, code := range codes {
				switch code {
				case ok, look:
					done++
				case again:
					if program.run(t, runs[i].step("commit")...).code == ok { // it was locked
						t.Error("a plan over an old state was committed")
					}
					runs[i].id += "again"
					runs[i].run(t, inputs[i])
				default:
					t.Errorf("commit: exit code %d", code)
				}
			}
			if done != 1 {
				t.Errorf("%d commits went through, want 1", done)
			}
			at.same(t, reference.table(t))
			program.verified(t, at.url)
		})
	}
}

// Inputs that change between plan and map: what was planned is loaded if it is
// still there, and nothing else is published under its name.
func TestStepsChanged(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		for name, change := range map[string]func(t *testing.T, dir string){
			"grown": func(t *testing.T, dir string) {
				extend(t, filepath.Join(dir, "large.jsonl"), call("late", day, 1, 1))
			},
			"replaced": func(t *testing.T, dir string) {
				write(t, filepath.Join(dir, "large.jsonl"), strings.Repeat(call("same", day, 1, 1), 2000))
			},
			"shorter": func(t *testing.T, dir string) {
				if err := os.Truncate(filepath.Join(dir, "large.jsonl"), 70_001); err != nil {
					t.Fatal(err)
				}
			},
			"gone": func(t *testing.T, dir string) {
				if err := os.Remove(filepath.Join(dir, "large.jsonl")); err != nil {
					t.Fatal(err)
				}
			},
		} {
			t.Run(kind+", "+name, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				var text strings.Builder
				for i := range 3000 {
					text.WriteString(call(fmt.Sprint("c", i), day.Add(time.Duration(i)*time.Minute), i, 1))
				}
				write(t, filepath.Join(dir, "large.jsonl"), text.String())
				write(t, filepath.Join(dir, "small.jsonl"), call("small", day, 1, 1))
				program := shared.at(t, shared.addr)
				planned, changed := localLake(t), localLake(t)
				program.must(t, load(planned.url, dir))

				at, in, put := localLake(t), dir, func() {}
				if kind == "store" {
					bucket := shared.bucket(t)
					at, in = bucket.lake("lake"), bucket.url("in/")
					put = func() {
						bucket.remove(t, "in/")
						bucket.put(t, "in", dir)
					}
				}
				put()
				w := &work{program: program, lake: at, id: "r", maps: 2, reduces: 2, split: "64KiB"}
				w.plan(t, in)
				change(t, dir)
				put()
				program.must(t, load(changed.url, dir))
				last := ok // exit code of the commit, which says whether an input was left out
				for _, args := range [][]string{{"map", "--shard", "0/2"}, {"map", "--shard", "1/2"}, {"reduce", "--shard", "0/1"}, {"commit"}} {
					r := program.run(t, w.step(args[0], args[1:]...)...)
					t.Logf("%s: exit code %d %s", args, r.code, r.err)
					last = r.code
					if r.code == usage || r.code == killed {
						t.Errorf("%s: exit code %d", args, r.code)
					}
				}
				// The table is then that of a load of what was planned, or of what is
				// there, or of a part of it; and a load brings what is there now.
				got := at.table(t)
				if len(got) > 0 {
					program.verified(t, at.url)
				}
				is := "something else"
				for what, table := range map[string]table{"nothing": {}, "what was planned": planned.table(t), "what is there": changed.table(t)} {
					if diff(table, got) == "" {
						is = what
					}
				}
				t.Logf("published: %s", is)
				if last == ok && is != "what was planned" && is != "what is there" {
					t.Errorf("neither what was planned nor what is there:\n%s", diff(planned.table(t), got))
				}
				program.must(t, load(at.url, in))
				program.verified(t, at.url)
				after := changed
				if is == "what was planned" { // both are in it
					after = planned
					program.must(t, load(after.url, dir))
				}
				at.same(t, after.table(t))
				r := program.must(t, load(at.url, in))
				if !strings.HasPrefix(r.out, "nothing new") {
					t.Errorf("loaded again: %v", r)
				}
			})
		}
	}
}

// Engines say which shard a process is by variables of their own.
func TestStepsEnvironment(t *testing.T) {
	t.Parallel()
	a, b := history(t, t.TempDir(), 200)
	program := shared.at(t, shared.addr)
	reference := localLake(t)
	program.must(t, load(reference.url, a))
	program.must(t, load(reference.url, b), ok, look)
	want := reference.table(t)
	for name, engine := range map[string]struct {
		env  func(i int) []string
		args []string
	}{
		"Kubernetes": {func(i int) []string { return []string{fmt.Sprint("JOB_COMPLETION_INDEX=", i)} }, []string{"--shards", "3"}},
		"AWS Batch": {func(i int) []string {
			return []string{fmt.Sprint("AWS_BATCH_JOB_ARRAY_INDEX=", i), "AWS_BATCH_JOB_ARRAY_SIZE=3"}
		}, nil},
		"SLURM": {func(i int) []string {
			return []string{fmt.Sprint("SLURM_ARRAY_TASK_ID=", i+1), "SLURM_ARRAY_TASK_COUNT=3", "SLURM_ARRAY_TASK_MIN=1"}
		}, nil},
		"Cloud Run": {func(i int) []string {
			return []string{fmt.Sprint("CLOUD_RUN_TASK_INDEX=", i), "CLOUD_RUN_TASK_COUNT=3"}
		}, nil},
		"Google Batch": {func(i int) []string { return []string{fmt.Sprint("BATCH_TASK_INDEX=", i), "BATCH_TASK_COUNT=3"} }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			at, b := settle(t, "folder", a, b)
			w := &work{program: program, lake: at, id: "r"}
			w.plan(t, b)
			for _, step := range []string{"map", "reduce"} {
				for i := range 3 {
					program.with(engine.env(i)...).must(t, w.step(step, engine.args...))
				}
			}
			program.must(t, w.step("commit"), ok, look)
			at.same(t, want)
		})
	}
}

// What can never succeed ends with 2, so that no scheduler tries it again.
func TestStepsUsage(t *testing.T) {
	t.Parallel()
	logs := filepath.Join(t.TempDir(), "a.jsonl")
	write(t, logs, call("c", day, 1, 1))
	program := shared.at(t, shared.addr)
	w := &work{program: program, lake: localLake(t), id: "r"}
	w.plan(t, logs)
	for name, args := range map[string][]string{
		"shard behind the last": w.step("map", "--shard", "2/2"),
		"negative shard":        w.step("map", "--shard", "-1/2"),
		"no shards":             w.step("map", "--shard", "0/0"),
		"no number":             w.step("reduce", "--shard", "a/b"),
		"no run":                {"step", "commit", "--lake", w.lake.url},
		"a bad id":              {"step", "plan", logs, "--lake", w.lake.url, "--run", "../x"},
		"an empty id":           {"step", "plan", logs, "--lake", w.lake.url, "--run", ""},
		"no such input":         {"step", "plan", logs + "x", "--lake", w.lake.url, "--run", "q"},
		"a bad split":           {"step", "plan", logs, "--lake", w.lake.url, "--run", "q", "--split", "-3"},
		"no such step":          {"step", "shuffle", "--lake", w.lake.url, "--run", "r"},
	} {
		if r := program.run(t, args...); r.code != usage {
			t.Errorf("%s: %v, want exit code 2", name, r)
		}
	}
	for _, step := range []string{"map", "reduce", "commit"} {
		args := []string{"step", step, "--lake", w.lake.url, "--run", "unplanned"}
		if step != "commit" {
			args = append(args, "--shard", "0/1")
		}
		r := program.run(t, args...)
		t.Logf("%s of a run that is not planned: %v", step, r)
		if r.code == ok {
			t.Errorf("%s of a run that is not planned: %v", step, r)
		}
	}
}

// The machine dies before, or after, any request of any step that changes
// something: the step is done again, and the table is that of a load.
func TestStepsCrash(t *testing.T) {
	t.Parallel()
	s := story(t, 200)
	s.bucket.put(t, "in/b", s.b)
	b := s.bucket.url("in/b")
	shared.at(t, shared.addr).must(t, load(s.bucket.url("base"), s.a))
	steps := [][]string{{"plan", b, "--split", "64KiB"}, {"map", "--shard", "0/1"}, {"reduce", "--shard", "0/1"}, {"commit"}}
	crash := func(t *testing.T, name string, decide func(step string, a asked) fate) (writes map[string]int) {
		prefix := strings.NewReplacer(" ", "-").Replace(name)
		s.bucket.clone(t, "base/", prefix+"/")
		w := &work{program: shared.at(t, shared.addr), lake: s.bucket.lake(prefix), id: "r"}
		writes = map[string]int{}
		for _, step := range steps {
			p := proxied(t, shared.addr)
			p.faults(func(a asked) fate { return decide(step[0], a) })
			args := w.step(step[0], step[1:]...)
			r := shared.at(t, p.addr).start(t, args...)
			select {
			case <-p.down:
				r.kill()
				r.wait()
				w.program.must(t, args, ok, look)
			case <-r.done:
				r.wait().want(t, args, ok, look)
			}
			for _, a := range p.requests() {
				writes[step[0]] = max(writes[step[0]], a.write)
			}
		}
		w.lake.same(t, s.after)
		w.program.verified(t, w.lake.url)
		w.program.must(t, load(w.lake.url, b))
		w.lake.tidy(t)
		s.bucket.remove(t, prefix+"/")
		return writes
	}
	writes := crash(t, "none", func(string, asked) fate { return fate{} })
	t.Logf("requests that change something: %v", writes)
	for i, step := range steps {
		for k := range 2 * writes[step[0]] {
			if !*long && k != [...]int{1, 2*writes[step[0]] - 2}[i%2] { // by turns after the first, and before the last
				continue
			}
			cut, write := before+when(k%2), k/2+1
			name := fmt.Sprintf("%s %s write %d", step[0], [...]string{before: "before", after: "after"}[cut], write)
			t.Run(name, func(t *testing.T) {
				crash(t, name, func(now string, a asked) fate {
					if now == step[0] && a.write == write {
						return fate{cut: cut, down: true}
					}
					return fate{}
				})
			})
		}
	}
}
