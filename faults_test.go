package usagelake_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/google/go-cmp/cmp"
	"github.com/zeebo/xxh3"

	"usagelake"
	"usagelake/sink/disk"
	"usagelake/sink/disk/faults"
	"usagelake/sink/ledger"
)

// faultyLake is the path of the lakes of this file, which are in memory.
const faultyLake = "lake"

// A scene is a change of a lake, to be disturbed.
type scene struct {
	name   string
	before *faults.Mem
	change func(usagelake.Config) error
	does   string // to the files of the table

	fresh bool // there is no lake before
	begun bool // the change was decided on before: it must come about whatever happens

	table [2]tree // both tables before and after
	whole [2]tree // the lake with all that is beside the table
	ops   []string

	spills bool
}

// The two ways a change can end.
const (
	asBefore = iota
	asAfter
	neither
)

// run makes a change of a lake.
func run(change func(usagelake.Config) error, fsys disk.FS, mem memory.Allocator) error {
	return change(usagelake.Config{
		Lake: faultyLake, Jobs: 1, FS: fsys, Allocator: mem,
		Now: func() time.Time { return fileTime },
	})
}

// A deed is a change of a lake, and what makes the lake of before.
type deed struct {
	name   string
	does   string // to the files of the table
	fresh  bool   // there is no lake before
	change func(usagelake.Config) error
	steps  []func(usagelake.Config) error
}

// deeds are all kinds of change, each with all that it can do at once.
func deeds(t *testing.T) []deed {
	dir := t.TempDir()
	input := func(name, text string) string { return write(t, filepath.Join(dir, name), text) }
	loads := func(memory int64, inputs ...string) func(usagelake.Config) error {
		return func(cfg usagelake.Config) error {
			cfg.Inputs, cfg.Memory = inputs, memory
			_, err := usagelake.Load(context.Background(), cfg)
			return err
		}
	}
	strictly := func(inputs ...string) func(usagelake.Config) error {
		return func(cfg usagelake.Config) error {
			cfg.StrictTime, cfg.MaxLine = true, 160
			return loads(0, inputs...)(cfg)
		}
	}
	replay := func(cfg usagelake.Config) error {
		cfg.EventTime, cfg.Memory = "2026-08-21T12:00:00Z", 1
		_, err := usagelake.Replay(context.Background(), cfg)
		return err
	}
	forget := func(source string) func(usagelake.Config) error {
		return func(cfg usagelake.Config) error {
			cfg.Memory = 1
			_, err := usagelake.Forget(context.Background(), cfg, source)
			return err
		}
	}
	book := input("book.yaml", "book: all\nentries:\n  - {model: \"*\", prices: {input: 1, output: 2, cache_read: 1}}\n")
	reprice := func(cfg usagelake.Config) error {
		cfg.Prices, cfg.From, cfg.To = []string{book}, "2015-01-01", "2100-01-01"
		_, err := usagelake.Reprice(context.Background(), cfg, false)
		return err
	}
	at := func(days int) int64 { return day.Unix() + int64(days)*86_400 + 60 }
	timeless := func(id string) string {
		return fmt.Sprintf(`{"request_id":%q,"model":"m","prompt_tokens":1,"completion_tokens":2}`+"\n", id)
	}

	// The only row of the day before loses to a better copy beyond midnight; a
	// day is merged into, another one added; a log goes on; there are copies
	// within the day, a report that has grown, and something to set aside.
	grows := call("grown", at(0), 1, 1)
	a := input("a.jsonl", line("moved", day.Add(-1e9), 5, 1)+call("kept", at(0), 1, 1)+bucket(at(0), result("g", 1, 1)))
	g := input("grows/before.jsonl", grows)
	b := input("b.jsonl", line("moved", day.Add(1e9), 5, 6)+call("kept", at(0), 1, 2)+
		call("new", at(1), 3, 4)+call("new", at(1), 3, 5)+flat(at(0), result("g", 1, 2))+"{\"broken\":\n")
	more := input("grows/after.jsonl", grows+call("more", at(0), 2, 2))

	// Of what was set aside some can be read with other flags: it merges into a
	// day, opens one, and is a copy. The long ones are not kept whole. The rest
	// stays.
	padded := func(text string) string { return strings.Repeat(" ", 100) + text }
	odd := input("odd.jsonl", timeless("aside")+call("kept", at(0), 1, 1)+"{\"broken\":\n"+padded(call("far", at(2), 1, 1))+padded(call("kept", at(0), 1, 1)))
	odder := input("odder.jsonl", "{\"broken\": again\n"+timeless("other"))
	even := input("even.jsonl", call("even", at(1), 4, 4))

	// One source beat another's rows, has a day of its own and records set
	// aside.
	beaten := input("beaten.jsonl", flat(at(0), result("g", 1, 1))+call("back", at(0), 1, 1)+call("stays", at(0), 1, 1)+"{\"broken\":\n")
	beats := input("beats.jsonl", bucket(at(0), result("g", 2, 1))+call("back", at(0), 1, 9)+call("alone", at(1), 1, 1)+"{\"too\":\n")

	type steps = []func(usagelake.Config) error
	return []deed{
		{name: "first load", does: "3 new", fresh: true, change: loads(1, a, g)},
		{name: "load", does: "1 new, 2 changed, 1 gone", change: loads(1, b, more), steps: steps{loads(0, a, g)}},
		{name: "replay", does: "1 new, 1 changed", change: replay, steps: steps{strictly(odd, odder), strictly(even)}},
		{name: "forget", does: "2 changed, 1 gone", change: forget(beats), steps: steps{loads(0, beaten), loads(0, beats)}},
		{name: "reprice", does: "2 changed", change: reprice, steps: steps{loads(0, a), loads(0, b)}},
	}
}

// scenes are the deeds on a disk, and the recovery of each.
func scenes(t *testing.T) []*scene {
	var list []*scene
	for _, d := range deeds(t) {
		s := &scene{name: d.name, does: d.does, fresh: d.fresh, change: d.change, before: faults.NewMem()}
		for _, step := range d.steps {
			if err := run(step, s.before, nil); err != nil {
				t.Fatal(err)
			}
		}
		list = append(list, s)
	}
	for _, s := range list {
		s.refer(t)
		if does := s.table[asBefore].turns(s.table[asAfter]); does != s.does || s.spills == (s.name == "reprice") {
			t.Fatalf("%s: of the files %s, want %s; spills: %v", s.name, does, s.does, s.spills)
		}
		if dirs, files := s.table[asAfter].count(); dirs != files {
			t.Fatalf("%s: %d directories for %d files", s.name, dirs, files)
		}
	}
	// What a killed process left is a scene of its own: of a change there is
	// nothing but the intent.
	for _, of := range list[1:] {
		s := &scene{name: "recovery of " + of.name, before: of.before.Copy(), change: of.change, begun: true, table: of.table, whole: of.whole}
		fsys := &faults.FS{FS: s.before, Fail: func(int, string) error {
			if hasIntent(s.before) {
				return faults.ErrKilled
			}
			return nil
		}}
		if err := run(s.change, fsys, nil); !errors.Is(err, faults.ErrKilled) {
			t.Fatalf("%s: %v", s.name, err)
		}
		s.before = s.before.Copy()
		s.refer(t)
		list = append(list, s)
	}
	return list
}

// hasIntent reports whether a publication was begun.
func hasIntent(fsys disk.FS) bool {
	entries, _ := fsys.ReadDir(faultyLake + "/state")
	return slices.ContainsFunc(entries, func(e fs.DirEntry) bool {
		return strings.HasPrefix(e.Name(), "intent-") && strings.HasSuffix(e.Name(), ".json")
	})
}

// refer makes the change undisturbed, as the reference.
func (s *scene) refer(t *testing.T) {
	t.Helper()
	mem := s.before.Copy()
	if s.fresh { // the least that a run leaves
		err := run(func(cfg usagelake.Config) error {
			cfg.Inputs, cfg.AllowEmpty = []string{"no such file"}, true
			_, err := usagelake.Load(context.Background(), cfg)
			return err
		}, mem, nil)
		if err != nil {
			t.Fatal(err)
		}
	}
	if !s.begun {
		s.whole[asBefore], s.table[asBefore] = whole(t, mem), table(t, mem)
	}
	mem = s.before.Copy()
	fsys := &faults.FS{FS: mem, Fail: func(_ int, op string) error {
		s.ops = append(s.ops, op)
		if !s.spills {
			f, err := mem.Open(faultyLake + "/state/staging/run-1")
			s.spills = err == nil
			if err == nil {
				f.Close()
			}
		}
		return nil
	}}
	if err := run(s.change, fsys, nil); err != nil && !s.over(err) {
		t.Fatalf("%s: %v", s.name, err)
	}
	if !s.begun {
		s.whole[asAfter], s.table[asAfter] = whole(t, mem), table(t, mem)
	}
	if d := cmp.Diff(s.whole[asAfter], whole(t, mem)); d != "" {
		t.Fatalf("%s: -want +got\n%s", s.name, d)
	}
	if p := audit(t, mem); len(p) > 0 {
		t.Fatalf("%s: %v", s.name, p)
	}
}

// audit is all that is wrong with a lake. Opening it finishes what was begun.
func audit(t *testing.T, fsys disk.FS) []string {
	t.Helper()
	v, err := usagelake.Verify(context.Background(), faultyLake, fsys)
	if errors.Is(err, ledger.ErrNoLake) {
		return nil
	}
	if err != nil {
		return []string{err.Error()}
	}
	lake, err := ledger.Open(fsys, faultyLake, ledger.Options{MustExist: true})
	if err != nil {
		return []string{err.Error()}
	}
	defer lake.Close()
	return append(v.Problems, lake.Audit()...)
}

// A tree is the files below a directory, by path, with the hash of what they
// hold.
type tree map[string]uint64

func (a tree) equal(b tree) bool { return maps.Equal(a, b) }

// key is the tree in short.
func (a tree) key() string {
	h := xxh3.New()
	for _, path := range slices.Sorted(maps.Keys(a)) {
		fmt.Fprintf(h, "%s %x\n", path, a[path])
	}
	return fmt.Sprintf("%x", h.Sum128().Bytes())
}

func whole(t *testing.T, fsys disk.FS) tree { return treeOf(t, fsys, faultyLake) }
func table(t *testing.T, fsys disk.FS) tree {
	out := treeOf(t, fsys, faultyLake+"/usage")
	maps.Copy(out, treeOf(t, fsys, faultyLake+"/reports"))
	return out
}

func treeOf(t *testing.T, fsys disk.FS, dir string) tree {
	t.Helper()
	out := tree{}
	entries, err := fsys.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if e.IsDir() {
			out[path+"/"] = 0
			maps.Copy(out, treeOf(t, fsys, path))
			continue
		}
		data, err := disk.ReadFile(fsys, path)
		if err != nil {
			t.Fatal(err)
		}
		out[path] = xxh3.Hash(data)
	}
	return out
}

// A proof looks at what disturbances of a scene left.
type proof struct {
	*scene
	t     *testing.T
	known map[string]int // how a tree ends, by key: what was looked at once need not be again

	states, published, violations int
}

func (p *proof) wrong(format string, args ...any) {
	p.t.Helper()
	if p.violations++; p.violations <= 20 {
		p.t.Errorf(format, args...)
	}
}

// ends looks at a lake as a disturbance left it. want are the ways in which the
// change may end, now that it was disturbed.
func (p *proof) ends(left *faults.Mem, at string, want ...int) {
	p.t.Helper()
	p.states++
	now := whole(p.t, left)
	key := now.key()
	end, ok := p.known[key]
	if !ok {
		end = p.look(left, now, at)
		p.known[key] = end
	}
	if end == asAfter {
		p.published++
	}
	if end != neither && !slices.Contains(want, end) {
		p.wrong("%s: the lake ends %s", at, [...]string{"as before", "as after"}[end])
	}
}

// look is how a lake ends: it is opened, and in another copy the change is
// made again at once.
func (p *proof) look(left *faults.Mem, now tree, at string) int {
	p.t.Helper()
	p.read(now, at)
	again := left.Copy()
	for _, problem := range audit(p.t, left) {
		p.wrong("%s: %s", at, problem)
	}
	end := neither
	switch now := whole(p.t, left); {
	case now.equal(p.whole[asBefore]):
		end = asBefore
	case now.equal(p.whole[asAfter]):
		end = asAfter
	case p.fresh && !now.hasFile("state/lake.json"):
		end = asBefore
	default:
		p.wrong("%s: the lake is neither as before nor as after: %s", at, cmp.Diff(p.whole[asAfter], now))
	}
	if err := run(p.change, again, nil); err != nil && !(end == asAfter && p.over(err)) {
		p.wrong("%s: a second run: %v", at, err)
	}
	if d := cmp.Diff(p.whole[asAfter], whole(p.t, again)); d != "" {
		p.wrong("%s: a second run makes\n%s", at, d)
	}
	return end
}

func (a tree) hasFile(name string) bool {
	_, ok := a[filepath.Join(faultyLake, name)]
	return ok
}

// count tells directories and files.
func (a tree) count() (dirs, files int) {
	for path := range a {
		if strings.HasSuffix(path, "/") {
			dirs++
		} else {
			files++
		}
	}
	return dirs, files
}

// turns counts the files that differ in a later tree.
func (a tree) turns(b tree) string {
	var fresh, changed, gone int
	for path, sum := range b {
		if was, ok := a[path]; !ok && !strings.HasSuffix(path, "/") {
			fresh++
		} else if ok && was != sum {
			changed++
		}
	}
	for path := range a {
		if _, ok := b[path]; !ok && !strings.HasSuffix(path, "/") {
			gone++
		}
	}
	var list []string
	for _, c := range []struct {
		n    int
		what string
	}{{fresh, "new"}, {changed, "changed"}, {gone, "gone"}} {
		if c.n > 0 {
			list = append(list, fmt.Sprint(c.n, " ", c.what))
		}
	}
	return strings.Join(list, ", ")
}

// left are files that only a run under way has.
func (a tree) left() (paths []string) {
	for path := range a {
		if strings.Contains(path, "/state/staging/") && !strings.HasSuffix(path, "/staging/") || strings.HasSuffix(path, ".tmp") {
			paths = append(paths, path)
		}
	}
	return paths
}

// read looks at the table as a reader does who comes before any recovery:
// every file is the one before or the one after, and one that is there before
// and after is there.
func (p *proof) read(now tree, at string) {
	p.t.Helper()
	before, after := p.table[asBefore], p.table[asAfter]
	for path, sum := range now {
		if !strings.HasPrefix(path, faultyLake+"/usage/") && !strings.HasPrefix(path, faultyLake+"/reports/") || strings.HasSuffix(path, "/") {
			continue
		}
		was, there := before[path]
		will, stays := after[path]
		if !(there && sum == was || stays && sum == will) {
			p.wrong("%s: a reader sees a %s that is neither the one before nor the one after", at, path)
		}
	}
	for path := range before {
		_, stays := after[path]
		if _, ok := now[path]; stays && !ok {
			p.wrong("%s: a reader sees no %s", at, path)
		}
	}
}

// over reports whether an error says that the change was made before: what was
// forgotten is unknown.
func (s *scene) over(err error) bool {
	return strings.HasSuffix(s.name, "forget") && errors.Is(err, usagelake.ErrUsage)
}

// either are the ways in which a change may end that did not come to its end.
func (s *scene) either() []int {
	if s.begun {
		return []int{asAfter}
	}
	return []int{asBefore, asAfter}
}

// promised are the ways in which a change may end by what it said.
func (s *scene) promised(err error) []int {
	if err == nil || s.begun || unfinished(err) {
		return []int{asAfter}
	}
	return []int{asBefore}
}

func unfinished(err error) bool {
	return err != nil && strings.Contains(err.Error(), "will be finished by the next run")
}

// Kinds of operation.
var (
	changes = []string{"mkdir", "create", "write", "sync", "close", "rename", "remove", "syncdir"}
	grows   = []string{"mkdir", "create", "write", "sync", "rename"}
)

// faultModes are how operations fail.
var faultModes = []struct {
	name string
	err  error
	on   []string // operations that fail in this way; nil: all
	last bool     // all that follow fail too
}{
	{"killed", faults.ErrKilled, nil, true},
	{"full", syscall.ENOSPC, nil, false},
	{"full for good", syscall.ENOSPC, grows, true},
	{"broken", syscall.EIO, nil, false},
	{"interrupted", syscall.EINTR, nil, false},
	{"over quota", syscall.EDQUOT, grows, false},
	{"read-only", syscall.EROFS, changes, false},
	{"read-only for good", syscall.EROFS, changes, true},
	{"short", faults.ErrShort, []string{"write"}, false},
}

// TestFaults lets every single operation of a change fail: once, as a disk does
// that is full or broken, for good, or with all that follow, as for a process
// that is killed. What is left then also loses its power. After it every file of
// the table is as before or as after, and so is all of the lake when it is
// opened, as the run said; a second run makes it what it should be, to the byte.
// A run that lives on leaves nothing staged and nothing open. With -long it
// takes every operation.
func TestFaults(t *testing.T) {
	t.Parallel()
	stride := 37
	switch {
	case *long:
		stride = 1
	case testing.Short():
		stride = 97
	}
	prove(t, func(p *proof) {
		for m, mode := range faultModes {
			for n := m % stride; n < len(p.ops); n += stride {
				if mode.on == nil || slices.Contains(mode.on, p.ops[n]) {
					p.fail(n, mode.name, mode.err, mode.on, mode.last)
				}
			}
		}
	})
}

// TestFaultsOfALargeFile is TestFaults where the pieces of a file are written while
// it goes on being made.
func TestFaultsOfALargeFile(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 2))
	var text strings.Builder
	for i := range 70_000 {
		text.WriteString(call(fmt.Sprintf("%016x%016x", rnd.Uint64(), rnd.Uint64()), day.Unix()+int64(i), rnd.IntN(1e6), rnd.IntN(1e6)))
	}
	in := write(t, filepath.Join(t.TempDir(), "in.jsonl"), text.String())
	s := &scene{name: "large file", fresh: true, before: faults.NewMem(), change: func(cfg usagelake.Config) error {
		cfg.Inputs, cfg.Jobs = []string{in}, 2
		_, err := usagelake.Load(context.Background(), cfg)
		return err
	}}
	s.refer(t)
	writes := 0
	p := &proof{scene: s, t: t, known: map[string]int{}}
	for n, op := range s.ops {
		if op != "write" {
			continue
		}
		writes++
		for m, mode := range faultModes {
			if testing.Short() && (writes+m)%7 > 0 {
				continue
			}
			if mode.on == nil || slices.Contains(mode.on, op) {
				p.fail(n, mode.name, mode.err, mode.on, mode.last)
			}
		}
	}
	t.Logf("%d writes: %d states, %d different, %d published, %d violations", writes, p.states, len(p.known), p.published, p.violations)
	if writes < 12 {
		t.Error("the file is written in too few pieces")
	}
}

func (p *proof) fail(n int, mode string, fault error, on []string, last bool) {
	mem := p.before.Copy()
	name := "" // of the operation that fails first
	fsys := &faults.FS{FS: mem, Fail: func(i int, op string) error {
		if i < n || name != "" && !last || on != nil && !slices.Contains(on, op) {
			return nil
		}
		if name == "" {
			name = op
			if errors.Is(fault, faults.ErrKilled) {
				return errors.New("killed") // half of a write may arrive
			}
		}
		return fault
	}}
	alloc := memory.NewCheckedAllocator(memory.NewGoAllocator())
	err := run(p.change, fsys, alloc)
	at := fmt.Sprintf("%s at operation %d (%s): %v", mode, n, name, err)
	if n := alloc.CurrentAlloc(); n != 0 {
		p.wrong("%s: %d bytes of memory are not given back", at, n)
	}
	if n := fsys.Held(); n != 0 {
		p.wrong("%s: %d files are open", at, n)
	}
	killed := errors.Is(fault, faults.ErrKilled)
	// The process lives, so it cleans up, unless just that fails or the next
	// run has something to finish.
	cleans := !killed && name != "remove" && name != "readdir" && !(last && errors.Is(fault, syscall.EROFS))
	if now := whole(p.t, mem); cleans && !p.begun && !unfinished(err) {
		if left := now.left(); len(left) > 0 || !p.fresh && !now.equal(p.whole[asBefore]) && !now.equal(p.whole[asAfter]) {
			p.wrong("%s: it leaves %v; %s", at, left, cmp.Diff(p.whole[asBefore], now))
		}
	}
	off := mem.Crash(rand.New(rand.NewPCG(uint64(n), 1)))
	switch {
	case err == nil:
		p.ends(off, at+", then no power", asAfter)
	default:
		p.ends(off, at+", then no power", p.either()...)
	}
	if killed && err != nil {
		p.ends(mem, at, p.either()...)
	} else {
		p.ends(mem, at, p.promised(err)...)
	}
}

// TestPowerLoss cuts the power at every single file operation of a change. What
// was not synced is lost, by chance, with several seeds. After it all is as
// TestFaults wants it; a change that said that it went well is there.
func TestPowerLoss(t *testing.T) {
	t.Parallel()
	seeds, stride := uint64(3), 37
	switch {
	case *long:
		seeds, stride = 60, 1
	case testing.Short():
		seeds, stride = 2, 43
	}
	prove(t, func(p *proof) {
		mem := p.before.Copy()
		crash := func(n int, op string, want ...int) {
			for seed := range seeds {
				p.ends(mem.Crash(rand.New(rand.NewPCG(seed, uint64(n)))), fmt.Sprintf("no power at operation %d (%s), seed %d", n, op, seed), want...)
			}
		}
		var mu sync.Mutex // operations of several goroutines
		fsys := &faults.FS{FS: mem, Fail: func(n int, op string) error {
			mu.Lock()
			defer mu.Unlock()
			if n%stride == 0 {
				crash(n, op, p.either()...)
			}
			return nil
		}}
		if err := run(p.change, fsys, nil); err != nil && !p.over(err) {
			p.t.Fatal(err)
		}
		crash(fsys.Count(), "none", asAfter)
	})
}

// prove runs a proof of every scene, side by side.
func prove(t *testing.T, each func(*proof)) {
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // the lakes are small
	var mu sync.Mutex
	var states, trees, published, violations int
	t.Run("scenes", func(t *testing.T) {
		for _, s := range scenes(t) {
			t.Run(s.name, func(t *testing.T) {
				t.Parallel()
				p := &proof{scene: s, t: t, known: map[string]int{}}
				each(p)
				mu.Lock()
				defer mu.Unlock()
				states += p.states
				trees += len(p.known)
				published += p.published
				violations += p.violations
				t.Logf("%d operations: %d states, %d different, %d published, %d violations", len(p.ops), p.states, len(p.known), p.published, p.violations)
			})
		}
	})
	t.Logf("%d states, %d of them different, %d published, %d violations", states, trees, published, violations)
}
