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
	// once with ErrLocked. It makes the file where there is none.
	Lock(path string) (io.Closer, error)
	// RLock is Lock for readers, who do not keep each other out. It changes
	// nothing on the disk, and fails with fs.ErrNotExist where there is no file.
	RLock(path string) (io.Closer, error)
	// Free is the space, in bytes, that an unprivileged user may still take on
	// the file system that holds path, which must exist. Quotas are not in it.
	Free(path string) (bytes uint64, err error)
}

// Shared is a file system on which no lock keeps others out: an object store.
// Lock and RLock do nothing there; directories are only parts of names, so that
// one without files is as good as none, and an absent file can be removed. Every
// operation takes place whole or not at all, and whoever looks later sees it;
// but Rename may leave from beside to. A file is there once Sync returned.
type Shared interface {
	FS
	// PutNew makes a whole file, durably, unless there is one: that is
	// fs.ErrExist. One that holds these very bytes may be taken for ours. After
	// any other error it may be there or come to be.
	PutNew(path string, data []byte) error
}

// Trimmer is a file system that gives back the space, on the disk and in the page cache,
// of parts of files. What is read there later is anything.
type Trimmer interface {
	// Trim gives back n bytes of a file from an offset on, or fewer.
	Trim(path string, off, n int64) error
}

// Writer is a file being written. It is durable once Sync returned nil. Broken
// file systems write less than they were given and return no error; whoever
// writes takes that for io.ErrShortWrite.
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

// ErrUnavailable means that a store cannot be reached or will not serve now. The
// same operation may go through later.
var ErrUnavailable = errors.New("the store is not available now; try again later")

// OS is the file system of the operating system.
type OS struct{}

func (OS) MkdirAll(path string, perm fs.FileMode) error { return os.MkdirAll(path, perm) }

func (OS) Create(path string, perm fs.FileMode) (Writer, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, perm)
	if err != nil {
		return nil, err
	}
	return file{f}, nil
}

// file is a file that others can work beside while the disk does.
type file struct{ *os.File }

func (f file) Sync() error { return fsync(f.File) }

func (OS) Open(path string) (Reader, error) { return os.Open(path) }

func (OS) ReadDir(path string) ([]fs.DirEntry, error) { return os.ReadDir(path) }

func (OS) Rename(from, to string) error { return os.Rename(from, to) }

func (OS) Remove(path string) error { return os.Remove(path) }

func (OS) SyncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	err = fsync(d)
	if e := d.Close(); err == nil {
		err = e
	}
	return err
}

func (OS) Lock(path string) (io.Closer, error) {
	return flock(path, os.O_RDWR|os.O_CREATE, syscall.LOCK_EX)
}

func (OS) RLock(path string) (io.Closer, error) {
	return flock(path, os.O_RDONLY, syscall.LOCK_SH)
}

func flock(path string, flag, how int) (io.Closer, error) {
	f, err := os.OpenFile(path, flag, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, ErrLocked
		}
		return nil, &fs.PathError{Op: "flock", Path: path, Err: err}
	}
	return f, nil
}

func (OS) Free(path string) (uint64, error) {
	var st syscall.Statfs_t
	err := syscall.Statfs(path, &st)
	for errors.Is(err, syscall.EINTR) {
		err = syscall.Statfs(path, &st)
	}
	if err != nil {
		return 0, &fs.PathError{Op: "statfs", Path: path, Err: err}
	}
	return st.Bavail * blockSize(&st), nil
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
	n, err := f.Write(data)
	if err != nil {
		return err
	}
	if n < len(data) {
		return &fs.PathError{Op: "write", Path: path, Err: io.ErrShortWrite}
	}
	return f.Sync()
}
