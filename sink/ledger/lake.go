package ledger

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"

	"usagelake/sink/disk"
)

// Lake is an open lake. It holds the lake's lock until Close.
type Lake struct {
	State State
	fs    disk.FS
	dir   string
	lock  io.Closer
}

// Settings are fixed when a lake is made.
type Settings struct {
	Format  int `json:"format"`
	Buckets int `json:"buckets"` // files per partition
}

// Options for Open.
type Options struct {
	Buckets   int  // of a new lake; 0 is 1. An existing lake must have the same, unless 0.
	MustExist bool // fail with ErrNoLake instead of making one
}

// ErrNoLake means that a directory is no lake.
var ErrNoLake = errors.New("no lake there")

// Directories of a lake.
func (l *Lake) Table() string        { return filepath.Join(l.dir, "usage") }
func (l *Lake) Quarantine() string   { return filepath.Join(l.dir, "quarantine") }
func (l *Lake) state() string        { return filepath.Join(l.dir, "state") }
func (l *Lake) records() string      { return filepath.Join(l.dir, "state", "ledger") }
func (l *Lake) staging() string      { return filepath.Join(l.dir, "state", "staging") }
func (l *Lake) intent() string       { return filepath.Join(l.dir, "state", "intent.json") }
func recordName(seq int64) string    { return fmt.Sprintf("%09d.json", seq) }
func (l *Lake) path(p string) string { return filepath.Join(l.dir, filepath.FromSlash(p)) }

// Open locks a lake, makes it where there is none, and brings a publication
// that was interrupted to its end. It fails with disk.ErrLocked while another
// process has the lake.
func Open(fsys disk.FS, dir string, opt Options) (_ *Lake, err error) {
	l := &Lake{fs: fsys, dir: dir}
	if opt.MustExist {
		f, err := fsys.Open(filepath.Join(l.state(), "lake.json"))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s: %w", dir, ErrNoLake)
		}
		if err != nil {
			return nil, err
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
	}
	if err := fsys.MkdirAll(l.dir, 0o755); err != nil {
		return nil, err
	}
	if err := fsys.MkdirAll(l.state(), 0o700); err != nil {
		return nil, err
	}
	if l.lock, err = fsys.Lock(filepath.Join(l.state(), "lock")); err != nil {
		return nil, fmt.Errorf("lake %s: %w", dir, err)
	}
	defer func() {
		if err != nil {
			_ = l.lock.Close()
		}
	}()
	for _, d := range []struct {
		path string
		perm fs.FileMode
	}{{l.Table(), 0o755}, {l.Quarantine(), 0o700}, {l.records(), 0o700}, {l.staging(), 0o700}} {
		if err := fsys.MkdirAll(d.path, d.perm); err != nil {
			return nil, err
		}
	}
	if err := l.settings(opt); err != nil {
		return nil, err
	}
	for _, d := range []string{l.dir, filepath.Dir(l.dir)} { // the names made above
		if err := l.fs.SyncDir(d); err != nil {
			return nil, err
		}
	}
	if err := l.recover(); err != nil {
		return nil, err
	}
	if err := l.load(); err != nil {
		return nil, err
	}
	return l, nil
}

// Close removes what was staged and not published, and frees the lock. A
// publication under way keeps its files for the next Open.
func (l *Lake) Close() error {
	var err error
	if !l.begun() {
		err = l.sweep()
	}
	if e := l.lock.Close(); err == nil {
		err = e
	}
	return err
}

func (l *Lake) settings(opt Options) error {
	path := filepath.Join(l.state(), "lake.json")
	data, err := disk.ReadFile(l.fs, path)
	if errors.Is(err, fs.ErrNotExist) {
		l.State.Settings = Settings{Format: Format, Buckets: max(opt.Buckets, 1)}
		data, _ = json.Marshal(l.State.Settings)
		return l.replace(path, append(data, '\n'))
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, &l.State.Settings); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	s := l.State.Settings
	if s.Format != Format {
		return fmt.Errorf("lake %s has format %d, this program knows %d", l.dir, s.Format, Format)
	}
	if opt.Buckets != 0 && opt.Buckets != s.Buckets {
		return fmt.Errorf("lake %s was made with %d buckets; that cannot be changed to %d", l.dir, s.Buckets, opt.Buckets)
	}
	return nil
}

// load folds all records into the state and checks their chain.
func (l *Lake) load() error {
	entries, err := l.fs.ReadDir(l.records())
	if err != nil {
		return err
	}
	l.State.init()
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".json") {
			continue
		}
		path := filepath.Join(l.records(), e.Name())
		data, err := disk.ReadFile(l.fs, path)
		if err != nil {
			return err
		}
		var r Record
		if err := json.Unmarshal(data, &r); err != nil {
			return fmt.Errorf("ledger %s: %w", path, err)
		}
		if r.Format != Format || r.Seq != l.State.Seq+1 || r.Prev != l.State.Sum || e.Name() != recordName(r.Seq) {
			return fmt.Errorf("ledger %s: does not follow record %d: a record was removed or edited", path, l.State.Seq)
		}
		l.State.apply(&r, Hash(data))
	}
	return nil
}

// Hash is the SHA-256 of a file's bytes, in hex.
func Hash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// replace writes a small file whole or not at all, and durably.
func (l *Lake) replace(path string, data []byte) error {
	tmp := path + ".tmp"
	if err := disk.WriteFile(l.fs, tmp, data, 0o600); err != nil {
		return err
	}
	if err := l.fs.Rename(tmp, path); err != nil {
		return err
	}
	return l.fs.SyncDir(filepath.Dir(path))
}
