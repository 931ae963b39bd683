package schemas

import (
	"math/bits"
	"strings"
	"unsafe"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
)

// BuilderRows is the most rows that a Builder holds.
const BuilderRows = 16_384

// Builder gathers rows into batches. Rows are added one by one, by setting the
// columns of the open row and then calling Add, or copied from batches. A
// column costs nothing until its first value. Memory of its own is for
// BuilderRows rows and is used again; that of batches comes from the allocator.
// A Builder belongs to one goroutine.
type Builder struct {
	mem   memory.Allocator
	n     int
	words [NumColumns][]uint64 // numbers
	lanes [NumColumns]*lane    // texts
	sets  []uint64             // the columns that a row has, one bit for each
	from  []int32              // Source of the rows

	// The open row. Its numbers stand in words already.
	set    uint64
	source int32
	texts  [NumColumns]string

	flushes int

	known map[*Batch]*[NumColumns][]int32 // 1 + number here, by that in the batch's dictionary
	codes []int32
}

// NewBuilder makes a builder of batches whose memory is mem's.
func NewBuilder(mem memory.Allocator) *Builder {
	return &Builder{mem: mem, sets: make([]uint64, BuilderRows), from: make([]int32, BuilderRows)}
}

// Len is the count of rows since the last Flush.
func (b *Builder) Len() int { return b.n }

// Full reports whether the builder must be flushed before the next row.
func (b *Builder) Full() bool { return b.n == BuilderRows }

// Drop makes the open row all NULL.
func (b *Builder) Drop() { b.set, b.source = 0, 0 }

// Has reports whether c of the open row is not NULL.
func (b *Builder) Has(c Col) bool { return b.set&(1<<c) != 0 }

// Clear makes c of the open row NULL.
func (b *Builder) Clear(c Col) { b.set &^= 1 << c }

// SetSource sets the source of the open row.
func (b *Builder) SetSource(i int32) { b.source = i }

// SetInt sets a Time, Int, Bool (0 or 1) or Money column, or a Double one to a
// whole number from 0 up and below WholeWords.
func (b *Builder) SetInt(c Col, v int64) {
	if b.words[c] == nil {
		b.words[c] = make([]uint64, BuilderRows)
	}
	b.words[c][b.n] = uint64(v)
	b.set |= 1 << c
}

// SetDouble sets a Double column.
func (b *Builder) SetDouble(c Col, v float64) {
	b.SetInt(c, int64(Word(v)))
}

// SetString sets a String column. The text is copied by Add.
func (b *Builder) SetString(c Col, v string) {
	b.texts[c] = v
	b.set |= 1 << c
}

// A Stamp is texts of columns that many rows have in common. It belongs to one
// builder.
type Stamp struct {
	Set   uint64 // the columns, a bit for each
	cols  []Col
	texts []string
	codes []uint16 // of texts
	since int      // flushes when codes were made
}

// NewStamp makes a stamp of texts of the open row, in the columns of a set. It
// returns nil if the texts of one are mostly distinct.
func (b *Builder) NewStamp(set uint64) *Stamp {
	s := &Stamp{Set: set, since: -1}
	for ; set != 0; set &= set - 1 {
		c := Col(bits.TrailingZeros64(set))
		if b.lane(c).codes == nil {
			return nil
		}
		s.cols, s.texts = append(s.cols, c), append(s.texts, strings.Clone(b.texts[c]))
	}
	s.codes = make([]uint16, len(s.cols))
	return s
}

// Text is what it has for a column, "" if nothing.
func (s *Stamp) Text(c Col) string {
	if s.Set&(1<<c) == 0 {
		return ""
	}
	for i, k := range s.cols {
		if k == c {
			return s.texts[i]
		}
	}
	return ""
}

// AddAll adds rows that have the same columns: a stamp's, and others in numbers and
// texts. What numbers has of a column is as NextWords has it, and there is room for
// the rows. The open row is none of them.
func (b *Builder) AddAll(rows int, set uint64, source int32, s *Stamp) {
	if s.since != b.flushes {
		s.since = b.flushes
		for i, c := range s.cols {
			s.codes[i] = b.lanes[c].dict.code(s.texts[i])
		}
	}
	lo, hi := b.n, b.n+rows
	for i, c := range s.cols {
		fill(b.lanes[c].codes[lo:hi], s.codes[i])
	}
	fill(b.sets[lo:hi], s.Set|set)
	fill(b.from[lo:hi], source)
	b.n = hi
	b.Drop()
}

func fill[T any](list []T, v T) {
	for i := range list {
		list[i] = v
	}
}

// NextWords is where the numbers of the next rows stand that AddAll will add: a
// Double as Word has it, a Bool as 0 or 1.
func (b *Builder) NextWords(c Col, rows int) []uint64 {
	if b.words[c] == nil {
		b.words[c] = make([]uint64, BuilderRows)
	}
	return b.words[c][b.n : b.n+rows]
}

// NextTexts sets the texts of the next rows that AddAll will add. They are copied.
func (b *Builder) NextTexts(c Col, texts []string) {
	l := b.lane(c)
	if l.codes != nil {
		codes := l.codes[b.n : b.n+len(texts)]
		for i, s := range texts {
			codes[i] = l.dict.code(s)
		}
		return
	}
	l.fill(b.n)
	for _, s := range texts {
		l.data = append(l.data, s...)
		l.ends = append(l.ends, uint32(len(l.data)))
	}
}

// Number is the number of a text in a column, from 0 up, until the next Flush. c is no
// column of texts that are mostly distinct.
func (b *Builder) Number(c Col, text string) uint16 { return b.lane(c).dict.code(text) }

// Flushes is how many there were.
func (b *Builder) Flushes() int { return b.flushes }

// NextNumbers is NextTexts by numbers of the texts.
func (b *Builder) NextNumbers(c Col, numbers []uint16) { copy(b.lane(c).codes[b.n:], numbers) }

// NextShared is NextTexts for a few strings that come again: they are told apart by
// where they stand. c is no column of texts that are mostly distinct.
func (b *Builder) NextShared(c Col, texts []string) {
	l := b.lane(c)
	codes := l.codes[b.n : b.n+len(texts)]
	var last [16]struct {
		at   *byte
		size int // 1 + its length
		code uint16
	}
	for i, s := range texts {
		at := unsafe.StringData(s)
		k := &last[uintptr(unsafe.Pointer(at))>>4%uintptr(len(last))]
		if k.at != at || k.size != 1+len(s) {
			k.at, k.size, k.code = at, 1+len(s), l.dict.code(s)
		}
		codes[i] = k.code
	}
}

// Columns has a bit for every column of the open row that is not NULL, and Texts
// for every one of those that is a String.
func (b *Builder) Columns() uint64 { return b.set }

// Texts is like Columns.
func (b *Builder) Texts() uint64 { return b.set & stringColumns }

// Int is a Time, Int, Bool or Money column of the open row, or a Double one that
// is known to be whole, 0 where NULL.
func (b *Builder) Int(c Col) int64 {
	if !b.Has(c) {
		return 0
	}
	return int64(b.words[c][b.n])
}

// Double is a Double column of the open row, 0 where NULL.
func (b *Builder) Double(c Col) float64 {
	if !b.Has(c) {
		return 0
	}
	return OfWord(b.words[c][b.n])
}

// Quantities fills in those columns of a set that are not NULL, in 10^-6; they are
// additive Doubles. It returns a bit for every column of the open row that is not
// NULL.
func (b *Builder) Quantities(of uint64, to *[NumColumns]int64) uint64 {
	for set := b.set & of; set != 0; set &= set - 1 {
		c := bits.TrailingZeros64(set)
		if w := b.words[c][b.n]; w < WholeWords {
			to[c] = int64(w) * 1e6
		} else {
			to[c] = Micros(OfWord(w))
		}
	}
	return b.set
}

// Str is a String column of the open row, "" where NULL.
func (b *Builder) Str(c Col) string {
	if !b.Has(c) {
		return ""
	}
	return b.texts[c]
}

// Keep makes all columns of the open row NULL that a table does not have.
func (b *Builder) Keep(t Table) { b.set &= membership[t] }

// membership has a bit for every column of a table.
var membership = func() (sets [NumTables]uint64) {
	for t := range NumTables {
		for _, c := range t.Columns() {
			sets[t] |= 1 << c
		}
	}
	return sets
}()

func tableOf(set uint64) Table { return Table(set >> BucketEnd & 1) }

// Tables are the tables of the rows, nil where all are of Usage.
func (b *Builder) Tables() []Table {
	some := uint64(0)
	for _, set := range b.sets[:b.n] {
		some |= set
	}
	if tableOf(some) == Usage {
		return nil
	}
	list := make([]Table, b.n)
	for i, set := range b.sets[:b.n] {
		list[i] = tableOf(set)
	}
	return list
}

// Identity is what decides the call key of row i. Its texts are valid until the
// next Flush.
func (b *Builder) Identity(i int) Identity {
	return Identity{
		Dialect: b.textAt(Dialect, i), RequestID: b.textAt(RequestID, i), TransportID: b.textAt(TransportID, i),
		Model: b.textAt(Model, i), TimeSource: b.textAt(EventTimeSource, i), Flags: b.textAt(QualityFlags, i),
		EventTime: int64(b.words[EventTime][i]),
	}
}

// textAt is a String column of row i, "" where NULL.
func (b *Builder) textAt(c Col, i int) string {
	if b.sets[i]&(1<<c) == 0 {
		return ""
	}
	text := []byte(nil)
	if l := b.lanes[c]; l.codes == nil {
		text = l.text(i)
	} else {
		text = l.dict.at(l.codes[i])
	}
	return unsafe.String(unsafe.SliceData(text), len(text))
}

// stringColumns has a bit for every String column.
var stringColumns = func() (set uint64) {
	for c := range NumColumns {
		if Columns[c].Kind == String {
			set |= 1 << c
		}
	}
	return set
}()

// Add adds the open row, and opens another.
func (b *Builder) Add() {
	for set := b.set & stringColumns; set != 0; set &= set - 1 {
		c := Col(bits.TrailingZeros64(set))
		l := b.lane(c)
		if l.codes == nil {
			l.fill(b.n)
			l.data = append(l.data, b.texts[c]...)
			l.ends = append(l.ends, uint32(len(l.data)))
		} else {
			l.codes[b.n] = l.dict.code(b.texts[c])
		}
	}
	b.sets[b.n], b.from[b.n] = b.set, b.source
	b.n++
	b.Drop()
}

// Set makes the open row like r.
func (b *Builder) Set(r *Row) {
	b.Drop()
	b.source = r.Source
	for c := range NumColumns {
		if !r.Has(c) {
			continue
		}
		switch Columns[c].Kind {
		case Double:
			b.SetDouble(c, r.Double(c))
		case String:
			b.SetString(c, r.Str(c))
		default:
			b.SetInt(c, r.Int(c))
		}
	}
}

// Append adds a row.
func (b *Builder) Append(r *Row) {
	b.Set(r)
	b.Add()
}

// lane is the lane of a String column, made where it is missing.
func (b *Builder) lane(c Col) *lane {
	l := b.lanes[c]
	if l == nil {
		l = &lane{}
		if !Columns[c].Plain || c == ExtraJSON { // of a batch's the texts are few
			l.codes = make([]uint16, BuilderRows)
		}
		b.lanes[c] = l
	}
	return l
}

// Times are the event times of the rows, in microseconds.
func (b *Builder) Times() []int64 { return b.ints(EventTime) }

// Places are what names the place of each row: source, source_line and
// source_row.
func (b *Builder) Places() (source []int32, line, row []int64) {
	return b.from[:b.n], b.ints(SourceLine), b.ints(SourceRow)
}

func (b *Builder) ints(c Col) []int64 {
	if b.words[c] == nil {
		b.words[c] = make([]uint64, BuilderRows)
	}
	return arrow.Int64Traits.CastFromBytes(arrow.Uint64Traits.CastToBytes(b.words[c][:b.n]))
}

// Copy adds the rows [lo, hi) of a batch, for which there is room.
func (b *Builder) Copy(from *Batch, lo, hi int) {
	n, rows := b.n, hi-lo
	copy(b.from[n:], from.Source.Int32Values()[lo:hi])
	var all uint64 // columns without a NULL
	sets := b.sets[n : n+rows]
	clear(sets)
	for c := range NumColumns {
		if from.Cols[c] == nil {
			continue
		}
		if valid, off := from.Valid(c); valid == nil {
			all |= 1 << c
		} else {
			for i := range sets {
				at := off + lo + i
				sets[i] |= uint64(valid[at>>3]>>(at&7)&1) << c
			}
		}
		if Columns[c].Kind != String {
			if b.words[c] == nil {
				b.words[c] = make([]uint64, BuilderRows)
			}
			from.Words(b.words[c][:n], c, lo, hi)
			continue
		}
		l := b.lane(c)
		_, dict := from.Texts(c)
		switch {
		case l.codes != nil && dict:
			b.translate(from, c, l, lo, hi)
		case l.codes != nil:
			for i := lo; i < hi; i++ {
				if !from.Null(c, i) {
					l.codes[n+i-lo] = l.dict.code(from.Str(c, i))
				}
			}
		default:
			l.fill(n)
			for i := lo; i < hi; i++ {
				l.data = append(l.data, from.Str(c, i)...)
				l.ends = append(l.ends, uint32(len(l.data)))
			}
		}
	}
	for i := range sets {
		sets[i] |= all
	}
	b.n += rows
}

// translate copies the rows [lo, hi) of a column with a dictionary.
func (b *Builder) translate(from *Batch, c Col, l *lane, lo, hi int) {
	texts, _ := from.Texts(c)
	known := b.known[from]
	if known == nil {
		known = new([NumColumns][]int32)
		if b.known == nil {
			b.known = map[*Batch]*[NumColumns][]int32{}
		}
		b.known[from] = known
	}
	if known[c] == nil {
		known[c] = make([]int32, texts.Len())
	}
	valid, off := from.Valid(c)
	b.codes = from.Codes(b.codes[:0], c, lo, hi)
	for i, k := range b.codes {
		if at := off + lo + i; valid != nil && valid[at>>3]&(1<<(at&7)) == 0 {
			continue
		}
		if known[c][k] == 0 {
			known[c][k] = 1 + int32(l.dict.code(texts.Value(int(k))))
		}
		l.codes[b.n+i] = uint16(known[c][k] - 1)
	}
}

// Flush returns the rows since the last Flush: all in the order they came, or
// those that order names. The caller releases the batch.
func (b *Builder) Flush(order []int32) *Batch {
	rows := b.n
	if order != nil {
		rows = len(order)
	}
	p := packing{b.mem, b, order, rows}
	some, all := uint64(0), ^uint64(0)
	for _, set := range b.sets[:b.n] {
		some |= set
		all &= set
	}
	fields := []arrow.Field{{Name: sourceField, Type: arrow.PrimitiveTypes.Int32}}
	arrays := []arrow.Array{p.source()}
	for c := range NumColumns {
		if some&(1<<c) == 0 {
			continue
		}
		a := p.column(c, all&(1<<c) == 0)
		fields = append(fields, arrow.Field{Name: Columns[c].Name, Type: a.DataType(), Nullable: true})
		arrays = append(arrays, a)
	}
	rec := array.NewRecord(arrow.NewSchema(fields, nil), arrays, int64(rows))
	for _, a := range arrays {
		a.Release()
	}
	b.n = 0
	b.flushes++
	for _, l := range b.lanes {
		if l != nil {
			l.data, l.ends = l.data[:0], l.ends[:0]
			l.dict.reset()
		}
	}
	clear(b.known)
	return NewBatch(rec)
}
