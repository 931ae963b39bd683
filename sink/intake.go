package sink

import (
	"bufio"
	"io"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/apache/arrow/go/v17/arrow/ipc"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"usagelake/schemas"
)

const (
	// recordBytes is the size of the batches that rows are staged in, about:
	// a merge holds one of each section.
	recordBytes = 256 << 10
	// checkRows is how often, in rows, an intake looks at the memory it holds;
	// oftener where its share is small.
	checkRows = 128
)

// An Intake takes in new rows. It holds them in memory up to its share of the
// budget; beyond that it writes what it has, sorted, to a run. It belongs to
// one goroutine.
type Intake struct {
	m      *Merger
	mem    *meter
	units  map[schemas.Unit]*held
	calls  callLog
	places callLog
	asked  asked
	order  *order
	rows   int // since the last look at memory
	check  int // after so many rows comes the next
}

// held are rows of one unit in memory.
type held struct {
	builder *schemas.Builder
	batches []*schemas.Batch
	rows    int64
}

// Append takes in a row and copies what it needs. The row belongs to the day
// of its event time, and to the bucket of its call key.
func (in *Intake) Append(row *schemas.Row) error {
	unit := schemas.Unit{Day: schemas.DayOf(row.Int(schemas.EventTime)), Bucket: in.m.bucket(row)}
	h := in.units[unit]
	if h == nil {
		h = &held{builder: schemas.NewBuilder(in.mem)}
		in.units[unit] = h
	}
	h.builder.Append(row)
	h.rows++
	if h.builder.Len() >= batchRows {
		h.batches = append(h.batches, h.builder.Flush())
	}
	if in.rows++; in.rows >= in.check {
		in.rows = 0
		if in.held() > in.m.opt.Share {
			return in.spill()
		}
	}
	return nil
}

// held is how much memory the rows take, in bytes.
func (in *Intake) held() int64 {
	n := in.mem.held.Load()
	for _, h := range in.units {
		n += h.builder.Words()
	}
	return n
}

// flush ends the builders. It returns the units that have rows, in order.
func (in *Intake) flush() []schemas.Unit {
	for unit, h := range in.units {
		if h.builder.Len() > 0 {
			h.batches = append(h.batches, h.builder.Flush())
		}
		h.builder.Release()
		if len(h.batches) == 0 {
			delete(in.units, unit)
		}
	}
	return slices.SortedFunc(maps.Keys(in.units), schemas.Unit.Compare)
}

// Close ends the intake: the rows it holds are the merger's.
func (in *Intake) Close() {
	for _, unit := range in.flush() {
		for _, b := range in.units[unit].batches {
			k := keysOf(b)
			p := &section{unit: unit, rows: int64(b.Len()), marks: makeMarks(int64(b.Len())), batch: b, order: in.order.sorted(&k)}
			in.enter(p, in.m.add(p), 0, b)
		}
	}
	in.units = nil
	in.m.close(in)
}

// spill writes all rows to a run, and gives back their memory.
func (in *Intake) spill() (err error) {
	r, f, err := in.m.run()
	if err != nil {
		return err
	}
	w := &offsetWriter{w: bufio.NewWriterSize(f, 1<<20)}
	defer func() {
		if e := f.Close(); err == nil {
			err = e
		}
	}()
	units := in.flush()
	perRow := in.mem.held.Load() / max(in.total(), 1)
	for _, unit := range units {
		if err := in.stretch(w, r, unit, in.units[unit], perRow); err != nil {
			return err
		}
	}
	in.units = map[schemas.Unit]*held{}
	off := w.n
	for _, l := range []*callLog{&in.calls, &in.places} {
		if off, err = l.spill(w, off, r); err != nil {
			return err
		}
	}
	return w.w.Flush()
}

func (in *Intake) total() (n int64) {
	for _, h := range in.units {
		n += h.rows
	}
	return n
}

// stretch writes the rows of one unit as a section of the run.
func (in *Intake) stretch(w *offsetWriter, r *runFile, unit schemas.Unit, h *held, perRow int64) error {
	defer func() {
		for _, b := range h.batches {
			b.Release()
		}
		h.batches = nil
	}()
	p := &section{unit: unit, rows: h.rows, size: 2 * recordBytes, marks: makeMarks(h.rows)}
	number := in.m.add(p)
	off := w.n
	g := schemas.NewGatherer(in.mem, h.batches)
	out := ipc.NewWriter(w, ipc.WithSchema(g.Schema()), ipc.WithAllocator(in.m.opt.Mem), ipc.WithLZ4())
	cut := int(min(max(recordBytes/max(perRow, 1), 64), batchRows))
	var base int64
	err := in.order.pieces(h.batches, cut, func(refs []schemas.Ref) error {
		b := g.Gather(h.batches, refs)
		defer b.Release()
		in.enter(p, number, base, b)
		base += int64(b.Len())
		return out.Write(b.Rec)
	})
	if err != nil {
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	n := w.n - off
	p.open = func() (Batches, error) { return r.stretch(off, n, in.m.opt.Mem) }
	return nil
}

// enter notes the rows of a new batch, which are those of the section from base
// on, to find copies of them.
func (in *Intake) enter(p *section, number int32, base int64, b *schemas.Batch) {
	m := in.m
	m.enter(b, func(i int, c call, id *schemas.Identity) {
		c.section, c.index = number, base+int64(i)
		if m.opt.Again[c.source] {
			at := c
			at.key, at.reuse = placeKey(c.place)
			m.sieve.put(at.reuse)
			in.places.add(at)
		}
		if c.scope == schemas.NoCopies {
			return
		}
		if c.scope == schemas.AnyDay {
			in.asked.anyDay[p.unit]++
		}
		m.sieve.put(c.reuse)
		in.calls.add(c)
		if m.sieve != nil {
			in.asked.add(p.unit, c.scope, id.RequestID)
		}
	})
}

// asked are the new calls whose copies may be on other days.
type asked struct {
	// near and any are request ids, to be looked for on the days beside a
	// unit's and on every day. They are not kept when they are too many.
	near map[schemas.Unit][]string
	any  []string
	n    int
	all  bool // any is not empty, or was not kept
	// anyDay counts rows that are copies whatever their day.
	anyDay map[schemas.Unit]int64
}

// askedMost is the most ids that are kept, of each intake.
const askedMost = 100_000

func (a *asked) add(unit schemas.Unit, scope schemas.Scope, id string) {
	if scope == schemas.SameDay {
		return
	}
	a.all = a.all || scope == schemas.AnyDay
	near := a.near[unit]
	if a.n++; a.n > askedMost {
		a.any, a.near[unit] = nil, nil
		return
	}
	id = string([]byte(id)) // not the batch's memory
	if scope == schemas.AnyDay {
		a.any = append(a.any, id)
	} else {
		near = append(near, id)
	}
	a.near[unit] = near
}

// offsetWriter counts what goes through it.
type offsetWriter struct {
	w *bufio.Writer
	n int64
}

func (w *offsetWriter) Write(b []byte) (int, error) {
	n, err := w.w.Write(b)
	w.n += int64(n)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	return n, err
}

// meter counts the memory of an allocator.
type meter struct {
	memory.Allocator
	held atomic.Int64
}

func (m *meter) Allocate(n int) []byte {
	m.held.Add(int64(n))
	return m.Allocator.Allocate(n)
}

func (m *meter) Reallocate(n int, b []byte) []byte {
	m.held.Add(int64(n - len(b)))
	return m.Allocator.Reallocate(n, b)
}

func (m *meter) Free(b []byte) {
	m.held.Add(-int64(len(b)))
	m.Allocator.Free(b)
}
