// Package disk is every file operation of a lake, as one small interface, so
// that a test can stand in for the file system and fail, lose or stop each of
// them.
package disk

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// FS is what a lake needs of a file system. Paths are the operating system's.
type FS interface {
	// MkdirAll makes a directory and its parents where they are missing.
	MkdirAll(path string, perm fs.FileMode) error
	// Create makes a file, or empties it, for writing.
	Create(path string, perm fs.FileMode) (Writer, error)
	// Open opens a file for reading.
	Open(path string) (Reader, error)
	// ReadDir lists a directory, sorted by name.
	ReadDir(path string) ([]fs.DirEntry, error)
	// Rename puts from in the place of to, atomically.
	Rename(from, to string) error
	// Remove removes a file or an empty directory.
	Remove(path string) error
	// SyncDir makes the names in a directory durable.
	SyncDir(path string) error
	// Lock takes an exclusive lock that ends with the process, or fails at
	// once with ErrLocked.
	Lock(path string) (io.Closer, error)
}

// Writer is a file being written. It is durable once Sync returned nil.
type Writer interface {
	io.WriteCloser
	Sync() error
}

// Reader is a file being read.
type Reader interface {
	io.ReaderAt
	io.ReadCloser
	Stat() (fs.FileInfo, error)
}

// ErrLocked means that another process holds the lock.
var ErrLocked = errors.New("locked by another process")

// OS is the file system of the operating system.
type OS struct{}

func (OS) MkdirAll(path string, perm fs.FileMode) error { return os.MkdirAll(path, perm) }

func (OS) Create(path string, perm fs.FileMode) (Writer, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, perm)
}

func (OS) Open(path string) (Reader, error) { return os.Open(path) }

func (OS) ReadDir(path string) ([]fs.DirEntry, error) { return os.ReadDir(path) }

func (OS) Rename(from, to string) error { return os.Rename(from, to) }

func (OS) Remove(path string) error { return os.Remove(path) }

func (OS) SyncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	err = d.Sync()
	if e := d.Close(); err == nil {
		err = e
	}
	return err
}

func (OS) Lock(path string) (io.Closer, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, ErrLocked
		}
		return nil, &fs.PathError{Op: "flock", Path: path, Err: err}
	}
	return f, nil
}

// ReadFile reads a whole file.
func ReadFile(fsys FS, path string) ([]byte, error) {
	f, err := fsys.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// WriteFile writes a whole file and makes it durable; its name is not, until
// the directory is synced.
func WriteFile(fsys FS, path string, data []byte, perm fs.FileMode) (err error) {
	f, err := fsys.Create(path, perm)
	if err != nil {
		return err
	}
	defer func() {
		if e := f.Close(); err == nil {
			err = e
		}
	}()
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.Sync()
}
