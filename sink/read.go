package sink

import (
	"errors"
	"fmt"
	"io"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/parquet-go/parquet-go"

	"usagelake/schemas"
)

// batchRows is the most rows of a batch. It divides row groups and the pages of
// columns with a dictionary, so that no batch reads two of those pages.
const batchRows = 16_384

// sourceField is how a schemas.Builder names Batch.Source.
const sourceField = "source"

// Read loads the rows of a file, in their order, as batches of at most 16,384
// rows. source_file and source_id become the Source column by way of sources.
// mem owns the arrays; the caller releases the batches.
func Read(r io.ReaderAt, size int64, mem memory.Allocator, sources *Sources) (batches []*schemas.Batch, err error) {
	defer func() {
		if err != nil {
			for _, b := range batches {
				b.Release()
			}
			batches, err = nil, fmt.Errorf("read: %w", err)
		}
	}()
	defer guard(&err)
	f, err := open(r, size, parquet.SkipBloomFilters(true))
	if err != nil {
		return nil, err
	}
	for i, g := range f.RowGroups() {
		rd := reader{mem: mem, chunks: g.ColumnChunks(), rows: int(g.NumRows())}
		more, err := rd.batches(sources)
		batches = append(batches, more...)
		if err != nil {
			return batches, fmt.Errorf("row group %d: %w", i, err)
		}
	}
	return batches, nil
}

// reader makes batches of one row group.
type reader struct {
	mem    memory.Allocator
	chunks []parquet.ColumnChunk
	rows   int
}

func (r *reader) batches(sources *Sources) ([]*schemas.Batch, error) {
	fields := make([][]arrow.Field, (r.rows+batchRows-1)/batchRows)
	arrays := make([][]arrow.Array, len(fields))
	defer func() {
		for _, list := range arrays {
			for _, a := range list {
				a.Release()
			}
		}
	}()
	add := func(i int, f arrow.Field, a arrow.Array) {
		fields[i] = append(fields[i], f)
		arrays[i] = append(arrays[i], a)
	}
	if err := r.source(sources, func(i int, a arrow.Array) {
		add(i, arrow.Field{Name: sourceField, Type: arrow.PrimitiveTypes.Int32}, a)
	}); err != nil {
		return nil, err
	}
	for c := range schemas.NumColumns {
		// Verify has seen that the count of NULLs is true.
		if c == schemas.SourceFile || c == schemas.SourceID || r.nulls(c) == int64(r.rows) {
			continue
		}
		i := 0
		if err := r.column(c, func(a arrow.Array) {
			if a.NullN() < a.Len() {
				add(i, arrow.Field{Name: c.String(), Type: c.ArrowType(), Nullable: true}, a)
			} else {
				a.Release()
			}
			i++
		}); err != nil {
			return nil, err
		}
	}
	batches := make([]*schemas.Batch, len(fields))
	for i := range batches {
		n := int64(arrays[i][0].Len())
		batches[i] = schemas.NewBatch(array.NewRecord(arrow.NewSchema(fields[i], nil), arrays[i], n))
	}
	return batches, nil
}

func (r *reader) nulls(c schemas.Col) int64 {
	return r.chunks[c].(*parquet.FileColumnChunk).NullCount()
}

// source makes the Source columns.
func (r *reader) source(sources *Sources, emit func(int, arrow.Array)) error {
	var file, id labels
	if err := eachPage(r.chunks[schemas.SourceFile], schemas.SourceFile, int64(r.rows), file.add); err != nil {
		return err
	}
	if err := eachPage(r.chunks[schemas.SourceID], schemas.SourceID, int64(r.rows), id.add); err != nil {
		return err
	}
	known := map[[2]int32]int32{}
	b := array.NewInt32Builder(r.mem)
	defer b.Release()
	for lo := 0; lo < r.rows; lo += batchRows {
		hi := min(lo+batchRows, r.rows)
		b.Reserve(hi - lo)
		for i := lo; i < hi; i++ {
			pair := [2]int32{file.idx[i], id.idx[i]}
			n, ok := known[pair]
			if !ok {
				n = sources.Intern(Source{file.at(i), id.at(i)})
				known[pair] = n
			}
			b.UnsafeAppend(n)
		}
		emit(lo/batchRows, b.NewArray())
	}
	return nil
}

// column makes the arrays of a column, one for each batch.
func (r *reader) column(c schemas.Col, emit func(arrow.Array)) error {
	b := newBuilder(r.mem, c)
	defer b.release()
	left := r.rows
	return eachPage(r.chunks[c], c, int64(r.rows), func(p *page) error {
		k := 0 // the next value that is not NULL
		for from := 0; from < p.rows; {
			to := min(from+batchRows-b.vals.Len(), p.rows)
			k = b.append(p, from, to, k)
			left -= to - from
			from = to
			if b.vals.Len() == batchRows || left == 0 {
				emit(b.array())
			}
		}
		return nil
	})
}

// builder makes the arrays of one column out of pages.
type builder struct {
	mem  memory.Allocator
	typ  arrow.DataType
	vals array.Builder

	// Strings with a dictionary: the batches share the file's. Those behind
	// the page at which the file gave it up have one of their own.
	dict  *texts
	words arrow.Array // dict
	own   *array.StringBuilder
	seen  map[string]int32 // what own holds
}

func newBuilder(mem memory.Allocator, c schemas.Col) *builder {
	vals := c.ArrowType()
	if _, ok := vals.(*arrow.DictionaryType); ok {
		vals = arrow.PrimitiveTypes.Int32
	}
	return &builder{mem: mem, typ: c.ArrowType(), vals: array.NewBuilder(mem, vals)}
}

func (b *builder) release() {
	b.vals.Release()
	if b.words != nil {
		b.words.Release()
	}
	if b.own != nil {
		b.own.Release()
	}
}

// append adds the rows [from, to) of p, whose first value is number k, and
// returns the number of the value behind.
func (b *builder) append(p *page, from, to, k int) int {
	b.vals.Reserve(to - from)
	switch v := b.vals.(type) {
	case *array.Float64Builder:
		return appendRows(v, p, from, to, k, func(k int) { v.UnsafeAppend(p.f64[k]) })
	case *array.Int64Builder:
		return appendRows(v, p, from, to, k, func(k int) { v.UnsafeAppend(p.i64[k]) })
	case *array.TimestampBuilder:
		return appendRows(v, p, from, to, k, func(k int) { v.UnsafeAppend(arrow.Timestamp(p.i64[k])) })
	case *array.BooleanBuilder:
		return appendRows(v, p, from, to, k, func(k int) { v.UnsafeAppend(p.bool(k)) })
	case *array.StringBuilder:
		return appendRows(v, p, from, to, k, func(k int) { v.BinaryBuilder.Append(p.text(k)) })
	case *array.Int32Builder:
		if p.dict != nil {
			b.share(p.dict)
			return appendRows(v, p, from, to, k, func(k int) { v.UnsafeAppend(p.idx[k]) })
		}
		return appendRows(v, p, from, to, k, func(k int) { v.UnsafeAppend(b.index(p.text(k))) })
	}
	return k
}

func appendRows(b array.Builder, p *page, from, to, k int, value func(k int)) int {
	for i := from; i < to; i++ {
		if p.null(i) {
			b.AppendNull()
			continue
		}
		value(k)
		k++
	}
	return k
}

// share makes an array of the file's dictionary.
func (b *builder) share(dict *texts) {
	if b.dict == dict {
		return
	}
	s := array.NewStringBuilder(b.mem)
	defer s.Release()
	for i := range dict.len() {
		s.BinaryBuilder.Append(dict.at(i))
	}
	b.dict, b.words = dict, s.NewArray()
}

// index is the number of s in the batch's own dictionary.
func (b *builder) index(s []byte) int32 {
	i, ok := b.seen[string(s)]
	if !ok {
		if b.own == nil {
			b.own = array.NewStringBuilder(b.mem)
			b.seen = map[string]int32{}
		}
		i = int32(b.own.Len())
		b.own.BinaryBuilder.Append(s)
		b.seen[string(s)] = i
	}
	return i
}

// array is what was appended since the last call.
func (b *builder) array() arrow.Array {
	a := b.vals.NewArray()
	if _, ok := a.(*array.Int32); !ok || a.NullN() == a.Len() {
		return a
	}
	defer a.Release()
	if b.own == nil || b.own.Len() == 0 {
		return array.NewDictionaryArray(b.typ, a, b.words)
	}
	words := b.own.NewArray()
	defer words.Release()
	clear(b.seen)
	return array.NewDictionaryArray(b.typ, a, words)
}

// labels are the strings of a column without NULLs, as numbers.
type labels struct {
	names []string
	idx   []int32 // for each row
	seen  map[string]int32
	dict  *texts
	words []int32 // the numbers of dict
}

func (l *labels) at(row int) string { return l.names[l.idx[row]] }

func (l *labels) add(p *page) error {
	if p.nulls > 0 {
		return errors.New("is NULL")
	}
	if p.dict == nil {
		for i := range p.rows {
			l.idx = append(l.idx, l.number(p.str.at(i)))
		}
		return nil
	}
	if p.dict != l.dict {
		l.dict, l.words = p.dict, make([]int32, p.dict.len())
		for i := range l.words {
			l.words[i] = l.number(p.dict.at(i))
		}
	}
	for _, i := range p.idx {
		l.idx = append(l.idx, l.words[i])
	}
	return nil
}

func (l *labels) number(s []byte) int32 {
	n, ok := l.seen[string(s)]
	if !ok {
		if l.seen == nil {
			l.seen = map[string]int32{}
		}
		n = int32(len(l.names))
		l.names = append(l.names, string(s))
		l.seen[string(s)] = n
	}
	return n
}
