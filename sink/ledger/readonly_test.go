package ledger_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"usagelake/sink/disk"
	"usagelake/sink/disk/faults"
	"usagelake/sink/ledger"
)

// readOnly is a file system on which nothing can be changed, and a list of what
// was tried all the same.
func readOnly(fsys disk.FS, tried *[]string) disk.FS {
	return &faults.FS{FS: fsys, Fail: func(_ int, op string) error {
		switch op {
		case "open", "read", "readat", "readdir", "rlock":
			return nil
		}
		*tried = append(*tried, op)
		return syscall.EROFS
	}}
}

// tree is every file below a directory and what it holds.
func tree(t *testing.T, fsys disk.FS, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	entries, err := fsys.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return out
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if e.IsDir() {
			out[path] = "/"
			maps.Copy(out, tree(t, fsys, path))
			continue
		}
		data, err := disk.ReadFile(fsys, path)
		if err != nil {
			t.Fatal(err)
		}
		out[path] = string(data)
	}
	return out
}

// A lake that is opened to be read is what it is, and nothing is changed or
// tried, whatever was left there.
func TestReadOnly(t *testing.T) {
	mem := faults.NewMem()
	publish(t, mem, ledger.Options{Buckets: 3, CheckpointEvery: 4}, 10)
	l, err := ledger.Open(mem, lakeDir, ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := l.State
	l.Close()
	for _, path := range []string{"state/staging/left", "state/intent-000000011.json.tmp", "state/ledger/000000011.json.tmp"} {
		if err := disk.WriteFile(mem, filepath.Join(lakeDir, path), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	gone := func(names ...string) func(fsys disk.FS) {
		return func(fsys disk.FS) {
			for _, name := range names {
				if err := fsys.Remove(filepath.Join(lakeDir, "state", name)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	nothing := ledger.State{Settings: ledger.Settings{Format: ledger.Format, Buckets: 5}}
	for name, c := range map[string]struct {
		fsys  func() *faults.Mem
		spoil func(fsys disk.FS)
		opt   ledger.Options
		want  *ledger.State
		err   error
	}{
		"a lake":                {mem.Copy, nil, ledger.Options{}, &want, nil},
		"with its buckets":      {mem.Copy, nil, ledger.Options{Buckets: 3, MustExist: true}, &want, nil},
		"without a lock file":   {mem.Copy, gone("lock"), ledger.Options{}, &want, nil},
		"without a checkpoint":  {mem.Copy, gone("checkpoint-000000008.json"), ledger.Options{}, &want, nil},
		"none":                  {faults.NewMem, nil, ledger.Options{Buckets: 5}, &nothing, nil},
		"none, but it must be":  {faults.NewMem, nil, ledger.Options{MustExist: true}, nil, ledger.ErrNoLake},
		"an intent is pending":  {mem.Copy, func(fsys disk.FS) { interrupt(t, fsys) }, ledger.Options{}, nil, ledger.ErrInterrupted},
		"another run has it":    {mem.Copy, func(fsys disk.FS) { lock(t, fsys) }, ledger.Options{}, nil, disk.ErrLocked},
		"a record that is gone": {mem.Copy, gone("ledger/000000010.json", "ledger/000000008.json"), ledger.Options{}, nil, errAny},
		"the wrong buckets":     {mem.Copy, nil, ledger.Options{Buckets: 4}, nil, errAny},
	} {
		fsys := c.fsys()
		if c.spoil != nil {
			c.spoil(fsys)
		}
		before := tree(t, fsys, lakeDir)
		c.opt.ReadOnly = true
		var tried []string
		l, err := ledger.Open(readOnly(fsys, &tried), lakeDir, c.opt)
		switch {
		case c.err == errAny && err != nil:
		case !errors.Is(err, c.err):
			t.Errorf("%s: %v", name, err)
		case err == nil:
			got := l.State
			if c.want == &nothing {
				if got.Seq != 0 || got.Settings != nothing.Settings || len(got.Sources) > 0 || got.Unchanged(ledger.Seen{Path: "/x"}) != nil || len(got.ByHead(1, "h")) > 0 {
					t.Errorf("%s: state %+v", name, got)
				}
			} else if !reflect.DeepEqual(got, *c.want) {
				t.Errorf("%s: another state", name)
			}
			if err := l.Publish(&ledger.Publication{Record: load(11)}); err == nil || !strings.Contains(err.Error(), lakeDir) {
				t.Errorf("%s: publishing: %v", name, err)
			}
			if other, err := ledger.Open(fsys, lakeDir, c.opt); err != nil {
				t.Errorf("%s: a second reader: %v", name, err)
			} else {
				other.Close()
			}
			if p := l.Audit(); len(p) > 0 {
				t.Errorf("%s: %s", name, p)
			}
			if err := l.Close(); err != nil {
				t.Errorf("%s: close: %v", name, err)
			}
		}
		if len(tried) > 0 {
			t.Errorf("%s: %s", name, tried)
		}
		if after := tree(t, fsys, lakeDir); !maps.Equal(after, before) {
			t.Errorf("%s: something has changed", name)
		}
		if errors.Is(err, disk.ErrLocked) {
			continue
		}
		// the lock is free again, and status can do what the error says
		if l, err := ledger.Open(fsys, lakeDir, ledger.Options{}); err != nil && c.err != errAny {
			t.Errorf("%s: then: %v", name, err)
		} else if err == nil {
			l.Close()
		}
	}
}

var errAny = errors.New("any")

// interrupt leaves a publication that was begun.
func interrupt(t *testing.T, fsys disk.FS) {
	t.Helper()
	intent := false
	l, err := ledger.Open(&faults.FS{FS: fsys, Fail: func(_ int, op string) error {
		if op == "rename" {
			intent = true
			return nil
		}
		if intent {
			return errKilled
		}
		return nil
	}}, lakeDir, ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Publish(&ledger.Publication{Record: load(11)}); err == nil {
		t.Fatal("it was not interrupted")
	}
	l.Close()
}

func lock(t *testing.T, fsys disk.FS) {
	t.Helper()
	if _, err := ledger.Open(fsys, lakeDir, ledger.Options{}); err != nil {
		t.Fatal(err)
	}
}

// The same on a real disk: nothing is made, also not the folder.
func TestReadOnlyOnDisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "lake")
	l, err := ledger.Open(disk.OS{}, dir, ledger.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("the folder was made: %v", err)
	}

	open(t, disk.OS{}, dir).Close()
	chmod := func(perm fs.FileMode) {
		if err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err == nil && e.IsDir() {
				err = os.Chmod(path, perm)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	chmod(0o555)
	defer chmod(0o755)
	before := stats(t, dir)
	r, err := ledger.Open(disk.OS{}, dir, ledger.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ledger.Open(disk.OS{}, dir, ledger.Options{}); !errors.Is(err, disk.ErrLocked) {
		t.Errorf("a writer beside a reader: %v", err)
	}
	r.Close()
	if after := stats(t, dir); after != before {
		t.Errorf("before:\n%safter:\n%s", before, after)
	}
}

// stats are the sizes and times of all files.
func stats(t *testing.T, dir string) string {
	t.Helper()
	var out strings.Builder
	if err := filepath.Walk(dir, func(path string, info fs.FileInfo, err error) error {
		if err == nil {
			fmt.Fprintln(&out, path, info.Mode(), info.Size(), info.ModTime())
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// Opening fails at every operation, once. The error names the path, the lock is
// free, and the next Open makes the lake.
func TestOpenFails(t *testing.T) {
	for _, mode := range []error{syscall.ENOSPC, syscall.EROFS, faults.ErrShort} {
		for n, hit := 0, true; hit; n++ {
			mem := faults.NewMem()
			hit = false
			name := ""
			fsys := &faults.FS{FS: mem, Fail: func(i int, op string) error {
				if i == n {
					hit, name = true, op
					return mode
				}
				return nil
			}}
			l, err := ledger.Open(fsys, lakeDir, ledger.Options{})
			switch {
			case err == nil:
				l.Close()
			case !strings.Contains(err.Error(), " "+lakeDir) && !strings.Contains(err.Error(), "syncdir ."):
				t.Errorf("%v at operation %d (%s): the error names no path: %v", mode, n, name, err)
			}
			if err == nil && hit && name != "open" && name != "read" && name != "readdir" && name != "unlock" {
				t.Errorf("%v at operation %d (%s) goes unnoticed", mode, n, name)
			}
			l, err = ledger.Open(mem, lakeDir, ledger.Options{})
			if err != nil {
				t.Fatalf("%v at operation %d (%s): then: %v", mode, n, name, err)
			}
			for path := range tree(t, mem, lakeDir) {
				if strings.HasSuffix(path, ".tmp") {
					t.Errorf("%v at operation %d (%s): %s is left", mode, n, name, path)
				}
			}
			l.Close()
		}
	}
}
