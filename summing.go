package usagelake

import (
	"context"
	"slices"
	"strings"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"

	"usagelake/schemas"
	"usagelake/sink"
	"usagelake/transform/cube"
	"usagelake/transform/price"
)

// of the table of calls: what the figures need.
var (
	figureColumns = []schemas.Col{
		schemas.Provider, schemas.Model, schemas.ProjectID, schemas.UserID, schemas.APIKeyID,
		schemas.InputTokens, schemas.OutputTokens, schemas.UncachedInputTokens, schemas.CacheReadTokens, schemas.CacheWriteTokens,
		schemas.OutputImageTokens, schemas.OutputAudioTokens, schemas.ReasoningTokens,
		schemas.ImageCount, schemas.ImageSize, schemas.ImageQuality, schemas.ReportedCostUSD, schemas.CostUSD, schemas.QualityFlags,
	}
	priceColumns = append(slices.Clone(figureColumns),
		schemas.EventTime, schemas.RequestModel, schemas.Dialect, schemas.Region, schemas.ServiceTier, schemas.IsBatch, schemas.CacheHit,
		schemas.CacheWrite1hTokens, schemas.InputTextTokens, schemas.InputImageTokens, schemas.InputAudioTokens, schemas.InputVideoTokens,
		schemas.CacheReadImageTokens, schemas.CacheReadAudioTokens, schemas.OutputTextTokens, schemas.AudioSeconds, schemas.WebSearchRequests,
	)
)

// sumUp sums up the calls of a file. pricer is nil where there are no books.
func (t *table) sumUp(ctx context.Context, unit schemas.Unit, pricer *price.Pricer) (*cube.Cube, error) {
	columns := figureColumns
	if pricer != nil {
		columns = priceColumns
	}
	file, size, err := t.open(unit)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	rows, err := sink.OpenRows(file, size, unit.Table, t.mem, t.sources, columns...)
	if err != nil {
		return nil, err
	}
	u := &summing{cube: cube.OfDay(unit.Day, specs()), day: unit.Day, pricer: pricer}
	return u.cube, batches(ctx, rows, func(b *schemas.Batch) {
		u.add(b)
		u.cube.Tidy()
	})
}

// summing is a file that is summed up. It belongs to one goroutine.
type summing struct {
	cube   *cube.Cube
	day    schemas.Day
	pricer *price.Pricer
	row    schemas.Row

	ids    [5]ids // of figureColumns
	lists  flagLists
	values [schemas.NumColumns][]int64 // in 10^-6, or 10^-9 dollars; 0 where NULL
	text   []byte
}

// add takes a batch.
func (u *summing) add(b *schemas.Batch) {
	n := b.Len()
	names := [...]*cube.Names{&u.cube.Shared[cube.Provider], &u.cube.Shared[cube.Model], &u.cube.Shared[cube.Project], &u.cube.Tables[1].Items, &u.cube.Tables[2].Items}
	for i := range u.ids {
		u.ids[i].read(b, figureColumns[i], names[i], u.cube.Age)
	}
	for _, c := range figureColumns {
		if c.Additive() {
			u.values[c] = numbers(u.values[c], b, c)
		}
	}
	u.lists.read(b, &u.cube.Tables[4].Items, u.cube.Age)
	var m [numMeasures]int64
	for i := range n {
		u.measure(b, i, &m)
		k := cube.Key{Day: u.day, Is: [cube.NumDims]uint32{u.ids[0].of[i], u.ids[1].of[i], u.ids[2].of[i], cube.None}}
		cell := u.cube.Tables[0].Cell(k)
		for j := range m {
			cell[j] = cell[j].Add(schemas.AmountOf(m[j]))
		}
		k.Is[cube.Item] = u.ids[3].of[i]
		addParts(u.cube.Tables[1].Cell(k), &m)
		k.Is[cube.Item] = u.ids[4].of[i]
		addParts(u.cube.Tables[2].Cell(k), &m)
		if m[images] > 0 {
			k.Is[cube.Item] = u.picture(b, i)
			addParts(u.cube.Tables[3].Cell(k), &m)
		}
		for _, id := range u.lists.at(i) {
			k.Is[cube.Item] = id
			addParts(u.cube.Tables[4].Cell(k), &m)
		}
	}
}

func addParts(cell []schemas.Amount, m *[numMeasures]int64) {
	for j, p := range parts {
		cell[j] = cell[j].Add(schemas.AmountOf(m[p]))
	}
}

// picture is the number of a row's image size and quality.
func (u *summing) picture(b *schemas.Batch, i int) uint32 {
	tab := func(s string) string { return strings.ReplaceAll(s, "\t", " ") }
	u.text = append(u.text[:0], tab(b.Str(schemas.ImageSize, i))...)
	u.text = append(u.text, '\t')
	u.text = append(u.text, tab(b.Str(schemas.ImageQuality, i))...)
	return u.cube.Tables[3].Items.ID(u.text)
}

// measure works out the measures of row i. The parts of the input are disjoint,
// and so are those of the output.
func (u *summing) measure(b *schemas.Batch, i int, m *[numMeasures]int64) {
	v := func(c schemas.Col) int64 { return u.values[c][i] }
	*m = [numMeasures]int64{calls: 1, input: v(schemas.InputTokens), output: v(schemas.OutputTokens), images: v(schemas.ImageCount) / 1e6}
	read, write := v(schemas.CacheReadTokens), v(schemas.CacheWriteTokens)
	if m[input] > 0 {
		if b.Null(schemas.UncachedInputTokens, i) {
			m[unclear] = m[input]
		} else {
			m[fresh], m[cacheRead], m[cacheWrite] = v(schemas.UncachedInputTokens), read, write
		}
	}
	if rest := m[output]; rest > 0 {
		for _, p := range [...]struct {
			to int
			c  schemas.Col
		}{{outputImage, schemas.OutputImageTokens}, {outputAudio, schemas.OutputAudioTokens}, {reasoning, schemas.ReasoningTokens}} {
			m[p.to] = min(v(p.c), rest)
			rest -= m[p.to]
		}
		m[outputText] = rest
	}
	hasCost, hasReported := !b.Null(schemas.CostUSD, i), !b.Null(schemas.ReportedCostUSD, i)
	if hasCost {
		m[cost], m[costRows] = v(schemas.CostUSD), 1
	}
	if hasReported {
		m[reported], m[reportedRows] = v(schemas.ReportedCostUSD), 1
	}
	if !hasCost && !hasReported {
		m[noCost] = 1
	}
	if read > 0 || write > 0 {
		m[cached] = 1
		if u.pricer != nil {
			u.save(b, i, m)
		}
	}
}

// save works out what the cache saved a row: what it would have cost if what was
// read had been plain input, less what it costs; and what it costs, less what it
// would have cost if what was written had been plain input.
func (u *summing) save(b *schemas.Batch, i int, m *[numMeasures]int64) {
	r := &u.row
	b.Row(i, r)
	is := u.pricer.Price(r)
	unread, unwritten := is, is
	if r.Has(schemas.CacheWriteTokens) || r.Has(schemas.CacheWrite1hTokens) {
		r.Clear(schemas.CacheWriteTokens)
		r.Clear(schemas.CacheWrite1hTokens)
		unwritten = u.pricer.Price(r)
		b.Row(i, r)
	}
	if r.Has(schemas.CacheReadTokens) {
		r.Clear(schemas.CacheReadTokens)
		r.Clear(schemas.CacheReadImageTokens)
		r.Clear(schemas.CacheReadAudioTokens)
		unread = u.pricer.Price(r)
	}
	if is.Priced() && unread.Priced() && unwritten.Priced() && r.Has(schemas.InputTokens) {
		m[savedRows], m[saved], m[writeExtra] = 1, unread.Nanos-is.Nanos, is.Nanos-unwritten.Nanos
	}
}

// numbers are a column's values, 0 where NULL: of a Double and an Int in 10^-6.
func numbers(to []int64, b *schemas.Batch, c schemas.Col) []int64 {
	n := b.Len()
	to = slices.Grow(to[:0], n)[:n]
	switch a := b.Cols[c].(type) {
	case nil:
		clear(to)
		return to
	case *array.Float64:
		for i, v := range a.Float64Values() {
			to[i] = schemas.Micros(v)
		}
	default:
		unit := int64(1e6)
		if schemas.Columns[c].Kind == schemas.Money {
			unit = 1
		}
		for i := range n {
			to[i] = b.Int(c, i) * unit
		}
	}
	if a := b.Cols[c]; a.NullN() > 0 {
		for i := range n {
			if a.IsNull(i) {
				to[i] = 0
			}
		}
	}
	return to
}

// codes is what the words of a dictionary became. A file's batches share one.
type codes[T any] struct {
	dict  arrow.ArrayData
	age   int
	words []T
	done  []bool
}

// dictionary prepares for the words of a.
func (c *codes[T]) dictionary(a *array.Dictionary, age int) {
	if d := a.Data().Dictionary(); d != c.dict || age != c.age {
		c.dict, c.age = d, age
		c.words, c.done = make([]T, d.Len()), make([]bool, d.Len())
	}
}

// ids are a column as numbers of names.
type ids struct {
	codes[uint32]
	of   []uint32
	code []int32
}

func (d *ids) read(b *schemas.Batch, c schemas.Col, names *cube.Names, age int) {
	n := b.Len()
	d.of = slices.Grow(d.of[:0], n)[:n]
	a, ok := b.Cols[c].(*array.Dictionary)
	if !ok {
		for i := range d.of {
			if d.of[i] = cube.None; !b.Null(c, i) {
				d.of[i] = names.ID([]byte(b.Str(c, i)))
			}
		}
		return
	}
	d.dictionary(a, age)
	d.code = b.Codes(d.code[:0], c, 0, n)
	texts, _ := b.Texts(c)
	for i, w := range d.code {
		if a.IsNull(i) {
			d.of[i] = cube.None
			continue
		}
		if !d.done[w] {
			d.done[w], d.words[w] = true, names.ID([]byte(texts.Value(int(w))))
		}
		d.of[i] = d.words[w]
	}
}

// flagLists are quality_flags as numbers of names.
type flagLists struct {
	codes[[]uint32]
	of   [][]uint32
	code []int32
}

func (l *flagLists) read(b *schemas.Batch, names *cube.Names, age int) {
	n := b.Len()
	l.of = l.of[:0]
	a, ok := b.Cols[schemas.QualityFlags].(*array.Dictionary)
	split := func(text string) (list []uint32) {
		for name := range strings.SplitSeq(text, ",") {
			if name != "" {
				list = append(list, names.ID([]byte(name)))
			}
		}
		return list
	}
	switch {
	case ok:
		l.dictionary(a, age)
		l.code = b.Codes(l.code[:0], schemas.QualityFlags, 0, n)
		texts, _ := b.Texts(schemas.QualityFlags)
		for i, w := range l.code {
			if a.IsNull(i) {
				l.of = append(l.of, nil)
				continue
			}
			if !l.done[w] {
				l.done[w], l.words[w] = true, split(texts.Value(int(w)))
			}
			l.of = append(l.of, l.words[w])
		}
	case b.Cols[schemas.QualityFlags] != nil:
		for i := range n {
			l.of = append(l.of, split(b.Str(schemas.QualityFlags, i)))
		}
	}
}

func (l *flagLists) at(i int) []uint32 {
	if len(l.of) == 0 {
		return nil
	}
	return l.of[i]
}
