// Package faults stands in for a file system in tests: it lets an operation
// fail, as a full or broken disk does, or all from one on, as a killed process
// sees it.
package faults

import (
	"io"
	"io/fs"
	"sync"

	"usagelake/sink/disk"
)

// FS passes operations on to another file system and asks Fail before each.
type FS struct {
	disk.FS
	// Fail is called with the number of the operation, from 0, and its name.
	// An error is the operation's; of a write that fails, half may arrive.
	Fail func(n int, op string) error

	mu sync.Mutex
	n  int
}

// Count is the number of operations so far.
func (f *FS) Count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.n
}

func (f *FS) fail(op string) error {
	f.mu.Lock()
	n := f.n
	f.n++
	f.mu.Unlock()
	return f.Fail(n, op)
}

func (f *FS) MkdirAll(path string, perm fs.FileMode) error {
	if err := f.fail("mkdir"); err != nil {
		return err
	}
	return f.FS.MkdirAll(path, perm)
}

func (f *FS) Create(path string, perm fs.FileMode) (disk.Writer, error) {
	if err := f.fail("create"); err != nil {
		return nil, err
	}
	w, err := f.FS.Create(path, perm)
	if err != nil {
		return nil, err
	}
	return &writer{w, f}, nil
}

func (f *FS) Open(path string) (disk.Reader, error) {
	if err := f.fail("open"); err != nil {
		return nil, err
	}
	r, err := f.FS.Open(path)
	if err != nil {
		return nil, err
	}
	return &reader{r, f}, nil
}

func (f *FS) ReadDir(path string) ([]fs.DirEntry, error) {
	if err := f.fail("readdir"); err != nil {
		return nil, err
	}
	return f.FS.ReadDir(path)
}

func (f *FS) Rename(from, to string) error {
	if err := f.fail("rename"); err != nil {
		return err
	}
	return f.FS.Rename(from, to)
}

func (f *FS) Remove(path string) error {
	if err := f.fail("remove"); err != nil {
		return err
	}
	return f.FS.Remove(path)
}

func (f *FS) SyncDir(path string) error {
	if err := f.fail("syncdir"); err != nil {
		return err
	}
	return f.FS.SyncDir(path)
}

func (f *FS) Lock(path string) (io.Closer, error) {
	if err := f.fail("lock"); err != nil {
		return nil, err
	}
	return f.FS.Lock(path)
}

type writer struct {
	disk.Writer
	fs *FS
}

func (w *writer) Write(b []byte) (int, error) {
	if err := w.fs.fail("write"); err != nil {
		n, _ := w.Writer.Write(b[:len(b)/2])
		return n, err
	}
	return w.Writer.Write(b)
}

func (w *writer) Sync() error {
	if err := w.fs.fail("sync"); err != nil {
		return err
	}
	return w.Writer.Sync()
}

func (w *writer) Close() error {
	err := w.fs.fail("close")
	if e := w.Writer.Close(); err == nil {
		err = e
	}
	return err
}

type reader struct {
	disk.Reader
	fs *FS
}

func (r *reader) Read(b []byte) (int, error) {
	if err := r.fs.fail("read"); err != nil {
		return 0, err
	}
	return r.Reader.Read(b)
}

func (r *reader) ReadAt(b []byte, at int64) (int, error) {
	if err := r.fs.fail("readat"); err != nil {
		return 0, err
	}
	return r.Reader.ReadAt(b, at)
}
