// Package faults stands in for a file system in tests: it lets an operation
// fail, as a full or broken disk does, or all from one on, as a killed process
// sees it.
package faults

import (
	"errors"
	"io"
	"io/fs"
	"sync"

	"usagelake/sink/disk"
)

// ErrShort makes a write take half of what it is given and return no error, as
// broken file systems do. To any other operation it is an error like others.
var ErrShort = errors.New("short write")

// ErrKilled is what a process gets that is no more: of a write that fails with
// it nothing arrives.
var ErrKilled = errors.New("killed")

// FS passes operations on to another file system and asks Fail before each.
type FS struct {
	disk.FS
	// Fail is called with the number of the operation, from 0, and its name, for
	// one operation at a time.
	// An error is the operation's, with the path around it as the operating
	// system has it; of a write that fails, half may arrive.
	Fail func(n int, op string) error
	// Answer, unless it is nil, is called behind operations that went well which
	// change names or make data durable, with what Fail was called with. An error
	// is the operation's all the same, as of a request to which the answer is
	// lost.
	Answer func(n int, op string) error

	asking sync.Mutex // held while Fail is called

	mu   sync.Mutex
	n    int
	held int // files and locks
}

// Held is the number of files that are open and of locks that are taken.
func (f *FS) Held() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.held
}

func (f *FS) hold(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.held += n
}

// Count is the number of operations so far.
func (f *FS) Count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.n
}

func (f *FS) fail(op, path string) error {
	_, err := f.ask(op, path)
	return err
}

func (f *FS) ask(op, path string) (n int, err error) {
	f.asking.Lock()
	defer f.asking.Unlock()
	f.mu.Lock()
	n = f.n
	f.n++
	f.mu.Unlock()
	if err := f.Fail(n, op); err != nil {
		return n, &fs.PathError{Op: op, Path: path, Err: err}
	}
	return n, nil
}

// do is an operation whose answer may be lost.
func (f *FS) do(op, path string, do func() error) error {
	n, err := f.ask(op, path)
	if err == nil {
		err = do()
	}
	if err == nil && f.Answer != nil {
		if e := f.Answer(n, op); e != nil {
			err = &fs.PathError{Op: op, Path: path, Err: e}
		}
	}
	return err
}

func (f *FS) MkdirAll(path string, perm fs.FileMode) error {
	if err := f.fail("mkdir", path); err != nil {
		return err
	}
	return f.FS.MkdirAll(path, perm)
}

func (f *FS) Create(path string, perm fs.FileMode) (disk.Writer, error) {
	if err := f.fail("create", path); err != nil {
		return nil, err
	}
	w, err := f.FS.Create(path, perm)
	if err != nil {
		return nil, err
	}
	f.hold(1)
	return &writer{w, f, path}, nil
}

func (f *FS) Open(path string) (disk.Reader, error) {
	if err := f.fail("open", path); err != nil {
		return nil, err
	}
	r, err := f.FS.Open(path)
	if err != nil {
		return nil, err
	}
	f.hold(1)
	return &reader{r, f, path}, nil
}

func (f *FS) ReadDir(path string) ([]fs.DirEntry, error) {
	if err := f.fail("readdir", path); err != nil {
		return nil, err
	}
	return f.FS.ReadDir(path)
}

func (f *FS) Rename(from, to string) error {
	return f.do("rename", from, func() error { return f.FS.Rename(from, to) })
}

func (f *FS) Remove(path string) error {
	return f.do("remove", path, func() error { return f.FS.Remove(path) })
}

func (f *FS) SyncDir(path string) error {
	if err := f.fail("syncdir", path); err != nil {
		return err
	}
	return f.FS.SyncDir(path)
}

func (f *FS) Lock(path string) (io.Closer, error) {
	if err := f.fail("lock", path); err != nil {
		return nil, err
	}
	l, err := f.FS.Lock(path)
	if err != nil {
		return nil, err
	}
	f.hold(1)
	return &lock{l, f, path}, nil
}

func (f *FS) RLock(path string) (io.Closer, error) {
	if err := f.fail("rlock", path); err != nil {
		return nil, err
	}
	return f.FS.RLock(path)
}

func (f *FS) Free(path string) (uint64, error) {
	if err := f.fail("free", path); err != nil {
		return 0, err
	}
	return f.FS.Free(path)
}

type writer struct {
	disk.Writer
	fs   *FS
	path string
}

func (w *writer) Write(b []byte) (int, error) {
	if err := w.fs.fail("write", w.path); err != nil {
		if errors.Is(err, ErrKilled) {
			return 0, err
		}
		n, _ := w.Writer.Write(b[:len(b)/2])
		if errors.Is(err, ErrShort) {
			err = nil
		}
		return n, err
	}
	return w.Writer.Write(b)
}

func (w *writer) Sync() error {
	return w.fs.do("sync", w.path, w.Writer.Sync)
}

func (w *writer) Close() error {
	w.fs.hold(-1)
	err := w.fs.fail("close", w.path)
	if e := w.Writer.Close(); err == nil {
		err = e
	}
	return err
}

// lock is free once Close was called, whatever that returns.
type lock struct {
	io.Closer
	fs   *FS
	path string
}

func (l *lock) Close() error {
	l.fs.hold(-1)
	err := l.fs.fail("unlock", l.path)
	if e := l.Closer.Close(); err == nil {
		err = e
	}
	return err
}

type reader struct {
	disk.Reader
	fs   *FS
	path string
}

func (r *reader) Read(b []byte) (int, error) {
	if err := r.fs.fail("read", r.path); err != nil {
		return 0, err
	}
	return r.Reader.Read(b)
}

func (r *reader) ReadAt(b []byte, at int64) (int, error) {
	if err := r.fs.fail("readat", r.path); err != nil {
		return 0, err
	}
	return r.Reader.ReadAt(b, at)
}

func (r *reader) Close() error {
	r.fs.hold(-1)
	return r.Reader.Close()
}
