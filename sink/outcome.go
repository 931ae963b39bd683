package sink

import (
	"strings"

	"github.com/apache/arrow/go/v17/arrow/array"

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
}

// NewOutcome is the outcome of nothing.
func NewOutcome() *Outcome {
	return &Outcome{map[int32]*Tally{}, map[int32]*Tally{}, map[int32]*Tally{}, map[string]int64{}}
}

// Add adds another outcome.
func (o *Outcome) Add(p *Outcome) {
	for _, m := range []struct{ to, from map[int32]*Tally }{{o.Kept, p.Kept}, {o.Lost, p.Lost}, {o.Removed, p.Removed}} {
		for src, t := range m.from {
			tally(m.to, src).Add(t)
		}
	}
	for name, n := range p.Flags {
		o.Flags[name] += n
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
	src := b.Source.Int32Values()
	rows := make([]*Tally, len(src)) // nil: it was in the table and stays
	last, lastTo := int32(-1), (*Tally)(nil)
	some := false
	for i, s := range src {
		isLost := p.marks.at(base+int64(i)) == lost
		switch {
		case p.old && !isLost:
			continue
		case p.old:
			rows[i] = tally(o.Removed, s)
		case isLost:
			rows[i] = tally(o.Lost, s)
		default:
			if s != last {
				last, lastTo = s, tally(o.Kept, s)
			}
			rows[i] = lastTo
		}
		rows[i].Rows++
		some = true
	}
	if !some {
		return
	}
	for c := range schemas.NumColumns {
		if !c.Additive() || b.Cols[c] == nil {
			continue
		}
		switch a := b.Cols[c].(type) {
		case *array.Float64:
			for i, t := range rows {
				if t != nil && a.IsValid(i) {
					t.Sums.AddDouble(c, a.Value(i))
				}
			}
		case *array.Int64:
			for i, t := range rows {
				if t != nil && a.IsValid(i) {
					t.Sums.AddInt(c, a.Value(i))
				}
			}
		}
	}
	if !p.old {
		o.flags(p, base, b)
	}
}

// flags counts the quality flags of new rows that stay.
func (o *Outcome) flags(p *section, base int64, b *schemas.Batch) {
	lists := map[string]int64{}
	for i := range b.Len() {
		switch now := p.marks.at(base + int64(i)); now {
		case lost:
		case reused:
			lists[withReuse(b.Str(schemas.QualityFlags, i), true)]++
		default:
			if !b.Null(schemas.QualityFlags, i) {
				lists[b.Str(schemas.QualityFlags, i)]++
			}
		}
	}
	for list, n := range lists {
		for name := range strings.SplitSeq(list, ",") {
			o.Flags[strings.Clone(name)] += n
		}
	}
}
