package faults

import (
	"bytes"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"

	"usagelake/sink/disk"
)

// Objects is a store of objects in memory that any number of runs may change at
// once. Every operation takes place whole, and whoever looks later sees it.
// There are no directories and no locks.
type Objects struct {
	mu   sync.Mutex
	data map[string][]byte // never changed, only replaced
}

// NewObjects makes an empty store.
func NewObjects() *Objects { return &Objects{data: map[string][]byte{}} }

var _ disk.Shared = (*Objects)(nil)

// Copy is the store as it stands.
func (o *Objects) Copy() *Objects {
	o.mu.Lock()
	defer o.mu.Unlock()
	return &Objects{data: maps.Clone(o.data)}
}

func (o *Objects) put(path string, data []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.data[path] = data
}

func (o *Objects) get(op, path string) ([]byte, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	data, ok := o.data[path]
	if !ok {
		return nil, &fs.PathError{Op: op, Path: path, Err: fs.ErrNotExist}
	}
	return data, nil
}

func (o *Objects) PutNew(path string, data []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, ok := o.data[path]; ok {
		return &fs.PathError{Op: "create", Path: path, Err: fs.ErrExist}
	}
	o.data[path] = bytes.Clone(data)
	return nil
}

func (o *Objects) Create(path string, _ fs.FileMode) (disk.Writer, error) {
	return &objectWriter{o: o, path: path}, nil
}

// objectWriter makes an object when it is synced.
type objectWriter struct {
	o    *Objects
	path string
	data []byte
}

func (w *objectWriter) Write(b []byte) (int, error) {
	w.data = append(w.data, b...)
	return len(b), nil
}

func (w *objectWriter) Sync() error {
	w.o.put(w.path, bytes.Clone(w.data))
	return nil
}

func (w *objectWriter) Close() error { return nil }

func (o *Objects) Open(name string) (disk.Reader, error) {
	data, err := o.get("open", name)
	if err != nil {
		return nil, err
	}
	return &memReader{bytes.NewReader(data), path.Base(name)}, nil
}

func (o *Objects) ReadDir(name string) ([]fs.DirEntry, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	sizes := map[string]int64{} // -1: a directory
	for p, data := range o.data {
		rel, below := strings.CutPrefix(p, path.Clean(name)+"/")
		if dir, _, deeper := strings.Cut(rel, "/"); below && deeper {
			sizes[dir] = -1
		} else if below {
			sizes[rel] = int64(len(data))
		}
	}
	var out []fs.DirEntry
	for _, name := range slices.Sorted(maps.Keys(sizes)) {
		out = append(out, fs.FileInfoToDirEntry(dirInfo{memInfo{name, sizes[name]}}))
	}
	return out, nil
}

func (o *Objects) Rename(from, to string) error {
	if err := o.duplicate(from, to); err != nil {
		return err
	}
	return o.Remove(from)
}

// duplicate is the first half of Rename.
func (o *Objects) duplicate(from, to string) error {
	data, err := o.get("rename", from)
	if err == nil {
		o.put(to, data)
	}
	return err
}

func (o *Objects) Remove(path string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.data, path)
	return nil
}

func (o *Objects) MkdirAll(string, fs.FileMode) error { return nil }
func (o *Objects) SyncDir(string) error               { return nil }
func (o *Objects) Lock(string) (io.Closer, error)     { return unlocked{}, nil }
func (o *Objects) RLock(string) (io.Closer, error)    { return unlocked{}, nil }
func (o *Objects) Free(string) (uint64, error)        { return 1 << 60, nil }

type unlocked struct{}

func (unlocked) Close() error { return nil }

// Shared is FS over a store of objects. A Rename is two operations: "copy" and
// "delete".
type Shared struct{ *FS }

// Share passes operations on to a store, and asks fail before each and answer,
// unless it is nil, behind those that were done: an error is all that the caller
// hears of it.
func Share(o *Objects, fail, answer func(n int, op string) error) Shared {
	return Shared{&FS{FS: o, Fail: fail, Answer: answer}}
}

func (s Shared) PutNew(path string, data []byte) error {
	return s.do("putnew", path, func() error { return s.FS.FS.(*Objects).PutNew(path, data) })
}

func (s Shared) Rename(from, to string) error {
	if err := s.do("copy", from, func() error { return s.FS.FS.(*Objects).duplicate(from, to) }); err != nil {
		return err
	}
	return s.do("delete", from, func() error { return s.FS.FS.Remove(from) })
}
