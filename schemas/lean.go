package schemas

import (
	"bytes"
	"slices"
	"strconv"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
)

// A lean record has the rows of a batch in fewer bytes, for a file that is soon read
// again. What every row has alike is said in the metadata of a field that has no
// bytes, of type Null; numbers that are near each other are what they are above the
// least of them; texts of one length have no offsets.
const (
	leanSame = "same" // key of the metadata: what every row has
	leanFrom = "from" // the least number
)

// Lean is the batch as a lean record. The caller releases it while the batch is there,
// whose memory it uses.
func (b *Batch) Lean(mem memory.Allocator) arrow.Record {
	fields, cols := slices.Clone(b.Rec.Schema().Fields()), slices.Clone(b.Rec.Columns())
	for i, a := range cols {
		lean, key, value := leanArray(a, mem)
		if lean == nil {
			a.Retain()
			continue
		}
		cols[i], fields[i].Type = lean, lean.DataType()
		if key != "" {
			fields[i].Metadata = arrow.NewMetadata([]string{key}, []string{value})
		}
	}
	defer releaseAll(cols)
	return array.NewRecord(arrow.NewSchema(fields, nil), cols, b.Rec.NumRows())
}

// OfLean is the batch that a record was made from by Lean. It takes over the caller's
// reference to rec.
func OfLean(rec arrow.Record, mem memory.Allocator) (*Batch, error) {
	defer rec.Release()
	fields, cols := slices.Clone(rec.Schema().Fields()), slices.Clone(rec.Columns())
	for i, a := range cols {
		a.Retain()
		whole, err := wholeArray(&fields[i], a, mem)
		if err != nil {
			releaseAll(cols[:i+1])
			return nil, err
		}
		if whole != nil {
			a.Release()
			cols[i], fields[i] = whole, arrow.Field{Name: fields[i].Name, Type: whole.DataType(), Nullable: fields[i].Nullable}
		}
	}
	defer releaseAll(cols)
	return NewBatch(array.NewRecord(arrow.NewSchema(fields, nil), cols, rec.NumRows())), nil
}

func releaseAll(list []arrow.Array) {
	for _, a := range list {
		a.Release()
	}
}

// leanArray is an array of fewer bytes, and what its field's metadata must say; nil
// where there is none.
func leanArray(a arrow.Array, mem memory.Allocator) (lean arrow.Array, key, value string) {
	if a.Len() == 0 || a.Len() > len(zeros) || a.NullN() > 0 {
		return nil, "", ""
	}
	switch a := a.(type) {
	case *array.Uint8:
		if bytes.Equal(a.Uint8Values(), zeros[:a.Len()]) {
			return array.NewNull(a.Len()), leanSame, "0"
		}
	case *array.Dictionary:
		codes, ok := a.Indices().(*array.Uint8)
		texts, text := a.Dictionary().(*array.String)
		if ok && text && bytes.Equal(codes.Uint8Values(), zeros[:a.Len()]) {
			return array.NewNull(a.Len()), leanSame, texts.Value(0)
		}
	case *array.String:
		return leanTexts(a), "", ""
	case *array.Int32:
		v := a.Int32Values()
		if slices.Equal(v[1:], v[:len(v)-1]) {
			return array.NewNull(a.Len()), leanSame, strconv.Itoa(int(v[0]))
		}
	case *array.Uint32:
		return leanNumbers(a.Uint32Values(), mem)
	case *array.Int64:
		return leanNumbers(a.Int64Values(), mem)
	case *array.Timestamp:
		return leanNumbers(a.TimestampValues(), mem)
	}
	return nil, "", ""
}

func leanTexts(a *array.String) arrow.Array {
	off := a.ValueOffsets()
	size := off[1] - off[0]
	for i := range a.Len() {
		if off[i+1]-off[i] != size {
			return nil
		}
	}
	if size == 0 {
		return nil
	}
	return newArray(&arrow.FixedSizeBinaryType{ByteWidth: int(size)}, a.Len(), 0, nil, memory.NewBufferBytes(a.ValueBytes()))
}

// leanNumbers is what numbers are above the least of them.
func leanNumbers[T uint32 | int64 | arrow.Timestamp](v []T, mem memory.Allocator) (lean arrow.Array, key, value string) {
	least, most := slices.Min(v), slices.Max(v)
	value = strconv.FormatInt(int64(least), 10)
	p := packing{mem: mem, rows: len(v)}
	switch span := uint64(int64(most)) - uint64(int64(least)); {
	case span < 1<<8:
		return newArray(arrow.PrimitiveTypes.Uint8, len(v), 0, nil, above[uint8](&p, v, least)), leanFrom, value
	case span < 1<<16:
		return newArray(arrow.PrimitiveTypes.Uint16, len(v), 0, nil, above[uint16](&p, v, least)), leanFrom, value
	case span < 1<<32 && int64(most) >= 1<<32: // it has more than four bytes
		return newArray(arrow.PrimitiveTypes.Uint32, len(v), 0, nil, above[uint32](&p, v, least)), leanFrom, value
	}
	return nil, "", ""
}

func above[N uint8 | uint16 | uint32, T uint32 | int64 | arrow.Timestamp](p *packing, v []T, least T) *memory.Buffer {
	buf := room[N](p)
	out := arrow.GetData[N](buf.Bytes())
	for i, v := range v {
		out[i] = N(uint64(v) - uint64(least))
	}
	return buf
}

// wholeArray is what leanArray made an array from; nil where that is the array.
func wholeArray(f *arrow.Field, a arrow.Array, mem memory.Allocator) (arrow.Array, error) {
	p := packing{mem: mem, rows: a.Len()}
	value, same := f.Metadata.GetValue(leanSame)
	least, near := f.Metadata.GetValue(leanFrom)
	c, known := Lookup(f.Name)
	switch {
	case same && known && Columns[c].Kind == String:
		one := &lane{dict: words{data: []byte(value), ends: []uint32{uint32(len(value))}}}
		return p.numbered(dict8, newArray(dict8.IndexType, p.rows, 0, nil, p.zeros()), one), nil
	case same && known:
		return newArray(arrow.PrimitiveTypes.Uint8, p.rows, 0, nil, p.zeros()), nil
	case same:
		source, err := strconv.ParseInt(value, 10, 32)
		return newArray(arrow.PrimitiveTypes.Int32, p.rows, 0, nil, added[uint32](&p, zeros[:p.rows], source)), err
	case near:
		from, err := strconv.ParseInt(least, 10, 64)
		switch a := a.(type) {
		case *array.Uint8:
			return wholeNumbers(&p, c, a.Uint8Values(), from), err
		case *array.Uint16:
			return wholeNumbers(&p, c, a.Uint16Values(), from), err
		case *array.Uint32:
			return wholeNumbers(&p, c, a.Uint32Values(), from), err
		}
	}
	if a, ok := a.(*array.FixedSizeBinary); ok {
		size := a.DataType().(*arrow.FixedSizeBinaryType).ByteWidth
		offsets, data := p.buffer(4*(p.rows+1)), a.Data().Buffers()[1]
		off := arrow.Int32Traits.CastFromBytes(offsets.Bytes())
		for i := range off {
			off[i] = int32(i * size)
		}
		data.Retain()
		return newArray(arrow.BinaryTypes.String, p.rows, 0, nil, offsets, data), nil
	}
	return nil, nil
}

func wholeNumbers[N uint8 | uint16 | uint32](p *packing, c Col, v []N, from int64) arrow.Array {
	if from >= 0 && from+int64(slices.Max(v)) < 1<<32 {
		return newArray(arrow.PrimitiveTypes.Uint32, p.rows, 0, nil, added[uint32](p, v, from))
	}
	return newArray(c.ArrowType(), p.rows, 0, nil, added[uint64](p, v, from))
}

func added[T uint32 | uint64, N uint8 | uint16 | uint32](p *packing, v []N, from int64) *memory.Buffer {
	buf := room[T](p)
	out := arrow.GetData[T](buf.Bytes())
	for i, v := range v {
		out[i] = T(v) + T(from)
	}
	return buf
}
