package usagelake

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/semaphore"

	"usagelake/schemas"
	"usagelake/sink"
	"usagelake/sink/ledger"
)

// reduced is the outcome of the reduce step: staged, verified files.
type reduced struct {
	moves  []ledger.Move
	files  []ledger.File
	rows   [schemas.NumTables]*sink.Outcome // of all units of each table
	beaten []ledger.Beaten
}

// reduce finds the copies among the new rows and with the table's, merges the
// new rows of every unit with what the table holds, and stages the files that
// change.
func reduce(ctx context.Context, s *settings, lake *ledger.Lake, p *planned, m *mapped) (*reduced, error) {
	p.identify(m)
	t := &table{ctx: ctx, lake: lake, sources: p.sources, mem: s.Allocator}
	if err := t.forget(ctx, m.merger, p.forget); err != nil {
		return nil, err
	}
	if err := t.copies(ctx, m.merger, p.again); err != nil {
		return nil, err
	}
	if err := m.merger.Decide(ctx, s.Jobs); err != nil {
		return nil, err
	}
	units := m.merger.Units()
	if err := s.allowed(lake, units); err != nil {
		return nil, err
	}
	r := &reduced{}
	for t := range r.rows {
		r.rows[t] = sink.NewOutcome()
	}
	var mu sync.Mutex
	err := t.reduce(ctx, s, m.merger, units, "", func(u sink.Change, out *unitResult) error {
		mu.Lock()
		defer mu.Unlock()
		s.Progress(Progress{Step: "reduce"})
		r.add(u.Unit.Table, out)
		return nil
	})
	if err != nil {
		return nil, err
	}
	r.lost(p, m.merger.Beaten())
	r.sort()
	return r, nil
}

// reduce makes the files of units, several at a time, below a directory of staging. It
// hands out what they came to.
func (t *table) reduce(ctx context.Context, s *settings, m *sink.Merger, units []sink.Change, dir string, done func(sink.Change, *unitResult) error) error {
	if err := s.hasRoom(t.staged(units)); err != nil {
		return err
	}
	var left atomic.Int64 // units
	left.Store(int64(len(units)))
	how := manner{dir: dir, columns: func() int { return max(s.Jobs/max(int(left.Load()), 1), 1) }}
	if how.columns() > 1 { // nobody else has work while a row group is written
		how.behind = groupPieces
	}
	room := semaphore.NewWeighted(s.reducing())
	// goroutines that go on have a stack that has grown
	return each(ctx, unitsAtOnce*s.Jobs, len(units), func(ctx context.Context, i int) error {
		u := units[i]
		need := min(u.Memory+int64(how.behind)*ledger.PieceBytes, s.reducing())
		if err := room.Acquire(ctx, need); err != nil {
			return err
		}
		defer room.Release(need)
		defer left.Add(-1)
		out, err := reduceUnit(ctx, s, t, m, u, how)
		if err != nil {
			return fmt.Errorf("partition %s: %w", u.Unit.Dir(), err)
		}
		return done(u, out)
	})
}

// lost notes which rows gave way.
func (r *reduced) lost(p *planned, beaten map[sink.Pair]int64) {
	for pair, n := range beaten {
		r.beaten = append(r.beaten, ledger.Beaten{Source: p.sources.At(pair.Source).ID, By: p.sources.At(pair.By).ID, Rows: n})
	}
}

// sort puts what units came to in order.
func (r *reduced) sort() {
	slices.SortFunc(r.files, func(a, b ledger.File) int { return strings.Compare(a.Path, b.Path) })
	slices.SortFunc(r.beaten, func(a, b ledger.Beaten) int {
		return cmp.Or(strings.Compare(a.Source, b.Source), strings.Compare(a.By, b.By))
	})
}

// unitsAtOnce is how many units are under way for each job: a small file waits
// for the disk for longer than it takes to make and to read back.
const unitsAtOnce = 12

// manner is how files of units are made.
type manner struct {
	dir     string     // below staging; "" for the run's own
	behind  int        // pieces of a file that may wait to be written
	columns func() int // to be worked on at a time in one file, more where few files are left
}

// groupPieces is how many pieces of a file may wait to be written where nobody else
// has work meanwhile: they hold a row group, as a rule.
const groupPieces = 128

func (r *reduced) add(t schemas.Table, u *unitResult) {
	r.rows[t].Add(u.rows)
	if u.move != nil {
		r.moves = append(r.moves, *u.move)
		r.files = append(r.files, u.file)
	}
}

// identify gives new sources their ids: now that they were read, they are known.
func (p *planned) identify(m *mapped) {
	for i, t := range p.tasks {
		if t.read() && t.known == nil {
			p.sources.Set(t.source.Index, sink.Source{File: p.sources.At(t.source.Index).File, ID: m.reads[i].sum})
		}
	}
}

// allowed guards against a flood of partitions, the usual outcome of a wrong
// time column.
func (s *settings) allowed(lake *ledger.Lake, units []sink.Change) error {
	fresh := map[schemas.Day]bool{}
	for _, u := range units {
		if _, ok := lake.State.Files[u.Unit.Path()]; !ok {
			fresh[u.Unit.Day] = true
		}
	}
	if len(fresh) <= s.MaxPartitions {
		return nil
	}
	days := slices.Sorted(maps.Keys(fresh))
	return fmt.Errorf("%w: %d new event dates from %s to %s, %d are allowed; if that is right, use --max-partitions %d",
		ErrPartitions, len(days), days[0], days[len(days)-1], s.MaxPartitions, len(days))
}

// unitResult is the outcome for one unit.
type unitResult struct {
	move *ledger.Move // nil where the unit does not change
	file ledger.File
	rows *sink.Outcome
}

func reduceUnit(ctx context.Context, s *settings, t *table, m *sink.Merger, u sink.Change, how manner) (*unitResult, error) {
	unit := u.Unit
	if !u.Write {
		rows, err := m.Merge(ctx, unit, nil)
		return &unitResult{rows: rows}, err
	}
	before, exists := t.lake.State.Files[unit.Path()]
	if exists {
		if err := t.same(unit); err != nil {
			return nil, err
		}
	}
	// files of earlier versions do not count rows with the time of a turn
	out := &unitResult{file: ledger.File{Path: unit.Path(), Before: before.SHA256, AnyDay: max(before.AnyDay+u.AnyDay, 0)}}
	if s.dry {
		var err error
		if out.rows, err = m.Merge(ctx, unit, nil); err != nil {
			return nil, err
		}
		out.foresee(before)
		return out, nil
	}
	out.move = &ledger.Move{Target: unit.Path(), Old: before.SHA256}
	if empty, ok := t.lake.State.Empty[unit.Path()]; ok {
		out.move.Old = empty.SHA256
	}
	name := unitName(unit) + ".parquet"
	if how.dir == "" {
		name = t.lake.Stage(name)
	} else { // others may write it, too
		name = how.dir + "/" + unitName(unit) + "-" + attempt() + ".parquet"
	}
	var facts sink.Facts
	size, sum, err := t.lake.WriteStaged(name, 0o644, how.behind, func(w io.Writer) error {
		var pw *sink.Writer
		var err error
		out.rows, err = m.Merge(ctx, unit, func(rows sink.Rows) error {
			if pw == nil {
				var err error
				if pw, err = sink.NewWriter(w, unit, t.sources, s.Codec); err != nil {
					return err
				}
			}
			pw.SetJobs(how.columns())
			return pw.Write(rows)
		})
		if err == nil && pw == nil && t.lake.Shared() {
			return sink.WriteEmpty(w, unit)
		}
		if err != nil || pw == nil {
			return err
		}
		facts, err = pw.Close()
		return err
	})
	if err != nil {
		return nil, err
	}
	if facts.Rows == 0 { // all rows went
		out.file.AnyDay = 0
		if t.lake.Shared() {
			out.move.Staged, out.move.New = name, sum
			out.file.Bytes, out.file.SHA256 = size, sum
		}
		return out, nil
	}
	if err := t.check(unit, name, size, facts, how.columns()); err != nil {
		return nil, err
	}
	out.move.Staged, out.move.New = name, sum
	out.file.Rows, out.file.Bytes, out.file.SHA256 = facts.Rows, size, sum
	out.file.Sums.Sums = facts.Sums
	return out, nil
}

// foresee is what the file would hold.
func (u *unitResult) foresee(before ledger.File) {
	u.move = &ledger.Move{}
	u.file.Rows, u.file.Sums = before.Rows, before.Sums
	for _, t := range u.rows.Kept {
		u.file.Rows += t.Rows
		u.file.Sums.Add(&t.Sums)
	}
	for _, t := range u.rows.Removed {
		u.file.Rows -= t.Rows
		u.file.Sums.Sub(&t.Sums)
	}
}
