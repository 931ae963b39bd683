// Package encode writes Parquet files from columns whose values were gathered
// already. It is there because parquet-go, which reads the files, takes values
// one by one and hashes each into a dictionary: half of a load's time. It makes
// what this table needs and no more: flat columns of INT64, DOUBLE, BOOLEAN and
// BYTE_ARRAY, data pages V1, PLAIN, RLE and RLE_DICTIONARY, with page index and
// bloom filters. Its bytes depend on what it is given alone.
package encode

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
	"github.com/parquet-go/parquet-go/format"
)

// Layout is what the files of a table have in common. It keeps the memory of
// closed files for the next ones and is safe for concurrent use.
type Layout struct {
	// Parts of a footer that are the same in all files, as marshalList has them.
	schema, orders, sorting []byte
	createdBy               string
	specs                   []Spec
	names                   []string // of the columns
	files, footers          sync.Pool
}

// Spec says how a column is written, beside what the schema says.
type Spec struct {
	// Dict is the most bytes of a dictionary. It is given up at the end of
	// the page in which it outgrows them. 0: there is none.
	Dict int
	// Bloom is the bits of a bloom filter for each row. 0: there is none.
	Bloom uint
}

// NewLayout describes files with the leaf columns of schema. It panics if they
// are not what this package writes.
func NewLayout(schema *parquet.Schema, specs []Spec, sorting []format.SortingColumn, createdBy string) *Layout {
	// An empty file has the schema as a footer holds it.
	var empty bytes.Buffer
	if err := parquet.NewGenericWriter[any](&empty, schema).Close(); err != nil {
		panic(err)
	}
	f, err := parquet.OpenFile(bytes.NewReader(empty.Bytes()), int64(empty.Len()))
	if err != nil {
		panic(err)
	}
	m := f.Metadata()
	l := &Layout{
		schema: marshalList(m.Schema), orders: marshalList(m.ColumnOrders), sorting: marshalList(sorting),
		createdBy: createdBy, specs: specs,
	}
	if len(m.Schema) != len(specs)+1 {
		panic(fmt.Sprintf("encode: %d specs for %d columns", len(specs), len(m.Schema)-1))
	}
	for _, leaf := range schema.Fields() {
		l.names = append(l.names, leaf.Name())
	}
	l.files.New = func() any {
		f := &File{layout: l, columns: make([]*Column, len(specs))}
		for i, leaf := range schema.Fields() {
			f.columns[i] = newColumn(leaf, specs[i])
		}
		return f
	}
	l.files.Put(l.files.New()) // panics early
	return l
}

// File writes one file: pages into its columns, EndGroup between row groups,
// and Close.
type File struct {
	layout  *Layout
	out     output
	columns []*Column
	groups  []format.RowGroup
	indexes [][]format.ColumnIndex
	offsets [][]format.OffsetIndex
	rows    int64
	buf     Buffers
	meta    compact // empty between two writes
}

// NewFile begins a file. Nothing is written before the first row group ends.
func (l *Layout) NewFile(w io.Writer, codec compress.Codec) *File {
	return l.begin(output{w: w}, codec)
}

// Follow begins to make a file again that is there. Its columns are told of the
// pages that it has by Page, Dictionary and Hashes; all else is made of that,
// and it is an error if r holds anything else.
func (l *Layout) Follow(r io.ReaderAt, size int64, codec compress.Codec) *File {
	return l.begin(output{r: r, size: size}, codec)
}

func (l *Layout) begin(out output, codec compress.Codec) *File {
	f := l.files.Get().(*File)
	out.buf = f.out.buf[:0]
	f.out = out
	for _, c := range f.columns {
		c.codec = codec
	}
	return f
}

// Column is the writer of the column with number i. Columns may be written to
// at the same time.
func (f *File) Column(i int) *Column { return f.columns[i] }

// EndGroup writes the rows since the last call as a row group.
func (f *File) EndGroup() error {
	if f.out.n == 0 {
		f.out.write([]byte(magic))
	}
	n := len(f.groups)
	f.groups, f.indexes, f.offsets = another(f.groups), another(f.indexes), another(f.offsets)
	group := &f.groups[n]
	*group = format.RowGroup{
		Columns:    sized(group.Columns, len(f.columns)),
		NumRows:    f.columns[0].rows,
		FileOffset: f.out.n,
		Ordinal:    int16(n),
	}
	f.indexes[n], f.offsets[n] = sized(f.indexes[n], len(f.columns)), sized(f.offsets[n], len(f.columns))
	for i, c := range f.columns {
		if c.rows != group.NumRows {
			return fmt.Errorf("%s: %d rows, want %d", c.name, c.rows, group.NumRows)
		}
		chunk := &group.Columns[i]
		*chunk = format.ColumnChunk{MetaData: chunk.MetaData}
		meta := &chunk.MetaData
		if err := c.end(&f.buf, &f.out, meta, &f.indexes[n][i], &f.offsets[n][i]); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		group.TotalByteSize += meta.TotalUncompressedSize
		group.TotalCompressedSize += meta.TotalCompressedSize
	}
	for i, c := range f.columns {
		if err := c.filter(&f.out, &f.meta, &group.Columns[i].MetaData); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		c.reset()
	}
	f.rows += group.NumRows
	return f.out.err
}

// another is s with one more item, in the memory of the one that was there in
// the file before, where there was one.
func another[T any](s []T) []T { return slices.Grow(s, 1)[:len(s)+1] }

// sized is n items in the memory of s, where it has them.
func sized[T any](s []T, n int) []T { return slices.Grow(s[:0], n)[:n] }

// Close ends the last row group and the file, which cannot be used after. A
// file that failed is not closed.
func (f *File) Close(metadata []format.KeyValue) error {
	if f.columns[0].rows > 0 {
		if err := f.EndGroup(); err != nil {
			return err
		}
	}
	if f.out.n == 0 { // a file without rows
		f.out.write([]byte(magic))
	}
	w := &f.meta
	for i, indexes := range f.indexes {
		for j := range indexes {
			chunk := &f.groups[i].Columns[j]
			chunk.ColumnIndexOffset = f.out.n
			w.columnIndex(&indexes[j])
			chunk.ColumnIndexLength = int32(f.out.take(w))
		}
	}
	for i, offsets := range f.offsets {
		for j := range offsets {
			chunk := &f.groups[i].Columns[j]
			chunk.OffsetIndexOffset = f.out.n
			w.offsetIndex(&offsets[j])
			chunk.OffsetIndexLength = int32(f.out.take(w))
		}
	}
	w.footer(f.layout, f.rows, f.groups, metadata)
	w.b = binary.LittleEndian.AppendUint32(w.b, uint32(len(w.b)))
	w.b = append(w.b, magic...)
	f.out.take(w)
	if f.out.err == nil && f.out.r != nil && f.out.n != f.out.size {
		f.out.err = fmt.Errorf("%d bytes, want %d", f.out.size, f.out.n)
	}
	if f.out.err != nil {
		return f.out.err
	}
	f.out = output{buf: f.out.buf}
	f.groups, f.indexes, f.offsets, f.rows = f.groups[:0], f.indexes[:0], f.offsets[:0], 0
	f.layout.files.Put(f)
	return nil
}

// output counts what it writes and keeps the first error.
type output struct {
	w io.Writer
	n int64
	// r is a file that is there already. What is written is held against it,
	// w is nil.
	r    io.ReaderAt
	size int64
	buf  []byte // of r
	from int64  // where buf begins
	err  error
}

func (o *output) write(b []byte) {
	if o.err != nil {
		return
	}
	if o.r == nil {
		var n int
		n, o.err = o.w.Write(b)
		o.n += int64(n)
		return
	}
	for len(b) > 0 && o.err == nil {
		have := o.have()
		n := min(len(b), len(have))
		if !bytes.Equal(b[:n], have[:n]) {
			o.err = fmt.Errorf("%w from byte %d on", errOther, o.n)
			return
		}
		o.n += int64(n)
		b = b[n:]
	}
}

var errOther = errors.New("metadata is not that of the pages")

// have is what r holds from here on: a byte and more, if there is no error.
func (o *output) have() []byte {
	if at := o.n - o.from; at >= 0 && at < int64(len(o.buf)) {
		return o.buf[at:]
	}
	o.buf = slices.Grow(o.buf[:0], aheadBytes)[:aheadBytes]
	n, err := o.r.ReadAt(o.buf, o.n)
	o.buf, o.from = o.buf[:n], o.n
	if n == 0 {
		if o.err = err; err == io.EOF {
			o.err = io.ErrUnexpectedEOF
		}
	}
	return o.buf
}

const aheadBytes = 32 << 10

// skip leaves out what r holds.
func (o *output) skip(n int64) { o.n += n }

// take writes what w holds and returns its length.
func (o *output) take(w *compact) int {
	n := len(w.b)
	o.write(w.b)
	w.b = w.b[:0]
	return n
}
