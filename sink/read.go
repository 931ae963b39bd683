package sink

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/parquet-go/parquet-go/format"

	"usagelake/schemas"
)

// batchRows is the most rows of a batch. It divides row groups and the pages of
// columns with a dictionary, so that no batch reads two of those pages.
const batchRows = 16_384

// sourceField is how a schemas.Builder names Batch.Source.
const sourceField = "source"

// Read is all batches of OpenRows. The caller releases them.
func Read(r io.ReaderAt, size int64, t schemas.Table, mem memory.Allocator, sources *Sources, cols ...schemas.Col) ([]*schemas.Batch, error) {
	rows, err := OpenRows(r, size, t, mem, sources, cols...)
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
	file *file
	mem  memory.Allocator
	want []schemas.Col // in table order, without those of source
	next int           // row group
	err  error         // what Next returns from now on

	// The open row group.
	left    int // its rows behind the last batch
	source  sourceReader
	columns []*columnReader
}

// OpenRows begins to read the rows of a file of a table. cols are the columns that
// the batches shall have, as far as the table has them; none means all. source_file
// and source_id always become Batch.Source, by way of sources. mem owns the arrays. r
// remains the caller's and must stay readable until Close.
func OpenRows(r io.ReaderAt, size int64, t schemas.Table, mem memory.Allocator, sources *Sources, cols ...schemas.Col) (_ *RowReader, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("read: %w", err)
		}
	}()
	defer guard(&err)
	f, err := open(r, size, t)
	if err != nil {
		return nil, err
	}
	rows := &RowReader{file: f, mem: mem, source: sourceReader{mem: mem, sources: sources, known: map[[2]int32]int32{}}}
	for _, c := range t.Columns() {
		if c != schemas.SourceFile && c != schemas.SourceID && (len(cols) == 0 || slices.Contains(cols, c)) {
			rows.want = append(rows.want, c)
		}
	}
	return rows, nil
}

// Next returns the next batch of at most 16,384 rows, io.EOF at the end. After
// an error it returns that error again. The caller releases the batch, which
// may outlive the reader.
func (r *RowReader) Next() (b *schemas.Batch, err error) {
	if r.err != nil {
		return nil, r.err
	}
	defer func() {
		if err != nil {
			r.end(err)
		}
	}()
	if r.left == 0 && r.next == len(r.file.Groups) {
		return nil, io.EOF
	}
	if b, err = r.batch(); err != nil {
		return nil, fmt.Errorf("read: row group %d: %w", r.next-1, err)
	}
	return b, nil
}

// Close ends the reading. It releases no batch.
func (r *RowReader) Close() error {
	r.end(errors.New("read: the reader is closed"))
	return nil
}

func (r *RowReader) end(err error) {
	r.err = err
	r.closeGroup()
}

func (r *RowReader) openGroup() {
	r.closeGroup()
	i := r.next
	r.next++
	g := &r.file.Groups[i]
	r.left = int(g.NumRows)
	r.source.file.pages = openPages(r.file, i, schemas.SourceFile)
	r.source.id.pages = openPages(r.file, i, schemas.SourceID)
	for _, c := range r.want {
		// Verify has seen that the count of NULLs is true.
		if r.file.chunk(i, c).Statistics.NullCount < g.NumRows {
			r.columns = append(r.columns, &columnReader{pages: openPages(r.file, i, c), b: newBuilder(r.mem, c)})
		}
	}
}

func (r *RowReader) closeGroup() {
	r.source.file.close()
	r.source.id.close()
	for _, c := range r.columns {
		c.b.release()
		c.pages.close()
	}
	clear(r.columns)
	r.columns = r.columns[:0]
}

// batch makes a batch of the next rows.
func (r *RowReader) batch() (_ *schemas.Batch, err error) {
	defer guard(&err)
	if r.left == 0 {
		r.openGroup()
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
		if a == nil {
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

// take makes an array of the next n rows, nil if all are NULL.
func (c *columnReader) take(n int) (_ arrow.Array, err error) {
	defer nameColumn(&err, c.pages.col)
	defer guard(&err)
	c.b.begin(n)
	for n > 0 {
		p := &c.pages.page
		if c.row == p.rows {
			if err := c.pages.next(); err != nil {
				return nil, err
			}
			c.row, c.value = 0, 0
		}
		if p.same && p.nulls == 0 && n == c.b.size && c.row+n <= p.rows {
			c.row += n
			c.value += n
			return c.b.repeat(p), nil
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

func (l *labelReader) close() {
	if l.pages != nil {
		l.pages.close()
	}
	l.pages, l.row, l.idx = nil, 0, l.idx[:0]
}

// SourceIDs lists the source ids of a file, sorted. It reads that column alone,
// and of a row group where the dictionary says all, only its first page.
func SourceIDs(r io.ReaderAt, size int64, t schemas.Table) (_ []string, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("read: %w", err)
		}
	}()
	defer guard(&err)
	f, err := open(r, size, t)
	if err != nil {
		return nil, err
	}
	var ids labelReader
	for i := range f.Groups {
		g := &f.Groups[i]
		dict := 0 // pages with a dictionary
		for _, s := range f.chunk(i, schemas.SourceID).EncodingStats {
			if s.PageType == format.DataPage && s.Encoding == format.RLEDictionary {
				dict += int(s.Count)
			}
		}
		left := int(g.NumRows)
		if dict*pageRows >= left {
			left = min(left, pageRows) // the dictionary comes with the first page
		}
		ids.pages = openPages(f, i, schemas.SourceID)
		for err == nil && left > 0 {
			_, err = ids.take(min(left, pageRows))
			left -= pageRows
		}
		ids.close()
		if err != nil {
			return nil, fmt.Errorf("row group %d: %w", i, err)
		}
	}
	slices.Sort(ids.names)
	return ids.names, nil
}

// labels are the strings of a column without NULLs, as numbers.
type labels struct {
	names []string
	idx   []int32 // for each row
	seen  map[string]int32
	dict  *dictionary
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
		l.dict, l.words = p.dict, make([]int32, p.dict.n)
		for i := range l.words {
			l.words[i] = l.number(p.dict.str.at(i))
		}
	}
	for i := range p.rows {
		l.idx = append(l.idx, l.words[p.number(i)])
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
