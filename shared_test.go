package usagelake_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"usagelake"
	"usagelake/sink/disk"
	"usagelake/sink/disk/faults"
)

// never fails.
func never(int, string) error { return nil }

// kept is a tree without what runs have staged: where no lock is, that of a run
// that was killed stays until another has published.
func (a tree) kept() tree {
	out := tree{}
	for path, sum := range a {
		if !strings.HasPrefix(path, faultyLake+"/state/staging/") {
			out[path] = sum
		}
	}
	return out
}

// TestSharedFaults disturbs every kind of change of a lake in a store: it is
// killed before an operation, or one fails, or the answer to one is lost, with or
// without all that follows. The lake is as before or as after, as the run said,
// and a second run makes it what it should be.
func TestSharedFaults(t *testing.T) {
	t.Parallel()
	stride := 7
	switch {
	case *long:
		stride = 1
	case testing.Short():
		stride = 23
	}
	for _, d := range deeds(t) {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			before := faults.NewObjects()
			for _, step := range d.steps {
				if err := run(step, before, nil); err != nil {
					t.Fatal(err)
				}
			}
			after := before.Copy()
			ops := 0
			if err := run(d.change, faults.Share(after, func(int, string) error { ops++; return nil }, nil), nil); err != nil {
				t.Fatal(err)
			}
			want := [2]tree{whole(t, before), whole(t, after)}
			if left := want[asAfter].left(); len(left) > 0 || want[asAfter].equal(want[asBefore]) {
				t.Fatalf("undisturbed it leaves %v", left)
			}
			if p := audit(t, after); len(p) > 0 {
				t.Fatal(p)
			}
			over := func(err error) bool { return d.name == "forget" && errors.Is(err, usagelake.ErrUsage) }
			var published, states int
			for n := 0; n < ops; n += stride {
				for _, mode := range []string{"killed", "broken", "answer lost", "answer lost, then killed"} {
					left := before.Copy()
					name := ""
					var mu sync.Mutex
					hit := func(i int, op string, once, first bool) error {
						mu.Lock()
						defer mu.Unlock()
						if i < n || i > n && once || !first && name == "" {
							return nil
						}
						if name == "" {
							name = op
						}
						return syscall.EIO
					}
					fail, answer := never, never
					switch mode {
					case "killed":
						fail = func(i int, op string) error { return hit(i, op, false, true) }
					case "broken":
						fail = func(i int, op string) error { return hit(i, op, true, true) }
					case "answer lost":
						answer = func(i int, op string) error { return hit(i, op, true, true) }
					default:
						answer = func(i int, op string) error { return hit(i, op, true, true) }
						fail = func(i int, op string) error { return hit(i, op, false, false) }
					}
					fsys := faults.Share(left, fail, answer)
					err := run(d.change, fsys, nil)
					at := fmt.Sprintf("%s at operation %d (%s): %v", mode, n, name, err)
					if n := fsys.Held(); n != 0 {
						t.Errorf("%s: %d files are open", at, n)
					}
					states++
					lives := !strings.Contains(mode, "killed")
					unclear := err != nil && strings.Contains(err.Error(), "is not known")
					if now := whole(t, left); lives && name != "remove" && name != "readdir" && !unfinished(err) && len(now.left()) > 0 {
						t.Errorf("%s: it leaves %v", at, now.left())
					}
					again := left.Copy()
					for _, p := range audit(t, left) {
						t.Errorf("%s: %s", at, p)
					}
					now := whole(t, left).kept()
					end := neither
					for i := range want {
						if now.equal(want[i].kept()) {
							end = i
						}
					}
					if end == neither && d.fresh && !slices.ContainsFunc(slices.Collect(maps.Keys(now)), func(p string) bool { return strings.HasSuffix(p, "parquet") }) {
						end = asBefore // there may be a lake without records
					}
					if end == asAfter {
						published++
					}
					switch {
					case end == neither:
						t.Errorf("%s: the lake is neither as before nor as after: %s", at, cmp.Diff(want[asAfter].kept(), now))
					case err == nil && end != asAfter:
						t.Errorf("%s: it said that it went well", at)
					case err != nil && lives && !unclear && unfinished(err) != (end == asAfter):
						t.Errorf("%s: it ends %d", at, end)
					}
					if err := run(d.change, again, nil); err != nil && !(end == asAfter && over(err)) {
						t.Errorf("%s: a second run: %v", at, err)
					}
					if d := cmp.Diff(want[asAfter], whole(t, again)); d != "" {
						t.Errorf("%s: a second run makes\n%s", at, d)
					}
				}
			}
			t.Logf("%d operations: %d states, %d published", ops, states, published)
		})
	}
}

// A hold stops a run before an operation.
type hold struct {
	at      int
	reached chan struct{}
	goOn    chan struct{}
	ended   chan struct{}
	err     error
	mu      sync.Mutex
	ops     []string
}

// held starts a change that stops before its operation at, and returns when it
// has stopped there or has ended.
func held(change func(usagelake.Config) error, o *faults.Objects, at int) *hold {
	h := &hold{at: at, reached: make(chan struct{}), goOn: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		defer close(h.ended)
		h.err = run(change, faults.Share(o, func(n int, op string) error {
			h.mu.Lock()
			h.ops = append(h.ops, op)
			h.mu.Unlock()
			if n == h.at {
				close(h.reached)
				<-h.goOn
			}
			return nil
		}, nil), nil)
	}()
	select {
	case <-h.reached:
	case <-h.ended:
	}
	return h
}

// finish lets the change go on, and returns its error.
func (h *hold) finish() error {
	close(h.goOn)
	<-h.ended
	return h.err
}

// TestTwoRuns lets two runs change one lake in a store. One is held before each
// of its operations while the other runs to its end, or up to each of the
// operations with which it publishes. In the end the table is what some order of
// the two makes, or the one alone; whoever got none of it in was told to run
// again, and that makes it whole.
func TestTwoRuns(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	loads := func(inputs ...string) func(usagelake.Config) error {
		return func(cfg usagelake.Config) error {
			cfg.Inputs = inputs
			_, err := usagelake.Load(context.Background(), cfg)
			return err
		}
	}
	forget := func(source string) func(usagelake.Config) error {
		return func(cfg usagelake.Config) error {
			_, err := usagelake.Forget(context.Background(), cfg, source)
			return err
		}
	}
	file := func(name, text string) string { return write(t, filepath.Join(dir, name), text) }
	at := func(days int) int64 { return day.Unix() + int64(days)*86_400 + 60 }
	one := file("one.jsonl", call("kept", at(0), 1, 1)+call("one", at(0), 1, 1)+"{\"broken\":\n")
	two := file("two.jsonl", call("kept", at(0), 1, 2)+call("two", at(1), 1, 1)+"{\"too\":\n")
	gone := file("gone.jsonl", call("gone", at(2), 1, 1)+"{\"gone\":\n")
	back := file("back.jsonl", call("back", at(2), 7, 1)+call("kept", at(0), 1, 9))
	for _, c := range []struct {
		name   string
		before []func(usagelake.Config) error
		a, b   func(usagelake.Config) error
	}{
		{"first loads", nil, loads(one), loads(two)},
		{"loads", []func(usagelake.Config) error{loads(gone)}, loads(one), loads(two)},
		{"the same load", []func(usagelake.Config) error{loads(gone)}, loads(one), loads(one)},
		{"a file goes and comes back", []func(usagelake.Config) error{loads(gone, one)}, forget(gone), loads(back)},
		{"a file goes and the same comes back", []func(usagelake.Config) error{loads(gone, one)}, forget(gone), loads(gone)},
		{"a load while a file goes", []func(usagelake.Config) error{loads(gone, one)}, loads(back), forget(gone)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			before := faults.NewObjects()
			for _, step := range c.before {
				if err := run(step, before, nil); err != nil {
					t.Fatal(err)
				}
			}
			serial := func(changes ...func(usagelake.Config) error) tree {
				o := before.Copy()
				for _, change := range changes {
					if err := run(change, o, nil); err != nil {
						t.Fatal(err)
					}
				}
				if p := audit(t, o); len(p) > 0 {
					t.Fatal(p)
				}
				return tableAndQuarantine(t, o)
			}
			alone, ab, ba := serial(c.b), serial(c.a, c.b), serial(c.b, c.a)
			onlyA := serial(c.a)
			var both, overtaken int // runs that were
			check := func(o *faults.Objects, at string, errA, errB error) {
				for _, err := range []error{errA, errB} {
					if err != nil && !errors.Is(err, usagelake.ErrOvertaken) {
						t.Errorf("%s: %v", at, err)
					}
				}
				for _, p := range audit(t, o) {
					t.Errorf("%s: %s", at, p)
				}
				got := tableAndQuarantine(t, o)
				var want []tree
				switch {
				case errA == nil && errB == nil:
					both++
					want = []tree{ab, ba}
				case errA != nil && errB != nil:
					t.Errorf("%s: neither of the two: %v, %v", at, errA, errB)
				case errA != nil:
					overtaken++
					want = []tree{alone}
				default:
					overtaken++
					want = []tree{onlyA}
				}
				if !slices.ContainsFunc(want, got.equal) {
					t.Errorf("%s: %v, %v, and the table is none of %d serial ones: %s", at, errA, errB, len(want), cmp.Diff(want[0], got))
				}
				want = []tree{ab, ba}
				for i, err := range []error{errA, errB} {
					if err != nil {
						if err := run([]func(usagelake.Config) error{c.a, c.b}[i], o, nil); err != nil {
							t.Errorf("%s: once more: %v", at, err)
						}
					}
				}
				if got := tableAndQuarantine(t, o); !slices.ContainsFunc(want, got.equal) {
					t.Errorf("%s: once more: the table is none of two serial ones", at)
				}
				if left := whole(t, o).left(); len(left) > 0 && errA == nil && errB == nil {
					t.Errorf("%s: %v are left", at, left)
				}
			}
			a := held(c.a, before.Copy(), -1)
			<-a.ended
			first := slices.Index(a.ops, "putnew") // of publishing; of a new lake it is its settings
			if c.before == nil {
				first += 1 + slices.Index(a.ops[first+1:], "putnew")
			}
			stride := 3
			switch {
			case *long:
				stride = 1
			case testing.Short():
				stride = 7
			}
			for k := 0; k <= len(a.ops); k++ {
				if k < first && k%(4*stride) != 0 {
					continue
				}
				o := before.Copy()
				a := held(c.a, o, k)
				b := held(c.b, o, -1)
				check(o, fmt.Sprintf("held at %d", k), a.finish(), b.err)
				if b.err != nil {
					t.Errorf("held at %d: the other one: %v", k, b.err)
				}
				if k < first-1 || k%stride != 0 {
					continue
				}
				// B is held too, and A ends first
				for j := slices.Index(b.ops, "putnew"); j >= 0 && j < len(b.ops); j += stride {
					o := before.Copy()
					a, b := held(c.a, o, k), held(c.b, o, j)
					errA := a.finish()
					check(o, fmt.Sprintf("held at %d, the other at %d", k, j), errA, b.finish())
				}
			}
			t.Logf("%d operations, publishing from %d on: both %d times, one alone %d times", len(a.ops), first, both, overtaken)
		})
	}
}

// tableAndQuarantine are the files that people see.
func tableAndQuarantine(t *testing.T, fsys disk.FS) tree {
	out := table(t, fsys)
	for path, sum := range treeOf(t, fsys, faultyLake+"/quarantine") {
		_, name := filepath.Split(path)
		out["quarantine/"+name] = sum
	}
	return out
}
