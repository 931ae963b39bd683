package transform

import (
	"slices"

	"usagelake/schemas"
)

// usual is what the rows of a form and a source have in common as long as nothing
// is wrong with them: the columns they have, and the texts of those that are not
// read from values. It is taken from a row that was made the long way. A row of
// which anything else is true is made the long way too.
type usual struct {
	src   *Source
	row   *schemas.Builder
	set   uint64 // the columns
	flags flags
	stamp *schemas.Stamp
	moves []move
	fresh uint64 // the columns that moves fill

	// Places in the plan's counts; none stands for a column that is not reported.
	in, out, total, read, write, reasoning int
	inParts, outParts                      []int
	image, batch                           bool // the output is taken for images; it stands where batches do
}

const (
	maxCounts = 32
	none      = maxCounts // its count is 0
)

// fixedFlags follow from what a row has, whatever its values.
const fixedFlags = flagTotalDerived | flagAssumedImage | flagAssumedOperation | flagModelFilled | flagUnsure

// of reports whether it holds for a row of a source.
func (u *usual) of(src *Source, row *schemas.Builder) bool {
	return u != nil && u.row == row && (u.src == src || len(u.src.Fill)+len(src.Fill) == 0 && u.src.TimeFrom == src.TimeFrom)
}

// learnEvery is how many rows are made the long way until it is looked anew what is
// usual.
const learnEvery = 32

// learns reports whether to look at the row that was just made the long way.
func (p *plan) learns(src *Source, row *schemas.Builder) bool {
	if p.usual != nil && !p.usual.of(src, row) {
		p.unusual = 0
	}
	p.unusual++
	return p.unusual%learnEvery == 1
}

// whatIsUsual takes it from the row that was just made. It is nil where the plan's
// rows depend on values in other ways than usual knows.
func (n *Normalizer) whatIsUsual(p *plan, rec *schemas.Record, src *Source) *usual {
	row := n.row
	if p.entry.Basis == ambiguous || len(p.counts) > maxCounts {
		return nil
	}
	u := &usual{src: src, row: row, set: row.Columns(), flags: n.flags, moves: p.moves}
	at := func(c schemas.Col) int {
		if i := slices.IndexFunc(p.counts, func(k count) bool { return k.col == c }); i >= 0 {
			return i
		}
		return none
	}
	u.in, u.out, u.total = at(schemas.InputTokens), at(schemas.OutputTokens), at(schemas.TotalTokens)
	u.read, u.write, u.reasoning = at(schemas.CacheReadTokens), at(schemas.CacheWriteTokens), at(schemas.ReasoningTokens)
	for _, c := range p.inParts {
		u.inParts = append(u.inParts, at(c))
	}
	for _, c := range p.outParts {
		u.outParts = append(u.outParts, at(c))
	}
	for i := range p.moves {
		m := &p.moves[i]
		t := &traits[m.col]
		switch {
		case t.kind == schemas.Double && t.additive: // a sum of several
			return nil
		case len(m.from) == 0 && t.kind == schemas.String:
			continue
		case len(m.from) == 0:
		case t.kind == schemas.String && row.Has(m.col) && n.text(m, rec) == "":
			return nil // it has its text from elsewhere
		}
		u.fresh |= 1 << m.col
	}
	if u.fresh&(1<<schemas.RequestID) == 0 {
		return nil
	}
	u.batch = u.set&(1<<schemas.IsBatch)&^u.fresh != 0
	u.image = n.flags&flagAssumedImage != 0
	u.moves = slices.DeleteFunc(slices.Clone(p.moves), func(m move) bool { return u.fresh&(1<<m.col) == 0 })
	texts := row.Texts() &^ u.fresh &^ (1 << schemas.PriceID)
	if len(p.keep) > 0 || len(rec.Frames[p.frame].Extra) > 0 {
		texts &^= 1 << schemas.ExtraJSON
	}
	if u.stamp = row.NewStamp(texts); u.stamp == nil {
		return nil
	}
	return u
}

// usual makes the open row of a record if it is a usual one. If not, the open row
// and n.read mean nothing.
func (n *Normalizer) usual(p *plan, rec *schemas.Record, src *Source, row *schemas.Builder) bool {
	u := p.usual
	if p.excluded(rec) {
		return false
	}
	n.row = row
	n.flags, n.read, n.missing = u.flags&fixedFlags, n.read[:0], 0
	row.SetSource(src.Index)
	row.Stamp(u.stamp)

	var v [maxCounts + 1]int64
	values := rec.Frames[len(rec.Frames)-1].Val
	for i := range p.counts {
		c := &p.counts[i]
		at := &values[c.from.slot]
		if at.Kind != schemas.Number {
			return false
		}
		whole, ok := wholeAt(rec.Doc, at.Off, at.End)
		if !ok {
			return false
		}
		v[i&(maxCounts-1)] = whole
		row.SetInt(c.col, whole)
		if whole != 0 {
			n.read = append(n.read, quantity{c.col, whole * 1e6})
		}
	}
	if !u.fits(p, &v) {
		return false
	}
	switch {
	case u.in == none || u.out == none:
	case u.total == none:
		row.SetInt(schemas.TotalTokens, v[u.in]+v[u.out])
	case v[u.total] != v[u.in]+v[u.out]:
		return false
	}
	if u.in != none {
		row.SetInt(schemas.UncachedInputTokens, v[u.in]-v[u.read]-v[u.write])
	}
	if u.batch {
		row.SetInt(schemas.IsBatch, 1)
	}
	if u.image {
		row.SetInt(schemas.OutputImageTokens, v[u.out])
	}
	at, reason := src.Time, schemas.Reason("")
	if p.timeFrom != "" {
		at, reason = n.timeOf(p, rec)
	}
	if reason != "" || n.moveAll(u.moves, rec) != "" {
		return false
	}
	row.SetInt(schemas.EventTime, at)
	n.extras(p, rec)
	n.guard(u.fresh)
	if n.prices != nil {
		n.price(row)
	}
	return row.Columns() == u.set && n.flags == u.flags
}

// fits reports whether the parts of input and output fit the wholes.
func (u *usual) fits(p *plan, v *[maxCounts + 1]int64) bool {
	if u.in != none && v[u.read]+v[u.write] > v[u.in] || u.out != none && v[u.reasoning] > v[u.out] {
		return false
	}
	return (u.in == none || partsFit(p, v, v[u.in], u.inParts)) && (u.out == none || partsFit(p, v, v[u.out], u.outParts))
}

func partsFit(p *plan, v *[maxCounts + 1]int64, whole int64, parts []int) bool {
	var sum int64
	for _, i := range parts {
		sum += v[i]
	}
	return len(parts) == 0 || sum <= whole && (!p.entry.PartsAddUp || sum == whole)
}
