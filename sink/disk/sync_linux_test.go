package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sync/errgroup"
)

// Files and directories are synced, more of them at once than requests may be under
// way. What cannot be synced is an error that names it.
func TestSync(t *testing.T) {
	if kernel() == nil {
		t.Log("no io_uring here: fsync waits")
	}
	dir := t.TempDir()
	var g errgroup.Group
	for i := range 4 * ringDepth {
		g.Go(func() error {
			path := filepath.Join(dir, strconv.Itoa(i))
			if i%4 == 0 {
				return errors.Join((OS{}).MkdirAll(path, 0o700), (OS{}).SyncDir(path))
			}
			return WriteFile(OS{}, path, []byte("text"), 0o600)
		})
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	var failed *fs.PathError
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := (file{w}).Sync(); !errors.As(err, &failed) || !errors.Is(err, syscall.EINVAL) {
		t.Errorf("a pipe: %v", err)
	}
	w.Close()
	if err := (file{w}).Sync(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("a closed file: %v", err)
	}
	if err := (OS{}).SyncDir(filepath.Join(dir, "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing directory: %v", err)
	}
}

// A request that the kernel does not take leaves the queue as it was, and the call
// waits instead.
func TestSyncWithoutRing(t *testing.T) {
	r := kernel()
	if r == nil {
		t.Skip("no io_uring here")
	}
	fd := r.fd
	r.mu.Lock()
	r.fd = -1
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		r.fd = fd
		r.mu.Unlock()
	}()
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := r.fsync(f); !errors.Is(err, errNotDone) {
		t.Errorf("asked: %v", err)
	}
	if err := fsync(f); err != nil {
		t.Errorf("synced: %v", err)
	}
	if len(r.waiting) != 0 {
		t.Errorf("%d wait", len(r.waiting))
	}
}
