package sink

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
	"github.com/parquet-go/parquet-go/compress/snappy"
	"github.com/parquet-go/parquet-go/compress/zstd"

	"usagelake/schemas"
)

// ChunkRows is how many rows every call of Writer.Write but the last brings. It
// divides row groups, and every page's length divides it.
const ChunkRows = 32_768

// WriteOptions tune a Writer. The rows and Codec alone make the bytes.
type WriteOptions struct {
	// Codec is "zstd" (if empty) or "snappy".
	Codec string
	// Jobs is how many columns are encoded at a time, 1 if 0.
	Jobs int
}

// The codecs keep their encoders between files.
var codecs = map[string]compress.Codec{
	"":       &zstdCodec,
	"zstd":   &zstdCodec,
	"snappy": &snappy.Codec{},
}

var zstdCodec = zstd.Codec{Level: zstd.SpeedFastest}

// callRows is the count of values handed to parquet-go at a time. It divides
// the length of every page.
const callRows = 8_192

// Writer writes the file of a unit, chunk by chunk. After an error w holds a
// part of a file.
type Writer struct {
	w      io.Writer
	unit   schemas.Unit
	opt    WriteOptions
	codec  compress.Codec
	rows   Rows
	at     map[*schemas.Batch]int32 // in rows.Batches
	failed error
}

// NewWriter begins the file of a unit. sources is what the batches' Source
// columns index.
func NewWriter(w io.Writer, unit schemas.Unit, sources *Sources, opt WriteOptions) (*Writer, error) {
	codec, ok := codecs[opt.Codec]
	if !ok {
		return nil, fmt.Errorf("write %s: unknown codec %q", unit.Path(), opt.Codec)
	}
	return &Writer{
		w: w, unit: unit, opt: opt, codec: codec,
		rows: Rows{Sources: sources, Flags: map[int]string{}},
		at:   map[*schemas.Batch]int32{},
	}, nil
}

// Write adds rows in the order of the sort key; Verify checks the order and
// the unit. Every call but the last brings exactly ChunkRows rows. The batches
// may be released when Write returned. Nothing of a chunk against its contract
// is written.
func (w *Writer) Write(rows Rows) (err error) {
	defer func() { err = w.fail(err) }()
	defer guard(&err)
	switch n := len(rows.Order); {
	case w.failed != nil:
		return w.failed
	case n > ChunkRows:
		return fmt.Errorf("%d rows at a time", n)
	case len(w.rows.Order)%ChunkRows != 0:
		return errors.New("rows behind a short chunk")
	}
	rows.Sources = w.rows.Sources
	if err := rows.check(); err != nil {
		return err
	}
	for i, flags := range rows.Flags {
		w.rows.Flags[len(w.rows.Order)+i] = flags
	}
	for _, ref := range rows.Order {
		b := rows.Batches[ref.Batch]
		i, ok := w.at[b]
		if !ok {
			b.Rec.Retain()
			i = int32(len(w.rows.Batches))
			w.rows.Batches = append(w.rows.Batches, b)
			w.at[b] = i
		}
		w.rows.Order = append(w.rows.Order, Ref{i, ref.Row})
	}
	return nil
}

func (w *Writer) fail(err error) error {
	if err != nil && w.failed == nil {
		w.failed = fmt.Errorf("write %s: %w", w.unit.Path(), err)
	}
	return w.failed
}

// Close ends the file and returns what it holds. An empty file is an error.
func (w *Writer) Close() (facts Facts, err error) {
	defer func() {
		for _, b := range w.rows.Batches {
			b.Release()
		}
		w.rows = Rows{}
		err = w.fail(err)
	}()
	defer guard(&err)
	if w.failed != nil {
		return facts, w.failed
	}
	return w.write(w.rows)
}

func (w *Writer) write(rows Rows) (facts Facts, err error) {
	if len(rows.Order) == 0 {
		return facts, errors.New("no rows")
	}
	sorting := make([]parquet.SortingColumn, len(sortKey))
	for i, c := range sortKey {
		sorting[i] = parquet.Ascending(c.String())
	}
	pw := parquet.NewGenericWriter[any](w.w, tableSchema,
		&parquet.WriterConfig{CreatedBy: createdBy},
		parquet.Compression(w.codec),
		parquet.DataPageVersion(1),
		parquet.DataPageStatistics(false), // the page index has them
		parquet.DictionaryMaxBytes(dictBytes),
		parquet.PageBufferSize(rows.pageBuffer()),
		parquet.BloomFilters(parquet.SplitBlockFilter(bloomBits, schemas.RequestID.String())),
		parquet.SortingWriterConfig(parquet.SortingColumns(sorting...)),
		parquet.KeyValueMetadata(keyVersion, strconv.Itoa(schemas.Version)),
		parquet.KeyValueMetadata(keyPartition, w.unit.Path()),
		parquet.KeyValueMetadata(keyRows, strconv.Itoa(len(rows.Order))),
	)
	e := encoder{Rows: rows, sources: rows.Sources.snapshot(), bufs: make([][]parquet.Value, max(w.opt.Jobs, 1))}
	e.facts.Rows = int64(len(rows.Order))
	for lo := 0; lo < len(rows.Order); lo += groupRows {
		if err := e.group(pw.ColumnWriters(), lo, min(lo+groupRows, len(rows.Order))); err != nil {
			return facts, err
		}
		if err := pw.Flush(); err != nil {
			return facts, err
		}
	}
	return e.facts, pw.Close()
}

// encoder feeds columns of Rows to parquet-go.
type encoder struct {
	Rows
	sources []Source
	facts   Facts
	bufs    [][]parquet.Value // one for each job
}

// group encodes the rows [lo, hi) as a row group. Columns do not touch each
// other, neither here nor in parquet-go, so jobs do not change the bytes.
func (e *encoder) group(columns []*parquet.ColumnWriter, lo, hi int) error {
	var (
		next atomic.Int32
		wg   sync.WaitGroup
		errs = make([]error, len(e.bufs))
	)
	for job := range e.bufs {
		wg.Go(func() {
			defer guard(&errs[job])
			if e.bufs[job] == nil {
				e.bufs[job] = make([]parquet.Value, callRows)
			}
			for errs[job] == nil {
				i := int(next.Add(1)) - 1
				if i >= len(columns) {
					return
				}
				errs[job] = e.column(columns[i], schemas.Col(i), lo, hi, e.bufs[job])
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// nulls is a run of NULLs.
var nulls [callRows]parquet.Value

// column encodes the rows [lo, hi) of column c and adds them to the facts.
func (e *encoder) column(cw *parquet.ColumnWriter, c schemas.Col, lo, hi int, buf []parquet.Value) error {
	fill := e.filler(c)
	for at := lo; at < hi; at += callRows {
		n := min(callRows, hi-at)
		values := nulls[:n]
		if fill != nil {
			values = buf[:n]
			fill(values, at)
			e.facts.add(c, values)
		} else {
			e.facts.Nulls[c] += int64(n)
		}
		if _, err := cw.WriteRowValues(values); err != nil {
			return fmt.Errorf("%v: %w", c, err)
		}
		if done := at + n - lo; done%pageLen(c) == 0 || at+n == hi {
			if err := cw.Flush(); err != nil {
				return fmt.Errorf("%v: %w", c, err)
			}
		}
	}
	return nil
}

// add adds values of column c. It touches only what belongs to c.
func (f *Facts) add(c schemas.Col, values []parquet.Value) {
	var (
		additive = c.Additive()
		double   = schemas.Columns[c].Kind == schemas.Double
		nulls    int64
	)
	for i := range values {
		switch v := &values[i]; {
		case v.IsNull():
			nulls++
		case c == schemas.EventTime:
			f.addTime(v.Int64())
		case !additive:
		case double:
			f.Sums.AddDouble(c, v.Double())
		default:
			f.Sums.AddInt(c, v.Int64())
		}
	}
	f.Nulls[c] += nulls
}

func (f *Facts) addTime(us int64) {
	if f.MinTime == 0 { // no time of the table is 0
		f.MinTime, f.MaxTime = us, us
	}
	f.MinTime, f.MaxTime = min(f.MinTime, us), max(f.MaxTime, us)
}

// A filler sets dst to the values of one column for the rows from Order[at].
type filler func(dst []parquet.Value, at int)

// filler looks up column c in every batch once. It is nil if all is NULL.
func (e *encoder) filler(c schemas.Col) filler {
	var fill filler
	switch col := schemas.Columns[c]; {
	case c == schemas.SourceFile:
		return e.fillSource(c, func(s Source) string { return s.File })
	case c == schemas.SourceID:
		return e.fillSource(c, func(s Source) string { return s.ID })
	case !e.has(c):
	case col.Kind == schemas.Double:
		fill = e.fillDouble(c)
	case col.Kind == schemas.Bool:
		fill = e.fillBool(c)
	case col.Kind != schemas.String:
		fill = e.fillInt(c)
	case col.Plain:
		fill = e.fillText(c)
	default:
		fill = e.fillDict(c)
	}
	if c == schemas.QualityFlags && len(e.Flags) > 0 {
		fill = e.fillFlags(fill)
	}
	return fill
}

func (e *encoder) has(c schemas.Col) bool {
	for _, b := range e.Batches {
		if b.Cols[c] != nil {
			return true
		}
	}
	return false
}

// part is one batch's array of a column, with its values in a form that is
// cheap to pick from.
type part[T any] struct {
	values []T
	bits   []byte // validity; nil if all are valid
	off    int32
}

func (p *part[T]) null(row int32) bool {
	if p.bits == nil {
		return p.values == nil
	}
	i := row + p.off
	return p.bits[i>>3]&(1<<(i&7)) == 0
}

// parts takes column c of every batch apart.
func parts[T any](e *encoder, c schemas.Col, values func(arrow.Array) []T) []part[T] {
	ps := make([]part[T], len(e.Batches))
	for i, b := range e.Batches {
		if a := b.Cols[c]; a != nil {
			ps[i].values = values(a)
			if a.NullN() > 0 {
				ps[i].bits, ps[i].off = a.NullBitmapBytes(), int32(a.Data().Offset())
			}
		}
	}
	return ps
}

func (e *encoder) fillDouble(c schemas.Col) filler {
	ps := parts(e, c, func(a arrow.Array) []float64 { return a.(*array.Float64).Float64Values() })
	return func(dst []parquet.Value, at int) {
		for i, ref := range e.Order[at : at+len(dst)] {
			p := &ps[ref.Batch]
			if p.null(ref.Row) {
				dst[i] = parquet.Value{}
				continue
			}
			v := p.values[ref.Row]
			if v == 0 {
				v = 0 // not -0: readers disagree on its place in statistics
			}
			dst[i] = parquet.DoubleValue(v).Level(0, 1, int(c))
		}
	}
}

func (e *encoder) fillInt(c schemas.Col) filler {
	ps := parts(e, c, func(a arrow.Array) []int64 {
		if t, ok := a.(*array.Timestamp); ok {
			return arrow.Int64Traits.CastFromBytes(arrow.TimestampTraits.CastToBytes(t.TimestampValues()))
		}
		return a.(*array.Int64).Int64Values()
	})
	present := 1
	if c == schemas.EventTime {
		present = 0 // required: it has no levels
	}
	return func(dst []parquet.Value, at int) {
		for i, ref := range e.Order[at : at+len(dst)] {
			p := &ps[ref.Batch]
			if p.null(ref.Row) {
				dst[i] = parquet.Value{}
				continue
			}
			dst[i] = parquet.Int64Value(p.values[ref.Row]).Level(0, present, int(c))
		}
	}
}

func (e *encoder) fillBool(c schemas.Col) filler {
	return func(dst []parquet.Value, at int) {
		for i, ref := range e.Order[at : at+len(dst)] {
			b := e.Batches[ref.Batch]
			if b.Null(c, int(ref.Row)) {
				dst[i] = parquet.Value{}
				continue
			}
			dst[i] = parquet.BooleanValue(b.Int(c, int(ref.Row)) != 0).Level(0, 1, int(c))
		}
	}
}

func (e *encoder) fillText(c schemas.Col) filler {
	ps := parts(e, c, func(a arrow.Array) []int32 { return a.(*array.String).ValueOffsets() })
	data := make([][]byte, len(ps))
	for i, b := range e.Batches {
		if a := b.Cols[c]; a != nil {
			data[i] = a.(*array.String).ValueBytes()
		}
	}
	return func(dst []parquet.Value, at int) {
		for i, ref := range e.Order[at : at+len(dst)] {
			p := &ps[ref.Batch]
			if p.null(ref.Row) {
				dst[i] = parquet.Value{}
				continue
			}
			from, to := p.values[ref.Row]-p.values[0], p.values[ref.Row+1]-p.values[0]
			dst[i] = parquet.ByteArrayValue(data[ref.Batch][from:to]).Level(0, 1, int(c))
		}
	}
}

func (e *encoder) fillDict(c schemas.Col) filler {
	ps := parts(e, c, func(a arrow.Array) []int32 { return a.(*array.Dictionary).Indices().(*array.Int32).Int32Values() })
	dicts := make([][]parquet.Value, len(ps))
	var last arrow.ArrayData // batches that Read made share their dictionary
	for i, b := range e.Batches {
		d, ok := b.Cols[c].(*array.Dictionary)
		if !ok {
			last = nil
			continue
		}
		if data := d.Data().Dictionary(); i > 0 && data == last {
			dicts[i] = dicts[i-1]
		} else {
			dicts[i], last = textValues(d.Dictionary().(*array.String), c), data
		}
	}
	return func(dst []parquet.Value, at int) {
		for i, ref := range e.Order[at : at+len(dst)] {
			p := &ps[ref.Batch]
			if p.null(ref.Row) {
				dst[i] = parquet.Value{}
				continue
			}
			dst[i] = dicts[ref.Batch][p.values[ref.Row]]
		}
	}
}

// textValues is every string of a as a value of column c. It aliases a.
func textValues(a *array.String, c schemas.Col) []parquet.Value {
	data, offsets := a.ValueBytes(), a.ValueOffsets()
	values := make([]parquet.Value, a.Len())
	for i := range values {
		from, to := offsets[i]-offsets[0], offsets[i+1]-offsets[0]
		values[i] = parquet.ByteArrayValue(data[from:to]).Level(0, 1, int(c))
	}
	return values
}

func (e *encoder) fillSource(c schemas.Col, text func(Source) string) filler {
	values := make([]parquet.Value, len(e.sources))
	for i, src := range e.sources {
		values[i] = parquet.ByteArrayValue([]byte(text(src))).Level(0, 1, int(c))
	}
	index := make([][]int32, len(e.Batches))
	for i, b := range e.Batches {
		index[i] = b.Source.Int32Values()
	}
	return func(dst []parquet.Value, at int) {
		for i, ref := range e.Order[at : at+len(dst)] {
			dst[i] = values[index[ref.Batch][ref.Row]]
		}
	}
}

// fillFlags puts the changed flags over what the batches hold.
func (e *encoder) fillFlags(fill filler) filler {
	return func(dst []parquet.Value, at int) {
		if fill != nil {
			fill(dst, at)
		} else {
			clear(dst)
		}
		for i := range dst {
			flags, ok := e.Flags[at+i]
			switch {
			case !ok:
			case flags == "":
				dst[i] = parquet.Value{}
			default:
				dst[i] = parquet.ByteArrayValue([]byte(flags)).Level(0, 1, int(schemas.QualityFlags))
			}
		}
	}
}
