package sink

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"usagelake/schemas"
)

// batchRows is the most rows of a batch. It divides row groups and the pages of
// columns with a dictionary, so that no batch reads two of those pages.
const batchRows = 16_384

// sourceField is how a schemas.Builder names Batch.Source.
const sourceField = "source"

// Read is all batches of OpenRows. The caller releases them.
func Read(r io.ReaderAt, size int64, mem memory.Allocator, sources *Sources, cols ...schemas.Col) ([]*schemas.Batch, error) {
	rows, err := OpenRows(r, size, mem, sources, cols...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var batches []*schemas.Batch
	for {
		b, err := rows.Next()
		if err == io.EOF {
			return batches, nil
		}
		if err != nil {
			for _, b := range batches {
				b.Release()
			}
			return nil, err
		}
		batches = append(batches, b)
	}
}

// RowReader reads the rows of a file, in their order. It holds one page and
// one dictionary of each of its columns, whatever the size of the file. It
// belongs to one goroutine.
type RowReader struct {
	file *parquet.File
	mem  memory.Allocator
	want []schemas.Col // in table order, without those of source
	next int           // row group
	err  error         // what Next returns from now on

	// The open row group.
	left    int // its rows behind the last batch
	source  sourceReader
	columns []*columnReader
}

// OpenRows begins to read the rows of a file. cols are the columns that the
// batches shall have; none means all. source_file and source_id always become
// Batch.Source, by way of sources. mem owns the arrays. r remains the caller's
// and must stay readable until Close.
func OpenRows(r io.ReaderAt, size int64, mem memory.Allocator, sources *Sources, cols ...schemas.Col) (_ *RowReader, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("read: %w", err)
		}
	}()
	defer guard(&err)
	f, err := open(r, size, parquet.SkipBloomFilters(true))
	if err != nil {
		return nil, err
	}
	rows := &RowReader{file: f, mem: mem, source: sourceReader{mem: mem, sources: sources, known: map[[2]int32]int32{}}}
	for c := range schemas.NumColumns {
		if c != schemas.SourceFile && c != schemas.SourceID && (len(cols) == 0 || slices.Contains(cols, c)) {
			rows.want = append(rows.want, c)
		}
	}
	return rows, nil
}

// NumRows is the count of rows of the file.
func (r *RowReader) NumRows() int64 { return r.file.NumRows() }

// Next returns the next batch of at most 16,384 rows, io.EOF at the end. After
// an error it returns that error again. The caller releases the batch, which
// may outlive the reader.
func (r *RowReader) Next() (b *schemas.Batch, err error) {
	if r.err != nil {
		return nil, r.err
	}
	defer func() {
		if err != nil {
			_ = r.end(err) // err is what counts
		}
	}()
	if r.left == 0 && r.next == len(r.file.RowGroups()) {
		return nil, io.EOF
	}
	if b, err = r.batch(); err != nil {
		return nil, fmt.Errorf("read: row group %d: %w", r.next-1, err)
	}
	return b, nil
}

// Close ends the reading. It releases no batch.
func (r *RowReader) Close() error {
	return r.end(errors.New("read: the reader is closed"))
}

func (r *RowReader) end(err error) error {
	r.err = err
	return r.closeGroup()
}

func (r *RowReader) openGroup() error {
	r.next++
	if err := r.closeGroup(); err != nil {
		return err
	}
	g := r.file.RowGroups()[r.next-1]
	r.left = int(g.NumRows())
	r.source.file.pages = openPages(g, schemas.SourceFile)
	r.source.id.pages = openPages(g, schemas.SourceID)
	chunks := g.ColumnChunks()
	for _, c := range r.want {
		// Verify has seen that the count of NULLs is true.
		if chunks[c].(*parquet.FileColumnChunk).NullCount() < g.NumRows() {
			r.columns = append(r.columns, &columnReader{pages: openPages(g, c), b: newBuilder(r.mem, c)})
		}
	}
	return nil
}

func (r *RowReader) closeGroup() error {
	err := r.source.close()
	for _, c := range r.columns {
		c.b.release()
		err = errors.Join(err, c.pages.close())
	}
	clear(r.columns)
	r.columns = r.columns[:0]
	return err
}

// batch makes a batch of the next rows.
func (r *RowReader) batch() (_ *schemas.Batch, err error) {
	defer guard(&err)
	if r.left == 0 {
		if err := r.openGroup(); err != nil {
			return nil, err
		}
	}
	n := min(r.left, batchRows)
	var (
		fields []arrow.Field
		arrays []arrow.Array
	)
	defer func() {
		for _, a := range arrays {
			a.Release()
		}
	}()
	a, err := r.source.take(n)
	if err != nil {
		return nil, err
	}
	fields = append(fields, arrow.Field{Name: sourceField, Type: arrow.PrimitiveTypes.Int32})
	arrays = append(arrays, a)
	for _, c := range r.columns {
		a, err := c.take(n)
		if err != nil {
			return nil, err
		}
		if a.NullN() == n {
			a.Release()
			continue
		}
		fields = append(fields, arrow.Field{Name: c.pages.col.String(), Type: c.b.typ, Nullable: true})
		arrays = append(arrays, a)
	}
	r.left -= n
	return schemas.NewBatch(array.NewRecord(arrow.NewSchema(fields, nil), arrays, int64(n))), nil
}

// columnReader makes arrays of a column chunk.
type columnReader struct {
	pages *pageReader
	b     *builder
	row   int // of the page: the next
	value int // of the page: the next that is not NULL
}

// take makes an array of the next n rows.
func (c *columnReader) take(n int) (_ arrow.Array, err error) {
	defer nameColumn(&err, c.pages.col)
	defer guard(&err)
	for n > 0 {
		p := &c.pages.page
		if c.row == p.rows {
			if err := c.pages.next(); err != nil {
				return nil, err
			}
			c.row, c.value = 0, 0
		}
		to := min(c.row+n, p.rows)
		c.value = c.b.append(p, c.row, to, c.value)
		n -= to - c.row
		c.row = to
	}
	return c.b.array(), nil
}

// sourceReader makes arrays of source_file and source_id.
type sourceReader struct {
	mem      memory.Allocator
	sources  *Sources
	file, id labelReader
	known    map[[2]int32]int32 // what pairs of labels are in sources
}

func (s *sourceReader) close() error {
	return errors.Join(s.file.close(), s.id.close())
}

func (s *sourceReader) take(n int) (arrow.Array, error) {
	files, err := s.file.take(n)
	if err != nil {
		return nil, err
	}
	ids, err := s.id.take(n)
	if err != nil {
		return nil, err
	}
	b := array.NewInt32Builder(s.mem)
	defer b.Release()
	b.Reserve(n)
	last, src := [2]int32{-1, -1}, int32(0)
	for i := range n {
		if pair := [2]int32{files[i], ids[i]}; pair != last {
			last, src = pair, s.intern(pair)
		}
		b.UnsafeAppend(src)
	}
	return b.NewArray(), nil
}

func (s *sourceReader) intern(pair [2]int32) int32 {
	src, ok := s.known[pair]
	if !ok {
		src = s.sources.Intern(Source{s.file.names[pair[0]], s.id.names[pair[1]]})
		s.known[pair] = src
	}
	return src
}

// labelReader reads a column as labels, whose idx is that of the page.
type labelReader struct {
	labels
	pages *pageReader // nil where no row group is open
	row   int         // of the page: the next
}

// take is the labels of the next n rows. A batch is never of two pages.
func (l *labelReader) take(n int) (_ []int32, err error) {
	defer nameColumn(&err, l.pages.col)
	defer guard(&err)
	if l.row == len(l.idx) {
		l.row, l.idx = 0, l.idx[:0]
		if err := l.pages.next(); err != nil {
			return nil, err
		}
		if err := l.add(&l.pages.page); err != nil {
			return nil, err
		}
	}
	l.row += n
	return l.idx[l.row-n : l.row], nil
}

func (l *labelReader) close() error {
	if l.pages == nil {
		return nil
	}
	pages := l.pages
	l.pages, l.row, l.idx = nil, 0, l.idx[:0]
	return pages.close()
}

// SourceIDs lists the source ids of a file, sorted. It reads that column alone,
// and of a row group where the dictionary says all, only its first page.
func SourceIDs(r io.ReaderAt, size int64) (_ []string, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("read: %w", err)
		}
	}()
	defer guard(&err)
	f, err := open(r, size, parquet.SkipBloomFilters(true))
	if err != nil {
		return nil, err
	}
	var ids labelReader
	for i, g := range f.RowGroups() {
		dict := 0 // pages with a dictionary
		for _, s := range f.Metadata().RowGroups[i].Columns[schemas.SourceID].MetaData.EncodingStats {
			if s.PageType == format.DataPage && s.Encoding == format.RLEDictionary {
				dict += int(s.Count)
			}
		}
		left := int(g.NumRows())
		if dict*pageRows >= left {
			left = min(left, pageRows) // the dictionary comes with the first page
		}
		ids.pages = openPages(g, schemas.SourceID)
		for err == nil && left > 0 {
			_, err = ids.take(min(left, pageRows))
			left -= pageRows
		}
		if err = cmp.Or(err, ids.close()); err != nil {
			return nil, fmt.Errorf("row group %d: %w", i, err)
		}
	}
	slices.Sort(ids.names)
	return ids.names, nil
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
	b.unshare()
	if b.own != nil {
		b.own.Release()
	}
}

// append adds the rows [from, to) of p, whose first value is number k, and
// returns the number of the value behind.
func (b *builder) append(p *page, from, to, k int) int {
	end := k + to - from
	if p.valid != nil {
		end = k + bytes.Count(p.valid[from:to], []byte{1})
	}
	b.vals.Reserve(to - from)
	switch v := b.vals.(type) {
	case *array.Float64Builder:
		appendValues(v, p, from, to, p.f64[k:end])
	case *array.Int64Builder:
		appendValues(v, p, from, to, p.i64[k:end])
	case *array.TimestampBuilder:
		times := arrow.TimestampTraits.CastFromBytes(arrow.Int64Traits.CastToBytes(p.i64[k:end]))
		appendValues(v, p, from, to, times)
	case *array.BooleanBuilder:
		appendRows(v, p, from, to, k, func(k int) { v.UnsafeAppend(p.bool(k)) })
	case *array.StringBuilder:
		v.ReserveData(p.str.size(k, end))
		appendRows(v, p, from, to, k, func(k int) { v.BinaryBuilder.Append(p.str.at(k)) })
	case *array.Int32Builder:
		if p.dict != nil {
			b.share(p.dict)
			appendValues(v, p, from, to, p.idx[k:end])
		} else {
			b.unshare()
			appendRows(v, p, from, to, k, func(k int) { v.UnsafeAppend(b.index(p.str.at(k))) })
		}
	}
	return end
}

// valuesBuilder is a builder with room for what is appended.
type valuesBuilder[T any] interface {
	array.Builder
	AppendValues(values []T, valid []bool)
	UnsafeAppend(T)
}

// appendValues adds the rows [from, to) of p, of which values are not NULL.
func appendValues[T any](b valuesBuilder[T], p *page, from, to int, values []T) {
	if len(values) == to-from {
		b.AppendValues(values, nil)
		return
	}
	appendRows(b, p, from, to, 0, func(k int) { b.UnsafeAppend(values[k]) })
}

// appendRows adds the rows [from, to) of p; value adds that with number k,
// which counts up from the k given.
func appendRows(b array.Builder, p *page, from, to, k int, value func(k int)) {
	for i := from; i < to; i++ {
		if p.null(i) {
			b.AppendNull()
			continue
		}
		value(k)
		k++
	}
}

// share makes an array of the file's dictionary.
func (b *builder) share(dict *texts) {
	if b.dict == dict {
		return
	}
	b.unshare()
	s := array.NewStringBuilder(b.mem)
	defer s.Release()
	s.Reserve(dict.len())
	s.ReserveData(dict.size(0, dict.len()))
	for i := range dict.len() {
		s.BinaryBuilder.Append(dict.at(i))
	}
	b.dict, b.words = dict, s.NewArray()
}

// unshare gives the dictionary up. It can be as large as many pages.
func (b *builder) unshare() {
	if b.words != nil {
		b.words.Release()
	}
	b.dict, b.words = nil, nil
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
