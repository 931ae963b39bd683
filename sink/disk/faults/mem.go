package faults

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"usagelake/sink/disk"
)

// Mem is a file system in memory that knows what a loss of power would leave:
// a changed name is safe once a directory that it is in was synced, data once
// its file was.
type Mem struct {
	mu     sync.Mutex
	tree   map[string]*inode // files by path; directories have a nil inode
	names  []change          // all changes of names, in order
	locked map[string]bool
}

// inode is the content of a file.
type inode struct {
	data, synced []byte
}

// change is one change of names: from goes (if not ""), to comes (if not "").
type change struct {
	from, to string
	node     *inode // of to; nil for a directory
	safe     bool
}

// NewMem makes an empty file system.
func NewMem() *Mem { return &Mem{tree: map[string]*inode{}, locked: map[string]bool{}} }

func (m *Mem) apply(c change) {
	if c.from != "" {
		delete(m.tree, c.from)
	}
	if c.to != "" {
		m.tree[c.to] = c.node
	}
}

func (m *Mem) change(c change) {
	m.names = append(m.names, c)
	m.apply(c)
}

// Copy is the file system as it stands, all of it safe.
func (m *Mem) Copy() *Mem {
	return m.after(func(int) bool { return true }, func(n *inode) []byte { return n.data })
}

// Crash is what is there after the power failed, by chance of rnd. Either
// names keep their order, as with a journal, and any last part of the changes
// behind the last safe one is lost; or, as POSIX allows, any of those that are
// not safe. Of data that is not synced any last part is lost. The old file
// system goes on as if nothing had been.
func (m *Mem) Crash(rnd *rand.Rand) *Mem {
	m.mu.Lock()
	safe := 0
	for i, c := range m.names {
		if c.safe {
			safe = i + 1
		}
	}
	journal, kept := rnd.IntN(2) == 0, safe+rnd.IntN(len(m.names)-safe+1)
	m.mu.Unlock()
	return m.after(func(i int) bool {
		if journal {
			return i < kept
		}
		return m.names[i].safe || rnd.IntN(2) == 0
	}, func(n *inode) []byte {
		if more := len(n.data) - len(n.synced); more > 0 && bytes.HasPrefix(n.data, n.synced) {
			return n.data[:len(n.synced)+rnd.IntN(more+1)]
		}
		return n.synced
	})
}

// after makes a file system of the changes that survive, and their data.
func (m *Mem) after(survives func(i int) bool, data func(*inode) []byte) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := NewMem()
	nodes := map[*inode]*inode{}
	for i, c := range m.names {
		if !survives(i) {
			continue
		}
		if c.node != nil {
			if nodes[c.node] == nil {
				d := data(c.node)
				nodes[c.node] = &inode{data: slices.Clone(d), synced: slices.Clone(d)}
			}
			c.node = nodes[c.node]
		}
		if c.to != "" {
			out.mkdirs(filepath.Dir(c.to))
		}
		out.change(c)
	}
	for i := range out.names {
		out.names[i].safe = true
	}
	return out
}

func (m *Mem) MkdirAll(path string, _ fs.FileMode) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mkdirs(path)
	return nil
}

func (m *Mem) mkdirs(path string) {
	var missing []string
	for p := filepath.Clean(path); p != "." && p != "/"; p = filepath.Dir(p) {
		if _, ok := m.tree[p]; !ok {
			missing = append(missing, p)
		}
	}
	for _, p := range slices.Backward(missing) {
		m.change(change{to: p})
	}
}

func (m *Mem) Create(path string, _ fs.FileMode) (disk.Writer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.tree[path]
	if n == nil {
		if _, ok := m.tree[filepath.Dir(path)]; !ok {
			return nil, &fs.PathError{Op: "create", Path: path, Err: fs.ErrNotExist}
		}
		n = &inode{}
		m.change(change{to: path, node: n})
	}
	n.data, n.synced = nil, nil // emptying is not held back by anything
	return &memWriter{m, n}, nil
}

type memWriter struct {
	m *Mem
	n *inode
}

func (w *memWriter) Write(b []byte) (int, error) {
	w.m.mu.Lock()
	defer w.m.mu.Unlock()
	w.n.data = append(w.n.data, b...)
	return len(b), nil
}

func (w *memWriter) Sync() error {
	w.m.mu.Lock()
	defer w.m.mu.Unlock()
	w.n.synced = slices.Clone(w.n.data)
	return nil
}

func (w *memWriter) Close() error { return nil }

func (m *Mem) Open(path string) (disk.Reader, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.tree[path]
	if n == nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
	return &memReader{bytes.NewReader(n.data), filepath.Base(path)}, nil
}

type memReader struct {
	*bytes.Reader
	name string
}

func (r *memReader) Close() error               { return nil }
func (r *memReader) Stat() (fs.FileInfo, error) { return memInfo{r.name, r.Size()}, nil }

type memInfo struct {
	name string
	size int64
}

func (i memInfo) Name() string       { return i.name }
func (i memInfo) Size() int64        { return i.size }
func (i memInfo) Mode() fs.FileMode  { return 0o600 }
func (i memInfo) ModTime() time.Time { return time.Time{} }
func (i memInfo) IsDir() bool        { return i.size < 0 }
func (i memInfo) Sys() any           { return nil }

func (m *Mem) ReadDir(path string) ([]fs.DirEntry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	path = filepath.Clean(path)
	if n, ok := m.tree[path]; !ok || n != nil {
		return nil, &fs.PathError{Op: "readdir", Path: path, Err: fs.ErrNotExist}
	}
	var out []fs.DirEntry
	for p, n := range m.tree {
		if filepath.Dir(p) == path {
			info := memInfo{name: filepath.Base(p), size: -1}
			if n != nil {
				info.size = int64(len(n.data))
			}
			out = append(out, fs.FileInfoToDirEntry(dirInfo{info}))
		}
	}
	slices.SortFunc(out, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return out, nil
}

// dirInfo gives directories their mode.
type dirInfo struct{ memInfo }

func (i dirInfo) Mode() fs.FileMode {
	if i.IsDir() {
		return fs.ModeDir | 0o700
	}
	return 0o600
}

func (m *Mem) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.tree[from]
	if n == nil {
		return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrNotExist}
	}
	if _, ok := m.tree[filepath.Dir(to)]; !ok {
		return &fs.PathError{Op: "rename", Path: to, Err: fs.ErrNotExist}
	}
	m.change(change{from: from, to: to, node: n})
	return nil
}

func (m *Mem) Remove(path string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.tree[path]; !ok {
		return &fs.PathError{Op: "remove", Path: path, Err: fs.ErrNotExist}
	}
	for p := range m.tree {
		if filepath.Dir(p) == path {
			return &fs.PathError{Op: "remove", Path: path, Err: errors.New("directory not empty")}
		}
	}
	m.change(change{from: path})
	return nil
}

func (m *Mem) SyncDir(path string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	path = filepath.Clean(path)
	if _, ok := m.tree[path]; !ok && path != "." && path != "/" {
		return &fs.PathError{Op: "sync", Path: path, Err: fs.ErrNotExist}
	}
	for i := range m.names {
		c := &m.names[i]
		c.safe = c.safe || c.from != "" && filepath.Dir(c.from) == path || c.to != "" && filepath.Dir(c.to) == path
	}
	return nil
}

func (m *Mem) Lock(path string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.locked[path] {
		return nil, disk.ErrLocked
	}
	m.locked[path] = true
	return memLock{m, path}, nil
}

type memLock struct {
	m    *Mem
	path string
}

func (l memLock) Close() error {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	delete(l.m.locked, l.path)
	return nil
}
