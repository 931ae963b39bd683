package schemas

import (
	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
)

// Ref names a row of a list of batches.
type Ref struct{ Batch, Row int32 }

// Gatherer copies rows of several batches, in any order, into new batches that
// all have the same columns. Its dictionaries hold no more than the words its
// rows use. It belongs to one goroutine.
type Gatherer struct {
	mem     memory.Allocator
	schema  *arrow.Schema
	cols    []Col // of the schema's fields behind the first, which is the source
	batches []*Batch
	words   map[*Batch]*[NumColumns]translation
	round   uint32
}

// translation numbers the words of one batch's dictionary anew; an entry counts
// only in the round it was made in.
type translation []struct {
	round uint32
	index int32
}

// NewGatherer makes a gatherer of all columns that these batches have.
func NewGatherer(mem memory.Allocator, batches []*Batch) *Gatherer {
	g := &Gatherer{mem: mem, words: map[*Batch]*[NumColumns]translation{}}
	fields := []arrow.Field{{Name: sourceField, Type: arrow.PrimitiveTypes.Int32}}
	for c := range NumColumns {
		for _, b := range batches {
			if b.Cols[c] != nil {
				fields = append(fields, arrow.Field{Name: Columns[c].Name, Type: c.ArrowType(), Nullable: true})
				g.cols = append(g.cols, c)
				break
			}
		}
	}
	g.schema = arrow.NewSchema(fields, nil)
	return g
}

// Schema is the schema of all batches that Gather returns.
func (g *Gatherer) Schema() *arrow.Schema { return g.schema }

// Gather copies rows of batches, which have no columns beside the gatherer's.
// The caller releases the batch.
func (g *Gatherer) Gather(batches []*Batch, refs []Ref) *Batch {
	g.round++
	g.batches = batches
	arrays := make([]arrow.Array, 0, len(g.cols)+1)
	arrays = append(arrays, g.source(refs))
	for _, c := range g.cols {
		arrays = append(arrays, g.column(c, refs))
	}
	rec := array.NewRecord(g.schema, arrays, int64(len(refs)))
	for _, a := range arrays {
		a.Release()
	}
	return NewBatch(rec)
}

// Drop forgets a batch that is not used any more.
func (g *Gatherer) Drop(b *Batch) { delete(g.words, b) }

func (g *Gatherer) source(refs []Ref) arrow.Array {
	b := array.NewInt32Builder(g.mem)
	defer b.Release()
	b.Reserve(len(refs))
	for _, r := range refs {
		b.UnsafeAppend(g.batches[r.Batch].Source.Value(int(r.Row)))
	}
	return b.NewArray()
}

func (g *Gatherer) column(c Col, refs []Ref) arrow.Array {
	if _, ok := c.ArrowType().(*arrow.DictionaryType); ok {
		return g.dictionary(c, refs)
	}
	vals := array.NewBuilder(g.mem, c.ArrowType())
	defer vals.Release()
	vals.Reserve(len(refs))
	switch b := vals.(type) {
	case *array.Float64Builder:
		gather(g, c, b, refs, func(a *array.Float64, i int) { b.UnsafeAppend(a.Value(i)) })
	case *array.Int64Builder:
		gather(g, c, b, refs, func(a *array.Int64, i int) { b.UnsafeAppend(a.Value(i)) })
	case *array.TimestampBuilder:
		gather(g, c, b, refs, func(a *array.Timestamp, i int) { b.UnsafeAppend(a.Value(i)) })
	case *array.BooleanBuilder:
		gather(g, c, b, refs, func(a *array.Boolean, i int) { b.UnsafeAppend(a.Value(i)) })
	case *array.StringBuilder:
		gather(g, c, b, refs, func(a *array.String, i int) { b.Append(a.Value(i)) })
	}
	return vals.NewArray()
}

// gather appends the values of column c of the rows, which b has room for.
func gather[A arrow.Array](g *Gatherer, c Col, b array.Builder, refs []Ref, value func(a A, i int)) {
	last := int32(-1)
	var a A
	none := true
	for _, r := range refs {
		if r.Batch != last {
			last = r.Batch
			a, none = *new(A), true
			if col := g.batches[last].Cols[c]; col != nil {
				a, none = col.(A), false
			}
		}
		if none || a.IsNull(int(r.Row)) {
			b.AppendNull()
			continue
		}
		value(a, int(r.Row))
	}
}

func (g *Gatherer) dictionary(c Col, refs []Ref) arrow.Array {
	idx, dict := array.NewInt32Builder(g.mem), array.NewStringBuilder(g.mem)
	defer idx.Release()
	defer dict.Release()
	idx.Reserve(len(refs))
	seen := map[string]int32{}
	last := int32(-1)
	var a *array.Dictionary
	var words *array.String
	var to translation
	for _, r := range refs {
		if r.Batch != last {
			last = r.Batch
			if a, _ = g.batches[last].Cols[c].(*array.Dictionary); a != nil {
				words = a.Dictionary().(*array.String)
				to = g.translation(g.batches[last], c, words.Len())
			}
		}
		if a == nil || a.IsNull(int(r.Row)) {
			idx.AppendNull()
			continue
		}
		k := a.GetValueIndex(int(r.Row))
		if t := &to[k]; t.round != g.round {
			word := words.Value(k)
			i, ok := seen[word]
			if !ok {
				i = int32(dict.Len())
				dict.Append(word)
				seen[word] = i
			}
			t.round, t.index = g.round, i
		}
		idx.UnsafeAppend(to[k].index)
	}
	i, d := idx.NewArray(), dict.NewArray()
	defer i.Release()
	defer d.Release()
	return array.NewDictionaryArray(dictType, i, d)
}

// translation is that of a batch's dictionary of n words.
func (g *Gatherer) translation(b *Batch, c Col, n int) translation {
	t := g.words[b]
	if t == nil {
		t = new([NumColumns]translation)
		g.words[b] = t
	}
	if t[c] == nil {
		t[c] = make(translation, n)
	}
	return t[c]
}
