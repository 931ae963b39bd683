package schemas

import (
	"math"
	"math/bits"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
)

// packing makes arrays of a builder's rows.
type packing struct {
	mem   memory.Allocator
	b     *Builder
	order []int32 // nil: as they stand
	rows  int
}

// at is the builder's number of row i.
func (p *packing) at(i int) int {
	if p.order != nil {
		return int(p.order[i])
	}
	return i
}

func (p *packing) buffer(n int) *memory.Buffer {
	buf := memory.NewResizableBuffer(p.mem)
	buf.Resize(n)
	return buf
}

// zeros is a byte for each row. All batches share it: most columns of most logs are
// the same in every row.
func (p *packing) zeros() *memory.Buffer { return memory.NewBufferBytes(zeros[:p.rows]) }

var zeros [BuilderRows]byte // stays so

// newArray makes an array and gives up the buffers.
func newArray(typ arrow.DataType, rows, nulls int, buffers ...*memory.Buffer) arrow.Array {
	data := array.NewData(typ, rows, buffers, nil, nulls, 0)
	defer data.Release()
	for _, buf := range buffers {
		if buf != nil {
			buf.Release()
		}
	}
	return array.MakeFromData(data)
}

func (p *packing) source() arrow.Array {
	buf := p.buffer(4 * p.rows)
	out := arrow.Int32Traits.CastFromBytes(buf.Bytes())
	for i := range out {
		out[i] = p.b.from[p.at(i)]
	}
	return newArray(arrow.PrimitiveTypes.Int32, p.rows, 0, nil, buf)
}

// column makes the array of a column that has a value.
func (p *packing) column(c Col, nullable bool) arrow.Array {
	var valid *memory.Buffer
	nulls := 0
	if nullable {
		valid = p.buffer((p.rows + 7) / 8)
		bitmap := valid.Bytes()
		clear(bitmap)
		for i := range p.rows {
			bit := byte(p.b.sets[p.at(i)] >> c & 1)
			bitmap[i>>3] |= bit << (i & 7)
			nulls += int(1 - bit)
		}
	}
	if l := p.b.lanes[c]; l != nil && l.codes == nil {
		return p.plain(l, valid, nulls)
	} else if l != nil {
		return p.dictionary(c, l, valid, nulls)
	}
	words := p.b.words[c]
	or := p.bits(c, nullable)
	switch {
	case Columns[c].Kind == Bool:
		buf := p.buffer((p.rows + 7) / 8)
		out := buf.Bytes()
		clear(out)
		for i := 0; or != 0 && i < p.rows; i++ {
			out[i>>3] |= byte(words[p.at(i)]&1) << (i & 7)
		}
		return newArray(arrow.FixedWidthTypes.Boolean, p.rows, nulls, valid, buf)
	case or == 0:
		return newArray(arrow.PrimitiveTypes.Uint8, p.rows, nulls, valid, p.zeros())
	case or < 1<<8:
		return newArray(arrow.PrimitiveTypes.Uint8, p.rows, nulls, valid, gather[uint8](p, words))
	case or < 1<<16:
		return newArray(arrow.PrimitiveTypes.Uint16, p.rows, nulls, valid, gather[uint16](p, words))
	case or < 1<<32:
		return newArray(arrow.PrimitiveTypes.Uint32, p.rows, nulls, valid, gather[uint32](p, words))
	}
	buf := gather[uint64](p, words)
	if Columns[c].Kind == Double {
		out := arrow.Uint64Traits.CastFromBytes(buf.Bytes())
		for i, v := range out {
			out[i] = math.Float64bits(OfWord(v))
		}
	}
	return newArray(c.ArrowType(), p.rows, nulls, valid, buf)
}

// bits are those that any of a column's numbers has.
func (p *packing) bits(c Col, nullable bool) (or uint64) {
	words := p.b.words[c][:p.b.n]
	if !nullable {
		for _, v := range words {
			or |= v
		}
		return or
	}
	for i, set := range p.b.sets[:len(words)] {
		or |= words[i] & -(set >> c & 1)
	}
	return or
}

// gather is the numbers of a column, which T has room for. What stands for a
// NULL means nothing.
func gather[T uint8 | uint16 | uint32 | uint64](p *packing, words []uint64) *memory.Buffer {
	buf := room[T](p)
	out := arrow.GetData[T](buf.Bytes())
	if p.order == nil {
		for i, v := range words[:len(out)] {
			out[i] = T(v)
		}
	}
	for i, k := range p.order {
		out[i] = T(words[k])
	}
	return buf
}

// room is a buffer of a number for each row.
func room[T uint8 | uint16 | uint32 | uint64](p *packing) *memory.Buffer {
	var size T
	return p.buffer(p.rows * bits.Len64(uint64(^size)) / 8)
}

func (p *packing) plain(l *lane, valid *memory.Buffer, nulls int) arrow.Array {
	l.fill(p.b.n)
	offsets, data := p.buffer(4*(p.rows+1)), (*memory.Buffer)(nil)
	off := arrow.Int32Traits.CastFromBytes(offsets.Bytes())
	off[0] = 0
	if p.order == nil {
		for i, end := range l.ends {
			off[i+1] = int32(end)
		}
		data = p.buffer(len(l.data))
		copy(data.Bytes(), l.data)
	} else {
		n := 0
		for i, k := range p.order {
			n += len(l.text(int(k)))
			off[i+1] = int32(n)
		}
		data = p.buffer(n)
		out := data.Bytes()
		for _, k := range p.order {
			out = out[copy(out, l.text(int(k))):]
		}
	}
	return newArray(arrow.BinaryTypes.String, p.rows, nulls, valid, offsets, data)
}

// Types of columns with a dictionary, by the width of their indices.
var (
	dict8  = &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Uint8, ValueType: arrow.BinaryTypes.String}
	dict16 = &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Uint16, ValueType: arrow.BinaryTypes.String}
)

func (p *packing) dictionary(c Col, l *lane, valid *memory.Buffer, nulls int) arrow.Array {
	typ, size := dict8, 1
	if len(l.dict.ends) > 1<<8 {
		typ, size = dict16, 2
	}
	if len(l.dict.ends) == 1 {
		return p.numbered(typ, newArray(typ.IndexType, p.rows, nulls, valid, p.zeros()), l)
	}
	buf := p.buffer(size * p.rows)
	switch {
	case size == 1 && valid == nil:
		out := buf.Bytes()
		if p.order == nil {
			for i, code := range l.codes[:len(out)] {
				out[i] = byte(code)
			}
		}
		for i, k := range p.order {
			out[i] = byte(l.codes[k])
		}
	case size == 1:
		out := buf.Bytes()
		for i := range out {
			k := p.at(i)
			out[i] = byte(l.codes[k]) & -byte(p.b.sets[k]>>c&1)
		}
	default:
		out := arrow.Uint16Traits.CastFromBytes(buf.Bytes())
		for i := range out {
			k := p.at(i)
			out[i] = l.codes[k] & -uint16(p.b.sets[k]>>c&1)
		}
	}
	return p.numbered(typ, newArray(typ.IndexType, p.rows, nulls, valid, buf), l)
}

// numbered is texts by their numbers, which it gives up.
func (p *packing) numbered(typ *arrow.DictionaryType, index arrow.Array, l *lane) arrow.Array {
	defer index.Release()
	texts := l.dict.array(p)
	defer texts.Release()
	return array.NewDictionaryArray(typ, index, texts)
}
