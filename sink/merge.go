package sink

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/apache/arrow/go/v17/arrow/memory"

	"usagelake/schemas"
	"usagelake/sink/disk"
)

// MergerOptions are what a Merger works with.
type MergerOptions struct {
	Rule    func(dialect string) schemas.KeyRule
	Sources *Sources
	Mem     memory.Allocator
	Scratch Scratch
	Share   int64 // bytes of rows that an intake holds in memory
	Reading int64 // bytes that the sections of a unit may take while they are merged
	Buckets int   // files per partition
	Empty   bool  // the table is: nothing in it can be a copy
	// Again are sources that are read again from their start, by index: their
	// rows may be in the table already.
	Again map[int32]bool
}

// Merger merges new rows into the table: it takes them in, finds copies among
// them and with the table's rows, and hands out the rows of a unit in order.
//
// Its steps are Intake, for every worker; Old and Forget, for files of the
// table that Ask names; Decide; Merge, for every unit of Units.
type Merger struct {
	opt   MergerOptions
	runs  atomic.Int64
	sieve sieve // ids that old rows must have to be looked at
	order *order
	early bool // the ids of sources are not known yet
	// taking is held by who adds to oldLog, asked and units what was stored.
	taking sync.Mutex
	aim    *aim // nil: at all units

	mu       sync.Mutex
	sections []*section
	files    []*runFile
	calls    []*callLog
	places   []*callLog
	asked    asked
	units    map[schemas.Unit]*change
	old      map[schemas.Unit]*section
	oldLog   [2]callLog // calls and places of the table
	beaten   map[loss]int64
}

// NewMerger makes a merger without rows.
func NewMerger(opt MergerOptions) *Merger {
	m := &Merger{
		opt: opt, units: map[schemas.Unit]*change{}, old: map[schemas.Unit]*section{}, beaten: map[loss]int64{},
		asked: asked{near: map[schemas.Unit][]string{}, anyDay: map[schemas.Unit]int64{}},
	}
	if !opt.Empty {
		m.sieve = make(sieve, 1<<sieveBits/32)
	}
	m.calls, m.places = []*callLog{&m.oldLog[0]}, []*callLog{&m.oldLog[1]}
	return m
}

// Intake makes an intake of new rows.
func (m *Merger) Intake() *Intake {
	mem := &meter{Allocator: m.opt.Mem}
	return &Intake{
		Row: schemas.NewBuilder(mem),
		m:   m, mem: mem, order: m.opt.Sources.order(),
		most:  int(min(max(m.opt.Share/intakeBytes, 1), schemas.BuilderRows)),
		asked: asked{near: map[schemas.Unit][]string{}, anyDay: map[schemas.Unit]int64{}},
		fresh: map[schemas.Unit]int64{},
	}
}

// intakeBytes is the least share of memory for each row of a batch: a small one
// must not be taken up by a single batch.
const intakeBytes = 1024

// close takes over what an intake holds.
func (m *Merger) close(in *Intake) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls = append(m.calls, &in.calls)
	m.places = append(m.places, &in.places)
	for u, list := range in.asked.near {
		m.asked.near[u] = append(m.asked.near[u], list...)
	}
	m.asked.any = append(m.asked.any, in.asked.any...)
	m.asked.n += in.asked.n
	m.asked.all = m.asked.all || in.asked.all
	for u, n := range in.asked.anyDay {
		m.unit(u).anyDay += n
	}
	for u, n := range in.fresh {
		m.unit(u).fresh += n
	}
}

// Close gives back the memory and the files of all rows.
func (m *Merger) Close() error {
	for _, p := range m.sections {
		p.release()
	}
	var errs []error
	for _, r := range m.files {
		errs = append(errs, r.close())
	}
	return errors.Join(errs...)
}

// number adds a section and numbers it.
func (m *Merger) number(p *section) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p.number = int32(len(m.sections))
	m.sections = append(m.sections, p)
}

// unit is what becomes of a unit. The caller has the lock.
func (m *Merger) unit(u schemas.Unit) *change {
	c := m.units[u]
	if c == nil {
		c = &change{}
		m.units[u] = c
	}
	return c
}

// bucket is the bucket of row i.
func (m *Merger) bucket(rows *schemas.Builder, i int) uint16 {
	id := rows.Identity(i)
	key, scope := id.Key(m.opt.Rule(id.Dialect))
	if scope == schemas.NoCopies {
		source, line, row := rows.Places()
		return schemas.PlaceBucket(m.opt.Sources.At(source[i]).File, line[i], row[i], m.opt.Buckets)
	}
	return key.Bucket(m.opt.Buckets)
}

// File is a file of the table.
type File struct {
	Unit schemas.Unit
	Rows int64
	// Open begins to read these columns, or all if none is named.
	Open func(cols ...schemas.Col) (Batches, error)
}

// Ask says whether rows of a unit's file can be copies of new ones: for certain
// not, if neither may nor ids. With ids it depends on whether the file holds any
// of them. anyDay tells that the file has rows that are copies whatever their
// day. All intakes must be closed.
func (m *Merger) Ask(unit schemas.Unit, anyDay bool) (may bool, ids []string) {
	if c := m.units[unit]; c != nil && (c.fresh > 0 || c.gone > 0) {
		return true, nil
	}
	if unit.Table == schemas.Reports { // a bucket's rows are of its day
		return false, nil
	}
	many := m.asked.n > askedMost
	if anyDay && len(m.asked.near) > 0 {
		if many {
			return true, nil
		}
		for _, list := range m.asked.near {
			ids = append(ids, list...)
		}
		return false, append(ids, m.asked.any...)
	}
	near := false
	for _, day := range []schemas.Day{unit.Day - 1, unit.Day, unit.Day + 1} {
		list, ok := m.asked.near[unit.On(day)]
		near = near || ok
		ids = append(ids, list...)
	}
	if many {
		return near || m.asked.all, nil
	}
	return false, append(ids, m.asked.any...)
}

// Forget takes the rows of these sources out of a file. It comes before Old.
func (m *Merger) Forget(f File, sources map[int32]bool) error {
	p := m.file(f)
	t := m.unit(f.Unit)
	return m.scan(f, []schemas.Col{schemas.RequestID, schemas.Dialect, schemas.EventTimeSource, schemas.QualityFlags}, func(base int64, b *schemas.Batch) {
		gone := func(i int) bool {
			return sources[b.Source.Value(i)] && p.marks.at(base+int64(i)) != lost
		}
		m.eachID(b, func(i int, id string, k *kind) {
			if !gone(i) {
				return
			}
			if k.scope == schemas.AnyDay {
				t.anyDay--
			}
			m.sieve.put(k.hash(id))
		})
		for i := range b.Len() {
			if gone(i) {
				p.mark(base+int64(i), lost)
				t.gone++
			}
		}
	})
}

// Old looks for copies of new rows in a file.
func (m *Merger) Old(f File) error {
	p := m.file(f)
	if err := m.shelve(); err != nil {
		return err
	}
	cols := []schemas.Col{schemas.RequestID, schemas.Dialect, schemas.QualityFlags}
	if len(m.opt.Again) > 0 {
		cols = append(cols, schemas.EventTime, schemas.SourceLine, schemas.SourceRow)
	}
	return m.scan(f, cols, func(base int64, b *schemas.Batch) {
		m.eachAgain(b, 0, b.Len(), func(i int, hash uint64) {
			if p.marks.at(base+int64(i)) != lost {
				m.oldLog[1].add(p.ref(hash, base, i))
			}
		})
		m.eachID(b, func(i int, id string, k *kind) {
			hash := k.hash(id)
			if p.marks.at(base+int64(i)) == lost || !m.sieve.may(hash) {
				return
			}
			r := p.ref(hash, base, i)
			if k.flag {
				r.index |= anyway
			}
			m.oldLog[0].add(r)
		})
	})
}

// shelve writes the calls of the table to a scratch file when they take more
// than an intake's share.
func (m *Merger) shelve() (err error) {
	if (m.oldLog[0].n+m.oldLog[1].n)*refBytes <= m.opt.Share {
		return nil
	}
	r, f, err := m.run()
	if err != nil {
		return err
	}
	defer closing(&err, f.Close)
	w := &offsetWriter{w: bufio.NewWriterSize(f, 256<<10)}
	for i := range m.oldLog {
		if err := m.oldLog[i].spill(w, r); err != nil {
			return err
		}
	}
	return w.w.Flush()
}

// run makes a scratch file.
func (m *Merger) run() (*runFile, disk.Writer, error) {
	r := &runFile{scratch: m.opt.Scratch, name: fmt.Sprintf("run-%d", m.runs.Add(1)), own: true}
	f, err := r.scratch.Create(r.name)
	if err != nil {
		return nil, nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.files = append(m.files, r)
	return r, f, nil
}

// All looks for copies among all rows of files.
func (m *Merger) All() {
	for i := range m.sieve {
		m.sieve[i] = ^uint32(0)
	}
}

// file is the section of a unit's file.
func (m *Merger) file(f File) *section {
	if p := m.old[f.Unit]; p != nil {
		return p
	}
	p := &section{unit: f.Unit, old: true, rows: f.Rows, size: oldBytes, marks: makeMarks(f.Rows)}
	p.last.time = math.MaxInt64
	p.open = func() (Batches, error) { return f.Open() }
	p.calls = func() (Batches, error) { return f.Open(callColumns(f.Unit.Table)...) }
	m.number(p)
	m.old[f.Unit] = p
	return p
}

// oldBytes is what reading a file takes, about: a page of every column.
const oldBytes = 24 << 20

// scan reads columns of a file.
func (m *Merger) scan(f File, cols []schemas.Col, each func(base int64, b *schemas.Batch)) error {
	in, err := f.Open(cols...)
	if err != nil {
		return err
	}
	defer in.Close()
	var base int64
	for {
		b, err := in.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		each(base, b)
		base += int64(b.Len())
		b.Release()
	}
	if base != f.Rows {
		return fmt.Errorf("%s: %d rows, the ledger has %d", f.Unit.Path(), base, f.Rows)
	}
	return nil
}

// Beaten counts the rows of units, or of all, that gave way to a row of another
// source.
func (m *Merger) Beaten(of ...schemas.Unit) map[Pair]int64 {
	out := map[Pair]int64{}
	for l, n := range m.beaten {
		if len(of) == 0 || slices.Contains(of, l.unit) {
			out[l.Pair] += n
		}
	}
	return out
}

// Change is what becomes of a unit.
type Change struct {
	Unit schemas.Unit
	// Write: the unit's file must be written anew. A unit that is not keeps
	// its file; its new rows are all copies.
	Write  bool
	Rows   int64 // new rows, copies included
	Gone   int64 // rows of the table that it loses
	AnyDay int64 // rows whose copies are looked for on every day: so many more
	Memory int64 // that merging and writing it takes, in bytes, about
}

// Units lists the units that have new rows or lose some.
func (m *Merger) Units() []Change {
	memory, rows := map[schemas.Unit]int64{}, map[schemas.Unit]int64{}
	for _, p := range m.sections {
		memory[p.unit] += p.size + min(p.rows, groupRows)*encodedBytes
		rows[p.unit] += p.rows
	}
	var out []Change
	for _, u := range slices.SortedFunc(maps.Keys(m.units), schemas.Unit.Compare) {
		c := m.units[u]
		if m.aim.has(u) && (c.fresh > 0 || c.gone > 0) {
			need := min(memory[u], m.opt.Reading+groupRows*encodedBytes) + fileBytes + chunkBytes*min(rows[u], ChunkRows)/ChunkRows
			out = append(out, Change{u, c.fresh > c.freshly || c.gone > 0, c.fresh, c.gone, c.anyDay, need})
		}
	}
	return out
}

const (
	encodedBytes = 64       // of a row in the file; the writer holds a row group of them
	chunkBytes   = 24 << 20 // of a whole chunk with all that encoding it takes
	fileBytes    = 1 << 20  // of any file
)

// Merge brings the rows of a unit into the books and, unless emit is nil, hands
// those that stay to emit, in order, in chunks of ChunkRows. What emit gets is
// valid until it returns. A unit is merged once.
func (m *Merger) Merge(ctx context.Context, unit schemas.Unit, emit func(Rows) error) (*Outcome, error) {
	list := m.sectionsOf(unit, emit != nil)
	defer func() {
		for _, p := range list {
			p.release()
		}
	}()
	if emit != nil {
		var err error
		if list, err = m.narrow(ctx, list); err != nil {
			return nil, err
		}
	}
	out := NewOutcome()
	g := newMerging(ctx, m.order, out, list)
	defer g.close()
	if emit == nil {
		return out, g.drain()
	}
	each := func(c *portion) error { return emit(c.rows()) }
	rows := int64(0)
	for _, p := range list {
		rows += p.rows
	}
	if rows <= ChunkRows {
		return out, g.run(ChunkRows, false, func(c *portion) error {
			defer c.release()
			return each(c)
		})
	}
	return out, g.ahead(ChunkRows, each)
}

// sectionsOf lists the sections of a unit, its file first. Where nothing is to be
// handed out, the file counts only if it loses rows.
func (m *Merger) sectionsOf(unit schemas.Unit, all bool) []*section {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []*section
	if p := m.old[unit]; p != nil && (all || m.units[unit].gone > 0) {
		list = append(list, p)
	}
	for _, p := range m.sections {
		if p.unit == unit && !p.old {
			list = append(list, p)
		}
	}
	return list
}

// narrow merges sections into fewer ones until all that overlap can be read side
// by side. The file of the unit stays as it is.
func (m *Merger) narrow(ctx context.Context, list []*section) ([]*section, error) {
	for {
		slices.SortStableFunc(list, func(a, b *section) int { return cmp.Compare(a.first.time, b.first.time) })
		crowd := m.crowd(list)
		if crowd == nil {
			return list, nil
		}
		w := newRewriter(m, m.order)
		w.cut = rowsWithin(m.opt.Reading/abreast, crowd)
		if err := w.begin(); err != nil {
			return list, err
		}
		longer, err := w.merge(ctx, crowd, nil)
		if e := w.end(); err == nil {
			err = e
		}
		if err != nil {
			return list, err
		}
		for _, p := range crowd {
			p.release()
		}
		list = append(slices.DeleteFunc(list, func(p *section) bool { return slices.Contains(crowd, p) }), longer...)
	}
}

// abreast is how many of the sections that narrow makes can be read side by side.
// It merges about as many at once, so that few rows are written many times.
const abreast = 16

// crowd is some of the sections that overlap and cannot be read side by side, nil
// if all can. list is in the order of their beginnings. Of those it names the
// shortest: a long one that is merged with every short one is written again each
// time.
func (m *Merger) crowd(list []*section) []*section {
	var open []*section
	var size int64
	for _, p := range list {
		open = slices.DeleteFunc(open, func(q *section) bool {
			past := q.last.time < p.first.time
			if past {
				size -= q.size
			}
			return past
		})
		open = append(open, p)
		if size += p.size; size <= m.opt.Reading {
			continue
		}
		some := slices.DeleteFunc(slices.Clone(open), func(q *section) bool { return q.old })
		if len(some) < 2 {
			continue
		}
		slices.SortStableFunc(some, func(a, b *section) int { return cmp.Compare(a.rows, b.rows) })
		n, room := 2, m.opt.Reading-some[0].size-some[1].size
		for n < len(some) && some[n].size <= room {
			room -= some[n].size
			n++
		}
		return some[:n]
	}
	return nil
}

// withReuse puts the flag id_reused into quality_flags, or takes it out.
func withReuse(list string, reused bool) string {
	if schemas.HasFlag(list, schemas.FlagIDReused) == reused {
		return list
	}
	var names []string
	if list != "" {
		names = strings.Split(list, ",")
	}
	if reused {
		names = append(names, schemas.FlagIDReused)
		slices.Sort(names)
	} else {
		names = slices.DeleteFunc(names, func(n string) bool { return n == schemas.FlagIDReused })
	}
	return strings.Join(names, ",")
}
