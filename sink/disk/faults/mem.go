package faults

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"maps"
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
// its file was. What is in a directory that is lost is lost with it.
type Mem struct {
	// Space is what Free tells; it does not go down.
	Space uint64

	mu    sync.Mutex
	tree  map[string]*inode // files by path; directories have a nil inode
	names []change          // all changes of names, in order
	locks map[string]int    // readers of a lock; -1: one who has it alone
}

// inode is the content of a file. Bytes once written never change, so file
// systems share them.
type inode struct {
	data   []byte
	synced int // bytes of data, from the first
}

// change is one change of names: from goes (if not ""), to comes (if not "").
type change struct {
	from, to string
	node     *inode // of to; nil for a directory
	safe     bool
}

// NewMem makes an empty file system.
func NewMem() *Mem { return newMem(0) }

func newMem(names int) *Mem {
	return &Mem{Space: 1 << 60, tree: make(map[string]*inode, names), locks: map[string]int{}}
}

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

// Copy is the file system as it stands, all of it safe and no lock held.
func (m *Mem) Copy() *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.after(func(int) bool { return true }, func(n *inode) int { return len(n.data) })
}

// Crash is what is there after the power failed, by chance of rnd. Either
// names keep their order, as with a journal, and any last part of the changes
// behind the last safe one is lost; or, as POSIX allows, any of those that are
// not safe. Of data that is not synced any last part is lost. The old file
// system goes on as if nothing had been.
func (m *Mem) Crash(rnd *rand.Rand) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	safe := 0
	for i, c := range m.names {
		if c.safe {
			safe = i + 1
		}
	}
	journal, kept := rnd.IntN(2) == 0, safe+rnd.IntN(len(m.names)-safe+1)
	return m.after(func(i int) bool {
		if journal {
			return i < kept
		}
		return m.names[i].safe || rnd.IntN(2) == 0
	}, func(n *inode) int {
		if more := len(n.data) - n.synced; more > 0 {
			return n.synced + rnd.IntN(more+1)
		}
		return n.synced
	})
}

// after makes a file system of the changes that survive, and of as many bytes
// of each file as keep says.
func (m *Mem) after(survives func(i int) bool, keep func(*inode) int) *Mem {
	out := newMem(len(m.tree))
	out.Space = m.Space
	for i, c := range m.names {
		if survives(i) {
			if c.to != "" && !out.holds(parent(c.to)) {
				c.to = "" // nobody can get there
			}
			if now, ok := out.tree[c.from]; c.to == "" && ok && now == nil {
				// a directory that is gone is empty, whatever of that was safe
				maps.DeleteFunc(out.tree, func(p string, _ *inode) bool { return strings.HasPrefix(p, c.from+"/") })
			}
			out.change(c)
		}
	}
	// Only names that are still there need to be remembered, and only their
	// files be made anew.
	live, nodes := out.names[:0], make(map[*inode]*inode, len(out.tree))
	for _, c := range out.names {
		if now, ok := out.tree[c.to]; !ok || now != c.node {
			continue
		}
		if c.node != nil {
			if nodes[c.node] == nil {
				n := keep(c.node)
				nodes[c.node] = &inode{data: c.node.data[:n:n], synced: n}
			}
			c.node = nodes[c.node]
			out.tree[c.to] = c.node
		}
		live = append(live, change{to: c.to, node: c.node, safe: true})
	}
	out.names = live
	return out
}

func (m *Mem) holds(dir string) bool {
	_, ok := m.tree[dir]
	return ok || dir == "." || dir == "/"
}

// parent is the directory that a clean path is in.
func parent(path string) string {
	switch i := strings.LastIndexByte(path, '/'); i {
	case -1:
		return "."
	case 0:
		return path[:1]
	default:
		return path[:i]
	}
}

func (m *Mem) MkdirAll(path string, _ fs.FileMode) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mkdirs(filepath.Clean(path))
	return nil
}

func (m *Mem) mkdirs(path string) {
	if _, ok := m.tree[path]; ok || path == "." || path == "/" {
		return
	}
	m.mkdirs(parent(path))
	m.change(change{to: path})
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
	n.data, n.synced = nil, 0 // emptying is not held back by anything
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
	w.n.synced = len(w.n.data)
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
		if parent(p) == path {
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
		if parent(p) == path {
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
		c.safe = c.safe || c.from != "" && parent(c.from) == path || c.to != "" && parent(c.to) == path
	}
	return nil
}

func (m *Mem) Lock(path string) (io.Closer, error) {
	if m.node(path) == nil {
		if _, err := m.Create(path, 0o600); err != nil {
			return nil, err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.locks[path] != 0 {
		return nil, disk.ErrLocked
	}
	m.locks[path] = -1
	return memLock{m, path}, nil
}

func (m *Mem) RLock(path string) (io.Closer, error) {
	if m.node(path) == nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.locks[path] < 0 {
		return nil, disk.ErrLocked
	}
	m.locks[path]++
	return memLock{m, path}, nil
}

func (m *Mem) node(path string) *inode {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.tree[path]
}

type memLock struct {
	m    *Mem
	path string
}

func (l memLock) Close() error {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	if l.m.locks[l.path] > 0 {
		l.m.locks[l.path]--
	} else {
		delete(l.m.locks, l.path)
	}
	return nil
}

func (m *Mem) Free(path string) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.tree[path]; !ok {
		return 0, &fs.PathError{Op: "statfs", Path: path, Err: fs.ErrNotExist}
	}
	return m.Space, nil
}
