package schemas

import (
	"strings"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
)

// sourceField stands in a batch for source_file and source_id: an index into
// the run's table of sources, whose ids are known only when they were read to
// their end.
const sourceField = "source"

// Batch is a run of rows as Arrow arrays. It carries only the columns that
// have a value; a nil column is all NULL. Rows are in no order. The one who
// got the batch releases it.
type Batch struct {
	Rec    arrow.Record
	Cols   [NumColumns]arrow.Array
	Source *array.Int32
}

// NewBatch views a record that a Builder (or its IPC copy) made. It takes over
// the caller's reference to rec.
func NewBatch(rec arrow.Record) *Batch {
	b := &Batch{Rec: rec}
	for i, f := range rec.Schema().Fields() {
		if f.Name == sourceField {
			b.Source = rec.Column(i).(*array.Int32)
		} else if c, ok := Lookup(f.Name); ok {
			b.Cols[c] = rec.Column(i)
		}
	}
	return b
}

// Len is the count of rows.
func (b *Batch) Len() int { return int(b.Rec.NumRows()) }

// Release gives the memory back.
func (b *Batch) Release() { b.Rec.Release() }

// Null reports whether column c of row i is NULL.
func (b *Batch) Null(c Col, i int) bool { return b.Cols[c] == nil || b.Cols[c].IsNull(i) }

// Int is a Time, Int, Bool or Money value, 0 where NULL.
func (b *Batch) Int(c Col, i int) int64 {
	if b.Null(c, i) {
		return 0
	}
	switch a := b.Cols[c].(type) {
	case *array.Int64:
		return a.Value(i)
	case *array.Timestamp:
		return int64(a.Value(i))
	case *array.Boolean:
		if a.Value(i) {
			return 1
		}
	}
	return 0
}

// Double is a Double value, 0 where NULL.
func (b *Batch) Double(c Col, i int) float64 {
	if b.Null(c, i) {
		return 0
	}
	return b.Cols[c].(*array.Float64).Value(i)
}

// Str is a String value, "" where NULL. It aliases the batch.
func (b *Batch) Str(c Col, i int) string {
	if b.Null(c, i) {
		return ""
	}
	switch a := b.Cols[c].(type) {
	case *array.String:
		return a.Value(i)
	case *array.Dictionary:
		return a.Dictionary().(*array.String).Value(a.GetValueIndex(i))
	}
	return ""
}

// Row fills r with row i. Its strings alias the batch.
func (b *Batch) Row(i int, r *Row) {
	r.Reset()
	r.Source = b.Source.Value(i)
	for c := range NumColumns {
		if b.Null(c, i) {
			continue
		}
		switch Columns[c].Kind {
		case Double:
			r.SetDouble(c, b.Double(c, i))
		case String:
			r.SetString(c, b.Str(c, i))
		default:
			r.SetInt(c, b.Int(c, i))
		}
	}
}

// Builder gathers rows into batches. A column costs nothing until its first
// value. A Builder belongs to one goroutine.
type Builder struct {
	mem    memory.Allocator
	n      int
	source *array.Int32Builder
	cols   [NumColumns]*column
	words  int64
}

// NewBuilder makes a builder that takes its memory from mem.
func NewBuilder(mem memory.Allocator) *Builder {
	return &Builder{mem: mem, source: array.NewInt32Builder(mem)}
}

// Len is the count of rows since the last Flush.
func (b *Builder) Len() int { return b.n }

// Words is how many bytes, about, the builder holds outside of its allocator:
// what it knows words of dictionaries again by. They stay until Release.
func (b *Builder) Words() int64 { return b.words }

// Append adds a row and copies its strings.
func (b *Builder) Append(r *Row) {
	b.source.Append(r.Source)
	for c := range NumColumns {
		if !r.Has(c) {
			continue
		}
		col := b.cols[c]
		if col == nil {
			col = newColumn(b.mem, c)
			b.cols[c] = col
		}
		col.pad(b.n)
		b.words += col.append(r)
	}
	b.n++
}

// Flush returns the rows since the last Flush. The caller releases the batch.
func (b *Builder) Flush() *Batch {
	fields := []arrow.Field{{Name: sourceField, Type: arrow.PrimitiveTypes.Int32}}
	arrays := []arrow.Array{b.source.NewArray()}
	for c := range NumColumns {
		if col := b.cols[c]; col != nil && col.len() > 0 {
			col.pad(b.n)
			fields = append(fields, arrow.Field{Name: Columns[c].Name, Type: c.ArrowType(), Nullable: true})
			arrays = append(arrays, col.array())
		}
	}
	rec := array.NewRecord(arrow.NewSchema(fields, nil), arrays, int64(b.n))
	for _, a := range arrays {
		a.Release()
	}
	b.n = 0
	return NewBatch(rec)
}

// Release gives the builder's memory back. The builder cannot be used after.
func (b *Builder) Release() {
	b.source.Release()
	for _, col := range b.cols {
		if col != nil {
			col.release()
		}
	}
}

// column builds one column. A string column with a dictionary keeps indices
// and values apart; arrow v17's own dictionary builder is not used because of
// its defects with NULL.
type column struct {
	c    Col
	mem  memory.Allocator
	vals array.Builder
	dict *array.StringBuilder
	seen map[string]int32
	strs []string // the dictionary's values, to know the last one again
	last int32
}

func newColumn(mem memory.Allocator, c Col) *column {
	col := &column{c: c, mem: mem, last: -1}
	if _, ok := c.ArrowType().(*arrow.DictionaryType); ok {
		col.vals = array.NewInt32Builder(mem)
		col.dict = array.NewStringBuilder(mem)
		col.seen = map[string]int32{}
	} else {
		col.vals = array.NewBuilder(mem, c.ArrowType())
	}
	return col
}

func (col *column) len() int { return col.vals.Len() }

func (col *column) pad(n int) {
	if miss := n - col.vals.Len(); miss > 0 {
		col.vals.AppendNulls(miss)
	}
}

// append returns how many bytes a new word of the dictionary takes.
func (col *column) append(r *Row) (word int64) {
	switch b := col.vals.(type) {
	case *array.Float64Builder:
		b.Append(r.f64[col.c])
	case *array.Int64Builder:
		b.Append(r.i64[col.c])
	case *array.TimestampBuilder:
		b.Append(arrow.Timestamp(r.i64[col.c]))
	case *array.BooleanBuilder:
		b.Append(r.i64[col.c] != 0)
	case *array.StringBuilder:
		b.Append(r.str[col.c])
	case *array.Int32Builder:
		before := len(col.strs)
		b.Append(col.index(r.str[col.c]))
		if len(col.strs) > before {
			return int64(len(r.str[col.c])) + wordBytes
		}
	}
	return 0
}

// wordBytes is what a word costs beside its text: in a map, a slice, and once
// more as garbage of their growth.
const wordBytes = 80

func (col *column) index(s string) int32 {
	if col.last >= 0 && s == col.strs[col.last] {
		return col.last
	}
	i, ok := col.seen[s]
	if !ok {
		s = strings.Clone(s)
		i = int32(len(col.strs))
		col.seen[s] = i
		col.strs = append(col.strs, s)
		col.dict.Append(s)
	}
	col.last = i
	return i
}

func (col *column) array() arrow.Array {
	if col.dict == nil {
		return col.vals.NewArray()
	}
	idx, dict := col.vals.NewArray(), col.dict.NewArray()
	defer idx.Release()
	defer dict.Release()
	clear(col.seen)
	col.strs, col.last = col.strs[:0], -1
	return array.NewDictionaryArray(dictType, idx, dict)
}

func (col *column) release() {
	col.vals.Release()
	if col.dict != nil {
		col.dict.Release()
	}
}
