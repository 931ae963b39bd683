package schemas

import (
	"bytes"
	"slices"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/bitutil"
	"github.com/apache/arrow/go/v17/arrow/memory"
)

// sourceField stands in a batch for source_file and source_id: an index into
// the run's table of sources, whose ids are known only when they were read to
// their end.
const sourceField = "source"

// Batch is a run of rows as Arrow arrays. It carries only the columns that
// have a value; a nil column is all NULL. The one who got the batch releases
// it.
//
// An array is of the column's ArrowType or narrower: whole numbers from 0 up,
// whatever the column's kind, may be Uint8, Uint16 or Uint32, and the indices
// of a dictionary Uint8 or Uint16; strings may have a dictionary or not.
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

// Part is the rows [lo, hi) of the batch, whose memory it shares. It is released
// by itself.
func (b *Batch) Part(lo, hi int) *Batch {
	if lo == 0 && hi == b.Len() {
		b.Rec.Retain()
		part := *b
		return &part
	}
	return NewBatch(b.Rec.NewSlice(int64(lo), int64(hi)))
}

// ShiftLines adds to the source_line of every row.
func (b *Batch) ShiftLines(by int64) {
	lines := b.Words(nil, SourceLine, 0, b.Len())
	for i := range lines {
		lines[i] += uint64(by)
	}
	fields, cols := b.Rec.Schema().Fields(), slices.Clone(b.Rec.Columns())
	for i := range fields {
		if fields[i].Name == SourceLine.String() {
			data := array.NewData(arrow.PrimitiveTypes.Int64, len(lines),
				[]*memory.Buffer{nil, memory.NewBufferBytes(arrow.Uint64Traits.CastToBytes(lines))}, nil, 0, 0)
			fields[i].Type, cols[i] = arrow.PrimitiveTypes.Int64, array.NewInt64Data(data)
		}
	}
	shifted := NewBatch(array.NewRecord(arrow.NewSchema(fields, nil), cols, b.Rec.NumRows()))
	b.Release()
	*b = *shifted
}

// Len is the count of rows.
func (b *Batch) Len() int { return int(b.Rec.NumRows()) }

// Release gives the memory back.
func (b *Batch) Release() { b.Rec.Release() }

// Null reports whether column c of row i is NULL.
func (b *Batch) Null(c Col, i int) bool { return b.Cols[c] == nil || b.Cols[c].IsNull(i) }

// Valid is the bitmap of column c, which has a value: bit off+i is 1 where row i
// is not NULL. It is nil where no row is.
func (b *Batch) Valid(c Col) (bitmap []byte, off int) {
	a := b.Cols[c]
	if a.NullN() == 0 {
		return nil, 0
	}
	return a.NullBitmapBytes(), a.Data().Offset()
}

// Words appends the values of the rows [lo, hi) of a column that has a value
// and is no string: a Double as Word has it, a Bool as 0 or 1. What stands for a
// NULL means nothing.
func (b *Batch) Words(dst []uint64, c Col, lo, hi int) []uint64 {
	switch a := b.Cols[c].(type) {
	case *array.Uint8:
		return widen(dst, a.Uint8Values()[lo:hi])
	case *array.Uint16:
		return widen(dst, a.Uint16Values()[lo:hi])
	case *array.Uint32:
		return widen(dst, a.Uint32Values()[lo:hi])
	case *array.Float64:
		for _, v := range a.Float64Values()[lo:hi] {
			dst = append(dst, Word(v))
		}
	case *array.Int64:
		return append(dst, arrow.Uint64Traits.CastFromBytes(arrow.Int64Traits.CastToBytes(a.Int64Values()[lo:hi]))...)
	case *array.Timestamp:
		return append(dst, arrow.Uint64Traits.CastFromBytes(arrow.TimestampTraits.CastToBytes(a.TimestampValues()[lo:hi]))...)
	case *array.Boolean:
		for i := lo; i < hi; i++ {
			v := uint64(0)
			if a.Value(i) {
				v = 1
			}
			dst = append(dst, v)
		}
	}
	return dst
}

func widen[T uint8 | uint16 | uint32](dst []uint64, src []T) []uint64 {
	at := len(dst)
	dst = slices.Grow(dst, len(src))[:at+len(src)]
	out := dst[at:]
	for i, v := range src[:len(out)] {
		out[i] = uint64(v)
	}
	return dst
}

// Same is what Words has of every row, if that is known of the array at a glance:
// a number below 256 or a flag, and no NULL.
func (b *Batch) Same(c Col) (word uint64, ok bool) {
	if b.Cols[c] == nil || b.Cols[c].NullN() > 0 || b.Len() == 0 {
		return 0, false
	}
	switch a := b.Cols[c].(type) {
	case *array.Uint8:
		v := a.Uint8Values()
		return uint64(v[0]), bytes.Equal(v[1:], v[:len(v)-1])
	case *array.Boolean:
		n := bitutil.CountSetBits(a.Data().Buffers()[1].Bytes(), a.Data().Offset(), a.Len())
		return uint64(n / a.Len()), n == 0 || n == a.Len()
	}
	return 0, false
}

// Sum adds up the rows [lo, hi) of an additive column.
func (b *Batch) Sum(c Col, lo, hi int) Amount {
	if b.Cols[c] == nil {
		return Amount{}
	}
	unit := int64(1e6)
	if Columns[c].Kind == Money {
		unit = 1
	}
	valid, off := b.Valid(c)
	switch a := b.Cols[c].(type) {
	case *array.Uint8:
		return whole(a.Uint8Values()[lo:hi], valid, off+lo, unit)
	case *array.Uint16:
		return whole(a.Uint16Values()[lo:hi], valid, off+lo, unit)
	case *array.Uint32:
		return whole(a.Uint32Values()[lo:hi], valid, off+lo, unit)
	}
	var s Sums
	for i := lo; i < hi; i++ {
		switch {
		case b.Null(c, i):
		case Columns[c].Kind == Double:
			s.AddDouble(c, b.Double(c, i))
		default:
			s.AddInt(c, b.Int(c, i))
		}
	}
	return s.At(c)
}

// whole adds up whole numbers, at most 2^31 of them.
func whole[T uint8 | uint16 | uint32](values []T, valid []byte, off int, unit int64) Amount {
	var sum uint64
	if valid == nil {
		for _, v := range values {
			sum += uint64(v)
		}
		return AmountOf(int64(sum)).Times(unit)
	}
	for i, v := range values {
		sum += uint64(v) & -uint64(valid[(off+i)>>3]>>((off+i)&7)&1)
	}
	return AmountOf(int64(sum)).Times(unit)
}

// Codes appends the numbers in the dictionary of the rows [lo, hi) of a string
// column that has one. What stands for a NULL means nothing.
func (b *Batch) Codes(dst []int32, c Col, lo, hi int) []int32 {
	switch a := b.Cols[c].(*array.Dictionary).Indices().(type) {
	case *array.Uint8:
		for _, v := range a.Uint8Values()[lo:hi] {
			dst = append(dst, int32(v))
		}
	case *array.Uint16:
		for _, v := range a.Uint16Values()[lo:hi] {
			dst = append(dst, int32(v))
		}
	case *array.Int32:
		dst = append(dst, a.Int32Values()[lo:hi]...)
	}
	return dst
}

// Texts is the texts of a string column that has a value: those of its
// dictionary, or of its rows.
func (b *Batch) Texts(c Col) (texts *array.String, dict bool) {
	if a, ok := b.Cols[c].(*array.Dictionary); ok {
		return a.Dictionary().(*array.String), true
	}
	return b.Cols[c].(*array.String), false
}

// Int is a Time, Int, Bool or Money value, 0 where NULL.
func (b *Batch) Int(c Col, i int) int64 {
	if b.Null(c, i) {
		return 0
	}
	switch a := b.Cols[c].(type) {
	case *array.Uint8:
		return int64(a.Value(i))
	case *array.Uint16:
		return int64(a.Value(i))
	case *array.Uint32:
		return int64(a.Value(i))
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
	if a, ok := b.Cols[c].(*array.Float64); ok && a.IsValid(i) {
		return a.Value(i)
	}
	return float64(b.Int(c, i))
}

// Str is a String value, "" where NULL. It aliases the batch.
func (b *Batch) Str(c Col, i int) string {
	if b.Null(c, i) {
		return ""
	}
	if a, ok := b.Cols[c].(*array.Dictionary); ok {
		return a.Dictionary().(*array.String).Value(a.GetValueIndex(i))
	}
	return b.Cols[c].(*array.String).Value(i)
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
