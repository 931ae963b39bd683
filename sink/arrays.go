package sink

import (
	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/bitutil"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"usagelake/schemas"
)

// builder makes the arrays of one column out of pages.
type builder struct {
	mem memory.Allocator
	typ arrow.DataType

	// The array so far.
	size, rows, nulls int            // size is the rows that it will have
	valid             *memory.Buffer // nil if none is NULL
	values            *memory.Buffer // or the offsets of strings
	data              *memory.Buffer // strings

	// Strings with a dictionary: the batches share the file's. Those behind
	// the page at which the file gave it up have one of their own.
	dict  *dictionary
	words arrow.Array // dict
	own   *array.StringBuilder
	seen  map[string]int32 // what own holds

	// again is an array of one word of the file's dictionary and nothing
	// else. Batches share it.
	again arrow.Array
	word  int32
}

func newBuilder(mem memory.Allocator, c schemas.Col) *builder {
	return &builder{mem: mem, typ: c.ArrowType()}
}

func (b *builder) release() {
	b.drop()
	b.unshare()
	b.forget()
	if b.own != nil {
		b.own.Release()
	}
}

// drop gives the array so far up.
func (b *builder) drop() {
	for _, buf := range []**memory.Buffer{&b.valid, &b.values, &b.data} {
		if *buf != nil {
			(*buf).Release()
			*buf = nil
		}
	}
}

// begin prepares for an array of n rows.
func (b *builder) begin(n int) { b.size, b.rows, b.nulls = n, 0, 0 }

func (b *builder) buffer(size int) *memory.Buffer {
	buf := memory.NewResizableBuffer(b.mem)
	buf.Resize(size)
	return buf
}

// append adds the rows [from, to) of p, whose first value is number k, and
// returns the number of the value behind.
func (b *builder) append(p *page, from, to, k int) int {
	n := to - from
	end := k
	switch {
	case p.valid != nil:
		end += bitutil.CountSetBits(p.valid, from, n)
	case p.nulls == 0:
		end += n
	}
	b.appendValid(p, from, n, n-(end-k))
	if b.values == nil && end > k {
		b.values = b.makeValues()
	}
	if b.values != nil {
		b.appendValues(p, from, n, k, end)
	}
	b.rows += n
	return end
}

// appendValid tells of n more rows which are NULL.
func (b *builder) appendValid(p *page, from, n, nulls int) {
	if b.nulls += nulls; b.nulls == 0 {
		return
	}
	if b.valid == nil {
		b.valid = b.buffer((b.size + 7) / 8)
		clear(b.valid.Bytes())
		bitutil.SetBitsTo(b.valid.Bytes(), 0, int64(b.rows), true)
	}
	switch nulls {
	case 0:
		bitutil.SetBitsTo(b.valid.Bytes(), int64(b.rows), int64(n), true)
	case n:
	default:
		bitutil.CopyBitmap(p.valid, from, n, b.valid.Bytes(), b.rows)
	}
}

// makeValues is room for all values. The rows so far are NULL.
func (b *builder) makeValues() *memory.Buffer {
	width := arrow.Int64SizeBytes
	switch b.typ.ID() {
	case arrow.BOOL:
		buf := b.buffer((b.size + 7) / 8)
		clear(buf.Bytes())
		return buf
	case arrow.STRING:
		b.data = b.buffer(0)
		buf := b.buffer(arrow.Int32Traits.BytesRequired(b.size + 1))
		clear(buf.Bytes()[:arrow.Int32Traits.BytesRequired(b.rows)])
		return buf
	case arrow.DICTIONARY:
		width = arrow.Int32SizeBytes
	}
	buf := b.buffer(width * b.size)
	clear(buf.Bytes()[:width*b.rows])
	return buf
}

// appendValues adds the values [k, end), which stand in the n rows from from on.
func (b *builder) appendValues(p *page, from, n, k, end int) {
	switch b.typ.ID() {
	case arrow.FLOAT64:
		dst := arrow.Float64Traits.CastFromBytes(b.values.Bytes())[b.rows:][:n]
		if p.dict == nil {
			copy(dst, p.f64[k:end])
		} else {
			lookUp(dst, p.dict.f64, p, k, end)
		}
		spread(dst, p, from, end-k)
	case arrow.INT64, arrow.TIMESTAMP:
		dst := arrow.Int64Traits.CastFromBytes(b.values.Bytes())[b.rows:][:n]
		if p.dict == nil {
			copy(dst, p.i64[k:end])
		} else {
			lookUp(dst, p.dict.i64, p, k, end)
		}
		spread(dst, p, from, end-k)
	case arrow.BOOL:
		if end-k == n {
			bitutil.CopyBitmap(p.bits, k, n, b.values.Bytes(), b.rows)
			return
		}
		for i := range n {
			if !p.null(from + i) {
				bitutil.SetBitTo(b.values.Bytes(), b.rows+i, bit(p.bits, k))
				k++
			}
		}
	case arrow.STRING:
		b.appendTexts(p, from, n, k, end)
	case arrow.DICTIONARY:
		dst := arrow.Int32Traits.CastFromBytes(b.values.Bytes())[b.rows:][:n]
		switch {
		case end == k:
		case p.dict == nil:
			b.unshare()
			for i := range end - k {
				dst[i] = b.index(p.str.at(k + i))
			}
		default:
			b.share(p.dict)
			if p.same {
				for i := range end - k {
					dst[i] = p.idx[0]
				}
			} else {
				copy(dst, p.idx[k:end])
			}
		}
		spread(dst, p, from, end-k)
	}
}

// lookUp is the values [k, end) of a page with a dictionary of words.
func lookUp[T any](dst, words []T, p *page, k, end int) {
	if p.same {
		for i := range dst[:end-k] {
			dst[i] = words[p.idx[0]]
		}
		return
	}
	for i, n := range p.idx[k:end] {
		dst[i] = words[n]
	}
}

// repeat is an array of the only word that p has.
func (b *builder) repeat(p *page) arrow.Array {
	if b.again == nil || b.word != p.idx[0] || b.again.Len() != b.size {
		b.forget()
		b.append(p, 0, b.size, 0)
		b.again, b.word = b.array(), p.idx[0]
	}
	b.again.Retain()
	return b.again
}

func (b *builder) forget() {
	if b.again != nil {
		b.again.Release()
		b.again = nil
	}
}

// spread moves the values at the beginning of dst to their rows, which begin at
// from.
func spread[T any](dst []T, p *page, from, values int) {
	var zero T
	for i := len(dst) - 1; values <= i; i-- {
		if p.null(from + i) {
			dst[i] = zero
		} else {
			values--
			dst[i] = dst[values]
		}
	}
}

func (b *builder) appendTexts(p *page, from, n, k, end int) {
	at := b.data.Len()
	size := 0
	if p.dict == nil {
		size = p.str.size(k, end)
	} else {
		for i := k; i < end; i++ {
			size += p.dict.str.size(int(p.number(i)), int(p.number(i))+1)
		}
	}
	if at == 0 { // as much as all rows are likely to take
		b.data.Reserve(size + size/16 + size*(b.size-n-b.rows)/n)
	}
	b.data.Resize(at + size)
	data := b.data.Bytes()
	offsets := arrow.Int32Traits.CastFromBytes(b.values.Bytes())[b.rows:][:n+1]
	offsets[0] = int32(at)
	for i := range n {
		if k < end && !p.null(from+i) {
			if p.dict == nil {
				at += copy(data[at:], p.str.at(k))
			} else {
				at += copy(data[at:], p.dict.str.at(int(p.number(k))))
			}
			k++
		}
		offsets[i+1] = int32(at)
	}
}

// share makes an array of the file's dictionary.
func (b *builder) share(dict *dictionary) {
	if b.dict == dict {
		return
	}
	b.unshare()
	s := array.NewStringBuilder(b.mem)
	defer s.Release()
	s.Reserve(dict.n)
	s.ReserveData(dict.str.size(0, dict.n))
	for i := range dict.n {
		s.BinaryBuilder.Append(dict.str.at(i))
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

// array is what was appended since begin, nil if all of it is NULL.
func (b *builder) array() arrow.Array {
	defer b.drop()
	if b.nulls == b.rows {
		return nil
	}
	buffers := []*memory.Buffer{b.valid, b.values}
	switch b.typ.ID() {
	case arrow.STRING:
		buffers = append(buffers, b.data)
	case arrow.DICTIONARY:
		words := b.words
		if b.own != nil && b.own.Len() > 0 {
			words = b.own.NewArray()
			defer words.Release()
			clear(b.seen)
		}
		data := array.NewDataWithDictionary(b.typ, b.rows, buffers, b.nulls, 0, words.Data().(*array.Data))
		defer data.Release()
		return array.NewDictionaryData(data)
	}
	data := array.NewData(b.typ, b.rows, buffers, nil, b.nulls, 0)
	defer data.Release()
	return array.MakeFromData(data)
}
