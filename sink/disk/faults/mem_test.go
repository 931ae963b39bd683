package faults_test

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"usagelake/sink/disk"
	"usagelake/sink/disk/faults"
)

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// files are all files of a tree and what they hold; directories hold "/".
func files(t testing.TB, fsys disk.FS, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	entries, err := fsys.ReadDir(dir)
	ok(t, err)
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if e.IsDir() {
			out[path] = "/"
			maps.Copy(out, files(t, fsys, path))
			continue
		}
		data, err := disk.ReadFile(fsys, path)
		ok(t, err)
		out[path] = string(data)
	}
	return out
}

// What was synced outlives a crash whole, what was not is there in part, and
// neither file system sees what the other does later.
func TestCrash(t *testing.T) {
	mem := faults.NewMem()
	ok(t, mem.MkdirAll("d", 0o755))
	ok(t, mem.SyncDir("."))
	ok(t, disk.WriteFile(mem, "d/safe", []byte("safe"), 0o600))
	ok(t, mem.SyncDir("d"))
	w, err := mem.Create("d/half", 0o600)
	ok(t, err)
	_, err = w.Write([]byte("synced"))
	ok(t, err)
	ok(t, w.Sync())
	ok(t, mem.SyncDir("d"))
	_, err = w.Write([]byte(", not synced"))
	ok(t, err)
	ok(t, disk.WriteFile(mem, "d/name", []byte("its name is not safe"), 0o600))
	ok(t, mem.Remove("d/safe"))

	seen := map[string]bool{}
	for seed := range uint64(200) {
		left := mem.Crash(rand.New(rand.NewPCG(seed, 0)))
		got := files(t, left, "d")
		again := files(t, mem.Crash(rand.New(rand.NewPCG(seed, 0))), "d")
		if !maps.Equal(got, again) {
			t.Fatalf("seed %d: %v, then %v", seed, got, again)
		}
		half := got["d/half"]
		if !bytes.HasPrefix([]byte("synced, not synced"), []byte(half)) || len(half) < len("synced") {
			t.Errorf("seed %d: of what was synced %q is left", seed, half)
		}
		for _, name := range []string{"d/safe", "d/name"} {
			_, there := got[name]
			seen[fmt.Sprint(name, there)] = true
		}
		seen[fmt.Sprint("whole ", half == "synced, not synced")] = true

		// the copy goes its own way
		ok(t, disk.WriteFile(left, "d/half", []byte("mine"), 0o600))
		ok(t, left.MkdirAll("e", 0o700))
	}
	if want := 6; len(seen) != want {
		t.Errorf("of %d outcomes there were only %v", want, slices.Sorted(maps.Keys(seen)))
	}
	want := map[string]string{"d/half": "synced, not synced", "d/name": "its name is not safe"}
	if got := files(t, mem, "d"); !maps.Equal(got, want) {
		t.Errorf("after all that it holds %v", got)
	}
}

// A directory that is gone for good takes along what was removed from it.
func TestCrashRemovedDirectory(t *testing.T) {
	mem := faults.NewMem()
	ok(t, mem.MkdirAll("top/dir", 0o755))
	ok(t, disk.WriteFile(mem, "top/dir/file", nil, 0o600))
	ok(t, mem.SyncDir("."))
	ok(t, mem.SyncDir("top"))
	ok(t, mem.SyncDir("top/dir"))
	ok(t, mem.Remove("top/dir/file"))
	ok(t, mem.Remove("top/dir"))
	ok(t, mem.SyncDir("top"))
	ok(t, mem.MkdirAll("top/dir", 0o755))
	for seed := range uint64(20) {
		left := mem.Crash(rand.New(rand.NewPCG(seed, 0)))
		if _, err := left.Open("top/dir/file"); err == nil {
			t.Fatalf("seed %d: the file is back: %v", seed, files(t, left, "top"))
		}
	}
}

// Whatever is done to a file system, its copy is the same, and goes its own
// way from there; what is synced, name and data, outlives every crash.
func TestCopy(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mem := faults.NewMem()
		for _, d := range []string{"a", "b"} {
			if err := mem.MkdirAll(d, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := mem.SyncDir("."); err != nil {
			t.Fatal(err)
		}
		path := rapid.SampledFrom([]string{"a/1", "a/2", "a/3", "b/1", "b/2"})
		writers := map[string]disk.Writer{}
		step := func(fsys disk.FS) {
			switch p := path.Draw(t, "path"); rapid.IntRange(0, 6).Draw(t, "op") {
			case 0:
				writers[p], _ = fsys.Create(p, 0o600)
			case 1, 2:
				if w := writers[p]; w != nil {
					_, _ = w.Write([]byte(rapid.StringN(0, 5, 9).Draw(t, "text")))
				}
			case 3:
				if w := writers[p]; w != nil {
					_ = w.Sync()
				}
			case 4:
				_ = fsys.Rename(p, path.Draw(t, "to"))
			case 5:
				_ = fsys.Remove(p)
			case 6:
				_ = fsys.SyncDir(filepath.Dir(p))
			}
		}
		for range rapid.IntRange(0, 40).Draw(t, "steps") {
			step(mem)
		}
		before := tree(t, mem)
		rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		copied, crashed := mem.Copy(), mem.Crash(rnd)
		if got := tree(t, copied); !maps.Equal(got, before) {
			t.Fatalf("the copy of %v holds %v", before, got)
		}
		// of a crashed file system nothing more is lost by a crash
		after := tree(t, crashed)
		if got := tree(t, crashed.Crash(rnd)); !maps.Equal(got, after) {
			t.Fatalf("%v, after a second crash %v", after, got)
		}
		for range 10 {
			step(mem)
		}
		if got := tree(t, copied); !maps.Equal(got, before) {
			t.Fatalf("the copy of %v became %v", before, got)
		}
		if got := tree(t, crashed); !maps.Equal(got, after) {
			t.Fatalf("what was left of a crash, %v, became %v", after, got)
		}
		before = tree(t, mem)
		writers = map[string]disk.Writer{} // those of mem
		for range 10 {
			step(copied)
		}
		if got := tree(t, mem); !maps.Equal(got, before) {
			t.Fatalf("%v became %v by what was done to its copy", before, got)
		}
	})
}

// tree is files without a test.
func tree(t *rapid.T, fsys disk.FS) map[string]string {
	out := map[string]string{}
	for _, dir := range []string{"a", "b"} {
		entries, err := fsys.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			data, err := disk.ReadFile(fsys, filepath.Join(dir, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			out[filepath.Join(dir, e.Name())] = string(data)
		}
	}
	return out
}

func lake(t testing.TB) *faults.Mem {
	mem := faults.NewMem()
	ok(t, mem.MkdirAll("lake/state/staging", 0o755))
	for i := range 40 {
		dir := fmt.Sprintf("lake/usage/event_date=%02d", i)
		ok(t, mem.MkdirAll(dir, 0o755))
		staged := fmt.Sprintf("lake/state/staging/%02d", i)
		ok(t, disk.WriteFile(mem, staged, make([]byte, 30_000), 0o600))
		ok(t, mem.Rename(staged, dir+"/part-0000.parquet"))
		ok(t, mem.SyncDir(dir))
	}
	return mem
}

func BenchmarkCopy(b *testing.B) {
	mem := lake(b)
	for b.Loop() {
		mem.Copy()
	}
}

func BenchmarkCrash(b *testing.B) {
	mem, rnd := lake(b).Copy(), rand.New(rand.NewPCG(0, 0))
	for b.Loop() {
		mem.Crash(rnd)
	}
}
