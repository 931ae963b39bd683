package sink

import (
	"cmp"
	"strings"

	"usagelake/schemas"
)

// Tally counts rows and their quantities.
type Tally struct {
	Rows int64
	Sums schemas.Sums
}

// Add adds another tally.
func (t *Tally) Add(o *Tally) {
	t.Rows += o.Rows
	t.Sums.Add(&o.Sums)
}

// Outcome says what became of the rows of a unit, by source.
type Outcome struct {
	Kept    map[int32]*Tally // new rows that stay
	Lost    map[int32]*Tally // new rows that gave way
	Removed map[int32]*Tally // rows of the table that gave way, or were forgotten
	Flags   map[string]int64 // quality flags of the new rows that stay
	// Unpriced are the new rows that stay and have no cost although prices were
	// given, by model.
	Unpriced map[Model]*Tally
}

// Model is what a row's price hangs on: its provider, or the vendor whose dialect
// it speaks where it names none, and its model, or the one asked for.
type Model struct{ Provider, Name string }

// ModelOf is the model of a row.
func ModelOf(row interface{ Str(c schemas.Col) string }) Model {
	return Model{
		Provider: schemas.Vendor(row.Str(schemas.Provider), row.Str(schemas.Dialect)),
		Name:     cmp.Or(row.Str(schemas.Model), row.Str(schemas.RequestModel)),
	}
}

// Clone is m with texts of its own.
func (m Model) Clone() Model { return Model{strings.Clone(m.Provider), strings.Clone(m.Name)} }

// NewOutcome is the outcome of nothing.
func NewOutcome() *Outcome {
	return &Outcome{map[int32]*Tally{}, map[int32]*Tally{}, map[int32]*Tally{}, map[string]int64{}, map[Model]*Tally{}}
}

// Add adds another outcome, which is of no use any more.
func (o *Outcome) Add(p *Outcome) {
	for _, m := range []struct{ to, from map[int32]*Tally }{{o.Kept, p.Kept}, {o.Lost, p.Lost}, {o.Removed, p.Removed}} {
		for src, t := range m.from {
			if sum := m.to[src]; sum != nil {
				sum.Add(t)
			} else {
				m.to[src] = t
			}
		}
	}
	for name, n := range p.Flags {
		o.Flags[name] += n
	}
	for m, t := range p.Unpriced {
		if o.Unpriced[m] == nil {
			o.Unpriced[m] = &Tally{}
		}
		o.Unpriced[m].Add(t)
	}
}

func tally(m map[int32]*Tally, src int32) *Tally {
	t := m[src]
	if t == nil {
		t = &Tally{}
		m[src] = t
	}
	return t
}

// take puts the rows of a batch, which are those of the section from base on,
// into the books.
func (o *Outcome) take(p *section, base int64, b *schemas.Batch) {
	some := p.marked.Load()
	if p.old && !some {
		return
	}
	src := b.Source.Int32Values()
	isLost := func(i int) bool { return some && p.marks.at(base+int64(i)) == lost }
	for lo := 0; lo < len(src); {
		hi, gone := lo+1, isLost(lo)
		for hi < len(src) && src[hi] == src[lo] && isLost(hi) == gone {
			hi++
		}
		switch {
		case p.old && gone:
			tally(o.Removed, src[lo]).take(b, lo, hi)
		case p.old:
		case gone:
			tally(o.Lost, src[lo]).take(b, lo, hi)
		default:
			tally(o.Kept, src[lo]).take(b, lo, hi)
		}
		lo = hi
	}
	if !p.old {
		o.flags(p, base, b)
	}
}

// take counts the rows [lo, hi) of a batch.
func (t *Tally) take(b *schemas.Batch, lo, hi int) {
	t.Rows += int64(hi - lo)
	for _, c := range schemas.Meters() {
		if b.Cols[c] != nil {
			t.Sums.Plus(c, b.Sum(c, lo, hi))
		}
	}
}

// flags counts the quality flags of new rows that stay.
func (o *Outcome) flags(p *section, base int64, b *schemas.Batch) {
	if b.Cols[schemas.QualityFlags] == nil && !p.marked.Load() {
		return
	}
	lists := map[string]int64{}
	for i := range b.Len() {
		list := b.Str(schemas.QualityFlags, i)
		switch now := p.marks.at(base + int64(i)); {
		case now == lost:
			continue
		case now == reused:
			list = withReuse(list, true)
		case list == "":
			continue
		}
		lists[list]++
		if strings.Contains(list, schemas.FlagUnpriced) {
			o.unpriced(b, i)
		}
	}
	for list, n := range lists {
		for name := range strings.SplitSeq(list, ",") {
			o.Flags[strings.Clone(name)] += n
		}
	}
}

func (o *Outcome) unpriced(b *schemas.Batch, i int) {
	m := ModelOf(batchRow{b, i})
	t := o.Unpriced[m]
	if t == nil {
		t = &Tally{}
		o.Unpriced[m.Clone()] = t
	}
	t.take(b, i, i+1)
}

// batchRow is a row of a batch.
type batchRow struct {
	b *schemas.Batch
	i int
}

func (r batchRow) Str(c schemas.Col) string { return r.b.Str(c, r.i) }
