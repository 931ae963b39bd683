package usagelake_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"usagelake"
	"usagelake/sink/disk"
	"usagelake/sink/disk/faults"
	"usagelake/sink/ledger"
)

// scene is a load that merges into one day, adds another, removes a third
// (its only row loses to a better copy on the day beside it), and quarantines.
type scene struct{ before, after string }

func newScene(t *testing.T, dir string) scene {
	late, early := day.Add(-1e9), day.Add(1e9)
	return scene{
		before: write(t, filepath.Join(dir, "before", "a.jsonl"), line("moved", late, 5, 1)+call("kept", day.Unix()+60, 1, 1)),
		after: write(t, filepath.Join(dir, "after", "b.jsonl"), line("moved", early, 5, 6)+call("kept", day.Unix()+60, 1, 2)+
			call("new", day.Unix()+86_400, 3, 4)+"{\"broken\":\n"),
	}
}

func (s scene) load(fsys disk.FS, input, lake string) error {
	_, err := usagelake.Load(context.Background(), usagelake.Config{Inputs: []string{input}, Lake: lake, Jobs: 1, FS: fsys})
	return err
}

// TestFaults lets every single operation of a load fail: once, as a disk does
// that is full or broken, and for good, as for a process that is killed. After
// it the table is as before or as after, and a second run makes it what it
// should be, to the byte. With -long it takes every operation, else every
// seventh.
func TestFaults(t *testing.T) {
	root := t.TempDir()
	s := newScene(t, root)
	reference := filepath.Join(root, "reference")
	if err := s.load(nil, s.before, reference); err != nil {
		t.Fatal(err)
	}
	before := hashes(t, reference)
	if err := s.load(nil, s.after, reference); err != nil {
		t.Fatal(err)
	}
	after := hashes(t, reference)
	if p := problems(t, reference); len(p) > 0 || len(before) != 2 || len(after) != 2 {
		t.Fatalf("%d files, then %d; %s", len(before), len(after), p)
	}

	states, published := 0, 0
	stride := 7
	switch {
	case *long:
		stride = 1
	case testing.Short():
		stride = 31
	}
	for m, mode := range []struct {
		name string
		err  error
		once bool
	}{
		{"killed", errors.New("killed"), false},
		{"disk full", syscall.ENOSPC, true},
		{"broken disk", syscall.EIO, true},
		{"short write", faults.ErrShort, true},
	} {
		for n := 0; ; n++ {
			if (n+m)%stride != 0 {
				continue
			}
			lake := filepath.Join(root, fmt.Sprint(mode.name, n))
			if err := s.load(nil, s.before, lake); err != nil {
				t.Fatal(err)
			}
			name := ""
			fsys := &faults.FS{FS: disk.OS{}, Fail: func(i int, op string) error {
				if i == n {
					name = op
				}
				if i == n || i > n && !mode.once {
					return mode.err
				}
				return nil
			}}
			err := s.load(fsys, s.after, lake)
			at := fmt.Sprintf("%s at operation %d (%s): %v", mode.name, n, name, err)
			states++

			// the process lives, so it cleans up, unless just that fails
			if err != nil && mode.once && !strings.Contains(err.Error(), "will be finished by the next run") {
				if entries, _ := os.ReadDir(filepath.Join(lake, "state", "staging")); len(entries) > 0 && name != "remove" && name != "readdir" && name != "open" {
					t.Errorf("%s: staging holds %v", at, entries)
				}
			}
			if p := problems(t, lake); len(p) > 0 { // opening finishes what was begun
				t.Errorf("%s: %s", at, p)
			}
			switch got := hashes(t, lake); {
			case cmp.Equal(got, after):
				published++
			case err == nil:
				t.Errorf("%s: it says that it went well, but the table is not as after", at)
			case !cmp.Equal(got, before):
				t.Errorf("%s: the table is neither as before nor as after", at)
			}
			if err := s.load(nil, s.after, lake); err != nil {
				t.Errorf("%s: a second run: %v", at, err)
			}
			if d := cmp.Diff(after, hashes(t, lake)); d != "" {
				t.Errorf("%s: a second run makes\n%s", at, d)
			}
			if p := problems(t, lake); len(p) > 0 {
				t.Errorf("%s: after a second run: %s", at, p)
			}
			if err := os.RemoveAll(lake); err != nil {
				t.Fatal(err)
			}
			if name == "" { // the load has no such operation
				break
			}
		}
	}
	t.Logf("%d states, %d of them published before or after the fault", states, published)
}

// memHashes is hashes of a lake in memory.
func memHashes(t *testing.T, fsys disk.FS, lake string) map[string]string {
	t.Helper()
	out := map[string]string{}
	root := filepath.Join(lake, "usage")
	dirs, err := fsys.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range dirs {
		files, err := fsys.ReadDir(filepath.Join(root, d.Name()))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			data, err := disk.ReadFile(fsys, filepath.Join(root, d.Name(), f.Name()))
			if err != nil {
				t.Fatal(err)
			}
			out[d.Name()+"/"+f.Name()] = ledger.Hash(data)
		}
	}
	return out
}

// TestPowerLoss cuts the power at every single file operation of a load. What
// was not synced is lost, by chance, with several seeds. After it the table is
// as before or as after, and a second run makes it what it should be.
func TestPowerLoss(t *testing.T) {
	root := t.TempDir()
	s := newScene(t, root)
	const lake = "lake"
	base := faults.NewMem()
	if err := s.load(base, s.before, lake); err != nil {
		t.Fatal(err)
	}
	before := memHashes(t, base, lake)
	if len(before) != 2 {
		t.Fatalf("before: %v", before)
	}
	var after map[string]string
	seeds, stride := uint64(6), 5
	if *long {
		seeds, stride = 100, 1
	}
	states, published := 0, 0
	for n := 0; ; n++ {
		if after != nil && n%stride != 0 {
			continue
		}
		mem := base.Copy()
		stopped := false
		fsys := &faults.FS{FS: mem, Fail: func(i int, _ string) error {
			if after != nil && i >= n {
				stopped = true
				return errors.New("no power")
			}
			return nil
		}}
		err := s.load(fsys, s.after, lake)
		if after == nil { // the first time nothing is cut: this is how it should be
			if err != nil {
				t.Fatal(err)
			}
			after = memHashes(t, mem, lake)
			n = -1
			continue
		}
		for seed := range seeds {
			states++
			left := mem.Crash(rand.New(rand.NewPCG(seed, uint64(n))))
			v, err := usagelake.Verify(context.Background(), lake, left)
			if err != nil || len(v.Problems) > 0 {
				t.Fatalf("cut at operation %d, seed %d: %v %v", n, seed, err, v.Problems)
			}
			switch got := memHashes(t, left, lake); {
			case cmp.Equal(got, after):
				published++
			case !stopped:
				t.Errorf("seed %d: a load that went well is lost", seed)
			case !cmp.Equal(got, before):
				t.Errorf("cut at operation %d, seed %d: neither as before nor as after", n, seed)
			}
			if err := s.load(left, s.after, lake); err != nil {
				t.Errorf("cut at operation %d, seed %d: a second run: %v", n, seed, err)
			}
			if !cmp.Equal(memHashes(t, left, lake), after) {
				t.Errorf("cut at operation %d, seed %d: a second run makes something else", n, seed)
			}
		}
		if !stopped {
			break
		}
	}
	t.Logf("%d states, %d of them published", states, published)
}
