package sink

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/apache/arrow/go/v17/arrow/memory"

	"usagelake/schemas"
)

// An Intake takes in new rows: Row is the open one, which Add takes in. It holds
// rows in memory up to its share of the budget; beyond that it writes what it
// has, sorted, to a run. It belongs to one goroutine.
type Intake struct {
	Row *schemas.Builder

	m       *Merger
	mem     *meter
	order   *order
	most    int      // rows that make a batch
	buckets []uint16 // of the rows that are sealed, where there are several
	sorter  sorter
	held    []*section
	rows    int64 // in held
	writer  *rewriter
	calls   callLog
	places  callLog
	asked   asked
	fresh   map[schemas.Unit]int64 // rows
}

// Add takes in the open row. It belongs to the day of its event time in its table,
// and to the bucket of its call key.
func (in *Intake) Add() error {
	in.Row.Add()
	return in.Added()
}

// Most is the most rows that may be added to Row at once.
func (in *Intake) Most() int { return in.most }

// Reserve makes room for up to Most rows that will be added to Row all at once,
// and then told of by Added.
func (in *Intake) Reserve(rows int) error {
	if in.Row.Len()+rows > schemas.BuilderRows {
		return in.settle()
	}
	return nil
}

// Added takes in rows that were added to Row.
func (in *Intake) Added() error {
	if in.Row.Len() >= in.most {
		return in.settle()
	}
	return nil
}

// settle puts the rows of Row to those that are held.
func (in *Intake) settle() error {
	in.seal()
	if in.mem.held.Load()+in.rows*refBytes > in.m.opt.Share {
		return in.spill()
	}
	return nil
}

// seal makes a batch of the rows that were added, in the order of units and of
// the sort key.
func (in *Intake) seal() {
	times := in.Row.Times()
	source, line, row := in.Row.Places()
	n := len(times)
	if n == 0 {
		return
	}
	in.buckets = in.buckets[:0]
	if in.m.opt.Buckets > 1 {
		for i := range n {
			in.buckets = append(in.buckets, in.m.bucket(in.Row, i))
		}
	}
	at := func(i int) spot { return spot{times[i], place{line[i], row[i], source[i]}} }
	tables := in.Row.Tables()
	unit := func(i int) schemas.Unit {
		u := schemas.Unit{Day: schemas.DayOf(times[i])}
		if len(in.buckets) > 0 {
			u.Bucket = in.buckets[i]
		}
		if tables != nil {
			u.Table = tables[i]
		}
		return u
	}
	days := len(in.buckets) == 0 && tables == nil // are units
	var by []int32
	if days {
		by = in.sorter.byTime(times, func(i, j int) int { return in.order.comparePlaces(at(i).place, at(j).place) })
	} else {
		by = sorted(n, func(i, j int) int {
			return cmp.Or(unit(i).Compare(unit(j)), in.order.compareSpots(at(i), at(j)))
		})
	}
	number := func(i int) int {
		if by != nil {
			return int(by[i])
		}
		return i
	}
	var parts []*section
	for i := range n {
		k := number(i)
		if i > 0 {
			p := parts[len(parts)-1]
			if times[k] < (p.unit.Day+1).Start() && (days || p.unit == unit(k)) {
				continue // times rise within a bucket of a table
			}
			p.rows = int64(i - p.low)
			p.last = at(number(i - 1))
		}
		parts = append(parts, &section{unit: unit(k), low: i, first: at(k)})
	}
	end := parts[len(parts)-1]
	end.rows, end.last = int64(n-end.low), at(number(n-1))
	batch := in.Row.Flush(by)
	for _, p := range parts {
		batch.Rec.Retain()
		p.batch, p.marks, p.size = batch, makeMarks(p.rows), keyBytes*p.rows
	}
	batch.Release()
	in.held = append(in.held, parts...)
	in.rows += int64(n)
}

// Close ends the intake: the rows it holds are the merger's.
func (in *Intake) Close() {
	in.seal()
	var l *look
	for _, p := range in.held {
		in.m.number(p)
		if l == nil || l.b != p.batch {
			l = in.m.look(p.batch)
		}
		in.enter(p, -int64(p.low), l, p.low, p.low+int(p.rows))
	}
	in.held, in.Row, in.writer = nil, nil, nil
	in.m.close(in)
}

// spill writes all rows to a run, and gives back their memory.
func (in *Intake) spill() (err error) {
	if in.writer == nil {
		in.writer = newRewriter(in.m, in.order)
		in.writer.early = true
	}
	w := in.writer
	if err := w.begin(); err != nil {
		return err
	}
	defer closing(&err, w.end)
	w.cut = int(min(max(in.m.opt.Share>>6*in.rows/max(in.mem.held.Load(), 1), leastRows), schemas.BuilderRows))
	units := map[schemas.Unit][]*section{}
	for _, p := range in.held {
		units[p.unit] = append(units[p.unit], p)
	}
	in.held, in.rows = nil, 0
	for _, u := range slices.SortedFunc(maps.Keys(units), schemas.Unit.Compare) {
		if err == nil {
			_, err = w.merge(context.Background(), units[u], func(p *section, base int64, b *schemas.Batch) {
				in.enter(p, base, in.m.look(b), 0, b.Len())
			})
		}
		for _, p := range units[u] {
			p.release()
		}
	}
	for _, l := range []*callLog{&in.calls, &in.places} {
		if err == nil {
			err = l.spill(w.w, w.run)
		}
	}
	return err
}

// enter notes the rows [lo, hi) of a new batch, to find copies of them. Row i of the
// batch is row base+i of the section.
func (in *Intake) enter(p *section, base int64, l *look, lo, hi int) {
	m := in.m
	in.fresh[p.unit] += int64(hi - lo)
	m.eachAgain(l.b, lo, hi, func(i int, hash uint64) { in.places.add(p.ref(hash, base, i)) })
	l.eachID(lo, hi, func(i int, id string, k *kind) {
		if k.scope == schemas.AnyDay {
			in.asked.anyDay[p.unit]++
		}
		hash := k.hash(id)
		in.calls.add(p.ref(hash, base, i))
		if m.sieve != nil {
			m.sieve.put(hash)
			in.asked.add(p.unit, k.scope, id)
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
	id = strings.Clone(id) // not the batch's memory
	if scope == schemas.AnyDay {
		a.any = append(a.any, id)
	} else {
		near = append(near, id)
	}
	a.near[unit] = near
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
