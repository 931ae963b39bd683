package usagelake

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/apache/arrow/go/v17/arrow/memory"
	"golang.org/x/sync/errgroup"

	"usagelake/schemas"
	"usagelake/sink"
	"usagelake/sink/disk"
	"usagelake/sink/ledger"
	"usagelake/transform"
)

// reduced is the outcome of the reduce step: staged, verified files.
type reduced struct {
	moves []ledger.Move
	files []ledger.File
	// rows and lost are by index in the table of sources: what of this run's
	// rows was published, and what was not.
	rows, lost map[int32]*tally
	taken      map[int32]*tally    // of the table's rows, those that lost
	pairs      map[beatenKey]int64 // rows by who lost to whom
	beaten     []ledger.Beaten     // pairs, in order
	removed    []ledger.Removed    // taken, in order
	displaced  int64
	flags      Counts
}

// tally counts rows and their quantities.
type tally struct {
	rows int64
	sums schemas.Sums
}

func (t *tally) add(r *schemas.Row) {
	t.rows++
	t.sums.AddRow(r)
}

// reduce merges the new rows of every unit with what the table holds, and
// stages the files that change.
func reduce(ctx context.Context, s *settings, lake *ledger.Lake, p *planned, m *mapped) (*reduced, error) {
	p.identify(m)
	tables := &tables{lake: lake, sources: p.sources, mem: s.Memory}
	lost, touched, err := crossDay(lake, p, m, tables)
	if err != nil {
		return nil, err
	}
	units := slices.Collect(maps.Keys(m.batches))
	for u := range touched {
		if _, ok := m.batches[u]; !ok {
			units = append(units, u)
		}
	}
	slices.SortFunc(units, schemas.Unit.Compare)
	if err := s.allowed(lake, units); err != nil {
		return nil, err
	}

	columns := max(s.Jobs/max(len(units), 1), 1) // at a time in one file, where there are few files
	merger := &sink.Merger{Rule: transform.KeyRule, Sources: p.sources, Lost: lost}
	r := &reduced{rows: map[int32]*tally{}, lost: map[int32]*tally{}, taken: map[int32]*tally{}, pairs: map[beatenKey]int64{}, flags: Counts{}}
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(s.Jobs)
	for _, unit := range units {
		fresh := m.batches[unit]
		delete(m.batches, unit)
		g.Go(func() error {
			defer release(fresh)
			if err := ctx.Err(); err != nil {
				return err
			}
			out, err := reduceUnit(s, lake, merger, tables, unit, fresh, columns)
			if err != nil {
				return fmt.Errorf("partition %s: %w", unit.Dir(), err)
			}
			mu.Lock()
			defer mu.Unlock()
			s.Progress(Progress{Step: "reduce"})
			r.add(out)
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	r.order(p.sources)
	return r, nil
}

// identify gives new sources their ids: now that they were read, they are known.
func (p *planned) identify(m *mapped) {
	for i, t := range p.tasks {
		if t.read() && t.known == nil {
			p.sources.Set(t.source.Index, sink.Source{File: p.sources.At(t.source.Index).File, ID: hexID(m.reads[i].sum)})
		}
	}
}

// allowed guards against a flood of partitions, the usual outcome of a wrong
// time column.
func (s *settings) allowed(lake *ledger.Lake, units []schemas.Unit) error {
	fresh := map[schemas.Day]bool{}
	for _, u := range units {
		if _, ok := lake.State.Files[u.Path()]; !ok {
			fresh[u.Day] = true
		}
	}
	if len(fresh) <= s.MaxPartitions {
		return nil
	}
	days := slices.Sorted(maps.Keys(fresh))
	return fmt.Errorf("%w: %d new event dates from %s to %s, %d are allowed; if that is right, use --max-partitions %d",
		ErrPartitions, len(days), days[0], days[len(days)-1], s.MaxPartitions, len(days))
}

// crossDay finds copies of new calls on other days. It returns the rows that
// lose, and the units of the table that lose some.
func crossDay(lake *ledger.Lake, p *planned, m *mapped, tables *tables) (map[sink.Lost]int32, map[schemas.Unit]bool, error) {
	wide := sink.NewWide(transform.KeyRule)
	for unit, list := range m.batches {
		for _, b := range list {
			wide.AddNew(unit, b)
		}
	}
	if wide.Len() == 0 {
		return nil, nil, nil
	}
	for path, f := range lake.State.Files {
		unit, err := schemas.ParseUnit(path)
		if err != nil {
			return nil, nil, err
		}
		if err := tables.copies(wide, unit, f.AnyDay > 0); err != nil {
			return nil, nil, fmt.Errorf("partition %s: %w", unit.Dir(), err)
		}
	}
	lost := wide.CrossDay(p.sources)
	touched := map[schemas.Unit]bool{}
	for l := range lost {
		touched[l.Unit] = true
	}
	return lost, touched, nil
}

// tables reads files of the table. Batches are the caller's to release.
type tables struct {
	lake    *ledger.Lake
	sources *sink.Sources
	mem     memory.Allocator
}

func (t *tables) path(unit schemas.Unit) string {
	return filepath.Join(t.lake.Table(), filepath.FromSlash(unit.Path()))
}

func (t *tables) open(unit schemas.Unit) (disk.Reader, int64, error) {
	f, err := t.lake.FS().Open(t.path(unit))
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

// read reads a unit's rows, from the very file that the ledger knows: what
// someone else made of it must not be merged as ours.
func (t *tables) read(unit schemas.Unit) ([]*schemas.Batch, error) {
	sum, err := t.lake.FileSum(t.path(unit))
	if err != nil {
		return nil, err
	}
	if sum != t.lake.State.Files[unit.Path()].SHA256 {
		return nil, fmt.Errorf("%s is not the file that usagelake wrote: restore it, then load again", unit.Path())
	}
	f, size, err := t.open(unit)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return sink.Read(f, size, t.mem, t.sources)
}

// copies adds to wide the rows of a unit that are copies of new ones. The
// unit's bloom filter says where there is nothing to read.
func (t *tables) copies(wide *sink.Wide, unit schemas.Unit, anyDay bool) error {
	ids := wide.Ask(unit, anyDay)
	if len(ids) == 0 {
		return nil
	}
	f, size, err := t.open(unit)
	if err != nil {
		return err
	}
	defer f.Close()
	if may, err := sink.MayHold(f, size, ids); err != nil || !may {
		return err
	}
	batches, err := sink.Read(f, size, t.mem, t.sources)
	if err != nil {
		return err
	}
	for _, b := range batches {
		wide.AddOld(unit, b)
		b.Release()
	}
	return nil
}

// unitResult is the outcome for one unit.
type unitResult struct {
	move       *ledger.Move // nil where the unit does not change
	file       ledger.File
	rows, lost map[int32]*tally
	taken      map[int32]*tally
	pairs      map[beatenKey]int64
	flags      Counts
}

type beatenKey struct{ source, by int32 }

func reduceUnit(s *settings, lake *ledger.Lake, merger *sink.Merger, tables *tables, unit schemas.Unit, fresh []*schemas.Batch, columns int) (_ *unitResult, err error) {
	before, exists := lake.State.Files[unit.Path()]
	var old []*schemas.Batch
	if exists {
		if old, err = tables.read(unit); err != nil {
			return nil, err
		}
		defer release(old)
	}
	batches := append(slices.Clip(old), fresh...)
	merged := merger.Merge(unit, batches, len(old))
	out := account(&merged, batches, len(old))
	if !merged.Changed {
		return out, nil
	}
	out.file = ledger.File{Path: unit.Path(), Before: before.SHA256}
	out.move = &ledger.Move{Target: ledger.TablePath(unit.Path()), Old: before.SHA256}
	if len(merged.Rows.Order) == 0 {
		return out, nil
	}
	out.move.Staged = fmt.Sprintf("%s-%04d.parquet", unit.Day, unit.Bucket)
	facts, bytes, sum, err := stage(lake, unit, merged.Rows, out.move.Staged, sink.WriteOptions{Codec: s.Codec, Jobs: columns})
	if err != nil {
		return nil, err
	}
	out.move.New = sum
	out.file.Rows, out.file.Bytes, out.file.SHA256 = facts.Rows, bytes, sum
	out.file.Sums.Sums = facts.Sums
	out.file.AnyDay = merged.AnyDay
	return out, nil
}

// account adds up what became of this run's rows, and of the table's.
func account(m *sink.Merged, batches []*schemas.Batch, old int) *unitResult {
	out := &unitResult{rows: map[int32]*tally{}, lost: map[int32]*tally{}, taken: map[int32]*tally{}, pairs: map[beatenKey]int64{}, flags: Counts{}}
	var row schemas.Row
	for i, ref := range m.Rows.Order {
		if int(ref.Batch) < old {
			continue
		}
		batches[ref.Batch].Row(int(ref.Row), &row)
		of(out.rows, row.Source).add(&row)
		list, changed := m.Rows.Flags[i]
		if !changed {
			list = row.Str(schemas.QualityFlags)
		}
		if list != "" {
			for name := range strings.SplitSeq(list, ",") {
				out.flags[name]++
			}
		}
	}
	for _, l := range m.Losses {
		batches[l.Ref.Batch].Row(int(l.Ref.Row), &row)
		if l.Old {
			of(out.taken, row.Source).add(&row)
		} else {
			of(out.lost, row.Source).add(&row)
		}
		if l.By != row.Source {
			out.pairs[beatenKey{row.Source, l.By}]++
		}
	}
	return out
}

func of[K comparable](m map[K]*tally, k K) *tally {
	t := m[k]
	if t == nil {
		t = &tally{}
		m[k] = t
	}
	return t
}

func merge[K comparable](dst, src map[K]*tally) {
	for k, t := range src {
		d := of(dst, k)
		d.rows += t.rows
		d.sums.Add(&t.sums)
	}
}

func (r *reduced) add(u *unitResult) {
	merge(r.rows, u.rows)
	merge(r.lost, u.lost)
	for name, n := range u.flags {
		r.flags[name] += n
	}
	if u.move != nil {
		r.moves = append(r.moves, *u.move)
		r.files = append(r.files, u.file)
	}
	merge(r.taken, u.taken)
	for k, rows := range u.pairs {
		r.pairs[k] += rows
	}
}

// order makes the outcome independent of which unit was done first.
func (r *reduced) order(sources *sink.Sources) {
	for source, t := range r.taken {
		out := ledger.Removed{Source: sources.At(source).ID, Rows: t.rows}
		out.Sums.Sums = t.sums
		r.removed = append(r.removed, out)
		r.displaced += t.rows
	}
	for k, rows := range r.pairs {
		r.beaten = append(r.beaten, ledger.Beaten{Source: sources.At(k.source).ID, By: sources.At(k.by).ID, Rows: rows})
	}
	slices.SortFunc(r.files, func(a, b ledger.File) int { return strings.Compare(a.Path, b.Path) })
	slices.SortFunc(r.beaten, func(a, b ledger.Beaten) int {
		return cmp.Or(strings.Compare(a.Source, b.Source), strings.Compare(a.By, b.By))
	})
	slices.SortFunc(r.removed, func(a, b ledger.Removed) int { return strings.Compare(a.Source, b.Source) })
}

// stage writes a unit's file, reads it back and holds it against what was to
// be written.
func stage(lake *ledger.Lake, unit schemas.Unit, rows sink.Rows, name string, opt sink.WriteOptions) (facts sink.Facts, size int64, sum string, err error) {
	size, sum, err = stageFile(lake, name, 0o644, func(w io.Writer) error {
		facts, err = sink.Write(w, unit, rows, opt)
		return err
	})
	if err != nil {
		return facts, 0, "", err
	}
	f, err := lake.FS().Open(lake.StagedPath(name))
	if err != nil {
		return facts, 0, "", err
	}
	defer f.Close()
	back, err := sink.Verify(f, size, unit)
	if err != nil {
		return facts, 0, "", fmt.Errorf("read back: %w", err)
	}
	if back != facts {
		return facts, 0, "", errors.New("read back: the file does not hold what was written")
	}
	return facts, size, sum, nil
}

// stageFile writes a staged file, makes it durable, and returns its size and
// SHA-256.
func stageFile(lake *ledger.Lake, name string, perm fs.FileMode, write func(io.Writer) error) (size int64, sum string, err error) {
	f, err := lake.FS().Create(lake.StagedPath(name), perm)
	if err != nil {
		return 0, "", err
	}
	h := &hashed{w: f, sum: sha256.New()}
	buf := bufio.NewWriterSize(h, 1<<20)
	err = write(buf)
	if err == nil {
		err = buf.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	return h.n, hex.EncodeToString(h.sum.Sum(nil)), err
}

// hashed writes through a hash.
type hashed struct {
	w   io.Writer
	sum hash.Hash
	n   int64
}

func (h *hashed) Write(b []byte) (int, error) {
	n, err := h.w.Write(b)
	h.sum.Write(b[:n])
	h.n += int64(n)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	return n, err
}
