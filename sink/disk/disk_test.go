package disk_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"usagelake/sink/disk"
	"usagelake/sink/disk/faults"
)

// each runs a test on the real file system and on the one that stands in for
// it; dir is there and empty.
func each(t *testing.T, test func(t *testing.T, fsys disk.FS, dir string)) {
	t.Run("os", func(t *testing.T) { test(t, disk.OS{}, t.TempDir()) })
	t.Run("mem", func(t *testing.T) {
		mem := faults.NewMem()
		if err := mem.MkdirAll("dir", 0o700); err != nil {
			t.Fatal(err)
		}
		test(t, mem, "dir")
	})
}

// Who writes is alone; those who read are not.
func TestLocks(t *testing.T) {
	each(t, func(t *testing.T, fsys disk.FS, dir string) {
		path := filepath.Join(dir, "lock")
		if _, err := fsys.RLock(path); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("reading where there is no lock: %v", err)
		}
		if entries, err := fsys.ReadDir(dir); err != nil || len(entries) > 0 {
			t.Fatalf("reading made %v, %v", entries, err)
		}
		must := func(c io.Closer, err error) io.Closer {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		locked := func(what string, _ io.Closer, err error) {
			t.Helper()
			if !errors.Is(err, disk.ErrLocked) {
				t.Errorf("%s: %v", what, err)
			}
		}
		w := must(fsys.Lock(path))
		c, err := fsys.Lock(path)
		locked("a second writer", c, err)
		c, err = fsys.RLock(path)
		locked("a reader beside a writer", c, err)
		w.Close()
		r1, r2 := must(fsys.RLock(path)), must(fsys.RLock(path))
		r1.Close()
		c, err = fsys.Lock(path)
		locked("a writer beside a reader", c, err)
		r2.Close()
		must(fsys.Lock(path)).Close()
		if data, err := disk.ReadFile(fsys, path); err != nil || len(data) > 0 {
			t.Errorf("the lock holds %q, %v", data, err)
		}
	})
}

func TestFree(t *testing.T) {
	each(t, func(t *testing.T, fsys disk.FS, dir string) {
		if n, err := fsys.Free(dir); err != nil || n == 0 {
			t.Errorf("%d bytes free, %v", n, err)
		}
		missing := filepath.Join(dir, "missing")
		if _, err := fsys.Free(missing); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), missing) {
			t.Errorf("of what is not there: %v", err)
		}
	})
	mem := faults.NewMem()
	if err := mem.MkdirAll("d", 0o700); err != nil {
		t.Fatal(err)
	}
	mem.Space = 7
	for _, fsys := range []disk.FS{mem, mem.Copy()} {
		if n, err := fsys.Free("d"); n != 7 || err != nil {
			t.Errorf("%d bytes free, %v", n, err)
		}
	}
}

// Every fault of writing a file is an error that names the file, also a write
// that takes half and says nothing.
func TestWriteFileFails(t *testing.T) {
	broken := errors.New("broken")
	for _, c := range []struct {
		op         string
		fail, want error
	}{
		{"create", broken, broken},
		{"write", broken, broken},
		{"write", faults.ErrShort, io.ErrShortWrite},
		{"sync", broken, broken},
		{"sync", faults.ErrShort, faults.ErrShort},
		{"close", broken, broken},
	} {
		path := filepath.Join(t.TempDir(), "file")
		fsys := &faults.FS{FS: disk.OS{}, Fail: func(_ int, op string) error {
			if op == c.op {
				return c.fail
			}
			return nil
		}}
		err := disk.WriteFile(fsys, path, []byte("1234"), 0o600)
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v: %v", c.op, c.fail, err)
		}
		if data, _ := os.ReadFile(path); c.op == "write" && string(data) != "12" {
			t.Errorf("%v: half of 1234 is %q", c.fail, data)
		}
	}
}
