package usagelake

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"usagelake/sink"
	"usagelake/sink/disk"
)

const (
	temporaryPrefix = "usagelake-"
	temporaryLock   = "lock" // held by the process that a directory belongs to
)

// temporary makes a directory for scratch files that are not in the lake, and what
// removes it.
func temporary(kind string) (_ sink.Scratch, remove func() error, err error) {
	sweepTemporary()
	for {
		dir, err := os.MkdirTemp("", temporaryPrefix+kind+"-")
		if err != nil {
			return sink.Scratch{}, nil, fmt.Errorf("scratch files cannot be in %s: %w; let TMPDIR name a directory that can be written", os.TempDir(), because(err))
		}
		scratch := sink.Scratch{FS: disk.OS{}, Dir: dir}
		path := filepath.Join(dir, temporaryLock)
		lock, err := disk.OS{}.Lock(path)
		if errors.Is(err, disk.ErrLocked) || errors.Is(err, fs.ErrNotExist) {
			continue // another process takes it for one that was left
		}
		if lock == nil { // there are file systems without locks
			return scratch, func() error { return os.RemoveAll(dir) }, nil
		}
		if _, err := os.Stat(path); err != nil { // it did before the lock was taken
			_ = lock.Close()
			continue
		}
		return scratch, func() error {
			defer lock.Close()
			return os.RemoveAll(dir)
		}, nil
	}
}

// sweepTemporary removes, as far as it can, the directories of processes of this user
// that were killed.
func sweepTemporary() {
	entries, _ := os.ReadDir(os.TempDir())
	for _, e := range entries {
		if !e.IsDir() || !strings.HasPrefix(e.Name(), temporaryPrefix) || !ours(e) {
			continue
		}
		dir := filepath.Join(os.TempDir(), e.Name())
		if lock, err := (disk.OS{}).RLock(filepath.Join(dir, temporaryLock)); err == nil {
			_ = os.RemoveAll(dir)
			_ = lock.Close()
		}
	}
}

// ours reports whether a file belongs to this user.
func ours(e os.DirEntry) bool {
	info, err := e.Info()
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Getuid()
}
