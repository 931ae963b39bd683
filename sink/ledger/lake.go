package ledger

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"usagelake/schemas"
	"usagelake/sink/disk"
)

// Lake is an open lake. It holds the lake's lock until Close.
type Lake struct {
	State State
	fs    disk.FS
	// shared is fs where locks keep nobody out, or nil.
	shared disk.Shared
	dir    string
	opt    Options
	lock   io.Closer // nil: closed, or only read and never locked
	id     string    // no other Lake has it
	// unfinished: a publication was begun and could not be brought to its end.
	// Its files must outlive this process.
	unfinished bool
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

	// ReadOnly changes nothing on the disk. A lake that is not there is an
	// empty one, unless MustExist; an interrupted publication is
	// ErrInterrupted. The lock is shared with others who read, where there is
	// a lock file.
	ReadOnly bool

	CheckpointEvery int64 // records from one checkpoint to the next; 0 is 64
}

// ErrNoLake means that a directory is no lake.
var ErrNoLake = errors.New("no lake there")

// ErrBroken means that the chain of records is not as it was written. Nothing
// can be said of such a lake, and nothing is done to it.
var ErrBroken = errors.New("the ledger is broken")

// ErrInterrupted means that a publication was interrupted and must be brought
// to its end before anything else.
var ErrInterrupted = errors.New("an interrupted publication must be finished first")

// ErrOvertaken means that another run has published, or is publishing, since
// the lake was opened: what was made of its former state is of no use. Only on a
// file system that is Shared.
var ErrOvertaken = errors.New("another run has published meanwhile, or is about to; nothing was published here: run again")

// Directories of a lake.
func (l *Lake) Table(t schemas.Table) string { return l.Path(t.String()) }
func (l *Lake) Quarantine() string           { return l.Path("quarantine") }
func (l *Lake) state() string                { return l.Path("state") }
func (l *Lake) records() string              { return l.Path("state/ledger") }
func (l *Lake) staging() string              { return l.Path("state/staging") }
func (l *Lake) intent(seq int64) string      { return l.Path("state/" + intentName(seq)) }
func (l *Lake) record(seq int64) string      { return l.Path("state/ledger/" + recordName(seq)) }
func (l *Lake) lockFile() string             { return l.Path("state/lock") }
func recordName(seq int64) string            { return fmt.Sprintf("%09d.json", seq) }
func intentName(seq int64) string            { return fmt.Sprintf("intent-%09d.json", seq) }

// Path is where a path below the lake, slash-separated, is on the disk, or in a
// store.
func (l *Lake) Path(p string) string {
	if scheme, dir, ok := strings.Cut(l.dir, "://"); ok {
		return scheme + "://" + path.Join(dir, p)
	}
	return filepath.Join(l.dir, filepath.FromSlash(p))
}

// Shared reports whether the lake is in a store that others may change at the
// same time: no lock keeps them out.
func (l *Lake) Shared() bool { return l.shared != nil }

// Open locks a lake, makes it where there is none, and brings a publication
// that was interrupted to its end. It fails with disk.ErrLocked while another
// process has the lake. On a Shared file system nobody has it alone, and
// Publish finds out whether others came first.
func Open(fsys disk.FS, dir string, opt Options) (_ *Lake, err error) {
	opt.CheckpointEvery = cmp.Or(opt.CheckpointEvery, checkpointEvery)
	l := &Lake{fs: fsys, dir: dir, opt: opt, id: rand.Text()}
	l.shared, _ = fsys.(disk.Shared)
	if opt.MustExist {
		f, err := fsys.Open(l.Path("state/lake.json"))
		if errors.Is(err, syscall.ENOTDIR) {
			return nil, fmt.Errorf("%s: %w", dir, syscall.ENOTDIR)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil, cmp.Or(l.bereft(), fmt.Errorf("%s: %w", dir, ErrNoLake))
		}
		if err != nil {
			return nil, err
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
	}
	defer func() {
		if err != nil && l.lock != nil {
			_ = l.lock.Close()
		}
	}()
	if opt.ReadOnly {
		err = l.look()
	} else {
		err = l.take()
	}
	if err != nil {
		return nil, err
	}
	l.State = l.restore()
	if err := l.fold(); err != nil {
		return nil, err
	}
	if err := l.recover(); err != nil {
		return nil, err
	}
	return l, nil
}

// take locks a lake and makes it ready for changes.
func (l *Lake) take() (err error) {
	if err := l.fs.MkdirAll(l.dir, 0o755); err != nil {
		return err
	}
	if err := l.fs.MkdirAll(l.state(), 0o700); err != nil {
		return err
	}
	if l.lock, err = l.fs.Lock(l.lockFile()); err != nil {
		return fmt.Errorf("lake %s: %w", l.dir, err)
	}
	for _, d := range []struct {
		path string
		perm fs.FileMode
	}{{l.Table(schemas.Usage), 0o755}, {l.Table(schemas.Reports), 0o755}, {l.Quarantine(), 0o700}, {l.records(), 0o700}, {l.staging(), 0o700}} {
		if err := l.fs.MkdirAll(d.path, d.perm); err != nil {
			return err
		}
	}
	if err := l.settings(); err != nil {
		return err
	}
	for _, d := range []string{l.dir, filepath.Dir(l.dir)} { // the names made above
		if err := l.fs.SyncDir(d); err != nil {
			return err
		}
	}
	return nil
}

// look locks a lake, where there is one, to read it.
func (l *Lake) look() (err error) {
	l.lock, err = l.fs.RLock(l.lockFile())
	if err != nil {
		l.lock = nil
		if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("lake %s: %w", l.dir, err)
		}
	}
	return l.settings()
}

// Close removes what was staged and not published, as far as it can, and frees
// the lock. A publication under way keeps its files for the next Open, which
// sweeps what Close could not.
func (l *Lake) Close() error {
	if l.lock == nil {
		return nil
	}
	if !l.opt.ReadOnly && !l.unfinished {
		_ = l.sweep()
	}
	lock := l.lock
	l.lock = nil
	return lock.Close()
}

// settings reads what was fixed when the lake was made, and fixes it for a new
// one.
func (l *Lake) settings() error {
	opt := l.opt
	path := l.Path("state/lake.json")
	data, err := disk.ReadFile(l.fs, path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := l.bereft(); err != nil {
			return err
		}
		l.State.Settings = Settings{Format: Format, Buckets: max(opt.Buckets, 1)}
		if opt.ReadOnly {
			return nil
		}
		data, _ = json.Marshal(l.State.Settings)
		data = append(data, '\n')
		if l.shared == nil {
			if err := l.replace(path, data); err != nil {
				_ = l.fs.Remove(path + ".tmp") // no Close follows that would sweep it
				return err
			}
			return nil
		}
		if err = l.shared.PutNew(path, data); err == nil {
			return l.excludes(path, data)
		}
		if errors.Is(err, fs.ErrExist) { // another run made the lake just now
			data, err = disk.ReadFile(l.fs, path)
		}
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, &l.State.Settings); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	s := l.State.Settings
	if s.Format != Format {
		remedy := "load the logs into a new lake"
		if s.Format > Format {
			remedy = "use a newer version"
		}
		return fmt.Errorf("lake %s has format %d, which another version of the program made; this one knows format %d: %s", l.dir, s.Format, Format, remedy)
	}
	if opt.Buckets != 0 && opt.Buckets != s.Buckets {
		return fmt.Errorf("lake %s was made with %d buckets; that cannot be changed to %d", l.dir, s.Buckets, opt.Buckets)
	}
	return nil
}

// bereft fails if there are records, but not the settings that they were made under.
func (l *Lake) bereft() error {
	entries, err := l.fs.ReadDir(l.records())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == recordName(1) }) {
		return fmt.Errorf("lake %s: %w: it has records, but state/lake.json is missing, a line like {\"format\":%d,\"buckets\":1} with the buckets that the lake was made with", l.dir, ErrBroken, Format)
	}
	return nil
}

// excludes fails if a store makes a file that is there: two runs could not keep each
// other out of a lake in it.
func (l *Lake) excludes(path string, data []byte) error {
	err := l.shared.PutNew(path, append(data, '\n'))
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil
	case err == nil:
		err = l.fs.Remove(path)
		return errors.Join(fmt.Errorf("lake %s: the store makes an object anew that is there (it does not heed If-None-Match: *), so it cannot hold a lake", l.dir), err)
	}
	return err
}

// fold brings the records behind the last that is in the state into it, and
// checks their chain.
func (l *Lake) fold() error {
	entries, err := l.fs.ReadDir(l.records())
	if err != nil && !(l.opt.ReadOnly && errors.Is(err, fs.ErrNotExist)) {
		return err
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".json") || e.Name() <= recordName(l.State.Seq) {
			continue
		}
		path := l.Path("state/ledger/" + e.Name())
		data, err := disk.ReadFile(l.fs, path)
		if err != nil {
			return err
		}
		var r Record
		if err := json.Unmarshal(data, &r); err != nil {
			return fmt.Errorf("ledger %s: %w: %w", path, ErrBroken, err)
		}
		if r.Format != Format || r.Seq != l.State.Seq+1 || r.Prev != l.State.Sum || e.Name() != recordName(r.Seq) {
			return fmt.Errorf("ledger %s: %w: it does not follow record %d, so a record was removed or edited", path, ErrBroken, l.State.Seq)
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
	if l.shared != nil {
		return disk.WriteFile(l.fs, path, data, 0o600)
	}
	if err := l.prepare(path, data); err != nil {
		return err
	}
	return l.place(path)
}

// prepare writes what place puts in place of path. What is left when either
// fails is swept by Close, or by the next Open.
func (l *Lake) prepare(path string, data []byte) error {
	return disk.WriteFile(l.fs, path+".tmp", data, 0o600)
}

func (l *Lake) place(path string) error {
	if err := l.fs.Rename(path+".tmp", path); err != nil {
		return err
	}
	return l.fs.SyncDir(filepath.Dir(path))
}

// FileSum is the SHA-256 of a file, "" where there is none.
func (l *Lake) FileSum(path string) (string, error) {
	f, err := l.fs.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
