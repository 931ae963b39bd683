package ledger

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"

	"usagelake/schemas"
	"usagelake/sink/disk"
)

// Move puts one staged file into its place.
type Move struct {
	Staged string `json:"staged,omitempty"` // below staging, slash-separated
	Target string `json:"target"`           // below the lake, slash-separated
	Old    string `json:"old,omitempty"`    // SHA-256 of what is there; "" for nothing
	New    string `json:"new,omitempty"`    // SHA-256 of the staged file; "" removes the target
}

// intent is a publication that must be brought to its end: all its files are
// staged, verified and durable before it is written.
type intent struct {
	Format int             `json:"format"`
	By     string          `json:"by"` // the Lake that wrote it, so that no two intents are the same bytes
	Moves  []Move          `json:"moves"`
	Last   *Move           `json:"last,omitempty"`   // brings the record, when all others are durable
	Record json.RawMessage `json:"record,omitempty"` // in place of Last, in a store
}

// Publication is a change to be made visible.
type Publication struct {
	Record Record // Format, Seq and Prev are set by Publish
	Moves  []Move
}

// Stage is the name below staging for a file of this run. On a Shared file
// system it is in a directory of the run's own.
func (l *Lake) Stage(name string) string {
	if l.shared == nil {
		return name
	}
	return runName(l.NextSeq(), l.id) + "/" + name
}

// runName is the name in staging of a directory for what may become record seq.
// It is swept once there is one.
func runName(seq int64, id string) string { return fmt.Sprintf("%09d-%s", seq, id) }

// runOf is the seq in a runName.
func runOf(name string) (seq int64, ok bool) {
	digits, _, ok := strings.Cut(name, "-")
	if !ok || len(digits) < 9 {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	return int64(n), err == nil
}

// StagedPath is the path of a staged file, by its name below staging.
func (l *Lake) StagedPath(name string) string { return l.Path(path.Join("state/staging", name)) }

// FS is the file system the lake lives on.
func (l *Lake) FS() disk.FS { return l.fs }

// NextSeq is the number of the next record.
func (l *Lake) NextSeq() int64 { return l.State.Seq + 1 }

// Publish makes a change visible: intent, renames, record, and the intent goes.
// All staged files must be durable. After an error before the intent was
// written nothing has changed; after one behind it the next Open finishes, and
// this Lake publishes nothing more.
//
// On a Shared file system the intent is what others are kept out by, who would
// bring the record of the same number: whoever comes second gets ErrOvertaken,
// and has to do his work again on what is there then. Files of a table cannot be
// removed there, only replaced.
func (l *Lake) Publish(p *Publication) error {
	if l.opt.ReadOnly {
		return fmt.Errorf("lake %s was opened to be read; nothing can be published", l.dir)
	}
	if l.unfinished {
		return fmt.Errorf("lake %s: %w", l.dir, ErrInterrupted)
	}
	if err := l.foreign(p.Moves); err != nil {
		return cmp.Or(l.Overtaken(), err)
	}
	p.Record.Format, p.Record.Seq, p.Record.Prev = Format, l.NextSeq(), l.State.Sum
	// The state takes the record as the next Open reads it: JSON has no paths
	// that are no UTF-8.
	for i := range p.Record.Sources {
		p.Record.Sources[i].File = text(p.Record.Sources[i].File)
	}
	for i := range p.Record.Seen {
		p.Record.Seen[i].Path = text(p.Record.Seen[i].Path)
	}
	slices.SortFunc(p.Moves, func(a, b Move) int { return strings.Compare(a.Target, b.Target) })
	in := intent{Format: Format, By: l.id, Moves: p.Moves}
	done := false
	sum, err := l.bring(&p.Record, &in)
	if err != nil {
		return err
	}
	data, err := json.Marshal(&in)
	if err != nil {
		return err
	}
	if l.shared != nil {
		done, err = l.beginShared(p.Record.Seq, &in, data)
	} else {
		err = l.begin(p.Record.Seq, &in, data)
	}
	if err != nil {
		return err
	}
	var state sync.WaitGroup // while the disk is waited for; from here on the record comes
	state.Go(func() { l.State.apply(&p.Record, sum) })
	if !done {
		err = l.finish(p.Record.Seq, &in)
	}
	state.Wait()
	if err != nil {
		l.unfinished = true
		return fmt.Errorf("%w: %w", errBegun, err)
	}
	l.checkpoint()
	return nil
}

// foreign fails if a file is in a place where the ledger knows none: it is not ours to
// replace.
func (l *Lake) foreign(moves []Move) error {
	dirs := map[string]map[string]bool{} // names in those of the tables and of the quarantine
	for _, m := range moves {
		if m.Old != "" || m.New == "" {
			continue
		}
		dir, rest, _ := strings.Cut(m.Target, "/")
		if dirs[dir] == nil {
			entries, err := l.fs.ReadDir(l.Path(dir))
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			dirs[dir] = map[string]bool{}
			for _, e := range entries {
				dirs[dir][e.Name()] = true
			}
		}
		if name, _, _ := strings.Cut(rest, "/"); !dirs[dir][name] {
			continue
		}
		if there, err := l.exists(l.Path(m.Target)); err != nil {
			return err
		} else if there {
			return fmt.Errorf("lake %s: %s is there, but the ledger does not know it, so nothing was published: "+
				"restore state/ledger if that was lost; else move the file out of the lake, and run again", l.dir, m.Target)
		}
	}
	return nil
}

// bring puts a record into an intent, and returns its SHA-256. On a disk it is
// staged: one of many sources has many bytes, and they are written once.
func (l *Lake) bring(r *Record, in *intent) (sum string, err error) {
	if l.shared == nil {
		err := l.stageRecord(r.Seq, in, r.encode)
		return in.Last.New, err
	}
	var record bytes.Buffer
	if err := r.encode(&record); err != nil {
		return "", err
	}
	in.Record = record.Bytes()
	return Hash(in.Record), nil
}

// stageRecord makes a staged file of a record the last move of an intent.
func (l *Lake) stageRecord(seq int64, in *intent, encode func(io.Writer) error) (err error) {
	const behind = 4 // pieces: to encode them takes about as long as to write them
	in.Last = &Move{Staged: l.Stage(recordName(seq)), Target: "state/ledger/" + recordName(seq)}
	_, in.Last.New, err = l.WriteStaged(in.Last.Staged, 0o600, behind, encode)
	return err
}

var (
	errBegun   = errors.New("publishing was begun and will be finished by the next run")
	errUnclear = errors.New("whether publishing was begun is not known; if so, it will be finished by the next run")
)

// begin writes the intent of a publication, whose text is data.
func (l *Lake) begin(seq int64, in *intent, data []byte) error {
	if err := l.syncDirs(l.stages(in.Moves)); err != nil {
		return err
	}
	path := l.intent(seq)
	if err := l.prepare(path, data); err != nil {
		return err
	}
	err := l.place(path)
	if err != nil && l.begun(path) {
		l.unfinished = true
		return fmt.Errorf("%w: %w", errBegun, err)
	}
	return err
}

// beginShared writes the intent where others may do so too, and reports whether
// one of them has carried it out already. It fails with ErrOvertaken if they were
// first.
func (l *Lake) beginShared(seq int64, in *intent, data []byte) (done bool, err error) {
	for _, m := range in.Moves {
		if table, _, _ := strings.Cut(m.Target, "/"); m.New == "" && isTable(table) {
			// a request that comes late would remove what others put there since
			return false, fmt.Errorf("lake %s: %s cannot be removed from a store, only replaced", l.dir, m.Target)
		}
	}
	path := l.intent(seq)
	err = l.shared.PutNew(path, data)
	if errors.Is(err, fs.ErrExist) {
		return false, fmt.Errorf("lake %s: %w", l.dir, ErrOvertaken)
	}
	if err != nil {
		if now, e := disk.ReadFile(l.fs, path); e != nil || !bytes.Equal(now, data) {
			l.unfinished = true // the request may still be under way
			return false, fmt.Errorf("%w: %w", errUnclear, err)
		}
	}
	// There may be a record: of another run, whose intent is gone, so that ours
	// came too late and moves nothing; or ours, by another run.
	now, err := disk.ReadFile(l.fs, l.record(seq))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		l.unfinished = true
		return false, fmt.Errorf("%w: %w", errUnclear, err)
	}
	_ = l.fs.Remove(path) // or it is swept: whoever sees it sees the record too
	if !bytes.Equal(now, in.Record) {
		return false, fmt.Errorf("lake %s: %w", l.dir, ErrOvertaken)
	}
	return true, nil
}

// Overtaken is ErrOvertaken if another run has published since the lake was
// opened, or is about to: then the files of its tables may not be those of the
// State any more. Where a lock keeps others out it is always nil.
func (l *Lake) Overtaken() error {
	if l.shared == nil || l.unfinished {
		return nil
	}
	for _, path := range []string{l.record(l.NextSeq()), l.intent(l.NextSeq())} {
		if there, err := l.exists(path); err == nil && there {
			return fmt.Errorf("lake %s: %w", l.dir, ErrOvertaken)
		}
	}
	return nil
}

func (l *Lake) exists(path string) (bool, error) {
	f, err := l.fs.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, f.Close()
}

// text is s with U+FFFD for every byte that is no UTF-8, as JSON has it.
func text(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return string([]rune(s))
}

// begun reports whether an intent is in place. Where that cannot be told it is
// taken to be: what is staged must outlive it.
func (l *Lake) begun(path string) bool {
	there, err := l.exists(path)
	return there || err != nil
}

// stages are the directories that files are staged in.
func (l *Lake) stages(moves []Move) []string {
	dirs := map[string]bool{l.staging(): true}
	for _, m := range moves {
		if m.New != "" {
			dirs[filepath.Dir(l.StagedPath(m.Staged))] = true
		}
	}
	return slices.Sorted(maps.Keys(dirs))
}

// finish carries an intent out. Every step may have been done before.
func (l *Lake) finish(seq int64, in *intent) error {
	if l.shared != nil {
		return l.finishShared(in.Moves, seq, in.Record)
	}
	var comes, goes []Move
	for _, m := range in.Moves {
		if m.New != "" {
			comes = append(comes, m)
		} else {
			goes = append(goes, m)
		}
	}
	var g errgroup.Group // while some wait for the disk others make folders
	g.SetLimit(putsAtOnce)
	for some := range slices.Chunk(comes, putsTogether) {
		g.Go(func() error { return l.put(some) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	// What goes goes after what comes: a directory that is empty now stays so.
	dirs, err := l.takeOut(goes)
	if err != nil {
		return err
	}
	if err := l.syncDirs(append(dirs, l.stages(comes)...)); err != nil {
		return err
	}
	if err := l.fs.Rename(l.StagedPath(in.Last.Staged), l.record(seq)); err != nil {
		return err
	}
	if err := l.fs.SyncDir(l.records()); err != nil {
		return err
	}
	if err := l.fs.Remove(l.intent(seq)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return l.fs.SyncDir(l.state())
}

const (
	putsTogether = 32 // files: a table's directory is synced for so many at a time
	putsAtOnce   = 4
)

// put puts staged files into their places, durably.
func (l *Lake) put(moves []Move) error {
	parents, tables := map[string]bool{}, map[string]bool{}
	for _, m := range moves {
		parent := filepath.Dir(l.Path(m.Target))
		if table, _, _ := strings.Cut(m.Target, "/"); isTable(table) {
			tables[l.Path(table)] = true
		}
		if !parents[parent] {
			if err := l.fs.MkdirAll(parent, 0o755); err != nil {
				return err
			}
		}
		parents[parent] = true
	}
	// a file whose directory is lost is lost, and it has left staging
	if err := l.syncDirs(slices.Sorted(maps.Keys(tables))); err != nil {
		return err
	}
	for _, m := range moves {
		if err := l.fs.Rename(l.StagedPath(m.Staged), l.Path(m.Target)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return l.syncDirs(slices.Sorted(maps.Keys(parents)))
}

// takeOut removes files, and the directory of a partition with its last one. It
// returns the directories that are to be synced.
func (l *Lake) takeOut(moves []Move) ([]string, error) {
	dirs := map[string]bool{}
	for _, m := range moves {
		target := l.Path(m.Target)
		parent := filepath.Dir(target)
		dirs[parent] = true
		if err := l.fs.Remove(target); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if table, _, _ := strings.Cut(m.Target, "/"); !isTable(table) || path.Dir(m.Target) == table {
			continue
		}
		dirs[filepath.Dir(parent)] = true
		entries, err := l.fs.ReadDir(parent)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if len(entries) == 0 {
			if err := l.fs.Remove(parent); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
			delete(dirs, parent)
		}
	}
	return slices.Sorted(maps.Keys(dirs)), nil
}

// movesAtOnce is how many requests to a store are under way at a time.
const movesAtOnce = 16

// finishShared carries an intent out that others may be carrying out too, or
// have carried out, be it long ago: a staged file that is gone is in its place,
// or was, until a later publication put another there. What a quarantine file is
// called is used once, so that one can be removed at any time.
func (l *Lake) finishShared(moves []Move, seq int64, record []byte) error {
	var g errgroup.Group
	g.SetLimit(movesAtOnce)
	for _, m := range moves {
		g.Go(func() error {
			var err error
			if m.New == "" {
				err = l.fs.Remove(l.Path(m.Target))
			} else {
				err = l.fs.Rename(l.StagedPath(m.Staged), l.Path(m.Target))
			}
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	err := l.shared.PutNew(l.record(seq), record)
	if errors.Is(err, fs.ErrExist) {
		var now []byte
		if now, err = disk.ReadFile(l.fs, l.record(seq)); err == nil && !bytes.Equal(now, record) {
			err = fmt.Errorf("ledger %s: %w: it is not the record that its intent brings", l.record(seq), ErrBroken)
		}
	}
	if err != nil {
		return err
	}
	return l.fs.Remove(l.intent(seq))
}

// syncsAtOnce is how many directories are synced at a time: a disk makes many
// durable in hardly more time than one.
const syncsAtOnce = 16

// syncDirs makes the names in directories durable. One that is gone needs none.
func (l *Lake) syncDirs(dirs []string) error {
	var g errgroup.Group
	g.SetLimit(syncsAtOnce)
	for _, d := range dirs {
		g.Go(func() error {
			if err := l.fs.SyncDir(d); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			return nil
		})
	}
	return g.Wait()
}

func isTable(name string) bool {
	for t := range schemas.NumTables {
		if t.String() == name {
			return true
		}
	}
	return false
}

// QuarantinePath is the target of a file of quarantined records.
func QuarantinePath(file string) string { return path.Join("quarantine", file) }
